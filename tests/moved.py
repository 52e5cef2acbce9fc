"""Pictures that moved in a known way, made without the package: cubic or quintic splines of SciPy on a finer grid."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import data

Array = npt.NDArray[Any]


@functools.cache
def photograph(name: str = "astronaut") -> Array:
    """Luma (H, W) of a picture of scikit-image, 0 to 255, float64; not to be changed."""
    pixels = getattr(data, name)()
    return pixels @ np.array([0.299, 0.587, 0.114]) if pixels.ndim == 3 else pixels.astype(float)


def halved(plane: Array) -> Array:
    """Means of 2 x 2 samples: aliased like a camera's picture."""
    height, width = (side // 2 * 2 for side in plane.shape)
    return plane[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))


def about_middle(
    shape: tuple[int, int], *, turn: float = 0, zoom: float = 1, dx: float = 0, dy: float = 0, shear: float = 0,
    tilt: tuple[float, float] = (0, 0),
) -> Array:  # fmt: skip
    """(3, 3): a motion about the middle of a picture (height, width), turn in degrees, tilt in 1 / pixel."""
    height, width = shape
    to_middle = np.array([[1, 0, (1 - width) / 2], [0, 1, (1 - height) / 2], [0, 0, 1.0]])
    a = np.deg2rad(turn)
    inner = [
        [zoom * np.cos(a), -zoom * np.sin(a) + shear, dx],
        [zoom * np.sin(a), zoom * np.cos(a) - shear, dy],
        [*tilt, 1],
    ]
    matrix = np.linalg.inv(to_middle) @ np.array(inner) @ to_middle
    return matrix / matrix[2, 2]


def mapped(matrix: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Positions after a matrix."""
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in matrix)
    return u / w, v / w


def pair(
    sharp: Array, back: Callable[[Array, Array], tuple[Array, Array]], sigma: float = 2, seed: int = 0
) -> tuple[Array, Array]:
    """(reference, moving), uint8, half the size of `sharp`, with noise of sigma.

    back: where in the reference, in its pixels, what the moving picture shows at (x, y) is.
    """
    height, width = sharp.shape
    y, x = np.mgrid[:height, :width]
    u, v = back((x - 0.5) / 2, (y - 0.5) / 2)
    other = ndimage.map_coordinates(sharp, [2 * v + 0.5, 2 * u + 0.5], order=5, mode="mirror")
    rng = np.random.default_rng(seed)
    noisy = [halved(plane) + rng.normal(0, sigma, (height // 2, width // 2)) for plane in (sharp, other)]
    return tuple(np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in noisy)  # type: ignore[return-value]


def moved(sharp: Array, matrix: Array, sigma: float = 2, seed: int = 0) -> tuple[Array, Array]:
    """(reference, moving) of a motion's matrix, which takes reference positions to moving ones."""
    inverse = np.linalg.inv(matrix)
    return pair(sharp, lambda x, y: mapped(inverse, x, y), sigma, seed)


def shifted(sharp: Array, dx: float, dy: float, sigma: float = 2, seed: int = 0) -> tuple[Array, Array]:
    """(reference, moving): what is at (x, y) in the reference is at (x + dx, y + dy) in the moving picture."""
    return moved(sharp, about_middle((2, 2), dx=dx, dy=dy), sigma, seed)
