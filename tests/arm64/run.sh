#!/bin/sh
# run.sh - goprofd and Go programs on arm64, live: Debian's arm64 kernel in an emulated machine.
#
#   sh tests/arm64/run.sh                       about eight minutes, most of them emulation
#   sh tests/arm64/run.sh 1.26.8-strip ...      only these programs
#
# No arm64 machine is needed and nothing else on this one is touched: goprofd is cross-built against
# Debian's arm64 packages, unpacked in build/arm64; kernel, goprofd and programs go into one image in
# memory; guest.sh there compares nothing, it only looks; what it saw comes back over the console and is
# compared here, sample for sample, by compare.awk.  Not part of tests/run.sh: emulation is slow.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
here=$root/tests/arm64
work=$root/build/arm64
# shellcheck source=cmake/bootstrap.sh
. "$root/cmake/bootstrap.sh"

HOST_PACKAGES="qemu-system-arm gcc-aarch64-linux-gnu cpio cmake ninja-build pkg-config golang-1.19-go ca-certificates"
GUEST_PACKAGES="liblua5.4-dev libh2o-evloop-dev libssl-dev zlib1g-dev libzydis-dev libdw-dev
                libcurl4-openssl-dev libmsgpack-dev libc6-dev curl busybox-static"
newest_go=1.27.3
versions="1.18.10 debian 1.20.14 1.21.13 1.22.12 1.23.12 1.24.13 1.25.12 1.26.8 $newest_go"
MEMORY_MIB=3000
BOOT_MAX_S=1800

mkdir -p "$work"
log=$work/setup.log
: >"$log"
echo "== set-up (details in build/arm64/setup.log)"
# shellcheck disable=SC2086 # word splitting makes the list
bootstrap_packages "$log" $HOST_PACKAGES
bootstrap_go "$log"
bootstrap_go_environment "$work"

# --- Debian's arm64 packages, in a folder of their own -------------------------------------------

apt=$work/apt
sysroot=$work/sysroot
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$sysroot"
: >"$apt/status"
# apt_arm64 COMMAND...: apt-get with nothing of this machine but its sources.
apt_arm64() {
    apt_command=$1
    shift
    "$apt_command" -o Dir::State="$apt" -o Dir::State::status="$apt/status" \
        -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Architecture=arm64 \
        -o APT::Architectures=arm64 -o APT::Install-Recommends=false -o APT::Sandbox::User= "$@"
}
if [ ! -e "$work/unpacked" ]; then
    # A source list that fails here need not matter: whether the packages come is what counts.
    apt_arm64 apt-get update >>"$log" 2>&1 || true
    # shellcheck disable=SC2086
    bootstrap_run "$log" apt_arm64 apt-get -y --download-only install $GUEST_PACKAGES
    kernel_package=$(apt_arm64 apt-cache depends linux-image-arm64 | sed -n 's/^ *Depends: *//p' | head -1)
    (cd "$apt/cache/archives" && bootstrap_run "$log" apt_arm64 apt-get download "$kernel_package")
    for package in "$apt"/cache/archives/*.deb; do
        bootstrap_run "$log" dpkg -x "$package" "$sysroot"
    done
    : >"$work/unpacked"
fi
kernel=$(find "$sysroot/boot" -name 'vmlinuz-*' | head -1)

# --- goprofd, cross-built -------------------------------------------------------------------------

cat >"$work/toolchain.cmake" <<EOF
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_SYSROOT "$sysroot")
set(CMAKE_FIND_ROOT_PATH "$sysroot")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
EOF
cat >"$work/pkg-config" <<EOF
#!/bin/sh
PKG_CONFIG_LIBDIR=$sysroot/usr/lib/aarch64-linux-gnu/pkgconfig:$sysroot/usr/share/pkgconfig
PKG_CONFIG_SYSROOT_DIR=$sysroot
export PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
exec pkg-config "\$@"
EOF
chmod +x "$work/pkg-config"
echo "== building goprofd for arm64"
bootstrap_run "$log" cmake -G Ninja -S "$root" -B "$work/goprofd" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_TOOLCHAIN_FILE="$work/toolchain.cmake" -DPKG_CONFIG_EXECUTABLE="$work/pkg-config" \
    -DGOPROFD_TESTS=OFF
bootstrap_run "$log" ninja -C "$work/goprofd" -j2 goprofd

# --- the programs ---------------------------------------------------------------------------------

echo "== building the programs"
programs=$work/programs
mkdir -p "$programs"
# build GO OUTPUT FIXTURE CGO ARGUMENT...
build() {
    go=$1 output=$programs/$2 fixture=$3 cgo=$4
    shift 4
    (cd "$root/tests/fixtures/go/$fixture" &&
        bootstrap_run "$log" env GOTOOLCHAIN=local GOARCH=arm64 CGO_ENABLED="$cgo" \
            CC="aarch64-linux-gnu-gcc --sysroot=$sysroot" "$go" build -o "$output" "$@" .)
}
for wanted in $versions; do
    go=$(sh "$root/tests/support/go_toolchain.sh" "$wanted")
    version=$(GOTOOLCHAIN=local "$go" version | cut -d' ' -f3 | sed 's/^go//')
    build "$go" "$version-static" profile_target 0
    aarch64-linux-gnu-strip -o "$programs/$version-strip" "$programs/$version-static"
    case $wanted in debian | "$newest_go")
        build "$go" "$version-pie-s-w" profile_target 0 -buildmode=pie '-ldflags=-s -w'
        build "$go" "$version-cgo" profile_target 1 -ldflags=-linkmode=external
        aarch64-linux-gnu-strip -o "$programs/$version-cgo-strip" "$programs/$version-cgo"
        build "$go" "$version-goroutines" goroutine_target 0 '-ldflags=-s -w'
        ;;
    esac
done

# --- the image ------------------------------------------------------------------------------------

image=$work/image
rm -rf "$image"
mkdir -p "$image/bin" "$image/lib/aarch64-linux-gnu" "$image/programs" "$image/proc" "$image/sys" "$image/dev"
# copy_file NAME-IN-THE-SYSROOT TO: of whichever of / and /usr has it.
copy_file() {
    for prefix in "$sysroot" "$sysroot/usr"; do
        if [ -e "$prefix/$1" ]; then
            cp -L "$prefix/$1" "$2"
            return 0
        fi
    done
    bootstrap_fail "arm64 packages: no $1"
}
copy_file bin/busybox "$image/bin/busybox"
copy_file bin/curl "$image/bin/curl"
copy_file lib/ld-linux-aarch64.so.1 "$image/lib/ld-linux-aarch64.so.1"
aarch64-linux-gnu-strip -o "$image/bin/goprofd" "$work/goprofd/goprofd"
# copy_libraries FILE: what it needs, and what that needs.
copy_libraries() {
    for library in $(aarch64-linux-gnu-readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        [ -e "$image/lib/aarch64-linux-gnu/$library" ] && continue
        case $library in ld-linux*) continue ;; esac
        copy_file "lib/aarch64-linux-gnu/$library" "$image/lib/aarch64-linux-gnu/$library"
        (copy_libraries "$image/lib/aarch64-linux-gnu/$library")
    done
}
copy_libraries "$image/bin/goprofd"
copy_libraries "$image/bin/curl"
cp -r "$root/rules" "$image/rules"
cp "$here/guest.sh" "$image/init"
chmod +x "$image/init"
if [ $# -gt 0 ]; then
    for program in "$@"; do
        [ -e "$programs/$program" ] || bootstrap_fail "no program $program in $programs"
        cp "$programs/$program" "$image/programs/"
    done
else
    cp "$programs"/* "$image/programs/"
fi
(cd "$image" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/image.cpio.gz"

# --- the machine ----------------------------------------------------------------------------------

echo "== booting $(basename "$kernel")"
console=$work/console.log
timeout "$BOOT_MAX_S" qemu-system-aarch64 -machine virt -cpu cortex-a72 -smp 2 -m "$MEMORY_MIB" -nic none \
    -kernel "$kernel" -initrd "$work/image.cpio.gz" -append "console=ttyAMA0 rdinit=/init quiet" \
    -nographic -no-reboot </dev/null 2>&1 | stdbuf -oL tr -d '\r' | tee "$console" | sed -un 's/^guest: /   /p'
grep -q '^END$' "$console" || bootstrap_fail "the emulated machine came to no end; see build/arm64/console.log"
rm -rf "$work/seen"
mkdir -p "$work/seen"
sed -n '/^BEGIN$/,/^END$/p' "$console" | sed '1d;$d' | base64 -d | tar -xz -C "$work/seen"

# --- comparing ------------------------------------------------------------------------------------

newest=$(sh "$root/tests/support/go_toolchain.sh" "$newest_go")
failures=0
# samples FILE: one line for each sample that is not all zero, sorted.
samples() {
    "$newest" tool pprof -raw "$1" 2>/dev/null | awk -f "$here/compare.awk" | sort -u
}
# What the program said before or after, goprofd must have said: nothing else, and nothing missing that it said both times.
# compare FOLDER KIND LEAST
compare() {
    samples "$1/before.$2" >"$1/before"
    samples "$1/after.$2" >"$1/after"
    samples "$1/ours.$2" >"$1/ours"
    sort -u "$1/before" "$1/after" >"$1/either"
    comm -12 "$1/before" "$1/after" >"$1/both"
    wrong=$(comm -23 "$1/ours" "$1/either" | wc -l)
    missing=$(comm -13 "$1/ours" "$1/both" | wc -l)
    count=$(wc -l <"$1/ours")
    verdict=equal
    if [ "$wrong" -ne 0 ] || [ "$missing" -ne 0 ] || [ "$count" -lt "$3" ]; then
        verdict="NOT EQUAL: $wrong wrong, $missing missing"
        failures=$((failures + 1))
    fi
    printf '%-22s %-10s %4d samples  %s\n' "$(basename "$1")" "$2" "$count" "$verdict"
}
echo "== live on arm64, against the programs' own profiles"
for folder in "$work"/seen/*/; do
    folder=${folder%/}
    case $folder in
    *-goroutines) compare "$folder" goroutine 40 && compare "$folder" block 5 && compare "$folder" mutex 3 ;;
    */daemon) ;;
    *) compare "$folder" heap 40 ;;
    esac
done
# And that it can say no: a program's profile is not another's.
last=
for folder in "$work"/seen/*-static "$work"/seen/*-strip; do
    [ -e "$folder/ours" ] || continue
    if [ -n "$last" ] && cmp -s "$last/ours" "$folder/ours"; then
        echo "$(basename "$last") and $(basename "$folder") look alike: nothing was compared"
        failures=$((failures + 1))
    fi
    last=$folder
done
if [ -d "$work/seen/daemon" ]; then
    if grep -q '"function":"main.leak"' "$work/seen/daemon/alerts.json"; then
        echo "daemon                 names main.leak"
    else
        echo "daemon                 DOES NOT NAME THE LEAK: see build/arm64/seen/daemon"
        failures=$((failures + 1))
    fi
fi
echo "$failures failed"
[ "$failures" -eq 0 ]
