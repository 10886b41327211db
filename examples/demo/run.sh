#!/bin/sh
# run.sh - goprofd from nothing to its first finding, in one command.
#
#   sh examples/demo/run.sh          build, start, show; runs on until Ctrl-C
#   sh examples/demo/run.sh --once   the same, but ends after the tour; exit 0 if all was found
#
# Installs what is missing (Debian packages), builds goprofd and the demo service into build/,
# runs both on free loopback ports, and leaves nothing running and no files but build/.
# shellcheck disable=SC2317 # cleanup is called by the traps
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
demo=$root/examples/demo
# shellcheck source=cmake/bootstrap.sh
. "$root/cmake/bootstrap.sh"

once=''
case "${1:-}" in
--once) once=-once ;;
"") ;;
*)
    echo "usage: $0 [--once]" >&2
    exit 2
    ;;
esac

# --- leave nothing behind ---------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/goprofd-demo.XXXXXX")
service_pid=''
daemon_pid=''
tour_pid=''
daemon_prefix='' # sudo, where reading another process needs it
cleanup() {
    trap - EXIT INT TERM HUP
    [ -z "$tour_pid" ] || kill "$tour_pid" 2>/dev/null || true
    [ -z "$daemon_pid" ] || $daemon_prefix kill "$daemon_pid" 2>/dev/null || true
    [ -z "$service_pid" ] || kill "$service_pid" 2>/dev/null || true
    wait
    $daemon_prefix rm -rf "$work"
}
trap cleanup EXIT
trap 'cleanup; exit 130' INT
trap 'cleanup; exit 143' TERM
trap 'cleanup; exit 129' HUP

# --- set up and build -------------------------------------------------------------------------

mkdir -p "$root/build/demo"
log=$root/build/demo/build.log
: >"$log"

echo "goprofd demo: set-up (details in build/demo/build.log)"
# shellcheck disable=SC2086 # word splitting makes the list
bootstrap_packages "$log" $BUILD_PACKAGES
bootstrap_go "$log"
bootstrap_go_environment "$root/build/demo"

echo "goprofd demo: building goprofd (release) ..."
cd "$root"
bootstrap_run "$log" cmake --preset release
bootstrap_run "$log" cmake --build --preset release --target goprofd

echo "goprofd demo: building the demo service with $("$GO" version | cut -d' ' -f3) ..."
cd "$demo"
bootstrap_run "$log" "$GO" build -o "$root/build/demo/demo-shop" ./service
bootstrap_run "$log" "$GO" build -o "$root/build/demo/tour" ./tour
# Newer Go builds its pprof when it is first asked for: now, and not in the middle of the tour.
"$GO" tool pprof -help >>"$log" 2>&1 </dev/null || true
cd "$root"

# --- start ------------------------------------------------------------------------------------

# wait_for FILE PID SED_EXPRESSION: prints what the expression finds in the file, once it does.
wait_for() {
    tries=0
    while :; do
        found=$(sed -n "$3" "$1" | head -n 1)
        if [ -n "$found" ]; then
            echo "$found"
            return 0
        fi
        if ! kill -0 "$2" 2>/dev/null && [ ! -d "/proc/$2" ] || [ "$tries" -ge 100 ]; then
            cat "$1" >&2
            return 1
        fi
        tries=$((tries + 1))
        sleep 0.1
    done
}

"$root/build/demo/demo-shop" -addr 127.0.0.1:0 >"$work/service.log" 2>&1 </dev/null &
service_pid=$!
service_url=$(wait_for "$work/service.log" "$service_pid" 's/^listening on //p') ||
    bootstrap_fail "the demo service did not start"

# Where Yama allows reading only one's own children, goprofd needs CAP_SYS_PTRACE.
yama=$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)
if [ "$yama" -ne 0 ] && [ "$(id -u)" -ne 0 ]; then
    daemon_prefix=$(bootstrap_root_prefix) ||
        bootstrap_fail "kernel.yama.ptrace_scope is $yama: goprofd may not read other processes;" \
            "run this as root, or install sudo"
fi

# The environment overrides config.lua: here with what differs from run to run.
$daemon_prefix env \
    GOPROF_METRICS_LISTEN_ADDR=127.0.0.1:0 \
    GOPROF_PROFILE_CAPTURE_DIR="$work/profiles" \
    GOPROF_RULES_DIR="$root/rules" \
    "$root/build/release/goprofd" -c "$demo/config.lua" >"$work/goprofd.log" 2>&1 </dev/null &
daemon_pid=$!
daemon_port=$(wait_for "$work/goprofd.log" "$daemon_pid" \
    's/.*msg="goprofd ready".* port=\([1-9][0-9]*\).*/\1/p') ||
    bootstrap_fail "goprofd did not start"
daemon_url=http://127.0.0.1:$daemon_port

echo "goprofd demo: service at $service_url, goprofd at $daemon_url; traffic starts"

# --- the tour ---------------------------------------------------------------------------------

# In the background, so that a signal reaches the traps above at once.
"$root/build/demo/tour" -service "$service_url" -goprofd "$daemon_url" \
    -captures "$work/profiles" -go "$GO" $once </dev/null &
tour_pid=$!
status=0
wait "$tour_pid" || status=$?
tour_pid=''
if [ "$status" -ne 0 ]; then
    printf '\n--- what goprofd logged\n' >&2
    cat "$work/goprofd.log" >&2
fi
exit "$status"
