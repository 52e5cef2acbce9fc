"""Restored clips become one tar, as `layout` and every tar program read it."""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from subpixel.challenge.layout import FILMS, check
from subpixel.challenge.manifest import Clip, Manifest
from subpixel.challenge.rules import Rules
from subpixel.errors import DiskError, InputError, UsageError

_LARGEST = 8**11 - 1  # bytes of a file in ustar


def pack(folder: str | Path, manifest: Manifest, rules: Rules, dst: str | Path, *, overwrite: bool = False) -> int:
    """Write an answer and return its bytes; equal files give equal archives.

    folder: for each clip of the manifest a video <clip>.mp4 or .mkv, or a folder <clip> of PNG files, which are taken
    in the order of the numbers in their names and called 0001.png, 0002.png, ... The files are not looked into.

    Raises InputError for clips without an answer or with two, and another number of pictures than frames; UsageError
    for a form that the round does not take; DiskError where dst exists and `overwrite` is not set.
    """
    folder, dst = Path(folder), Path(dst)
    if dst.exists() and not overwrite:
        raise DiskError(f"{dst} exists; choose another output or overwrite it with -y.")
    files = [entry for clip in manifest.clips for entry in _files(folder, clip)]
    try:
        with tempfile.TemporaryDirectory(prefix=f".{dst.name}.", dir=dst.absolute().parent) as place:
            made = Path(place) / dst.name
            with tarfile.open(made, "w", format=tarfile.USTAR_FORMAT) as tar:
                for name, path in files:
                    _add(tar, name, path)
            with made.open("rb") as written:
                problems = check(written, manifest, rules).problems
            if problems:
                raise UsageError(f"The answer would not be valid: {problems[0].sentence}")
            os.replace(made, dst)
    except OSError as error:
        raise DiskError(f"Cannot write {dst}: {error.strerror or error}.") from error
    return dst.stat().st_size


def _files(folder: Path, clip: Clip) -> Iterator[tuple[str, Path]]:
    """Names in the archive and files of the answer to one clip."""
    films = [path for suffix in FILMS if (path := folder / f"{clip.name}{suffix}").is_file()]
    pictures = folder / clip.name
    found = [*films, *([pictures] if pictures.is_dir() else [])]
    if len(found) != 1:
        what = "no answer" if not found else " and ".join(path.name for path in found)
        raise InputError(f"{folder} holds {what} for clip {clip.name}; it needs {clip.name}.mp4, .mkv or a folder.")
    if films:
        yield films[0].name, films[0]
        return
    numbered = sorted((_number(path), path) for path in pictures.iterdir() if path.suffix.lower() == ".png")
    if len(numbered) != clip.frames or len({number for number, _ in numbered}) != clip.frames:
        raise InputError(f"{pictures} holds {len(numbered)} PNG files; clip {clip.name} has {clip.frames} frames.")
    for number, (_, path) in enumerate(numbered, 1):
        yield f"{clip.name}/{number:04d}.png", path


def _number(path: Path) -> int:
    digits = re.findall(r"\d+", path.stem)
    if not digits:
        raise InputError(f"{path} has no number in its name, so its place among the frames is unknown.")
    return int(digits[-1])


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    """One file, with nothing of its owner and times."""
    entry = tarfile.TarInfo(name)
    entry.size = path.stat().st_size
    if entry.size > _LARGEST:
        raise UsageError(f"{path} has {entry.size} bytes; a file in an answer has at most {_LARGEST}.")
    with path.open("rb") as file:
        tar.addfile(entry, file)
