"""Registration by the peak of a correlation surface: coarse, but it needs no start.

Phase correlation: Kuglin & Hines, IEEE Conf. Cybernetics and Society, 1975. Its sub-pixel forms: parabola through three
samples; Foroosh, Zerubia & Berthod, IEEE Trans. Image Processing 11, 2002; matrix-multiplied DFT around the peak,
Guizar-Sicairos, Thurman & Fienup, Optics Letters 33, 2008. Under aliasing all of them are biased by 0.02 to 0.3 pixels.
"""

from __future__ import annotations

import numpy as np

from subpixel.register.motion import Array, Float32
from subpixel.register.planes import hann

FINE = 100  # parts of a pixel that "phase" looks at


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


def surface(cross: Array, shape: tuple[int, int]) -> Float32:
    """The correlation (H, W) of a cross-power spectrum: sample (y, x) belongs to a shift of (x, y), modulo the size."""
    from scipy import fft

    return np.asarray(fft.irfft2(cross, shape), np.float32)


def whole(correlation: Float32) -> tuple[int, int]:
    """(dx, dy) of the highest sample, each within half the picture's size."""
    height, width = correlation.shape
    dy, dx = divmod(int(correlation.argmax()), width)
    return dx - width * (dx > width // 2), dy - height * (dy > height // 2)
