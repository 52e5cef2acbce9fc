"""Several inputs, one after the other: which output each gets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from subpixel.errors import InputError, UsageError

FILMS = {
    ".3gp", ".avi", ".flv", ".gif", ".ivf", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
    ".nut", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
}  # fmt: skip
KEPT_SUFFIXES = {".mkv", ".mp4", ".mov", ".m4v"}  # containers that hold what we write; others become .mkv


def pairs(inputs: Sequence[str], output: str, *, recursive: bool, images: bool) -> list[tuple[str, str]]:
    """(input, output) of every film: `output` is a file for one film, a folder for several.

    A folder counts as the films in it, with --recursive also in its folders, whose structure is kept; a folder
    with pictures but no films is one film. Raises UsageError or InputError if that cannot be done.
    """
    films = [film for name in inputs for film in _films(name, recursive)]
    several = len(films) > 1 or films[0][0] not in inputs
    if output == "-":
        if several:
            raise UsageError("Standard output takes one film; name a folder with -o for several.")
        return [(films[0][0], "-")]
    folder = output.endswith("/") or (Path(output).is_dir() and not images)
    if not several and not folder:
        return [(films[0][0], output)]
    if not images and not folder and Path(output).suffix:
        raise UsageError(f"There are {len(films)} inputs, so -o must name a folder: {output!r}; end it with '/'.")
    found = [(film, str(Path(output) / _named(below, images))) for film, below in films]
    twice = {target for _, target in found if sum(target == other for _, other in found) > 1}
    if twice:
        raise UsageError(f"Several inputs would become {sorted(twice)[0]!r}; restore them in separate calls.")
    return found


def _named(below: Path, images: bool) -> Path:
    if images:
        return below.with_suffix("")
    return below if below.suffix.lower() in KEPT_SUFFIXES else below.with_suffix(".mkv")


def _films(name: str, recursive: bool) -> list[tuple[str, Path]]:
    """(path, path below the output folder) of every film that an argument stands for."""
    path = Path(name)
    if name == "-":
        return [("-", Path("stdin.mkv"))]
    if not path.is_dir():
        return [(name, Path(path.name))]
    inside = sorted(p for p in (path.rglob("*") if recursive else path.iterdir()) if p.suffix.lower() in FILMS)
    films = [(str(p), p.relative_to(path)) for p in inside if p.is_file()]
    if films:
        return films
    if any(p.is_file() for p in path.iterdir()):
        return [(name, Path(path.resolve().name))]
    raise InputError(
        f"The folder {name!r} holds no films{'' if recursive else '; add --recursive to search its folders'}."
    )
