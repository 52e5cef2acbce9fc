"""SER, the format that planetary cameras record in (Heidi Hanekamp & Grischa Hahn, SER format description, version 3).

178 bytes of header, little-endian; frames one after the other without compression; then, where the recording program
wrote them, a time for each frame.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError, UsageError
from subpixel.video.source import check_size, shown

MAGIC = b"LUCAM-RECORDER"
COLOURS = {0: "mono", 8: "RGGB", 9: "GRBG", 10: "GBRG", 11: "BGGR", 100: "RGB", 101: "BGR"}
_OTHERS = {16: "CYYM", 17: "YCMY", 18: "YMCY", 19: "MYYC"}
_HEADER = struct.Struct("<14s7i40s40s40s2q")
_TICKS = 10_000_000  # of a second
_EPOCH = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Ser:
    """A SER file that was looked at.

    samples: (frames, height, width) or (frames, height, width, 3) RGB, uint8 or uint16, mapped from the file: only
        what is touched is read. white: the largest value a sample can have. colour: "mono", "RGB", or the Bayer
        pattern of its first four samples. times: (frames,) seconds since the first frame, or None.
    start: UTC of the first frame, None where the file does not say.
    """

    samples: npt.NDArray[Any]
    white: int
    colour: str
    times: npt.NDArray[np.float64] | None
    start: datetime.datetime | None


def read_ser(path: str | Path) -> Ser:
    """Raises InputError for a file that is no SER file, is cut off, or has colours that are not known."""
    try:
        with open(path, "rb") as file:
            header = file.read(_HEADER.size)
        have = os.path.getsize(path)
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    if len(header) < _HEADER.size or not header.startswith(MAGIC):
        raise InputError(f"{shown(path)} is no SER file, or its header is cut off.")
    _, _, colour, _, width, height, depth, frames, *_, _, utc = _HEADER.unpack(header)
    if min(width, height) < 1 or not 1 <= depth <= 16 or frames < 1:
        raise InputError(f"{shown(path)} claims {frames} frames of {width}x{height} with {depth} bits; none is there.")
    if colour not in COLOURS:
        raise InputError(
            f"{shown(path)} has colours of kind {colour} {_OTHERS.get(colour, '')}, which are not known here; "
            "record in mono, RGB or a Bayer pattern."
        )
    check_size(width, height, path)
    shape = (frames, height, width) + (3,) * (colour >= 100)
    size = int(np.prod(shape[1:])) * (1 + (depth > 8))
    if have < _HEADER.size + frames * size:
        whole = max(0, have - _HEADER.size) // size
        raise InputError(
            f"{shown(path)} is cut off: its header promises {frames} frames, the file holds {whole} whole ones."
        )
    samples: npt.NDArray[Any] = np.memmap(path, np.uint8 if depth <= 8 else "<u2", "r", _HEADER.size, shape)
    if depth > 8:
        samples = _ordered(samples)
    if colour == 101:
        samples = samples[..., ::-1]
    times, start = _times(path, _HEADER.size + frames * size, frames, utc)
    return Ser(samples, _white(samples, depth), COLOURS[colour], times, start)


def _looked_at(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Three frames spread over the recording."""
    return samples[:: max(1, len(samples) // 2)][:3]


def _ordered(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """16-bit samples in the order in which neighbours differ least: programs disagree on what the header's flag means,
    and a wrong order turns every picture into noise."""
    few = np.asarray(_looked_at(samples))
    rough = [float(np.mean(np.abs(np.diff(s.astype(np.float32), axis=2)))) for s in (few, few.byteswap())]
    return samples if rough[0] <= rough[1] else samples.view(samples.dtype.newbyteorder(">"))


def _white(samples: npt.NDArray[Any], depth: int) -> int:
    """12 bits in 16 may lie in the lower bits or, as other programs have it, in the upper."""
    largest = int(_looked_at(samples).max())
    return (1 << depth) - 1 if largest < 1 << depth else (1 << (8 if depth <= 8 else 16)) - 1


def _times(
    path: str | Path, offset: int, frames: int, utc: int
) -> tuple[npt.NDArray[np.float64] | None, datetime.datetime | None]:
    if os.path.getsize(path) < offset + 8 * frames:
        return None, _moment(utc)
    ticks = np.fromfile(path, "<i8", frames, offset=offset)
    if ticks[0] <= 0 or (np.diff(ticks) < 0).any():
        return None, _moment(utc)
    return (ticks - ticks[0]) / _TICKS, _moment(int(ticks[0]))


def _moment(ticks: int) -> datetime.datetime | None:
    try:
        return _EPOCH + datetime.timedelta(microseconds=ticks // 10) if ticks > 0 else None
    except OverflowError:
        return None


def write_ser(
    path: str | Path,
    frames: Iterable[npt.NDArray[np.uint8]] | Iterable[npt.NDArray[np.uint16]],
    *,
    colour: str = "mono",
    depth: int | None = None,
    start: datetime.datetime | None = None,
    rate: float = 0.0,
) -> None:
    """Write frames (height, width) or (height, width, 3), all of one shape and type, as a SER file.

    colour: "mono", "RGB" or a Bayer pattern such as "RGGB". depth: bits in use, default all of the type. start: UTC of
    the first frame; with a `rate` (frames per second) every frame gets its time. Raises UsageError for other input.
    """
    codes = {name: code for code, name in COLOURS.items()}
    first: npt.NDArray[Any] | None = None
    count = 0
    with open(path, "wb") as file:
        file.write(bytes(_HEADER.size))
        for frame in frames:
            first = frame if first is None else first
            if frame.shape != first.shape or frame.dtype != first.dtype or frame.dtype not in (np.uint8, np.uint16):
                raise UsageError(f"Frames of a SER file are alike, uint8 or uint16; not {frame.shape} {frame.dtype}.")
            file.write(np.ascontiguousarray(frame, frame.dtype.newbyteorder("<")).tobytes())
            count += 1
        if first is None or colour not in codes or (first.ndim == 3) != (codes[colour] >= 100):
            raise UsageError(f"A SER file needs frames that fit its colour, one of {', '.join(codes)}; not {colour}.")
        ticks = 0 if start is None else (start - _EPOCH) // datetime.timedelta(microseconds=1) * 10
        if ticks and rate:
            file.write((ticks + np.arange(count) * round(_TICKS / rate)).astype("<i8").tobytes())
        height, width = first.shape[:2]
        bits = depth or 8 * first.dtype.itemsize
        file.seek(0)
        file.write(_HEADER.pack(MAGIC, 0, codes[colour], 0, width, height, bits, count, b"", b"", b"", ticks, ticks))
