"""Colours and brightness of one picture made those of another that shows the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_ROUNDS = 8
_MOST = 100_000  # samples that a fit looks at, evenly spread


@dataclasses.dataclass(frozen=True, eq=False)
class Tone:
    """What turns one picture's samples into the other's: `weights` (terms, channels) of the terms of `terms`."""

    weights: Float64

    def apply(self, picture: Array) -> Float32:
        """The picture (H, W) or (H, W, C), 0 to 1, in the other's colours; float32."""
        each = terms(picture)
        made = np.zeros((*each[0].shape[:2], self.weights.shape[1]), np.float32)
        for term, weights in zip(each, self.weights.astype(np.float32), strict=True):
            made += term[..., None] * weights
        return made if picture.ndim == 3 else made[..., 0]


def match(picture: Array, like: Array, mask: Array | None = None) -> Tone:
    """The tone that takes a picture (H, W) or (H, W, C) to another of the same thing, size and place; 0 to 1.

    For each channel a linear mix of all channels, a cubic of each, and a gain that changes with the square of the
    distance from the middle (vignetting), by iterated least squares with weights 1 / (1 + (r / s)^2) (Cauchy), s from
    the median: what moved does not count. mask: (H, W), where to look.
    """
    step = max(1, round((picture.shape[0] * picture.shape[1] / _MOST) ** 0.5))
    part = (slice(step // 2, None, step),) * 2
    chosen = np.ones(picture.shape[:2], bool)[part] if mask is None else mask[part]
    design = np.stack([np.broadcast_to(t, picture.shape[:2])[part][chosen] for t in terms(picture)], 1)
    wanted = like.reshape(*like.shape[:2], -1)[part][chosen].astype(np.float64)
    columns = [_robust(design.astype(np.float64), channel) for channel in wanted.T]
    return Tone(np.stack(columns, 1))


def terms(picture: Array) -> list[Float32]:
    """Constant, and of each channel the value, square, cube, and value times squared distance from the middle."""
    channels = np.moveaxis(picture.reshape(*picture.shape[:2], -1), -1, 0).astype(np.float32)
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in picture.shape[:2])
    far = (x * x + (y * y)[:, None]) / 2
    found: list[Float32] = [np.ones_like(far)]
    for values in channels:
        found += [values, values * values, values * values * values, values * far]
    return found


def _robust(design: Float64, wanted: Float64) -> Float64:
    """(terms,): the weights of the terms (N, terms) that give `wanted` (N,)."""
    ridge = 1e-9 * len(design) * np.eye(design.shape[1])
    weights = np.ones(len(design))
    for _ in range(_ROUNDS):
        weighed = design * weights[:, None]
        found = np.linalg.solve(weighed.T @ design + ridge, weighed.T @ wanted)
        error = np.abs(wanted - design @ found)
        scale = max(2 * float(np.median(error)), 1e-4)
        weights = 1 / (1 + (error / scale) ** 2)
    return np.asarray(found, np.float64)
