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
from subpixel.errors import DiskError, InputError, SubpixelError, UsageError, VerificationError
from subpixel.frames import Frame
from subpixel.video.build import versions
from subpixel.video.carry import Keep
from subpixel.video.mux import assemble, container_of
from subpixel.video.probe import probe
from subpixel.video.read import read
from subpixel.video.verify import verify
from subpixel.video.write import Writer, writing

MANIFEST = "manifest.json"
_VIDEOS = {
    ".3gp", ".avi", ".flv", ".gif", ".ivf", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
    ".nut", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
}  # fmt: skip
_KEPT = {".mp4", ".m4v", ".mov", ".mkv"}  # names in a folder; other clips become .mkv, which holds everything
_BUILD = re.compile(rb"x264 - core \d+[ \w]*|x265 \(build \d+\)[\x20-\x7e]{0,40}?(?=:| - H)")

Tell = Callable[[str, int, int | None], None]


@dataclasses.dataclass(frozen=True)
class Clip:
    """One degraded clip.

    frames: of the output, as many as the source has. size, source_size: (width, height); crop: (width, height) of
    the upper left part that was used, None for all. sha256, source_sha256: of the files; frames_sha256: of the
    decoded samples, plane after plane, frame after frame, 16-bit ones little-endian, as `ffmpeg -f rawvideo` writes
    them. encoder: its build as it says in the stream, or its name. kept, dropped: streams of the source besides
    its pictures. notes: other differences from the source.
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
    kept: tuple[str, ...]
    dropped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        cut = f", the upper left {_by(self.crop)} of it" if self.crop else ""
        lines = [
            f"{self.output}: {self.frames} frames, {_by(self.size)} {self.format} by {self.encoder}",
            f"  from     {self.source}, {_by(self.source_size)}{cut}",
            *(f"  kept     {stream}" for stream in self.kept),
            *(f"  dropped  {stream}: {reason}" for stream, reason in self.dropped),
            *(f"  note     {note}" for note in self.notes),
        ]
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Report:
    """What was degraded, by which recipe and versions; failed: sources that were not, each with the reason."""

    recipe: Recipe
    versions: dict[str, str]
    clips: tuple[Clip, ...]
    failed: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """For --json and manifest.json; `Recipe.parse` reads the recipe back."""
        return dataclasses.asdict(self) | {"recipe": self.recipe.as_dict()}

    def __str__(self) -> str:
        return "\n".join([*map(str, self.clips), *(f"failed: {name}: {why}" for name, why in self.failed.items())])


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What to do with each clip."""

    recipe: Recipe
    crop_to_fit: bool
    keep: Keep
    tell: Tell | None


def degrade(
    src: str | Path | Sequence[str | Path],
    dst: str | Path,
    recipe: Recipe = Recipe(),
    *,
    crop_to_fit: bool = False,
    audio: bool = True,
    bare: bool = False,
    overwrite: bool = False,
    recursive: bool = False,
    progress: Tell | None = None,
) -> Report:
    """Make a small, compressed copy of a video, or of several and of the videos in folders.

    src: a video, a folder of images, a folder of videos (with `recursive` also of folders), or several of them.
    dst: a file for one video, else a folder, which gets a manifest.json with the report. Every frame keeps its
    time; sound (only if `audio`), subtitles, chapters and metadata are copied, none of it if `bare`. crop_to_fit: use
    the upper left part of a picture whose size cannot be divided. progress: called with (source, frames done, all or
    None).

    One video: raises UsageError for a size that cannot be divided, InputError for a source that is no video,
    VerificationError if the output has not as many frames as the source. Several: those that fail are in
    `Report.failed` with these reasons, the others are done. DiskError if an output exists and `overwrite` is
    not set, before anything is written.
    """
    sources = [Path(src)] if isinstance(src, str | Path) else [Path(one) for one in src]
    keep = Keep(*[False] * len(dataclasses.fields(Keep))) if bare else Keep(audio=audio)
    plan = _Plan(recipe, crop_to_fit, keep, progress)
    if len(sources) == 1 and _is_clip(sources[0]) and not Path(dst).is_dir() and not str(dst).endswith("/"):
        _check_free([Path(dst)], overwrite)
        return Report(recipe, _versions(), (_degrade_clip(sources[0], Path(dst), plan),), {})
    return _degrade_folder(list(_pairs(sources, Path(dst), recipe, recursive)), Path(dst), plan, overwrite)


def _degrade_folder(pairs: list[tuple[Path, Path]], folder: Path, plan: _Plan, overwrite: bool) -> Report:
    _check_free([*(output for _, output in pairs), folder / MANIFEST], overwrite)
    clips: list[Clip] = []
    failed: dict[str, str] = {}
    for source, output in pairs:
        try:
            clips.append(_degrade_clip(source, output, plan))
        except SubpixelError as error:
            failed[str(source)] = str(error)
    report = Report(plan.recipe, _versions(), tuple(clips), failed)
    with writing(folder / MANIFEST):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
    return report


def _is_clip(path: Path) -> bool:
    """A file, or a folder with other files than videos and no video: images of one clip."""
    if not path.is_dir():
        return True
    suffixes = {entry.suffix.lower() for entry in path.iterdir() if entry.is_file()}
    return bool(suffixes) and not suffixes & _VIDEOS


def _pairs(sources: Sequence[Path], dst: Path, recipe: Recipe, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """Each clip with its place in the folder dst, which mirrors the folders given."""
    taken: dict[Path, Path] = {}
    for source in sources:
        found = [source]
        if not _is_clip(source):
            inside = source.rglob("*") if recursive else source.iterdir()
            found = sorted(path for path in inside if path.suffix.lower() in _VIDEOS)
        if not found:
            raise InputError(f"The folder {str(source)!r} holds no videos; --recursive searches its folders too.")
        for path in found:
            below = Path(path.name) if path == source else path.relative_to(source)
            whole = below.suffix.lower() not in _KEPT or recipe.codec == "none"
            output = dst / (below.with_suffix(".mkv") if whole else below)
            if output in taken:
                raise UsageError(f"{taken[output]} and {path} would both become {output}; rename one of them.")
            taken[output] = path
            yield path, output


def _check_free(outputs: list[Path], overwrite: bool) -> None:
    for output in outputs:
        if output.exists() and not overwrite:
            raise DiskError(f"{output} exists; choose another output or overwrite it with -y.")


def _check_container(output: Path, codec: str) -> None:
    name = container_of(output)
    if (codec == "none" and name != "matroska") or (name == "webm" and codec not in ("vp9", "svtav1")):
        raise UsageError(f"{output.name!r} cannot hold what codec {codec} makes; end it in .mkv.")


def _degrade_clip(source: Path, output: Path, plan: _Plan) -> Clip:
    _check_container(output, plan.recipe.codec)
    if output.exists() and source.exists() and output.samefile(source):
        raise UsageError(f"{output} is the source itself; choose another output.")
    video = probe(source).video
    frames = read(source, deinterlace="off", codec_info=False)
    first = next(frames, None)
    if first is None:
        raise InputError(f"{str(source)!r} holds no frames.")
    size = fitted(first, plan.recipe)
    cut = size if plan.crop_to_fit and size != (first.width, first.height) else None
    frames = _counted(chain([first], frames), source, video.frames, plan.tell)
    small = shrink(crop(frames, *cut) if cut else frames, plan.recipe)
    rate = video.rate or Fraction(25)
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent)
    with place as folder:
        made = Path(folder) / output.name
        facts = _written(small, made, source, rate, plan)
        with writing(output):
            os.replace(made, output)
    return Clip(
        source=str(source),
        output=str(output),
        source_size=(first.width, first.height),
        crop=cut,
        rate=str(rate),
        source_sha256=_sha256(source),
        **facts,
    )


def _written(small: Iterator[Frame], made: Path, source: Path, rate: Fraction, plan: _Plan) -> dict[str, Any]:
    """Encode the small frames, join them with the other streams of the source, check; facts for Clip."""
    chunk = made.with_name("chunk.mkv")
    first = next(small)
    encoding = plan.recipe.encoding(first.height)
    times: list[tuple[int, int]] = []
    with Writer(chunk, encoding, rate=rate) as writer:
        for frame in chain([first], small):
            times.append((frame.pts or 0, frame.duration))
            writer.write(frame)
    pts, durations = zip(*times, strict=True)
    origin = None if source.is_dir() else source
    joined = assemble(made, origin, [chunk], pts, durations, first.time_base, keep=plan.keep)
    verify(made, pts, first.time_base, joined)
    return {
        "encoder": _build(chunk) or encoding.encoder,
        "sha256": _sha256(made),
        "kept": joined.kept,
        "dropped": joined.dropped,
        "notes": (*writer.notes, *joined.notes),
        **_decoded(made, len(pts)),
    }


def _counted(frames: Iterator[Frame], source: Path, total: int | None, tell: Tell | None) -> Iterator[Frame]:
    for done, frame in enumerate(frames, 1):
        yield frame
        if tell:
            tell(str(source), done, total)


def _decoded(path: Path, expected: int) -> dict[str, Any]:
    """What decoding the output gives: frame count, size, format and hash of the samples."""
    digest, count, last = hashlib.sha256(), 0, None
    for last in read(path, deinterlace="off", codec_info=False):
        count += 1
        for plane in last.planes:
            digest.update(plane.astype(plane.dtype.newbyteorder("<"), copy=False).tobytes())
    if last is None or count != expected:
        raise VerificationError(f"{path.name} decodes to {count} frames, but its source has {expected}.")
    size = last.width, last.height
    return {"frames": count, "size": size, "format": last.format, "frames_sha256": digest.hexdigest()}


def _build(chunk: Path) -> str | None:
    """The encoder's build, which x264 and x265 note in the first packet."""
    with chunk.open("rb") as file:
        found = _BUILD.search(file.read(1 << 16))
    return found[0].decode().strip() if found else None


def _sha256(path: Path) -> str:
    """Of a file, or of the files of a folder one after the other in the order of their names."""
    digest = hashlib.sha256()
    for part in sorted(path.iterdir()) if path.is_dir() else [path]:
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("subpixel", "av", "numpy")} | versions()
