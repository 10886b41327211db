#!/bin/sh
# run.sh - everything that must hold: builds with warnings as errors, then all tests, then the same
# under AddressSanitizer + UndefinedBehaviorSanitizer and under ThreadSanitizer.
#
#   sh tests/run.sh           Go versions: Debian's 1.19, the one in PATH, the newest
#   sh tests/run.sh --full    every Go version that goprofd supports, each in every build mode
#
# Does all its own set-up on a bare Debian 12.  What is missing and cannot be had is a failure, never a
# skipped test.  Each preset's tests end with ctest's own summary; the last line sums them up.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
# shellcheck source=cmake/bootstrap.sh
. "$root/cmake/bootstrap.sh"

newest_go=1.27.3
full=false
case "${1:-}" in
"") ;;
--full) full=true ;;
*)
    echo "usage: $0 [--full]" >&2
    exit 2
    ;;
esac

# What a developer has set for their own goprofd is not what is tested.
for name in $(env | sed -n 's/^\(GOPROF_[A-Z0-9_]*\)=.*/\1/p'); do
    unset "$name"
done

mkdir -p "$root/build"
if [ -z "${HOME:-}" ]; then # Go keeps its caches there
    HOME=$root/build/home
    export HOME
fi
log=$root/build/setup.log
: >"$log"
echo "== set-up (details in build/setup.log)"
# shellcheck disable=SC2086 # word splitting makes the lists
bootstrap_packages "$log" $BUILD_PACKAGES $TEST_PACKAGES
bootstrap_go "$log"
cd "$root"

# $GO is the user's own.  What tests call `go` is the newest: pprof's listings differ between versions.
if $full; then
    export GOPROFD_TEST_FULL=1
    versions="1.18.10 debian 1.20.14 1.21.13 1.22.12 1.23.12 1.24.13 1.25.12 1.26.8 $GO $newest_go"
else
    versions="debian $GO $newest_go"
fi
export GOPROFD_TEST_GO_VERSIONS="${GOPROFD_TEST_GO_VERSIONS:-$versions}"
newest=$(sh tests/support/go_toolchain.sh "$newest_go")
PATH=$(dirname "$newest"):$PATH

# --- one preset after the other -----------------------------------------------------------------

# The reports of all sanitizers with stacks; a leak is reported too (the default, said aloud).
export ASAN_OPTIONS="detect_leaks=1:detect_stack_use_after_return=1"
export UBSAN_OPTIONS="print_stacktrace=1"
export TSAN_OPTIONS="second_deadlock_stack=1"

# gcc 12's ThreadSanitizer knows no address layouts as random as newer kernels make them; where the
# kernel lets us, its programs run without.
without_randomness=''
if setarch -R true 2>/dev/null; then
    without_randomness='setarch -R'
fi

passed=0
failed=0
# run_preset PRESET [PREFIX...]: configure, build, test; counts tests from ctest's own summary.
run_preset() {
    preset=$1
    shift
    echo "== $preset: build"
    bootstrap_run "$log" cmake --preset "$preset"
    bootstrap_run "$log" cmake --build --preset "$preset"
    echo "== $preset: test"
    report=$root/build/$preset/ctest.log
    # The pipe would hide ctest's exit status: its summary is judged instead, and must be there.
    "$@" ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j 2 2>&1 |
        tee "$report"
    summary=$(sed -n 's/^\([0-9]*\)% tests passed, \([0-9]*\) tests failed out of \([0-9]*\)$/\2 \3/p' "$report")
    if [ -z "$summary" ]; then
        echo "== $preset: ctest came to no end" >&2
        failed=$((failed + 1))
        return
    fi
    failed=$((failed + ${summary% *}))
    passed=$((passed + ${summary#* } - ${summary% *}))
}

run_preset dev
run_preset asan
# shellcheck disable=SC2086 # a command and its flag, or nothing
run_preset tsan $without_randomness

echo "== Go versions: $(cut -d' ' -f1 "$root/build/go-programs/versions" | tr '\n' ' ')"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
