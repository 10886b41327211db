#!/bin/sh
# go_toolchain.sh VERSION - prints the path of that version's go command, fetching it if needed.
#
#   debian    Debian 12's own, 1.19 (package golang-1.19-go)
#   path      the go in PATH, or Debian's where there is none
#   /a/b/go   this go command
#   1.27.3    exactly this one, as the module golang.org/toolchain through the Go module proxy
#             that this machine is set up with
#
# Any go can fetch another one like that, also 1.19, which knows nothing of GOTOOLCHAIN: to it the
# toolchain is one more module zip.  Such a zip carries no execute bits, so they are set here, as
# newer ones do themselves.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
version=${1:?usage: go_toolchain.sh debian|path|/PATH/OF/go|VERSION}
debian_go=/usr/lib/go-1.19/bin/go

fail() {
    echo "go_toolchain.sh: $*" >&2
    exit 1
}

case $version in
debian)
    [ -x "$debian_go" ] || fail "Debian's golang-1.19-go is not installed"
    echo "$debian_go"
    exit 0
    ;;
path)
    command -v go || { [ -x "$debian_go" ] && echo "$debian_go"; } ||
        fail "no go in PATH, and Debian's golang-1.19-go is not installed"
    exit 0
    ;;
/*)
    [ -x "$version" ] || fail "$version is not a go command"
    echo "$version"
    exit 0
    ;;
esac

fetcher=${GOPROFD_GO_FETCHER:-$(command -v go || echo "$debian_go")}
[ -x "$fetcher" ] || fail "no go at hand to fetch go$version with"

# The version that is already there needs no fetching.
if [ "$(GOTOOLCHAIN=local "$fetcher" version | cut -d' ' -f3)" = "go$version" ]; then
    echo "$fetcher"
    exit 0
fi

# Kept where every other module of this user is kept.
GOMODCACHE=$("$fetcher" env GOMODCACHE)
[ -n "$GOMODCACHE" ] || GOMODCACHE=$root/build/modules
export GOMODCACHE
platform=$("$fetcher" env GOOS)-$("$fetcher" env GOARCH)
module=golang.org/toolchain@v0.0.1-go$version.$platform
go=$GOMODCACHE/$module/bin/go

if [ ! -x "$go" ]; then
    # go mod download wants to stand in some module.
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/goprofd-fetch.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    (
        cd "$scratch"
        printf 'module fetch\n\ngo 1.19\n' >go.mod
        GOFLAGS=-modcacherw GOTOOLCHAIN=local GOWORK=off GO111MODULE=on \
            "$fetcher" mod download "$module" >&2
    ) || fail "cannot fetch go$version through the Go module proxy ($("$fetcher" env GOPROXY))"
    # The go command last: it says that the rest is done.
    chmod -R +x "$GOMODCACHE/$module/pkg/tool"
    chmod +x "$GOMODCACHE/$module/bin/gofmt" "$go"
fi

echo "$go"
