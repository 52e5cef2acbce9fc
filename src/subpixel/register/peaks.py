"""Registration by the peak of a correlation surface: coarse, but it needs no start.

Phase correlation: Kuglin & Hines, IEEE Conf. Cybernetics and Society, 1975. Its sub-pixel forms: parabola through three
samples; Foroosh, Zerubia & Berthod, IEEE Trans. Image Processing 11, 2002; matrix-multiplied DFT around the peak,
Guizar-Sicairos, Thurman & Fienup, Optics Letters 33, 2008. Under aliasing all of them are biased by 0.02 to 0.3 pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from subpixel.register.groups import rescaled
from subpixel.register.motion import Array, Float32, Float64
from subpixel.register.planes import reduced

CANDIDATES = 4  # peaks that are looked at where the highest turns out wrong


@functools.lru_cache(maxsize=8)
def hann(height: int, width: int) -> Float32:
    """(height, width): the product of two Hann windows; not to be changed."""
    return np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)


def spectrum(reference: Float32, moving: Float32, *, normalised: bool = True) -> Array:
    """The cross-power spectrum of two planes (H, W) under a Hann window: (H, W // 2 + 1) complex64.

    normalised: phases only, which is phase correlation; else plain cross-correlation.
    """
    from scipy import fft

    window = hann(*reference.shape)
    mine, theirs = (fft.rfft2((plane - plane.mean()) * window) for plane in (reference, moving))
    cross = np.conj(mine) * theirs
    if normalised:
        magnitude = np.abs(cross)
        cross /= magnitude + 1e-6 * float(magnitude.max()) + np.finfo(np.float32).tiny
    return np.asarray(cross)


def surface(cross: Array, shape: tuple[int, ...]) -> Float32:
    """The correlation (H, W) of a cross-power spectrum: sample (y, x) belongs to a shift of (x, y), modulo the size."""
    from scipy import fft

    return np.asarray(fft.irfft2(cross, shape), np.float32)


def tops(correlation: Float32) -> Iterator[tuple[int, int]]:
    """(dx, dy) of the highest samples, best first, each within half the picture's size and 2 pixels from the others."""
    height, width = correlation.shape
    left = correlation.copy()
    for _ in range(CANDIDATES):
        y, x = divmod(int(left.argmax()), width)
        yield x - width * (x > width // 2), y - height * (y > height // 2)
        left[np.ix_(np.arange(y - 2, y + 3) % height, np.arange(x - 2, x + 3) % width)] = -np.inf


def starts(reference: Float32, moving: Float32, step: int) -> Iterator[Float64]:
    """Matrices (3, 3) of the likeliest shifts, found on pictures `step` times smaller; then those of their wraps."""
    small, other = reduced(reference, step), reduced(moving, step)
    height, width = small.shape
    found = []
    for dx, dy in tops(surface(spectrum(small, other), small.shape)):
        found.append((dx, dy))
        yield rescaled(np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1.0]]), step)
    for dx, dy in found[:2]:  # a correlation is cyclic: -0.6 of the width looks like 0.4 of it
        for x, y in ((dx - np.copysign(width, dx), dy), (dx, dy - np.copysign(height, dy))):
            if abs(x) < 0.8 * width and abs(y) < 0.8 * height:
                yield rescaled(np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]]), step)


def repeats(plane: Float32) -> Iterator[tuple[int, int]]:
    """(dx, dy) by which a plane (H, W) looks like itself: the highest tops of its autocorrelation, above a half."""
    cross = spectrum(plane, plane, normalised=False)
    u, v = np.arange(cross.shape[1]) / plane.shape[1], np.fft.fftfreq(plane.shape[0])[:, None]
    r = u * u + v * v
    correlation = surface(cross * r * np.exp(-60 * r), plane.shape)  # slopes, without most of the noise
    for dx, dy in tops(correlation):
        if correlation[dy, dx] > 0.5 * correlation[0, 0] and max(abs(dx), abs(dy)) > 3:
            yield dx, dy


def parabola(reference: Float32, moving: Float32) -> tuple[float, float]:
    """(dx, dy) of the top of parabolas through the highest sample of the phase correlation and its neighbours."""
    correlation, (dx, dy) = _peak(reference, moving)
    across, down = _neighbours(correlation, dx, dy)
    return dx + _top(across), dy + _top(down)


def _top(three: Array) -> float:
    before, here, after = (float(value) for value in three)
    curve = before - 2 * here + after
    return 0.0 if curve >= 0 else min(max((before - after) / (2 * curve), -0.5), 0.5)


def foroosh(reference: Float32, moving: Float32) -> tuple[float, float]:
    """(dx, dy) from the ratio of the two highest samples in x and in y, which are those of a sinc."""
    correlation, (dx, dy) = _peak(reference, moving)
    across, down = _neighbours(correlation, dx, dy)
    return dx + _ratio(across), dy + _ratio(down)


def _ratio(three: Array) -> float:
    before, here, after = (float(value) for value in three)
    side, sign = (after, 1) if after > before else (before, -1)
    return sign * side / (side + here) if side > 0 and here > 0 else 0.0


def zoomed(reference: Float32, moving: Float32) -> tuple[float, float]:
    """(dx, dy) of the cross-correlation's top, looked at in steps down to 1/1000 pixel by a DFT of few samples."""
    cross = spectrum(reference, moving, normalised=False)
    found = np.array(next(tops(surface(cross, reference.shape))), np.float64)
    for pitch in (0.1, 0.01, 0.001):
        found = np.add(found, _best(cross, reference.shape, found, np.linspace(-15, 15, 31) * pitch))
    return float(found[0]), float(found[1])


def _best(cross: Array, shape: tuple[int, ...], around: Float64, offsets: Float64) -> Float64:
    """(dx, dy) among the offsets in x and in y where the correlation is highest."""
    height, width = shape
    u, v = np.arange(width // 2 + 1) / width, np.fft.fftfreq(height)
    twice = np.where((u == 0) | (u == 0.5), 1.0, 2.0)  # the half of the spectrum that is left out is its mirror
    across = np.exp(2j * np.pi * np.outer(u, around[0] + offsets)) * twice[:, None]
    down = np.exp(2j * np.pi * np.outer(around[1] + offsets, v))
    values = (down @ cross @ across).real
    y, x = np.unravel_index(int(values.argmax()), values.shape)
    return np.array([offsets[x], offsets[y]])


def _peak(reference: Float32, moving: Float32) -> tuple[Float32, tuple[int, int]]:
    correlation = surface(spectrum(reference, moving), reference.shape)
    return correlation, next(tops(correlation))


def _neighbours(correlation: Float32, dx: int, dy: int) -> tuple[Array, Array]:
    """Three samples in x and three in y around a peak."""
    height, width = correlation.shape
    around = np.arange(-1, 2)
    return correlation[dy % height, (dx + around) % width], correlation[(dy + around) % height, dx % width]
