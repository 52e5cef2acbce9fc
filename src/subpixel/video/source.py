"""Opens a video so that nothing but that one local file can be touched, and says clearly why it cannot be read."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import av
import av.container
import av.error
import av.stream
import av.video

from subpixel.errors import InputError
from subpixel.video.cutoff import missing_bytes

# Containers that hold their pictures themselves. Absent on purpose: hls, concat, dash, sdp and the other
# playlists, which make the demuxer open whatever address they name.
CONTAINERS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,obu,ivf,vvc,vc1,flv,ogg,nut,yuv4mpegpipe,"
    "asf,mxf,rm,wtv,dv,gif,apng,webp,mjpeg,image2,png_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,j2k_pipe,bmp_pipe,"
    "tiff_pipe,webp_pipe,ppm_pipe,pgm_pipe,pgmyuv_pipe,pbm_pipe,pam_pipe,dpx_pipe,exr_pipe,qoi_pipe,sgi_pipe"
)
PIPES = "yuv4mpegpipe,nut"
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".exr", ".dpx", ".jp2", ".jxl")
FILMS = (
    ".3gp", ".avi", ".flv", ".gif", ".ivf", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
    ".nut", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
)  # fmt: skip

# 16K film is 15360x8640; a header that claims more is a mistake or an attack on memory.
MAX_PIXELS = 1 << 27

_PLAYLISTS = (b"#extm3u", b"ffconcat", b"[playlist]", b"[reference]", b"<mpd", b"<?xml", b"<smil", b"v=0", b"file '")
_ADDRESSES = (b"http:", b"https:", b"rtsp:", b"rtmp:", b"ftp:", b"concat:")


def shown(source: str | Path) -> str:
    """The source as messages name it: quoted, with odd characters escaped."""
    return "standard input" if str(source) == "-" else repr(str(source))


@contextlib.contextmanager
def explained(source: str | Path) -> Iterator[None]:
    """Turns every libav and operating system error inside into an InputError that names the source."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"{shown(source)} cannot be read: {_reason(error)}.") from error


def open_source(source: str | Path) -> av.container.InputContainer:
    """An open container for a local file, or for standard input where the source is "-".

    Only the file itself can be read, whatever it says: no network, no other file.
    Raises InputError when it is missing, of an unknown kind or names other files.
    """
    options = {
        "format_whitelist": CONTAINERS,
        "protocol_whitelist": "file,pipe",
        "pattern_type": "none",  # "a%03d.png" is a name, not a pattern
        "max_pixels": str(MAX_PIXELS),
    }
    with explained(source):
        if str(source) == "-":
            pipe = cast(BinaryIO, sys.stdin.buffer)
            return av.open(pipe, "r", options=options | {"format_whitelist": PIPES}, metadata_errors="replace")
        path = os.fspath(source)
        if not os.path.exists(path) and b"://" in os.fsencode(path):
            raise InputError(f"{shown(source)} is an address; download the file first and pass its path.")
        _refuse_playlist(source)
        try:
            return av.open(f"file:{path}", "r", options=options, metadata_errors="replace")
        except av.error.InvalidDataError as error:
            if missing := missing_bytes(path):
                raise InputError(
                    f"{shown(source)} is cut off: {missing} bytes that it promises are missing, its index among them."
                ) from error
            raise


def video_stream(container: av.container.InputContainer, source: str | Path) -> av.video.VideoStream:
    """The stream to restore: the first video that is not a cover picture.

    Raises InputError when there is none, or when it claims more than MAX_PIXELS.
    """
    for stream in container.streams.video:
        if stream.disposition & (av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails):
            continue
        if stream.codec_context is None:
            raise InputError(f"{shown(source)} holds video of a codec that cannot be decoded here.")
        check_size(stream.codec_context.width, stream.codec_context.height, source)
        return stream
    raise InputError(f"{shown(source)} holds no video.")


def check_size(width: int, height: int, source: str | Path) -> None:
    """Raises InputError for a picture larger than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise InputError(f"{shown(source)} claims pictures of {width}x{height}; at most {MAX_PIXELS} pixels are read.")


def images(folder: Path) -> list[Path]:
    """The image files in a folder, frame2 before frame10. Raises InputError when there is none."""
    found = sorted((path for path in folder.iterdir() if path.suffix.lower() in IMAGES), key=_natural)
    if not found:
        raise InputError(f"The folder {shown(folder)} holds no images.")
    return found


def _refuse_playlist(source: str | Path) -> None:
    with open(source, "rb") as file:
        head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        raise InputError(f"{shown(source)} is empty.")
    if head.startswith(_PLAYLISTS + _ADDRESSES):
        raise InputError(f"{shown(source)} is a playlist that names other files; pass the video itself.")


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, av.error.FFmpegError):
        return "it is no video of a known kind, or its header is damaged or claims pictures beyond any size"
    return (getattr(error, "strerror", None) or str(error)).lower()


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts frame2 before frame10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
