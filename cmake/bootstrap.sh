# shellcheck shell=sh disable=SC2034 # the lists are used by those who source this
# bootstrap.sh - what a bare Debian 12 needs before CMake can run.  Sourced by examples/demo/run.sh
# and tests/run.sh; everything is a function, nothing happens on reading it.
#
# Rules: install by package name only, only what is missing, and only through apt-get; become
# root with sudo when needed; when that is not possible, say exactly what to install and stop.

# Each package and its reason is explained in README.md.
BUILD_PACKAGES="cmake ninja-build gcc libc6-dev pkg-config liblua5.4-dev libh2o-evloop-dev
                libssl-dev zlib1g-dev libzydis-dev libdw-dev libcurl4-openssl-dev
                libmsgpack-dev"
TEST_PACKAGES="libcriterion-dev libjansson-dev golang-1.19-go ca-certificates
               prometheus prometheus-alertmanager nats-server gdb python3-msgpack
               python3-jsonschema python3-prometheus-client"

GO_MINIMUM_MINOR=19

bootstrap_fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# bootstrap_run LOG COMMAND...: runs quietly; on failure shows the end of the log and stops.
bootstrap_run() {
    bootstrap_log=$1
    shift
    if ! "$@" >>"$bootstrap_log" 2>&1 </dev/null; then
        printf '\n--- the last lines of %s\n' "$bootstrap_log" >&2
        tail -n 40 "$bootstrap_log" >&2
        bootstrap_fail "failed: $*"
    fi
}

# Prints the command to put in front of one that needs root: nothing, or sudo.  False if neither works.
bootstrap_root_prefix() {
    if [ "$(id -u)" -eq 0 ]; then
        return 0
    fi
    command -v sudo >/dev/null 2>&1 || return 1
    # With a terminal sudo may ask for the password; without one it must not hang.
    if [ -t 0 ]; then
        sudo -v >&2 || return 1
    else
        sudo -n true 2>/dev/null || return 1
    fi
    echo sudo
}

bootstrap_is_installed() {
    [ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = "install ok installed" ]
}

# bootstrap_packages LOG NAME...: installs those that are missing.
bootstrap_packages() {
    bootstrap_packages_log=$1
    shift
    if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
        bootstrap_fail "this is not a Debian system: install the equivalents of these packages yourself" \
            "and build with 'cmake --preset release': $*"
    fi
    missing=
    for package in "$@"; do
        bootstrap_is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    root_prefix=$(bootstrap_root_prefix) ||
        bootstrap_fail "packages are missing, and neither root nor sudo is at hand; have root run:" \
            "apt-get update && apt-get install -y --no-install-recommends$missing"
    printf 'installing%s\n' "$missing"
    # A source list that fails here need not matter: whether the packages come is what counts.
    $root_prefix apt-get update >>"$bootstrap_packages_log" 2>&1 </dev/null || true
    # shellcheck disable=SC2086 # word splitting makes the list
    bootstrap_run "$bootstrap_packages_log" $root_prefix env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $missing
}

# Prints the minor version of a go command: 26 for "go version go1.26.8 linux/amd64".
bootstrap_go_minor() {
    "$1" version 2>/dev/null | sed -n 's/^go version \(devel \)\{0,1\}go1\.\([0-9]\{1,\}\).*/\2/p'
}

# Of the caller's, what would make a Go program that does not run here, or another one.
bootstrap_go_for_this_machine() {
    unset GOOS GOARCH GOAMD64 GOARM64 GOEXPERIMENT GOROOT GOTOOLDIR GOFIPS140
}

# Sets GO to a go command that is new enough: the one in PATH, else Debian's golang-go.
bootstrap_go() {
    bootstrap_go_for_this_machine
    GO=$(command -v go || true)
    if [ -n "$GO" ]; then
        go_minor=$(bootstrap_go_minor "$GO")
        [ "${go_minor:-0}" -ge "$GO_MINIMUM_MINOR" ] && return 0
    fi
    bootstrap_packages "$1" golang-go
    for GO in /usr/bin/go /usr/lib/go/bin/go "/usr/lib/go-1.$GO_MINIMUM_MINOR/bin/go"; do
        go_minor=$(bootstrap_go_minor "$GO")
        [ "${go_minor:-0}" -ge "$GO_MINIMUM_MINOR" ] && return 0
    done
    bootstrap_fail "no Go >= 1.$GO_MINIMUM_MINOR: put one in PATH (have: $(go version 2>&1))"
}

# Settings of the caller's that would make our little Go programs build differently are put aside.
bootstrap_go_environment() {
    bootstrap_go_for_this_machine
    GOFLAGS=-buildvcs=false GO111MODULE=on GOWORK=off CGO_ENABLED=0
    export GOFLAGS GO111MODULE GOWORK CGO_ENABLED
    if [ -z "${HOME:-}" ] && [ -z "${GOCACHE:-}" ]; then
        GOCACHE=$1/go-cache
        export GOCACHE
    fi
}
