"""Degrading files and folders of clips, with a manifest of what was made from what and how."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

from subpixel.degrade.pictures import crop, fitted, shrink
from subpixel.degrade.recipe import Recipe
from subpixel.errors import BatchError, DiskError, InputError, SubpixelError, UsageError, VerificationError
from subpixel.frames import Frame
from subpixel.video.build import versions
from subpixel.video.carry import Keep
from subpixel.video.mux import assemble
from subpixel.video.probe import probe
from subpixel.video.read import read
from subpixel.video.verify import verify
from subpixel.video.write import Writer, writing

MANIFEST = "manifest.json"
_VIDEOS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mxf", ".y4m", ".nut"}
_KEPT = {".mp4", ".m4v", ".mov", ".mkv"}  # of the outputs in a folder; other clips become .mkv, which holds everything
_BUILD = re.compile(rb"x264 - core \d+[ \w]*|x265 \(build \d+\)[\x20-\x7e]{0,40}?(?=:| - H)")

ProgressCallback = Callable[[Path, int, int | None], None]


@dataclasses.dataclass(frozen=True)
class Clip:
    """One degraded clip.

    frames: of the output, as many as the source has. size, source_size: (width, height); crop: (width, height) of
    the upper left part that was used, None for all. sha256, source_sha256: of the files; frames_sha256: of the
    decoded samples, plane after plane, frame after frame, 16-bit ones little-endian, as `ffmpeg -f rawvideo` writes
    them. encoder: its build as it says in the stream, or its name. kept, dropped: streams of the source.
    """

    source: str
    output: str
    frames: int
    size: tuple[int, int]
    source_size: tuple[int, int]
    crop: tuple[int, int] | None
    format: str
    rate: str
    encoder: str
    sha256: str
    source_sha256: str
    frames_sha256: str
    kept: tuple[str, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Report:
    """What was degraded, by which recipe and versions; failed: what was wrong with the clips that are not there."""

    recipe: Recipe
    versions: dict[str, str]
    clips: tuple[Clip, ...]
    failed: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """For --json and manifest.json; `Recipe.parse` reads the recipe back."""
        return dataclasses.asdict(self) | {"recipe": self.recipe.as_dict()}

    def __str__(self) -> str:
        return "\n".join(
            f"{clip.output}: {clip.frames} frames, {clip.size[0]}x{clip.size[1]} {clip.format} "
            f"from {clip.source_size[0]}x{clip.source_size[1]}, {clip.encoder}"
            for clip in self.clips
        )


def degrade(
    src: str | Path | Sequence[str | Path],
    dst: str | Path,
    recipe: Recipe = Recipe(),
    *,
    crop_to_fit: bool = False,
    audio: bool = True,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
) -> Report:
    """Make a small, compressed copy of a video, or of several and of the videos in folders.

    src: a file, a folder (searched with its sub-folders) or several of them. dst: a file for one file, else a
    folder, which gets a manifest.json with the report. Every frame keeps its time; the other streams are copied,
    sound only if `audio`. crop_to_fit: use the upper left part of a picture whose size cannot be divided.
    progress is called with (source, frames done, frames in all or None).
    Raises UsageError for a size that cannot be divided, InputError for a source that is no video, DiskError if the
    output exists and `overwrite` is not set, VerificationError if the output has not as many frames as the source,
    BatchError after all others are done if some of several clips failed.
    """
    sources = [Path(src)] if isinstance(src, str | Path) else [Path(one) for one in src]
    dst = Path(dst)
    single = len(sources) == 1 and not sources[0].is_dir() and not dst.is_dir()
    pairs = [(sources[0], dst)] if single else list(_pairs(sources, dst))
    _check_free([output for _, output in pairs] + ([] if single else [dst / MANIFEST]), overwrite)
    clips, failed = [], {}
    for source, output in pairs:
        try:
            clips.append(_degrade_clip(source, output, recipe, crop_to_fit, audio, progress))
        except SubpixelError as error:
            if single:
                raise
            failed[str(source)] = str(error)
    report = Report(recipe, _versions(), tuple(clips), failed)
    if not single:
        with writing(dst / MANIFEST):
            (dst / MANIFEST).write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
    if failed:
        lines = "".join(f"\n  {sentence}" for sentence in failed.values())
        raise BatchError(f"{len(failed)} of {len(pairs)} clips failed, the others are in {dst}:{lines}")
    return report


def _pairs(sources: Sequence[Path], dst: Path) -> Iterator[tuple[Path, Path]]:
    """Each clip with its place in the folder dst, which mirrors the folders given."""
    taken: dict[Path, Path] = {}
    for source in sources:
        found = sorted(p for p in source.rglob("*") if p.suffix.lower() in _VIDEOS) if source.is_dir() else [source]
        if not found:
            raise InputError(f"Folder {str(source)!r} holds no videos ({', '.join(sorted(_VIDEOS))}).")
        for path in found:
            below = path.relative_to(source) if source.is_dir() else Path(path.name)
            output = dst / (below if below.suffix.lower() in _KEPT else below.with_suffix(".mkv"))
            if output in taken:
                raise UsageError(f"{taken[output]} and {path} would both become {output}; rename one of them.")
            taken[output] = path
            yield path, output


def _check_free(outputs: list[Path], overwrite: bool) -> None:
    for output in outputs:
        if output.exists() and not overwrite:
            raise DiskError(f"{output} exists; choose another output or overwrite it with -y.")


def _degrade_clip(
    source: Path, output: Path, recipe: Recipe, crop_to_fit: bool, audio: bool, progress: ProgressCallback | None
) -> Clip:
    if output.exists() and source.exists() and output.samefile(source):
        raise UsageError(f"{output} is the source itself; choose another output.")
    info = probe(source)
    rate = info.video.rate or Fraction(25)
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent)
    with folder as name:
        chunk, made = Path(name) / "video.mkv", Path(name) / output.name
        frames = _counted(read(source, deinterlace="off", codec_info=False), source, info.video.frames, progress)
        first = next(frames, None)
        if first is None:
            raise InputError(f"{str(source)!r} holds no frames.")
        times, cut = _encode(chain([first], frames), first, chunk, recipe, rate, crop_to_fit)
        pts, durations = zip(*times, strict=True)
        joined = assemble(made, source, [chunk], pts, durations, first.time_base, keep=Keep(audio=audio))
        verify(made, pts, first.time_base, joined)
        clip = Clip(
            source=str(source),
            output=str(output),
            source_size=(first.width, first.height),
            crop=cut,
            rate=str(rate),
            encoder=_build(chunk) or recipe.encoding(first.height).encoder,
            sha256=_sha256(made),
            source_sha256=_sha256(source),
            kept=joined.kept,
            dropped=joined.dropped,
            **_checked(made, len(times)),
        )
        with writing(output):
            os.replace(made, output)
    return clip


def _encode(
    frames: Iterator[Frame], first: Frame, chunk: Path, recipe: Recipe, rate: Fraction, crop_to_fit: bool
) -> tuple[list[tuple[int, int]], tuple[int, int] | None]:
    """Write the small frames; (pts, duration) of each, and the size that was cropped to."""
    size, cut = fitted(first, recipe), None
    if crop_to_fit and size != (first.width, first.height):
        frames, cut = crop(frames, *size), size
    times = []
    with Writer(chunk, recipe.encoding(size[1] // recipe.scale), rate=rate) as writer:
        for frame in shrink(frames, recipe):
            times.append((frame.pts or 0, frame.duration))
            writer.write(frame)
    return times, cut


def _counted(
    frames: Iterator[Frame], source: Path, total: int | None, progress: ProgressCallback | None
) -> Iterator[Frame]:
    for done, frame in enumerate(frames):
        if progress:
            progress(source, done, total)
        yield frame


def _checked(path: Path, expected: int) -> dict[str, Any]:
    """Decode what was written: frame count, size, format and hash of the samples."""
    digest, count, last = hashlib.sha256(), 0, None
    for last in read(path, deinterlace="off", codec_info=False):
        count += 1
        for plane in last.planes:
            digest.update(plane.astype(plane.dtype.newbyteorder("<"), copy=False).tobytes())
    if last is None or count != expected:
        raise VerificationError(f"{path.name} has {count} frames, but its source has {expected}; nothing was kept.")
    return {
        "frames": count,
        "size": (last.width, last.height),
        "format": last.format,
        "frames_sha256": digest.hexdigest(),
    }


def _build(chunk: Path) -> str | None:
    """The encoder's build, which x264 and x265 note in the first packet."""
    with chunk.open("rb") as file:
        found = _BUILD.search(file.read(1 << 16))
    return found[0].decode().strip() if found else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("subpixel", "av", "numpy")} | versions()
