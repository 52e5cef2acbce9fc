"""Pictures between their pixels: band-limited shifts, and moving pictures seen on the reference's grid.

OpenCV's own cubic and Lanczos warps displace what they show by up to 0.05 pixels, so none of them is used here.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import numpy as np

from subpixel.errors import UsageError
from subpixel.register.motion import Array, Float32, Float64, Motion, grid

Kernel = Literal["sinc", "linear", "cubic"]

REACH = 5  # half the taps of the sinc
BETA = 6.0  # of its Kaiser window: signals up to 0.35 cycles a pixel keep their amplitude to 0.2 %
STRIP = 1 << 16  # positions sampled at once


def sinc(offset: Array) -> Float64:
    """The Kaiser-windowed sinc at offsets in pixels, 0 from `REACH` on (Kaiser & Schafer, 1980)."""
    from scipy.special import i0

    inside = np.sqrt(np.clip(1 - np.square(np.asarray(offset, np.float64) / REACH), 0, None))
    return np.asarray(np.sinc(offset) * i0(BETA * inside) / i0(BETA) * (np.abs(offset) < REACH), np.float64)


def cubic(offset: Array) -> Float64:
    """Keys' cubic with a = -0.5 at offsets in pixels (Keys, IEEE Trans. ASSP 29, 1981)."""
    t = np.abs(np.asarray(offset, np.float64))
    near, far = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.asarray(np.where(t < 1, near, np.where(t < 2, far, 0.0)), np.float64)


def linear(offset: Array) -> Float64:
    """The triangle of linear interpolation at offsets in pixels."""
    return np.asarray(np.clip(1 - np.abs(np.asarray(offset, np.float64)), 0, None), np.float64)


KERNELS = {"sinc": (sinc, REACH), "cubic": (cubic, 2), "linear": (linear, 1)}


def taps(fraction: float) -> tuple[Float64, int]:
    """The 10 weights, of sum 1, that sample at x + fraction, and the index of the one at x; fraction in [-4, 4]."""
    base = math.floor(fraction)
    weights = np.interp(np.arange(base + 1 - REACH, base + 1 + REACH) - fraction, *_table())
    return weights / weights.sum(), REACH - 1 - base


@functools.cache
def _table() -> tuple[Float64, Float64]:
    """Offsets and values of the sinc, so dense that a line between two of them is right to 3e-7."""
    offsets = np.linspace(-REACH, REACH, 2 * REACH * 2048 + 1)
    return offsets, sinc(offsets)


def sampled(plane: Float32, across: float, down: float) -> Float32:
    """float32 (H, W[, C]) sampled at (x + across, y + down), both in [-4, 4]; the border is mirrored."""
    import cv2

    (x, at_x), (y, at_y) = taps(across), taps(down)
    return np.asarray(cv2.sepFilter2D(plane, cv2.CV_32F, x, y, anchor=(at_x, at_y)), np.float32)


def shift_picture(picture: Array, dx: float, dy: float) -> Float32:
    """The picture (H, W) or (H, W, 3), of any real type, moved by dx pixels to the right and dy down, as float32.

    Band-limited interpolation by a separable 10-tap Kaiser sinc; what enters mirrors the border. What was at (x, y) is
    then at (x + dx, y + dy), so that `register(picture, shift_picture(picture, dx, dy))` finds (dx, dy).
    """
    plane = np.asarray(picture, np.float32)
    right, lower = round(dx), round(dy)
    if right or lower:
        height, width = plane.shape[:2]
        plane = plane[np.ix_(_mirrored(height, lower), _mirrored(width, right))]
    if dx == right and dy == lower:
        return plane.copy()
    return sampled(np.ascontiguousarray(plane), right - dx, lower - dy)


def _mirrored(size: int, shift: int) -> Array:
    """Indices that move `size` samples by `shift`, mirroring what lies outside without repeating the border."""
    period = max(2 * size - 2, 1)
    index = (np.arange(size) - shift) % period
    return np.minimum(index, period - index)


def warp(
    picture: Array,
    motion: Motion,
    *,
    shape: tuple[int, int] | None = None,
    kernel: Kernel = "sinc",
    fill: float = math.nan,
) -> tuple[Float32, Array]:
    """A moving picture seen on the reference's grid, and where that is known.

    picture: (H, W) or (H, W, 3) of any real type. motion: from the reference to this picture. shape: (height, width)
    of the reference's grid, by default the picture's own. Returns float32 (height, width[, 3]) in the picture's sample
    values, and (height, width) bool: whether the position lies inside the moving picture; elsewhere the samples are
    `fill`. "sinc" is the 10-tap Kaiser sinc, "cubic" Keys' with a = -0.5, "linear" for flows that are rough themselves;
    near the border the picture is mirrored. Raises UsageError for another kernel, or a flow of another shape.
    """
    if kernel not in KERNELS:
        raise UsageError(f"There is no kernel {kernel!r}; choose {', '.join(KERNELS)}.")
    source = np.asarray(picture, np.float32)
    height, width = shape or source.shape[:2]
    if motion.flow is not None and motion.flow.shape[:2] != (height, width):
        have = f"{motion.flow.shape[1]}x{motion.flow.shape[0]}"
        raise UsageError(f"This flow is for {have} pictures, not {width}x{height}; scale it by Motion.scaled.")
    out = np.full((height, width, *source.shape[2:]), fill, np.float32)
    valid = np.zeros((height, width), bool)
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        where = _positions(motion, top, bottom, width)
        inside = _inside(where, source.shape[:2])
        valid[top:bottom] = inside.reshape(-1, width)
        out[top:bottom][valid[top:bottom]] = at(source, where[inside], kernel)
    return out, valid


def _positions(motion: Motion, top: int, bottom: int, width: int) -> Float64:
    """Where the reference's rows from top to bottom are found, (N, 2)."""
    here = grid(bottom - top, width) + np.array([0.0, top])
    if motion.flow is not None:
        return np.asarray(here + motion.flow[top:bottom].reshape(-1, 2), np.float64)
    return motion.points(here)


def _inside(xy: Array, shape: tuple[int, ...]) -> Array:
    """Whether positions lie between the centres of the first and the last pixels; half a pixel is allowed."""
    slack = 1e-6
    return np.asarray(((xy >= -slack) & (xy <= np.array(shape[1::-1]) - 1 + slack)).all(1))


def at(plane: Float32, xy: Array, kernel: Kernel = "sinc") -> Float32:
    """The picture (H, W[, C]) at positions (N, 2), (N[, C]); the border is mirrored."""
    weigh, reach = KERNELS[kernel]
    padded = np.pad(plane, [(reach, reach)] * 2 + [(0, 0)] * (plane.ndim - 2), mode="reflect")
    base = np.floor(xy).astype(int)
    offsets = np.arange(1 - reach, 1 + reach)
    across, down = (weigh(offsets - (xy - base)[:, axis, None]) for axis in (0, 1))
    across, down = (w / w.sum(1, keepdims=True) for w in (across, down))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach, 2 * reach), axis=(0, 1))
    found = windows[base[:, 1] + 1, base[:, 0] + 1]
    return np.asarray(np.einsum("n...yx,ny,nx->n...", found, down, across, optimize=False), np.float32)


class Spline:
    """A plane (H, W) as cubic B-spline, for blurred planes as good as the sinc and faster at scattered positions."""

    def __init__(self, plane: Float32) -> None:
        from scipy import ndimage

        self.coefficients = ndimage.spline_filter(plane, 3, output=np.float32, mode="mirror")

    def at(self, x: Array, y: Array, margin: float = 0) -> tuple[Float32, Float32]:
        """The plane at positions x, y (h, w), and (h w,) 1 where they are inside by `margin` pixels, else 0."""
        from scipy import ndimage

        height, width = self.coefficients.shape
        seen = ndimage.map_coordinates(self.coefficients, [y, x], np.float32, order=3, mode="mirror", prefilter=False)
        within = (x >= margin) & (x <= width - 1 - margin) & (y >= margin) & (y <= height - 1 - margin)
        return seen, within.ravel().astype(np.float32)


def positions(matrix: Float64, shape: tuple[int, ...]) -> tuple[Float64, Float64]:
    """x and y, each (H, W), of where a matrix takes the pixels of a picture."""
    height, width = shape
    x, y = np.arange(width), np.arange(height)[:, None]
    across, down, depth = (row[0] * x + (row[1] * y + row[2]) for row in matrix)
    return across / depth, down / depth
