#!/usr/bin/env bash
# Makes `best` from a folder of clips and photos: data, training in three stages, export.
#   runs/best.sh DATA WORK      DATA holds train/ and photos/; WORK gets the pairs and the run (about 9 GB).
# The same command continues where it was cut. On a GPU take the larger network of runs/gpu.
set -euo pipefail
data=$1 work=$2
subpixel clips build runs/sources.toml --root "$data" -o "$work/store"
subpixel train runs/best.toml --store "$work/store" --out "$work/best"
subpixel export "$work/best" -o best --folder src/subpixel/weights
