#!/bin/sh
# check_docs.sh - what the documents name exists: files that they link to, packages that set-up installs.
# Usage: sh tests/check_docs.sh   (from anywhere; prints what is missing)
cd "$(dirname "$0")/.." || exit 1
fail=0

# Links to files: [text](path) without scheme; an #anchor is cut off.
for document in README.md docs/*.md examples/*/*.md; do
    [ -f "$document" ] || continue
    for link in $(grep -o '](\([^)#: ]*\)[)#]' "$document" | sed 's/^](//; s/[)#]$//'); do
        if [ -n "$link" ] && [ ! -e "$(dirname "$document")/$link" ]; then
            echo "$document: links to $link, which is not there"
            fail=1
        fi
    done
done

# Each package that is installed is explained in README.md.
# shellcheck source=cmake/bootstrap.sh
. cmake/bootstrap.sh
for package in $BUILD_PACKAGES $TEST_PACKAGES golang-go; do
    if ! grep -q "\`$package\`" README.md; then
        echo "README.md: does not say what $package is for"
        fail=1
    fi
done
exit $fail
