"""Compute: the right to ask for more, asking once, deciding once, and a ledger that only grows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from made import Clock, Made, invalid, refused
from subpixel.site.acts import grants, handin, organise, scoring, teams
from subpixel.site.models import GrantApplication, GrantEntitlement, HourLedger, Outbox, Submission, Team

pytestmark = pytest.mark.django_db


@pytest.fixture
def team(made: Made, clock: Clock) -> Team:  # noqa: ARG001
    return made.team(made.contest(valid_per_day=5))


def pairs() -> list[tuple[int, int]]:
    """Errors of the hand-ins that gave a right, and of those before them."""
    rights = GrantEntitlement.objects.order_by("submission__accepted_at", "submission_id")
    return [(one.submission.evaluations.get().sse, one.previous.evaluations.get().sse) for one in rights]


@pytest.mark.parametrize(
    ("scores", "rights"),
    [
        ([30], []),
        ([30, 29], [(29, 30)]),
        ([30, 30], []),
        ([30, 31], []),
        ([30, 40, 35], [(35, 40)]),
        ([30, 20, 10, 10, 5], [(20, 30), (10, 20), (5, 10)]),
        ([0, 0], []),
    ],
)
def test_who_scores_above_the_one_before_may_ask(
    made: Made, team: Team, scores: list[int], rights: list[tuple[int, int]]
) -> None:
    for sse in scores:
        made.score(team, sse)
    assert pairs() == rights


def test_the_order_is_that_of_acceptance_not_of_scoring(made: Made, team: Team) -> None:
    first, second, third = (made.submission(team) for _ in range(3))
    leases = {}
    while lease := scoring.claim("worker"):
        leases[lease.submission] = lease
    finish(leases[third.pk], 10)
    finish(leases[first.pk], 30)
    assert pairs() == [], "the second is not scored yet"
    finish(leases[second.pk], 20)
    assert pairs() == [(20, 30), (10, 20)]


def finish(lease: Any, sse: int) -> None:
    from made import verdict

    assert scoring.finish(lease, verdict(lease, sse))


@pytest.mark.parametrize("end", ["invalid", "cancelled", "fault"])
def test_one_without_a_score_is_passed_over(made: Made, team: Team, clock: Clock, end: str) -> None:
    made.score(team, 30)
    between, last = made.submission(team), made.submission(team)
    if end == "cancelled":
        handin.cancel(team.captain, between)
        made.scored(last, 20)
    else:
        leases = [scoring.claim("worker"), scoring.claim("worker")]
        assert leases[0]
        assert leases[1]
        finish(leases[1], 20)
        assert pairs() == []
        if end == "invalid":
            scoring.finish(leases[0], invalid(leases[0]))
        lease = leases[0]
        while end == "fault" and lease:
            scoring.fail(lease, "Disk full.")
            clock.forward(minutes=2)
            lease = scoring.claim("worker")
    between.refresh_from_db()
    assert between.state == end
    assert pairs() == [(20, 30)]


def test_rounds_do_not_compare(made: Made, team: Team, clock: Clock) -> None:
    from subpixel.site.acts import finals

    first, final = team.contest.rounds.all()
    made.score(team, 30)
    clock.moment = first.end
    finals.finalise(made.organiser, first, "Over")
    clock.moment = final.opens
    made.score(team, 10, final)
    assert pairs() == []


def test_a_grant_from_asking_to_hours(made: Made, team: Team) -> None:
    made.score(team, 30), made.score(team, 20)
    right = GrantEntitlement.objects.get()
    with refused("Only members of the team", 403):
        grants.apply(made.user(), right, "Training")
    with refused("Say what the hours are for", 422):
        grants.apply(team.captain, right, " ")
    application = grants.apply(team.captain, right, "Training")
    assert (application.number, application.hours, application.state) == (1, 50, "pending")
    assert grants.balance(team) == 30
    with refused("applied for these hours already"):
        grants.apply(team.captain, right, "Training")
    with refused("Only the contest's organisers", 403):
        grants.decide(team.captain, application, True, "")
    grants.decide(made.organiser, application, True, "Well done")
    with refused("decided already"):
        grants.decide(made.organiser, application, False, "")
    assert grants.balance(team) == 80
    assert "approved. Well done" in Outbox.objects.get(kind="grant").body


def test_a_declined_application_gives_no_hours(made: Made, team: Team) -> None:
    made.score(team, 30), made.score(team, 20)
    application = grants.apply(team.captain, GrantEntitlement.objects.get(), "Training")
    grants.decide(made.organiser, application, False, "No machine is free")
    assert (application.state, grants.balance(team)) == ("declined", 30)


def test_a_fourth_application_in_the_preliminary_is_refused(made: Made, team: Team, clock: Clock) -> None:
    for sse in (50, 40, 30, 20, 10):
        made.score(team, sse)
    rights = list(GrantEntitlement.objects.order_by("pk"))
    applications = [grants.apply(team.captain, right, "Training") for right in rights[:3]]
    grants.decide(made.organiser, applications[0], False, "")
    with refused("at most 3 times in this round", 429):
        grants.apply(team.captain, rights[3], "Training")
    clock.forward(days=1)
    organise.change_round(made.organiser, rights[3].round, "Unlimited", grants=None)
    rights[3].refresh_from_db()
    assert grants.apply(team.captain, rights[3], "Training").number == 4


def test_a_voided_hand_in_gives_no_right(made: Made, team: Team) -> None:
    made.score(team, 30)
    organise.void(made.organiser, made.score(team, 20), "The truth itself")
    with refused("does not count any more"):
        grants.apply(team.captain, GrantEntitlement.objects.get(), "Training")
    assert not GrantApplication.objects.exists()


def test_a_new_truth_gives_no_right_a_second_time(made: Made, team: Team) -> None:
    made.score(team, 30), made.score(team, 20)
    round_ = team.contest.rounds.get(number=1)
    truth = made.data(round_, "second")
    organise.rescore(made.organiser, round_, truth, "A clip was wrong")
    for sse in (10, 40):
        lease = scoring.claim("worker")
        finish(lease, sse)
    organise.switch_truth(made.organiser, round_, truth, "All have a score")
    assert GrantEntitlement.objects.count() == 1
    made.scored(made.submission(team), 39)
    assert GrantEntitlement.objects.count() == 2, "39 is better than 40 by the same truth"
    assert Submission.objects.count() == 3


def test_use_and_corrections_are_booked_with_a_note(made: Made, team: Team) -> None:
    grants.book(made.organiser, team, Decimal("-12.5"), "Week 1")
    grants.book(made.organiser, team, Decimal("2.25"), "Machine failed")
    assert grants.balance(team) == Decimal("19.75")
    kinds = HourLedger.objects.order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["base", "use", "correction"]
    with refused("Give a reason", 422):
        grants.book(made.organiser, team, Decimal(1), "")
    with refused("other than 0", 422):
        grants.book(made.organiser, team, Decimal("0.001"), "Rounding")
    with refused("Only the contest's organisers", 403):
        grants.book(team.captain, team, Decimal(100), "Mine")


def test_a_team_for_show_has_no_hours(made: Made) -> None:
    assert grants.balance(teams.exhibit(made.organiser, made.contest(), "Baseline")) == 0
