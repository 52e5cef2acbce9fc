"""Rules: what a contest allows and when, as frozen dataclasses that one TOML file fills."""

from __future__ import annotations

import dataclasses
import tomllib
import zoneinfo
from datetime import date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Self

from subpixel.challenge.tables import filled, reason
from subpixel.errors import UsageError

DEFAULT = "contest2020"
ANSWERS = ("png", "video")
SCORERS = ("rgb-sse-1",)  # sum of squared errors of all 8-bit RGB samples; a change of any arithmetic is a new name


def _at_least(name: str, value: float, lowest: float) -> None:
    if value < lowest:
        raise UsageError(f"{name} must be at least {lowest}, not {value}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """A span of time, both ends with a zone and without seconds; `closes` names the last minute that belongs to it."""

    opens: datetime
    closes: datetime

    def __post_init__(self) -> None:
        for name in ("opens", "closes"):
            time: datetime = getattr(self, name)
            if time.utcoffset() is None:
                raise UsageError(f"{name} = {time} needs a zone; write {time.isoformat()}+08:00 or another.")
            if time.second or time.microsecond:
                raise UsageError(f"{name} = {time} names a minute that belongs to the window; leave its seconds 00.")
        if self.closes <= self.opens:
            raise UsageError(f"closes = {self.closes} must be later than opens = {self.opens}.")

    @property
    def end(self) -> datetime:
        """The first moment that no longer belongs to the window: 23:59 is open until midnight."""
        return self.closes + timedelta(minutes=1)

    def holds(self, moment: datetime) -> bool:
        """Whether a moment (with a zone) belongs to the window. Raises UsageError for one without a zone."""
        if moment.utcoffset() is None:
            raise UsageError(f"The moment {moment} has no zone, so nobody can tell whether it is in time.")
        return self.opens <= moment < self.end


@dataclasses.dataclass(frozen=True, kw_only=True)
class Teams(Window):
    """When teams are made and changed, and how many people are in one."""

    smallest: int = 1
    largest: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least("smallest", self.smallest, 1)
        _at_least("largest", self.largest, self.smallest)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round(Window):
    """One round; the best valid answer of a team counts.

    answers: the forms accepted, png (a picture a frame) and video (a file a clip). valid_per_day, attempts_per_day:
    hand-ins of a team on one day of the contest's zone, those that are scored and all. advance: how many teams go on,
    0 in the last round. decimals: of the PSNR shown; ranks are by exact sums. grants: most applications for compute
    time, None for no limit.
    """

    name: str
    answers: tuple[str, ...] = ANSWERS
    valid_per_day: int = 1
    attempts_per_day: int = 10
    advance: int = 0
    decimals: int = 4
    grants: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.answers or set(self.answers) - set(ANSWERS):
            raise UsageError(f"answers must name one or more of {', '.join(ANSWERS)}, not {list(self.answers)}.")
        _at_least("valid_per_day", self.valid_per_day, 1)
        _at_least("attempts_per_day", self.attempts_per_day, self.valid_per_day)
        for name in ("advance", "decimals", "grants"):
            _at_least(name, getattr(self, name) or 0, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compute:
    """Hours of compute for every team, and for each grant that an improved score entitles to."""

    hours: int = 0
    grant_hours: int = 0

    def __post_init__(self) -> None:
        _at_least("hours", self.hours, 0)
        _at_least("grant_hours", self.grant_hours, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prize:
    """What the ranks from first to last get."""

    first: int
    last: int
    prize: str

    def __post_init__(self) -> None:
        _at_least("first", self.first, 1)
        _at_least("last", self.last, self.first)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What one answer may cost: bytes of the archive; of a clip's decoder the memory in bytes besides what it starts
    with, and the seconds of CPU time for every million samples of a colour, plus twenty."""

    archive_bytes: int = 1 << 36
    decoder_memory: int = 1 << 30
    decoder_seconds: float = 0.5

    def __post_init__(self) -> None:
        _at_least("archive_bytes", self.archive_bytes, 1024)
        _at_least("decoder_memory", self.decoder_memory, 1 << 26)
        _at_least("decoder_seconds", self.decoder_seconds, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """A contest.

    zone: IANA name; days begin at its midnight, and times are shown in it. scorer: version of the arithmetic of
    scores. framework: what solutions must be trained with, "" for anything; like given_data_only it is declared by
    the teams and looked at in the code review.
    """

    name: str
    zone: str
    teams: Teams
    rounds: tuple[Round, ...]
    scorer: str = SCORERS[0]
    framework: str = ""
    given_data_only: bool = True
    compute: Compute = Compute()
    prizes: tuple[Prize, ...] = ()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not self.name:
            raise UsageError('name must not be empty; write name = "..." with the contest\'s name.')
        if self.scorer not in SCORERS:
            raise UsageError(f"scorer must be one of {', '.join(SCORERS)}, not {self.scorer!r}.")
        self._zone()
        names = [one.name for one in self.rounds]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"rounds must have at least one [[rounds]], each of another name, not {names}.")
        for before, after in zip(self.rounds, self.rounds[1:], strict=False):
            if after.opens < before.end:
                raise UsageError(f"Round {after.name!r} opens before {before.name!r} has closed.")

    def round(self, name: str) -> Round:
        """The round of a name; raises UsageError when there is none."""
        for one in self.rounds:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.rounds)
        raise UsageError(f"{self.name} has no round {name!r}; its rounds are {known}.")

    def open_round(self, moment: datetime) -> Round | None:
        """The round that takes hand-ins at a moment (with a zone), None between rounds."""
        return next((one for one in self.rounds if one.holds(moment)), None)

    def day(self, moment: datetime) -> date:
        """The contest's day that a moment (with a zone) belongs to: quotas count by it."""
        if moment.utcoffset() is None:
            raise UsageError(f"The moment {moment} has no zone, so it belongs to no day.")
        return moment.astimezone(self._zone()).date()

    @classmethod
    def load(cls, source: str | Path = DEFAULT) -> Self:
        """The rules of a TOML file, or those that come with the package by their name.

        Raises UsageError when there is no such file or it is not TOML; for a key that does not exist or is missing; for
        a value of another type or out of range.
        """
        return cls.parse(read_text(source), f"Rules {str(source)!r}")

    @classmethod
    def parse(cls, text: str, origin: str = "The rules") -> Self:
        """The rules in the text of a TOML file; `origin` names it in messages. As `load`."""
        try:
            return filled(cls, tomllib.loads(text), origin)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{origin} cannot be read: {error}.") from error

    def _zone(self) -> zoneinfo.ZoneInfo:
        try:
            return zoneinfo.ZoneInfo(self.zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise UsageError(f"zone = {self.zone!r} is not known here; write one such as Asia/Shanghai.") from error


def read_text(source: str | Path = DEFAULT) -> str:
    """The text of a rule file, or of one that comes with the package. Raises UsageError when there is none."""
    path, shipped = Path(source), resources.files(__package__) / "contests"
    names = sorted(entry.name.removesuffix(".toml") for entry in shipped.iterdir())
    if path.suffix != ".toml" and str(source) not in names:
        raise UsageError(f"There are no rules {str(source)!r}; name a .toml file or one of {', '.join(names)}.")
    file = path if path.suffix == ".toml" else shipped / f"{source}.toml"
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"Rules {str(source)!r} cannot be read: {reason(error)}.") from error
