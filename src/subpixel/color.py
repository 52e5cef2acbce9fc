"""YUV and RGB: matrix, range and bit depth. The only place that knows of 16-235.

`to_rgb` is the converter that every score and every picture of this package goes through, so that both sides of
a comparison meet the same arithmetic: integers only, one rounding, the same result on every machine.
HDR transfers (PQ, HLG) are not tone mapped: their code values are converted by matrix and range like any other.
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError
from subpixel.frames import FULL, LIMITED, UNSPECIFIED, Color, Frame, PixelFormat, Plane
from subpixel.resample import resize

Matrix = Literal["bt601", "bt709", "bt2020"]
Float64 = npt.NDArray[np.float64]

# Weights of red and blue in luma: BT.601-7, BT.709-6, BT.2020-2 non-constant luminance; green has the rest.
WEIGHTS: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
_MATRIX: dict[int, Matrix] = {UNSPECIFIED: "bt601", 1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020"}
_SHIFT = 20  # fractional bits of the integer arithmetic
_ROWS = 32  # picture rows converted at a time: what stays in the cache


def resolve(color: Color) -> tuple[Matrix, bool]:
    """Matrix and whether the range is full, of YUV or gray; what the stream does not say is BT.601, limited.

    Raises InputError for a matrix that is not a linear one of BT.601, BT.709 or BT.2020.
    """
    if color.matrix not in _MATRIX:
        raise InputError(
            f"Colour matrix {color.matrix} (H.273) cannot be converted; re-tag or convert the video to BT.601 (6), "
            "BT.709 (1) or BT.2020 non-constant luminance (9)."
        )
    return _MATRIX[color.matrix], color.range == FULL


def luma_levels(frame: Frame) -> tuple[float, float]:
    """(offset, scale) so that offset + scale * luma is on the 8-bit limited scale: black 16, white 235."""
    scale = 1.0 / (1 << (frame.layout.bits - 8))
    if frame.color.range == FULL:
        return 16.0, 219.0 / frame.layout.peak
    return 0.0, scale


def _levels(frame: Frame, chroma: bool) -> tuple[float, float]:
    """`luma_levels`, or the same for chroma: neutral is 128, saturated 16 and 240."""
    if not chroma or frame.color.range != FULL:
        return luma_levels(frame)
    scale = 224.0 / frame.layout.peak
    return 128.0 - scale * (1 << (frame.layout.bits - 1)), scale


def normalise(plane: Plane, frame: Frame, *, chroma: bool) -> npt.NDArray[np.float32]:
    """A plane of `frame` (YUV or gray) as networks take it: limited-range 8-bit code values / 255, float32."""
    offset, scale = _levels(frame, chroma)
    values = plane.astype(np.float32)
    values *= np.float32(scale / 255)
    if offset:
        values += np.float32(offset / 255)
    return values


def quantise(values: npt.NDArray[np.float32], frame: Frame, *, chroma: bool) -> Plane:
    """The inverse of `normalise`: code values in the depth and range of `frame`, rounded to nearest, clipped."""
    offset, scale = _levels(frame, chroma)
    codes = values * np.float32(255 / scale)
    codes += np.float32(0.5 - offset / scale)
    np.clip(codes, 0, frame.layout.peak, out=codes)
    return codes.astype(frame.layout.dtype)


def to_rgb(frame: Frame) -> npt.NDArray[np.uint8]:
    """The frame as 8-bit RGB, (height, width, 3) uint8, full range; alpha is ignored.

    Chroma is brought to the size of luma by `resample.resize` bicubic with the centres of both grids together
    (swscale's default), at the stream's bit depth. Then
    R, G, B = clip((cy * (Y - black) + cu * (U - mid) + cv * (V - mid) + 2^19) >> 20, 0, 255)
    with coefficients rounded to 2^-20, so that a deeper stream is rounded once, to 8 bits.
    Raises InputError for a colour matrix that `resolve` does not know.
    """
    layout = frame.layout
    out = np.empty((frame.height, frame.width, 3), np.uint8)
    if layout.rgb:
        black, span = _range(layout.bits, frame.color.range != LIMITED)
        for channel, plane in enumerate((frame.planes[2], frame.planes[0], frame.planes[1])):
            out[:, :, channel] = _rescale(plane, black, span, 255, layout.peak)
        return out
    matrix, full = resolve(frame.color)
    if layout.planes < 3:
        out[:] = _rescale(frame.planes[0], *_range(layout.bits, full), 255, layout.peak)[:, :, None]
        return out
    u, v = (_full_size(plane, layout, frame.height, frame.width) for plane in frame.planes[1:3])
    for top in range(0, frame.height, _ROWS):
        rows = slice(top, top + _ROWS)
        _convert(frame.planes[0][rows], u[rows], v[rows], _decoding(matrix, full, layout.bits), out[rows])
    return out


def _range(bits: int, full: bool) -> tuple[int, int]:
    """Code values of black, and between black and white."""
    return (0, (1 << bits) - 1) if full else (16 << (bits - 8), 219 << (bits - 8))


def _full_size(plane: Plane, layout: PixelFormat, height: int, width: int) -> Plane:
    """A chroma plane at the size of luma; with odd sizes the sample beyond the edge is cropped."""
    size = plane.shape[1] << layout.chroma_x, plane.shape[0] << layout.chroma_y
    return resize(plane, *size, bits=layout.bits)[:height, :width]


@functools.cache
def _rgb_to_yuv(matrix: Matrix) -> Float64:
    """3x3, RGB of 0..1 to Y of 0..1 and U, V of -0.5..0.5."""
    red, blue = WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    return np.array([luma, (np.array([0, 0, 1]) - luma) / (2 - 2 * blue), (np.array([1, 0, 0]) - luma) / (2 - 2 * red)])


@functools.cache
def _decoding(matrix: Matrix, full: bool, bits: int, peak: int = 255) -> tuple[tuple[int, ...], ...]:
    """Per channel (constant, Y, U, V) in units of 2^-20, code values of `bits` bits to 0..peak."""
    black, span = _range(bits, full)
    chroma = span if full else 224 << (bits - 8)
    unit = np.linalg.inv(_rgb_to_yuv(matrix)) * (peak * (1 << _SHIFT)) / np.array([span, chroma, chroma])
    table = []
    for y, u, v in np.rint(unit).astype(int).tolist():
        table.append(((1 << (_SHIFT - 1)) - black * y - (u + v << (bits - 1)), y, u, v))
    return tuple(table)


def _convert(y: Plane, u: Plane, v: Plane, table: tuple[tuple[int, ...], ...], out: npt.NDArray[np.uint8]) -> None:
    """Apply `_decoding` to rows of equally large planes."""
    luma, blue, red = (plane.astype(np.int32) for plane in (y, u, v))
    part = np.empty_like(luma)
    for channel, (constant, *weights) in enumerate(table):
        total = np.full_like(luma, constant)
        for plane, weight in zip((luma, blue, red), weights, strict=True):
            if weight:
                np.multiply(plane, weight, out=part)
                total += part
        total >>= _SHIFT
        np.clip(total, 0, 255, out=out[:, :, channel], casting="unsafe")


def _rescale(plane: Plane, black: int, span: int, peak: int, old_peak: int) -> Plane:
    """black..black + span to 0..peak, rounded to nearest, clipped."""
    levels = np.arange(old_peak + 1, dtype=np.int64) - black
    table = np.clip((2 * levels * peak + span) // (2 * span), 0, peak)
    return table.astype(np.uint8 if peak == 255 else np.uint16)[plane]
