"""Rules and manifests: the contest of 2020 as it was, and every mistake in a file said in one sentence."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile import manifest
from subpixel.challenge.manifest import Manifest
from subpixel.challenge.problems import CODES, Problem, shown
from subpixel.challenge.rules import Rules, read_text
from subpixel.errors import UsageError

TEXT = read_text()
CHINA = timezone(timedelta(hours=8))
PRELIMINARY, FINAL = Rules.load().rounds


def test_the_contest_of_2020() -> None:
    rules = Rules.load("contest2020")
    assert (rules.zone, rules.teams.smallest, rules.teams.largest, rules.framework) == (
        "Asia/Shanghai",
        1,
        5,
        "MegEngine",
    )
    assert (rules.teams.opens, rules.teams.closes) == (
        datetime(2020, 8, 10, 0, 1, tzinfo=CHINA), datetime(2020, 8, 31, 23, 59, tzinfo=CHINA),
    )  # fmt: skip
    assert (PRELIMINARY.name, PRELIMINARY.advance, PRELIMINARY.grants, PRELIMINARY.valid_per_day) == (
        "preliminary",
        10,
        3,
        1,
    )
    assert (FINAL.name, FINAL.advance, FINAL.grants) == ("final", 0, None)
    assert (rules.compute.hours, rules.compute.grant_hours) == (30, 50)
    assert [(prize.first, prize.last, prize.prize) for prize in rules.prizes][-1] == (4, 10, "1,000 yuan")


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        (datetime(2020, 9, 1, 0, 0, 59, 999999, CHINA), None),
        (datetime(2020, 9, 1, 0, 1, tzinfo=CHINA), "preliminary"),
        (datetime(2020, 9, 14, 15, 59, 59, 999999, UTC), "preliminary"),
        (datetime(2020, 9, 14, 16, 0, tzinfo=UTC), None),
        (datetime(2020, 9, 24, 23, 59, 30, tzinfo=CHINA), "final"),
        (datetime(2020, 9, 25, 0, 0, tzinfo=CHINA), None),
    ],
)
def test_windows_end_with_their_last_minute(moment: datetime, name: str | None) -> None:
    found = Rules.load().open_round(moment)
    assert (found and found.name) == name


@settings(max_examples=50, deadline=None)
@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.timezones()))
def test_days_are_those_of_the_contests_zone(moment: datetime) -> None:
    rules = Rules.load()
    assert rules.day(moment) == (moment.astimezone(UTC) + timedelta(hours=8)).date()
    assert any(one.holds(moment) for one in rules.rounds) == (rules.open_round(moment) is not None)


def test_a_zone_with_summer_time() -> None:
    berlin = Rules.parse(TEXT.replace("Asia/Shanghai", "Europe/Berlin"))
    assert berlin.day(datetime(2020, 9, 1, 22, 30, tzinfo=UTC)) == date(2020, 9, 2)
    assert berlin.day(datetime(2020, 12, 1, 22, 30, tzinfo=UTC)) == date(2020, 12, 1)


def test_moments_without_a_zone_are_refused() -> None:
    with pytest.raises(UsageError, match="has no zone, so nobody can tell"):
        PRELIMINARY.holds(datetime(2020, 9, 2))
    with pytest.raises(UsageError, match="belongs to no day"):
        Rules.load().day(datetime(2020, 9, 2))


MISTAKES = {
    "unknown key": ("[teams]", "tems = 1\n[teams]", "unknown key 'tems'; the keys are name, zone"),
    "unknown key of a round": ("grants = 3", "grant = 3", "rounds 1 has an unknown key 'grant'"),
    "missing key": ('name = "final"', "", "rounds 2 has no name; write name = ..."),
    "another type": ("largest = 5", 'largest = "5"', "teams, largest must be a whole number, not '5'"),
    "a truth value for a number": ("largest = 5", "largest = true", "must be a whole number, not True"),
    "a number for a text": ('framework = "MegEngine"', "framework = 1", "framework must be text in quotes, not 1"),
    "no list": ('answers = ["png", "video"]', 'answers = "png"', "rounds 1, answers must be a list, not 'png'"),
    "no such answer": ('["png", "video"]', '["gif"]', r"one or more of png, video, not \['gif'\]"),
    "no zone": ("2020-09-01T00:01:00+08:00", "2020-09-01T00:01:00", r"needs a zone; write 2020-09-01T00:01:00\+08:00"),
    "seconds": ("2020-09-14T23:59:00", "2020-09-14T23:59:59", "leave its seconds 00"),
    "closes first": ("2020-09-14T23:59", "2020-08-14T23:59", "must be later than opens"),
    "overlap": ("2020-09-16T00:01", "2020-09-14T23:59", "Round 'final' opens before 'preliminary' has closed"),
    "same names": ('name = "final"', 'name = "preliminary"', "each of another name"),
    "unknown zone": ("Asia/Shanghai", "Asia/Atlantis", "zone = 'Asia/Atlantis' is not known here"),
    "zone out of place": ("Asia/Shanghai", "../../etc/passwd", "is not known here"),
    "unknown scorer": ("rgb-sse-1", "psnr", "scorer must be one of rgb-sse-1, not 'psnr'"),
    "team of none": ("smallest = 1", "smallest = 0", "smallest must be at least 1, not 0"),
    "team upside down": ("largest = 5", "largest = 0", "largest must be at least 1, not 0"),
    "fewer attempts than answers": (
        "attempts_per_day = 10",
        "attempts_per_day = 0",
        "attempts_per_day must be at least 1",
    ),
    "negative grants": ("grants = 3", "grants = -1", "grants must be at least 0, not -1"),
    "prizes upside down": ("first = 4", "first = 11", "last must be at least 11, not 10"),
    "no memory": ("decoder_memory = 1073741824", "decoder_memory = 1", "decoder_memory must be at least"),
    "no name": ('name = "Video super-resolution 2020"', 'name = ""', "name must not be empty"),
    "no TOML": ("[teams]", "[teams", "The rules cannot be read"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_said(name: str) -> None:
    old, new, words = MISTAKES[name]
    assert old in TEXT
    with pytest.raises(UsageError, match=words):
        Rules.parse(TEXT.replace(old, new, 1))


def test_rules_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no rules 'mine'; name a \.toml file or one of contest2020"):
        Rules.load("mine")
    with pytest.raises(UsageError, match="cannot be read"):
        Rules.load(tmp_path / "mine.toml")
    with pytest.raises(UsageError, match="has no round 'third'; its rounds are preliminary, final"):
        Rules.load().round("third")


def test_a_manifest_is_read_back(tmp_path: Path) -> None:
    made = manifest("90", "91")
    (tmp_path / "manifest.json").write_text(made.text())
    assert Manifest.load(tmp_path) == Manifest.load(tmp_path / "manifest.json") == made


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"90"', '"../90"', r"named by 1 to 32 letters, digits, - and _, not '../90'"),
        ('"91"', '"90"', "no two of whose names differ only in case"),
        ('"frames": 3', '"frames": 0', "must have 1 to 1000000 frames, not 0"),
        ('"frames": 3', '"frames": 3.5', "clips 1, frames must be a whole number, not 3.5"),
        ('"frames": 3', '"frames": 999999', "All clips together may have 1000000"),
        ('"width": 32', '"width": 99999', "sides of 1 to 16384, not 99999x16"),
        ("0" * 64, "0" * 63, "64 hexadecimal digits"),
        ('"schema_version": 1', '"schema_version": 2', "schema_version 2 is not known here"),
        ('"round"', '"rounds"', "unknown key 'rounds'"),
        ("{", "[" * 5000, "cannot be read"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "manifest.json").write_text(manifest("90", "91").text().replace(old, new, 1))
    with pytest.raises(UsageError, match=words):
        Manifest.load(tmp_path)


def test_names_of_strangers_are_shown_as_plain_text() -> None:
    assert shown("\x1b[31m‮<b>é" + "x" * 200).isascii()
    assert len(shown("x" * 1000)) == 100
    assert str(Problem("png", "90/0001.png", "It is no PNG file.")) == "png: 90/0001.png: It is no PNG file."


def test_every_code_is_documented() -> None:
    page = (Path(__file__).parent.parent / "docs" / "challenge.md").read_text(encoding="utf-8")
    table = page.split("## What is refused")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == list(CODES)
