"""Bursts whose scene and motions are known, and RAW files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft
import skimage.data
import tifffile

from subpixel.multiframe.raw import XYZ_OF_SRGB, Mosaic
from subpixel.register import Motion

Float = npt.NDArray[Any]
RGGB = np.array([[0, 1], [1, 2]])


def shifted(picture: Float, dx: float, dy: float) -> Float:
    """What was at p is at p + (dx, dy); exact for the Fourier series of the picture."""
    height, width = picture.shape[:2]
    fy, fx = scipy.fft.fftfreq(height)[:, None, None], scipy.fft.rfftfreq(width)[None, :, None]
    wave = np.exp(-2j * np.pi * (fx * dx + fy * dy))
    spectrum = scipy.fft.rfft2(picture.reshape(height, width, -1), axes=(0, 1)) * wave
    return scipy.fft.irfft2(spectrum, s=(height, width), axes=(0, 1)).reshape(picture.shape)


def mosaic_of(rgb: Float, pattern: Float = RGGB) -> Float:
    """(h, w): of each pixel the colour that the pattern lets through."""
    out = np.empty(rgb.shape[:2])
    period = len(pattern)
    for y in range(period):
        for x in range(period):
            out[y::period, x::period] = rgb[y::period, x::period, pattern[y, x]]
    return out


def burst(
    count: int = 8, *, size: int = 96, scale: int = 2, sigma: float = 2 / 255, lens: float = 0.0, seed: int = 0
) -> tuple[Float, list[Float], list[tuple[float, float]]]:
    """(scene (scale * size, scale * size, 3), noisy RGB frames (size, size, 3), shifts (dx, dy) in pixels of a frame).

    A frame's pixel is the mean of scale x scale pixels of the scene, which a lens of sigma `lens` pixels of a frame
    has blurred. The first frame is the reference. Values 0 to 1, not clipped.
    """
    rng = np.random.default_rng(seed)
    picture = skimage.data.astronaut()[:400, 60:460] / 255.0
    seen = cv2.GaussianBlur(picture, (0, 0), lens * scale) if lens else picture
    top = left = 90
    side = size * scale
    shifts = [(0.0, 0.0), *(tuple(map(float, rng.uniform(-3, 3, 2))) for _ in range(count - 1))]
    frames = []
    for dx, dy in shifts:
        moved = shifted(seen, scale * dx, scale * dy)[top : top + side, left : left + side]
        small = moved.reshape(size, scale, size, scale, 3).mean((1, 3))
        frames.append((small + rng.normal(0, sigma, small.shape)).astype(np.float32))
    return picture[top : top + side, left : left + side], frames, shifts


def mosaics(frames: list[Float], pattern: Float = RGGB) -> list[Mosaic]:
    """Each RGB frame as a sensor with this pattern sees it, black 0, white 1."""
    period = pattern.shape
    return [
        Mosaic(mosaic_of(f, pattern).astype(np.float32), pattern, np.zeros(period, np.float32), 1.0, name=f"frame {k}")
        for k, f in enumerate(frames)
    ]


def motions(shifts: list[tuple[float, float]]) -> list[Motion]:
    """The true motions of a burst."""
    return [Motion("shift", np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]])) for dx, dy in shifts]


def psnr(picture: Float, scene: Float, border: int = 8) -> float:
    """Of values 0 to 1, without a border."""
    cut = np.s_[border:-border, border:-border]
    return float(-10 * np.log10(np.mean((np.clip(picture, 0, 1)[cut] - scene[cut]) ** 2)))


def write_dng(
    path: Path,
    mosaic: Float,
    *,
    black: int = 64,
    white: int = 1023,
    neutral: tuple[float, float, float] = (1.0, 1.0, 1.0),
    xyz: Float | None = None,
    pattern: tuple[int, ...] = (0, 1, 1, 2),
    orientation: int = 1,
    exposure: float | None = None,
    iso: int | None = None,
) -> Path:
    """A mosaic (h, w) in 0 to 1 as an uncompressed 16-bit DNG; `xyz` is camera RGB of XYZ, default an sRGB camera."""
    xyz = np.linalg.inv(XYZ_OF_SRGB) if xyz is None else xyz

    def fractions(values: Any) -> tuple[int, ...]:
        return tuple(part for value in np.ravel(values) for part in (round(float(value) * 1_000_000), 1_000_000))

    tags: list[tuple[int, int, int, Any, bool]] = [
        (271, 2, 0, "Test", True),
        (272, 2, 0, "Camera", True),
        (274, 3, 1, orientation, True),
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, bytes(pattern), True),
        (50706, 1, 4, bytes((1, 4, 0, 0)), True),
        (50707, 1, 4, bytes((1, 1, 0, 0)), True),
        (50708, 2, 0, "Test Camera", True),
        (50714, 3, 1, black, True),
        (50717, 3, 1, white, True),
        (50721, 10, 9, fractions(xyz), True),
        (50728, 5, 3, fractions(neutral), True),
        (50778, 3, 1, 21, True),
    ]
    if exposure is not None:
        tags.append((33434, 5, 1, fractions([exposure]), True))
    if iso is not None:
        tags.append((34855, 3, 1, iso, True))
    samples = np.rint(np.clip(mosaic, 0, 1) * (white - black) + black).astype(np.uint16)
    tifffile.imwrite(path, samples, photometric=32803, metadata=None, extratags=tags)
    return path
