"""Degrading: sharp clips made small and compressed, by default with the contest's command

    ffmpeg -i IN -vf scale=iw/4:ih/4 -c:v libx264 -preset slow -crf 21 OUT
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain

from subpixel.frames import Frame
from subpixel.video.codec import rescale, roundtrip


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a clip is degraded."""

    scale: int = 4
    kernel: str = "bicubic"
    codec: str = "x264"
    preset: str = "slow"
    crf: float = 21
    threads: int = 1


def shrink(frames: Iterable[Frame], recipe: Recipe = Recipe()) -> Iterator[Frame]:
    """Yield each frame 1 / scale as wide and high, as ffmpeg's scale filter does it."""
    frames = iter(frames)
    for first in frames:
        size = first.width // recipe.scale, first.height // recipe.scale
        yield from rescale(chain([first], frames), *size, recipe.kernel)


def degrade_frames(
    frames: Iterable[Frame], recipe: Recipe = Recipe(), *, rate: Fraction | None = None
) -> Iterator[Frame]:
    """Yield each frame small, encoded and decoded again, with the codec's kind, qp and motion."""
    options = {"preset": recipe.preset, "crf": f"{recipe.crf:g}", "threads": str(recipe.threads)}
    return roundtrip(shrink(frames, recipe), "libx264", options, rate=rate)
