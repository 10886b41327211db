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
    (cd "$root/examples/demo" && "$go" build -o "$folder/$version/demo-shop" ./service)
    (cd "$root/tests/fixtures/go/webhook_receiver" &&
        "$go" build -o "$folder/$version/webhook_receiver" .)
    (cd "$root/tests/fixtures/go/unprofiled_target" &&
        "$go" build -o "$folder/$version/unprofiled_target" .)
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
