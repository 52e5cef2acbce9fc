"""A linear DNG: camera RGB at every pixel, for a RAW developer to finish (Adobe DNG 1.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.multiframe.raw import XYZ_OF_SRGB, Camera
from subpixel.pictures import replacing

_LINEAR_RAW = 34892
_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SRATIONAL = 1, 2, 3, 4, 5, 10  # TIFF 6.0
_D65 = 21  # EXIF's LightSource
_PARTS = 10_000  # denominator of the fractions that are written


def save_dng(path: str | Path, balanced: npt.NDArray[Any], camera: Camera, *, overwrite: bool = False) -> None:
    """Write (height, width, 3) balanced camera RGB, 1 for white, as a 16-bit linear DNG.

    The balance is taken out again and written as AsShotNeutral, the orientation as a tag. Written beside and renamed;
    raises DiskError where `path` exists (without `overwrite`) or cannot be written.
    """
    import tifffile

    gains = np.asarray(camera.balance, np.float32)
    height, width = balanced.shape[:2]
    samples = np.empty((height, width, 3), np.uint16)
    for top in range(0, height, 256):  # a large picture is not held in memory once more
        part = balanced[top : top + 256] / gains
        samples[top : top + 256] = np.rint(np.clip(part, 0, 1) * 65535)
    with replacing(path, overwrite=overwrite) as unfinished:
        tifffile.imwrite(
            unfinished,
            samples,  # not compressed: few developers read what TIFF could do
            photometric=_LINEAR_RAW,
            metadata=None,
            software="subpixel",
            extratags=_tags(camera),
        )


def _tags(camera: Camera) -> list[tuple[int, int, int, Any, bool]]:
    xyz = np.linalg.inv(XYZ_OF_SRGB) if camera.xyz is None else camera.xyz
    neutral = 1 / np.asarray(camera.balance)
    return [
        (274, _SHORT, 1, camera.orientation, True),
        (50706, _BYTE, 4, bytes((1, 4, 0, 0)), True),  # DNGVersion
        (50707, _BYTE, 4, bytes((1, 4, 0, 0)), True),  # DNGBackwardVersion
        (50708, _ASCII, 0, camera.model, True),  # UniqueCameraModel
        (50714, _SHORT, 3, (0, 0, 0), True),  # BlackLevel
        (50717, _LONG, 3, (65535, 65535, 65535), True),  # WhiteLevel
        (50721, _SRATIONAL, 9, _fractions(xyz.ravel()), True),  # ColorMatrix1
        (50728, _RATIONAL, 3, _fractions(neutral / neutral.max()), True),  # AsShotNeutral
        (50778, _SHORT, 1, _D65, True),  # CalibrationIlluminant1
    ]


def _fractions(values: npt.NDArray[Any]) -> tuple[int, ...]:
    return tuple(part for value in values for part in (round(float(value) * _PARTS), _PARTS))
