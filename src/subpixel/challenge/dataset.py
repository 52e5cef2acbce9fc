"""Videos become the data of a contest: training pairs, test clips, what only the organisers may see, a baseline."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from subpixel import color
from subpixel.challenge import rules as contest
from subpixel.challenge import truth
from subpixel.challenge.manifest import NAME, Clip, Manifest
from subpixel.challenge.pack import pack
from subpixel.degrade import Clip as Degraded
from subpixel.degrade import Recipe, degrade
from subpixel.degrade.pictures import crop
from subpixel.errors import DiskError, InputError, UsageError
from subpixel.frames import Frame
from subpixel.job import upscale
from subpixel.video import Encoding, Keep, Writer, assemble, read
from subpixel.video.source import FILMS

PUBLIC, SECRET, RULES, BASELINE = "public", "truth", "rules.toml", "baseline.tar"
_CONTEST = Recipe()
_BASELINE = Encoding("h264", crf=10, preset="veryfast")
Tell = Callable[[str, int, int | None], None]


@dataclasses.dataclass(frozen=True)
class Options:
    """How a data set is made.

    test: number of test clips, None for a tenth of all, at least one. round: of the rules. seed: of the order in which
    the clips are numbered, so that names tell nothing. recipe: how clips are degraded. crop_to_fit: as `degrade`.
    baseline: network or method of `upscale` for the baseline answer, "" for none.
    """

    rules: str | Path = contest.DEFAULT
    round: str = ""
    test: int | None = None
    seed: int = 0
    recipe: Recipe = _CONTEST
    crop_to_fit: bool = False
    baseline: str = "fast"


def build(
    videos: list[Path], folder: str | Path, options: Options = Options(), *, progress: Tell | None = None
) -> Manifest:
    """Make the folder of a contest: `public` for everyone, `truth` for the organisers. It appears whole or not at all.

    videos: files, and folders of them. public: rules.toml, manifest.json, train/hr, train/lr, test, baseline.tar; test
    clips are bare of sound, subtitles and tags. truth: the samples of the test clips, and sources.txt: what each number
    was. progress: called with (what, frames done, all or None).

    Raises UsageError for options that make no sense or a size that cannot be divided, InputError for what is no video,
    DiskError where the folder exists or cannot be written.
    """
    folder = Path(folder)
    text = contest.read_text(options.rules)
    rules = contest.Rules.parse(text, f"Rules {str(options.rules)!r}")
    round_ = rules.round(options.round or rules.rounds[0].name)
    train, test = _numbered(videos, options)
    if folder.exists():
        raise DiskError(f"{folder} exists; choose another folder for the contest.")
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.absolute().parent) as place:
            made = _Place(Path(place) / "contest", options, progress)
            (made.public / RULES).write_text(text, encoding="utf-8")
            for name, source in train.items():
                made.add_pair(name, source)
            manifest = Manifest(round=round_.name, clips=tuple(made.add_test(*entry) for entry in test.items()))
            (made.public / NAME).write_text(manifest.text(), encoding="utf-8")
            made.add_sources(train | test)
            if options.baseline:
                made.add_baseline(manifest, rules)
            os.replace(made.root, folder)
    except OSError as error:
        raise DiskError(f"Cannot write {folder}: {error.strerror or error}.") from error
    return manifest


def _numbered(videos: list[Path], options: Options) -> tuple[dict[str, Path], dict[str, Path]]:
    """Training and test clips by the numbers they get: 00, 01, ..., the test clips last."""
    sources = [path for video in videos for path in _films(video)]
    if twice := _twice(sources):
        one, other = twice
        what = f"A video is named twice, as {one} and {other}" if one != other else f"The video {one} is named twice"
        raise UsageError(f"{what}; a clip must not be in the training data and in the test.")
    count = max(1, len(sources) // 10) if options.test is None else options.test
    if not 1 <= count <= len(sources):
        raise UsageError(f"{count} test clips cannot be taken from {len(sources)} videos; give --test 1 or more.")
    random.Random(options.seed).shuffle(sources)
    digits = max(2, len(str(len(sources) - 1)))
    named = {f"{number:0{digits}d}": source for number, source in enumerate(sources)}
    cut = len(sources) - count
    return dict(islice(named.items(), cut)), dict(islice(named.items(), cut, None))


def _twice(sources: list[Path]) -> tuple[Path, Path] | None:
    """Two of the paths that lead to the same bytes, by another name, a link or as a copy; None where there are none."""
    sizes: dict[int, list[Path]] = {}
    for source in sources:
        if source.is_file():  # else it is refused when it is read
            sizes.setdefault(source.stat().st_size, []).append(source)
    for alike in sizes.values():
        known: dict[str, Path] = {}
        for source in alike if len(alike) > 1 else ():
            try:
                with source.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise InputError(f"{str(source)!r} cannot be read: {error.strerror or error}.") from error
            if digest in known:
                return known[digest], source
            known[digest] = source
    return None


def _films(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path.absolute()]
    found = sorted(file.absolute() for file in path.iterdir() if file.suffix.lower() in FILMS)
    if not found:
        raise InputError(f"The folder {str(path)!r} holds no videos.")
    return found


class _Place:
    """The folder while it is made."""

    def __init__(self, root: Path, options: Options, tell: Tell | None) -> None:
        self.root, self.public, self.secret = root, root / PUBLIC, root / SECRET
        self._options, self._tell = options, tell
        self._hashes: dict[str, str] = {}
        for folder in (self.public / "train" / "hr", self.public / "train" / "lr", self.public / "test", self.secret):
            folder.mkdir(parents=True)
        self.secret.chmod(0o700)

    def add_pair(self, name: str, source: Path) -> None:
        """A training clip: the source as it is, without loss where it had to be cropped, and degraded."""
        low = self._degrade(source, self.public / "train" / "lr" / f"{name}{self._suffix}", name, bare=False)
        sharp = self.public / "train" / "hr"
        if low.crop:
            _store(crop(_frames(source), *low.crop), sharp / f"{name}.mkv")
        else:
            shutil.copy(source, sharp / f"{name}{source.suffix.lower()}")

    def add_test(self, name: str, source: Path) -> Clip:
        """A test clip and its truth."""
        file = f"test/{name}{self._suffix}"
        low = self._degrade(source, self.public / file, name, bare=True)
        width, height = low.crop or low.source_size
        frames = crop(_frames(source), width, height)
        count, digest = 0, hashlib.sha256()
        with (self.secret / f"{name}.rgb").open("wb") as samples:
            for frame in frames:
                rgb = color.to_rgb(frame)
                samples.write(rgb.data)
                digest.update(rgb.data)
                count += 1
        if count != low.frames:
            raise InputError(f"{source} gave {low.frames} frames, and then {count}; is the file being changed?")
        self._hashes[name] = digest.hexdigest()
        return Clip(name=name, frames=count, width=width, height=height, file=file, sha256=low.sha256)

    def add_sources(self, sources: dict[str, Path]) -> None:
        """What the organisers need to know."""
        lines = [f"{name}\t{source}\n" for name, source in sources.items()]
        (self.secret / "sources.txt").write_text("".join(lines), encoding="utf-8")
        truth.write_listing(self.secret, self._hashes)

    def add_baseline(self, manifest: Manifest, rules: contest.Rules) -> None:
        """What `subpixel upscale` makes of the test clips, as an answer."""
        with tempfile.TemporaryDirectory(dir=self.root) as place:
            for clip in manifest.clips:
                self._say(f"baseline {clip.name}", 0, clip.frames)
                scale = self._options.recipe.scale
                target = Path(place) / f"{clip.name}.mp4"
                source = self.public / clip.file
                upscale(source, target, model=self._options.baseline, scale=scale, encoding=_BASELINE)
            pack(place, manifest, rules, self.public / BASELINE)

    @property
    def _suffix(self) -> str:
        return ".mp4" if self._options.recipe.codec in ("x264", "x265", "svtav1") else ".mkv"

    def _degrade(self, source: Path, target: Path, name: str, *, bare: bool) -> Degraded:
        report = degrade(
            source,
            target,
            self._options.recipe,
            crop_to_fit=self._options.crop_to_fit,
            bare=bare,
            progress=lambda _, done, total: self._say(f"clip {name}", done, total),
        )
        return report.clips[0]

    def _say(self, what: str, done: int, total: int | None) -> None:
        if self._tell:
            self._tell(what, done, total)


def _frames(source: Path) -> Iterator[Frame]:
    """Every frame as it is stored, as `degrade` reads them."""
    return read(source, deinterlace="off", codec_info=False)


def _store(frames: Iterator[Frame], target: Path) -> None:
    """Frames as FFV1, without loss."""
    chunk = target.with_name(f".{target.name}")
    times: list[tuple[int, int]] = []
    with Writer(chunk, Encoding("ffv1")) as writer:
        for frame in frames:
            writer.write(frame)
            times.append((frame.pts or 0, frame.duration))
            base = frame.time_base
    pts, durations = zip(*times, strict=True)
    assemble(target, None, [chunk], pts, durations, base, keep=Keep())
    chunk.unlink()
