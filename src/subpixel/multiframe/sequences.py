"""Recordings of hundreds or thousands of frames, read one at a time: SER, FITS, TIFF stacks, folders, any film."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import warnings
from collections.abc import Callable, Container, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel import color, pictures, video
from subpixel.errors import InputError, UsageError
from subpixel.multiframe.demosaic import PATTERNS, demosaic
from subpixel.multiframe.ser import MAGIC, read_ser
from subpixel.video.source import IMAGES, check_size, images, shown

Float = npt.NDArray[np.float32]
Frames = Iterator[tuple[int, Float]]
Reader = Callable[[Container[int] | None], Generator[tuple[int, npt.NDArray[Any]], None, None]]

FITS = (".fit", ".fits", ".fts", ".fit.gz", ".fits.gz", ".fits.fz")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Frames of one size which are read again on every pass, so that memory does not grow with their number.

    name: for messages. size: (height, width). count: how many frames, None where only reading tells.
    kind: what was found, in words. times: (count,) seconds since the first frame, or None.
    """

    name: str
    size: tuple[int, int]
    count: int | None
    kind: str
    times: npt.NDArray[np.float64] | None
    _frames: Callable[[Container[int] | None], Iterator[tuple[int, npt.NDArray[Any]]]]
    _finish: Callable[[npt.NDArray[Any]], Float]

    def read(self, wanted: Container[int] | None = None) -> Frames:
        """(index, picture) of all frames, or of those wanted, in order.

        Pictures are (height, width) or RGB (height, width, 3), float32 with 0 black and 1 white. Raises InputError
        where a frame is damaged or of another size.
        """
        for index, samples in self._frames(wanted):
            picture = self._finish(samples)
            if picture.shape[:2] != self.size:
                have, want = ("x".join(map(str, size[::-1])) for size in (picture.shape[:2], self.size))
                raise InputError(
                    f"Frame {index} of {self.name} is {have}, the first is {want}; give frames of one size."
                )
            yield index, picture


def open_recording(paths: str | Path | Sequence[str | Path], *, bayer: str = "auto") -> Recording:
    """A recording from one file (SER, FITS cube, TIFF stack, film), a folder of pictures or FITS files, or several
    files that are one frame each.

    bayer: the colour filters of a camera whose mosaic was recorded as grey: RGGB, GRBG, GBRG, BGGR; "none" leaves
    mosaics as they are; "auto" believes the file. Raises InputError for what cannot be read or holds nothing,
    UsageError for an unknown pattern.
    """
    if bayer not in ("auto", "none", *PATTERNS):
        raise UsageError(f"bayer is auto, none or one of {', '.join(PATTERNS)}; not {bayer!r}.")
    names = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if len(names) == 1 and names[0].is_dir():
        found = sorted(path for path in names[0].iterdir() if path.name.lower().endswith(FITS))
        names = found or images(names[0])
        return _files(names, shown(names[0].parent), bayer)
    if len(names) != 1:
        return _files(names, f"the {len(names)} files", bayer)
    path = names[0]
    head = _head(path)
    if path.name.lower().endswith(FITS):
        return _fits(path, bayer)
    if path.suffix.lower() in (".tif", ".tiff"):
        return _tiff(path, bayer)
    if path.suffix.lower() == ".ser" or head.startswith(MAGIC):
        return _ser(path, bayer)
    if path.suffix.lower() in IMAGES:
        return _files(names, shown(path), bayer)
    return _film(path, bayer)


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC))
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {(error.strerror or str(error)).lower()}.") from error


def _finisher(white: float, pattern: str) -> Callable[[npt.NDArray[Any]], Float]:
    """Samples of a file as pictures: divided by white, and demosaiced where there is a pattern."""

    def finish(samples: npt.NDArray[Any]) -> Float:
        scaled: Float = np.multiply(samples, np.float32(1 / white), dtype=np.float32)
        return demosaic(scaled, pattern) if pattern else scaled

    return finish


def _pattern(bayer: str, known: str) -> str:
    """The pattern to use, "" for none, where the file says `known`."""
    chosen = known if bayer == "auto" else bayer
    return chosen if chosen in PATTERNS else ""


def _indexed(samples: Any, count: int) -> Callable[[Container[int] | None], Iterator[tuple[int, npt.NDArray[Any]]]]:
    """Frames of something that gives each by its index."""

    def frames(wanted: Container[int] | None) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        for index in range(count):
            if wanted is None or index in wanted:
                yield index, np.asarray(samples[index])

    return frames


def _ser(path: Path, bayer: str) -> Recording:
    ser = read_ser(path)
    count, height, width = ser.samples.shape[:3]
    pattern = _pattern(bayer, ser.colour) if ser.samples.ndim == 3 else ""
    kind = f"SER, {ser.white.bit_length()} bits, {pattern or ser.colour}"
    finish = _finisher(ser.white, pattern)
    return Recording(shown(path), (height, width), count, kind, ser.times, _indexed(ser.samples, count), finish)


def _film(path: Path, bayer: str) -> Recording:
    """A film is decoded again on each pass; frames before the last wanted one are decoded but not converted."""
    first = next(video.read(path, codec_info=False))
    grey = first.format.startswith("gray")
    pattern = _pattern(bayer, "")

    def frames(wanted: Container[int] | None) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        for index, frame in enumerate(video.read(path, codec_info=False)):
            if wanted is None or index in wanted:
                rgb = color.to_unit(frame)
                yield index, rgb[0] if grey else rgb[1] if pattern else np.moveaxis(rgb, 0, -1)

    kind = f"film, {first.format}" + (f", {pattern}" if pattern else "")
    return Recording(shown(path), (first.height, first.width), None, kind, None, frames, _finisher(1, pattern))


def _files(names: Sequence[Path], name: str, bayer: str) -> Recording:
    """One frame from each file."""
    pattern = _pattern(bayer, "")

    def load(path: Path) -> Float:
        if path.name.lower().endswith(FITS):
            return next(_fits(path, bayer).read())[1]
        picture = pictures.load(path).data
        return demosaic(picture, pattern) if pattern and picture.ndim == 2 else picture

    def frames(wanted: Container[int] | None) -> Frames:
        for index, path in enumerate(names):
            if wanted is None or index in wanted:
                yield index, load(path)

    if not names:
        raise InputError("There are no files to read.")
    height, width = load(names[0]).shape[:2]
    return Recording(name, (height, width), len(names), "files", None, frames, _finisher(1, ""))


def _tiff(path: Path, bayer: str) -> Recording:
    """The pages of a TIFF file; one that holds a single page is a single picture."""
    import tifffile

    with _readable(path, "TIFF"), tifffile.TiffFile(path) as file:
        count, page = len(file.pages), file.pages.first
        shape, kind = page.shape, np.dtype(page.dtype)
    grey = len(shape) == 2
    if kind.kind not in "uf" or not (grey or (len(shape) == 3 and shape[2] in (3, 4))):
        raise InputError(f"{shown(path)} holds {kind} pages of shape {shape}; its pages must be grey or RGB pictures.")
    check_size(shape[1], shape[0], path)
    pattern = _pattern(bayer, "") if grey else ""

    def frames(wanted: Container[int] | None) -> Generator[tuple[int, npt.NDArray[Any]], None, None]:
        with tifffile.TiffFile(path) as file:
            for index in range(count):
                if wanted is None or index in wanted:
                    yield index, file.pages[index].asarray()[..., *(() if grey else (slice(3),))]

    white = float(np.iinfo(kind).max) if kind.kind == "u" else 1.0
    said = f"TIFF, {count} pages, {kind}"
    guarded = _guarded(path, "TIFF", frames)
    return Recording(shown(path), (shape[0], shape[1]), count, said, None, guarded, _finisher(white, pattern))


def _fits(path: Path, bayer: str) -> Recording:
    """The first picture or cube of a FITS file (FITS standard 4.0): NAXIS3 counts frames, or is 3 for colours."""
    try:
        from astropy.io import fits
    except ImportError:
        raise UsageError("FITS files need astropy; install it with: pip install 'subpixel[multiframe]'") from None
    with _readable(path, "FITS"), open(path, "rb") as opened, fits.open(opened) as file:
        number, unit = next(((n, u) for n, u in enumerate(file) if u.is_image and len(u.shape) >= 2), (0, None))
        if unit is None:
            raise InputError(f"{shown(path)} holds no picture, only tables or headers.")
        shape, header = unit.shape, unit.header
        raw = unit.section[(0,) * (len(shape) - 2)]
    colour = len(shape) > 2 and shape[-3] == 3
    count = int(np.prod(shape[: -3 if colour else -2]))
    if len(shape) > 3 + colour or 0 in shape:
        raise InputError(f"{shown(path)} holds an array of shape {shape}; only NAXIS3 can count the frames of a cube.")
    check_size(shape[-1], shape[-2], path)
    upside_down = str(header.get("ROWORDER", "TOP-DOWN")).strip().upper() == "BOTTOM-UP"
    pattern = "" if colour else _pattern(bayer, str(header.get("BAYERPAT", "")).strip().upper())

    def frames(wanted: Container[int] | None) -> Generator[tuple[int, npt.NDArray[Any]], None, None]:
        with open(path, "rb") as opened, fits.open(opened) as file:
            for index in range(count):
                if wanted is None or index in wanted:
                    place = (index,) * (len(shape) - 2 - colour)
                    samples = np.asarray(file[number].section[place] if place else file[number].data)
                    samples = np.moveaxis(samples, 0, -1) if colour else samples
                    yield index, samples[::-1] if upside_down else samples

    said = f"FITS, {count} frame{'s' * (count != 1)}, {raw.dtype.name}" + (f", {pattern}" if pattern else "")
    finish = _finisher(_white(raw), pattern)
    guarded = _guarded(path, "FITS", frames)
    return Recording(shown(path), (shape[-2], shape[-1]), count, said, None, guarded, finish)


def _white(samples: npt.NDArray[Any]) -> float:
    """What counts as white: of integers of 8 and 16 bits the largest of their type (BITPIX 16 with BZERO 32768 is
    uint16); floats, and longer integers, which hold counts, are on a scale of 1, or of 8, 16 or more bits
    if they go beyond it."""
    if samples.dtype.kind in "iu" and samples.dtype.itemsize <= 2:
        return float(np.iinfo(samples.dtype).max)
    largest = float(np.max(samples, initial=0, where=np.isfinite(samples)))
    # A power of two beyond 16 bits, so that the files of a folder are alike.
    beyond = float(2 ** math.ceil(math.log2(max(largest, 1))))
    return next((peak for peak in (1.0, 255.0, 65535.0) if largest <= 1.5 * peak), beyond)


def _guarded(path: Path, kind: str, read: Reader) -> Reader:
    """`read` under `_readable` while it reads, not while its reader works: warnings of others are not of this file."""

    def frames(wanted: Container[int] | None) -> Generator[tuple[int, npt.NDArray[Any]], None, None]:
        with contextlib.closing(read(wanted)) as found:
            while True:
                with _readable(path, kind):
                    frame = next(found, None)
                if frame is None:
                    return
                yield frame

    return frames


@contextlib.contextmanager
def _readable(path: Path, kind: str) -> Iterator[None]:
    """Whatever a parser meets in a damaged or cut-off file, as one sentence; of some damage astropy only warns, and
    tifffile only tells its log."""
    log, strict = logging.getLogger("tifffile"), _Strict(logging.WARNING)
    level = log.level
    log.addHandler(strict)
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except InputError:
        raise
    except Exception as error:
        what = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        raise InputError(f"{shown(path)} cannot be read as {kind}, it is damaged or cut off: {what}.") from error
    finally:
        log.removeHandler(strict)
        log.setLevel(level)


class _Strict(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise ValueError(record.getMessage())
