"""Bursts whose scene is known: a Bayer sensor over a shifted picture, and the SyntheticBurst protocol."""

from __future__ import annotations

import bz2
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from scipy import fft

Array = npt.NDArray[Any]
RGGB = np.array([[0, 1], [1, 2]])


def picture(name: str | Path) -> Array:
    """RGB (H, W, 3) uint8 of a picture of scikit-image by name, an image file, or scipy's face.dat."""
    if str(name).endswith(".dat"):
        return np.frombuffer(bz2.decompress(Path(name).read_bytes()), np.uint8).reshape(768, 1024, 3)
    if Path(name).is_file():
        return cv2.imread(str(name), cv2.IMREAD_COLOR)[..., ::-1]
    from skimage import data

    return getattr(data, str(name))()


def mosaic(rgb: Array) -> Array:
    """(h, w): RGGB of (h, w, 3)."""
    out = rgb[..., 1].copy()
    out[::2, ::2], out[1::2, 1::2] = rgb[::2, ::2, 0], rgb[1::2, 1::2, 2]
    return out


def bayer(
    sharp: Array, *, count: int, sigma: float, lens: float = 0.0, scale: int = 2, side: int = 528, seed: int = 0
) -> tuple[Array, list[Array], Array]:
    """(scene (side, side, 3) in 0..1, mosaics in 10 bits as float32 0..1, shifts (count, 2) in pixels of a frame).

    The picture is mirrored, blurred by a lens of that sigma in pixels of a frame, shifted in its Fourier series by up
    to 3 pixels of a frame along each axis, averaged over scale x scale pixels, seen through RGGB; sigma of 255.
    """
    rng = np.random.default_rng(seed)
    whole = sharp / 255.0
    if lens:
        whole = cv2.GaussianBlur(whole, (0, 0), lens * scale, borderType=cv2.BORDER_REFLECT)
    doubled = np.concatenate([whole, whole[:, ::-1]], 1)
    doubled = np.concatenate([doubled, doubled[::-1]], 0)
    spectrum = fft.rfft2(doubled, axes=(0, 1))
    v, u = fft.fftfreq(doubled.shape[0])[:, None, None], fft.rfftfreq(doubled.shape[1])[None, :, None]
    top, left = (sharp.shape[0] - side) // 2, (sharp.shape[1] - side) // 2
    shifts = rng.uniform(-3, 3, (count, 2))
    shifts[0] = 0
    frames = []
    for dx, dy in shifts:
        moved = fft.irfft2(spectrum * np.exp(-2j * np.pi * scale * (u * dx + v * dy)), doubled.shape[:2], axes=(0, 1))
        small = moved[top : top + side, left : left + side]
        small = small.reshape(side // scale, scale, side // scale, scale, 3).mean((1, 3))
        noisy = mosaic(small) + rng.normal(0, sigma / 255, small.shape[:2])
        frames.append((np.clip(np.rint(noisy * 1023), 0, 1023) / 1023).astype(np.float32))
    return sharp[top : top + side, left : left + side] / 255.0, frames, shifts


def write_dng(path: Path, samples: Array) -> None:
    """RGGB counts (h, w) uint16 as a DNG of a camera that sees in sRGB: black 0, white 65535."""
    xyz = [(round(1_000_000 * v), 1_000_000) for v in np.linalg.inv(XYZ).ravel()]
    tags = [
        (33421, 3, 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, 1, 4, bytes((0, 1, 1, 2)), True),  # CFAPattern
        (50706, 1, 4, bytes((1, 4, 0, 0)), True),  # DNGVersion
        (50708, 2, 0, "Bench", True),  # UniqueCameraModel
        (50714, 3, 1, 0, True),  # BlackLevel
        (50717, 4, 1, 65535, True),  # WhiteLevel
        (50721, 10, 9, tuple(v for pair in xyz for v in pair), True),  # ColorMatrix1
        (50728, 5, 3, (1, 1) * 3, True),  # AsShotNeutral
    ]
    tifffile.imwrite(path, samples, photometric=32803, metadata=None, extratags=tags)


# Camera RGB of XYZ of the four cameras that Brooks et al. (Unprocessing Images for Learned Raw Denoising, 2019) mix.
CAMERAS = np.array([
    [[1.0234, -0.2969, -0.2266], [-0.5625, 1.6328, -0.0469], [-0.0703, 0.2188, 0.6406]],
    [[0.4913, -0.0541, -0.0202], [-0.6130, 1.3513, 0.2906], [-0.1564, 0.2151, 0.7183]],
    [[0.8380, -0.2630, -0.0639], [-0.2887, 1.0725, 0.2496], [-0.0627, 0.1427, 0.5438]],
    [[0.6596, -0.2079, -0.0562], [-0.4782, 1.3016, 0.1933], [-0.0970, 0.1581, 0.5181]],
])  # fmt: skip
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def unprocessed(srgb: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """(linear camera RGB of a picture in 0..1, the gains (3,) that would balance it), after Brooks et al. 2019."""
    light = 0.5 - np.sin(np.arcsin(1 - 2 * np.clip(srgb, 0, 1)) / 3)  # the smoothstep of its tones undone
    light = np.maximum(light, 1e-8) ** 2.2
    weights = rng.uniform(1e-8, 1e8, 4)
    camera = np.tensordot(weights / weights.sum(), CAMERAS, 1) @ XYZ
    camera /= camera.sum(1, keepdims=True)
    light = light @ camera.T
    brightness = 1 / rng.normal(0.8, 0.1)
    gains = np.array([rng.uniform(1.9, 2.4), 1.0, rng.uniform(1.5, 1.9)])
    inverse = (1 / gains) / brightness
    grey = light.mean(-1, keepdims=True)
    mask = (np.maximum(grey - 0.9, 0) / 0.1) ** 2  # highlights stay white
    return np.clip(light * np.maximum(mask + (1 - mask) * inverse, inverse), 0, 1), gains * brightness


def synthetic_burst(sharp: Array, seed: int) -> tuple[Array, list[Array], tuple[float, float], Array, list[Array]]:
    """(scene (384, 384, 3), 14 mosaics (96, 96), noise (a, b), gains, motions as (3, 3) from the first frame).

    After Bhat et al. (Deep Burst Super-Resolution, 2021): an unprocessed crop moves by up to 24 pixels and 1 degree,
    bilinear, is made four times smaller, bilinear without any filter, seen through RGGB, with shot and read noise.
    """
    rng = np.random.default_rng(seed)
    side, border, factor = 384, 24, 4
    whole = side + 2 * border
    top, left = (rng.integers(0, size - whole + 1) for size in sharp.shape[:2])
    light, gains = unprocessed(sharp[top : top + whole, left : left + whole] / 255.0, rng)
    light = light.astype(np.float32)
    shot = np.exp(rng.uniform(np.log(1e-4), np.log(0.012)))
    read = np.exp(2.18 * np.log(shot) + 1.2 + rng.normal(0, 0.26))
    frames, motions = [], []
    for k in range(14):
        matrix = np.eye(3)
        if k:
            middle = whole / 2 - 0.5
            turn = cv2.getRotationMatrix2D((middle, middle), rng.uniform(-1, 1), 1)
            turn[:, 2] += rng.uniform(-24, 24, 2)
            matrix = np.vstack([turn, [0, 0, 1]])
        moved = cv2.warpAffine(light, matrix[:2], (whole, whole), flags=cv2.INTER_LINEAR)
        small = cv2.resize(moved[border:-border, border:-border], (side // factor,) * 2, interpolation=cv2.INTER_LINEAR)
        clean = mosaic(small)
        noisy = clean + rng.normal(size=clean.shape) * np.sqrt(shot * clean + read)
        frames.append(np.clip(noisy, 0, 1).astype(np.float32))
        inner = np.array([[1, 0, -border], [0, 1, -border], [0, 0, 1.0]])
        motions.append(inner @ matrix @ np.linalg.inv(inner))
    return light[border:-border, border:-border], frames, (float(shot), float(read)), gains, motions
