"""PNG files: what is right comes through sample for sample, everything else is refused with its code."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.io import imread

from hostile import HEIGHT, SIGNATURE, WIDTH, chunk, ihdr, pictures, png, rows
from subpixel.challenge.png import bare
from subpixel.challenge.problems import CODES
from subpixel.errors import Refused
from subpixel.video.image import encode_image
from subpixel.video.untrusted import picture

SHARP = pictures(1)[0]
RIGHT = png(SHARP)
PACKED = zlib.compress(rows(SHARP))


def decoded(data: bytes) -> np.ndarray:
    return picture(bare(data, WIDTH, HEIGHT), WIDTH, HEIGHT)


def filtered(kind: int) -> bytes:
    """The picture with a filter on every row, by the definition."""
    out, before = b"", np.zeros(3 * WIDTH, np.int64)
    for row in SHARP.reshape(HEIGHT, -1).astype(np.int64):
        left, up = np.r_[0, 0, 0, row[:-3]], before
        corner = np.r_[0, 0, 0, up[:-3]]
        guess = left + up - corner
        away = np.stack([abs(guess - left), abs(guess - up), abs(guess - corner)])
        paeth = np.choose(away.argmin(axis=0), [left, up, corner])
        base = [0 * row, left, up, (left + up) // 2, paeth][kind]
        out += bytes([kind]) + ((row - base) % 256).astype(np.uint8).tobytes()
        before = row
    return zlib.compress(out)


@pytest.mark.parametrize("kind", range(5))
def test_every_filter_gives_the_picture(kind: int) -> None:
    assert (decoded(png(SHARP, data=filtered(kind))) == SHARP).all()


def test_pictures_of_others_and_of_several_sizes() -> None:
    for width, height in ((1, 1), (3, 5), (70, 33)):
        sharp = pictures(1, width=width, height=height)[0]
        data = encode_image(sharp)
        assert (picture(bare(data, width, height), width, height) == sharp).all()


def test_harmless_chunks_are_passed_over() -> None:
    text = chunk(b"tEXt", b"Software\0mine") + chunk(b"gAMA", struct.pack(">I", 1)) + chunk(b"pHYs", bytes(9))
    assert (decoded(png(SHARP, before=text, after=chunk(b"tIME", bytes(7)))) == SHARP).all()


def split(at: int) -> bytes:
    return SIGNATURE + ihdr() + chunk(b"IDAT", PACKED[:at]) + chunk(b"IDAT", PACKED[at:]) + chunk(b"IEND")


def test_samples_in_several_chunks() -> None:
    assert (decoded(split(100)) == SHARP).all()


BOMB = zlib.compress(bytes(50_000_000), 9)
ATTACKS = {
    "no PNG": (b"\xff\xd8\xff\xe0 JFIF", "png", "no PNG file"),
    "nothing": (b"", "png", "no PNG file"),
    "60,000 x 60,000": (png(SHARP, head=ihdr(60000, 60000)), "picture_size", "60000x60000; the clip is 32x16"),
    "other size": (png(pictures(1, width=16, height=32)[0]), "picture_size", "16x32; the clip is 32x16"),
    "16 bits": (png(SHARP, head=ihdr(depth=16)), "png_colour", "16 bits of RGB; write 8-bit RGB"),
    "palette": (png(SHARP, head=ihdr(colour=3), before=chunk(b"PLTE", bytes(6))), "png_colour", "a palette"),
    "gray": (png(SHARP, head=ihdr(colour=0)), "png_colour", "8 bits of gray; write"),
    "opacity": (png(SHARP, head=ihdr(colour=6)), "png_colour", "RGB with opacity"),
    "transparent colour": (png(SHARP, before=chunk(b"tRNS", bytes(6))), "png_colour", "transparent colour"),
    "interlaced": (png(SHARP, head=ihdr(interlace=1)), "png_interlaced", "write it without"),
    "unknown method": (png(SHARP, head=ihdr(method=1)), "png", "method that PNG does not have"),
    "short header": (png(SHARP, head=chunk(b"IHDR", bytes(12))), "png", "not 13 bytes"),
    "two headers": (png(SHARP, before=ihdr()), "png", "header must come first"),
    "no header": (SIGNATURE + chunk(b"IDAT", PACKED) + chunk(b"IEND"), "png", "header must come first"),
    "animation": (png(SHARP, before=chunk(b"acTL", bytes(8))), "png_animated", "one picture a file"),
    "frames of an animation": (png(SHARP, after=chunk(b"fdAT", bytes(8))), "png_animated", "one picture a file"),
    "compressed text bomb": (png(SHARP, before=chunk(b"zTXt", b"a\0\0" + BOMB)), "png_chunk", "chunk zTXt"),
    "international text bomb": (png(SHARP, before=chunk(b"iTXt", b"a\0\1\0\0\0" + BOMB)), "png_chunk", "chunk iTXt"),
    "colour profile bomb": (png(SHARP, before=chunk(b"iCCP", b"a\0\0" + BOMB)), "png_chunk", "chunk iCCP"),
    "suggested palette": (png(SHARP, before=chunk(b"PLTE", bytes(6))), "png_chunk", "chunk PLTE"),
    "a megabyte of text": (png(SHARP, before=chunk(b"tEXt", bytes(1 << 20))), "png_chunk", "too large"),
    "unknown chunk": (png(SHARP, before=chunk(b"evIL", b"x")), "png_chunk", "chunk evIL"),
    "chunk of no letters": (png(SHARP, before=chunk(b"\0\1\2\3", b"x")), "png_chunk", "chunk 00010203"),
    "sample bomb": (png(SHARP, data=BOMB), "png_damaged", "more or fewer samples"),
    "one row less": (png(SHARP, data=zlib.compress(rows(SHARP[:-1]))), "png_damaged", "more or fewer samples"),
    "one byte more": (png(SHARP, data=zlib.compress(rows(SHARP) + b"\0")), "png_damaged", "more or fewer samples"),
    "something behind the samples": (png(SHARP, data=PACKED + b"hidden"), "png_damaged", "something behind them"),
    "samples cut off": (png(SHARP, data=PACKED[:-500]), "png_damaged", "more or fewer samples"),
    "samples without their checksum": (png(SHARP, data=PACKED[:-4]), "png_damaged", "more or fewer samples"),
    "samples with a wrong checksum": (png(SHARP, data=PACKED[:-1] + b"?"), "png_damaged", "cannot be decompressed"),
    "samples that are none": (png(SHARP, data=b"junk" * 50), "png_damaged", "cannot be decompressed"),
    "unknown filter": (png(SHARP, data=zlib.compress(b"\5" + rows(SHARP)[1:])), "png_damaged", "filtered in a way"),
    "no samples": (SIGNATURE + ihdr() + chunk(b"IEND"), "png", "no samples"),
    "samples in two places": (
        png(SHARP, after=chunk(b"tIME", bytes(7)) + chunk(b"IDAT", b"x")), "png", "lie in two places",
    ),
    "wrong checksum": (RIGHT.replace(b"IDAT", b"IDAU"), "png_damaged", "checksum is wrong"),
    "cut off": (RIGHT[:-20], "png_damaged", "cut off"),
    "no end": (RIGHT[:-12], "png_damaged", "cut off"),
    "length beyond the file": (RIGHT[:33] + b"\x7f\xff\xff\xff" + RIGHT[37:], "png_damaged", "cut off"),
    "data behind the end": (RIGHT + b"payload", "png", "7 bytes follow the end"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(name: str) -> None:
    data, code, words = ATTACKS[name]
    with pytest.raises(Refused, match=words) as caught:
        decoded(data)
    assert caught.value.code == code
    assert code in CODES


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(RIGHT) - 1), st.integers(1, 255), st.booleans())
def test_any_changed_byte_is_refused(at: int, change: int, cut: bool) -> None:
    data = bytearray(RIGHT)
    data[at] ^= change
    with pytest.raises(Refused):
        decoded(bytes(data[: at + 1] if cut else data))


def test_the_bare_file_is_a_png_that_others_read(tmp_path: Path) -> None:
    data = bare(RIGHT, WIDTH, HEIGHT)
    samples = data[33 + 8 : -12 - 4]  # with the checksum of the chunk, which libav does not look at
    (tmp_path / "bare.png").write_bytes(data[:33] + chunk(b"IDAT", samples) + chunk(b"IEND"))
    assert (imread(tmp_path / "bare.png") == SHARP).all()
