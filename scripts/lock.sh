#!/bin/sh
# Write both lock files: versions and hashes for every platform and Python, no addresses.
# Needs uv; UV names it. Versions stay as locked unless options (--upgrade) say otherwise.
set -eu
cd "$(dirname "$0")/.."

lock() {
    "${UV:-uv}" pip compile pyproject.toml --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --quiet \
        --custom-compile-command "sh scripts/lock.sh" "$@"
}

lock --group build --output-file requirements.lock "$@"
lock --group build --group dev --constraints requirements.lock \
    --output-file requirements-dev.lock "$@"
