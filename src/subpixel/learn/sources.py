"""What training pairs are made of: films and photographs, named on the command line or in a list, and their shots.

A list is TOML. Its entries are asked in order, and a file belongs to the first that names it:

    [[source]]
    files = ["train/*.mp4"]          # patterns, from the root
    crop = [0.0, 0.0, 0.85, 1.0]     # left, top, right, bottom of the part to use, as fractions of the picture
    start = 2.5                      # seconds of a film, from
    end = 30                         # and to
    treatment = "film"               # see TREATMENTS
    scene = "street"                 # files of one scene are never split between training and validation
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from subpixel import video
from subpixel.errors import InputError, UsageError
from subpixel.frames import Frame
from subpixel.learn.scenes import MOTIONS
from subpixel.restore import is_cut
from subpixel.video.source import FILMS, IMAGES

Box = tuple[float, float, float, float]  # left, top, right, bottom as fractions of the picture

# What becomes of a film before it is degraded: how much smaller it is made, and how many frames are used then.
# A film carries compression of its own, which shrinking hides; a "master" has none and stays nearly as it is.
SHRINKS: dict[str, tuple[tuple[float, int], ...]] = {
    "film": ((0.5, 100), (0.75, 60), (1.0, 36)),
    "master": ((1.0, 36), (0.75, 60), (0.85, 48)),
}
PHOTO = "mix"  # of all motions of the camera
TREATMENTS = (*SHRINKS, PHOTO, *MOTIONS)

LONGEST = 250  # frames of a shot; what follows counts as the next
SHORTEST = 12  # a shot with fewer teaches nothing about time


@dataclasses.dataclass(frozen=True)
class Source:
    """One film or photograph and how it is used; see the module's text for the fields."""

    path: Path
    crop: Box = (0.0, 0.0, 1.0, 1.0)
    start: float = 0.0
    end: float | None = None
    treatment: str = ""
    scene: str = ""

    @property
    def photo(self) -> bool:
        """Whether it is a photograph."""
        return self.path.suffix.lower() in IMAGES

    @property
    def label(self) -> str:
        """The file's name without its ending, in letters that every file system takes: what its clips are called."""
        return re.sub(r"[^\w.-]", "_", self.path.stem).lstrip(".")


@dataclasses.dataclass(frozen=True)
class Shot:
    """Frames of a film without a cut in between: seconds just before the first (0 for the film's start), how many."""

    begin: float
    frames: int


def gather(given: Sequence[Path], root: Path | None = None) -> list[Source]:
    """The sources named by files, folders (searched with their folders) and lists, each file once, in order of names.

    root: where the patterns of lists start, the list's own folder if None. Raises InputError for a file that is missing
    or of no known kind and for folders and patterns without any, UsageError for a list that is not understood and for
    two files whose clips would have the same name.
    """
    found: dict[Path, Source] = {}
    for path in given:
        entries = _listed(path, root or path.parent) if path.suffix == ".toml" else _plain(path)
        for source in entries:
            found.setdefault(source.path.resolve(), source)
    labels: dict[str, Path] = {}
    for source in found.values():
        other = labels.setdefault(source.label, source.path)
        if other != source.path:
            raise UsageError(f"{other} and {source.path} would make clips of the same name; rename one of them.")
    return sorted((_completed(source) for source in found.values()), key=lambda source: source.label)


def scan(source: Source) -> tuple[str, list[Shot]]:
    """(SHA-256 of the file, its shots of SHORTEST frames and more; a photograph has one of one frame).

    Raises InputError as `video.read` does, and for a film without a shot that is long enough.
    """
    with source.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if source.photo:
        return digest, [Shot(0.0, 1)]
    shots = [shot for shot in _shots(source) if shot.frames >= SHORTEST]
    if not shots:
        raise InputError(f"{source.path} has no shot of {SHORTEST} frames; leave it out.")
    return digest, shots


def read(source: Source, shot: Shot) -> Iterator[Frame]:
    """The frames of a shot as decoded."""
    return video.read(source.path, start=shot.begin or None, end=source.end, codec_info=False)


def _shots(source: Source) -> Iterator[Shot]:
    origin = Fraction(video.probe(source.path).start)
    begin, count, previous = source.start, 0, None
    for frame in video.read(source.path, start=source.start or None, end=source.end, codec_info=False):
        if previous is not None and (count == LONGEST or is_cut(previous, frame)):
            yield Shot(begin, count)
            # Half-way from one frame to the next, so that no rounding moves the cut.
            begin, count = float((_time(previous) + _time(frame)) / 2 - origin), 0
        count, previous = count + 1, frame
    yield Shot(begin, count)


def _time(frame: Frame) -> Fraction:
    return (frame.pts or 0) * frame.time_base


def _plain(path: Path) -> Iterator[Source]:
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in (*FILMS, *IMAGES) and p.is_file())
        if not files:
            raise InputError(f"The folder {path} holds no films and no photographs.")
        yield from map(Source, files)
    elif not path.exists():
        raise InputError(f"{path} cannot be read: there is no such file.")
    else:
        yield Source(path)


def _listed(path: Path, root: Path) -> Iterator[Source]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"The list {path} cannot be read: {error}.") from error
    if set(table) != {"source"} or not isinstance(table["source"], list):
        raise UsageError(f"The list {path} consists of [[source]] entries and nothing else, not {', '.join(table)}.")
    for number, entry in enumerate(table["source"], 1):
        origin = f"Source {number} of {path}"
        if not isinstance(entry, dict):
            raise UsageError(f"{origin} is no table; write [[source]] and its keys below.")
        _check(entry, origin)
        how = {key: value for key, value in entry.items() if key != "files"}
        if "crop" in how:
            how["crop"] = tuple(map(float, how["crop"]))
        for pattern in entry["files"]:
            files = sorted(p for p in root.glob(pattern) if p.is_file())
            if not files:
                raise InputError(f"{origin}: {pattern!r} names no file in {root}.")
            yield from (Source(file, **how) for file in files)


def _check(entry: Mapping[str, Any], origin: str) -> None:
    """Raise UsageError unless keys and values of an entry are what they should be."""
    number = (int, float)
    kinds: dict[str, Any] = {
        "files": list,
        "crop": list,
        "start": number,
        "end": number,
        "treatment": str,
        "scene": str,
    }
    for key, value in entry.items():
        if key not in kinds:
            raise UsageError(f"{origin} has an unknown key {key!r}; the keys are {', '.join(kinds)}.")
        if not isinstance(value, kinds[key]) or isinstance(value, bool):
            what = {"files": "a list of patterns", "crop": "a list of four fractions"}
            raise UsageError(f"{origin}: {key} must be {what.get(key, 'text' if kinds[key] is str else 'a number')}.")
    if not entry.get("files") or not all(isinstance(pattern, str) for pattern in entry["files"]):
        raise UsageError(f'{origin} names no files; add files = ["folder/*.mp4"].')
    if "crop" in entry:
        box = [side if isinstance(side, number) else -1 for side in entry["crop"]]
        if len(box) != 4 or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
            raise UsageError(f"{origin}: crop is left, top, right, bottom from 0 to 1, not {entry['crop']}.")
    if entry.get("treatment", PHOTO) not in TREATMENTS:
        raise UsageError(f"{origin}: treatment is one of {', '.join(TREATMENTS)}, not {entry['treatment']!r}.")
    if not 0 <= entry.get("start", 0) < entry.get("end", float("inf")):
        raise UsageError(f"{origin}: end must come after start, and start not before 0.")


def _completed(source: Source) -> Source:
    """The source with its defaults filled in; UsageError for a treatment that is not for its kind."""
    if source.path.suffix.lower() not in (*FILMS, *IMAGES):
        raise InputError(
            f"{source.path} is neither a film nor a photograph by its name; name films, photographs, folders."
        )
    treatment = source.treatment or (PHOTO if source.photo else "film")
    if source.photo == (treatment in SHRINKS):
        kind = "photograph" if source.photo else "film"
        right = [t for t in TREATMENTS if source.photo != (t in SHRINKS)]
        raise UsageError(f"{source.path} is a {kind}: its treatment is one of {', '.join(right)}, not {treatment!r}.")
    return dataclasses.replace(source, treatment=treatment, scene=source.scene or source.label)
