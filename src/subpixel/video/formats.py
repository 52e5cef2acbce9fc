"""Which pixel format an encoder gets for a frame, and the frame turned into it.

A frame keeps its own format where the encoder has it. Otherwise the nearest one is taken: as many bits, as much
chroma and opacity as the encoder can hold, and every change is named in a sentence for the report. RGB becomes
YUV 4:4:4 where the encoder wants YUV. 4:2:0 and 4:2:2 of an odd size, which H.264 and HEVC cannot describe, become
4:4:4: the luma samples stay as they are, chroma is up-sampled the way `color.to_rgb` does it.
"""

from __future__ import annotations

import functools
from typing import cast

import av
import numpy as np

from subpixel.color import to_yuv
from subpixel.errors import InputError, UsageError
from subpixel.frames import FULL, Frame, PixelFormat, Plane, pixel_format
from subpixel.resample import resize
from subpixel.video.convert import to_av

_EVEN = ("libx264", "libx265")  # subsampled chroma only at even sizes
_SMALLEST = {"libx265": 64, "libsvtav1": 8}  # x265 corrupts memory at some sizes below 64
_PACKED = {"gbrp": "bgr0", "gbrap": "bgra"}  # FFV1 has 8-bit RGB only interleaved


@functools.cache
def encodable(encoder: str) -> tuple[PixelFormat, ...]:
    """The planar formats that an encoder takes, opacity only with FFV1, whose alpha planes every player reads.

    encoder: FFmpeg's name of it, such as "libx264". Raises UsageError if this FFmpeg was built without it.
    """
    try:
        names = {f.name for f in av.Codec(encoder, "w").video_formats or ()}
    except ValueError as error:
        raise UsageError(f"Encoder {encoder} is not in this build of FFmpeg; choose another codec.") from error
    names |= {planar for planar, packed in _PACKED.items() if encoder == "ffv1" and packed in names}
    layouts = [layout for name in sorted(names) if (layout := _layout(name))]
    return tuple(layout for layout in layouts if encoder == "ffv1" or not layout.alpha)


def choose(frame: Frame, encoder: str, asked: str | None = None) -> PixelFormat:
    """The format in which `encoder` shall hold frames like this one: `asked`, or the frame's own or nearest.

    Raises UsageError if the encoder has no format `asked`, not at this size, or cannot hold the size at all.
    """
    least = _SMALLEST.get(encoder, 1)
    if min(frame.width, frame.height) < least:
        raise UsageError(
            f"{encoder} cannot hold {frame.width}x{frame.height}: it starts at {least}x{least}; use h264 or ffv1."
        )
    fitting = [layout for layout in encodable(encoder) if _fits(layout, frame, encoder)]
    if asked is None:
        return min(fitting, key=lambda layout: _distance(frame.layout, layout))
    for layout in fitting:
        if layout.name.removesuffix("le") == asked.removesuffix("le"):
            return layout
    names = ", ".join(layout.name for layout in fitting)
    raise UsageError(f"{encoder} cannot hold {frame.width}x{frame.height} as {asked}; choose one of {names}.")


def changes(source: PixelFormat, target: PixelFormat) -> tuple[str, ...]:
    """What is lost or altered between two formats, one sentence each; empty if nothing is."""
    found = []
    if source.alpha and not target.alpha:
        found.append(f"Opacity is dropped: {target.name} has none.")
    if source.rgb != target.rgb:
        found.append(f"RGB ({source.name}) is stored as YUV ({target.name}).")
    elif source.name != target.name and (source.bits, source.planes > 2) != (target.bits, target.planes > 2):
        found.append(f"{source.name} is stored as {target.name}.")
    elif (source.chroma_x, source.chroma_y) != (target.chroma_x, target.chroma_y):
        found.append(f"{source.name} is stored as {target.name}: chroma is resampled, luma is kept.")
    return tuple(found)


def convert(frame: Frame, target: PixelFormat) -> Frame:
    """The frame in another format: opacity dropped, RGB to YUV, chroma resampled, bits rounded or widened.

    Raises UsageError from YUV to RGB, which would lose what a decoder of YUV keeps.
    """
    if frame.format == target.name:
        return frame
    if frame.layout.alpha and not target.alpha:
        frame = _opaque(frame)
    if frame.layout.rgb and not target.rgb:
        frame = to_yuv(frame)
    if target.rgb and not frame.layout.rgb:
        raise UsageError(f"Frames in {frame.format} are not stored as {target.name}; ask for a YUV format.")
    planes = _with_chroma(frame, target)
    full = frame.layout.rgb or frame.color.range == FULL
    planes = tuple(_requantise(plane, frame.layout.bits, target, full) for plane in planes)
    if target.alpha and len(planes) < target.planes:
        planes = (*planes, np.full_like(planes[0], target.peak))
    return frame.replace(planes=planes, format=target.name, qp=None, motion=None)


def picture(frame: Frame, encoder: str) -> av.VideoFrame:
    """The frame as the encoder takes it; 8-bit RGB interleaved for FFV1."""
    packed = stored_name(frame.layout, encoder)
    if packed == frame.format:
        return to_av(frame)
    made = av.VideoFrame(frame.width, frame.height, packed)
    samples = _interleave(frame)
    np.frombuffer(memoryview(made.planes[0]), np.uint8).reshape(frame.height, -1)[:, : samples.shape[1]] = samples
    made.colorspace, made.color_range = frame.color.matrix, frame.color.range
    return made


def stored_name(layout: PixelFormat, encoder: str) -> str:
    """FFmpeg's name of the format that the encoder is opened with."""
    return _PACKED.get(layout.name, layout.name) if encoder == "ffv1" else layout.name


def _layout(name: str) -> PixelFormat | None:
    try:
        return pixel_format(name)
    except InputError:  # packed or semi-planar: another name of samples that a planar format holds
        return None


def _fits(layout: PixelFormat, frame: Frame, encoder: str) -> bool:
    """Whether the encoder can describe this size; where not in the frame's own format, then only in full chroma."""
    if encoder not in _EVEN or (layout.chroma_x, layout.chroma_y) == (0, 0):
        return True
    even = frame.width % (1 << layout.chroma_x) == 0 and frame.height % (1 << layout.chroma_y) == 0
    return even and (frame.width % 2 == frame.height % 2 == 0 or layout == frame.layout)


def _distance(source: PixelFormat, target: PixelFormat) -> tuple[int, ...]:
    """How far a format is from the frame's: losses first, from the gravest, then what is stored in vain."""
    chroma = (source.planes > 2) - (target.planes > 2)
    steps = target.chroma_x + target.chroma_y - source.chroma_x - source.chroma_y
    return (
        max(chroma, 0),
        max(source.alpha - target.alpha, 0),
        abs(source.rgb - target.rgb),
        max(source.bits - target.bits, 0),
        max(steps, 0),
        abs(chroma),
        abs(source.alpha - target.alpha),
        abs(source.bits - target.bits),
        abs(steps),
    )


def _opaque(frame: Frame) -> Frame:
    name = frame.format.replace("yuva", "yuv").replace("gbrap", "gbrp")
    return frame.replace(planes=frame.planes[:-1], format=name)


def _with_chroma(frame: Frame, target: PixelFormat) -> tuple[Plane, ...]:
    """The planes with chroma as large as the target has it, none or grey where one of the two has none."""
    layout = frame.layout
    if target.planes < 3 or layout.rgb:
        return frame.planes[: target.planes]
    size = target.plane_size(1, frame.width, frame.height)
    grey = cast(Plane, np.full(size, 1 << (layout.bits - 1), layout.dtype))
    chroma = frame.planes[1:3] if layout.planes > 2 else (grey, grey)
    resized = [_resized(plane, layout, target, size) for plane in chroma]
    return (frame.planes[0], *resized, *frame.planes[3:])


def _resized(plane: Plane, source: PixelFormat, target: PixelFormat, size: tuple[int, int]) -> Plane:
    """A chroma plane at its new size, up as `color.to_rgb` does: doubled, then the sample beyond the edge cropped."""
    if plane.shape == size:
        return plane
    width = plane.shape[1] << source.chroma_x >> target.chroma_x
    height = plane.shape[0] << source.chroma_y >> target.chroma_y
    grown = resize(plane, max(width, size[1]), max(height, size[0]), bits=source.bits)
    return grown[: size[0], : size[1]]


def _requantise(plane: Plane, bits: int, target: PixelFormat, full: bool) -> Plane:
    """Samples at the target's depth: by a power of two in limited range, by the peaks' ratio in full range."""
    if bits == target.bits:
        return plane
    levels = np.arange(1 << bits, dtype=np.int64)
    old, new = (levels[-1], target.peak) if full else (1 << bits, 1 << target.bits)
    table = np.minimum((2 * levels * new + old) // (2 * old), target.peak).astype(target.dtype)
    return np.asarray(table[plane])


def _interleave(frame: Frame) -> Plane:
    """(height, 4 * width) samples B, G, R, and A or 0."""
    green, blue, red, *alpha = frame.planes
    last = alpha[0] if alpha else np.zeros_like(green)
    return np.asarray(np.stack((blue, green, red, last), axis=-1).reshape(frame.height, -1))
