"""RAW files: the sensor's samples as they were counted, and what their colours mean (rawpy reads, LibRaw knows)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError
from subpixel.pictures import Picture, exif, require, sequence, upright
from subpixel.video.source import check_size, shown

Float = npt.NDArray[Any]  # float32
Float64 = npt.NDArray[np.float64]

SUFFIXES = (
    ".3fr",
    ".arw",
    ".cr2",
    ".cr3",
    ".dng",
    ".erf",
    ".iiq",
    ".nef",
    ".nrw",
    ".orf",
    ".pef",
    ".raf",
    ".rw2",
    ".srw",
)

# XYZ of linear sRGB, white at D65 (IEC 61966-2-1).
XYZ_OF_SRGB = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                        [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Camera:
    """What the colours of a sensor mean.

    balance: what red, green and blue are multiplied by so that a white thing is grey, the smallest of them 1.
    matrix: (3, 3), linear sRGB of balanced camera RGB; rows add up to 1. xyz: (3, 3) camera RGB of XYZ, as a DNG file's
    ColorMatrix1, or None. orientation: EXIF's, 1 to 8. model: name of the camera.
    """

    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    matrix: Float64 = dataclasses.field(default_factory=lambda: np.eye(3))
    xyz: Float64 | None = None
    orientation: int = 1
    model: str = "unknown"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Mosaic:
    """One RAW frame: each pixel saw one colour.

    samples: (height, width) as counted. pattern: (n, n) of 0 red, 1 green, 2 blue, the colours of the pixels from the
    top left, again and again. black: (n, n), what darkness counts; white: from where the sensor or its file is full.
    exposure in seconds, iso: None where the file does not say. noise: (a, b) if it says, see `noise`.
    The picture lies as the sensor does; camera.orientation turns it.
    """

    samples: npt.NDArray[np.uint16] | Float
    pattern: npt.NDArray[np.int64]
    black: Float
    white: float
    camera: Camera = Camera()
    exposure: float | None = None
    iso: float | None = None
    noise: tuple[float, float] | None = None
    name: str = "a mosaic"

    @property
    def data(self) -> Float:
        """(height, width) float32: 0 for darkness, 1 for a full sensor; noise may be below 0."""
        return self.part(0, self.size[0], 0, self.size[1])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self.samples.shape[0]), int(self.samples.shape[1])

    def part(self, top: int, bottom: int, left: int, right: int) -> Float:
        """Rows top to bottom - 1 and columns left to right - 1 of `data`."""
        period = len(self.pattern)
        out = self.samples[top:bottom, left:right].astype(np.float32)
        for y in range(period):
            for x in range(period):
                black = np.float32(self.black[(top + y) % period, (left + x) % period])
                plane = out[y::period, x::period]
                plane -= black
                plane *= np.float32(1 / (self.white - black))
        return out


def is_raw(path: str | Path) -> bool:
    """Whether a file's name ends as those of RAW files do."""
    return Path(path).suffix.lower() in SUFFIXES


def load_raw(path: str | Path) -> Mosaic:
    """The mosaic of a DNG, ARW, CR2, CR3, NEF, ... file.

    Raises InputError where LibRaw cannot read it: damaged, cut off, of an unknown camera, or without a mosaic.
    """
    require("rawpy")
    import rawpy

    try:
        data = Path(path).read_bytes()
        with rawpy.imread(str(path)) as raw:
            samples = raw.raw_image_visible
            if samples is None or samples.ndim != 2 or raw.raw_pattern is None:
                raise InputError(f"{shown(path)} holds no mosaic; it was developed already. Give it as TIFF.")
            return _mosaic(raw, np.array(samples), data, path)
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise InputError(f"{shown(path)} is damaged, cut off or no RAW file that LibRaw knows ({reason}).") from error


def load_burst(
    paths: Sequence[str | Path], *, start: float | None = None, end: float | None = None
) -> list[Picture] | list[Mosaic]:
    """Two or more frames: RAW files or a folder of them, or what `pictures.sequence` takes.

    Raises InputError where RAW and developed files are mixed, fewer than two are found or one cannot be read.
    """
    files = [file for path in map(Path, paths) for file in (_raws(path) if path.is_dir() else [path])]
    raw = [file for file in files if is_raw(file)]
    if not raw:
        return sequence(list(paths), start=start, end=end)
    if len(raw) < len(files):
        other = next(file for file in files if not is_raw(file))
        raise InputError(f"{shown(raw[0])} is RAW and {shown(other)} is not; give frames of one kind.")
    if len(raw) < 2:
        raise InputError(f"{shown(raw[0])} is a single frame; a burst has two or more.")
    return [load_raw(file) for file in raw]


def _raws(folder: Path) -> list[Path]:
    """The RAW files of a folder, or the folder itself where it holds none."""
    return sorted(file for file in folder.iterdir() if is_raw(file)) or [folder]


def _mosaic(raw: Any, samples: npt.NDArray[np.uint16], data: bytes, path: str | Path) -> Mosaic:
    height, width = samples.shape
    check_size(width, height, path)
    letters = raw.color_desc.decode()
    colours = np.array(["RGB".find(letter) for letter in letters])
    pattern = raw.raw_pattern  # of the whole sensor; what is visible begins inside it
    if (colours < 0).any() or pattern.shape[0] != pattern.shape[1]:
        raise InputError(f"{shown(path)} has a mosaic of the colours {letters}; only red, green and blue are known.")
    start = np.roll(pattern, (-raw.sizes.top_margin, -raw.sizes.left_margin), (0, 1))
    black = np.asarray(raw.black_level_per_channel, np.float32)[start]
    white = float(raw.white_level or 65535)
    if white <= float(black.max()):
        raise InputError(f"{shown(path)} says that white ({white:g}) is not brighter than black ({black.max():g}).")
    tags = exif(data)
    camera = _camera(raw, {3: 3, 5: 8, 6: 6}.get(raw.sizes.flip, 1))
    return Mosaic(samples, colours[start].astype(np.int64), black, white, camera, tags.get("exposure"), tags.get("iso"),
                  name=str(path))  # fmt: skip


def _camera(raw: Any, orientation: int) -> Camera:
    daylight, shot = (np.array((gains or [0] * 3)[:3], np.float64) for gains in (raw.daylight_whitebalance,
                                                                                  raw.camera_whitebalance))  # fmt: skip
    daylight = daylight if (daylight > 0).all() else np.ones(3)
    shot = shot if (shot > 0).all() else daylight
    red, green, blue = (float(gain) for gain in shot / shot.min())
    matrix, xyz = np.asarray(raw.color_matrix, np.float64)[:, :3], np.asarray(raw.rgb_xyz_matrix, np.float64)[:3]
    if abs(np.linalg.det(xyz)) > 1e-6:
        matrix = srgb_of_camera(xyz)
    elif abs(np.linalg.det(matrix)) > 1e-6:  # scaled so that daylight is white, as LibRaw's gains for it say
        matrix = matrix / matrix.sum(1, keepdims=True)
        xyz = np.linalg.inv(matrix) @ np.linalg.inv(XYZ_OF_SRGB) / daylight[:, None]
    else:
        return Camera((red, green, blue), orientation=orientation)
    return Camera((red, green, blue), matrix, xyz, orientation)


def srgb_of_camera(xyz: Float64) -> Float64:
    """(3, 3) linear sRGB of balanced camera RGB, given the camera RGB of XYZ: white stays white (as dcraw does it)."""
    camera = xyz @ XYZ_OF_SRGB
    return np.asarray(np.linalg.inv(camera / camera.sum(1, keepdims=True)), np.float64)


def develop(balanced: Float, camera: Camera, *, linear: bool = False) -> Float:
    """(height, width, 3) balanced camera RGB, 1 for white, as sRGB to look at, upright, within 0 to 1.

    With `linear` in light instead of sRGB's steps (IEC 61966-2-1).
    """
    out = np.empty(balanced.shape, np.float32)
    matrix = camera.matrix.T.astype(np.float32)
    for top in range(0, len(out), 256):  # a large picture is not held in memory once more
        rgb = np.clip(np.minimum(balanced[top : top + 256], 1) @ matrix, 0, 1)
        if not linear:
            rgb = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** np.float32(1 / 2.4) - 0.055)
        out[top : top + 256] = rgb
    return np.ascontiguousarray(upright(out, camera.orientation))
