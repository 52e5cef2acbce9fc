"""Which entries of an archive are the answer to which clip: every name is one that the manifest leads to expect."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from subpixel.challenge.archive import Member, members
from subpixel.challenge.manifest import Clip, Manifest
from subpixel.challenge.problems import Problem, problem, shown
from subpixel.challenge.rules import Rules
from subpixel.errors import Refused

FILMS = (".mp4", ".mkv")
MOST_PROBLEMS = 20
_EXTRA_ENTRIES = 1000  # folders, and what macOS adds
_EXTRA_BYTES = 1 << 17  # of a PNG file besides its samples


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one clip. form: "png" or "video"; members: its frames in their order, or its one video."""

    clip: Clip
    form: str
    members: tuple[Member, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Contents:
    """What an archive holds: the answers in the manifest's order, what is wrong, what was left aside.

    With a problem the answers are of no use.
    """

    answers: tuple[Answer, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def check(tar: BinaryIO, manifest: Manifest, rules: Rules) -> Contents:
    """Find the answers in an archive by its headers alone; no content is looked at.

    tar: at its beginning; what cannot be sought in is read to its end. Problems of the archive itself end the search;
    of those with names at most MOST_PROBLEMS are told.
    """
    expected = sum(clip.frames for clip in manifest.clips)
    found = _Found(manifest, rules)
    try:
        for member in members(tar, most=2 * expected + _EXTRA_ENTRIES, largest=rules.limits.archive_bytes):
            found.take(member)
    except Refused as error:
        return Contents(problems=(*found.problems[: MOST_PROBLEMS - 1], problem(error)))
    problems = list(found.all_problems())
    if len(problems) > MOST_PROBLEMS:
        rest = len(problems) - MOST_PROBLEMS + 1
        problems = problems[: MOST_PROBLEMS - 1]
        problems.append(Problem("unexpected", "", f"There are {rest} more problems of this kind."))
    return Contents(() if problems else found.answers(), tuple(problems), found.notes())


class _Found:
    """The entries that were met, by the clip and the frame that they answer."""

    def __init__(self, manifest: Manifest, rules: Rules) -> None:
        self.forms = rules.round(manifest.round).answers
        self.clips = {clip.name: clip for clip in manifest.clips}
        self.frames: dict[str, dict[int, Member]] = {name: {} for name in self.clips}
        self.films: dict[str, Member] = {}
        self.problems: list[Problem] = []
        self._tops: set[str] = set()
        self._names: set[str] = set()
        self._count = self._aside = 0

    def take(self, member: Member) -> None:
        """Sort in one entry, or note what is wrong with it."""
        if _is_debris(member):
            self._aside += 1
        elif not member.folder:
            self._count += 1
            try:
                self._sort_in(member)
            except Refused as error:
                self.problems.append(problem(error))

    def all_problems(self) -> Iterator[Problem]:
        """Of the entries, and what is missing."""
        if not self._count:
            yield Problem("empty", "", "The archive holds no files; it needs an answer to every clip of the manifest.")
            return
        yield from self.problems
        if len(self._tops) > 1:
            tops = ", ".join(f"{top}/" if top else "the top" for top in sorted(self._tops)[:4])
            yield Problem("mixed_folders", "", f"The clips lie in different folders ({tops}); put them in one.")
        for clip in self.clips.values():
            yield from self._missing(clip)

    def answers(self) -> tuple[Answer, ...]:
        """In the order of the manifest, their frames in order too."""
        return tuple(map(self._answer, self.clips.values()))

    def notes(self) -> tuple[str, ...]:
        """What was tolerated."""
        were = f"of macOS {'was' if self._aside == 1 else 'were'} left aside."
        notes = [f"{_count(self._aside, 'file')} {were}"] if self._aside else []
        if len(self._tops) == 1 and (top := next(iter(self._tops))):
            notes.append(f"All clips lie in the folder {top}/.")
        return tuple(notes)

    def _answer(self, clip: Clip) -> Answer:
        if clip.name in self.films:
            return Answer(clip, "video", (self.films[clip.name],))
        frames = self.frames[clip.name]
        return Answer(clip, "png", tuple(frames[number] for number in range(1, clip.frames + 1)))

    def _sort_in(self, member: Member) -> None:
        name = shown(member.name)
        if member.name in self._names:
            raise Refused("duplicate", f"There are two entries {name}.", name)
        self._names.add(member.name)
        for skipped in (0, 1):  # one folder around all clips is tolerated
            place = _place(member.parts[skipped:], self.clips)
            if place is not None:
                break
        else:
            raise self._stranger(member, name)
        clip, number = place
        self._tops.add(member.parts[0] if skipped else "")
        form = "png" if number is not None else "video"
        if form not in self.forms:
            raise Refused("form", f"{name} is an answer by {form}; this round takes {', '.join(self.forms)}.", name)
        most = clip.picture_bytes * (clip.frames if number is None else 1)
        if member.size > most + most // 50 + _EXTRA_BYTES:
            raise Refused("too_large", f"{name} has {member.size} bytes; its samples have {most}.", name)
        self._put(clip, number, member, name)

    def _put(self, clip: Clip, number: int | None, member: Member, name: str) -> None:
        if number is None:
            if clip.name in self.films:
                raise Refused("two_answers", f"{name} is the second video of clip {clip.name}.", name)
            self.films[clip.name] = member
        elif not 1 <= number <= clip.frames:
            last = f"{clip.frames:04d}.png"
            raise Refused("frame_number", f"{name} is no frame of clip {clip.name}: they are 0001.png to {last}.", name)
        elif number in self.frames[clip.name]:
            raise Refused("duplicate", f"{name} is the second answer to frame {number} of clip {clip.name}.", name)
        else:
            self.frames[clip.name][number] = member

    def _stranger(self, member: Member, name: str) -> Refused:
        """Why a name is none of those expected."""
        for skipped in (0, 1):
            parts = [_plain(part) for part in member.parts[skipped:]]
            plain = {name.casefold(): clip for name, clip in self.clips.items()}
            if _place(parts, plain) is not None:
                likely = "/".join((*member.parts[:skipped], *parts))
                return Refused("look_alike", f"{name} only looks like {shown(likely)}; write names exactly.", name)
        if not member.name.isascii():
            return Refused("name", f"{name} has other characters than letters, digits, - and _.", name)
        first = next(iter(self.clips))
        wanted = f"{first}/0001.png" if "png" in self.forms else f"{first}.mp4"
        return Refused("unexpected", f"{name} is no part of an answer; names are such as {wanted}.", name)

    def _missing(self, clip: Clip) -> Iterator[Problem]:
        frames, film = self.frames[clip.name], clip.name in self.films
        if frames and film:
            yield Problem("two_answers", "", f"Clip {clip.name} is answered by frames and by a video; leave one out.")
        elif not frames and not film:
            yield Problem("missing_clip", "", f"There is no answer to clip {clip.name}.")
        elif frames and len(frames) < clip.frames:
            first = next(number for number in range(1, clip.frames + 1) if number not in frames)
            count = clip.frames - len(frames)
            missing = f"{count} of {_count(clip.frames, 'frame')} {'is' if count == 1 else 'are'} missing"
            text = f"Of clip {clip.name} {missing}, the first is {first:04d}.png."
            yield Problem("missing_frames", "", text)


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _place(parts: Iterable[str], clips: dict[str, Clip]) -> tuple[Clip, int | None] | None:
    """Clip and number of the frame (None for a video) that a name stands for; None for no such name."""
    parts = list(parts)
    if len(parts) == 2 and parts[0] in clips and (found := re.fullmatch(r"([0-9]{4,7})\.png", parts[1])):
        number = int(found[1])
        return (clips[parts[0]], number) if f"{number:04d}" == found[1] else None
    if len(parts) == 1 and parts[0].endswith(FILMS) and parts[0][:-4] in clips:
        return clips[parts[0][:-4]], None
    return None


def _plain(part: str) -> str:
    """A name without the differences of Unicode and case that hide another name in it."""
    return unicodedata.normalize("NFKC", part).casefold()


def _is_debris(member: Member) -> bool:
    """What macOS and its archivers put beside files."""
    last = member.parts[-1]
    return "__MACOSX" in member.parts or last.startswith("._") or last == ".DS_Store"
