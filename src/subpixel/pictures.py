"""Still pictures of any bit depth: loaded, saved, and many of them from files, a folder or a film."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel import color, video
from subpixel.errors import DiskError, InputError, UsageError
from subpixel.video.source import FILMS, IMAGES, check_size, images, shown

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]
Float = npt.NDArray[np.float32]

_BITS = {"png": (8, 16), "tiff": (8, 16, 32), "jpeg": (8,)}
_KINDS = {".png": "png", ".tif": "tiff", ".tiff": "tiff", ".jpg": "jpeg", ".jpeg": "jpeg"}
_PACKAGES = {"cv2": "OpenCV", "scipy": "SciPy", "rawpy": "rawpy", "tifffile": "tifffile", "astropy": "Astropy"}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One still picture, upright.

    samples: (height, width) grey or (height, width, 3) RGB, as the file has them: uint8, uint16, or float32 in which
        1 is white (floats may exceed it). Kept in the file's type, for a burst of large pictures must fit the memory.
    bits: 8, 16, or 32 for floats.
    linear: samples are proportional to light (floats are taken to be) rather than to what a display shows.
    exposure: seconds; iso: sensitivity; both None where the file does not say.
    name: how messages call it.
    """

    samples: Samples
    bits: int = 8
    linear: bool = False
    exposure: float | None = None
    iso: float | None = None
    name: str = "a picture"

    @property
    def data(self) -> Float:
        """The samples as float32, 0 black and 1 white."""
        return self.part(0, self.size[0], 0, self.size[1])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self.samples.shape[0]), int(self.samples.shape[1])

    def part(self, top: int, bottom: int, left: int, right: int) -> Float:
        """Rows top to bottom - 1 and columns left to right - 1 of `data`."""
        return unit(self.samples[top:bottom, left:right])


def unit(samples: npt.NDArray[Any]) -> Float:
    """Samples of any type as float32 in which 1 is white: integers are divided by the largest of their type."""
    peak = np.iinfo(samples.dtype).max if samples.dtype.kind in "iu" else 1
    values: Float = np.multiply(samples, np.float32(1 / peak), dtype=np.float32)
    return values


def require(*modules: str) -> None:
    """Raises UsageError where one of these modules of the extra `multiframe`, by default any, is not installed.

    Commands call it before they import them.
    """
    missing = [_PACKAGES[module] for module in modules or _PACKAGES if importlib.util.find_spec(module) is None]
    if missing:
        names = " and ".join(missing)
        raise UsageError(f"This needs {names}; install what it lacks with: pip install 'subpixel[multiframe]'")


def load(path: str | Path) -> Picture:
    """A PNG, TIFF or JPEG file (8 or 16 bits, or float TIFF) as a Picture, turned upright as its EXIF tag says.

    Grey stays grey, palettes become RGB, opacity is dropped. Raises InputError for what cannot be read.
    """
    import cv2

    source = Path(path)
    try:
        data = source.read_bytes()
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    if not data:
        raise InputError(f"{shown(path)} is empty.")
    tags = exif(data)
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        samples = _tiff(data, path)
    else:
        flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if _whole(data) else None
        if decoded is None:
            raise InputError(f"{shown(path)} is no PNG, TIFF or JPEG picture, or it is damaged or cut off.")
        samples = decoded if decoded.ndim == 2 else decoded[:, :, 2::-1]
    return _picture(upright(samples, int(tags.get("orientation", 1))), path, tags)


def _whole(data: bytes) -> bool:
    """Whether a JPEG or PNG file has its end; the decoder fills what is missing with grey and says nothing."""
    if data.startswith(b"\x89PNG"):
        return b"IEND" in data
    place = 2
    while data.startswith(b"\xff\xd8") and data[place : place + 2] != b"\xff\xda":  # segments before the first scan
        if data[place : place + 1] != b"\xff" or place + 4 > len(data):
            return False
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return not data.startswith(b"\xff\xd8") or b"\xff\xd9" in data[place:]


def _picture(samples: npt.NDArray[Any], path: str | Path, tags: dict[str, float]) -> Picture:
    check_size(samples.shape[1], samples.shape[0], path)
    if samples.dtype == np.float64 or samples.dtype == np.float16:
        samples = samples.astype(np.float32)
    if samples.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"{shown(path)} has {samples.dtype} samples; give 8 or 16 bits or floats.")
    floats = samples.dtype == np.float32
    if floats and not np.isfinite(samples).all():
        raise InputError(f"{shown(path)} holds values that are no numbers (NaN or infinite); mend it first.")
    bits = 8 * samples.dtype.itemsize
    return Picture(np.ascontiguousarray(samples), bits, floats, tags.get("exposure"), tags.get("iso"), name=str(path))


def _tiff(data: bytes, path: str | Path) -> npt.NDArray[Any]:
    import io
    import logging

    import tifffile

    tifffile.logger().setLevel(logging.CRITICAL)  # what is wrong with a file is said once, below
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            samples = np.asarray(page.asarray())
            planar = samples.ndim == 3 and samples.shape[0] in (3, 4) and page.axes.startswith("S")
            last = file.pages[-1]
            ends = (start + count for start, count in zip(last.dataoffsets, last.databytecounts, strict=True))
            if max(ends, default=0) > len(data):
                raise ValueError("The last page goes beyond the end of the file.")
    except Exception as error:  # of a damaged file tifffile raises whatever its parser met
        raise InputError(f"{shown(path)} is no TIFF picture that can be read, or it is damaged or cut off.") from error
    if planar:
        samples = np.moveaxis(samples, 0, -1)
    if samples.ndim == 3 and samples.shape[2] in (1, 2):
        samples = samples[:, :, 0]
    if samples.ndim not in (2, 3) or 0 in samples.shape:
        raise InputError(f"{shown(path)} holds samples of shape {samples.shape}; a picture is grey or RGB.")
    return samples if samples.ndim == 2 else samples[:, :, :3]


def upright(samples: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """The picture as it is to be seen: EXIF orientation 1 to 8 (others count as 1) undone; (height, width, ...)."""
    if orientation in (2, 4, 5, 7):
        samples = samples[:, ::-1] if orientation in (2, 7) else samples[::-1]
    turns = {3: 2, 5: 3, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.rot90(samples, turns)


def save(
    path: str | Path, picture: Picture | npt.NDArray[Any], *, bits: int | None = None, overwrite: bool = False
) -> None:
    """Write a PNG (8, 16 bits), TIFF (8, 16, 32 for float) or JPEG (8 bits) by the name's ending.

    picture: a Picture or an array (height, width[, 3]) in which 1 (or the largest integer) is white; values beyond
    are clipped unless they are written as floats. bits: default what a Picture has, 16 for arrays, 8 for JPEG.
    Written beside and renamed. Raises UsageError for another ending or depth, DiskError where the file exists
    (without `overwrite`) or cannot be written.
    """
    kind = kind_of(path)
    if bits is None:
        bits = 8 if kind == "jpeg" else picture.bits if isinstance(picture, Picture) else 16
        bits = min(bits, _BITS[kind][-1])
    if bits not in _BITS[kind]:
        raise UsageError(f"{kind.upper()} files have {' or '.join(map(str, _BITS[kind]))} bits, not {bits}.")
    samples = picture.samples if isinstance(picture, Picture) else np.asarray(picture)
    encoded = np.empty(samples.shape, {8: np.uint8, 16: np.uint16, 32: np.float32}[bits])
    for top in range(0, len(samples), 256):  # a large picture is not held in memory once more
        part = unit(samples[top : top + 256])
        encoded[top : top + 256] = part if bits == 32 else np.rint(np.clip(part, 0, 1) * np.float32((1 << bits) - 1))
    with replacing(path, overwrite=overwrite) as unfinished:
        _encode(unfinished, encoded, kind)


def _encode(path: Path, samples: npt.NDArray[Any], kind: str) -> None:
    if kind == "tiff":
        import tifffile

        photometric = "minisblack" if samples.ndim == 2 else "rgb"
        tifffile.imwrite(path, samples, photometric=photometric, compression="zlib", predictor=samples.dtype != "f4")
        return
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, 97] if kind == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, 4]
    stored = samples[..., ::-1] if samples.ndim == 3 else samples
    good, data = cv2.imencode(".png" if kind == "png" else ".jpg", stored, options)
    if not good:
        raise DiskError(f"A picture of shape {samples.shape} cannot be encoded as {kind.upper()}.")
    path.write_bytes(data.tobytes())


def kind_of(path: str | Path) -> str:
    """ "png", "tiff" or "jpeg" by the ending of a name; UsageError for others."""
    suffix = Path(path).suffix.lower()
    if suffix not in _KINDS:
        raise UsageError(f"{shown(path)} names no picture that can be written; end it in .png, .tif or .jpg.")
    return _KINDS[suffix]


@contextlib.contextmanager
def replacing(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """The name beside `path` under which it is written; it takes the place of `path` when the block ends well.

    Raises DiskError where `path` exists already (without `overwrite`) or cannot be written.
    """
    path = Path(path)
    fresh(path, overwrite=overwrite)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with video.writing(path):
            yield unfinished
            os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def fresh(path: str | Path, *, overwrite: bool = False) -> None:
    """Raises DiskError if a file of this name must not be written: it exists (without `overwrite`), or its folder
    does not. Commands call it before the work begins."""
    path = Path(path)
    if path.is_dir():
        raise DiskError(f"{shown(path)} is a folder; name a file in it.")
    if (path.exists() or path.is_symlink()) and not overwrite:
        raise DiskError(f"{shown(path)} exists already; add -y (overwrite) to replace it, or choose another output.")
    if not path.parent.is_dir():
        raise DiskError(f"The folder {shown(path.parent)} does not exist; make it, or choose another place.")


def sequence(
    paths: str | Path | Sequence[str | Path], *, least: int = 2, start: float | None = None, end: float | None = None
) -> list[Picture]:
    """The pictures of several files, of a folder (natural order), or the frames of films, all of one size and kind.

    start, end: seconds from the beginning between which the frames of a film are taken.
    Raises InputError where fewer than `least` are found, one cannot be read, or sizes or kinds differ.
    """
    names = [paths] if isinstance(paths, str | Path) else list(paths)
    pictures = [picture for name in names for picture in _each(name, start, end)]
    if len(pictures) < least:
        found = f"{len(pictures)} picture{'s' * (len(pictures) != 1)}"
        raise InputError(f"{', '.join(map(shown, names)) or 'Nothing'} gives {found}; at least {least} are needed.")
    first = pictures[0]
    for other in pictures[1:]:
        if other.samples.shape != first.samples.shape:
            raise InputError(
                f"{shown(other.name)} is {_described(other)}, but {shown(first.name)} is {_described(first)}; "
                "give frames of one camera at one size."
            )
    return pictures


def _each(path: str | Path, start: float | None, end: float | None) -> Iterator[Picture]:
    path = Path(path)
    if path.is_dir():
        yield from map(load, images(path))
    elif path.suffix.lower() in IMAGES or path.suffix.lower() not in FILMS:
        yield load(path)
    else:
        for number, frame in enumerate(video.read(path, start=start, end=end, codec_info=False)):
            rgb = color.to_rgb(frame)
            samples = rgb[:, :, 0].copy() if frame.format.startswith("gray") else rgb
            yield Picture(samples, name=f"frame {number} of {path}")


def _described(picture: Picture) -> str:
    height, width = picture.size
    return f"{width}x{height} {'grey' if picture.samples.ndim == 2 else 'RGB'}"


def exif(data: bytes) -> dict[str, float]:
    """What the EXIF tags of a JPEG, PNG, TIFF or DNG file's bytes say: "orientation" (1 to 8), "exposure" (seconds)
    and "iso", as far as they are there (EXIF 2.32, TIFF 6.0)."""
    if data.startswith((b"II*\0", b"MM\0*")):
        return _tags(data)
    start = data.find(b"Exif\0\0", 0, 1 << 16) if data.startswith(b"\xff\xd8") else data.find(b"eXIf", 0, 1 << 20)
    if start < 0:
        return {}
    return _tags(data[start + (6 if data.startswith(b"\xff\xd8") else 4) :])


_NAMES = {0x0112: "orientation", 0x829A: "exposure", 0x8827: "iso"}
_DEEPER = 0x8769  # tag that tells where the EXIF directory lies


def _tags(tiff: bytes) -> dict[str, float]:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2], "")
    if not order:
        return {}
    found: dict[str, float] = {}
    try:
        places = [struct.unpack_from(order + "I", tiff, 4)[0]]
        for place in places:
            for entry in range(struct.unpack_from(order + "H", tiff, place)[0]):
                tag, kind, _ = struct.unpack_from(order + "HHI", tiff, place + 2 + 12 * entry)
                value = _value(tiff, order, kind, place + 10 + 12 * entry)
                if tag == _DEEPER and len(places) == 1:
                    places.append(int(value))
                elif tag in _NAMES and value:
                    found[_NAMES[tag]] = value
    except struct.error:  # a damaged header says as much as it can
        pass
    return found


def _value(tiff: bytes, order: str, kind: int, place: int) -> float:
    """First value of a directory entry: SHORT, LONG or RATIONAL; 0 for other kinds."""
    if kind == 5:
        (place,) = struct.unpack_from(order + "I", tiff, place)
        top, bottom = struct.unpack_from(order + "II", tiff, place)
        return float(top / bottom) if bottom else 0.0
    size = {3: "H", 4: "I", 13: "I"}.get(kind)
    return float(struct.unpack_from(order + size, tiff, place)[0]) if size else 0.0
