#!/bin/sh
# go_programs.sh FOLDER - builds the Go programs that tests watch, with each Go version, into
# FOLDER/VERSION/, and lists the versions, oldest first, in FOLDER/versions ("1.27.3 /path/of/go").
#
# GOPROFD_TEST_GO_VERSIONS says which ones (see go_toolchain.sh); by default the oldest supported, the
# newest, and the one in PATH.  CTest runs this before the integration tests; what is up to date is
# not built again.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
folder=${1:?usage: go_programs.sh FOLDER}
# shellcheck source=cmake/bootstrap.sh
. "$root/cmake/bootstrap.sh"
bootstrap_go_environment "$root/build"

# build_modes GO OUTPUT-FOLDER: the program of the equality tests in each mode that Go programs ship in.
build_modes() {
    mkdir -p "$2"
    CGO_ENABLED=0 "$1" build -o "$2/static" .
    CGO_ENABLED=0 "$1" build -trimpath -o "$2/trimpath" .
    CGO_ENABLED=0 "$1" build -buildmode=pie -o "$2/pie" .
    CGO_ENABLED=1 "$1" build -buildmode=pie -ldflags='-s -w -linkmode=external' -o "$2/cgo-pie-s-w" .
    CGO_ENABLED=1 "$1" build -ldflags=-linkmode=external -o "$2/cgo" .
    CGO_ENABLED=1 "$1" build -tags=as_library -buildmode=c-shared -o "$2/library.so" .
    strip -o "$2/library-stripped.so" "$2/library.so"
    strip -o "$2/strip" "$2/static"
    strip -o "$2/cgo-strip" "$2/cgo"
    # Without section headers: e_shoff, then e_shentsize, e_shnum, e_shstrndx.
    cp "$2/strip" "$2/no-sections"
    printf '\0\0\0\0\0\0\0\0' | dd of="$2/no-sections" bs=1 seek=40 conv=notrunc status=none
    printf '\0\0\0\0\0\0' | dd of="$2/no-sections" bs=1 seek=58 conv=notrunc status=none
}

mkdir -p "$folder"
folder=$(CDPATH='' cd -- "$folder" && pwd)
# Several test runs may share the folder.
exec 9>"$folder/lock"
flock 9

: >"$folder/versions.new"
for wanted in ${GOPROFD_TEST_GO_VERSIONS:-debian path 1.27.3}; do
    go=$(sh "$root/tests/support/go_toolchain.sh" "$wanted")
    # Each go is told to be itself, whatever go.mod or the environment would prefer.
    GOTOOLCHAIN=local
    export GOTOOLCHAIN
    version=$("$go" version | cut -d' ' -f3 | sed 's/^go//')
    grep -q "^$version " "$folder/versions.new" && continue
    echo "building the test programs with go$version"
    mkdir -p "$folder/$version"
    (
        cd "$root/tests/fixtures/go/profile_target"
        "$go" build -o "$folder/$version/profile_target" .
        "$go" build -ldflags='-s -w' -o "$folder/$version/profile_target_stripped" .
        build_modes "$go" "$folder/$version/modes"
        CGO_ENABLED=1 "$go" build -tags=plugin_host -ldflags='-s -w' -o "$folder/$version/plugin_host" .
        CGO_ENABLED=1 "$go" build -buildmode=plugin -ldflags='-s -w' -o "$folder/$version/plugin.so" ./plugin
    )
    (
        cd "$root/tests/fixtures/go/goroutine_target"
        "$go" build -o "$folder/$version/goroutine_target" .
        "$go" build -ldflags='-s -w' -o "$folder/$version/goroutine_target_stripped" .
    )
    (
        cd "$root/tests/fixtures/go/attribution_target"
        "$go" build -o "$folder/$version/attribution_target" .
        "$go" build -ldflags='-s -w' -o "$folder/$version/attribution_target_stripped" .
    )
    (
        cd "$root/tests/fixtures/go/typed_target"
        "$go" build -o "$folder/$version/typed_target" .
        "$go" build -ldflags='-s -w' -o "$folder/$version/typed_target_stripped" .
    )
    # What is pushed, and the receiver of what is sent, are ours: clients/go asks for Go 1.19.
    case $version in
    1.18*) ;;
    *)
        (cd "$root/tests/fixtures/go/tracking_target" &&
            "$go" build -o "$folder/$version/tracking_target" .)
        (cd "$root/tests/fixtures/go/webhook_receiver" &&
            "$go" build -o "$folder/$version/webhook_receiver" .)
        ;;
    esac
    (cd "$root/examples/demo" && "$go" build -o "$folder/$version/demo-shop" ./service)
    (cd "$root/tests/fixtures/go/unprofiled_target" &&
        "$go" build -o "$folder/$version/unprofiled_target" .)
    # Starts a program as packers do, from memory that no file backs.
    cc -O2 -o "$folder/$version/unpacker" "$root/tests/fixtures/go/unpacked_target/unpacker.c"
    # Its own memory only, and with a C library and C's memory beside.
    (cd "$root/tests/fixtures/go/rss_target" &&
        CGO_ENABLED=0 "$go" build -o "$folder/$version/rss_target" . &&
        CGO_ENABLED=1 "$go" build -tags=with_c -o "$folder/$version/rss_target_c" .)
    # Go that is not the executable: a library in a C program, and a program for the loader ld.so.
    (cd "$root/tests/fixtures/go/shared_target" &&
        CGO_ENABLED=1 "$go" build -buildmode=c-shared -o "$folder/$version/library.so" . &&
        cc -O2 -o "$folder/$version/c-host" host.c -ldl)
    (cd "$root/tests/fixtures/go/minimal_target" &&
        CGO_ENABLED=1 "$go" build -tags=with_c -ldflags=-linkmode=external \
            -o "$folder/$version/dynamic" .)
    echo "$version $go" >>"$folder/versions.new"
    unset GOTOOLCHAIN
done
sort -V "$folder/versions.new" >"$folder/versions"
rm "$folder/versions.new"
echo "Go versions of this run: $(cut -d' ' -f1 "$folder/versions" | tr '\n' ' ')"
