"""Edits of Matroska headers, for what the stream parameters of PyAV cannot carry.

PyAV hands every parameter of a stream on to another file if it reads them from a file. So HDR10 data and a codec's
delay are written into the bytes of a small Matroska header, which is then read as the template of the stream; any
container takes it from there. The display size of a finished Matroska file is set in place.
Elements: RFC 8794 (EBML) and RFC 9559 (Matroska).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from subpixel.errors import VerificationError
from subpixel.video.probe import MasteringDisplay

SEGMENT, SEEK_HEAD, INFO, TRACKS = 0x18538067, 0x114D9B74, 0x1549A966, 0x1654AE6B
TRACK, VIDEO, COLOUR, VOID = 0xAE, 0xE0, 0x55B0, 0xEC
TRACK_PATH = (SEGMENT, TRACKS, TRACK)
COLOUR_PATH = (*TRACK_PATH, VIDEO, COLOUR)
_SEEK_ID, _SEEK_POSITION = 0x53AB, 0x53AC
_CODEC_DELAY, _MAX_CLL, _MAX_FALL, _MASTERING = 0x56AA, 0x55BC, 0x55BD, 0x55D0
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2


def element(name: int, payload: bytes) -> bytes:
    """An EBML element; its size is coded in as few bytes as possible."""
    return _identifier(name) + _size(len(payload), 1) + payload


def hdr10(mastering: MasteringDisplay | None, light: tuple[int, int] | None) -> bytes:
    """Elements for Colour: content light level, and the mastering display with its luminances in cd/m2."""
    out = b""
    if light is not None:
        out += _number(_MAX_CLL, light[0]) + _number(_MAX_FALL, light[1])
    if mastering is not None:
        screen = [*mastering.red, *mastering.green, *mastering.blue, *mastering.white]
        values = [*screen, mastering.max_luminance, mastering.min_luminance]
        parts = (element(0x55D1 + i, struct.pack(">d", value)) for i, value in enumerate(values))
        out += element(_MASTERING, b"".join(parts))
    return out


def codec_delay(seconds: Fraction) -> bytes:
    """Element for TrackEntry: the sound at the beginning that a player decodes and does not play."""
    return _number(_CODEC_DELAY, round(seconds * 10**9))


def insert(data: bytes, path: Sequence[int], payload: bytes) -> bytes:
    """Append `payload` to the first element at `path` (identifiers from the top), creating the last if it is absent.

    The sizes of all elements around it grow; positions noted in the file (cues, seek head) do not.
    """
    if not path:
        return data + payload
    at, body, end = _find(data, path[0])
    if at < 0:
        return data + insert(element(path[0], b""), path, payload)
    inner = insert(data[body:end], path[1:], payload)
    length = body - at - len(_identifier(path[0]))
    known = data[at + len(_identifier(path[0])) : body] != _unknown(length)
    size = _size(len(inner), length) if known else _unknown(length)
    return data[:at] + _identifier(path[0]) + size + inner + data[end:]


def set_display_aspect(path: Path, aspect: Fraction) -> None:
    """Say in a finished file how wide over high its first video is shown, which samples that are not square need.

    Works on files written with `write_crc32=0`; the place comes from the free space after the seek head.
    Raises VerificationError if the file is not laid out as FFmpeg lays it out.
    """
    shape = _number(_DISPLAY_WIDTH, aspect.numerator) + _number(_DISPLAY_HEIGHT, aspect.denominator)
    shape += _number(_DISPLAY_UNIT, 3)  # a ratio, not pixels
    with path.open("r+b") as file:
        head = file.read(1 << 20)
        segment = _find(head, SEGMENT)[1]
        body = head[segment:]
        spots = [_find(body, name) for name in (SEEK_HEAD, VOID, INFO, TRACKS)]
        (seek, _, seek_end), (void, _, void_end), (info, _, _), (tracks, _, tracks_end) = spots
        if not 0 <= seek < void == seek_end < void_end == info < tracks:
            raise VerificationError(f"{path} has no room for its display size; write another container.")
        grown = insert(_without_unit(body[tracks:tracks_end]), (TRACKS, TRACK, VIDEO), shape)
        more = len(grown) - (tracks_end - tracks)
        index = _shifted(body[seek:seek_end], (INFO, TRACKS), more)
        file.seek(segment + seek)
        file.write(index + _void(void_end - void - more) + body[info:tracks] + grown)


def _without_unit(tracks: bytes) -> bytes:
    """FFmpeg marks a video of unknown sample aspect ratio with a DisplayUnit of 4, which would void the size."""
    unknown = _number(_DISPLAY_UNIT, 4)
    return tracks.replace(unknown, _void(len(unknown)), 1)


def _shifted(seek_head: bytes, names: Sequence[int], by: int) -> bytes:
    """A seek head whose positions of the elements `names` are `by` bytes less."""
    for name in names:
        found = seek_head.find(element(_SEEK_ID, _identifier(name)))
        if found < 0:
            continue
        _, body, end = _find(seek_head[found:], _SEEK_POSITION)
        position = int.from_bytes(seek_head[found + body : found + end], "big") - by
        coded = position.to_bytes(end - body, "big")
        seek_head = seek_head[: found + body] + coded + seek_head[found + end :]
    return seek_head


def _find(data: bytes, name: int) -> tuple[int, int, int]:
    """(start, start of the payload, end) of the first element `name` in a sequence of elements; -1 if there is none."""
    at = 0
    while at < len(data):
        body, found = at + _length(data[at]), data[at : at + _length(data[at])]
        size_length = 9 - data[body].bit_length() if body < len(data) else 1
        coded = data[body : body + size_length]
        size = int.from_bytes(coded, "big") & ((1 << (7 * size_length)) - 1)
        body += size_length
        end = len(data) if coded == _unknown(size_length) else min(body + size, len(data))
        if int.from_bytes(found, "big") == name:
            return at, body, end
        at = end
    return -1, -1, -1


def _length(first: int) -> int:
    return 9 - first.bit_length()


def _identifier(name: int) -> bytes:
    return name.to_bytes((name.bit_length() + 7) // 8, "big")


def _size(value: int, least: int) -> bytes:
    length = max(least, -(-(value + 2).bit_length() // 7))
    return (value | 1 << (7 * length)).to_bytes(length, "big")


def _unknown(length: int) -> bytes:
    return ((1 << (7 * length + 1)) - 1).to_bytes(length, "big")


def _number(name: int, value: int) -> bytes:
    return element(name, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _void(length: int) -> bytes:
    """`length` bytes, at least 2, that readers skip."""
    coded = 1 if length < 129 else 8
    return _identifier(VOID) + _size(length - 1 - coded, coded) + bytes(length - 1 - coded)
