"""Checking a written file against what it should hold, by reading it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.stream import Disposition

from subpixel.errors import VerificationError
from subpixel.video.carry import Assembly
from subpixel.video.source import explained, open_source, video_stream


def verify(
    path: str | Path,
    pts: Sequence[int],
    time_base: Fraction,
    assembly: Assembly = Assembly(),
    *,
    decode: bool = False,
) -> None:
    """Raise VerificationError that names the first difference between a file and what it should hold.

    pts: times of all pictures in units of time_base, as given to `assemble`; in the file they must be the same but
    for `assembly.shift`, or rounded to the units of its container. assembly: what `assemble` returned: the other
    streams must be there with as many packets as were written. decode: also decode every picture and count them,
    which takes a good deal longer than reading the file. Raises InputError if the file cannot be read at all.
    """
    times: list[int] = []
    counts: Counter[int] = Counter()
    decoded = 0
    with explained(path), open_source(path) as container:
        main: Any = video_stream(container, path)
        kinds = {s.index: _kind(s) for s in container.streams if s is not main and s.type != "data"}
        _same_streams(path, list(kinds.values()), [name.split()[0] for name in assembly.kept])
        for packet in container.demux():
            counts[packet.stream_index] += bool(packet.size)
            if packet.stream is main:
                times += [packet.pts] if packet.size and packet.pts is not None else []
                decoded += len(packet.decode()) if decode else 0
        unit, pictures = main.time_base, counts[main.index]
    for number, what in ((pictures, "holds"), (decoded if decode else pictures, "decodes to")):
        if number != len(pts):
            raise VerificationError(f"{path} {what} {number} pictures instead of {len(pts)}.")
    _same_packets(path, kinds, counts, assembly)
    _same_times(path, sorted(times), [time * time_base + assembly.shift for time in pts], unit)


def _kind(stream: Any) -> str:
    return "cover" if stream.disposition & Disposition.attached_pic else str(stream.type)


def _same_streams(path: str | Path, found: list[str], wanted: list[str]) -> None:
    """Compare how many streams of each kind there are; the file's video is not among them."""
    for kind in dict.fromkeys(wanted + found):
        if found.count(kind) != wanted.count(kind):
            raise VerificationError(
                f"{path} holds {found.count(kind)} streams of kind {kind} instead of {wanted.count(kind)}."
            )


def _same_packets(path: str | Path, kinds: dict[int, str], counts: Counter[int], assembly: Assembly) -> None:
    """Compare the packets of each stream; mp4 adds empty subtitles between the others."""
    for kind in ("audio", "video", "subtitle"):
        there = [counts[index] for index in kinds if kinds[index] == kind]
        names = [(name, n) for name, n in zip(assembly.kept, assembly.packets, strict=True) if name.startswith(kind)]
        for (name, wanted), found in zip(names, there, strict=True):
            if found < wanted or (found > wanted and kind != "subtitle"):
                raise VerificationError(f"{path} holds {found} packets of {name!r} instead of {wanted}.")


def _same_times(path: str | Path, found: Sequence[int], wanted: Sequence[Fraction], unit: Fraction) -> None:
    """Compare times in units of the container, half a unit rounded away from zero as FFmpeg does."""
    if len(found) != len(wanted):
        raise VerificationError(f"{path} has times for {len(found)} pictures instead of {len(wanted)}.")
    for index, (time, true) in enumerate(zip(found, wanted, strict=True)):
        if time != _rounded(true / unit):
            shown, expected = float(time * unit), float(true)
            raise VerificationError(f"{path} shows picture {index} at {shown:.6f} s instead of {expected:.6f} s.")


def _rounded(value: Fraction) -> int:
    return int(value + Fraction(1, 2)) if value >= 0 else -int(-value + Fraction(1, 2))
