"""Ranks: against a count by hand, ties, freezing, what organisers change, and snapshots that never do."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made import SAMPLES, Clock, Made, refused
from subpixel.site import board
from subpixel.site.acts import finals, organise, reviews, teams
from subpixel.site.models import Advancement, Contest, Evaluation, Flag, Outbox, Round, Snapshot, Submission, Team

pytestmark = pytest.mark.django_db


def places(round_: Round) -> list[tuple[int | None, str]]:
    return [(row.rank, row.team) for row in board.rows(round_)]


def put(team: Team, round_: Round, upload: Any, sse: int, at: datetime, state: str = "scored") -> Submission:
    """A hand-in with a score, as scoring leaves it, at any moment."""
    submission = Submission.objects.create(
        team=team, round=round_, user=team.captain or upload.user, upload=upload, key=str(upload.pk), sha256="0" * 64,
        size=1, accepted_at=at, day=at.date(), moved_at=at, state=state, slot="spent",
        slot_no=1 + Submission.objects.filter(team=team).count(),
    )  # fmt: skip
    Evaluation.objects.create(
        submission=submission, truth=round_.truth, scorer=round_.scorer, status="ok", sse=sse, n=SAMPLES, created_at=at
    )
    return submission


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_ranks_are_those_of_a_count_by_hand(made: Made, exam: tuple[Round, list[Team]], data: st.DataObject) -> None:
    from django.db import transaction

    round_, entered = exam
    hand_in = st.tuples(
        st.integers(0, 5),
        st.sampled_from([0, 1, 7, 8, 10**6]),
        st.integers(0, 3),
        st.sampled_from(["scored", "voided"]),
    )
    with transaction.atomic():
        out = data.draw(st.sets(st.integers(0, 5), max_size=2))
        Team.objects.filter(pk__in=[entered[one].pk for one in out]).update(state="disqualified")
        best: dict[int, tuple[int, datetime, int]] = {}
        count: dict[int, int] = {}
        for which, sse, hours, state in data.draw(st.lists(hand_in, max_size=12)):
            at = round_.opens + timedelta(hours=hours)
            one = put(entered[which], round_, made.upload(entered[which]), sse, at, state)
            if which not in out and state == "scored":
                best[which] = min(best.get(which, (10**9, at, 0)), (sse, at, one.pk))
                count[which] = count.get(which, 0) + 1
        order = sorted(best, key=lambda which: best[which])
        ranks = itertools.count(1)
        expected = [
            (None if entered[which].exhibition else next(ranks), entered[which].pk, *best[which][:2], count[which])
            for which in order
        ]
        found = board.rows(round_)
        assert [(row.rank, row.team_id, row.sse, row.accepted_at, row.hand_ins) for row in found] == expected
        assert [row.advances for row in found] == [rank is not None and rank <= 2 for rank, *_ in expected]
        transaction.set_rollback(True)


@pytest.fixture
def exam(made: Made) -> tuple[Round, list[Team]]:
    """A round from which two go on, and six teams, the last of which is for show."""
    round_ = made.round(advance=2)
    return round_, [
        *(made.team(round_.contest) for _ in range(5)),
        teams.exhibit(made.organiser, round_.contest, "Baseline"),
    ]


def test_equal_errors_rank_by_the_moment_of_acceptance(made: Made, clock: Clock) -> None:
    contest = made.contest()
    for name in ("first", "second", "third"):
        made.score(made.team(contest, name=name), 100)
        clock.forward(microseconds=1)
    assert places(contest.rounds.get(number=1)) == [(1, "first"), (2, "second"), (3, "third")]


def test_scores_that_look_equal_rank_by_their_exact_errors(made: Made) -> None:
    contest = made.contest()
    made.score(made.team(contest, name="worse"), 10**8 + 1)
    made.score(made.team(contest, name="better"), 10**8)
    rows = board.rows(contest.rounds.get(number=1))
    assert f"{rows[0].psnr:.4f}" == f"{rows[1].psnr:.4f}"
    assert [row.team for row in rows] == ["better", "worse"]


def test_the_best_counts_not_the_last(made: Made, clock: Clock) -> None:
    team = made.team(made.contest())
    for sse in (30, 10, 20):
        made.score(team, sse)
        clock.forward(days=1)
    (row,) = board.rows(team.contest.rounds.get(number=1))
    assert (row.sse, row.hand_ins) == (10, 3)


def test_a_tie_at_the_last_place_that_advances(made: Made, clock: Clock) -> None:
    contest = made.contest(advance=2)
    for name in ("a", "b", "c"):
        made.score(made.team(contest, name=name * 2), 100)
        clock.forward(seconds=1)
    assert [row.advances for row in board.rows(contest.rounds.get(number=1))] == [True, True, False]


def test_a_perfect_copy_is_first_and_infinite(made: Made) -> None:
    round_ = made.round()
    made.score(made.team(round_.contest), 0)
    assert board.rows(round_)[0].psnr == float("inf")
    assert Flag.objects.get(kind="perfect").blocking


def test_a_voided_best_leaves_the_next_best(made: Made, clock: Clock) -> None:
    team = made.team(made.contest())
    round_ = team.contest.rounds.get(number=1)
    worse = made.score(team, 30)
    clock.forward(days=1)
    best = made.score(team, 10)
    organise.void(made.organiser, best, "It was the truth itself")
    assert (best.state, best.slot, best.reason) == ("voided", "spent", "It was the truth itself")
    assert [(row.sse, row.hand_ins) for row in board.rows(round_)] == [(30, 1)]
    with refused("in another state by now"):
        organise.void(made.organiser, best, "Again")
    organise.reinstate(made.organiser, best, "It was not")
    assert [row.sse for row in board.rows(round_)] == [10]
    with refused("in another state by now"):
        organise.reinstate(made.organiser, worse, "It counts")
    assert Outbox.objects.filter(kind="decision").count() == 2


def test_a_renamed_team_keeps_its_place(made: Made) -> None:
    team = made.team(made.contest(), name="Before")
    made.score(team, 30)
    teams.rename(team.captain, team, "After")
    assert places(team.contest.rounds.get(number=1)) == [(1, "After")]


def test_a_frozen_board_stands_still_and_a_hidden_one_is_empty(made: Made, clock: Clock) -> None:
    round_ = made.round()
    person = made.user()
    made.score(made.team(round_.contest), 30)
    clock.forward(minutes=1)
    organise.set_board(made.organiser, round_, "frozen", "Last days")
    clock.forward(minutes=1)
    made.score(made.team(round_.contest), 10)
    assert [row.sse for row in board.shown(round_, person)] == [30]
    assert [row.sse for row in board.shown(round_, None)] == [30]
    assert [row.sse for row in board.shown(round_, made.organiser)] == [10, 30]
    organise.set_board(made.organiser, round_, "hidden", "Last hours")
    assert (board.shown(round_, person), len(board.shown(round_, made.organiser))) == ([], 2)
    organise.set_board(made.organiser, round_, "live", "Over")
    assert [row.sse for row in board.shown(round_, person)] == [10, 30]
    with refused("live, frozen or hidden", 422):
        organise.set_board(made.organiser, round_, "gone", "Try")


def test_the_boards_version_changes_with_the_board(made: Made) -> None:
    round_ = made.round()
    before = board.version(round_)
    assert board.version(round_) == before
    submission = made.score(made.team(round_.contest), 30)
    scored = board.version(round_)
    organise.void(made.organiser, submission, "A reason")
    assert len({before, scored, board.version(round_)}) == 3


def test_ranks_of_more_than_ten_thousand_hand_ins(made: Made) -> None:
    from subpixel.site.models import Upload

    round_ = made.round()
    entered = [made.team(round_.contest) for _ in range(3)]
    at, user = round_.opens, entered[0].captain
    common: dict[str, Any] = {"round": round_, "user": user}
    uploads = Upload.objects.bulk_create(
        Upload(
            team=entered[0], name="-", size=1, offset=1, state="consumed", created_at=at, moved_at=at, expires_at=at,
            **common,
        )
        for _ in range(10_200)
    )  # fmt: skip
    handed = Submission.objects.bulk_create(
        Submission(
            team=entered[number % 3], upload=upload, key=str(number), sha256="0" * 64, size=1,
            accepted_at=at + timedelta(seconds=number), day=at.date(), moved_at=at, state="scored", slot="spent",
            slot_no=number % 30_000, **common,
        )
        for number, upload in enumerate(uploads)
    )  # fmt: skip
    Evaluation.objects.bulk_create(
        Evaluation(
            submission=one, truth=round_.truth, scorer=round_.scorer, status="ok", n=SAMPLES, created_at=at,
            sse=1000 + (number * 7919) % 10_200,
        )
        for number, one in enumerate(handed)
    )  # fmt: skip
    rows = board.rows(round_)
    best = [min(1000 + (n * 7919) % 10_200 for n in range(10_200) if n % 3 == which) for which in range(3)]
    assert sorted(best) == [row.sse for row in rows]
    assert [row.hand_ins for row in rows] == [3400] * 3


@pytest.fixture
def closed(made: Made, clock: Clock) -> Contest:
    """Four teams named a to d with ranks 1 to 4 in a closed round from which two go on."""
    contest = made.contest(advance=2)
    for number, name in enumerate(("aa", "bb", "cc", "dd")):
        made.score(made.team(contest, name=name), 100 + number)
    clock.moment = contest.rounds.get(number=1).end
    return contest


def advancing(contest: Contest) -> set[str]:
    return set(Advancement.objects.filter(round__contest=contest).values_list("team__name", flat=True))


def test_final_ranks_need_a_closed_round_without_loose_ends(made: Made, clock: Clock) -> None:
    round_ = made.round()
    team = made.team(round_.contest)
    waiting = made.submission(team)
    with refused("still open"):
        finals.finalise(made.organiser, round_, "Over")
    clock.moment = round_.end
    with refused("1 hand-ins are not scored yet"):
        finals.finalise(made.organiser, round_, "Over")
    made.scored(waiting, 0)
    with refused("1 flags must be decided first"):
        finals.finalise(made.organiser, round_, "Over")
    from subpixel.site.acts import flags

    flags.decide(made.organiser, Flag.objects.get(), False, "A test entry")
    with refused("Only the contest's organisers", 403):
        finals.finalise(team.captain, round_, "Over")
    with refused("Give a reason", 422):
        finals.finalise(made.organiser, round_, "")
    snapshot = finals.finalise(made.organiser, round_, "Over")
    assert (snapshot.version, [row["rank"] for row in snapshot.rows]) == (1, [1])
    with refused("final already"):
        finals.finalise(made.organiser, round_, "Over")
    with refused("results of this round are final"):
        made.submission(team)
    with refused("its window cannot be changed"):
        organise.change_round(made.organiser, round_, "More time", end=clock() + timedelta(hours=1))


def test_the_first_two_advance_and_are_told(made: Made, closed: Contest, clock: Clock) -> None:
    first, final = closed.rounds.all()
    finals.finalise(made.organiser, first, "Over")
    assert advancing(closed) == {"aa", "bb"}
    assert Outbox.objects.filter(kind="advanced").count() == 2
    clock.moment = final.opens
    by_name = {team.name: team for team in closed.teams.all()}
    assert made.submission(by_name["aa"], final).round == final
    with refused("did not advance"):
        made.submission(by_name["cc"], final)


def test_a_sanction_writes_the_next_version_and_the_next_team_moves_up(
    made: Made, closed: Contest, clock: Clock
) -> None:
    first, final = closed.rounds.all()
    snapshot = finals.finalise(made.organiser, first, "Over")
    before = (snapshot.rows, snapshot.sha256)
    team = closed.teams.get(name="aa")
    clock.moment = final.opens
    made.score(team, 5, final)
    sanction = finals.sanction(made.organiser, team, "rank_cancelled", first, "No source")
    assert advancing(closed) == {"bb", "cc"}
    assert places(first) == [(1, "bb"), (2, "cc"), (3, "dd")]
    assert places(final) == [], "who did not advance has no rank in the final"
    snapshot.refresh_from_db()
    assert (snapshot.rows, snapshot.sha256) == before
    assert list(Snapshot.objects.order_by("version").values_list("version", "reason")) == [
        (1, "Over"),
        (2, "No source"),
    ]
    assert [row.team for row in board.shown(first, None)] == ["bb", "cc", "dd"]
    with refused("decided against the team already"):
        finals.sanction(made.organiser, team, "rank_cancelled", first, "Again")
    finals.lift(made.organiser, sanction, "The source came")
    assert advancing(closed) == {"aa", "bb"}
    assert places(final) == [(1, "aa")]
    with refused("lifted already"):
        finals.lift(made.organiser, sanction, "Again")
    assert Snapshot.objects.count() == 3
    assert finals.verify() == []


def test_a_disqualified_team_is_out_of_every_round(made: Made, closed: Contest) -> None:
    first, _ = closed.rounds.all()
    team = closed.teams.get(name="bb")
    finals.finalise(made.organiser, first, "Over")
    with refused("is disqualified from the contest, or its rank", 422):
        finals.sanction(made.organiser, team, "disqualified", first, "Two accounts")
    sanction = finals.sanction(made.organiser, team, "disqualified", None, "Two accounts")
    team.refresh_from_db()
    assert (team.state, advancing(closed)) == ("disqualified", {"aa", "cc"})
    finals.lift(made.organiser, sanction, "It was a brother")
    assert advancing(closed) == {"aa", "bb"}


def test_lifting_a_sanction_revives_no_disbanded_team(made: Made) -> None:
    team = made.team(made.contest())
    teams.disband(team.captain, team)
    finals.lift(
        made.organiser, finals.sanction(made.organiser, team, "disqualified", None, "Two accounts"), "A brother"
    )
    team.refresh_from_db()
    assert team.state == "withdrawn"


def test_a_later_round_that_is_final_follows_an_earlier_one(made: Made, closed: Contest, clock: Clock) -> None:
    first, final = closed.rounds.all()
    finals.finalise(made.organiser, first, "Over")
    clock.moment = final.opens
    for name, sse in (("aa", 5), ("bb", 6)):
        made.score(closed.teams.get(name=name), sse, final)
    clock.moment = final.end
    finals.finalise(made.organiser, final, "Over")
    finals.sanction(made.organiser, closed.teams.get(name="aa"), "rank_cancelled", first, "No source")
    rows = board.shown(final, None)
    assert [(row.rank, row.team) for row in rows] == [(1, "bb")]
    assert final.snapshots.count() == 2


def test_a_void_after_the_end_writes_the_next_version_too(made: Made, closed: Contest) -> None:
    first = closed.rounds.get(number=1)
    finals.finalise(made.organiser, first, "Over")
    organise.void(made.organiser, Submission.objects.get(team__name="aa"), "It was the truth itself")
    assert advancing(closed) == {"bb", "cc"}
    assert Snapshot.objects.latest("version").reason == "It was the truth itself"
    organise.void(made.organiser, Submission.objects.get(team__name="dd"), "Also")
    assert Snapshot.objects.count() == 3


def test_what_changes_no_rank_writes_no_version(made: Made, closed: Contest) -> None:
    absent = teams.exhibit(made.organiser, closed, "Absent")
    finals.finalise(made.organiser, closed.rounds.get(number=1), "Over")
    finals.sanction(made.organiser, absent, "disqualified", None, "Never came")
    assert Snapshot.objects.count() == 1


def test_a_failed_review_cancels_the_rank(made: Made, closed: Contest, clock: Clock) -> None:
    first = closed.rounds.get(number=1)
    finals.finalise(made.organiser, first, "Over")
    team = closed.teams.get(name="aa")
    review = reviews.ask(made.organiser, first, team, clock() + timedelta(days=3))
    upload = made.upload(team, first, purpose="review")
    reviews.hand_over(team.captain, review, upload, "How to train it")
    reviews.take(made.organiser, review)
    reviews.judge(made.organiser, review, False, "Weights of another data set")
    assert (review.state, advancing(closed)) == ("failed", {"bb", "cc"})
    assert team.sanctions.get().reason == "Weights of another data set"
