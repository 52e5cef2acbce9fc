#!/usr/bin/env bash
# Makes `fast` from a folder of clips and photos: data, training in three stages, export.
#   runs/fast.sh DATA WORK      DATA holds train/ and photos/; WORK gets the pairs and the run (about 9 GB).
# The same command continues where it was cut.
set -euo pipefail
data=$1 work=$2
subpixel clips build runs/sources.toml --root "$data" -o "$work/store"
subpixel train runs/fast.toml --store "$work/store" --out "$work/fast"
subpixel export "$work/fast" -o fast --folder src/subpixel/weights
