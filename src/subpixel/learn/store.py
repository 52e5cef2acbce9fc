"""A store of training pairs, read: random batches of aligned crops for training, whole clips for validation.

A store is a folder with one sub-folder for each clip and manifest.json, which lists them. A clip is clip.json and the
arrays of ARRAYS as .npy files: hr_y, hr_u, hr_v, lr_y, lr_u, lr_v (frames, height, width) uint8, qp (frames, rows of
macroblocks, columns) uint8, motion (frames, 4, rows of 4x4 blocks, columns) int16, see `priors.vectors`.
Reading needs NumPy and torch, no codec.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from subpixel import priors
from subpixel.errors import InputError, UsageError
from subpixel.frames import Frame

ARRAYS = ("hr_y", "hr_u", "hr_v", "lr_y", "lr_u", "lr_v", "qp", "motion")
MANIFEST = "manifest.json"

# As `Frame.motion` comes from the decoder, as far as `priors.vectors` reads it.
_BLOCK = np.dtype(
    [("source", "<i4"), ("w", "u1"), ("h", "u1"), ("src_x", "<i2"), ("src_y", "<i2"), ("dst_x", "<i2"),
     ("dst_y", "<i2"), ("motion_x", "<i4"), ("motion_y", "<i4"), ("motion_scale", "<u2")]
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Clip:
    """One pair of a store: its folder, clip.json as `facts`, its arrays by name (mapped files, or on a device).

    kinds (frames, 3): a one for each frame's type, in the order of `priors.KINDS`.
    """

    folder: Path
    facts: dict[str, Any]
    arrays: dict[str, Tensor]
    kinds: Tensor

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name


@dataclasses.dataclass
class Pair:
    """One batch of windows as the networks take it, float32; samples are 8-bit code values / 255.

    y (N, T+2, h, w): luma from one frame before the window to one after; uv (N, T, 2, h/2, w/2).
    On the half grid, as `priors` defines them: qp (N, T, 1, h/2, w/2), kinds (N, T, 3, ...), motion (N, T, 4, ...).
    target_y (N, T, 1, sh, sw), target_uv (N, T, 2, sh/2, sw/2).
    """

    y: Tensor
    uv: Tensor
    qp: Tensor
    kinds: Tensor
    motion: Tensor
    target_y: Tensor
    target_uv: Tensor

    def codec(self, names: Sequence[str]) -> Tensor:
        """(N, T, C, h/2, w/2): the maps of these names ("qp", "kinds", "motion") behind each other; C may be 0."""
        maps: list[Tensor] = [getattr(self, name) for name in names]
        return torch.cat(maps, 2) if maps else self.qp[:, :, :0]

    def to(self, device: torch.device | str) -> Pair:
        """The same batch on another device."""
        return Pair(*(t.to(device, non_blocking=True) for t in self._tensors()))

    def rows(self, part: slice) -> Pair:
        """Some sequences of the batch: the share of one process of several."""
        return Pair(*(t[part] for t in self._tensors()))

    def _tensors(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in dataclasses.fields(self)]


class Store:
    """A built store, memory-mapped; gives random batches of aligned crops of its `scale`.

    part: "train" for all clips that `clips split` has not set apart, "validation" for those it has, None for both.
    Raises InputError for a folder without clips, or with clips that are not complete.
    """

    def __init__(self, folder: Path, *, part: str | None = "train") -> None:
        folders = sorted(path.parent for path in folder.glob("*/clip.json"))
        if not folders:
            raise InputError(f"{folder} holds no training clips; make them with `subpixel clips build`.")
        held = read_manifest(folder)["clips"] if (folder / MANIFEST).exists() else {}
        chosen = [f for f in folders if part in (None, held.get(f.name, {}).get("part", "train"))]
        if not chosen:
            raise InputError(f"{folder} holds no clips for {part}; `subpixel clips split` sets some apart.")
        self.clips = [_mapped_clip(path) for path in chosen]
        self.scale = int(self.clips[0].facts["scale"])
        self.device = torch.device("cpu")
        # Long and large clips are seen more often, but not in proportion: variety is worth more than length.
        self._weight = np.array([clip.arrays["lr_y"].numel() ** 0.5 for clip in self.clips])
        self._side = np.array([min(clip.arrays["lr_y"].shape[1:]) for clip in self.clips])

    @property
    def bytes(self) -> int:
        """Size of all arrays."""
        return sum(array.nbytes for clip in self.clips for array in clip.arrays.values())

    def to(self, device: torch.device | str, *, budget: int | None = None) -> Self:
        """Give batches on this device from now on, cut there where all arrays fit into `budget` bytes of it.

        budget: None for 60 % of the free memory of a CUDA device, and for mapped files on a CPU, whose memory they
        share anyway. The batches are the same, bit for bit.
        """
        self.device = torch.device(device)
        if budget is None:
            budget = int(0.6 * torch.cuda.mem_get_info(self.device)[0]) if self.device.type == "cuda" else 0
        if self.bytes <= budget:
            for clip in self.clips:
                clip.arrays.update({name: array.clone().to(self.device) for name, array in clip.arrays.items()})
        return self

    def frames(self, clip: Clip) -> tuple[list[Frame], list[Frame]]:
        """(sharp, degraded) frames of a clip, samples read from disk when they are looked at.

        The degraded ones carry kind, qp and motion, so that `priors` gives of them what it gave of the decoder's.
        """
        arrays = {name: np.load(clip.folder / f"{name}.npy", mmap_mode="c") for name in ARRAYS}

        def frame(side: str, t: int) -> Frame:
            return Frame(tuple(arrays[f"{side}_{plane}"][t] for plane in "yuv"), pts=t)

        sharp = [frame("hr", t) for t in range(len(arrays["hr_y"]))]
        low = [
            frame("lr", t).replace(kind=kind, qp=arrays["qp"][t].astype(np.int16), motion=blocks(arrays["motion"][t]))
            for t, kind in enumerate(clip.facts["kinds"])
        ]
        return sharp, low

    def sample(self, rng: np.random.Generator, *, batch: int, frames: int, crop: int, windows: int) -> list[Pair]:
        """`windows` consecutive windows of `frames` frames of `batch` random crops of crop x crop LR pixels.

        One generator state gives one batch, on every device. Raises UsageError where every clip is smaller than that.
        """
        rows = [self.crops(rng, frames * windows, crop) for _ in range(batch)]
        y, uv, qp, kinds, motion, target_y, target_uv = (torch.stack(part) for part in zip(*rows, strict=True))
        pairs = []
        for k in range(windows):
            at, around = slice(k * frames, (k + 1) * frames), slice(k * frames, (k + 1) * frames + 2)
            pairs.append(
                Pair(
                    _scaled(y[:, around], 1 / 255).to(self.device),
                    _scaled(uv[:, at], 1 / 255).to(self.device),
                    _scaled(qp[:, at], 1 / 51).to(self.device),
                    kinds[:, at, :, None, None].to(self.device).expand(-1, -1, -1, crop // 2, crop // 2),
                    _scaled(motion[:, at], 1 / 128).to(self.device),
                    _scaled(target_y[:, at], 1 / 255)[:, :, None].to(self.device),
                    _scaled(target_uv[:, at], 1 / 255).to(self.device),
                )
            )
        return pairs

    def crops(self, rng: np.random.Generator, frames: int, crop: int) -> tuple[Tensor, ...]:
        """One random sequence as stored: y (T+2, h, w), uv, qp, kinds (T, 3), motion, target_y, target_uv."""
        clip = self.clips[int(rng.choice(len(self.clips), p=self._chances(crop)))]
        count, height, width = clip.arrays["lr_y"].shape
        order = reflect(np.arange(-1, frames + 1) + int(rng.integers(0, max(1, count - frames + 1))), count)
        if rng.random() < 0.1:
            order[0] = order[1]  # the first frame of a shot has itself for a past
        top, left = (2 * int(rng.integers(0, (side - crop) // 2 + 1)) for side in (height, width))
        return cut(clip, order, (top, left, crop), self.scale, way=int(rng.integers(0, 8)))

    def _chances(self, crop: int) -> npt.NDArray[np.float64]:
        """The chance of each clip to be seen; none for those that are too small."""
        fits = self._side >= crop
        if not fits.any():
            raise UsageError(f"No clip of the store is as large as a crop of {crop} LR pixels; use smaller crops.")
        weight = self._weight * fits
        chances: npt.NDArray[np.float64] = weight / weight.sum()
        return chances


def cut(
    clip: Clip, order: npt.NDArray[np.int64], place: tuple[int, int, int], scale: int, *, way: int
) -> tuple[Tensor, ...]:
    """The square at place (top, left, side; even LR pixels) of frames order[1:-1], turned; lists what `crops` does."""
    top, left, side = place
    source = clip.arrays
    device = source["lr_y"].device
    all_of, now = (torch.from_numpy(part).to(device) for part in (order, order[1:-1]))

    def take(name: str, when: Tensor, k: float) -> Tensor:
        y0, x0, n = round(top * k), round(left * k), round(side * k)
        return source[name][:, y0 : y0 + n, x0 : x0 + n].index_select(0, when)

    def grid(name: str, block: int) -> Tensor:
        cells = torch.arange(side // 2, device=device) * 2
        field = source[name].index_select(0, now)
        return field.index_select(-2, (top + cells) // block).index_select(-1, (left + cells) // block)

    backwards = torch.from_numpy(order[2:] < order[1:-1]).to(device)
    motion = grid("motion", priors.CELL)
    motion = torch.where(backwards[:, None, None, None], motion.roll(2, 1), motion)  # what was the past is the future
    uv = torch.stack([take("lr_u", now, 0.5), take("lr_v", now, 0.5)], 1)
    target_uv = torch.stack([take("hr_u", now, scale / 2), take("hr_v", now, scale / 2)], 1)
    return (
        turn(take("lr_y", all_of, 1), way),
        turn(uv, way),
        turn(grid("qp", 16)[:, None], way),
        clip.kinds[order[1:-1]].to(device),
        turn_vectors(motion, way),
        turn(take("hr_y", now, scale), way),
        turn(target_uv, way),
    )


def reflect(index: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Frame numbers folded back into 0..count-1, so that a short clip plays to and fro."""
    last = count - 1
    folded: npt.NDArray[np.int64] = last - np.abs(np.abs(index) % max(1, 2 * last) - last)
    return folded


def turn(part: Tensor, way: int) -> Tensor:
    """One of the eight flips and transpositions of the last two axes: 1 left-right, 2 top-bottom, then 4 transposes."""
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if way & bit]
    part = part.flip(axes) if axes else part
    return part.swapaxes(-1, -2) if way & 4 else part


def turn_vectors(field: Tensor, way: int) -> Tensor:
    """The same for vectors (..., 4, rows, columns), x and y of the past, x and y of the future: they turn too."""
    signs = torch.tensor([1 - 2 * (way & 1), 1 - (way & 2)] * 2, dtype=field.dtype, device=field.device)
    field = turn(field, way) * signs[:, None, None]
    return field[..., [1, 0, 3, 2], :, :] if way & 4 else field


def blocks(field: npt.NDArray[np.int16]) -> npt.NDArray[np.void]:
    """`priors.vectors` (4, rows, columns) as a decoder's list of moved blocks, which `Frame.motion` holds."""
    lists = []
    for source in (-1, 1):
        x, y = field[1 + source : 3 + source]
        rows, columns = np.nonzero((x != 0) | (y != 0))
        block = np.zeros(len(rows), _BLOCK)
        block["source"], block["w"], block["h"], block["motion_scale"] = source, priors.CELL, priors.CELL, 4
        block["dst_x"], block["dst_y"] = (priors.CELL * place + priors.CELL // 2 for place in (columns, rows))
        block["motion_x"], block["motion_y"] = x[rows, columns], y[rows, columns]
        block["src_x"] = block["dst_x"] + block["motion_x"] // 4
        block["src_y"] = block["dst_y"] + block["motion_y"] // 4
        lists.append(block)
    return np.concatenate(lists)


def read_manifest(store: Path) -> dict[str, Any]:
    """manifest.json of a store. Raises InputError where it is missing or no JSON."""
    path = store / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{store} has no {MANIFEST}: its build was not finished; give the same command again."
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); give the build's command again.") from error
    return manifest


def read_facts(folder: Path) -> dict[str, Any]:
    """clip.json of a clip. Raises InputError where it is no JSON."""
    path = folder / "clip.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); delete {folder} and build again.") from error
    return facts


def _mapped_clip(folder: Path) -> Clip:
    facts = read_facts(folder)
    kinds = np.array([[kind == known for known in priors.KINDS] for kind in facts["kinds"]], np.float32)
    try:
        return Clip(folder, facts, {name: _mapped(folder / f"{name}.npy") for name in ARRAYS}, torch.from_numpy(kinds))
    except (OSError, ValueError) as error:
        raise InputError(f"The clip {folder} is not complete ({error}); `subpixel clips check` says more.") from error


def _mapped(path: Path) -> Tensor:
    """The array of a .npy file, mapped privately: torch cuts and turns such crops faster than NumPy."""
    array = np.load(path, mmap_mode="r")
    file = torch.from_file(str(path), shared=False, size=array.offset + array.nbytes, dtype=torch.uint8)
    dtype = torch.int16 if array.dtype == np.int16 else torch.uint8
    return file[array.offset :].view(dtype).view(array.shape)


def _scaled(codes: Tensor, factor: float) -> Tensor:
    """Codes times a factor: unlike division, the same on every device."""
    return codes.float().mul_(factor)
