"""What one motion cannot explain: how single tiles of two aligned pictures lie apart, and which do not fit at all."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.multiframe import tone
from subpixel.multiframe.render import comparable, luma, rendered, shrunk
from subpixel.register import Motion

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

SIDE = 32  # pixels of a tile that is judged
PASSES = (64, 2.0), (32, 1.0), (16, 1.0), (16, 0.0)  # side of the tiles and blur of what is compared, in pixels
_FURTHEST = 2.5  # pixels a tile may be off in one pass
_LEAST = 100  # samples of a tile that can be compared
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


def residual(picture: Float32, low: Float32, motion: Motion, scale: int) -> Float32:
    """(scale H, scale W, 2): what a homography from the fine grid to a picture (h, w, 3) leaves against low (H, W, 3).

    (dx, dy) in pixels of the fine grid: what low shows at p is in the picture at motion(p + flow(p)). Large tiles
    first, blurred, then smaller ones, each on the picture rendered by what is known.
    """
    height, width = low.shape[:2]
    flow = np.zeros((height * scale, width * scale, 2), np.float32)
    mine = luma(low)
    for side, blur in PASSES:
        fine, valid = rendered(picture, followed(motion, flow), (height, width), scale)
        seen = shrunk(fine, scale)
        where = comparable(low, valid)
        toned = tone.match(seen, mine[..., None], where).apply(seen)[..., 0]
        grid = tiles(height, width, side)
        flow += grid.dense(_steps(luma(fine), toned, mine, where, grid, blur), height, width, scale)
    return flow


def followed(motion: Motion, flow: Float32) -> Motion:
    """A homography, applied after a flow (sH, sW, 2) on its own grid, as one flow."""
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float64)
    here = np.stack([x, y], -1)
    there = motion.points((here + flow).reshape(-1, 2)).reshape(height, width, 2)
    return Motion("flow", flow=(there - here).astype(np.float32), rmse=motion.rmse)


def _steps(fine: Float32, toned: Float32, low: Float32, where: Array, grid: Tiles, blur: float) -> Float64:
    """(rows, columns, 2): by how many pixels of the fine grid each tile still is off, as far as that is sure.

    fine: luma on the fine grid; toned: the same, shrunk, in the tones of low (H, W); where: what may be compared. One
    step of Lucas & Kanade with the slopes of the fine picture, shortened to (1 - 6 / z^2) of it (James & Stein, 1961),
    z^2 what the step explains over the variance of what it leaves: 2 on average where there is noise alone. A tile
    that knows little takes the step of its neighbours.
    """
    scale = fine.shape[0] // low.shape[0]
    gain = float(np.polyfit(shrunk(fine, scale)[where], toned[where], 1)[0])
    down, across = (gain * shrunk(np.asarray(plane, np.float32), scale) for plane in np.gradient(fine))
    planes = [_blurred(np.where(where, plane, 0.0), blur) for plane in (across, down, low - toned)]
    far = np.zeros((*grid.shape, 2))
    weights = np.zeros(grid.shape)
    for row, column, part in grid.parts():
        inside = where[part]
        if inside.sum() < _LEAST:
            continue
        x, y, error = (plane[part][inside] - plane[part][inside].mean() for plane in planes)
        normal = np.array([[x @ x, x @ y], [x @ y, y @ y]])
        if np.linalg.det(normal) <= 1e-6 * np.trace(normal) ** 2:
            continue
        step = np.linalg.solve(normal, [x @ error, y @ error])
        explained = float(step @ normal @ step)
        # Blurred noise is alike over 4 pi blur^2 samples.
        noise = (float(error @ error) - explained) / error.size * (1 + 4 * math.pi * blur**2)
        if explained > 6 * noise and math.hypot(*step) < _FURTHEST * scale:
            far[row, column] = step * (1 - 6 * noise / explained)
        weights[row, column] = np.linalg.det(normal) / np.trace(normal) / noise
    near = _spread(far * weights[..., None]) / np.maximum(_spread(weights[..., None]), 1e-12)
    own = (weights / (weights + 0.1 * np.median(weights) + 1e-12))[..., None]
    return np.asarray(own * far + (1 - own) * near, np.float64)


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


def _blurred(plane: Array, deviation: float) -> Float64:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(plane.astype(np.float64), deviation), np.float64)


def _noise(plane: Float32) -> float:
    """Variance of white noise, from the median of the second differences both ways (Immerkaer, CVIU 64, 1996)."""
    across = plane[:, 2:] - 2 * plane[:, 1:-1] + plane[:, :-2]
    both = across[2:] - 2 * across[1:-1] + across[:-2]
    return float((1.4826 * np.median(np.abs(both))) ** 2 / 36)
