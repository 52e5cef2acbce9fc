"""Resampling one plane to another size, bit for bit as libswscale does it with accurate_rnd+bitexact.

A filter is designed in 64-bit fixed point (kernel, support widened when shrinking, near-zero taps cut off, taps
beyond the border folded onto the edge sample), rounded to 14 bits along rows and 12 bits along columns with the
rounding error carried from tap to tap, and applied as two integer passes with a 15-bit picture between them
(19-bit for 16-bit samples). The centres of the pictures coincide; the same holds for chroma planes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError
from subpixel.frames import Frame, Plane

Kernel = Literal["bicubic", "bilinear", "area", "lanczos3", "lanczos4"]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32] | npt.NDArray[np.int64]

_ONE = 1 << 30  # a distance of one source sample
_CUTOFF = 0.002  # taps whose magnitudes add up to less than this are dropped at both ends
_STRIP = 64  # rows filtered at a time along x
_BLOCK = 1 << 16  # samples filtered at a time along y: what stays in the cache


def resize(plane: Plane, width: int, height: int, *, kernel: Kernel = "bicubic", bits: int | None = None) -> Plane:
    """Resample a plane to (height, width), same dtype and value range.

    plane: (h, w) code values, uint8 or uint16; bits: significant bits, 8 or 16 by the dtype where not given.
    kernel: "bicubic" is a = -0.6; "lanczos3" is swscale's lanczos, "lanczos4" its `param0=4`; "area" only shrinks.
    Raises UsageError for an unknown kernel or an empty size.
    """
    depth = bits or 8 * plane.dtype.itemsize
    across = _bank(plane.shape[1], width, kernel, 1 << 14)
    down = _bank(plane.shape[0], height, kernel, 1 << 12)
    inner = 19 if depth > 14 else 15
    middle = _along_x(plane, across, depth + 14 - inner, (1 << inner) - 1)
    return _along_y(middle, down, inner + 12 - depth, (1 << depth) - 1, plane.dtype)


def resize_frame(frame: Frame, width: int, height: int, *, kernel: Kernel = "bicubic") -> Frame:
    """Resample every plane of a frame, chroma and alpha too; QP and motion, bound to the old grid, are dropped."""
    sizes = (frame.layout.plane_size(index, width, height) for index in range(len(frame.planes)))
    planes = tuple(
        resize(plane, w, h, kernel=kernel, bits=frame.layout.bits)
        for plane, (h, w) in zip(frame.planes, sizes, strict=True)
    )
    return frame.replace(planes=planes, qp=None, motion=None)


@functools.lru_cache(maxsize=64)
def taps(source: int, target: int, kernel: Kernel = "bicubic") -> tuple[Int64, Float64]:
    """The filter before it is rounded: out[i] = sum_j weights[i, j] * in[positions[i] + j].

    Returns positions (target,) and weights (target, n), rows of which sum to 1, for a line of `source` samples.
    """
    positions, weights = _design(source, target, kernel)
    return positions, weights / weights.sum(axis=1, keepdims=True)


@functools.lru_cache(maxsize=64)
def _bank(source: int, target: int, kernel: Kernel, one: int) -> tuple[Int64, npt.NDArray[np.int32]]:
    """Taps as integers that sum to `one`, the rounding error of each carried to the next."""
    positions, weights = _design(source, target, kernel)
    total = (weights.sum(axis=1) + one // 2) // one
    rounded = np.zeros(weights.shape, np.int32)
    error = np.zeros(target, np.int64)
    for tap in range(weights.shape[1]):
        value = weights[:, tap] + error
        rounded[:, tap] = np.sign(value) * ((np.abs(value) + (total >> 1)) // total)
        error = value - rounded[:, tap] * total
    return positions, rounded


def _design(source: int, target: int, kernel: Kernel) -> tuple[Int64, Int64]:
    """Fixed-point taps of libswscale's initFilter, folded into the line at both ends."""
    if source < 1 or target < 1:
        raise UsageError(f"A line of {source} samples cannot become {target}; both must be at least 1.")
    step = ((source << 16) + (target >> 1)) // target
    if abs(step - (1 << 16)) < 10:
        return _fold(np.arange(target), np.ones((target, 1), np.int64) << 54, source)
    reach, shape = _kernel(kernel, step)
    size = 1 + reach if step <= 1 << 16 else 1 + -(-reach * source // target)
    size = max(1, min(size, source - 2))
    centre = step - (1 << 16) + 2 * step * np.arange(target, dtype=np.int64)  # in 1/2^17 of a sample
    first = np.trunc((centre - (size - 2) * (1 << 16)) / (1 << 17)).astype(np.int64)
    distance = np.abs(((first[:, None] + np.arange(size)) << 17) - centre[:, None]) << 13
    if step > 1 << 16:
        distance = distance * target // source
    fone = 1 << (54 - min((source // target).bit_length() - 1 if source >= target else 0, 8))
    return _fold(*_trim(first, shape(distance, fone), _CUTOFF * fone), source)


def _kernel(kernel: Kernel, step: int) -> tuple[int, Callable[[Int64, int], Int64]]:
    """Width in samples at unit scale, and the function of (distance in 1/2^30, the value of one)."""
    if kernel == "bicubic":
        return 4, _bicubic
    if kernel == "bilinear":
        return 2, lambda distance, one: np.maximum(_ONE - distance, 0) * (one >> 30)
    if kernel == "area" and step >= 1 << 16:
        return 1, functools.partial(_area, step=step)
    if kernel in ("lanczos3", "lanczos4"):
        lobes = int(kernel[-1])
        return 2 * lobes, lambda distance, one: _lanczos(distance, one, lobes)
    if kernel == "area":
        raise UsageError("The area kernel only shrinks; choose bicubic or lanczos4 to enlarge.")
    raise UsageError(f"There is no kernel {kernel!r}; choose bicubic, bilinear, area, lanczos3 or lanczos4.")


def _bicubic(distance: Int64, one: int) -> Int64:
    """Keys' cubic with B = 0, C = 0.6 (a = -0.6), times 6."""
    unit, c = 1 << 24, int(0.6 * (1 << 24))
    square = distance * distance >> 30
    cube = square * distance >> 30
    near = (12 * unit - 6 * c) * cube + (-18 * unit + 6 * c) * square + 6 * unit * _ONE
    far = -6 * c * cube + 30 * c * square - 48 * c * distance + 24 * c * _ONE
    value = np.where(distance < _ONE, near, np.where(distance < 2 * _ONE, far, 0))
    coefficients: Int64 = np.sign(value) * (np.abs(value) // ((1 << 54) // one))
    return coefficients


def _area(distance: Int64, one: int, step: int) -> Int64:
    """Overlap of the source sample with the target sample's footprint."""
    half = 1 << (29 + 16)
    offset = (distance - (1 << 29)) * step
    return np.clip(half - offset, 0, 2 * half) * (one >> (30 + 16))


def _lanczos(distance: Int64, one: int, lobes: int) -> Int64:
    """Sinc windowed by the central lobe of a sinc `lobes` times as wide (Duchon 1979)."""
    x = distance / _ONE
    value = np.where(x > lobes, 0, np.sinc(x) * np.sinc(x / lobes))
    return (value * one).astype(np.int64)


def _trim(first: Int64, weights: Int64, cutoff: float) -> tuple[Int64, Int64]:
    """Cut near-zero taps off both ends, keeping the positions in order."""
    size = weights.shape[1]
    magnitude = np.abs(weights)
    spare = (np.cumsum(magnitude, axis=1) <= cutoff).sum(axis=1)
    moved = first + spare
    for i in range(len(first) - 2, -1, -1):
        moved[i] = min(moved[i], max(first[i], moved[i + 1]))
    index = np.arange(size) + (moved - first)[:, None]
    weights = np.where(index < size, np.take_along_axis(weights, np.minimum(index, size - 1), axis=1), 0)
    tail = np.cumsum(np.abs(weights[:, :0:-1]), axis=1) <= cutoff
    return moved, weights[:, : int((size - tail.sum(axis=1)).max())]


def _fold(first: Int64, weights: Int64, source: int) -> tuple[Int64, Int64]:
    """Add taps that fall outside the line to its first or last sample."""
    size = min(weights.shape[1], source)
    start = np.clip(first, 0, source - size)
    where = np.clip(first[:, None] + np.arange(weights.shape[1]), 0, source - 1) - start[:, None]
    folded = np.zeros((len(first), size), np.int64)
    np.add.at(folded, (np.arange(len(first))[:, None], where), weights)
    return start, folded


def _combine(rows: Ints, positions: Int64, weights: npt.NDArray[np.int32], start: int) -> Ints:
    """start + sum over j of weights[i, j] * rows[positions[i] + j], for every i."""
    total = np.full((len(positions), rows.shape[1]), start, rows.dtype)
    part = np.empty_like(total)
    for tap in range(weights.shape[1]):
        np.take(rows, positions + tap, axis=0, out=part, mode="clip")
        part *= weights[:, tap, None]
        total += part
    return total


def _along_x(plane: Plane, bank: tuple[Int64, npt.NDArray[np.int32]], shift: int, peak: int) -> Ints:
    """Horizontal pass: (h, w) code values to (h, width) of `peak` + 1 levels."""
    out = np.empty((plane.shape[0], len(bank[0])), np.int32 if peak < 1 << 15 else np.int64)
    for top in range(0, len(out), _STRIP):
        strip = np.ascontiguousarray(plane[top : top + _STRIP].T.astype(np.int32))
        total = _combine(strip, *bank, 0)
        total >>= shift
        np.minimum(total, peak, out=out[top : top + _STRIP].T)
    return out


def _along_y(middle: Ints, bank: tuple[Int64, npt.NDArray[np.int32]], shift: int, peak: int, dtype: np.dtype) -> Plane:
    """Vertical pass: rounded and clipped to code values 0..peak."""
    positions, weights = bank
    out = np.empty((len(positions), middle.shape[1]), dtype)
    rows = max(1, _BLOCK // middle.shape[1])
    for top in range(0, len(out), rows):
        part = slice(top, top + rows)
        total = _combine(middle, positions[part], weights[part], 1 << (shift - 1))
        total >>= shift
        np.clip(total, 0, peak, out=out[part], casting="unsafe")
    return out
