"""Resampling one plane to another size, bit for bit as libswscale does it with accurate_rnd+bitexact.

A filter is designed in 64-bit fixed point (kernel, support widened when shrinking, near-zero taps cut off, taps
beyond the border folded onto the edge sample), rounded to 14 bits along rows and 12 bits along columns with the
rounding error carried from tap to tap, and applied as two integer passes with a 15-bit picture between them
(19-bit for 16-bit samples). The centres of the pictures coincide; the same holds for chroma planes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError
from subpixel.frames import Frame, Plane

Kernel = Literal["bicubic", "bilinear", "area", "lanczos3", "lanczos4"]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Samples = npt.NDArray[Any]
Bank = tuple[Int64, Samples]  # positions (target,) and weights (target, taps)

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
    inner = 19 if depth > 14 else 15
    across, down = _bank(plane.shape[1], width, kernel, 1 << 14), _bank(plane.shape[0], height, kernel, 1 << 12)
    middle: Samples = np.empty((plane.shape[0], width), np.int32 if inner == 15 else np.int64)
    _along_x(plane, across, middle, functools.partial(_to_middle, shift=depth + 14 - inner, peak=(1 << inner) - 1))
    out = np.empty((height, width), plane.dtype)
    _along_y(middle, down, out, functools.partial(_to_codes, shift=inner + 12 - depth, peak=(1 << depth) - 1))
    return out


def resize_real(picture: Float32, width: int, height: int, *, kernel: Kernel = "bicubic") -> Float32:
    """The filters of `resize` in float32, neither rounded nor clipped: (h, w) to (height, width), linear."""
    h, w = picture.shape
    across, down = _real_bank(w, width, kernel), _real_bank(h, height, kernel)
    if height < h:  # the cheaper order
        less = _along_y(picture, down, np.empty((height, w), np.float32), _copy)
        return _along_x(less, across, np.empty((height, width), np.float32), _copy)
    middle = _along_x(picture, across, np.empty((h, width), np.float32), _copy)
    return _along_y(middle, down, np.empty((height, width), np.float32), _copy)


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


def _real_bank(source: int, target: int, kernel: Kernel) -> Bank:
    positions, weights = taps(source, target, kernel)
    return positions, weights.astype(np.float32)


@functools.lru_cache(maxsize=64)
def _bank(source: int, target: int, kernel: Kernel, one: int) -> Bank:
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


def _along_x(plane: Samples, bank: Bank, out: Samples, finish: Callable[[Samples, Samples], None]) -> Samples:
    """Horizontal pass in the arithmetic of `out`; `finish` brings the sums of some rows into it."""
    for top in range(0, len(out), _STRIP):
        strip = np.ascontiguousarray(plane[top : top + _STRIP].T.astype(out.dtype))
        finish(_combine(strip, *bank), out[top : top + _STRIP].T)
    return out


def _along_y(rows: Samples, bank: Bank, out: Samples, finish: Callable[[Samples, Samples], None]) -> Samples:
    """Vertical pass in the arithmetic of `rows`; `finish` brings the sums of some rows into `out`."""
    positions, weights = bank
    height = max(1, _BLOCK // rows.shape[1])
    for top in range(0, len(out), height):
        part = slice(top, top + height)
        finish(_combine(rows, positions[part], weights[part]), out[part])
    return out


def _combine(rows: Samples, positions: Int64, weights: Samples) -> Samples:
    """Sum over j of weights[i, j] * rows[positions[i] + j], for every i."""
    total = np.zeros((len(positions), rows.shape[1]), rows.dtype)
    part = np.empty_like(total)
    for tap in range(weights.shape[1]):
        np.take(rows, positions + tap, axis=0, out=part, mode="clip")
        part *= weights[:, tap, None]
        total += part
    return total


def _copy(sums: Samples, out: Samples) -> None:
    out[:] = sums


def _to_middle(sums: Samples, out: Samples, shift: int, peak: int) -> None:
    sums >>= shift
    np.minimum(sums, peak, out=out)


def _to_codes(sums: Samples, out: Samples, shift: int, peak: int) -> None:
    sums += 1 << (shift - 1)
    sums >>= shift
    np.clip(sums, 0, peak, out=out, casting="unsafe")
