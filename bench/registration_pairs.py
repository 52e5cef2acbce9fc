"""Pairs of pictures whose motion is known, as a camera with too few pixels sees them."""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

Array = npt.NDArray[Any]
Pair = tuple[Array, Array, tuple[float, float]]  # reference, moving, (dx, dy): seen at (x + dx, y + dy) in moving

LUMA = np.array([0.299, 0.587, 0.114])


def picture(name: str | Path) -> Array:
    """Luma (H, W) in float64, 0 to 255, of a picture of scikit-image by name, an image file, or scipy's face.dat."""
    if str(name).endswith(".dat"):
        pixels = np.frombuffer(bz2.decompress(Path(name).read_bytes()), np.uint8).reshape(768, 1024, 3)
    elif Path(name).is_file():
        import cv2

        pixels = cv2.cvtColor(cv2.imread(str(name)), cv2.COLOR_BGR2RGB)
    else:
        from skimage import data

        pixels = getattr(data, str(name))()
    return pixels @ LUMA if pixels.ndim == 3 else pixels.astype(np.float64)


def moved(sharp: Array, shifts: Array) -> Iterator[Array]:
    """The picture (H, W) moved by each (dx, dy), band-limited; mirrored at its borders."""
    height, width = sharp.shape
    doubled = np.block([[sharp, sharp[:, ::-1]], [sharp[::-1], sharp[::-1, ::-1]]])
    spectrum = fft.rfft2(doubled)
    v, u = fft.fftfreq(2 * height)[:, None], fft.rfftfreq(2 * width)
    for dx, dy in shifts:
        phase = np.exp(-2j * np.pi * (u * dx + v * dy))
        yield fft.irfft2(spectrum * phase, doubled.shape)[:height, :width]


def pairs(
    sharp: Array,
    *,
    count: int,
    sigma: float,
    factor: int = 4,
    reach: float = 3.0,
    antialiased: bool = False,
    seed: int = 0,
) -> Iterator[Pair]:
    """Pairs of uint8 pictures `factor` times smaller, the second moved by up to `reach` of their pixels.

    Moved as band-limited signal, cropped by 16, shrunk by means of factor x factor (or antialiased bicubic), noise of
    `sigma` added to both, rounded to 8 bits. New content enters at the borders.
    """
    rng = np.random.default_rng(seed)
    shifts = rng.uniform(-reach, reach, (count, 2))
    (plain,) = moved(sharp, np.zeros((1, 2)))
    reference = small(plain, factor, antialiased)
    for (dx, dy), shifted in zip(shifts, moved(sharp, shifts * factor), strict=True):
        moving = small(shifted, factor, antialiased)
        noisy = [plane + rng.normal(0, sigma, plane.shape) for plane in (reference, moving)]
        first, second = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in noisy)
        yield first, second, (float(dx), float(dy))


def small(sharp: Array, factor: int, antialiased: bool) -> Array:
    """A picture without 16 pixels at each border, `factor` times smaller."""
    height, width = (side // factor * factor for side in (sharp.shape[0] - 32, sharp.shape[1] - 32))
    inner = sharp[16 : 16 + height, 16 : 16 + width]
    if antialiased:
        from PIL import Image

        image = Image.fromarray(inner.astype(np.float32))
        return np.asarray(image.resize((width // factor, height // factor), Image.Resampling.BICUBIC), np.float64)
    return inner.reshape(height // factor, factor, width // factor, factor).mean((1, 3))
