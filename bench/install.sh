#!/bin/sh
# The size of the base install: a fresh environment with nothing but `pip install .`.
#   bench/install.sh [LIMIT_MB]    default 330; exit 1 above it
set -eu
limit=${1:-330}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$root"
"$work/venv/bin/subpixel" --help >/dev/null  # it starts without anything that is not in the base install
du -sm "$work"/venv/lib/python3*/site-packages/* | sort -rn | head -8 | sed 's|/.*/||'
size=$(du -sm "$work/venv" | cut -f1)
echo "whole environment: $size MB (limit $limit MB)"
[ "$size" -le "$limit" ]
