"""What each part of `fast` is worth: short runs that differ in one thing, scored on validation clips.

python bench/ablations.py STORE VALIDATION OUT [--steps 1200]

Every run sees the same batches in the same order (one seed; `seed` repeats the first with another, for the spread).
Writes OUT/results.jsonl and prints a table. Needs the `train` extra.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from subpixel import color, resample, upsample, video
from subpixel.degrade import degrade_frames
from subpixel.frames import Frame
from subpixel.learn.clips import ARRAYS, Store
from subpixel.learn.train import TrainOptions, load_weights, train
from subpixel.models.fast import Fast, FastOptions

RUNS: dict[str, dict[str, object]] = {
    "base": {},
    "seed": {"seed": 1},
    "torch-bicubic-data": {},
    "full-grid-16ch": {"unshuffle": 1, "channels": 16, "blocks": 5},
    "no-hidden-state": {"recurrent": False},
    "no-quantiser-map": {"qp": False},
    "charbonnier": {"loss": "charbonnier"},
    "charbonnier-tail": {"init": "charbonnier", "rate": 5e-4, "loss": "charbonnier"},
    "mse-tail": {"init": "charbonnier", "rate": 5e-4},
}


def clean_store(store: Path, out: Path) -> Path:
    """A copy of the store whose LR frames are torch's bicubic of the sharp ones, never compressed."""
    for clip in sorted(p.parent for p in store.glob("*/clip.json")):
        target = out / clip.name
        if (target / "clip.json").exists():
            continue
        target.mkdir(parents=True, exist_ok=True)
        for name in ARRAYS:
            array = np.load(clip / f"{name}.npy", mmap_mode="r")
            if name.startswith("hr"):
                (target / f"{name}.npy").unlink(missing_ok=True)
                (target / f"{name}.npy").symlink_to((clip / f"{name}.npy").resolve())
                sharp = torch.from_numpy(np.array(array))[:, None].float()
                small = F.interpolate(sharp, scale_factor=0.25, mode="bicubic", antialias=True)
                np.save(target / f"lr{name[2:]}.npy", small[:, 0].round().clamp(0, 255).byte().numpy())
            elif name == "qp":
                np.save(target / "qp.npy", np.zeros_like(array))
        (target / "clip.json").write_text((clip / "clip.json").read_text())
    return out


def validation(folder: Path, frames: int) -> list[tuple[str, list[Frame], list[Frame]]]:
    """(name, sharp, degraded) of every clip as it is and shrunk to half, sides multiples of 16."""
    clips = []
    for path in sorted(folder.iterdir()):
        source = list(itertools.islice(video.read(path, codec_info=False), 60, 60 + frames)) or list(
            itertools.islice(video.read(path, codec_info=False), frames)
        )
        for divisor in (1, 2):
            sharp = [shrunk(f, divisor) for f in source]
            clips.append((f"{path.stem}/{divisor}", sharp, list(degrade_frames(sharp))))
    return clips


def shrunk(frame: Frame, divisor: int) -> Frame:
    """The frame 1/divisor the size by area, cropped to multiples of 16."""
    small = resample.resize_frame(frame, frame.width // divisor, frame.height // divisor, kernel="area")
    width, height = small.width // 16 * 16, small.height // 16 * 16
    cut = (p[: height >> s, : width >> s] for p, s in zip(small.planes, (0, 1, 1), strict=True))
    return small.replace(planes=tuple(np.ascontiguousarray(p) for p in cut), qp=None, motion=None)


def restored(net: Fast, low: list[Frame]) -> list[Frame]:
    """The clip through the torch network, one shot, no tiles."""
    y = torch.stack([torch.from_numpy(f.planes[0]).float() / 255 for f in low])
    state = net.hidden(1, *y.shape[1:])
    out = []
    for t, frame in enumerate(low):
        near = y[[max(0, t - 1), t, min(len(low) - 1, t + 1)]][None]
        uv = torch.stack([torch.from_numpy(p).float() / 255 for p in frame.planes[1:]])[None]
        rows, columns = uv.shape[2:]
        qp = np.zeros((rows, columns)) if frame.qp is None else frame.qp.repeat(8, 0).repeat(8, 1)[:rows, :columns]
        with torch.inference_mode():
            luma, chroma, state = net.step(near, uv, torch.from_numpy(qp).float()[None, None] / 51, state)
        planes = [(p * 255).round().clamp(0, 255).byte().numpy() for p in (luma[0, 0], *chroma[0])]
        out.append(frame.replace(planes=tuple(planes), qp=None, motion=None))
    return out


def psnr(clips: list[tuple[list[Frame], list[Frame]]]) -> tuple[float, float]:
    """Pooled (RGB, Y) PSNR in dB of (restored, sharp) clips."""
    sums = np.zeros(4)
    for made, sharp in clips:
        for a, b in zip(made, sharp, strict=True):
            for k, (p, q) in enumerate(((color.to_rgb(a), color.to_rgb(b)), (a.planes[0], b.planes[0]))):
                sums[2 * k : 2 * k + 2] += ((p.astype(np.float64) - q) ** 2).sum(), p.size
    rgb, luma = (10 * np.log10(255**2 * n / sse) for sse, n in (sums[:2], sums[2:]))
    return float(rgb), float(luma)


def main() -> None:
    """Train what is missing, score everything, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("validation", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    clips = validation(args.validation, args.frames)
    table = {}
    for name in ("bicubic", "lanczos"):
        table[name] = psnr([([upsample.METHODS[name](f, 4) for f in low], sharp) for _, sharp, low in clips])
    for name, changes in RUNS.items():
        tail = "init" in changes
        steps = args.steps // 4 if tail else args.steps
        options = {"steps": steps, "batch": 4, "rate": 1.5e-3, "loss": "mse", "bf16": args.bf16, **changes}
        options["init"] = str(args.out / str(changes["init"])) if tail else ""
        o = TrainOptions(**options)  # type: ignore[arg-type]
        store = clean_store(args.store, args.out / "clean-store") if name == "torch-bicubic-data" else args.store
        train(Store(store), args.out / name, o)
        net = Fast(FastOptions(o.scale, o.channels, o.blocks, 12, o.unshuffle, o.recurrent, o.qp))
        load_weights(net, args.out / name)
        table[name] = psnr([(restored(net.eval(), low), sharp) for _, sharp, low in clips])
        with open(args.out / "results.jsonl", "a") as file:
            file.write(json.dumps({"run": name, "rgb": table[name][0], "luma": table[name][1]}) + "\n")
    print("| run | RGB PSNR | Y PSNR | RGB against Lanczos |\n|---|---|---|---|")
    for name, (rgb, luma) in table.items():
        print(f"| {name} | {rgb:.3f} | {luma:.3f} | {rgb - table['lanczos'][0]:+.3f} |")


if __name__ == "__main__":
    main()
