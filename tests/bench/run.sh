#!/bin/sh
# run.sh - measures goprofd against its peers on this machine and prints a table; asserts nothing.
#
#   sh tests/bench/run.sh            all of it, about ten minutes
#   sh tests/bench/run.sh --quick    fewer runs and shorter windows, for a first look
#
# Builds a release (RelWithDebInfo) in build/bench and the Go target with the go in PATH, or the one
# that GOPROFD_BENCH_GO names (a version for tests/support/go_toolchain.sh).
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
build=$root/build/bench
sites=10000
runs=50
seconds=60
rounds=7
pairs=40
[ "${1:-}" = --quick ] && runs=10 seconds=10 rounds=3 pairs=4
case ${1:-} in '' | --quick) ;; *)
    echo "usage: run.sh [--quick]" >&2
    exit 2
    ;;
esac

log=$build/build.log
mkdir -p "$build"
echo "building in build/bench" >&2
{
    cmake -G Ninja -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DGOPROFD_TESTS=OFF \
        -DGOPROFD_BENCH=ON
    ninja -C "$build" -j2 goprofd bench_read bench_encode bench_daemon bench_fleet bench_impact bench_memory bench_rules bench_http bench_history bench_types
} >"$log" 2>&1 || {
    tail -30 "$log" >&2
    exit 1
}
go=$(sh "$root/tests/support/go_toolchain.sh" "${GOPROFD_BENCH_GO:-path}")
for program in sites_target idle_target impact_target heap_target; do
    (cd "$root/tests/bench/$program" && GOTOOLCHAIN=local "$go" build -o "$build/$program" .)
done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/goprofd-bench.XXXXXX")
target_pids=
finish() {
    for pid in $target_pids; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM

# start_target NAME PROGRAM ARGUMENT... sets $pid and $port.
start_target() {
    name=$1
    program=$2
    shift 2
    : >"$scratch/$name"
    "$build/$program" "$@" >"$scratch/$name" 2>&1 &
    pid=$!
    target_pids="$target_pids $pid"
    tries=0
    until grep -q '^listening ' "$scratch/$name"; do
        tries=$((tries + 1))
        if [ $tries -gt 300 ] || ! kill -0 "$pid" 2>/dev/null; then
            echo "run.sh: $program does not start:" >&2
            cat "$scratch/$name" >&2
            exit 1
        fi
        sleep 0.1
    done
    port=$(sed -n 's/^listening .*://p' "$scratch/$name")
}

stop_target() {
    kill "$pid"
    wait "$pid" 2>/dev/null || true
    target_pids=
}

echo "machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores," \
    "Linux $(uname -r), load $(cut -d' ' -f1 /proc/loadavg)"
echo "target: $("$go" version | cut -d' ' -f3), the default MemProfileRate, stacks about 30 frames deep"

echo
echo "(a) reading a target with $sites allocation sites, against its own endpoint"
start_target large sites_target -sites $sites
"$build/tests/bench/bench_read" "$pid" "$port" $runs
stop_target

echo
echo "(a2) the same with 50,000 sites"
start_target larger sites_target -sites 50000
"$build/tests/bench/bench_read" "$pid" "$port" $((runs / 2))
stop_target

echo
echo "(a3) 10,000 sites, read once a second while the target works"
start_target loaded sites_target -sites $sites -load 4
"$build/tests/bench/bench_read" "$pid" "$port" 1 $((seconds / 2))
stop_target

start_target large sites_target -sites $sites
echo
echo "(a') the daemon reading it once a second, each time after a GC"
"$build/tests/bench/bench_daemon" "$build/goprofd" "$root/rules" "$pid" $((seconds / 3)) "$port"

echo
echo "(a'') the daemon reading it once a second, the target idle"
"$build/tests/bench/bench_daemon" "$build/goprofd" "$root/rules" "$pid" $((seconds / 3)) 0
stop_target

echo
echo "(a''') the types of 9000 different calls that allocate in the go command, 10,000 to be within 50 ms"
"$build/tests/bench/bench_types" "$("$go" env GOROOT)/bin/go" 9000 $runs

echo
echo "(b) the daemon idle with one small target"
start_target small sites_target
"$build/tests/bench/bench_daemon" "$build/goprofd" "$root/rules" "$pid" $seconds 0
stop_target

echo
echo "(c) writing a profile of $sites sites"
"$build/tests/bench/bench_encode" $sites $runs

echo
echo "(c') packing a snapshot for the history on disk, to be within 2 us, and reading it back"
"$build/tests/bench/bench_history" $runs

echo
echo "(d) the daemon with 200 idle processes, to be within 5 % of a core and 64 MiB"
"$build/tests/bench/bench_fleet" "$build/goprofd" "$root/rules" "$build/idle_target" 200 $((seconds / 2))

echo
echo "(e) what resident memory consists of: a small heap, 2 GiB in small objects, 2 GiB in large ones"
for heap in '16 512' '2048 512' '2048 1048576'; do
    echo "  ${heap% *} MiB in objects of ${heap#* } bytes"
    # shellcheck disable=SC2086
    "$build/tests/bench/bench_memory" "$build/heap_target" $heap 10
done

echo
echo "(f) a service under load of wrk: left alone, read each second, its own endpoint scraped each second"
start_target service impact_target
"$build/tests/bench/bench_impact" "$build/goprofd" "$root/rules" "$pid" "$port" $pairs 1
stop_target

echo
echo "(g) 100 rules on 100 targets with 200 sites each, to be within 10 % of a core and 10 us an evaluation"
"$build/tests/bench/bench_rules" "$root/rules" 100 100 $seconds

echo
echo "(h) answering, against a bare libh2o handler that replies the same bytes (wrk -t1 -c32)"
start_target answered sites_target
"$build/tests/bench/bench_http" "$build/goprofd" "$root/rules" "$pid" $rounds 3
stop_target

# rate COMMAND...: snapshots a second of the recording, whole process, median of three.
rate() {
    for _ in 1 2 3; do
        before=$(date +%s%N)
        "$@" >"$scratch/out" 2>&1
        after=$(date +%s%N)
        echo $((rows * 1000000000 / (after - before)))
    done | sort -n | sed -n 2p
}

echo
echo "(i) replaying recorded history, to be 10,000 snapshots a second, against only reading it"
start_target recorded sites_target -sites 200
"$build/goprofd" --sampling-interval-ms=10 --history-dir="$scratch/history" --history-flush-sec=0 \
    --rules-dir="$root/rules" --metrics-listen-addr=127.0.0.1:0 >"$scratch/recorder" 2>&1 &
recorder=$!
target_pids="$target_pids $recorder"
sleep $((seconds / 2))
kill "$recorder"
wait "$recorder" || true
target_pids=$pid
stop_target
rows=$("$build/goprofd" decode "$scratch/history" | wc -l)
echo "  $rows snapshots: $(du -sb "$scratch/history" | cut -f1) bytes"
printf 'return { rules_dir = "%s" }\n' "$root/rules" >"$scratch/replay.lua"
read_rate=$(rate "$build/goprofd" decode "$scratch/history")
echo "  goprofd decode, as JSON                          $read_rate a second"
for rules in heap_high retention 'heap_*' '*'; do
    replay_rate=$(rate "$build/goprofd" replay "$scratch/history" -c "$scratch/replay.lua" --rule "$rules")
    printf '  goprofd replay --rule %-26s %s a second, %d %% of it\n' "'$rules'" "$replay_rate" $((replay_rate * 100 / read_rate))
done
