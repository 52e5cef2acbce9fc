"""A tar against rules, manifest and, where it is at hand, truth: the one verdict, at home and on a server."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from subpixel.challenge.decoding import Decoder
from subpixel.challenge.layout import MOST_PROBLEMS, Answer, check
from subpixel.challenge.manifest import Manifest
from subpixel.challenge.problems import Problem, problem
from subpixel.challenge.rules import Rules
from subpixel.challenge.truth import Truth
from subpixel.errors import InputError, Refused
from subpixel.metrics import SquaredError, finite

SCHEMA_VERSION = 1
Tell = Callable[[str, int, int], None]
_NOTHING = SquaredError()
_PIECE = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class ClipScore:
    """Of one clip: the form of its answer, its frames, and its error, of no samples where there is no truth.

    locked: whether the decoder could reach neither files nor network, see `sandbox`.
    """

    name: str
    form: str
    frames: int
    error: SquaredError
    locked: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of an answer.

    problems: why it is not valid, none for a valid one; they do not depend on the truth. clips: of a valid answer.
    truth: its version, "" without. notes: what was tolerated.
    """

    round: str
    scorer: str
    problems: tuple[Problem, ...]
    clips: tuple[ClipScore, ...] = ()
    truth: str = ""
    notes: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the answer has the right form and can be scored."""
        return not self.problems

    @property
    def error(self) -> SquaredError:
        """Of all samples of all clips together; ranks are by its exact `sse`."""
        return sum((clip.error for clip in self.clips), _NOTHING)

    def as_dict(self) -> dict[str, object]:
        """For JSON. During a round teams must see the pooled figures only: those of clips give the truth away."""
        return {
            "schema_version": SCHEMA_VERSION,
            "valid": self.valid,
            "round": self.round,
            "scorer": self.scorer,
            "truth": self.truth or None,
            "sse": self.error.sse if self.error.n else None,
            "n": self.error.n or None,
            "psnr": finite(self.error.psnr),
            "problems": [dataclasses.asdict(one) for one in self.problems],
            "notes": list(self.notes),
            "locked": all(clip.locked for clip in self.clips),
            "clips": [
                {"name": clip.name, "form": clip.form, "frames": clip.frames, "sse": clip.error.sse, "n": clip.error.n}
                for clip in self.clips
            ],
        }


def judge(
    tar: str | Path,
    manifest: Manifest,
    rules: Rules,
    truth: str | Path | None = None,
    *,
    progress: Tell | None = None,
) -> Verdict:
    """Check an answer whole, every picture decoded, and score it where there is a truth.

    tar: a file of any origin, or a pipe, which is kept in a temporary file. truth: the folder that `dataset.build`
    made. Whether the answer is valid, and its problems, are the same with and without it. progress: called with clip,
    frames done, frames. All that is wrong with the archive and its names is told at once, then the first thing in each
    clip.

    Raises InputError if the file cannot be opened, UsageError for a truth that does not fit the manifest, and
    `decoding.Fault` if the machine fails, which says nothing of the answer.
    """
    originals = None if truth is None else Truth.open(truth, manifest)
    with _opened(tar, rules.limits.archive_bytes) as file:
        contents = check(file, manifest, rules)
        problems, notes = list(contents.problems), list(contents.notes)
        clips: list[ClipScore] = []
        for answer in contents.answers if not problems else ():
            try:
                clips.append(_score(file, answer, rules, originals, progress))
            except Refused as error:
                problems.append(problem(error))
                if len(problems) == MOST_PROBLEMS:
                    break
    version = originals.version if originals else ""
    return Verdict(
        manifest.round, rules.scorer, tuple(problems), () if problems else tuple(clips), version, tuple(notes)
    )


@contextlib.contextmanager
def _opened(tar: str | Path, largest: int) -> Iterator[BinaryIO]:
    """The archive as a file that can be read by position, which the decoder does: what comes by a pipe is kept so long,
    up to the byte by which it is too large.
    """
    with contextlib.ExitStack() as stack:
        try:
            file: BinaryIO = stack.enter_context(Path(tar).open("rb"))
            if not file.seekable():
                kept = stack.enter_context(tempfile.TemporaryFile())
                left = largest + 1
                while left and (part := file.read(min(left, _PIECE))):
                    kept.write(part)
                    left -= len(part)
                kept.seek(0)
                file = cast(BinaryIO, kept)
        except OSError as error:
            raise InputError(f"{str(tar)!r} cannot be read: {error.strerror}.") from error
        yield file


def _score(file: BinaryIO, answer: Answer, rules: Rules, truth: Truth | None, progress: Tell | None) -> ClipScore:
    """Decode one clip to its end, and compare it."""
    clip = answer.clip
    error = _NOTHING
    originals = truth.pictures(clip) if truth else None
    with Decoder(file, answer, rules.limits) as decoder:
        for number, samples in enumerate(decoder.pictures(), 1):
            if originals is not None:
                error += SquaredError.of(np.frombuffer(samples, np.uint8), np.frombuffer(next(originals), np.uint8))
            if progress:
                progress(clip.name, number, clip.frames)
    return ClipScore(clip.name, answer.form, clip.frames, error, decoder.locked)
