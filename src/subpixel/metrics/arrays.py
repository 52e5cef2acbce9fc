"""Squared error and structural similarity of two integer arrays: exact sums first, decibels last."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError

Integers = npt.NDArray[np.integer]

# Sizes of products that fit the first cache and that BLAS does not divide among threads, which would cost
# more than it gives, above all on a busy machine.
_BLOCK = 1 << 13
_BYTES = 1 << 16
_ROW = 256  # bytes whose squared differences add up to less than 2^24, so that float32 is exact
_STRIP = 32
_COLUMNS = 128
_RADIUS = 5


@dataclasses.dataclass(frozen=True, slots=True)
class SquaredError:
    """Sum of squared differences and the number of samples it was taken over, both exact."""

    sse: int = 0
    n: int = 0

    @classmethod
    def of(cls, a: Integers, b: Integers) -> SquaredError:
        """Between two integer arrays of one shape, up to 16 bits a sample (with sign)."""
        if a.shape != b.shape:
            raise UsageError(f"Arrays of shapes {a.shape} and {b.shape} cannot be compared sample by sample.")
        return cls(_squared_difference(a.reshape(-1), b.reshape(-1)), a.size)

    def __add__(self, other: SquaredError) -> SquaredError:
        return SquaredError(self.sse + other.sse, self.n + other.n)

    @property
    def mse(self) -> float:
        """Mean squared error; nan where nothing was measured."""
        return self.sse / self.n if self.n else math.nan

    @property
    def psnr(self) -> float:
        """Decibels for samples of 0 to 255; inf where both are identical, nan where nothing was measured."""
        return psnr(self.sse, self.n)


def psnr(sse: int, n: int) -> float:
    """10 log10(255^2 n / sse) of exact integers of any size: inf for sse = 0, nan for n = 0."""
    if n == 0:
        return math.nan
    return 10 * (math.log10(255**2 * n) - math.log10(sse)) if sse else math.inf


def _squared_difference(a: Integers, b: Integers) -> int:
    if a.dtype == b.dtype == np.uint8:
        return _squared_difference_of_bytes(a, b)
    # Every partial sum of a block is an integer below 2^53, so float64 is exact and the dot product is BLAS's.
    total = 0
    buffer = np.empty(min(_BLOCK, a.size))
    for start in range(0, a.size, _BLOCK):
        part = a[start : start + _BLOCK]
        difference = buffer[: part.size]
        np.subtract(part, b[start : start + _BLOCK], out=difference, dtype=np.float64)
        total += int(difference @ difference)
    return total


def _squared_difference_of_bytes(a: Integers, b: Integers) -> int:
    """The same, two and a half times as fast: |a - b| stays in bytes, and rows of 256 in float32."""
    total = 0
    low, values = np.empty(_BYTES, np.uint8), np.zeros(_BYTES, np.float32)
    for start in range(0, a.size, _BYTES):
        one, other = a[start : start + _BYTES], b[start : start + _BYTES]
        difference = np.maximum(one, other)
        difference -= np.minimum(one, other, out=low[: one.size])
        values[: one.size] = difference
        values[one.size :] = 0
        rows = values.reshape(-1, _ROW)
        total += int(np.vecdot(rows, rows).sum(dtype=np.float64))
    return total


def ssim(a: Integers, b: Integers, peak: int = 255) -> float:
    """Mean structural similarity of two planes (h, w) of 0 to `peak`; nan where a side is shorter than 11.

    Equals scikit-image's structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=peak) to about 1e-6.
    """
    if a.ndim != 2 or a.shape != b.shape:
        raise UsageError(f"SSIM compares two planes of one size, not arrays of shapes {a.shape} and {b.shape}.")
    height, width = int(a.shape[0]) - 2 * _RADIUS, int(a.shape[1]) - 2 * _RADIUS
    if min(height, width) < 1:
        return math.nan
    total = 0.0
    for top in range(0, height, _STRIP):
        rows = slice(top, min(top + _STRIP, height) + 2 * _RADIUS)
        total += _ssim_sum(*(np.divide(plane[rows], peak, dtype=np.float32) for plane in (a, b)))
    return total / (height * width)


def _ssim_sum(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> float:
    # Centred, because variances are differences of squares and float32 has 24 bits.
    offset_x, offset_y = x.mean(), y.mean()
    x, y = x - offset_x, y - offset_y
    mean_x, mean_y, squares, product = _blur(np.stack((x, y, x * x + y * y, x * y)))
    variances = squares - mean_x * mean_x - mean_y * mean_y
    covariance = product - mean_x * mean_y
    mean_x += offset_x
    mean_y += offset_y
    c1, c2 = np.float32(0.01**2), np.float32(0.03**2)
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    denominator = (mean_x * mean_x + mean_y * mean_y + c1) * (variances + c2)
    return float((numerator / denominator).sum(dtype=np.float64))


@functools.cache
def _band() -> npt.NDArray[np.float32]:
    """(32, 42): the 11 Gaussian weights on a diagonal, so that blurring is a product of matrices."""
    weights = np.exp(-0.5 * (np.arange(-_RADIUS, _RADIUS + 1) / 1.5) ** 2)
    band = np.zeros((_STRIP, _STRIP + 2 * _RADIUS), np.float32)
    for row in range(_STRIP):
        band[row, row : row + weights.size] = weights / weights.sum()
    return band


def _blur(maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(k, h + 10, w + 10), h at most 32 -> (k, h, w)."""
    count, height, width = maps.shape[0], maps.shape[1] - 2 * _RADIUS, maps.shape[2] - 2 * _RADIUS
    lines = np.empty((count, height, maps.shape[2]), np.float32)
    for part in _parts(maps.shape[2], _COLUMNS):
        np.matmul(_band()[:height, : maps.shape[1]], maps[:, :, part], out=lines[:, :, part])
    flat = lines.reshape(count * height, -1)
    out = np.empty((count * height, width), np.float32)
    for part in _parts(width, _STRIP):
        span = part.stop - part.start + 2 * _RADIUS
        np.matmul(flat[:, part.start : part.start + span], _band()[: span - 2 * _RADIUS, :span].T, out=out[:, part])
    return out.reshape(count, height, width)


def _parts(length: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]
