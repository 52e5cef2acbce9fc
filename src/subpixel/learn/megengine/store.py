"""A store of training pairs read by NumPy alone: the batches of learn.store, without the codec's motion."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError, UsageError

Array = npt.NDArray[Any]

ARRAYS = ("hr_y", "hr_u", "hr_v", "lr_y", "lr_u", "lr_v", "qp")
KINDS = "IPB"


@dataclasses.dataclass
class Pair:
    """One batch of windows, float32; fields and ranges as learn.store.Pair."""

    y: Array
    uv: Array
    qp: Array
    kinds: Array
    target_y: Array
    target_uv: Array

    def codec(self, names: Sequence[str]) -> Array:
        """(N, T, C, h/2, w/2): the maps of these names behind each other; C may be 0."""
        return np.concatenate([self.qp[:, :, :0], *(getattr(self, name) for name in names)], 2)


class Store:
    """The training clips of a built store; raises InputError where there are none."""

    def __init__(self, folder: Path) -> None:
        manifest = folder / "manifest.json"
        held = json.loads(manifest.read_text(encoding="utf-8"))["clips"] if manifest.exists() else {}
        folders = sorted(path.parent for path in folder.glob("*/clip.json"))
        chosen = [path for path in folders if held.get(path.name, {}).get("part", "train") == "train"]
        if not chosen:
            raise InputError(f"{folder} holds no training clips; make them with `subpixel clips build`.")
        facts = [json.loads((path / "clip.json").read_text(encoding="utf-8")) for path in chosen]
        self.clips = [{name: np.load(path / f"{name}.npy", mmap_mode="r") for name in ARRAYS} for path in chosen]
        self.kinds = [np.array([[k == kind for kind in KINDS] for k in f["kinds"]], np.float32) for f in facts]
        self.scale = int(facts[0]["scale"])
        self._weight = np.array([clip["lr_y"].size ** 0.5 for clip in self.clips])

    def sample(self, rng: np.random.Generator, *, batch: int, frames: int, crop: int, windows: int) -> list[Pair]:
        """`windows` consecutive windows of `batch` crops: for one generator state what learn.store gives."""
        rows = [self.crops(rng, frames * windows, crop) for _ in range(batch)]
        y, uv, qp, kinds, target_y, target_uv = (np.stack(p).astype(np.float32) for p in zip(*rows, strict=True))
        code = np.float32(1 / 255)
        kinds = np.repeat(np.repeat(kinds[..., None, None], crop // 2, -1), crop // 2, -2)
        pairs = []
        for k in range(windows):
            at, around = slice(k * frames, (k + 1) * frames), slice(k * frames, (k + 1) * frames + 2)
            maps = qp[:, at] * np.float32(1 / 51), kinds[:, at]
            targets = target_y[:, at, None] * code, target_uv[:, at] * code
            pairs.append(Pair(y[:, around] * code, uv[:, at] * code, *maps, *targets))
        return pairs

    def crops(self, rng: np.random.Generator, frames: int, crop: int) -> tuple[Array, ...]:
        """One random sequence as stored: y (T+2, h, w), uv, qp, kinds (T, 3), target_y, target_uv."""
        number = int(rng.choice(len(self.clips), p=self._chances(crop)))
        clip = self.clips[number]
        count, height, width = clip["lr_y"].shape
        order = reflect(np.arange(-1, frames + 1) + int(rng.integers(0, max(1, count - frames + 1))), count)
        if rng.random() < 0.1:
            order[0] = order[1]
        top, left = (2 * int(rng.integers(0, (side - crop) // 2 + 1)) for side in (height, width))
        way = int(rng.integers(0, 8))
        y, uv, qp, target_y, target_uv = (turned(p, way) for p in cut(clip, order, (top, left, crop), self.scale))
        return y, uv, qp, self.kinds[number][order[1:-1]], target_y, target_uv

    @property
    def weight(self) -> float:
        """How often its clips are to be seen, beside those of other stores."""
        return float(self._weight.sum())

    def _chances(self, crop: int) -> Array:
        fits = np.array([min(clip["lr_y"].shape[1:]) >= crop for clip in self.clips])
        if not fits.any():
            raise UsageError(f"No clip of the store is as large as a crop of {crop} LR pixels; use smaller crops.")
        weight = self._weight * fits
        chances: Array = weight / weight.sum()
        return chances


def cut(clip: dict[str, Array], order: Array, place: tuple[int, int, int], scale: int) -> tuple[Array, ...]:
    """The square at place (top, left, side; even LR pixels) of frames order[1:-1]: y, uv, qp, target_y, target_uv."""
    top, left, side = place
    now = order[1:-1]

    def take(name: str, when: Array, k: float) -> Array:
        y0, x0, n = round(top * k), round(left * k), round(side * k)
        return np.stack([clip[name][t, y0 : y0 + n, x0 : x0 + n] for t in when])

    cells = np.arange(side // 2) * 2
    qp = clip["qp"][now][:, (top + cells) // 16][:, :, (left + cells) // 16][:, None]
    uv = np.stack([take("lr_u", now, 0.5), take("lr_v", now, 0.5)], 1)
    target_uv = np.stack([take("hr_u", now, scale / 2), take("hr_v", now, scale / 2)], 1)
    return take("lr_y", order, 1), uv, qp, take("hr_y", now, scale), target_uv


def reflect(index: Array, count: int) -> Array:
    """Frame numbers folded back into 0..count-1, so that a short clip plays to and fro."""
    last = count - 1
    folded: Array = last - np.abs(np.abs(index) % max(1, 2 * last) - last)
    return folded


def turned(part: Array, way: int) -> Array:
    """One of the eight flips and transpositions of the last two axes: 1 left-right, 2 top-bottom, then 4 transposes."""
    flipped = part[..., :: -1 if way & 2 else 1, :: -1 if way & 1 else 1]
    return np.swapaxes(flipped, -1, -2) if way & 4 else flipped
