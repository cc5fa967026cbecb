#!/bin/sh
# Write the lock files of the SDKs' environments: exactly what each .in names, with hashes and
# no addresses. Needs uv; UV names it. Versions stay as locked unless options say otherwise.
set -eu
cd "$(dirname "$0")"

for wanted in *.in; do
    "${UV:-uv}" pip compile "$wanted" --no-deps --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --quiet \
        --custom-compile-command "sh tests/conformance/lock.sh" \
        --output-file "${wanted%.in}.lock" "$@"
done
