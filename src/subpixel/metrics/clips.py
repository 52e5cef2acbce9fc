"""Scores of videos and image folders, one pair or two folders of them.

Codecs are loaded by what opens files alone: whoever scores frames (training does) needs none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from subpixel import color
from subpixel.errors import InputError
from subpixel.frames import Frame
from subpixel.metrics.arrays import SquaredError
from subpixel.metrics.tally import FrameCountError, Tally, consistency, tallies

Progress = Callable[[str, int], None]
_NOTHING = Tally()


@dataclasses.dataclass(frozen=True, slots=True)
class Clip:
    """Scores of one pair: all frames, and the frames of each type ("I", "P", "B") where the input was given."""

    name: str
    total: Tally = _NOTHING
    by_type: dict[str, Tally] = dataclasses.field(default_factory=dict)

    def __add__(self, other: Clip) -> Clip:
        types = sorted(self.by_type.keys() | other.by_type.keys(), key="IPB?".find)
        return Clip(
            self.name,
            self.total + other.total,
            {kind: self.by_type.get(kind, Tally()) + other.by_type.get(kind, Tally()) for kind in types},
        )

    def as_dict(self) -> dict[str, object]:
        """For JSON, see Tally.as_dict."""
        types = {kind: tally.as_dict() for kind, tally in self.by_type.items()}
        return {"name": self.name, **self.total.as_dict(), "by_type": types}


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """Scores of every clip in the order of their names, and of all their samples together."""

    clips: tuple[Clip, ...]
    notes: tuple[str, ...] = ()

    @property
    def pooled(self) -> Clip:
        """Sums over all clips: the pinned metric is `pooled.total.rgb.psnr`."""
        return sum(self.clips, Clip("pooled"))

    def as_dict(self) -> dict[str, object]:
        """For JSON, see Tally.as_dict."""
        return {
            "pooled": self.pooled.as_dict(),
            "clips": [clip.as_dict() for clip in self.clips],
            "notes": list(self.notes),
        }


def score(
    restored: str | Path,
    reference: str | Path,
    *,
    low: str | Path | None = None,
    with_ssim: bool = True,
    progress: Progress | None = None,
) -> Score:
    """Compare two videos or image folders, or two folders of them matched by name (without suffix).

    low: the degraded input(s) they were restored from, adds scores by frame type and consistency.
    progress: called with the clip's name and its number of frames done.
    Raises InputError for unmatched names, unequal sizes and unequal frame counts: nothing is cut silently.
    """
    matched = _matched([Path(side) for side in (restored, reference, low) if side is not None])
    clips = tuple(_score_clip(name, paths, with_ssim, progress) for name, paths in matched)
    return Score(clips, tuple(note for name, paths in matched for note in _tag_notes(name, paths[0], paths[1])))


def _clips(folder: Path) -> dict[str, Path]:
    """Videos and image folders in a folder of clips, by name without suffix; empty for a file and an image folder."""
    from subpixel.video.source import IMAGES

    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    if any(path.suffix.lower() in IMAGES for path in inside):
        return {}
    entries = [path for path in inside if _is_clip(path)]
    clips = {path.stem if path.is_file() else path.name: path for path in entries}
    if len(clips) < len(entries):
        raise InputError(f"Two clips in {folder} differ only in their suffix; keep one of each name.")
    return clips


def _is_clip(path: Path) -> bool:
    from subpixel.video.source import FILMS

    if path.is_dir():
        return not path.name.startswith(".")
    return path.suffix.lower() in FILMS


def _matched(sides: list[Path]) -> list[tuple[str, list[Path]]]:
    """One pair (or triple) of files, or one for each name that the folders share."""
    found = [_clips(side) for side in sides]
    if not any(found):
        return [(sides[0].stem, sides)]
    names = sorted(set().union(*found))
    for side, clips in zip(sides, found, strict=True):
        if missing := [name for name in names if name not in clips]:
            raise InputError(f"{side} has no clip named {', '.join(missing)}; every folder needs the same names.")
    return [(name, [clips[name] for clips in found]) for name in names]


def _score_clip(name: str, paths: list[Path], with_ssim: bool, progress: Progress | None) -> Clip:
    clip = Clip(name)
    try:
        for kind, tally in tallies(*(_frames(path) for path in paths), with_ssim=with_ssim):
            clip += Clip(name, tally, {kind: tally} if len(paths) == 3 else {})
            if progress:
                progress(name, clip.total.frames)
    except FrameCountError as error:
        raise InputError(f"{name}: {error}{alignment(error, paths)}") from None
    if not clip.total.frames:
        raise InputError(f"{name}: there are no frames in {paths[0]} to score.")
    return clip


def alignment(error: FrameCountError, paths: list[Path]) -> str:
    """A sentence on which end of the longest stream the one frame too many is at; "" for other differences.

    paths: the sources in the order of error.counts. The first 100 frames decide, by their Y.
    """
    counted = list(zip(error.counts.values(), error.counts, paths, strict=True))
    fewer, more = min(counted, key=_count), max(counted, key=_count)
    if more[0] - fewer[0] != 1:
        return ""
    last, first = (_decibels(fewer[2], more[2], skip) for skip in (0, 1))
    better, worse, place = (last, first, "last") if last >= first else (first, last, "first")
    return (
        f" They match best without the {place} frame of {more[1]} ({better:.2f} dB against {worse:.2f} dB in Y); "
        "remove it and score again."
    )


def _count(entry: tuple[int, str, Path]) -> int:
    return entry[0]


def _frames(path: Path) -> Iterator[Frame]:
    from subpixel import video

    # Interlaced or not, what was stored is what is scored.
    return video.read(path, deinterlace="off", codec_info=False)


def _decibels(short: Path, long: Path, skip: int) -> float:
    pairs = zip(_frames(short), islice(_frames(long), skip, None), strict=False)
    return sum((_luma_error(a, b) for a, b in islice(pairs, 100)), SquaredError()).psnr


def _luma_error(a: Frame, b: Frame) -> SquaredError:
    return consistency(a, b) if a.width >= b.width else consistency(b, a)


def _tag_notes(name: str, restored: Path, reference: Path) -> Iterator[str]:
    """Says where two YUV files would be turned into RGB by different rules."""
    frames = [next(iter(_frames(path))) for path in (restored, reference)]
    if any(frame.layout.rgb for frame in frames):
        return
    ours, truth = (_rule(frame) for frame in frames)
    if ours != truth:
        yield f"{name}: the restored video is {ours}, the reference {truth}; RGB scores include that difference."


def _rule(frame: Frame) -> str:
    matrix, full = color.resolve(frame.color)
    return f"{matrix} {'full' if full else 'limited'}"
