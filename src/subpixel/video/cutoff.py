"""How many bytes a file's own header promises beyond its end: a download that broke off, a disk that was full."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import BinaryIO

_BOXES = frozenset(
    (
        b"ftyp",
        b"moov",
        b"mdat",
        b"wide",
        b"free",
        b"skip",
        b"styp",
        b"moof",
        b"mfra",
        b"sidx",
        b"uuid",
        b"meta",
        b"udta",
    )
)
_CHROMA = {"mono": (0, 0), "420": (2, 2), "411": (4, 1), "422": (2, 1), "444": (1, 1)}  # of y4m: width and height by
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"


def missing_bytes(path: str | Path) -> int:
    """Bytes that a file's own headers promise and the file lacks; 0 where nothing is missing, or the kind says nothing.

    Known are MP4/MOV boxes, Matroska segments, AVI lists, frames of YUV4MPEG2.

    Raises OSError when the file cannot be opened.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(12)
        if head[4:8] in _BOXES:
            end = _boxes_end(file, size)
        elif head[:4] == _EBML:
            end = _segment_end(file)
        elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            end = 7 + int(struct.unpack_from("<I", head, 4)[0])  # some leave out the last byte, which pads
        elif head[:10] == b"YUV4MPEG2 ":
            end = _frames_end(file, size)
        else:
            end = 0
    return max(0, end - size)


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the last top-level box of an ISO base media file ends (ISO/IEC 14496-12, 4.2)."""
    start = 0
    while start + 8 <= size:
        file.seek(start)
        head = file.read(16)
        if head[4:8] not in _BOXES:
            return size  # something else follows the film
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0:  # to the end of the file
            return size
        start += max(length, 8)
    return start


def _frames_end(file: BinaryIO, size: int) -> int:
    """Where the last frame of a YUV4MPEG2 file ends (yuv4mpeg(5)); 0 for a header that says no size."""
    file.seek(0)
    header = file.readline(4096).decode("latin-1")
    found = [re.search(rf" {key}(\w+)", header) for key in "WHC"]
    colours = re.fullmatch(
        r"(mono|4\d\d)(alpha)?(?:jpeg|mpeg2|paldv)?(?:p?(\d\d?))?", found[2][1] if found[2] else "420"
    )
    if not (found[0] and found[1] and colours):
        return 0
    width, height = int(found[0][1]), int(found[1][1])
    across, down = _CHROMA.get(colours[1], (0, 0))
    samples = width * height * (2 if colours[2] else 1)
    samples += 2 * -(-width // across) * -(-height // down) if across else 0
    each = samples * (2 if int(colours[3] or 8) > 8 else 1)
    start = file.tell()
    while start < size:
        file.seek(start)
        line = file.readline(4096)
        if not line.startswith(b"FRAME"):  # some writers halve odd widths otherwise
            return 0
        start += len(line) + each
    return start


def _segment_end(file: BinaryIO) -> int:
    """Where the Matroska segment ends (RFC 8794, RFC 9559); 0 where it was written live, its length unknown."""
    file.seek(4)
    header = _vint(file)
    if header is None:
        return 0
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    length = _vint(file)
    return 0 if length is None else file.tell() + length


def _vint(file: BinaryIO) -> int | None:
    """A variable-length integer; None where all its bits are set, which means unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(width - 1), "big") & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else value
