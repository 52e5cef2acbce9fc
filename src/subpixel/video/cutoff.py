"""How many bytes a file's own header promises beyond its end: a download that broke off, a disk that was full."""

from __future__ import annotations

import os
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
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"


def missing_bytes(path: str | Path) -> int:
    """Bytes that MP4/MOV boxes, a Matroska segment or an AVI list promise and the file lacks; 0 for other kinds.

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
