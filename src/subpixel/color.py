"""YUV and RGB: matrix, range and bit depth. The only place that knows of 16-235.

`to_rgb` is the converter that every score and every picture of this package goes through, so that both sides of
a comparison meet the same arithmetic: integers only, one rounding, the same result on every machine.
HDR transfers (PQ, HLG) are not tone mapped: their code values are converted by matrix and range like any other.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError
from subpixel.frames import FULL, LIMITED, UNSPECIFIED, Color, Frame, PixelFormat, Plane, pixel_format
from subpixel.resample import resize, resize_real

Matrix = Literal["bt601", "bt709", "bt2020"]
Float64 = npt.NDArray[np.float64]
Table = tuple[tuple[int, ...], ...]  # per output channel a constant and three weights, in units of 2^-20

# Weights of red and blue in luma: BT.601-7, BT.709-6, BT.2020-2 non-constant luminance; green has the rest.
WEIGHTS: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
_MATRIX: dict[int, Matrix] = {UNSPECIFIED: "bt601", 1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020"}
_RGB = Color(matrix=0, range=FULL)
_DEEPER = {8: 10, 9: 12, 10: 12, 12: 16, 14: 16, 16: 16}  # depths of 4:4:4 that hold RGB of a depth without loss
_SHIFT = 20  # fractional bits of the integer arithmetic
_ONE = 1 << _SHIFT
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
    samples: Plane = codes.astype(np.dtype(frame.layout.dtype))
    return samples


def to_rgb(frame: Frame) -> npt.NDArray[np.uint8]:
    """The frame as 8-bit RGB, (height, width, 3) uint8, full range; alpha is ignored.

    Chroma is brought to the size of luma by `resample.resize` bicubic with the centres of both grids together
    (swscale's default), at the stream's bit depth. Then
    R, G, B = clip((cy * (Y - black) + cu * (U - mid) + cv * (V - mid) + 2^19) >> 20, 0, 255)
    with coefficients rounded to 2^-20, so that a deeper stream is rounded once, to 8 bits. Gray gives three equal
    channels; planar RGB is passed through (8 bits, full range) or rescaled, rounded to nearest.
    Raises InputError for a colour matrix that `resolve` does not know.
    """
    out = np.empty((frame.height, frame.width, 3), np.uint8)
    _decode(frame, [out[:, :, channel] for channel in range(3)], 255)
    return out


def from_rgb(rgb: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], format: str = "gbrp") -> Frame:  # noqa: A002
    """RGB samples (height, width, 3), full range of the format's depth, as a planar frame of the same values.

    format: gbrp for uint8, gbrp10le to gbrp16le for uint16. Raises InputError for other formats or arrays.
    """
    layout = pixel_format(format)
    if not layout.rgb or layout.alpha:
        raise InputError(f"RGB samples become a gbrp frame, not {format!r}; convert that one by `to_yuv`.")
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise InputError(f"RGB samples have the shape (height, width, 3), not {rgb.shape}.")
    planes = tuple(rgb[:, :, channel].copy() for channel in (1, 2, 0))
    return Frame(planes, format, color=_RGB)


def to_yuv(frame: Frame) -> Frame:
    """A planar RGB frame as limited-range BT.709 4:4:4, two or more bits deeper so that `from_yuv` gives it back.

    Exact both ways up to 12 bits; 14 and 16 bits become 16. Opacity is kept. The tags of the result say what it is.
    Raises InputError for a frame that is not RGB.
    """
    layout = frame.layout
    if not layout.rgb:
        raise InputError(f"A {frame.format} frame is not RGB; only gbrp frames are turned into YUV.")
    bits = _DEEPER[layout.bits]
    peak = (1 << bits) - 1
    out = [np.empty(plane.shape, np.uint16) for plane in frame.planes[:3]]
    green, blue, red = frame.planes[:3]
    _mix((red, green, blue), _encoding(layout.bits, frame.color.range != LIMITED, bits), out, peak)
    if layout.alpha:
        out.append(_rescale(frame.planes[3], 0, layout.peak, peak).astype(np.uint16))
    name = f"yuv{'a' * layout.alpha}444p{bits}le"
    return frame.replace(
        planes=tuple(out), format=name, color=dataclasses.replace(frame.color, matrix=1, range=LIMITED)
    )


def from_yuv(frame: Frame, format: str = "gbrp") -> Frame:  # noqa: A002
    """A YUV or gray frame as planar RGB of the given format, full range, by the arithmetic of `to_rgb`.

    Opacity is kept where the format has it and opaque where the frame has none.
    Raises InputError for a format that is not RGB and for a colour matrix that `resolve` does not know.
    """
    layout = pixel_format(format)
    if not layout.rgb:
        raise InputError(f"{format!r} is not a planar RGB format; choose gbrp, gbrp10le, gbrap or the like.")
    red, green, blue = (np.empty((frame.height, frame.width), np.dtype(layout.dtype)) for _ in range(3))
    _decode(frame, [red, green, blue], layout.peak)
    planes = [green, blue, red]
    if layout.alpha and frame.layout.alpha:
        planes.append(_rescale(frame.planes[-1], 0, frame.layout.peak, layout.peak).astype(layout.dtype))
    elif layout.alpha:
        planes.append(np.full_like(green, layout.peak))
    return frame.replace(
        planes=tuple(planes), format=format, color=dataclasses.replace(frame.color, matrix=0, range=FULL)
    )


def to_unit(frame: Frame) -> npt.NDArray[np.float32]:
    """RGB (3, height, width) float32 of 0..1: `to_rgb` / 255, or the same arithmetic in 16 bits for a deeper frame."""
    peak = 255 if frame.layout.bits == 8 else 65535
    planes = [np.empty((frame.height, frame.width), np.uint16) for _ in range(3)]
    _decode(frame, planes, peak)
    return np.stack(planes).astype(np.float32) / np.float32(peak)


def from_unit(rgb: npt.NDArray[np.float32], like: Frame) -> Frame:
    """RGB (3, height, width) of 0..1 as a frame of any size in the format, range and matrix of `like`, its times too.

    The inverse of `to_unit`: chroma made small by `resample.resize_real`, bicubic; everything rounded to nearest and
    clipped. Opacity is that of `like`, enlarged. Raises InputError for a matrix that `resolve` does not know.
    """
    layout, (height, width) = like.layout, rgb.shape[1:]
    if layout.rgb:
        black, span = _range(layout.bits, like.color.range != LIMITED)
        real = [black + span * rgb[channel] for channel in (1, 2, 0)]
    else:
        matrix, full = resolve(like.color)
        black, span = _range(layout.bits, full)
        y, *chroma = np.tensordot(_rgb_to_yuv(matrix).astype(np.float32), rgb, 1)
        middle, width_of_chroma = 1 << (layout.bits - 1), span if full else 224 << (layout.bits - 8)
        tall, wide = layout.plane_size(1, width, height)
        real = [black + span * y]
        real += [middle + width_of_chroma * resize_real(c, wide, tall) for c in chroma if layout.planes >= 3]
    planes: list[Plane] = [np.rint(np.clip(p, 0, layout.peak)).astype(np.dtype(layout.dtype)) for p in real]
    if layout.alpha:
        planes.append(resize(like.planes[-1], width, height, bits=layout.bits))
    return like.replace(planes=tuple(planes), qp=None, motion=None)


def _decode(frame: Frame, out: Sequence[Plane], peak: int) -> None:
    """Write red, green and blue of a frame of any format into three arrays, 0..peak."""
    layout, planes = frame.layout, frame.planes
    if layout.rgb:
        black, span = _range(layout.bits, frame.color.range != LIMITED)
        for target, plane in zip(out, (planes[2], planes[0], planes[1]), strict=True):
            target[:] = _rescale(plane, black, span, peak)
        return
    matrix, full = resolve(frame.color)
    if layout.planes < 3:
        gray = _rescale(planes[0], *_range(layout.bits, full), peak)
        for target in out:
            target[:] = gray
        return
    u, v = (_full_size(plane, layout, frame.height, frame.width) for plane in planes[1:3])
    _mix((planes[0], u, v), _decoding(matrix, full, layout.bits, peak), out, peak)


def _range(bits: int, full: bool) -> tuple[int, int]:
    """Code values of black, and between black and white."""
    return (0, (1 << bits) - 1) if full else (16 << (bits - 8), 219 << (bits - 8))


def _full_size(plane: Plane, layout: PixelFormat, height: int, width: int) -> Plane:
    """A chroma plane at the size of luma; with odd sizes the sample beyond the edge is cropped."""
    size = plane.shape[1] << layout.chroma_x, plane.shape[0] << layout.chroma_y
    return resize(plane, *size, bits=layout.bits)[:height, :width]


def _rgb_to_yuv(matrix: Matrix) -> Float64:
    """3x3, RGB of 0..1 to Y of 0..1 and U, V of -0.5..0.5."""
    red, blue = WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    return np.array([luma, (np.array([0, 0, 1]) - luma) / (2 - 2 * blue), (np.array([1, 0, 0]) - luma) / (2 - 2 * red)])


@functools.cache
def _decoding(matrix: Matrix, full: bool, bits: int, peak: int) -> Table:
    """Red, green, blue of 0..peak from Y, U, V of `bits` bits, for `_mix`."""
    black, span = _range(bits, full)
    chroma = span if full else 224 << (bits - 8)
    unit = np.linalg.inv(_rgb_to_yuv(matrix)) * (peak * _ONE) / np.array([span, chroma, chroma])
    return tuple((-black * y - (u + v << (bits - 1)), y, u, v) for y, u, v in np.rint(unit).astype(int).tolist())


def decoding(matrix: Matrix = "bt601") -> Float64:
    """(3, 4): constant and weights of Y, U, V that give red, green, blue in `to_rgb`, all in 8-bit code values."""
    return np.array(_decoding(matrix, False, 8, 255)) / _ONE


@functools.cache
def _encoding(bits: int, full: bool, to_bits: int) -> Table:
    """Limited-range BT.709 Y, U, V of `to_bits` bits from red, green, blue of `bits` bits, for `_mix`."""
    black, span = _range(bits, full)
    unit = _rgb_to_yuv("bt709") * (_ONE << (to_bits - 8)) * np.array([[219], [224], [224]]) / span
    offsets = (_ONE << (to_bits - 4), _ONE << (to_bits - 1), _ONE << (to_bits - 1))
    rows = zip(offsets, np.rint(unit).astype(int).tolist(), strict=True)
    return tuple((offset - black * sum(row), *row) for offset, row in rows)


def _mix(planes: Sequence[Plane], table: Table, out: Sequence[Plane], peak: int) -> None:
    """out[i] = clip((constant + sum of weights * planes + half) >> 20, 0, peak) with row i of the table."""
    exact = np.int32 if peak == 255 else np.int64  # 8 bits: at most 3 * 255 * 2^20 on the way
    for top in range(0, len(planes[0]), _ROWS):
        part = slice(top, top + _ROWS)
        strips = [plane[part].astype(exact) for plane in planes]
        term = np.empty_like(strips[0])
        for target, (constant, *weights) in zip(out, table, strict=True):
            total = np.full_like(term, constant + _ONE // 2)
            for strip, weight in zip(strips, weights, strict=True):
                if weight:
                    np.multiply(strip, weight, out=term)
                    total += term
            total >>= _SHIFT
            np.clip(total, 0, peak, out=target[part], casting="unsafe")


def _rescale(plane: Plane, black: int, span: int, peak: int) -> npt.NDArray[np.int64]:
    """black..black + span to 0..peak, rounded to nearest, clipped."""
    levels = np.arange(np.iinfo(plane.dtype).max + 1) - black
    table: npt.NDArray[np.int64] = np.clip((2 * levels * peak + span) // (2 * span), 0, peak)
    return table[plane]
