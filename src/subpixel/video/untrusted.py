"""Strangers' pictures and films, decoded to RGB on the strictest terms: anything unusual is an error.

Meant for a process that can do nothing else: what is wrong with libav itself is not caught here.
"""

from __future__ import annotations

import errno
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import av
import av.error
import numpy as np
import numpy.typing as npt

from subpixel import color
from subpixel.errors import InputError, Refused
from subpixel.frames import Frame
from subpixel.video.convert import from_av

CODECS = ("h264", "hevc", "ffv1")
_ODD = (ValueError, LookupError, ArithmeticError, TypeError, AttributeError)  # of PyAV, at odd files
_HDR = (16, 18)  # transfers PQ and HLG (H.273)
_CONTAINER_OPTIONS = {
    "enable_drefs": "0",  # no other files
    "use_absolute_path": "0",
    "ignore_editlist": "1",  # every picture that is stored counts
    "err_detect": "crccheck+explode",
    "protocol_whitelist": "",
}


def load_all() -> None:
    """Import every part of PyAV, some of which it loads when a file calls for them."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def picture(data: bytes, width: int, height: int) -> npt.NDArray[np.uint8]:
    """RGB (height, width, 3) uint8 of a PNG file that `challenge.png.bare` made. Raises Refused for another picture."""
    decoder = cast(Any, av.CodecContext.create("png", "r"))
    decoder.thread_count, decoder.thread_type = 1, "NONE"
    try:
        pictures = decoder.decode(av.Packet(data))
    except av.error.FFmpegError as error:
        raise _refusal(error, "png_damaged") from error
    if len(pictures) != 1 or pictures[0].format.name != "rgb24":
        raise Refused("png_damaged", "It does not decode to one picture of 8-bit RGB.")
    if (pictures[0].width, pictures[0].height) != (width, height):
        raise Refused("picture_size", f"It is not {width}x{height} as the clip.")
    plane = pictures[0].planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:height, : 3 * width]
    return np.ascontiguousarray(rows).reshape(height, width, 3)


def film(file: BinaryIO, width: int, height: int, frames: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Every picture of a film as RGB (height, width, 3) uint8 by `color.to_rgb`, by the film's own tags.

    file: MP4 or Matroska, with `read`, `seek`, `tell`; one stream of H.264, HEVC or FFV1 and no other. Raises Refused
    for any other, for a picture of another size, for another number of pictures than `frames`, for any damage.
    """
    count, first = 0, None
    for shown in _pictures(file, width, height):
        if shown.is_corrupt:
            raise Refused("damaged", f"Picture {count + 1} is damaged.")
        if (shown.width, shown.height) != (width, height):
            size = f"{shown.width}x{shown.height}"
            raise Refused("picture_size", f"Picture {count + 1} is {size}; the clip is {width}x{height}.")
        if shown.rotation:
            raise Refused("rotation", f"It asks to be turned by {shown.rotation} degrees; write it upright.")
        count += 1
        if count > frames:
            raise Refused("frame_count", f"It has more pictures than the {frames} of the clip.")
        frame = _frame(shown)
        first = first or frame
        if (frame.format, frame.color) != (first.format, first.color):
            raise Refused("changes", f"Picture {count} has another format or other colour tags than the first.")
        yield color.to_rgb(frame)
    if count != frames:
        raise Refused("frame_count", f"It has {count} pictures; the clip has {frames}.")


def _pictures(file: BinaryIO, width: int, height: int) -> Iterator[av.VideoFrame]:
    head = file.read(12)
    file.seek(0)
    name = "mov" if head[4:8] == b"ftyp" else "matroska" if head[:4] == b"\x1a\x45\xdf\xa3" else None
    if name is None:
        raise Refused("container", "It is neither MP4 nor Matroska; write .mp4 or .mkv.")
    # Decoders want room for whole blocks around the picture.
    limit = {"max_pixels": str((width + 256) * (height + 256))}
    try:
        with av.open(file, "r", format=name, options=_CONTAINER_OPTIONS, metadata_errors="replace") as container:
            stream = _only_stream(container)
            decoder = stream.codec_context
            decoder.thread_count, decoder.thread_type = 1, "NONE"
            decoder.options = limit | {"err_detect": "crccheck+explode"}
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    raise Refused("damaged", "It is cut off or damaged.")
                yield from cast("list[av.VideoFrame]", packet.decode())
    except (av.error.FFmpegError, OSError, *_ODD) as error:
        raise _refusal(error, "damaged") from error


def _only_stream(container: Any) -> Any:
    streams = container.streams
    if len(streams) != 1 or streams[0].type != "video":
        kinds = ", ".join(str(stream.type) for stream in list(streams)[:8])
        raise Refused("streams", f"It holds {len(streams)} streams ({kinds}); write one of video and nothing else.")
    decoder = streams[0].codec_context
    if decoder is None or decoder.codec.canonical_name not in CODECS:
        what = "an unknown codec" if decoder is None else decoder.codec.canonical_name
        raise Refused("codec", f"It is coded by {what}; write one of {', '.join(CODECS)}.")
    return streams[0]


def _frame(picture: av.VideoFrame) -> Frame:
    """The picture as a Frame that `color.to_rgb` takes; raises Refused for one that it would not take."""
    try:
        frame = from_av(picture, codec_info=False)
        if frame.layout.planes != 3:
            raise Refused("colour", f"It is stored as {frame.format}; write colours, without opacity.")
        if not frame.layout.rgb:
            color.resolve(frame.color)
    except Refused:
        raise
    except InputError as error:
        raise Refused("colour", str(error)) from error
    if frame.color.transfer in _HDR:
        raise Refused("colour", "It is tagged as HDR, and the score is taken of 8-bit SDR; write it as BT.709.")
    return frame


def _refusal(error: Exception, code: str) -> Refused:
    if getattr(error, "errno", None) == errno.ENOMEM:
        return Refused("memory", "The decoder needs more memory than it may have.")
    return Refused(code, "It cannot be decoded: it is damaged, or not what its name says.")
