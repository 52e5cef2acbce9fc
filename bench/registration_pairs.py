"""Pairs of pictures whose motion is known, as a camera with too few pixels sees them."""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

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


def about_middle(
    shape: tuple[int, int],
    *,
    turn: float = 0,
    zoom: float = 1,
    dx: float = 0,
    dy: float = 0,
    shear: float = 0,
    tilt: tuple[float, float] = (0, 0),
) -> Array:
    """(3, 3): a motion about the middle of a picture (height, width), turn in degrees, tilt in 1 / pixel."""
    height, width = shape
    to_middle = np.array([[1, 0, (1 - width) / 2], [0, 1, (1 - height) / 2], [0, 0, 1.0]])
    c, s = zoom * np.cos(np.deg2rad(turn)), zoom * np.sin(np.deg2rad(turn))
    matrix = np.linalg.inv(to_middle) @ np.array([[c, -s + shear, dx], [s, c - shear, dy], [*tilt, 1]]) @ to_middle
    return matrix / matrix[2, 2]


def resampled(sharp: Array, x: Array, y: Array, sigma: float, seed: int) -> tuple[Array, Array]:
    """(reference, moving), uint8, twice smaller, with noise; moving shows at each fine sample what is at (x, y)."""
    other = ndimage.map_coordinates(sharp, [y, x], order=5, mode="mirror")
    rng = np.random.default_rng(seed)
    height, width = (side // 2 for side in sharp.shape)
    halves = [p[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3)) for p in (sharp, other)]
    first, second = (np.clip(np.rint(p + rng.normal(0, sigma, p.shape)), 0, 255).astype(np.uint8) for p in halves)
    return first, second


def warped(sharp: Array, matrix: Array, sigma: float, seed: int = 0) -> tuple[Array, Array]:
    """A pair whose motion, in pixels of the small pictures, is this matrix (3, 3)."""
    finer = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1.0]])
    back = np.linalg.inv(finer @ matrix @ np.linalg.inv(finer))
    y, x = np.mgrid[: sharp.shape[0], : sharp.shape[1]]
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in back)
    return resampled(sharp, u / w, v / w, sigma, seed)


def flowing(sharp: Array, kind: str, sigma: float, seed: int = 0) -> tuple[Array, Array, Array]:
    """(reference, moving, flow (H, W, 2)): "slow waves" of 1 to 2 pixels, or "seeing", six waves of 50 pixels."""
    height, width = sharp.shape
    rng = np.random.default_rng(3)
    terms = [[(rng.normal(0, 0.7), *rng.uniform(-5, 5, 2), rng.uniform(0, 6)) for _ in range(6)] for _ in (0, 1)]

    def moves(x: Array, y: Array) -> Array:
        """(..., 2) by how many fine pixels what is seen at (x, y) in the moving picture has moved."""
        x, y = x / width, y / height
        if kind == "seeing":
            return np.stack([sum(a * np.sin(2 * np.pi * (p * x + q * y) + r) for a, p, q, r in t) for t in terms], -1)
        across = 3 * np.sin(3 * np.pi * y) + 4
        return np.stack([across + 0 * x, 2 * np.cos(2.4 * np.pi * x) * np.sin(2 * np.pi * y) - 2], -1)

    y, x = np.mgrid[:height, :width].astype(np.float64)
    back = moves(x, y)
    first, second = resampled(sharp, x - back[..., 0], y - back[..., 1], sigma, seed)
    y, x = 2 * np.mgrid[: height // 2, : width // 2] + 0.5
    flow = np.zeros((*x.shape, 2))
    for _ in range(60):  # the flow starts in the reference: a fixed point
        flow = moves(x + flow[..., 0], y + flow[..., 1])
    return first, second, flow / 2
