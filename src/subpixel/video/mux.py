"""Joining encoded chunks with everything else of the source into one file, without encoding anything again."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from subpixel.errors import InputError, UsageError, VerificationError
from subpixel.video.probe import probe
from subpixel.video.source import explained, open_source, video_stream
from subpixel.video.write import writing

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".nut": "nut"}


@dataclasses.dataclass(frozen=True, slots=True)
class Keep:
    """What to take over from the source besides the pictures."""

    audio: bool = True
    subtitles: bool = True
    chapters: bool = True
    attachments: bool = True
    metadata: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Assembly:
    """What went into the file.

    kept: one line per stream in the file's order, such as "audio 1: aac, eng". dropped: (stream, reason).
    notes: other differences from the source, one sentence each. shift: seconds added to every time of the source.
    """

    kept: tuple[str, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    shift: Fraction = Fraction(0)


def container_of(path: str | Path) -> str:
    """FFmpeg's name of the container for a file name. Raises UsageError for a suffix that is not known."""
    suffix = Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise UsageError(f"{Path(path).name!r} does not say which container to write; end it in one of {known}.")
    return CONTAINERS[suffix]


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
    dst = Path(dst)
    name = container or container_of(dst)
    with writing(dst), contextlib.ExitStack() as stack:
        out: Any = stack.enter_context(av.open(str(dst), "w", format=name))
        first = stack.enter_context(av.open(str(chunks[0])))
        template = first.streams.video[0]
        stream: Any = out.add_stream_from_template(template, opaque=True)
        stream.time_base = time_base
        other: list[tuple[Any, Any]] = []
        if source is not None:
            inp = stack.enter_context(open_source(source))
            main = video_stream(inp, source)
            for s in inp.streams:
                if s.index != main.index and s.type in ("audio", "subtitle"):
                    with contextlib.suppress(ValueError):
                        o = out.add_stream_from_template(s)
                        o.metadata.update(s.metadata)
                        other.append((s, o))
        video = _film(chunks, pts, durations, time_base, stream)
        if other:
            mapping = {s.index: o for s, o in other}
            rest = _rest(inp, [s for s, _ in other], mapping)
        else:
            rest = iter(())
        for packet in _interleave(video, rest):
            out.mux_one(packet)
    return Assembly()


def _film(chunks: Any, pts: Any, durations: Any, time_base: Fraction, stream: Any) -> Iterator[Any]:
    first, n = 0, 0
    step = pts[1] - pts[0] if len(pts) > 1 else max(1, durations[0])
    for path in chunks:
        count = 0
        with av.open(str(path)) as chunk:
            delay = chunk.streams.video[0].codec_context.reorder_depth
            for packet in chunk.demux(chunk.streams.video[0]):
                if not packet.size:
                    continue
                index = first + packet.pts
                packet.pts = pts[index]
                packet.dts = pts[n - delay] if n >= delay else pts[0] - (delay - n) * step
                packet.duration = durations[index]
                packet.time_base = time_base
                packet.stream = stream
                n += 1
                count += 1
                yield packet
        first += count


def _rest(inp: Any, streams: Any, mapping: Any) -> Iterator[Any]:
    for packet in inp.demux(streams):
        if packet.size:
            packet.stream = mapping[packet.stream_index]
            yield packet


def _when(packet: Any) -> Fraction:
    return (packet.dts if packet.dts is not None else packet.pts or 0) * packet.time_base


def _interleave(a: Iterator[Any], b: Iterator[Any]) -> Iterator[Any]:
    x, y = next(a, None), next(b, None)
    while x is not None or y is not None:
        if y is None or (x is not None and _when(x) <= _when(y)):
            yield x
            x = next(a, None)
        else:
            yield y
            y = next(b, None)
