"""What one motion cannot explain: how single tiles of two aligned pictures lie apart, and which do not fit at all."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError
from subpixel.register import register

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

SIDE = 64  # pixels of a tile
_FURTHEST = 3.0  # pixels a tile may be off
_UNLIKE = 0.15  # share of a tile's variance that may differ, beyond the noise


@dataclasses.dataclass(frozen=True, eq=False)
class Tiles:
    """A grid of square tiles that overlap by half, over a picture.

    tops, lefts: where they begin, in pixels. side: of a tile.
    """

    tops: Array
    lefts: Array
    side: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.tops), len(self.lefts)

    def parts(self) -> list[tuple[int, int, tuple[slice, slice]]]:
        """(row, column, the tile's part of the picture) of every tile."""
        side = self.side
        return [
            (row, column, (slice(top, top + side), slice(left, left + side)))
            for row, top in enumerate(self.tops.tolist())
            for column, left in enumerate(self.lefts.tolist())
        ]

    def dense(self, values: Array, height: int, width: int, factor: int) -> Float32:
        """Values (rows, columns, K) of the tiles' middles at every sample of a grid `factor` times as fine as that of
        the picture, (factor height, factor width, K): linear between them, the outermost ones held."""
        ways = []
        for starts, size in ((self.tops, height), (self.lefts, width)):
            middles = starts + (self.side - 1) / 2
            at = np.interp((np.arange(size * factor) + 0.5) / factor - 0.5, middles, np.arange(len(middles)))
            ways.append(np.clip(1 - np.abs(at[:, None] - np.arange(len(middles))), 0, None).astype(np.float32))
        return np.asarray(np.einsum("yr,rck,xc->yxk", ways[0], values.astype(np.float32), ways[1], optimize=True))


def tiles(height: int, width: int, side: int) -> Tiles:
    """The grid of tiles that covers a picture; a picture smaller than a tile makes the tiles smaller."""
    side = min(side, height, width)
    tops, lefts = (
        np.linspace(0, size - side, max(1, math.ceil((size - side) / (side / 2)) + 1)).round().astype(int)
        for size in (height, width)
    )
    return Tiles(tops, lefts, side)


def measure(reference: Float32, moving: Float32, grid: Tiles) -> tuple[Float64, Float64]:
    """Of each tile the shift (rows, columns, 2) and the variance (rows, columns) of its error, pixels; planes (H, W).

    A shift is as in Motion. A tile that cannot be registered, or is further off than 3 pixels, has infinite variance.
    """
    shifts = np.zeros((*grid.shape, 2))
    variance = np.full(grid.shape, np.inf)
    for row, column, part in grid.parts():
        try:
            motion = register(reference[part], moving[part], "shift", photometric=True, robust=True)
        except InputError:
            continue
        if math.hypot(*motion.shift) < _FURTHEST:
            shifts[row, column], variance[row, column] = motion.shift, motion.rmse**2 + 1e-8
    return shifts, variance


def regularised(shifts: Float64, variance: Float64) -> Float64:
    """(rows, columns, 2): shifts as far as they stand out of their own errors, unknown ones from their neighbours.

    Each is drawn towards zero by how much of its square its predicted error explains (a Wiener filter whose signal is
    what the squares of all tiles have beyond their errors), so that a picture without parallax is not disturbed.
    """
    known = np.isfinite(variance)
    if not known.any():
        return np.zeros_like(shifts)
    squares, errors = (shifts**2).sum(-1)[known], variance[known]
    signal = max(0.0, float(np.mean(squares - errors)))
    weights = np.where(known, 1 / (np.where(known, variance, 1.0) + signal / 4 + 1e-8), 0.0)
    near = _spread(shifts * weights[..., None]) / np.maximum(_spread(weights[..., None]), 1e-12)
    own = np.where(known, signal / (signal + np.where(known, variance, 1.0) + 1e-12), 0.0)[..., None]
    return np.asarray(own * shifts + (1 - own) * near * (signal / (signal + errors.mean())), np.float64)


def fitting(reference: Float32, moving: Float32, grid: Tiles) -> Array:
    """(rows, columns) bool: whether a tile shows the same in both planes (H, W), up to gain, bias and noise."""
    noise = _noise(reference) + _noise(moving)
    fits = np.zeros(grid.shape, bool)
    for row, column, part in grid.parts():
        a, b = (plane[part].astype(np.float64) for plane in (reference, moving))
        a, b = a - a.mean(), b - b.mean()
        left = a - b * ((a * b).mean() / max(float((b * b).mean()), 1e-12))
        fits[row, column] = (left**2).mean() <= _UNLIKE * (a**2).mean() + 4 * noise
    return fits


def _spread(values: Float64) -> Float64:
    """Sums over neighbours (rows, columns, K), weighed by a Gaussian of one tile."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, (1, 1, 0), mode="constant", truncate=8), np.float64)


def _noise(plane: Float32) -> float:
    """Variance of white noise, from the median of the second differences both ways (Immerkaer, CVIU 64, 1996)."""
    across = plane[:, 2:] - 2 * plane[:, 1:-1] + plane[:, :-2]
    both = across[2:] - 2 * across[1:-1] + across[:-2]
    return float((1.4826 * np.median(np.abs(both))) ** 2 / 36)
