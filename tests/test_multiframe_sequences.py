"""Recordings: every format gives the frames that were put in; what is damaged is refused in one sentence."""

from __future__ import annotations

import datetime
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from subpixel.errors import InputError, UsageError
from subpixel.multiframe.demosaic import PATTERNS, demosaic
from subpixel.multiframe.sequences import open_recording
from subpixel.multiframe.ser import read_ser, write_ser

START = datetime.datetime(2025, 1, 10, 21, 30, 0, 500_000, tzinfo=datetime.UTC)
Array = npt.NDArray[Any]


def noise(shape: tuple[int, ...], kind: type[np.integer[Any]] = np.uint8, peak: int | None = None) -> Array:
    top = np.iinfo(kind).max if peak is None else peak
    return np.random.default_rng(0).integers(0, top + 1, shape).astype(kind)


def smooth(shape: tuple[int, ...], peak: int) -> Array:
    """Frames whose neighbours are alike, as those of a camera are."""
    frames = noise(shape, np.uint16, 65535).astype(np.float32)
    return np.stack([cv2.GaussianBlur(f, (0, 0), 3) / 65535 * peak for f in frames]).astype(np.uint16)


@pytest.mark.parametrize(("colour", "shape"), [("mono", (3, 8, 12)), ("RGGB", (3, 8, 12)), ("RGB", (3, 8, 12, 3))])
def test_ser_gives_back_what_was_written(tmp_path: Path, colour: str, shape: tuple[int, ...]) -> None:
    frames = noise(shape)
    write_ser(tmp_path / "a.ser", frames, colour=colour, start=START, rate=20)
    ser = read_ser(tmp_path / "a.ser")
    np.testing.assert_array_equal(ser.samples, frames)
    assert (ser.colour, ser.white, ser.start) == (colour, 255, START)
    assert ser.times is not None
    np.testing.assert_allclose(ser.times, [0, 0.05, 0.1])


def test_ser_header_is_as_the_format_says(tmp_path: Path) -> None:
    """178 bytes: identifier, seven integers from offset 14, texts, two times; the frames behind."""
    frames = noise((2, 5, 7), np.uint16, 4095)
    write_ser(tmp_path / "a.ser", frames, colour="GBRG", depth=12)
    data = (tmp_path / "a.ser").read_bytes()
    assert data[:14] == b"LUCAM-RECORDER"
    assert struct.unpack_from("<7i", data, 14) == (0, 10, 0, 7, 5, 12, 2)
    assert data[178:] == frames.astype("<u2").tobytes()


def test_ser_of_either_byte_order(tmp_path: Path) -> None:
    """Programs disagree on the meaning of the header's flag, so that it is the picture that decides."""
    frames = smooth((3, 32, 32), 65535)
    write_ser(tmp_path / "little.ser", frames)
    write_ser(tmp_path / "big.ser", frames.byteswap())
    for name in ("little.ser", "big.ser"):
        np.testing.assert_array_equal(read_ser(tmp_path / name).samples, frames)


@pytest.mark.parametrize(("peak", "white"), [(4095, 4095), (65520, 65535)])
def test_ser_of_12_bits_low_or_high(tmp_path: Path, peak: int, white: int) -> None:
    frames = smooth((3, 16, 16), peak)
    frames[1, 4, 4] = peak
    write_ser(tmp_path / "a.ser", frames, depth=12)
    assert read_ser(tmp_path / "a.ser").white == white
    (_, first), *_ = open_recording(tmp_path / "a.ser").read()
    np.testing.assert_allclose(first, frames[0] / np.float32(white), rtol=1e-6)


def damaged(change: Callable[[bytearray], bytes | bytearray], tmp_path: Path) -> Path:
    path = tmp_path / "a.ser"
    write_ser(path, noise((4, 8, 8)))
    path.write_bytes(change(bytearray(path.read_bytes())))
    return path


def patched(offset: int, value: int) -> Callable[[bytearray], bytearray]:
    def change(data: bytearray) -> bytearray:
        data[offset : offset + 4] = struct.pack("<i", value)
        return data

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-70], "promises 4 frames, the file holds 2 whole ones"),
        (lambda data: data[:100], "no SER file, or its header is cut off"),
        (lambda data: b"x" + data, "no SER file"),
        (patched(18, 16), "colours of kind 16 CYYM"),
        (patched(26, 0), "claims 4 frames of 0x8 with 8 bits"),
        (patched(34, 24), "with 24 bits"),
        (patched(38, -1), "claims -1 frames"),
        (patched(26, 1 << 28), "claims pictures of 268435456x8"),
    ],
)
def test_damaged_ser_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_ser(damaged(change, tmp_path))


def cube(path: Path, frames: Array) -> None:
    fits.writeto(path, frames)


def pages(path: Path, frames: Array) -> None:
    tifffile.imwrite(path, frames, photometric="minisblack")


def folder(path: Path, frames: Array) -> None:
    path.mkdir()
    for number, frame in enumerate(frames):
        assert cv2.imwrite(str(path / f"frame{number}.png"), frame)


@pytest.mark.parametrize(
    ("name", "write"), [("a.fits", cube), ("a.tif", pages), ("a.ser", write_ser), ("folder", folder)]
)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_every_format_gives_the_same_frames(tmp_path: Path, name: str, write: Any, kind: Any) -> None:
    frames = smooth((12, 24, 32), 65535)
    frames = frames if kind is np.uint16 else (frames >> 8).astype(np.uint8)
    write(tmp_path / name, frames)
    recording = open_recording(tmp_path / name)
    assert recording.size == (24, 32)
    assert recording.count == 12
    read = dict(recording.read())
    assert list(read) == list(range(12))
    np.testing.assert_allclose(np.stack(list(read.values())), frames / np.float32(np.iinfo(kind).max), rtol=1e-6)
    some = dict(recording.read({10, 2}))
    assert list(some) == [2, 10]
    np.testing.assert_array_equal(some[10], read[10])


def test_a_film_gives_its_frames(make_clip: Callable[..., Path]) -> None:
    path = make_clip("grey.avi", "-pix_fmt", "gray", frames=4, codec=("-c:v", "ffv1"))
    recording = open_recording(path)
    assert recording.size == (96, 160)
    frames = dict(recording.read({0, 3}))
    assert list(frames) == [0, 3]
    assert frames[3].shape == (96, 160)
    assert 0 <= frames[3].min() < frames[3].max() <= 1


def test_fits_in_colours_floats_and_upside_down(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).random((2, 3, 6, 8)).astype(np.float32)
    fits.writeto(tmp_path / "colour.fits", colour)
    (_, first), _ = open_recording(tmp_path / "colour.fits").read()
    np.testing.assert_allclose(first, np.moveaxis(colour[0], 0, -1))
    header = fits.Header({"ROWORDER": "BOTTOM-UP"})
    fits.writeto(tmp_path / "up.fits", colour[0, 0] * 60000, header)
    ((_, turned),) = open_recording(tmp_path / "up.fits").read()
    np.testing.assert_allclose(turned, colour[0, 0, ::-1] * 60000 / 65535, rtol=1e-6)


def test_fits_of_32_bits_are_counts(tmp_path: Path) -> None:
    frames = smooth((4, 16, 16), 60000).astype(np.int32)
    frames[0, 0, 0] = 60000
    for name, factor, white in (("a.fits", 1, 65535), ("b.fits", 10, 2**20)):
        fits.writeto(tmp_path / name, frames * factor)
        read = [picture for _, picture in open_recording(tmp_path / name).read()]
        np.testing.assert_allclose(np.stack(read), frames * factor / np.float32(white), rtol=1e-6)


@pytest.mark.parametrize("write", [cube, pages])
def test_warnings_of_the_reader_are_not_the_files(tmp_path: Path, write: Callable[[Path, Array], None]) -> None:
    path = tmp_path / ("a.fits" if write is cube else "a.tif")
    write(path, noise((3, 16, 16)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in open_recording(path).read():
            warnings.warn("mine", UserWarning, stacklevel=1)  # an exception where the file's strictness leaks


def test_infinite_samples_of_fits_do_not_scale_the_others(tmp_path: Path) -> None:
    stack = noise((4, 16, 16)).astype(np.float32) / 255
    stack[0, 0, 0] = np.inf
    fits.writeto(tmp_path / "a.fits", stack)
    (_, first), (_, second), *_ = open_recording(tmp_path / "a.fits").read()
    assert np.isinf(first[0, 0])
    np.testing.assert_allclose(second, stack[1])


def test_fits_files_of_a_folder_are_frames(tmp_path: Path) -> None:
    frames = smooth((3, 16, 16), 65535)
    for number, frame in enumerate(frames):
        fits.writeto(tmp_path / f"{number}.fit", frame)
    read = [picture for _, picture in open_recording(tmp_path).read()]
    np.testing.assert_allclose(np.stack(read), frames / np.float32(65535), rtol=1e-6)


def test_fits_mosaic_is_demosaiced_by_its_header(tmp_path: Path) -> None:
    mosaic = smooth((2, 16, 16), 65535)
    hdu = fits.PrimaryHDU(mosaic)
    hdu.header["BAYERPAT"] = "GBRG"
    hdu.writeto(tmp_path / "a.fits")
    (_, first), _ = open_recording(tmp_path / "a.fits").read()
    np.testing.assert_allclose(first, demosaic(mosaic[0] / np.float32(65535), "GBRG"), atol=1e-6)
    (_, grey), _ = open_recording(tmp_path / "a.fits", bayer="none").read()
    assert grey.shape == (16, 16)


def test_cut_off_fits_and_tiff_are_refused(tmp_path: Path) -> None:
    for name, write in (("a.fits", cube), ("a.tif", pages)):
        path = tmp_path / name
        write(path, noise((6, 64, 64)))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match=r"cannot be read as (FITS|TIFF), it is damaged or cut off"):
            list(open_recording(path).read())


def test_frames_of_other_sizes_are_refused(tmp_path: Path) -> None:
    folder(tmp_path / "a", noise((3, 8, 8)))
    cv2.imwrite(str(tmp_path / "a" / "frame1.png"), noise((8, 9)))
    with pytest.raises(InputError, match=r"Frame 1 of .* is 9x8, the first is 8x8"):
        list(open_recording(tmp_path / "a").read())


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: no such file"):
        open_recording(tmp_path / "nothing.ser")
    (tmp_path / "table.fits").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be read as FITS"):
        open_recording(tmp_path / "table.fits")
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU()]).writeto(tmp_path / "b.fits")
    with pytest.raises(InputError, match="holds no picture, only tables or headers"):
        open_recording(tmp_path / "b.fits")
    with pytest.raises(InputError, match="There are no files"):
        open_recording([])
    with pytest.raises(UsageError, match="bayer is auto, none or one of RGGB"):
        open_recording(tmp_path / "b.fits", bayer="RGBG")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_demosaic_keeps_samples_and_reproduces_planes(pattern: str) -> None:
    """What was measured stays; a grey ramp, which the linear filters are exact for, comes back whole."""
    y, x = np.mgrid[:12, :14].astype(np.float32)
    ramp = 0.2 + 0.01 * x + 0.02 * y
    rgb = demosaic(ramp, pattern)
    np.testing.assert_allclose(rgb[3:-3, 3:-3], np.repeat(ramp[3:-3, 3:-3, None], 3, 2), atol=1e-6)
    mosaic = np.random.default_rng(0).random((12, 14), np.float32)
    rgb = demosaic(mosaic, pattern)
    for place, colour in enumerate(pattern):
        at = np.s_[place // 2 :: 2, place % 2 :: 2]
        np.testing.assert_array_equal(rgb[..., "RGB".index(colour)][at], mosaic[at])


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from(PATTERNS))
@settings(max_examples=20, deadline=None)
def test_demosaic_of_one_colour_is_that_colour(red: float, green: float, blue: float, pattern: str) -> None:
    mosaic = np.empty((8, 10), np.float32)
    for place, colour in enumerate(pattern):
        mosaic[place // 2 :: 2, place % 2 :: 2] = {"R": red, "G": green, "B": blue}[colour]
    np.testing.assert_allclose(demosaic(mosaic, pattern), np.full((8, 10, 3), [red, green, blue]), atol=1e-5)


def test_demosaic_refuses_other_patterns() -> None:
    with pytest.raises(UsageError, match="There is no Bayer pattern 'XTRANS'"):
        demosaic(np.zeros((4, 4), np.float32), "XTRANS")
