"""What a video is before it is read: pictures, colours, time, other streams, chapters."""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import av.container
import av.stream
import av.video
import numpy as np

from subpixel.errors import InputError
from subpixel.frames import Color, Frame
from subpixel.video.convert import from_av, side_data
from subpixel.video.source import MAX_PIXELS, explained, images, open_source, shown, video_stream

StreamKind = Literal["video", "audio", "subtitle", "attachment", "data", "unknown"]

_FIRST_PACKETS = 64  # decoders return the first picture after 16 at most; the rest are damaged or not key
_CRF = re.compile(rb"x26[45] .{0,4096}?\bcrf=(\d+(?:\.\d+)?)", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True)
class MasteringDisplay:
    """The screen an HDR10 film was graded on (SMPTE ST 2086).

    red, green, blue, white: CIE 1931 (x, y); luminances in cd/m2.
    """

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    min_luminance: Fraction
    max_luminance: Fraction


@dataclasses.dataclass(frozen=True, slots=True)
class VideoInfo:
    """The video stream that `read` decodes.

    width, height: in samples as decoded, before rotation and sample aspect ratio.
    format: pixel format of the frames that `read` gives; coded_format: FFmpeg's name of the stream's own.
    rate: average pictures per second, None where unknown. frames: None where the container does not count them.
    start: presentation time of the first picture in units of time_base. duration: seconds, None where unknown.
    sar: width over height of a sample, 0 where unknown.
    rotation: degrees counter-clockwise a player turns the picture; matrix: the nine numbers that say so.
    interlaced: the stream's flags call it interlaced. crf: the quality x264 or x265 noted in the stream.
    content_light: HDR10 (largest, largest frame-average) content light level in cd/m2.
    """

    index: int
    width: int
    height: int
    format: str
    coded_format: str
    codec: str
    time_base: Fraction
    rate: Fraction | None
    frames: int | None
    start: int | None
    duration: float | None
    color: Color
    sar: Fraction
    rotation: int = 0
    matrix: tuple[int, ...] | None = None
    interlaced: bool = False
    crf: float | None = None
    mastering: MasteringDisplay | None = None
    content_light: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of the file, the restored one included; language and title are None where not said."""

    index: int
    kind: StreamKind
    codec: str
    language: str | None
    title: str | None
    disposition: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Chapter:
    """A named stretch of the film, in seconds."""

    start: float
    end: float
    title: str


@dataclasses.dataclass(frozen=True, slots=True)
class MediaInfo:
    """A video file as `probe` found it.

    container: FFmpeg's name of the demuxer. start: seconds of the earliest stream, the zero that `read`
    counts from. duration: seconds of the longest stream, None where unknown.
    """

    path: str
    container: str
    start: float
    duration: float | None
    video: VideoInfo
    streams: tuple[StreamInfo, ...]
    chapters: tuple[Chapter, ...]
    metadata: Mapping[str, str]


def probe(source: str | Path, *, rate: Fraction = Fraction(25)) -> MediaInfo:
    """Opens a video, an image or a folder of images (`rate` per second), decodes its first picture, says what is there.

    Raises InputError when the source is missing, damaged, holds no video that decodes, or is a playlist.
    """
    if str(source) == "-":
        raise InputError("Standard input can be read once only, so it cannot be examined first; save it to a file.")
    if Path(source).is_dir():
        return _folder(Path(source), rate)
    with explained(source), open_source(source) as container:
        stream = video_stream(container, source)
        picture, packet = _first(container, stream, source)
        frame = from_av(picture, sar=stream.sample_aspect_ratio or Fraction(0), codec_info=False)
        return MediaInfo(
            path=str(source),
            container=container.format.name,
            start=(container.start_time or 0) / av.time_base,
            duration=None if container.duration is None else container.duration / av.time_base,
            video=_video(stream, frame, picture, packet),
            streams=tuple(map(_stream, container.streams)),
            chapters=tuple(_chapters(container)),
            metadata=dict(container.metadata),
        )


def _folder(folder: Path, rate: Fraction) -> MediaInfo:
    """The first image's properties with the folder's number of frames."""
    found = images(folder)
    first = probe(found[0])
    duration = float(len(found) / rate)
    video = dataclasses.replace(
        first.video, time_base=1 / rate, rate=rate, frames=len(found), start=0, duration=duration
    )
    return dataclasses.replace(first, path=str(folder), container="images", start=0.0, duration=duration, video=video)


def _first(
    container: av.container.InputContainer, stream: av.video.VideoStream, source: str | Path
) -> tuple[av.VideoFrame, bytes]:
    """The first picture that decodes and the bytes of the first packet."""
    head = b""
    for count, packet in enumerate(container.demux(stream)):
        head = head or bytes(packet)
        try:
            pictures = packet.decode()
        except av.InvalidDataError:
            pictures = []  # a recording may start in the middle of a group of pictures
        if pictures:
            return pictures[0], head
        if count == _FIRST_PACKETS:
            break
    if head:
        raise InputError(
            f"{shown(source)} holds video, but its first pictures cannot be decoded: "
            f"they are damaged, or larger than {MAX_PIXELS} pixels."
        )
    raise InputError(f"{shown(source)} holds no frames.")


def _video(stream: av.video.VideoStream, frame: Frame, picture: av.VideoFrame, packet: bytes) -> VideoInfo:
    time_base = stream.time_base or frame.time_base
    crf = _CRF.search((stream.codec_context.extradata or b"") + packet)
    matrix = _side(picture, "DISPLAYMATRIX")
    mastering = _side(picture, "MASTERING_DISPLAY_METADATA")
    light = _side(picture, "CONTENT_LIGHT_LEVEL")
    return VideoInfo(
        index=stream.index,
        width=frame.width,
        height=frame.height,
        format=frame.format,
        coded_format=picture.format.name,
        codec=stream.codec_context.codec.canonical_name,
        time_base=time_base,
        rate=stream.average_rate or stream.guessed_rate,
        frames=stream.frames or None,
        start=stream.start_time if stream.start_time is not None else frame.pts,
        duration=None if stream.duration is None else float(stream.duration * time_base),
        color=frame.color,
        sar=frame.sar,
        rotation=picture.rotation,
        matrix=None if matrix is None else tuple(np.frombuffer(matrix, np.int32, 9).tolist()),
        interlaced=frame.interlaced,
        crf=None if crf is None else float(crf[1]),
        mastering=None if mastering is None else _mastering(mastering),
        content_light=None if light is None else struct.unpack_from("=II", light),
    )


def _side(picture: av.VideoFrame, kind: str) -> bytes | None:
    data = side_data(picture, kind)
    return None if data is None else bytes(data)


def _mastering(data: bytes) -> MasteringDisplay | None:
    """AVMasteringDisplayMetadata: ten fractions of two int32, then whether chromaticities and luminances are set."""
    numbers = struct.unpack_from("=22i", data)
    if not (numbers[20] and numbers[21]) or 0 in numbers[1:20:2]:
        return None
    value = [Fraction(numbers[i], numbers[i + 1]) for i in range(0, 20, 2)]
    red, green, blue, white = ((value[i], value[i + 1]) for i in range(0, 8, 2))
    return MasteringDisplay(red, green, blue, white, value[8], value[9])


def _stream(stream: av.stream.Stream) -> StreamInfo:
    tags = stream.metadata
    name = stream.codec_context.codec.canonical_name if stream.codec_context else tags.get("mimetype")
    if name is None:
        name = getattr(stream, "name", None)
    return StreamInfo(
        index=stream.index,
        kind=stream.type,
        codec=name or "unknown",
        language=tags.get("language"),
        title=tags.get("title") or tags.get("filename"),
        disposition=tuple(flag.name for flag in stream.disposition if flag.name),
    )


def _chapters(container: av.container.InputContainer) -> Iterator[Chapter]:
    for chapter in container.chapters():
        unit = chapter["time_base"] or Fraction(1, 1000)
        yield Chapter(
            float(chapter["start"] * unit), float(chapter["end"] * unit), chapter["metadata"].get("title", "")
        )
