#!/bin/sh
# check_go_layout.sh FOLDER - core/goproc/go_layout.h against the debug information of each Go.
#
# Builds the least program with each Go version in FOLDER/versions (see tests/support/go_programs.sh)
# for amd64 and arm64, and has layout_gen, built with the newest of them, compare every number.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
folder=${1:?usage: check_go_layout.sh FOLDER}
[ -s "$folder/versions" ] || {
    echo "check_go_layout.sh: $folder/versions is missing: run tests/support/go_programs.sh first" >&2
    exit 1
}

export GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0
while read -r version go; do
    mkdir -p "$folder/$version/layout"
    for machine in amd64 arm64; do
        (cd "$root/tests/fixtures/go/minimal_target" &&
            GOARCH=$machine "$go" build -o "$folder/$version/layout/minimal-$machine" .)
    done
    newest=$go
done <"$folder/versions"

"$newest" build -o "$folder/layout_gen" "$root/core/goproc/gen/layout_gen.go"
exec "$folder/layout_gen" -places "$root/core/goproc/go_layout_places.h" \
    -check "$root/core/goproc/go_layout.h" "$folder"/*/layout/minimal-*
