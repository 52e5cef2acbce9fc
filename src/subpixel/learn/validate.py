"""How good a network is while it trains: whole clips, restored by `restore`, scored as `subpixel score` does."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from subpixel import color, metrics
from subpixel.errors import InputError, UsageError
from subpixel.frames import Frame
from subpixel.learn.store import Clip as Pairs
from subpixel.learn.store import Store
from subpixel.learn.team import Team
from subpixel.restore import restore

Picture = npt.NDArray[np.uint8]

CROP = 64  # LR pixels of each clip that the strip shows
STRIP_CLIPS = 12  # that it shows at most


@dataclasses.dataclass(frozen=True)
class Clip:
    """A validation clip: its name, how many frames, and what gives them, sharp and degraded."""

    name: str
    count: int
    frames: Callable[[], tuple[Iterable[Frame], Iterable[Frame]]]


@dataclasses.dataclass(frozen=True)
class Result:
    """rgb, luma: pooled PSNR in dB; clips: RGB PSNR of each clip; strip: LR, restored, original side by side."""

    rgb: float
    luma: float
    clips: dict[str, float]
    strip: Picture | None

    def as_dict(self) -> dict[str, Any]:
        """For the log."""
        clips = {name: round(psnr, 4) for name, psnr in self.clips.items()}
        return {"psnr_rgb": round(self.rgb, 4), "psnr_y": round(self.luma, 4), "clips": clips}


def clips(folder: Path, first: int, scale: int) -> list[Clip]:
    """The validation clips of a store (those set apart, if any are) or of a folder of films, degraded in memory.

    first: how many frames of each, 0 for all. Raises InputError where there are none, UsageError for a store of another
    scale.
    """
    if any(folder.glob("*/clip.json")):
        return _of_store(folder, first or None, scale)
    if not folder.is_dir() or not any(folder.iterdir()):
        raise InputError(f"{folder} holds no clips to validate on; name a store or a folder of films.")
    return [_of_film(path, first or None, scale) for path in sorted(folder.iterdir()) if path.is_file()]


def _of_store(folder: Path, first: int | None, scale: int) -> list[Clip]:
    try:
        store = Store(folder, part="validation")
    except InputError:
        store = Store(folder)
    if store.scale != scale:
        raise UsageError(
            f"{folder} holds pairs of scale {store.scale} to validate on, the network is of scale {scale}."
        )

    def one(clip: Pairs) -> Clip:
        def frames() -> tuple[list[Frame], list[Frame]]:
            sharp, low = store.frames(clip)
            return sharp[:first], low[:first]

        return Clip(clip.name, min(int(clip.facts["frames"]), first or 10**9), frames)

    return [one(clip) for clip in store.clips]


def _of_film(path: Path, first: int | None, scale: int) -> Clip:
    from subpixel import video
    from subpixel.degrade import Recipe, degrade_frames, fitted
    from subpixel.degrade.pictures import crop

    recipe = Recipe(scale=scale)

    def sharp() -> Iterator[Frame]:
        frames = islice(video.read(path, codec_info=False, deinterlace="off"), first)
        for frame in frames:
            yield from crop([frame], *fitted(frame, recipe))

    low = list(degrade_frames(sharp(), recipe))
    return Clip(path.stem, len(low), lambda: (sharp(), low))


def validate(net: nn.Module, chosen: list[Clip], scale: int, team: Team) -> Result:
    """Restore and score the clips, shared among the team; net: in its fused form, on the team's device."""
    sums = [[0] * 4 for _ in chosen]
    rows: list[Picture] = []
    for number, clip in list(enumerate(chosen))[team.rank :: team.size]:
        shown = min(STRIP_CLIPS, len(chosen)) > number and team.rank == 0
        sums[number], row = _score(net, clip, scale)
        rows += [row] if shown else []
    sums = team.total(sums)
    of_rgb, of_luma = (metrics.psnr(sum(s[k] for s in sums), sum(s[k + 1] for s in sums)) for k in (0, 2))
    each = {clip.name: metrics.psnr(*s[:2]) for clip, s in zip(chosen, sums, strict=True)}
    return Result(of_rgb, of_luma, each, np.concatenate(rows) if rows else None)


def _score(net: nn.Module, clip: Clip, scale: int) -> tuple[list[int], Picture]:
    """Squared errors and counts of RGB and Y of a clip, and its row of the strip: the middle of the middle frame."""
    shown: dict[str, Frame] = {}

    def noting(name: str, frames: Iterable[Frame]) -> Iterator[Frame]:
        for number, frame in enumerate(frames):
            if number == clip.count // 2:
                shown[name] = frame
            yield frame

    sharp, low = clip.frames()
    made = restore(noting("low", low), model=net, scale=scale, threads=torch.get_num_threads())
    scored = metrics.tallies(noting("made", made), noting("sharp", sharp), with_ssim=False)
    total = sum((tally for _, tally in scored), metrics.Tally())
    row = _row(shown["low"], shown["made"], shown["sharp"], scale)
    return [total.rgb.sse, total.rgb.n, total.luma.sse, total.luma.n], row


def _row(low: Frame, made: Frame, sharp: Frame, scale: int) -> Picture:
    """The middle of three pictures of one moment side by side, the first enlarged by repeating its pixels."""
    pixels = color.to_rgb(low).repeat(scale, 0).repeat(scale, 1)
    side = CROP * scale
    parts = []
    for rgb in (pixels, color.to_rgb(made), color.to_rgb(sharp)):
        height, width = rgb.shape[:2]
        top, left = max(0, height - side) // 2, max(0, width - side) // 2
        part = rgb[top : top + side, left : left + side]
        parts.append(np.pad(part, [(0, 0), (0, side - part.shape[1]), (0, 0)]))
    return np.concatenate(parts, 1)


def png(rgb: Picture) -> bytes:
    """A PNG file (ISO/IEC 15948) of 8-bit RGB (h, w, 3), made without a codec."""
    height, width = rgb.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), rgb.reshape(height, width * 3)], 1)  # filter 0: none

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")
