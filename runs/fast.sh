#!/usr/bin/env bash
# Makes the shipped `fast` network from a folder of clips and photos: data, three stages of training, export.
#   runs/fast.sh DATA WORK      DATA holds train/ and photos/; WORK gets the pairs and the runs (about 9 GB).
# Every stage continues where it was cut. One AVX512-BF16 core takes about two hours; leave --bf16 out on others.
set -euo pipefail
data=$1 work=$2
subpixel clips build runs/sources.toml --root "$data" -o "$work/store"
python -m subpixel.learn.train "$work/store" "$work/fast-a" --steps 3400 --bf16
python -m subpixel.learn.train "$work/store" "$work/fast-b" --init "$work/fast-a" --seed 5 \
    --loss mse --steps 22000 --batch 4 --rate 1.5e-3 --drop 0.03 --bf16
python -m subpixel.learn.export "$work/fast-b" fast
