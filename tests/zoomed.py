"""A zoom pair whose true homography is known, for several tests."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import skimage.data
from scipy.ndimage import map_coordinates

from subpixel.register import Motion

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Zoomed:
    """tele, wide: float32 RGB of 0 to 1; truth: from positions in the wide picture to those in the tele one."""

    tele: Array
    wide: Array
    truth: Array

    def points(self, step: int = 8) -> tuple[Array, Array]:
        """Positions in the wide picture that the tele picture covers, and where they are in it."""
        y, x = np.mgrid[0 : self.wide.shape[0] : step, 0 : self.wide.shape[1] : step].astype(np.float64)
        here = np.stack([x.ravel(), y.ravel()], 1)
        there = Motion("homography", self.truth).points(here)
        inside = ((there > 12) & (there < np.array(self.tele.shape[1::-1]) - 13)).all(1)
        return here[inside], there[inside]


def zoomed(
    photo: Array | None = None, *, scale: int = 4, seed: int = 0, margin: int = 24, flow: Array | None = None
) -> Zoomed:
    """A pair from a photograph (H, W, 3) uint8: 0.4 degrees, 0.8 % of zoom, a shift, perspective, tone, noise.

    flow: (H, W, 2), how much further away the wide lens sees things, in pixels of the photograph.
    """
    rng = np.random.default_rng(seed)
    photo = skimage.data.astronaut()[:400, 60:460] if photo is None else photo
    height, width = (n // scale * scale for n in photo.shape[:2])
    light = photo[:height, :width] / 255
    c, s = 1.008 * np.cos(0.007), 1.008 * np.sin(0.007)
    inner = np.array([[c, -s, 5.3], [s, c, -3.8], [4e-6, -3e-6, 1]])
    centre = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
    matrix = centre @ inner @ np.linalg.inv(centre)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    where = Motion("homography", matrix).points(np.stack([x.ravel(), y.ravel()], 1)).reshape(height, width, 2)
    where = where if flow is None else where + flow[:height, :width]
    seen = [map_coordinates(light[..., k], [where[..., 1], where[..., 0]], order=3, mode="mirror") for k in range(3)]
    low = np.stack(seen, -1).reshape(height // scale, scale, width // scale, scale, 3).mean((1, 3))
    low = 0.85 * low.clip(0, 1) ** 1.08 + 0.01 + rng.normal(0, 1.5 / 255, low.shape)
    cut = np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1.0]])
    finer = np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5], [0, 0, 1]])
    tele = light[margin:-margin, margin:-margin]
    return Zoomed(*((np.rint(p.clip(0, 1) * 255) / 255).astype(np.float32) for p in (tele, low)), cut @ matrix @ finer)
