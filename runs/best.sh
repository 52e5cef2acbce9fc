#!/usr/bin/env bash
# Makes the shipped `best` network: after runs/fast.sh, whose run becomes its first stage, and runs/plain.toml.
#   runs/best.sh DATA WORK      as runs/fast.sh was given; the pairs and the run of `fast` are in WORK.
# The same command continues where it was cut. On a GPU take the larger network of runs/gpu.
set -euo pipefail
data=$1 work=$2
[ -e "$work/fast/state.safetensors" ] || runs/fast.sh "$data" "$work"
subpixel train runs/plain.toml --store "$work/store" --out "$work/plain"
subpixel train runs/best.toml --store "$work/store" --init "$work/plain" --init "$work/fast" --out "$work/best"
subpixel export "$work/best" -o best --folder src/subpixel/weights
