"""How wide the lens blurs, estimated from the edges of the picture itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[Any]  # float32

_FINE, _COARSE = 1.0, 2.0  # sigmas in fine pixels of the blurs that are compared
STRONG = 0.03  # share of the pixels whose gradient is taken to be that of an edge
SHARP = 10  # per cent of the edges that are taken to be as sharp as the lens allows: the others are soft themselves
PIXEL = 0.63  # sigma in fine pixels that edges have behind no lens at all: pixel, noise and what the fusion leaves
LARGEST = 1.0  # pixels of a frame: what is wider is no lens but focus, and would be sharpened too much


def estimate(pictures: Iterable[Float], scale: float) -> float:
    """Sigma of the lens in pixels of a frame, 0 to LARGEST, from grey pictures (h, w) `scale` times as fine as those.

    Blurred by s1 and s2, the gradient of a step of width s falls by R, R^2 = (s^2 + s2^2) / (s^2 + s1^2), whatever its
    height (Zhuo & Sim 2011). An edge of the scene can be softer than the lens, never sharper.
    """
    widths = np.concatenate([_widths(np.asarray(picture, np.float32)) for picture in pictures])
    if not len(widths):
        return 0.0
    square = float(np.percentile(widths, SHARP)) - PIXEL**2
    return float(np.clip(np.sqrt(max(square, 0.0)) / scale, 0, LARGEST))


def _widths(picture: Float) -> Float:
    """(n,) squared sigma in fine pixels of the edges of a picture."""
    fine, across = _slope(picture, _FINE)
    coarse, _ = _slope(picture, _COARSE)
    step = _along(picture, across, 4.0) - _along(picture, across, -4.0)
    nearer = _along(picture, across, 2.0) - _along(picture, across, -2.0)
    ridge = (fine >= _along(fine, across, 1.0)) & (fine >= _along(fine, across, -1.0))
    edge = ridge & (step > nearer) & (fine > 1.02 * coarse)  # a line, which falls again, would pass for a sharp edge
    edge &= fine > np.quantile(fine[8:-8, 8:-8], 1 - STRONG)
    ratio = (fine / np.maximum(coarse, 1e-9))[8:-8, 8:-8][edge[8:-8, 8:-8]] ** 2
    return np.asarray((_COARSE**2 - ratio * _FINE**2) / (ratio - 1), np.float32)


def _slope(picture: Float, sigma: float) -> tuple[Float, tuple[Float, Float]]:
    """The steepness of a blurred picture, and the direction (x, y) in which it rises."""
    smooth = cv2.GaussianBlur(picture, (0, 0), sigma)
    dy, dx = np.gradient(smooth)
    steep = np.hypot(dx, dy)
    return steep, (dx / np.maximum(steep, 1e-9), dy / np.maximum(steep, 1e-9))


def _along(plane: Float, direction: tuple[Float, Float], distance: float) -> Float:
    """The plane so many pixels further in a direction that each pixel has of its own."""
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]].astype(np.float32)
    there = [(place + distance * part).astype(np.float32) for place, part in zip((x, y), direction, strict=True)]
    return cv2.remap(plane, there[0], there[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
