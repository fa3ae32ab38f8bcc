#!/bin/sh
# Writes requirements/*.txt from uv.lock, for pip: the same versions with their hashes. `--check` only
# tells whether they agree with the lock, and the lock with pyproject.toml. Other arguments are for
# `uv lock`, which goes first. Needs uv.
set -eu
cd "$(dirname "$0")/.."
uv=${UV:-uv}

export_group() { # NAME OPTION...
    name=$1
    shift
    "$uv" export --quiet --locked --no-header --no-annotate "$@" --output-file "$target/$name.txt" >/dev/null
}

target=requirements
if [ "${1:-}" = --check ]; then
    target=$(mktemp -d)
    trap 'rm -rf "$target"' EXIT
else
    "$uv" lock --quiet "$@"
fi
export_group runtime --no-default-groups --no-emit-project
for group in build dev e2e; do
    export_group "$group" --only-group "$group"
done
if [ "$target" != requirements ] && ! diff -r requirements "$target"; then
    echo "error: requirements/ does not agree with uv.lock: run 'make lock'" >&2
    exit 1
fi
