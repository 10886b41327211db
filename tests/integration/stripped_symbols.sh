#!/bin/sh
# stripped_symbols.sh TOOL FOLDER - what goprofd finds in stripped programs, against their twins.
#
# For each Go version in FOLDER/versions (see tests/support/go_programs.sh) programs are built in each
# mode and TOOL (tests/support/stripped_symbols.c) compares every variable, every rule, the version
# and the module with the symbol table of the unstripped twin:
#
#   static, PIE, cgo, cgo-PIE, -ldflags="-s -w", c-shared inside a C host    running
#   the same without section headers                                         running
#   unpacked into anonymous memory, as packers do                            running
#   arm64                                                                    the file
#
# By default of the least program that there can be; GOPROFD_TEST_FULL=1 takes profile_target in every
# mode as well.  Prints one line for each; ends with 1 if anything differs.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
tool=${1:?usage: stripped_symbols.sh TOOL FOLDER}
folder=${2:?usage: stripped_symbols.sh TOOL FOLDER}
failures=0
compared=0

[ -s "$folder/versions" ] || {
    echo "stripped_symbols.sh: $folder/versions is missing: run tests/support/go_programs.sh first" >&2
    exit 1
}

# build GO PROGRAM OUTPUT "ENVIRONMENT" ARGUMENT...
build() {
    go=$1 program=$2 output=$3 environment=$4
    shift 4
    # shellcheck disable=SC2086 # the environment is a list
    (cd "$root/tests/fixtures/go/$program" &&
        env GOTOOLCHAIN=local GOWORK=off $environment "$go" build "$@" -o "$output" .)
}

without_section_headers() { # of an ELF64 file: e_shoff, then e_shentsize, e_shnum, e_shstrndx
    cp "$1" "$2"
    printf '\0\0\0\0\0\0\0\0' | dd of="$2" bs=1 seek=40 conv=notrunc status=none
    printf '\0\0\0\0\0\0' | dd of="$2" bs=1 seek=58 conv=notrunc status=none
}

# compare TWIN PROGRAM [COMMAND...]
compare() {
    compared=$((compared + 1))
    "$tool" "$@" || failures=$((failures + 1))
}

# Strips TWIN, more thoroughly the second time, and compares both while they run.
compare_stripped() {
    strip -o "$1.stripped" "$1"
    compare "$1" "$1.stripped" "$1.stripped"
    without_section_headers "$1.stripped" "$1.headless"
    compare "$1" "$1.headless" "$1.headless"
}

# every_mode GO PROGRAM PREFIX
every_mode() {
    build "$1" "$2" "$3-static" CGO_ENABLED=0
    build "$1" "$2" "$3-pie" CGO_ENABLED=0 -buildmode=pie
    build "$1" "$2" "$3-cgo" CGO_ENABLED=1 -tags=with_c -ldflags=-linkmode=external
    build "$1" "$2" "$3-cgo-pie" CGO_ENABLED=1 -tags=with_c -buildmode=pie \
        -ldflags=-linkmode=external
    for mode in static pie cgo cgo-pie; do
        compare_stripped "$3-$mode"
    done
    # The flags are part of the program, so those of the twin must be as long.
    build "$1" "$2" "$3-w" CGO_ENABLED=0 "-ldflags=-w -w"
    build "$1" "$2" "$3-s-w" CGO_ENABLED=0 "-ldflags=-s -w"
    compare "$3-w" "$3-s-w" "$3-s-w"
    build "$1" "$2" "$3-arm64" "CGO_ENABLED=0 GOARCH=arm64"
    compare "$3-arm64" "$3-arm64"
    build "$1" "$2" "$3-arm64-s-w" "CGO_ENABLED=0 GOARCH=arm64" "-ldflags=-s -w"
    build "$1" "$2" "$3-arm64-w" "CGO_ENABLED=0 GOARCH=arm64" "-ldflags=-w -w"
    compare "$3-arm64-w" "$3-arm64-s-w"
}

while read -r version go; do
    out=$folder/$version/stripped
    mkdir -p "$out"
    every_mode "$go" minimal_target "$out/minimal"
    [ "${GOPROFD_TEST_FULL:-0}" != 1 ] || every_mode "$go" profile_target "$out/full"

    build "$go" shared_target "$out/library.so" CGO_ENABLED=1 -buildmode=c-shared
    cc -o "$out/host" "$root/tests/fixtures/go/shared_target/host.c" -ldl
    strip -o "$out/library-stripped.so" "$out/library.so"
    compare "$out/library.so" "$out/library-stripped.so" "$out/host" "$out/library-stripped.so"

    cc -o "$out/unpacker" "$root/tests/fixtures/go/unpacked_target/unpacker.c"
    compare "$out/minimal-static" - "$out/unpacker" "$out/minimal-static.stripped"

    # The programs that the other tests watch.
    strip -o "$out/profile_target" "$folder/$version/profile_target"
    compare "$folder/$version/profile_target" "$out/profile_target" "$out/profile_target"
done <"$folder/versions"

echo "$compared programs compared, $failures with differences"
[ "$failures" -eq 0 ] && [ "$compared" -gt 0 ]
