"""Training pairs: sharp pictures and what the real scaler and codec made of them, as plain arrays on disk.

python -m subpixel.learn.clips STORE --videos FOLDER --photos FOLDER [--crops crops.toml]

A store is a folder with one sub-folder per clip: hr_y, hr_u, hr_v, lr_y, lr_u, lr_v (frames, height, width) uint8 and
qp (frames, rows, columns) uint8, all .npy and memory-mapped when read, and clip.json saying where it came from.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import itertools
import json
import math
import os
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from subpixel import color, resample, video
from subpixel.degrade import Recipe, degrade_frames
from subpixel.errors import InputError
from subpixel.frames import Frame

Box = tuple[float, float, float, float]  # left, top, right, bottom as fractions of the picture

ARRAYS = ("hr_y", "hr_u", "hr_v", "lr_y", "lr_u", "lr_v", "qp")


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way of making a pair from a source: shrink before use, mirror, play backwards, which CRF, which frames."""

    shrink: float
    mirror: bool
    backwards: bool
    crf: float
    first: int
    frames: int


@dataclasses.dataclass
class Pair:
    """One batch of windows as the network takes them; samples / 255, float32.

    y (N, T+2, h, w), uv (N, T, 2, h/2, w/2), qp (N, T, 1, h/2, w/2) / 51;
    target_y (N, T, 1, sh, sw), target_uv (N, T, 2, sh/2, sw/2).
    """

    y: Tensor
    uv: Tensor
    qp: Tensor
    target_y: Tensor
    target_uv: Tensor


def variants(name: str, seed: int, count: int = 4) -> list[Variant]:
    """The seeded variants of a source: 60 % at CRF 21, the rest at 18 to 24; long ones small, large ones short."""
    rng = np.random.default_rng([seed, *name.encode()])
    chosen = []
    for shrink, frames in itertools.islice(itertools.cycle(((0.5, 100), (0.75, 60), (1.0, 36))), count):
        jitter = float(rng.uniform(0.9, 1.0)) if shrink < 1 else 1.0
        crf = 21.0 if rng.random() < 0.6 else float(rng.integers(18, 25))
        mirror, backwards = bool(rng.random() < 0.5), bool(rng.random() < 0.3)
        chosen.append(Variant(shrink * jitter, mirror, backwards, crf, int(rng.integers(0, 60)), frames))
    return chosen


def to_8bit(frame: Frame) -> Frame:
    """The frame with 8-bit samples, rounded."""
    drop = frame.layout.bits - 8
    if not drop:
        return frame
    planes = tuple(np.minimum((p + (1 << drop >> 1)) >> drop, 255).astype(np.uint8) for p in frame.planes)
    return frame.replace(planes=planes, format=frame.format.rstrip("le").rstrip("0123456789") if drop else frame.format)


def crop(frame: Frame, box: Box) -> Frame:
    """The part of a 4:2:0 frame inside box, its edges on even samples."""
    left, right = (int(frame.width * box[k]) & ~1 for k in (0, 2))
    top, bottom = (int(frame.height * box[k]) & ~1 for k in (1, 3))
    cut = [p[top >> s : bottom >> s, left >> s : right >> s] for p, s in zip(frame.planes, (0, 1, 1), strict=True)]
    return frame.replace(planes=tuple(np.ascontiguousarray(p) for p in cut), qp=None, motion=None)


def video_frames(path: Path, variant: Variant, box: Box, scale: int) -> list[Frame]:
    """The sharp frames of one variant: 4:2:0, 8 bits, sides multiples of 16 and of twice the scale."""
    frames = list(
        itertools.islice(video.read(path, codec_info=False, deinterlace="off"), variant.first + variant.frames)
    )
    frames = frames[-variant.frames :][:: -1 if variant.backwards else 1]
    cropped = [crop(to_8bit(f), box) for f in frames]
    if variant.mirror:
        cropped = [f.replace(planes=tuple(np.ascontiguousarray(p[:, ::-1]) for p in f.planes)) for f in cropped]
    head = cropped[0]
    width, height = (whole(side * variant.shrink, scale) for side in (head.width, head.height))
    return [resample.resize_frame(f, width, height, kernel="area") for f in cropped]


def whole(side: float, scale: int) -> int:
    """The side cropped to a multiple of 16 that 4:2:0 pictures of this scale can have."""
    unit = math.lcm(16, 2 * scale)
    return int(side) // unit * unit


def camera_path(rng: np.random.Generator, frames: int, still: bool) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(frames, 4) smooth hand-held motion: x, y in pixels, log zoom, rotation in radians."""
    speed = rng.normal(0, [3.0, 2.0, 0.002, 0.001]) * (not still)
    shake = rng.normal(0, [0.8, 0.8, 0.0005, 0.0005], (frames + 8, 4)) * (not still)
    smooth = np.apply_along_axis(np.convolve, 0, shake, np.hanning(11)[1:-1] / 2, "valid")
    path: np.ndarray[Any, np.dtype[np.float64]] = (
        np.arange(frames)[:, None] * speed + np.cumsum(smooth, axis=0)[:frames]
    )
    return path


def photo_frames(path: Path, seed: int, *, width: int, height: int, frames: int = 30) -> list[Frame]:
    """A seeded camera motion over a photograph, as limited-range 4:2:0 frames; one in four does not move."""
    rng = np.random.default_rng([seed, *path.name.encode()])
    photo = next(iter(video.read(path, codec_info=False, deinterlace="off")))
    # Shrinking first hides the camera's own compression and keeps every later enlargement below the sharp limit.
    factor = min(0.8, max(1.5 * width / photo.width, 1.5 * height / photo.height, 0.3))
    wide, tall = (int(side * factor) // 2 * 2 for side in (photo.width, photo.height))
    offset, scale = color.luma_levels(photo)
    canvas = [torch.from_numpy(resample.resize(photo.planes[0], wide, tall, kernel="area")) * scale + offset]
    canvas += [
        torch.from_numpy(resample.resize(p, wide // 2, tall // 2, kernel="area")) * 1.0 for p in photo.planes[1:3]
    ]
    motion = camera_path(rng, frames, still=rng.random() < 0.25)
    middle = np.array([wide, tall]) / 2 - motion[:, :2].mean(axis=0)
    y, x = np.mgrid[0:height, 0:width] - np.array([height / 2 - 0.5, width / 2 - 0.5])[:, None, None]
    pictures = []
    for t, (dx, dy, zoom, angle) in enumerate(motion):
        c, s = np.cos(angle) * np.exp(zoom), np.sin(angle) * np.exp(zoom)
        u, v = c * x - s * y + middle[0] + dx + 0.5, s * x + c * y + middle[1] + dy + 0.5
        full = np.stack([u / wide * 2 - 1, v / tall * 2 - 1])
        half = full.reshape(2, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
        planes = tuple(look(p, grid) for p, grid in zip(canvas, (full, half, half), strict=True))
        pictures.append(Frame(planes, pts=t))
    return pictures


def look(canvas: Tensor, grid: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The canvas (H, W) seen at grid (2, h, w), x and y from -1 to 1, by bicubic interpolation, as code values."""
    where = torch.from_numpy(grid).permute(1, 2, 0)[None].float()
    seen = F.grid_sample(
        canvas[None, None].float(), where, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return seen[0, 0].clamp(0, 255).round().to(torch.uint8).numpy()


def write_clip(folder: Path, sharp: list[Frame], recipe: Recipe, origin: dict[str, object]) -> None:
    """Degrade the frames by the contest's command at this scale and CRF, and write both sides."""
    low = list(degrade_frames(sharp, recipe))
    if len(low) != len(sharp):
        raise InputError(f"{origin['source']}: {len(sharp)} frames became {len(low)} after degrading.")
    part = folder.with_suffix(".part")
    part.mkdir(parents=True, exist_ok=True)
    for side, frames in (("hr", sharp), ("lr", low)):
        for plane, name in enumerate("yuv"):
            np.save(part / f"{side}_{name}.npy", np.stack([f.planes[plane] for f in frames]))
    rows = [f.qp if f.qp is not None else np.zeros((0, 0), np.int16) for f in low]
    np.save(part / "qp.npy", np.stack(rows).clip(0, 51).astype(np.uint8))
    codec = {"scale": recipe.scale, "crf": recipe.crf, "kinds": "".join(f.kind for f in low)}
    facts = origin | codec | {"frames": len(low)}
    (part / "clip.json").write_text(json.dumps(facts))
    os.replace(part, folder)


def build(
    store: Path, videos: list[Path], photos: list[Path], boxes: dict[str, Box], *, seed: int = 0, scale: int = 4
) -> None:
    """Make every clip that is not in the store yet."""
    for path in videos:
        box = next((b for pattern, b in boxes.items() if fnmatch.fnmatch(path.name, pattern)), (0.0, 0.0, 1.0, 1.0))
        for k, variant in enumerate(variants(path.name, seed)):
            folder = store / f"{path.stem}.{k}"
            if not folder.exists():
                origin = {"source": path.name, **dataclasses.asdict(variant)}
                sharp = video_frames(path, variant, box, scale)
                write_clip(folder, sharp, Recipe(scale=scale, crf=variant.crf), origin)
                print(folder.name, flush=True)
    for path in photos:
        folder = store / f"photo-{path.stem}"
        if not folder.exists():
            recipe = Recipe(scale=scale, crf=variants(path.name, seed)[0].crf)
            sharp = photo_frames(path, seed, width=whole(768, scale), height=whole(448, scale))
            write_clip(folder, sharp, recipe, {"source": path.name})
            print(folder.name, flush=True)


class Store:
    """A built store, memory-mapped; gives random batches of aligned crops of its `scale`."""

    def __init__(self, folder: Path) -> None:
        names = sorted(p.parent for p in folder.glob("*/clip.json"))
        if not names:
            raise InputError(f"{folder} holds no training clips; make them with python -m subpixel.learn.clips.")
        self.scale = int(json.loads((names[0] / "clip.json").read_text())["scale"])
        self.clips = [{a: np.load(n / f"{a}.npy", mmap_mode="r") for a in ARRAYS} for n in names]
        # Long and large clips are seen more often, but not in proportion: variety is worth more than length.
        weight = np.array([c["lr_y"].size ** 0.5 for c in self.clips])
        self.weight = weight / weight.sum()

    def sample(self, rng: np.random.Generator, *, batch: int, frames: int, crop: int, windows: int) -> list[Pair]:
        """`windows` consecutive windows of `frames` frames of `batch` random crops of crop x crop LR pixels."""
        rows = [self.crops(rng, frames * windows, crop) for _ in range(batch)]
        y, uv, qp, target_y, target_uv = (
            torch.from_numpy(np.stack(part)).float() / 255 for part in zip(*rows, strict=True)
        )
        pairs = []
        for k in range(windows):
            at = slice(k * frames, (k + 1) * frames)
            around = slice(k * frames, (k + 1) * frames + 2)
            pairs.append(Pair(y[:, around], uv[:, at], qp[:, at] * 5.0, target_y[:, at, None], target_uv[:, at]))
        return pairs

    def crops(self, rng: np.random.Generator, frames: int, crop: int) -> tuple[np.ndarray[Any, Any], ...]:
        """One random sequence: y (T+2), uv, qp (quantiser, on the chroma grid), target_y, target_uv, all uint8."""
        clip = self.clips[int(rng.choice(len(self.clips), p=self.weight))]
        count, height, width = clip["lr_y"].shape
        order = reflect(np.arange(-1, frames + 1) + int(rng.integers(0, max(1, count - frames + 1))), count)
        if rng.random() < 0.1:
            order[0] = order[1]  # the first frame of a shot has itself for a past
        top, left = (2 * int(rng.integers(0, (side - crop) // 2 + 1)) for side in (height, width))
        s, now = self.scale, order[1:-1]

        def take(name: str, when: np.ndarray[Any, Any], k: float) -> np.ndarray[Any, Any]:
            y0, x0, n = round(top * k), round(left * k), round(crop * k)
            return np.stack([clip[name][t, y0 : y0 + n, x0 : x0 + n] for t in when])

        blocks = np.arange(crop // 2) * 2
        qp = clip["qp"][now][:, (top + blocks) // 16][:, :, (left + blocks) // 16][:, None]
        uv = np.stack([take("lr_u", now, 0.5), take("lr_v", now, 0.5)], 1)
        target_uv = np.stack([take("hr_u", now, s / 2), take("hr_v", now, s / 2)], 1)
        parts = (take("lr_y", order, 1), uv, qp, take("hr_y", now, s), target_uv)
        return tuple(np.ascontiguousarray(p) for p in turn(parts, int(rng.integers(0, 8))))


def reflect(index: np.ndarray[Any, np.dtype[np.int64]], count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Frame numbers folded back into 0..count-1, so that a short clip plays to and fro."""
    last = count - 1
    folded: np.ndarray[Any, np.dtype[np.int64]] = last - np.abs(np.abs(index) % max(1, 2 * last) - last)
    return folded


def turn(parts: Iterable[np.ndarray[Any, Any]], way: int) -> Iterator[np.ndarray[Any, Any]]:
    """One of the eight flips and transpositions, applied to the last two axes of every part."""
    for part in parts:
        if way & 1:
            part = part[..., ::-1]
        if way & 2:
            part = part[..., ::-1, :]
        yield np.swapaxes(part, -1, -2) if way & 4 else part


def main(arguments: list[str] | None = None) -> None:
    """Command line of `build`."""
    parser = argparse.ArgumentParser(description=build.__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--videos", type=Path, action="append", default=[])
    parser.add_argument("--photos", type=Path, action="append", default=[])
    parser.add_argument("--crops", type=Path, help="TOML: file pattern = [left, top, right, bottom] as fractions")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    boxes = tomllib.loads(args.crops.read_text()) if args.crops else {}
    listed = [sorted(p for f in folders for p in f.iterdir()) for folders in (args.videos, args.photos)]
    boxes = {k: tuple(v) for k, v in boxes.items()}
    build(args.store, listed[0], listed[1], boxes, seed=args.seed, scale=args.scale)


if __name__ == "__main__":
    main()
