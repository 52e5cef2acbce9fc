"""PNG files from strangers (ISO/IEC 15948): the structure is checked, and only what holds samples is handed on."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from subpixel.errors import Refused


def _zlib() -> Any:
    """zlib-ng where it is installed: the same code made faster, which saves a third of a picture's time."""
    try:
        return importlib.import_module("zlib_ng.zlib_ng")
    except ImportError:
        return importlib.import_module("zlib")


zlib = _zlib()

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = {0: "gray", 3: "a palette", 4: "gray with opacity", 6: "RGB with opacity"}
_HARMLESS = {b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tIME", b"tEXt", b"sBIT", b"bKGD", b"eXIf", b"oFFs", b"cICP"}
_HARMLESS_BYTES = 1 << 16
_ANIMATION = {b"acTL", b"fcTL", b"fdAT"}
_STORED = 65535  # most bytes of a block that is not compressed (RFC 1951)


def bare(data: bytes, width: int, height: int) -> bytes:
    """The picture as a PNG file of nothing but its samples, complete, filtered as they were, not compressed.

    data: a PNG file of width x height 8-bit RGB. Raises Refused for any other file, for wrong checksums, for samples
    too few or too many, and for parts that an answer does not need and that may be large: profiles, compressed text,
    animation.
    """
    samples: list[memoryview] = []
    for kind, body in _chunks(data):
        if kind == b"IHDR":
            _check_header(body, width, height)
        elif kind == b"IDAT":
            samples.append(body)
    return _rebuilt(_inflated(b"".join(samples), width, height), width, height)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Type and content of each chunk, up to IEND, which must be the file's end."""
    if not data.startswith(_SIGNATURE):
        raise Refused("png", "It is no PNG file.")
    view, at, harmless = memoryview(data), len(_SIGNATURE), 0
    seen = [b""]
    while seen[-1] != b"IEND":
        if len(data) - at < 12:
            raise Refused("png_damaged", "The file is cut off.")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise Refused("png_damaged", "The file is cut off.")
        body = view[at + 8 : end - 4]
        if zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(view[end - 4 : end], "big"):
            raise Refused("png_damaged", "A checksum is wrong.")
        harmless += length if kind in _HARMLESS else 0
        _check_kind(kind, seen, harmless)
        if kind != seen[-1]:
            seen.append(kind)
        yield kind, body
        at = end
    if at < len(data):
        raise Refused("png", f"{len(data) - at} bytes follow the end of the picture.")


def _check_kind(kind: bytes, seen: list[bytes], harmless: int) -> None:
    """Whether a chunk may come after those of the kinds seen; harmless: bytes in chunks that are passed over."""
    if (kind == b"IHDR") != (seen == [b""]):
        raise Refused("png", "The header must come first, and once.")
    if kind in _ANIMATION:
        raise Refused("png_animated", "It is animated; write one picture a file.")
    if kind == b"tRNS":
        raise Refused("png_colour", "It has a transparent colour; write plain RGB.")
    if kind not in (b"IHDR", b"IDAT", b"IEND", *_HARMLESS) or harmless > _HARMLESS_BYTES:
        name = kind.decode("ascii", "replace") if kind.isalpha() else kind.hex()
        raise Refused("png_chunk", f"It has a chunk {name} that is not accepted here, or is too large; leave it out.")
    if kind == b"IDAT" and b"IDAT" in seen[:-1]:
        raise Refused("png", "Its samples lie in two places.")
    if kind == b"IEND" and b"IDAT" not in seen:
        raise Refused("png", "It has no samples.")


def _check_header(body: memoryview, width: int, height: int) -> None:
    if len(body) != 13:
        raise Refused("png", "Its header has not 13 bytes.")
    wide, high, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", body)
    if (wide, high) != (width, height):
        raise Refused("picture_size", f"It is {wide}x{high}; the clip is {width}x{height}.")
    if colour != 2 or depth != 8:
        raise Refused("png_colour", f"It has {depth} bits of {_COLOURS.get(colour, 'RGB')}; write 8-bit RGB.")
    if interlace == 1:
        raise Refused("png_interlaced", "It is interlaced; write it without.")
    if compression or filtering or interlace:
        raise Refused("png", "Its header names a method that PNG does not have.")


def _inflated(compressed: bytes, width: int, height: int) -> bytes:
    """The filtered rows, each after the byte that says how; never more of them than the picture has."""
    wanted = height * (1 + 3 * width)
    inflater = zlib.decompressobj()
    try:
        rows: bytes = inflater.decompress(compressed, wanted + 1)
    except zlib.error:
        raise Refused("png_damaged", "Its samples cannot be decompressed.") from None
    if len(rows) != wanted or not inflater.eof or inflater.unused_data:
        raise Refused("png_damaged", f"It has more or fewer samples than {width}x{height}, or something behind them.")
    if np.frombuffer(rows, np.uint8)[:: 1 + 3 * width].max() > 4:
        raise Refused("png_damaged", "A row is filtered in a way that PNG does not have.")
    return rows


def _rebuilt(rows: bytes, width: int, height: int) -> bytes:
    """A PNG file around filtered rows; the decoder does not look at checksums again."""
    view = memoryview(rows)
    parts: list[bytes | memoryview] = [b"\x78\x01"]
    for start in range(0, len(rows), _STORED):
        block = view[start : start + _STORED]
        last = start + _STORED >= len(rows)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    size = sum(map(len, parts)) + 4
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    check = struct.pack(">II", zlib.adler32(rows), 0)
    return b"".join([_SIGNATURE, head, struct.pack(">I4s", size, b"IDAT"), *parts, check, _chunk(b"IEND", b"")])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
