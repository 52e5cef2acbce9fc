"""FFmpeg's filters on pictures: swscale's scaling, bwdif's deinterlacing, idet's verdict on interlacing."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Literal

import av
import av.error
import av.filter

from subpixel.errors import UsageError
from subpixel.frames import Color, Frame
from subpixel.video.convert import from_av, tag, tags, to_av

FieldOrder = Literal["progressive", "tff", "bff", "flagged"]


def rescale(frames: Iterable[Frame], width: int, height: int, *, flags: str = "bicubic") -> Iterator[Frame]:
    """Frames scaled as `ffmpeg -vf scale=WIDTH:HEIGHT:flags=FLAGS` scales them, sample for sample.

    flags: libswscale's own names joined by "+": "bicubic" (the command's default), "lanczos", "area",
    "bicubic+accurate_rnd" and so on. The sample aspect ratio is changed so that the picture keeps its shape;
    QP and motion, which describe other blocks, are dropped. Raises UsageError for flags that do not exist and for
    sizes below 1.
    """
    if width < 1 or height < 1:
        raise UsageError(f"Frames cannot be scaled to {width}x{height}; use sizes of 1 and more.")
    graph, shape = av.filter.Graph(), None
    for frame in frames:
        picture = to_av(frame.replace(color=Color()))  # tags could make the scaler convert colours, or refuse
        if (frame.width, frame.height, frame.format) != shape:
            shape = frame.width, frame.height, frame.format
            try:
                graph = graph_of(picture, ("scale", f"{width}:{height}:flags={flags}"))
            except (av.error.FFmpegError, ValueError) as error:
                raise UsageError(f"libswscale has no flags {flags!r}; use such as bicubic, lanczos, area.") from error
        graph.vpush(picture)
        sar = frame.sar * Fraction(height * frame.width, width * frame.height)
        yield frame.replace(planes=from_av(graph.vpull()).planes, sar=sar, qp=None, motion=None)


def bwdif(pictures: Iterable[av.VideoFrame], order: FieldOrder) -> Iterator[av.VideoFrame]:
    """One progressive picture for each interlaced one, by bwdif (Weston 3-field and yadif).

    order: "tff" or "bff" treats every picture as interlaced with that field first; "flagged" only the
    pictures whose flags say so; "progressive" changes nothing. Time stamps are kept.
    """
    if order == "progressive":
        yield from pictures
        return
    setting = "send_frame:auto:interlaced" if order == "flagged" else f"send_frame:{order}:all"
    graph, unit, color = None, Fraction(0), Color()
    for picture in pictures:
        if graph is None:
            graph = graph_of(picture, ("bwdif", setting))
            unit, color = picture.time_base or Fraction(1, 25), tags(picture)
        yield from _deinterlaced(graph, picture, unit, color)
    if graph is not None:
        yield from _deinterlaced(graph, None, unit, color)


def _deinterlaced(
    graph: av.filter.Graph, picture: av.VideoFrame | None, unit: Fraction, color: Color
) -> Iterator[av.VideoFrame]:
    if picture is not None:
        tag(picture, Color())
    graph.vpush(picture)
    for done in pulled(graph, unit):
        tag(done, color)
        yield done


def graph_of(picture: av.VideoFrame, *filters: tuple[str, str]) -> av.filter.Graph:
    """Filters in a row, fed with pictures like this one but without colour tags, which move or refuse conversions."""
    graph = av.filter.Graph()
    graph.threads = 1  # in slices, libswscale has been seen to give other samples now and then
    source = graph.add(
        "buffer",
        video_size=f"{picture.width}x{picture.height}",
        pix_fmt=picture.format.name,
        time_base=str(picture.time_base or Fraction(1, 25)),
    )
    graph.link_nodes(source, *(graph.add(name, setting or None) for name, setting in filters), graph.add("buffersink"))
    graph.configure()
    return graph


def pulled(graph: av.filter.Graph, unit: Fraction) -> Iterator[av.VideoFrame]:
    """The pictures that are ready, timed in `unit`: bwdif counts in half units."""
    while True:
        try:
            picture = graph.vpull()
        except (av.error.EOFError, av.error.BlockingIOError):
            return
        except av.error.FFmpegError as error:
            if error.errno == errno.EAGAIN:
                return
            raise
        if picture.pts is not None and picture.time_base not in (None, unit):
            ratio = picture.time_base / unit
            picture.pts, picture.duration = int(picture.pts * ratio), int((picture.duration or 0) * ratio)
            picture.time_base = unit
        yield picture
