"""Joining encoded chunks with everything else of the source into one file, without encoding anything again."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from subpixel.errors import InputError, UsageError, VerificationError
from subpixel.video import matroska
from subpixel.video.carry import Assembly, Cargo, Keep, Span
from subpixel.video.probe import VideoInfo, probe
from subpixel.video.source import explained, open_source, video_stream
from subpixel.video.write import writing

__all__ = ["CONTAINERS", "Assembly", "Keep", "assemble", "check_holds", "container_of"]

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
_CLOCKED = ("mpegts", "mpeg")  # their times count from when a transmitter was switched on
_TIMESCALE = (1 << 31) - 1  # largest in mp4
_HEADER = 1 << 20  # bytes of a chunk that hold its header and its first packets


def container_of(path: str | Path) -> str:
    """FFmpeg's name of the container for a file name. Raises UsageError for a suffix that is not known."""
    suffix = Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise UsageError(f"{Path(path).name!r} does not say which container to write; end it in one of {known}.")
    return CONTAINERS[suffix]


def check_holds(path: str | Path, codec: str) -> None:
    """Raise UsageError if the container that `path` names cannot hold video of this codec, as FFmpeg names it."""
    empty = av.open(io.BytesIO(), "w", format=container_of(path))  # never written to, hence never closed
    if codec not in empty.supported_codecs:
        raise UsageError(
            f"{Path(path).name!r} cannot hold {codec}: a {Path(path).suffix} file has no place for it; "
            "end the name in .mkv, or choose another --codec."
        )


def assemble(
    dst: str | Path,
    source: str | Path | None,
    chunks: Sequence[str | Path],
    pts: Sequence[int],
    durations: Sequence[int],
    time_base: Fraction,
    *,
    keep: Keep = Keep(),
    start: float | None = None,
    end: float | None = None,
    container: str | None = None,
) -> Assembly:
    """Join the chunks' pictures with the other streams of `source` in `dst`, without encoding again.

    chunks: files of `Writer`, in order. pts, durations: of every picture in units of time_base; pts must grow.
    The container keeps them exactly where it can: mp4 and mov do, Matroska rounds to milliseconds. source:
    None for pictures alone. start, end: seconds from the source's beginning that `read` was given; the file then
    begins at 0. container: FFmpeg's name of it, from the suffix of `dst` by default. Times below 0, which files
    of these kinds do not have, are moved up with everything else, and the transmitter's clock of MPEG-TS is
    taken off; `shift` tells by how much.
    Raises InputError for times that do not grow or an unreadable source, UsageError for streams that do not fit
    the container, VerificationError for chunks that do not belong together, DiskError. After an error no file
    is left.
    """
    dst, name = Path(dst), container or container_of(dst)
    _check_times(pts, durations)
    info = None if source is None else probe(source).video
    with _removed_on_error(dst, name), contextlib.ExitStack() as stack:
        inp: Any = None if source is None else stack.enter_context(open_source(source))
        span = _span(inp, pts, time_base, start, end)
        options = _options(name, time_base, inp)
        out: Any = stack.enter_context(av.open(f"file:{dst}", "w", format=name, container_options=options))
        stream = _pictures(out, chunks[0], info)
        stream.time_base = time_base
        stream.codec_context.framerate = _constant_rate(pts, time_base, info)
        cargo = None if source is None else Cargo(inp, video_stream(inp, source), out, span, keep)
        rest = iter(()) if cargo is None else cargo.load(stream)
        times = [time + int(span.shift / time_base) for time in pts]
        for packet in _interleaved(_film(chunks, times, durations, time_base, stream), rest):
            out.mux_one(packet)
        out.close()
        _set_aspect(dst, name, stream.codec_context)
        notes = _notes(name, times, time_base, span)
    return Assembly(notes=notes) if cargo is None else cargo.report(dst, notes)


@contextlib.contextmanager
def _removed_on_error(dst: Path, container: str) -> Iterator[None]:
    """Leave no half-written file; say what the container does not take."""
    try:
        with writing(dst):
            yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            dst.unlink(missing_ok=True)
        if isinstance(error, av.FFmpegError):
            raise UsageError(f"A {container} file cannot be made of these streams: {error}; write .mkv.") from error
        raise


def _check_times(pts: Sequence[int], durations: Sequence[int]) -> None:
    if not pts or len(pts) != len(durations):
        raise InputError(f"A video needs a time and a duration for each picture, not {len(pts)} and {len(durations)}.")
    for index, (before, after) in enumerate(itertools.pairwise(pts)):
        if after <= before:
            raise InputError(f"Picture {index + 1} is at time {after}, not after picture {index} at {before}.")


def _span(inp: Any, pts: Sequence[int], time_base: Fraction, start: float | None, end: float | None) -> Span:
    """Which stretch of the source is wanted, and how far it moves; always by whole units of time_base."""
    zero = Fraction(0) if inp is None else Fraction(inp.start_time or 0, av.time_base)
    first = pts[0] * time_base
    shift = Fraction(0)
    if start is not None or first < 0:
        shift = -first
    elif inp is not None and inp.format.name in _CLOCKED:
        shift = -Fraction(math.floor(min(zero, first) / time_base) * time_base)
    return Span(None if start is None else first, None if end is None else zero + Fraction(end), shift)


def _options(container: str, time_base: Fraction, inp: Any) -> dict[str, str]:
    """Muxer's options: times kept exactly, the index of mp4 at the front, streams that FFmpeg calls new allowed."""
    options = {"strict": "experimental"}
    if container in ("matroska", "webm"):
        return options | {"write_crc32": "0"}
    if container not in ("mp4", "mov"):
        return options
    options["movflags"] = "+faststart"
    if time_base.denominator <= _TIMESCALE:
        options["video_track_timescale"] = str(time_base.denominator)
    units = [s.time_base.denominator for s in inp.streams if s.type == "audio" and s.time_base] if inp else []
    movie = math.lcm(time_base.denominator, *units)  # edit lists, which hold late starts, count in this unit
    if movie <= _TIMESCALE:
        options["movie_timescale"] = str(movie)
    return options


def _pictures(out: Any, chunk: str | Path, info: VideoInfo | None) -> Any:
    """The output's video stream, made after the first chunk, with rotation and HDR10 data of the source."""
    with explained(chunk), contextlib.ExitStack() as stack:
        data: Any = f"file:{chunk}"
        extra = b"" if info is None else matroska.hdr10(info.mastering, info.content_light)
        if extra:
            with open(chunk, "rb") as file:
                data = io.BytesIO(matroska.insert(file.read(_HEADER), matroska.COLOUR_PATH, extra))
        template = stack.enter_context(av.open(data)).streams.video[0]
        try:
            stream = out.add_stream_from_template(template, opaque=True)
        except ValueError as error:
            codec = template.codec_context.codec.canonical_name
            raise UsageError(f"{out.format.name} cannot hold {codec} video; write .mkv.") from error
        if template.codec_context.codec.canonical_name == "hevc" and out.format.name in ("mp4", "mov"):
            stream.codec_context.codec_tag = "hvc1"  # what QuickTime plays
    if info is not None:
        stream.set_display_matrix(info.matrix)
        if info.sar and stream.codec_context.sample_aspect_ratio in (None, 0, 1):  # AV1 and FFV1 do not say
            stream.codec_context.sample_aspect_ratio = info.sar
    return stream


def _constant_rate(pts: Sequence[int], time_base: Fraction, info: VideoInfo | None) -> Fraction:
    """Pictures per second if they come at a constant rate, but for rounding to time_base; else 0."""
    if len(pts) < 2:
        return Fraction(0) if info is None or info.rate is None else info.rate
    average = Fraction(len(pts) - 1) / ((pts[-1] - pts[0]) * time_base)
    for rate in (info.rate if info is not None and info.rate else average, average):
        step = 1 / (rate * time_base)
        if all(abs(time - pts[0] - index * step) <= 1 for index, time in enumerate(pts)):
            return rate.limit_denominator(100_000)
    return Fraction(0)


def _film(
    chunks: Sequence[str | Path], pts: Sequence[int], durations: Sequence[int], time_base: Fraction, stream: Any
) -> Iterator[Any]:
    """The chunks' packets with their true times.

    The n-th packet is decoded when the picture `delay` places before the n-th is shown: for pictures that are
    reordered by at most `delay` places these times grow and are never after the packet's own.
    """
    step = pts[1] - pts[0] if len(pts) > 1 else 1
    delay = stream.codec_context.reorder_depth
    first = 0
    for chunk in chunks:
        place = first - 1
        for place, packet in enumerate(_packets(chunk, stream.codec_context), first):
            index = first + packet.pts
            if max(place, index) >= len(pts):
                raise VerificationError(f"{chunk} holds more pictures than there are times ({len(pts)}).")
            packet.pts, packet.duration = pts[index], durations[index]
            packet.dts = pts[place - delay] if place >= delay else pts[0] - (delay - place) * step
            packet.time_base, packet.stream = time_base, stream
            yield packet
        first = place + 1
    if first != len(pts):
        raise VerificationError(f"The chunks hold {first} pictures, but there are times for {len(pts)}.")


def _packets(chunk: str | Path, first: Any) -> Iterator[Any]:
    """A chunk's packets in order of decoding. Raises VerificationError if it does not continue the first chunk."""
    with explained(chunk), av.open(f"file:{chunk}") as container:
        stream: Any = container.streams.video[0]
        for name in ("width", "height", "extradata", "reorder_depth"):
            if getattr(stream.codec_context, name) != getattr(first, name):
                raise VerificationError(f"{chunk} was encoded with another {name} than the first chunk; redo it.")
        packets = (packet for packet in container.demux(stream) if packet.size)
        for place, packet in enumerate(packets):
            if place == 0 and not packet.is_keyframe:
                raise VerificationError(f"{chunk} does not start with a key picture; redo it.")
            yield packet


def _interleaved(film: Iterator[Any], rest: Iterator[Any]) -> Iterator[Any]:
    """Both sequences merged by decoding time, as the muxer holds little back."""
    ours, other = next(film, None), next(rest, None)
    while ours is not None or other is not None:
        if other is None or (ours is not None and _time(ours) <= _time(other)):
            yield ours
            ours = next(film, None)
        else:
            yield other
            other = next(rest, None)


def _time(packet: Any) -> Fraction:
    return Fraction((packet.pts if packet.dts is None else packet.dts) * packet.time_base)


def _set_aspect(dst: Path, container: str, context: Any) -> None:
    """Matroska's display size, which the muxer leaves out; mp4 takes it from the stream."""
    sar = context.sample_aspect_ratio
    if container in ("matroska", "webm") and sar and sar != 1:
        matroska.set_display_aspect(dst, sar * context.width / context.height)


def _notes(container: str, pts: Sequence[int], time_base: Fraction, span: Span) -> tuple[str, ...]:
    found = []
    if span.shift and span.start is None:
        found.append(f"All times are moved by {float(span.shift):+.6g} s: the file begins at 0.")
    if container in ("matroska", "webm"):
        off = max(abs(time * time_base * 1000 - round(time * time_base * 1000)) for time in pts)
        if off:
            found.append(f"Matroska counts in milliseconds: pictures are moved by up to {float(off):.2g} ms.")
    return tuple(found)
