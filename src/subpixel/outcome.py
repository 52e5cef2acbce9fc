"""What a job says: progress while it runs, a report when it is done."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """Where a job stands. frame: frames done of total (None where unknown); eta: seconds left, None where unknown."""

    stage: Literal["restore", "assemble", "verify"]
    frame: int
    total: int | None
    fps: float
    eta: float | None
    chunk: int


@dataclasses.dataclass(frozen=True)
class Report:
    """What a job did.

    frames: all of the output, resumed: those of them found finished from earlier runs; width, height: of the
    output; seconds: of this run; fps: frames restored per second; bytes: size of the output;
    engine, weights_sha256: None for methods without a network; kept, dropped: streams of the input, with reasons;
    stages: seconds in which decoding, the network and encoding were busy (they overlap), and joining;
    notes: other differences from the input, and whatever else the user should know.
    """

    source: str
    output: str
    frames: int
    resumed: int
    chunks: int
    width: int
    height: int
    bytes: int
    seconds: float
    fps: float
    model: str
    scale: int
    engine: str | None
    weights_sha256: str | None
    codec: str
    color: str
    deinterlaced: bool
    kept: tuple[str, ...]
    dropped: tuple[tuple[str, str], ...]
    stages: dict[str, float]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        busy = ", ".join(f"{name} {duration(seconds)}" for name, seconds in self.stages.items())
        lines = [
            f"{'standard output' if self.output == '-' else self.output}: {self.frames} frames, "
            f"{self.width}x{self.height} {self.codec}, {f'{megabytes(self.bytes)}, ' if self.bytes else ''}"
            f"in {duration(self.seconds)}" + (f" ({self.fps:.1f} frames/s)" if self.frames > self.resumed else ""),
            f"  model    {self.model} x{self.scale}{self._network()}",
            f"  busy     {busy} (they overlap)",
            f"  colour   {self.color}",
        ]
        if self.resumed:
            lines.append(f"  resumed  {self.resumed} frames were finished before")
        if self.deinterlaced:
            lines.append("  fields   interlaced: deinterlaced (bwdif)")
        lines += [f"  kept     {stream}" for stream in self.kept]
        lines += [f"  dropped  {stream}: {reason}" for stream, reason in self.dropped]
        lines += [f"  note     {note}" for note in self.notes]
        return "\n".join(lines)

    def _network(self) -> str:
        return f" ({self.engine}, network {self.weights_sha256[:12]})" if self.weights_sha256 else ""


def duration(seconds: float) -> str:
    """Seconds as people say them: 4.2 s, 3:07 min, 2:05 h."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02} h"


def megabytes(count: int) -> str:
    """A number of bytes as people say it: 12 kB, 3.4 MB, 1.2 GB."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
