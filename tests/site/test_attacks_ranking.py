"""Attacks on ranks: scores without merit, looks behind a closed board, places that are not earned."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client

import world as worlds
from hostile import entry, frames, pictures, png, tar
from made import CLIPS, Made, answer, verdict
from subpixel.challenge.manifest import Manifest
from subpixel.challenge.rules import Rules
from subpixel.challenge.score import judge
from subpixel.challenge.tables import filled
from subpixel.site import board, files
from subpixel.site.acts import finals, organise, scoring, teams
from subpixel.site.models import Flag

pytestmark = pytest.mark.django_db


def psnr_of(sse: int, n: int) -> str:
    return f"{board.psnr(sse, n):.4f}"


def test_a_perfect_copy_is_looked_at_before_ranks_are_final(made: Made, clock: Any) -> None:
    team = made.team(made.contest())
    made.score(team, 0)
    flag = Flag.objects.get()
    assert flag.blocking
    told = Client().get(f"/api/v1/contests/{team.contest.slug}/rounds/1/board").json()
    assert told[0]["psnr"] == "inf"
    clock.forward(days=6)
    with pytest.raises(finals.Refusal, match="1 flags must be decided first"):
        finals.finalise(made.organiser, team.contest.rounds.get(number=1), "Over.")


def test_anothers_answer_ranks_behind_it_and_is_seen(made: Made) -> None:
    contest = made.contest()
    first, thief = (made.team(contest, name=name) for name in ("First", "Thief"))
    for team in (first, thief):
        made.scored(made.submission(team, content=answer(50)), 50)
    rows = board.rows(contest.rounds.get(number=1))
    assert [(row.rank, row.team) for row in rows] == [(1, "First"), (2, "Thief")]
    assert {team.name for flag in Flag.objects.all() for team in flag.teams.all()} == {"First", "Thief"}


@pytest.mark.parametrize("shown", ["hidden", "frozen"])
def test_nothing_looks_behind_a_closed_board(made: Made, clock: Any, shown: str) -> None:
    """Neither pages nor API nor mails tell rivals a score of after it was closed."""
    world = worlds.build(made)
    first = world.contest.rounds.get(number=1)
    if shown == "hidden":
        organise.set_board(made.organiser, first, "hidden", "The last days.")
        score = psnr_of(worlds.ERROR, worlds.SAMPLES)
    else:
        made.scored(world.team.submissions.get(state="queued"), 2 * worlds.ERROR)
        organise.set_board(made.organiser, first, "frozen", "The last days.")
        clock.forward(minutes=1)
        made.score(world.team, 777)
        score = psnr_of(777, worlds.SAMPLES)
    for who in ("", "dave", "carol"):
        browser = world.browser(who)
        for _, path in world.paths():
            assert score not in worlds.body(browser.get(path)), (who, path)
    assert score in worlds.body(world.browser("olga").get(f"/c/{world.contest.slug}/organise/rounds/1/board.csv"))


def test_a_voided_score_comes_back_by_no_way(made: Made) -> None:
    contest = made.contest()
    first = contest.rounds.get(number=1)
    team = made.team(contest)
    voided = made.score(team, 10)
    organise.void(made.organiser, voided, "Not their own.")
    corrected = made.data(first, "corrected")
    organise.rescore(made.organiser, first, corrected, "The truth was wrong.")
    while (lease := scoring.claim("worker")) is not None:
        scoring.finish(lease, verdict(lease, 5))
    organise.switch_truth(made.organiser, first, corrected, "The truth was wrong.")
    assert board.rows(first) == []


def test_a_baseline_takes_no_place(made: Made) -> None:
    contest = made.contest(advance=1)
    first = contest.rounds.get(number=1)
    baseline = teams.exhibit(made.organiser, contest, "Baseline")
    made.scored(made.submission(baseline, first), 5)
    made.score(made.team(contest, name="Best"), 900)
    rows = [(row.rank, row.team, row.advances) for row in board.rows(first)]
    assert rows == [(None, "Baseline", False), (1, "Best", True)]


# ----------------------------------------------------------------------------------------- scores of pictures, computed
def told(tmp_path: Path, content: bytes, truth: Path, clips: Manifest) -> tuple[bool, int | None]:
    path = tmp_path / "answer.tar"
    path.write_bytes(content)
    found = judge(path, clips, Rules.load(), truth)
    return found.valid, found.error.sse if found.error.n else None


def test_only_the_right_pictures_in_the_right_places_score_well(made: Made, tmp_path: Path) -> None:
    """Swapped clips, frames shifted by one, inverted, black: each has exactly the error that arithmetic gives it."""
    first = made.round()
    clips = filled(Manifest, json.loads(first.manifest), "Manifest")
    truth = files.truths() / first.truth.folder
    right = [pictures(seed=seed) for seed in range(len(CLIPS))]

    def packed(shots: list[list[Any]]) -> bytes:
        return tar([
            (f"{clip}/{number:04d}.png".encode(), png(picture))
            for clip, of_clip in zip(CLIPS, shots, strict=True) for number, picture in enumerate(of_clip, 1)
        ])  # fmt: skip

    def error(shots: list[list[Any]]) -> int:
        pairs = zip(itertools.chain(*right), itertools.chain(*shots), strict=True)
        return int(sum(np.square(a.astype(np.int64) - b).sum() for a, b in pairs))

    for name, shots in {
        "right": right,
        "swapped": right[::-1],
        "shifted": [of_clip[1:] + of_clip[:1] for of_clip in right],
        "inverted": [[255 - picture for picture in of_clip] for of_clip in right],
        "black": [[np.zeros_like(picture) for picture in of_clip] for of_clip in right],
    }.items():
        assert told(tmp_path, packed(shots), truth, clips) == (True, error(shots)), name
    assert error(right) == 0


def test_no_more_than_an_answer_is_an_answer(made: Made, tmp_path: Path) -> None:
    """Two answers in one file, or a clip twice, do not let a team choose afterwards."""
    first = made.round()
    clips = filled(Manifest, json.loads(first.manifest), "Manifest")
    truth = files.truths() / first.truth.folder
    whole = frames(*CLIPS)
    for content in (
        tar(whole) + tar(whole),
        tar([*whole, whole[0]]),
        tar(whole) + entry(b"90/0001.png", whole[1][1]),
        tar([*whole, (b"90/0004.png", whole[0][1])]),
        tar([*whole, (b"92/0001.png", whole[0][1])]),
    ):
        assert told(tmp_path, content, truth, clips) == (False, None)
