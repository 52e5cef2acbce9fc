"""How long a film will take and how large it will be, measured on two seconds of it."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from subpixel.errors import UsageError
from subpixel.job import Cancel, upscale
from subpixel.outcome import duration, megabytes
from subpixel.plan import Options, plan

SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a film is expected to come to, from `sampled` frames restored here and now.

    frames, seconds, bytes: of the whole film, None where the input does not tell its length;
    fps: frames restored per second; width, height: of the output.
    """

    source: str
    width: int
    height: int
    sampled: int
    fps: float
    frames: int | None
    seconds: float | None
    bytes: int | None
    memory: int | None

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        if self.frames is None or self.seconds is None or self.bytes is None:
            whole = "the input does not say how long it is"
        else:
            whole = f"{self.frames} frames take about {duration(self.seconds)} and {megabytes(self.bytes)}"
        return (
            f"{self.source}: {self.fps:.1f} frames/s at {self.width}x{self.height}; {whole}\n"
            f"  measured on {self.sampled} frames; at most {megabytes(self.memory or 0)} of memory"
        )


def estimate(src: str | Path, options: Options = Options(), *, cancel: Cancel | None = None) -> Estimate:
    """Restore two seconds from the middle of a film and extrapolate; nothing is left behind.

    Raises what `subpixel.upscale` raises, and UsageError for standard input.
    """
    if str(src) == "-":
        raise UsageError("Standard input can be read once only; estimate works on files.")
    with tempfile.TemporaryDirectory(prefix="subpixel-") as folder:
        target = Path(folder) / ("pictures" if options.images else "estimate.mkv")
        todo = plan(src, target, options)
        assert todo.info is not None
        length = todo.info.video.duration or todo.info.duration
        start = None if length is None or length <= SECONDS else (length - SECONDS) / 2
        piece = dataclasses.replace(options, start=start, end=None if start is None else start + SECONDS)
        report = upscale(src, target, **vars(piece), cancel=cancel)
    return Estimate(
        source=str(src),
        width=report.width,
        height=report.height,
        sampled=report.frames,
        fps=report.fps,
        frames=todo.frames,
        seconds=todo.frames and round(todo.frames / report.fps, 1),
        bytes=todo.frames and round(report.bytes / report.frames * todo.frames),
        memory=todo.memory,
    )
