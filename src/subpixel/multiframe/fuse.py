"""A burst of pictures of one scene becomes one with more detail and less noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.pictures import Picture

Float = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True)
class Fused:
    """What `fuse` made, and what it measured on the way.

    picture: (scale * height, scale * width) or (..., 3) float32, in the units of the frames.
    motions: one `Motion` a frame, from the reference to it. kept: share of each frame's samples that were used.
    noise: (a, b) of variance = a * signal + b. psf: sigma of the lens in pixels of a frame. notes: warnings.
    """

    picture: Float
    motions: list[Any]
    kept: list[float]
    noise: tuple[float, float]
    psf: float
    notes: list[str]


def fuse(
    frames: Sequence[Picture | npt.NDArray[Any]],
    *,
    scale: float = 2,
    motions: Sequence[Any] | None = None,
    model: str = "auto",
    reference: int = 0,
    psf: float | str = "auto",
    noise: tuple[float, float] | str = "auto",
    robust: bool = True,
) -> Fused:
    """Maximum a posteriori estimate of the scene on a grid `scale` times as fine as that of frame `reference`.

    frames: pictures, arrays (h, w) or (h, w, 3), or raw mosaics of one size. motions: given ones (Motion, from the
    reference to each frame) are used as they are. Raises InputError, UsageError with a sentence.
    """
    raise NotImplementedError
