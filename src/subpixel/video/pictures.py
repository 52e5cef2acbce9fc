"""Frames out of the package without a codec: a folder of PNG images, or y4m or NUT for a pipe."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Literal

import av
import numpy as np
import numpy.typing as npt

from subpixel.color import WEIGHTS, resolve, to_rgb
from subpixel.errors import UsageError
from subpixel.frames import FULL, LIMITED, Frame, PixelFormat, pixel_format
from subpixel.video.convert import to_av
from subpixel.video.formats import convert
from subpixel.video.image import encode_image
from subpixel.video.write import writing

_Y4M = {"420": "420jpeg", "422": "422", "444": "444"}


def write_images(folder: str | Path, frames: Iterable[Frame]) -> int:
    """Write every frame as a PNG image, 000001.png and so on, into a folder that is made if needed; return how many.

    8 bits: RGB by `color.to_rgb`. More: 16-bit RGB, full range. Opacity is not written. Raises DiskError.
    """
    folder, count = Path(folder), 0
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for count, frame in enumerate(frames, 1):
        data = encode_image(to_rgb(frame)) if frame.layout.bits == 8 else _png16(rgb16(frame))
        path = folder / f"{count:06}.png"
        with writing(path):
            _write_whole(path, data)
    return count


def write_pipe(
    stream: BinaryIO, frames: Iterable[Frame], *, container: Literal["y4m", "nut"] = "nut", rate: Fraction | None = None
) -> int:
    """Write uncompressed frames to a pipe until they end or nobody reads any more; return how many were written.

    "nut" keeps every format and every time, but has no room for colour tags and sample aspect ratio. "y4m" has the
    aspect ratio and the range, and one rate for all, `rate` or that of the first two frames; RGB becomes YUV in it.
    Raises UsageError for another container.
    """
    writers = {"y4m": _write_y4m, "nut": _write_nut}
    if container not in writers:
        raise UsageError(f"A pipe carries y4m or nut, not {container!r}.")
    written = 0
    try:
        for count in writers[container](stream, iter(frames), rate):
            written = count
        stream.flush()
    except BrokenPipeError:
        # What is still buffered must not fail again when Python closes the stream.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return written


def _write_whole(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def rgb16(frame: Frame) -> npt.NDArray[np.uint16]:
    """The frame as 16-bit RGB, (height, width, 3) uint16, full range, by the formula of `color.to_rgb` in float64."""
    layout = frame.layout
    black, span = _levels(layout, frame.color.range != LIMITED if layout.rgb else frame.color.range == FULL)
    if layout.rgb or layout.planes < 3:
        order = (2, 0, 1) if layout.rgb else (0, 0, 0)
        rgb = np.stack([(frame.planes[i].astype(np.float64) - black) / span for i in order], axis=-1)
    else:
        rgb = _from_yuv(convert(frame, pixel_format(f"yuv444p{layout.bits}le")), black, span)
    return np.clip(np.rint(rgb * 65535), 0, 65535).astype(np.uint16)


def _levels(layout: PixelFormat, full: bool) -> tuple[int, int]:
    """Code values of black, and between black and white."""
    return (0, layout.peak) if full else (16 << (layout.bits - 8), 219 << (layout.bits - 8))


def _from_yuv(frame: Frame, black: int, span: int) -> npt.NDArray[np.float64]:
    """RGB of 0..1 from 4:4:4."""
    matrix, full = resolve(frame.color)
    red, blue = WEIGHTS[matrix]
    luma, u, v = (plane.astype(np.float64) for plane in frame.planes[:3])
    half, chroma = 1 << (frame.layout.bits - 1), span if full else 224 << (frame.layout.bits - 8)
    y = (luma - black) / span
    r = y + (v - half) / chroma * (2 - 2 * red)
    b = y + (u - half) / chroma * (2 - 2 * blue)
    return np.stack((r, (y - red * r - blue * b) / (1 - red - blue), b), axis=-1)


def _png16(rgb: npt.NDArray[np.uint16]) -> bytes:
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = rgb.shape[:2]
    encoder.pix_fmt, encoder.framerate = "rgb48be", Fraction(25)
    picture = av.VideoFrame.from_ndarray(rgb, format="rgb48le").reformat(format="rgb48be", threads=1)
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])


def _write_y4m(stream: BinaryIO, frames: Iterator[Frame], rate: Fraction | None) -> Iterator[int]:
    """Yields the number of frames written so far."""
    head = list(itertools.islice(frames, 2))
    if not head:
        return
    target = _y4m_format(head[0].layout)
    stream.write(_y4m_header(convert(head[0], target), rate or _rate(head)))
    for count, frame in enumerate(itertools.chain(head, frames), 1):
        shown = convert(frame, target)
        stream.write(b"FRAME\n" + b"".join(np.ascontiguousarray(plane).tobytes() for plane in shown.planes))
        yield count


def _y4m_format(layout: PixelFormat) -> PixelFormat:
    """The format of y4m nearest to a frame's: opacity only with 8-bit 4:4:4, no RGB."""
    if layout.name == "yuva444p" or not (layout.alpha or layout.rgb):
        return layout
    depth = f"{layout.bits}le" if layout.bits > 8 else ""
    return pixel_format(layout.name.replace("yuva", "yuv") if not layout.rgb else f"yuv444p{depth}")


def _y4m_header(frame: Frame, rate: Fraction) -> bytes:
    layout = frame.layout
    if layout.planes == 1:
        tag = "mono" + (str(layout.bits) if layout.bits > 8 else "")
    else:
        css = layout.name.removeprefix("yuva").removeprefix("yuv")[:3]
        tag = f"{css}p{layout.bits} XYSCSS={css}P{layout.bits}" if layout.bits > 8 else _Y4M[css]
        tag += "alpha" if layout.alpha else ""
    sar = f"{frame.sar.numerator}:{frame.sar.denominator}" if frame.sar else "0:0"
    coloured = {LIMITED: " XCOLORRANGE=LIMITED", FULL: " XCOLORRANGE=FULL"}.get(frame.color.range, "")
    size = f"W{frame.width} H{frame.height} F{rate.numerator}:{rate.denominator}"
    return f"YUV4MPEG2 {size} Ip A{sar} C{tag}{coloured}\n".encode("ascii")


def _rate(head: list[Frame]) -> Fraction:
    """Frames per second from the first two frames, 25 where they have no times."""
    step = head[0].duration
    if len(head) == 2 and head[0].pts is not None and head[1].pts is not None:
        step = head[1].pts - head[0].pts
    return 1 / (step * head[0].time_base) if step > 0 else Fraction(25)


def _write_nut(stream: BinaryIO, frames: Iterator[Frame], rate: Fraction | None) -> Iterator[int]:
    """Yields the number of frames written so far."""
    head = next(frames, None)
    if head is None:
        return
    out: Any = av.open(_Unclosed(stream), "w", format="nut")
    video = out.add_stream("rawvideo", rate=rate or _rate([head]))
    video.width, video.height, video.pix_fmt = head.width, head.height, head.format
    video.codec_context.time_base = head.time_base
    try:
        for count, frame in enumerate(itertools.chain([head], frames), 1):
            out.mux(video.encode(to_av(frame)))
            yield count
    except BrokenPipeError:
        with contextlib.suppress(OSError, av.FFmpegError):
            out.close()  # fails for the same reason
        raise
    out.close()


class _Unclosed:
    """The part of a binary stream that a muxer needs; the stream stays open, and is never sought in."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        """Hand the bytes on."""
        self._stream.write(data)
        return len(data)
