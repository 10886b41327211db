#!/bin/busybox sh
# shellcheck shell=dash
# guest.sh - the first and only process of the emulated machine: see run.sh.
#
# Starts each of /programs, lets it and goprofd say what they see, and sends all of it over the console.
/bin/busybox --install -s /bin
PATH=/bin
export PATH
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
ip link set lo up
mkdir -p /seen

say() {
    echo "guest: $*"
}

# No GC but those that are asked for: one between two looks would publish what only one of them sees.
gogc=off

# start FILE LOG: sets $pid and $port.
start() {
    GOGC=$gogc "$1" >"$2" 2>&1 &
    pid=$!
    tries=0
    until grep -q '^listening ' "$2" || [ $tries -gt 600 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    port=$(sed -n 's/^listening .*://p' "$2")
}

ask() { # PATH FILE
    curl -s -m 60 -o "$2" "http://127.0.0.1:$port$1"
}

say "$(uname -m), Linux $(uname -r), $(grep -c ^processor /proc/cpuinfo) processors"
for program in /programs/*; do
    name=${program##*/}
    seen=/seen/$name
    mkdir -p "$seen"
    start "$program" "$seen/log"
    case $name in
    *-goroutines) kinds='goroutine block mutex' ;;
    *) kinds=heap && ask '/gc?n=2' /dev/null ;;
    esac
    for kind in $kinds; do
        ask "/debug/pprof/$kind" "$seen/before.$kind"
        goprofd "$kind" "$pid" -o "$seen/ours.$kind" >"$seen/said.$kind" 2>&1
        ask "/debug/pprof/$kind" "$seen/after.$kind"
        say "$name: $(tail -n 1 "$seen/said.$kind" | sed 's/^[^:]*: //')"
    done
    kill "$pid"
done

# The daemon: a leak is to be named.
gogc=100
for program in /programs/*-strip; do :; done # the last
if [ -e "$program" ]; then
    mkdir -p /seen/daemon
    start "$program" /seen/daemon/program.log
    target=$pid
    target_port=$port
    echo "return { rules_dir = '/rules', metrics_listen_addr = '127.0.0.1:9900'," \
        "rules = { heap_high = { max_heap = '200MiB' } }, targets = { { name = 'leaking', pid = $target } } }" \
        >/config.lua
    goprofd -c /config.lua >/seen/daemon/log 2>&1 &
    daemon=$!
    ask /leak /dev/null
    port=9900
    tries=0
    until grep -q '"function":"main.leak"' /seen/daemon/alerts.json 2>/dev/null || [ $tries -gt 60 ]; do
        tries=$((tries + 1))
        sleep 1
        ask /v1/alerts /seen/daemon/alerts.json
    done
    ask '/v1/metrics/latest?target=leaking' /seen/daemon/latest.json
    port=$target_port
    ask /quiet /dev/null
    say "daemon: looked at for $tries s"
    kill "$daemon" "$target"
fi

cd /seen || exit 1
echo
echo BEGIN
tar -c . | gzip -9 | base64
echo END
sync
poweroff -f
