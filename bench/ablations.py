"""What each part of a network is worth: short runs that differ in one thing, scored on validation clips.

    python bench/ablations.py STORE VALIDATION OUT [--network best] [--steps 700] [--bf16]
    python bench/ablations.py STORE VALIDATION OUT --hide best

Every run sees the same batches in the same order (one seed; `seed` repeats the first with another, for the spread).
VALIDATION is a folder of films; each is taken as it is and halved, some frames of it, degraded by the challenge's
command. --hide scores one finished network while one of the codec's hints after the other is withheld from it.
Writes OUT/results.jsonl and prints a table. Needs the `train` extra.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import clips
from subpixel import metrics, restore, upsample, video
from subpixel.degrade import degrade_frames
from subpixel.frames import Frame
from subpixel.learn import recipe as recipes
from subpixel.learn import state
from subpixel.learn.store import ARRAYS, MANIFEST
from subpixel.learn.train import train

Clip = tuple[list[Frame], list[Frame]]  # sharp, degraded

# What differs from the first run: options of the network, of the stage, or `seed`, `data`, `init` of the run.
RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "fast": {
        "base": {},
        "seed": {"seed": 1},
        "torch's bicubic, never compressed": {"data": "clean"},
        "full grid, 16 channels": {"options": {"unshuffle": 1, "channels": 16, "blocks": 5}},
        "no hidden state": {"options": {"recurrent": False}},
        "no quantisers": {"options": {"qp": False}},
        "frame types too": {"options": {"kinds": True}},
        "no look-ahead": {"options": {"look_ahead": False}},
        "state moved along the codec's vectors": {"options": {"motion": True}},
        "Charbonnier": {"stage": {"loss": "charbonnier"}},
        "Charbonnier, then Charbonnier tail": {"stage": {"loss": "charbonnier", "rate": 5e-4}, "init": "Charbonnier"},
        "Charbonnier, then squared-error tail": {"stage": {"rate": 5e-4}, "init": "Charbonnier"},
    },
    "best": {
        "base": {},
        "seed": {"seed": 1},
        "no quantisers": {"options": {"qp": False}},
        "no frame types": {"options": {"kinds": False}},
        "no vectors": {"options": {"motion": False}},
        "features of the frame before too": {"options": {"recall": True}},
        "those of the last good frame too": {"options": {"key": True}},
        "a backward pass too": {"options": {"backward": True}},
    },
    "frvsr": {"base": {}, "seed": {"seed": 1}},
}
SHAPES = {
    "fast": {},
    "best": {"blocks": 8, "backward": False, "recall": False, "key": False},
    "frvsr": {"channels": 32, "blocks": 5, "flow_channels": 16},
}
STAGES = {
    "fast": {},
    "best": {"warp": 0.05, "auxiliary": 0.1, "batch": 3, "crop": 56},
    "frvsr": {"warp": 0.05, "batch": 3, "crop": 56},
}
HINTS: dict[str, dict[str, Any]] = {
    "all hints": {},
    "no quantisers": {"qp": None},
    "no frame types": {"kind": "?"},
    "no vectors": {"motion": None},
    "no hints": {"qp": None, "kind": "?", "motion": None},
}


def clean_store(store: Path, out: Path) -> Path:
    """A copy of the store whose LR frames are torch's bicubic of the sharp ones, never compressed."""
    for clip in sorted(p.parent for p in store.glob("*/clip.json")):
        target = out / clip.name
        target.mkdir(parents=True, exist_ok=True)
        for name in ARRAYS:
            array = np.load(clip / f"{name}.npy", mmap_mode="r")
            if name.startswith("hr"):
                (target / f"{name}.npy").unlink(missing_ok=True)
                (target / f"{name}.npy").symlink_to((clip / f"{name}.npy").resolve())
            elif name.startswith("lr"):
                sharp = torch.from_numpy(np.load(clip / f"hr{name[2:]}.npy"))[:, None].float()
                small = F.interpolate(sharp, scale_factor=0.25, mode="bicubic", antialias=True)
                np.save(target / f"{name}.npy", small[:, 0].round().clamp(0, 255).byte().numpy())
            else:
                np.save(target / f"{name}.npy", np.zeros_like(array))
        (target / "clip.json").write_text((clip / "clip.json").read_text())
    if (store / MANIFEST).exists():
        (out / MANIFEST).write_text((store / MANIFEST).read_text())
    return out


def validation(folder: Path, frames: int) -> list[Clip]:
    """Every film as it is and halved: some frames from the 60th on, or the first ones of a short film."""
    made = []
    for path in sorted(folder.iterdir()):
        source = list(itertools.islice(video.read(path, codec_info=False), 60, 60 + frames)) or list(
            itertools.islice(video.read(path, codec_info=False), frames)
        )
        for half in (False, True):
            sharp = [clips.validation_frame(frame, half) for frame in source]
            made.append((sharp, list(degrade_frames(sharp))))
    return made


def psnr(chosen: list[Clip], restored: Callable[[list[Frame]], Any]) -> tuple[float, float]:
    """Pooled (RGB, Y) PSNR in dB of what `restored` makes of the degraded frames."""
    total = metrics.Tally()
    for sharp, low in chosen:
        for _, tally in metrics.tallies(restored(low), sharp, with_ssim=False):
            total += tally
    return total.rgb.psnr, total.luma.psnr


def trained(args: argparse.Namespace, name: str, changes: dict[str, Any]) -> Any:
    """The network of one run, trained now if it is not there yet."""
    tail = "init" in changes
    table = {
        "network": {"name": args.network, **SHAPES[args.network], **changes.get("options", {})},
        "store": str(clean_store(args.store, args.out / "clean") if changes.get("data") else args.store),
        "seed": changes.get("seed", 0),
        "init": str(args.out / folder(f"{args.network} {changes['init']}")) if tail else str(args.init or ""),
        "precision": "bf16" if args.bf16 else "fp32",
        "stages": [
            {
                "steps": args.steps // 4 if tail else args.steps,
                "batch": args.batch,
                "crop": args.crop,
                "warmup": min(200, args.steps // 8),
                "loss": "mse",
                "rate": args.rate,
                **STAGES[args.network],
                **changes.get("stage", {}),
            }
        ],
    }
    out = args.out / folder(f"{args.network} {name}")
    train(recipes.parse(table, name), out)
    return state.trained(out).fuse().eval()


def folder(name: str) -> str:
    """A run's name as a folder's."""
    return "-".join("".join(c if c.isalnum() else " " for c in name).split())


def main() -> None:
    """Train what is missing, score everything, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("validation", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", choices=RUNS, default="fast")
    parser.add_argument("--hide", metavar="MODEL", help="score a finished network without one hint after the other")
    parser.add_argument("--only", help="names of runs, separated by semicolons, instead of all")
    parser.add_argument("--init", type=Path, help="a run that all start from")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    chosen = validation(args.validation, args.frames)
    table = {"lanczos": psnr(chosen, lambda low: [upsample.lanczos(frame, 4) for frame in low])}
    if args.hide:
        for name, hidden in HINTS.items():
            blind = [(sharp, [frame.replace(**hidden) for frame in low]) for sharp, low in chosen]
            table[name] = psnr(blind, lambda low: restore(low, model=args.hide, threads=args.threads))
    else:
        runs = RUNS[args.network]
        for name in args.only.split(";") if args.only else runs:
            net = trained(args, name, runs[name])
            table[name] = psnr(chosen, lambda low, net=net: restore(low, model=net, threads=args.threads))
            with open(args.out / "results.jsonl", "a") as file:
                line = {"network": args.network, "run": name, "rgb": table[name][0], "luma": table[name][1]}
                file.write(json.dumps(line) + "\n")
    print("| run | RGB PSNR | Y PSNR | RGB against Lanczos |\n|---|---|---|---|")
    for name, (rgb, luma) in table.items():
        print(f"| {name} | {rgb:.3f} | {luma:.3f} | {rgb - table['lanczos'][0]:+.3f} |")


if __name__ == "__main__":
    main()
