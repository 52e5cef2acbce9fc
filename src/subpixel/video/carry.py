"""Everything of the source but its pictures: which streams a container can hold, and their packets moved in time."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition
from av.subtitles.subtitle import SubtitleSet

from subpixel.video import matroska
from subpixel.video.source import explained, open_source

# Text subtitles are rewritten as the container's own kind, with their styles; the others are copied or dropped.
_TEXT = {"subrip", "text", "mov_text"}
_TEXT_OF = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
_ADVICE = {"mp4": "write .mkv", "mov": "write .mkv", "webm": "write .mkv"}
_PICTURES = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}
_STATISTICS = ("bps", "duration", "number_of_", "_statistics", "encoder", "vendor_id", "source_id")
_CONTAINER_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder")


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

    kept: the streams of the file besides its pictures, such as "audio 1: aac, eng"; packets: of each of them.
    dropped: (stream, reason). notes: other differences from the source, one sentence each.
    shift: seconds added to every time of the source.
    """

    kept: tuple[str, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    shift: Fraction = Fraction(0)
    packets: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the source in seconds of its own clock, None where open, and what is added to its times."""

    start: Fraction | None = None
    end: Fraction | None = None
    shift: Fraction = Fraction(0)

    def holds(self, time: Fraction) -> bool:
        """Whether a packet that begins at `time` belongs to the span."""
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)


class Cargo:
    """The other streams of a source on their way into a file.

    kept, dropped: as in Assembly. `load` makes the output streams and gives the packets that go into them.
    """

    def __init__(self, container: Any, main: Any, out: Any, span: Span, keep: Keep) -> None:
        self.container, self.main, self.out, self.span, self.keep = container, main, out, span, keep
        self.path = container.name.removeprefix("file:")
        self.format = out.format.name
        self.kept: dict[str, int] = {}
        self.dropped: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self._routes: dict[int, tuple[Any, str, Callable[[Any], Iterable[Any]]]] = {}
        self._covers: list[Any] = []

    def load(self, pictures: Any) -> Iterator[Any]:
        """Make an output stream for all that is wanted and fits; chapters and metadata too, also on `pictures`.

        Returns the packets of these streams in the source's order.
        """
        if self.keep.metadata:
            self.out.metadata.update(container_tags(self.container.metadata))
        self._tag(self.main, pictures)
        if self.keep.chapters:
            self.out.set_chapters(self._chapters())
        unwanted = {
            "audio": not self.keep.audio,
            "subtitle": not self.keep.subtitles,
            "attachment": not self.keep.attachments,
            "cover": not self.keep.attachments,
        }
        counts: dict[str, int] = {}
        for stream in self.container.streams:
            if stream.index == self.main.index or self._is_chapter_track(stream):
                continue
            kind = "cover" if stream.disposition & Disposition.attached_pic else stream.type
            counts[kind] = counts.get(kind, 0) + 1
            if not unwanted.get(kind):
                self._load_one(stream, kind, f"{kind} {counts[kind]}: {_describe(stream)}")
        return self._packets()

    def report(self, dst: Path, notes: tuple[str, ...]) -> Assembly:
        """What became of it all; the finished file is opened to see which metadata its container left out."""
        with open_source(dst) as written:
            there = {key.lower() for key in written.metadata}
            lost = [key for key in self.out.metadata if key.lower() not in there]
        dropped = [*self.dropped, *((f"metadata {key!r}", f"{self.format} has no place for it") for key in lost)]
        notes = (*notes, *self.notes)
        return Assembly(tuple(self.kept), tuple(dropped), notes, self.span.shift, tuple(self.kept.values()))

    def _packets(self) -> Iterator[Any]:
        """Packets of the kept streams, each set on its output stream, in the source's order."""
        yield from self._covers
        streams = [self.container.streams[index] for index in self._routes]
        source = self.container.demux(streams) if streams else iter(())
        while True:
            with explained(self.path):
                packet = next(source, None)
            if packet is None:
                return
            if not packet.size:
                continue
            out, name, rewrite = self._routes[packet.stream_index]
            if self._moved(packet, out.type):
                for made in rewrite(packet):
                    made.stream = out
                    self.kept[name] += 1
                    yield made

    def _chapters(self) -> list[Any]:
        """The chapters that touch the span, cut to it and moved with it."""
        found = []
        for chapter in self.container.chapters():
            unit = chapter["time_base"]
            start, end = chapter["start"] * unit, chapter["end"] * unit
            if self.span.start is not None:
                start = max(start, self.span.start)
            if self.span.end is not None:
                end = min(end, self.span.end)
            if start < end or self.span == Span(shift=self.span.shift):
                times = {"start": round((start + self.span.shift) / unit), "end": round((end + self.span.shift) / unit)}
                found.append(chapter | times)
        return found

    def _is_chapter_track(self, stream: Any) -> bool:
        """Whether the stream only holds the titles of the chapters, which the muxer writes again."""
        return stream.type == "data" and stream.name == "bin_data" and bool(self.container.chapters())

    def _load_one(self, stream: Any, kind: str, name: str) -> None:
        if kind in ("attachment", "cover"):
            reason = self._attach(stream, name) if kind == "attachment" else self._add_cover(stream, name)
        else:
            reason = self._add_text(stream, name) if kind == "subtitle" else self._copy(stream, kind, name)
        if reason:
            self.dropped.append((name, reason))

    def _copy(self, stream: Any, kind: str, name: str) -> str:
        """Take a stream over as it is; what it returns is the reason why that is impossible."""
        if kind not in ("audio", "video", "subtitle") or stream.codec_context is None:
            if "timecode" in stream.metadata and "timecode" in self.main.metadata:
                return ""  # the muxer makes this track anew from the pictures' tag
            return "streams of this kind are not carried over"
        try:
            out = self.out.add_stream_from_template(self._template(stream), opaque=True)
        except ValueError:
            return f"{self.format} cannot hold it; {_ADVICE.get(self.format, 'write another container')}"
        if stream.codec_context.codec.canonical_name == "hevc" and self.format in ("mp4", "mov"):
            out.codec_context.codec_tag = "hvc1"
        self._register(stream, out, name, lambda packet: (packet,))
        return ""

    def _add_text(self, stream: Any, name: str) -> str:
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
        target = _TEXT_OF.get(self.format)
        if codec not in _TEXT or codec == target or target is None:
            return self._copy(stream, "subtitle", name)
        stream.codec_context.open()
        out = self.out.add_stream(target)
        out.time_base = stream.time_base
        out.codec_context.subtitle_header = stream.codec_context.subtitle_header
        self._register(stream, out, name, lambda packet: _reencoded(packet, out))
        self.notes.append(f"{name} is stored as {target}, the text of {self.format}.")
        return ""

    def _attach(self, stream: Any, name: str) -> str:
        if self.format != "matroska":
            return f"{self.format} cannot hold attachments; write .mkv"
        file, mime = stream.name or "attachment", stream.mimetype or "application/octet-stream"
        out = self.out.add_attachment(file, mime, stream.data)
        out.metadata.update(stream.metadata)
        self.kept[name] = 0
        return ""

    def _add_cover(self, stream: Any, name: str) -> str:
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
        if self.format not in ("mp4", "matroska") or codec not in _PICTURES:
            return f"{self.format} cannot hold it; {_ADVICE.get(self.format, 'use JPEG or PNG')}"
        with open_source(self.path) as again:
            packet = next(p for p in again.demux(again.streams[stream.index]) if p.size)
            picture = bytes(packet)
        if self.format == "matroska":
            file, mime = _PICTURES[codec]
            self.out.add_attachment(stream.metadata.get("filename", file), mime, picture)
            self.kept[name] = 0
            return ""
        out = self.out.add_stream_from_template(stream, opaque=True)
        out.disposition = stream.disposition
        cover = av.Packet(picture)
        cover.pts, cover.dts, cover.time_base, cover.stream, cover.is_keyframe = 0, 0, Fraction(1, 1000), out, True
        self._covers.append(cover)
        self.kept[name] = 1
        return ""

    def _register(self, stream: Any, out: Any, name: str, rewrite: Callable[[Any], Iterable[Any]]) -> None:
        self._tag(stream, out)
        self.kept[name] = 0
        self._routes[stream.index] = (out, name, rewrite)

    def _tag(self, stream: Any, out: Any) -> None:
        tags = stream_tags(stream.metadata)
        out.metadata.update({key: tags[key] for key in tags if self.keep.metadata or key == "language"})
        out.disposition = stream.disposition

    def _template(self, stream: Any) -> Any:
        """The stream, or for Matroska one that tells of the sound before time zero.

        An edit list hides the priming of AAC and others; Matroska has no negative times and needs it said.
        """
        source = self.container.format.name
        if self.format not in ("matroska", "webm") or stream.type != "audio" or "matroska" in source:
            return stream
        early = -_first_time(self.path, stream)
        if early <= 0 or stream.codec_context.codec.canonical_name == "opus":
            return stream
        head = matroska.insert(_header(stream), matroska.TRACK_PATH, matroska.codec_delay(early))
        return av.open(io.BytesIO(head)).streams.audio[0]

    def _moved(self, packet: Any, kind: str) -> bool:
        """Shift the packet's times, cut subtitles to the span; False if it lies outside."""
        unit = packet.time_base
        if packet.pts is None:
            packet.pts = packet.dts
        if packet.pts is None:
            return False
        begin = packet.pts * unit
        if kind == "subtitle" and self.span.start is not None and begin < self.span.start:
            late = -((begin - self.span.start) / unit).__floor__()
            if (packet.duration or 0) <= late:
                return False
            packet.pts, packet.dts, packet.duration = packet.pts + late, packet.pts + late, packet.duration - late
            begin = packet.pts * unit
        if not self.span.holds(begin):
            return False
        ticks = round(self.span.shift / unit)
        packet.pts += ticks
        packet.dts = packet.dts + ticks if packet.dts is not None else None
        return True


def container_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Metadata of a file without what describes its old container."""
    return {key: value for key, value in tags.items() if key.lower() not in _CONTAINER_TAGS}


def stream_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Metadata of a stream without the statistics and the encoder of its old one."""
    kept = {key: value for key, value in tags.items() if not key.lower().startswith(_STATISTICS)}
    return kept if "name" not in kept else {"title": kept["name"]} | kept  # mp4's title is read as "name"


def _describe(stream: Any) -> str:
    context = stream.codec_context
    codec = context.codec.canonical_name if context is not None else stream.name or "unknown"
    return ", ".join(filter(None, (codec, stream.metadata.get("language"), stream.metadata.get("title"))))


def _reencoded(packet: Any, out: Any) -> Iterator[Any]:
    """The packet's text written anew for the output stream, at the packet's own time."""
    for subtitle in packet.decode():
        made = out.codec_context.encode_subtitle(
            SubtitleSet.create(text=subtitle.ass, start=0, end=packet.duration or 0)
        )
        made.pts = made.dts = packet.pts
        made.duration, made.time_base = packet.duration, packet.time_base
        yield made


def _first_time(path: str, stream: Any) -> Fraction:
    """When the stream's first packet begins, in seconds, read in a second pass over the beginning of the file."""
    with open_source(path) as again:
        for packet in again.demux(again.streams[stream.index]):
            if packet.pts is not None:
                return Fraction(packet.pts * packet.time_base)
    return Fraction(0)


def _header(stream: Any) -> bytes:
    """A Matroska file in memory with this stream and one empty packet."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="matroska") as out:
        copy = out.add_stream_from_template(stream, opaque=True)
        packet = av.Packet(b"\0")
        packet.pts, packet.dts, packet.time_base, packet.stream = 0, 0, Fraction(1, 1000), copy
        out.mux_one(packet)
        out.close()
        return memory.getvalue()
