#!/bin/sh
# call_types.sh TOOL FOLDER - the types at all calls that allocate in Go programs, found in more than one way.
#
# For each Go version in FOLDER/versions (see tests/support/go_programs.sh) TOOL (tests/support/call_types.c)
# compares what is found near each call of typed_target with what is found from the entry of its function,
# and typed_target with the same built for arm64.  Ends with 1 if anything differs.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
tool=${1:?usage: call_types.sh TOOL FOLDER}
folder=${2:?usage: call_types.sh TOOL FOLDER}
failures=0
compared=0

[ -s "$folder/versions" ] || {
    echo "call_types.sh: $folder/versions is missing: run tests/support/go_programs.sh first" >&2
    exit 1
}

while read -r version go; do
    program=$folder/$version/typed_target
    other=$folder/$version/typed_target_arm64
    (cd "$root/tests/fixtures/go/typed_target" &&
        GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0 GOARCH=arm64 "$go" build -o "$other" .)
    "$tool" "$program" || failures=$((failures + 1))
    "$tool" "$program" "$other" || failures=$((failures + 1))
    compared=$((compared + 2))
done <"$folder/versions"

echo "$compared comparisons, $failures with differences"
[ "$failures" -eq 0 ] && [ "$compared" -gt 0 ]
