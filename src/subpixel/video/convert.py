"""Between libav's pictures and Frame: planes without a copy where their layout allows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, cast

import av
import av.video.format
import numpy as np
import numpy.typing as npt
from av.sidedata.encparams import VideoEncParamsType

from subpixel.errors import InputError
from subpixel.frames import FULL, Color, Frame, PixelFormat, Plane, pixel_format

_KINDS = {1: "I", 2: "P", 3: "B"}
_BLOCK = ("src_x", "src_y", "w", "h", "delta_qp")


def planar_name(format_: av.video.format.VideoFormat) -> str:
    """The planar layout carried by Frame that is nearest to any FFmpeg pixel format, losing nothing.

    nv12 becomes yuv420p, rgb24 gbrp, pal8 and gray with opacity gbrap, big-endian little-endian,
    yuvj420p yuv420p (its full range is kept in Color). Raises InputError for hardware surfaces.
    """
    name = format_.name.replace("yuvj", "yuv")
    try:
        return pixel_format(name).name
    except InputError:
        pass
    parts = format_.components
    if not parts:
        raise InputError(f"Pixel format {format_.name!r} cannot be read into memory.")
    suffix = _depth(max(part.bits for part in parts))
    alpha = any(part.is_alpha for part in parts) or format_.has_palette
    colors = len(parts) - any(part.is_alpha for part in parts)
    if format_.is_rgb or format_.is_bayer or format_.has_palette or name.startswith("xyz") or (alpha and colors == 1):
        # RGB with opacity exists for fewer depths; 16 bits hold all of them.
        return "gbrap" + (suffix if suffix in ("", "10le", "12le") else "16le") if alpha else "gbrp" + suffix
    if colors == 1:
        return "gray" + suffix
    return f"yuv{'a' * alpha}{_subsampling(format_)}p{suffix}"


def from_av(picture: av.VideoFrame, *, sar: Fraction = Fraction(0), codec_info: bool = True) -> Frame:
    """The picture as a Frame; read-only views of the decoder's planes where no conversion is needed.

    sar: sample aspect ratio of the stream. codec_info: also QP and motion vectors, where exported.
    """
    name = planar_name(picture.format)
    layout = pixel_format(name)
    color = tags(picture)
    if picture.format.name.startswith("yuvj"):
        color = dataclasses.replace(color, range=FULL)
    planar = picture
    if picture.format.name not in (name, name.replace("yuv", "yuvj")):
        # Tags would make libswscale convert colours, or refuse; with more threads it has been seen to give other
        # samples now and then.
        tag(picture, Color())
        planar = picture.reformat(format=name, threads=1)
        tag(picture, color)
    return Frame(
        planes=tuple(_view(planar, index, layout) for index in range(layout.planes)),
        format=name,
        pts=picture.pts,
        time_base=picture.time_base or Fraction(1, 25),
        duration=picture.duration or 0,
        color=color,
        sar=sar,
        kind=_KINDS.get(picture.pict_type, "?"),
        interlaced=picture.interlaced_frame,
        qp=_qp(picture, layout.bits) if codec_info else None,
        motion=_motion(picture) if codec_info else None,
    )


def to_av(frame: Frame) -> av.VideoFrame:
    """The frame as libav takes it: one copy of each plane, with pts and colour tags."""
    picture = av.VideoFrame(frame.width, frame.height, frame.format)
    for index, plane in enumerate(frame.planes):
        _rows(picture, index, frame.layout.dtype)[:, : plane.shape[1]] = plane
    picture.pts = frame.pts
    picture.time_base = frame.time_base
    picture.duration = frame.duration
    tag(picture, frame.color)
    return picture


def tags(picture: av.VideoFrame) -> Color:
    """What the picture says about its colours."""
    return Color(picture.colorspace, picture.color_primaries, picture.color_trc, picture.color_range)


def tag(picture: av.VideoFrame, color: Color) -> None:
    """Makes the picture say so; its samples stay."""
    picture.colorspace = color.matrix
    picture.color_primaries = color.primaries
    picture.color_trc = color.transfer
    picture.color_range = color.range


def side_data(picture: av.VideoFrame, kind: str) -> Any:
    """What libav attached to the picture under a name of av.sidedata.sidedata.Type, None where it did not."""
    try:
        return cast(Mapping[str, Any], picture.side_data).get(kind)
    except ValueError:  # PyAV gives up on all of it where one kind is newer than itself, such as EXIF
        return None


def _depth(bits: int) -> str:
    if bits <= 8:
        return ""
    return f"{next((known for known in (9, 10, 12, 14) if bits <= known), 16)}le"


def _subsampling(format_: av.video.format.VideoFormat) -> str:
    # 1024 is divisible by every subsampling; 4:1:1, 4:1:0 and 4:4:0 go to the next finer layout.
    width, height = format_.chroma_width(1024), format_.chroma_height(1024)
    if width == 1024:
        return "444"
    return "420" if height < 1024 else "422"


def _rows(picture: av.VideoFrame, index: int, dtype: type[np.uint8] | type[np.uint16]) -> Plane:
    """A whole plane with its padding, top row first."""
    plane = picture.planes[index]
    rows = cast(Plane, np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1))
    return rows[::-1] if plane.line_size < 0 else rows


def _view(picture: av.VideoFrame, index: int, layout: PixelFormat) -> Plane:
    height, width = layout.plane_size(index, picture.width, picture.height)
    view = _rows(picture, index, layout.dtype)[:height, :width]
    # The decoder still predicts later pictures from this memory.
    view.flags.writeable = False
    return view


def _qp(picture: av.VideoFrame, bits: int) -> npt.NDArray[np.int16] | None:
    """H.264's QP of each macroblock: slice QP plus the block's difference, 0 to 51 at any bit depth."""
    params = side_data(picture, "VIDEO_ENC_PARAMS")
    if params is None or params.codec_type != VideoEncParamsType.H264 or params.nb_blocks == 0:
        return None
    fields = np.dtype({"names": list(_BLOCK), "formats": ["<i4"] * 5, "itemsize": params.block_size})
    blocks = np.frombuffer(params, fields, params.nb_blocks, params.blocks_offset)
    rows, columns = -(-picture.height // 16), -(-picture.width // 16)
    row, column = blocks["src_y"] >> 4, blocks["src_x"] >> 4
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    # libav counts from 0 upwards at every depth; the standard's scale goes negative above 8 bits.
    qp = np.full((rows, columns), params.qp - 6 * (bits - 8), np.int16)
    qp[row[inside], column[inside]] += blocks["delta_qp"][inside].astype(np.int16)
    return qp


def _motion(picture: av.VideoFrame) -> npt.NDArray[np.void] | None:
    vectors = side_data(picture, "MOTION_VECTORS")
    return None if vectors is None else vectors.to_ndarray()
