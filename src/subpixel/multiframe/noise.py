"""How noisy samples are: variance = a * signal + b, estimated from the pictures themselves.

The signal is 0 for darkness and 1 for white; a is the photons' share (shot noise), b what remains in the dark.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[Any]  # float32
Noise = tuple[float, float]

_BLOCK = 16
_QUIET = 0.2  # share of the blocks of about one brightness that is taken to be without detail
# Second differences along both axes: blind to anything linear; sum of squares 36 (Immerkaer 1996).
_DIFFERENCE = np.array([1, -2, 1], np.float32)
LEAST = (1 / 1023) ** 2 / 12  # variance of rounding to 10 bits


def estimate(planes: Iterable[Float]) -> Noise:
    """(a, b) of pictures or colours of pictures (height, width), all of one camera at one setting.

    In blocks of 16 x 16 pixels the variance is measured by second differences, which see no gradients, and detail by
    what remains after a blur, in which noise is small; the blocks with the least detail at each brightness count. The
    line through them is fitted with both terms at least 0 (after Foi et al. 2008). Blocks near white are left out.
    """
    found = [_blocks(plane) for plane in planes if min(plane.shape) >= 2 * _BLOCK]
    if not found:
        return 0.0, LEAST
    signal, variance, detail = (np.concatenate(part) for part in zip(*found, strict=True))
    usable = (signal > 0.002) & (signal < 0.9)
    if usable.sum() < 8:
        usable = np.ones_like(usable)
    return _line(*_quiet(signal[usable], variance[usable], detail[usable]))


def from_residuals(signal: Float, residual: Float) -> Noise:
    """(a, b) of the differences (n,) between samples and what was expected of them, `signal` (n,); few may be wild."""
    bins = np.array_split(np.argsort(signal), 12)
    middle = np.array([np.median(signal[members]) for members in bins], np.float32)
    spread = np.array([(np.median(np.abs(residual[members])) / 0.6745) ** 2 for members in bins], np.float32)
    usable = middle < 0.9
    usable = usable if usable.any() else np.ones_like(usable)
    return _line(middle[usable], spread[usable], np.ones(int(usable.sum()), np.float32))


def variance(signal: Float, noise: Noise) -> Float:
    """Variance of samples of this brightness (any shape)."""
    return np.float32(noise[0]) * np.maximum(signal, 0) + np.float32(max(noise[1], 1e-9))


def _blocks(plane: Float) -> tuple[Float, Float, Float]:
    """(signal, variance, detail), each (blocks,)."""
    rough = cv2.sepFilter2D(plane, cv2.CV_32F, _DIFFERENCE, _DIFFERENCE)
    smooth = cv2.GaussianBlur(plane, (0, 0), 2.0)
    return _mean(plane), _mean(rough * rough) / 36, _mean(smooth * smooth) - _mean(smooth) ** 2


def _mean(plane: Float) -> Float:
    height, width = (side // _BLOCK * _BLOCK for side in plane.shape)
    blocks = plane[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    means: Float = blocks.mean((1, 3)).ravel()
    return means


def _quiet(signal: Float, variance: Float, detail: Float) -> tuple[Float, Float, Float]:
    """Median (signal, variance) of the quietest blocks at each of up to 12 brightnesses, and how many they were."""
    bins = np.array_split(np.argsort(signal), min(12, max(1, len(signal) // 10)))
    rows = []
    for members in bins:
        quiet = members[np.argsort(detail[members])[: max(3, round(_QUIET * len(members)))]]
        rows.append((np.median(signal[quiet]), np.median(variance[quiet]), len(quiet)))
    return tuple(np.array(column, np.float32) for column in zip(*rows, strict=True))  # type: ignore[return-value]


def _line(signal: Float, variance: Float, count: Float) -> Noise:
    """(a, b) with a, b >= 0: least squares, each point weighted by the inverse of its own variance, robustly."""
    weight = np.ones(len(signal))
    a, b = 0.0, float(np.median(variance))
    for _ in range(10):
        expected = np.maximum(a * signal + b, LEAST)
        spread = np.clip(np.abs(variance - expected) / expected, 0.05, None)
        weight = count / (expected**2 * spread)
        a, b = _positive(signal.astype(float), variance.astype(float), weight)
    return a, max(b, LEAST if a == 0 else 0.1 * LEAST)


def _positive(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], w: npt.NDArray[np.float64]) -> Noise:
    sw, sx, sy = w.sum(), (w * x).sum(), (w * y).sum()
    sxx, sxy = (w * x * x).sum(), (w * x * y).sum()
    bottom = sw * sxx - sx * sx
    a = (sw * sxy - sx * sy) / bottom if bottom > 1e-9 * sw * sxx else 0.0
    if a <= 0:
        return 0.0, float(sy / sw)
    b = (sy - a * sx) / sw
    return (float(a), float(b)) if b >= 0 else (float(sxy / sxx), 0.0)
