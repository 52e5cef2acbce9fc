"""Handing in: windows, days, slots, attempts, repeated requests, taking back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made import Clock, Made, invalid, moment, refused
from subpixel.site.acts import handin, organise, scoring, teams
from subpixel.site.acts.handin import accept, cancel, quota
from subpixel.site.models import Advancement, Submission, Team

pytestmark = pytest.mark.django_db
CHINA = ZoneInfo("Asia/Shanghai")


def numbers(team: Team, round_: Any, at: datetime) -> tuple[int, int]:
    state = quota(team, round_, at)
    return state.valid_left, state.attempts_left


def test_a_hand_in_holds_a_slot_and_a_job_waits(made: Made, clock: Clock) -> None:
    round_ = made.round()
    team = made.team(round_.contest)
    assert numbers(team, round_, clock()) == (1, 10)
    submission = made.submission(team)
    assert (submission.state, submission.slot, submission.slot_no) == ("queued", "held", 1)
    assert (submission.accepted_at, submission.day) == (clock(), clock().astimezone(CHINA).date())
    assert submission.evaluations.get().job.state == "ready"
    assert numbers(team, round_, clock()) == (0, 9)
    with refused("valid hand-ins of this day are used up or being scored", 429):
        made.submission(team)


def test_the_same_key_again_is_the_same_hand_in(made: Made) -> None:
    round_ = made.round()
    team = made.team(round_.contest, made.user("ann"), made.user("bob"))
    upload, other = made.upload(team), made.upload(team)
    first = accept(team.captain, upload, "one")
    assert accept(team.captain, upload, "one") == first, "a double click"
    organise.pause(made.organiser, round_.contest, "Power cut")
    assert accept(team.memberships.last().user, upload, "one") == first, "a request that was sent again, later"
    with refused("This key was used for another hand-in"):
        accept(team.captain, other, "one")
    with refused("This file was handed in already"):
        accept(team.captain, upload, "two")
    assert Submission.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x" * 81, "a\nb"])
def test_a_key_is_a_short_line(made: Made, key: str) -> None:
    upload = made.upload(made.team(made.contest()))
    with refused("a key of 1 to 80 characters", 422):
        accept(upload.user, upload, key)


def test_only_members_hand_in_what_is_complete(made: Made) -> None:
    round_ = made.round()
    team, other = made.team(round_.contest), made.team(round_.contest)
    upload = made.upload(team)
    for stranger in (other.captain, made.user(), made.organiser):
        with refused("Only members of the team", 403):
            accept(stranger, upload, "mine")
    for fields in ({"state": "receiving"}, {"state": "aborted"}, {"purpose": "review"}, {"sha256": ""}):
        bad = made.upload(team, **fields)
        with refused("This upload is not complete"):
            accept(team.captain, bad, "mine")
    assert not Submission.objects.exists()


@pytest.mark.parametrize(
    ("offset", "sentence"),
    [(-1, "has not begun yet"), (0, ""), (1, "")],
    ids=["a microsecond early", "at the opening", "a microsecond later"],
)
def test_the_round_opens_to_the_microsecond(made: Made, clock: Clock, offset: int, sentence: str) -> None:
    round_ = made.round()
    team = made.team(round_.contest)
    clock.moment = round_.opens + timedelta(microseconds=offset)
    assert quota(team, round_, clock()).why_not.endswith(f"{sentence}." if sentence else "")
    if sentence:
        with refused(sentence):
            made.submission(team)
    else:
        assert made.submission(team).accepted_at == clock()


def test_2359_is_open_until_midnight_and_not_a_moment_longer(made: Made, clock: Clock) -> None:
    round_ = made.round(
        zone="Asia/Shanghai", closes="2030-05-20T23:59:00+08:00", final_opens="2030-05-22T00:01:00+08:00"
    )
    one, two = made.team(round_.contest), made.team(round_.contest)
    clock.moment = moment("2030-05-20T23:59:59.999999+08:00")
    assert str(made.submission(one).day) == "2030-05-20"
    assert quota(two, round_, clock()).next_day_at is None
    straddling = made.upload(two)
    clock.forward(microseconds=1)
    with refused("This round is over"):
        accept(two.captain, straddling, "uploaded across the close")
    clock.forward(seconds=-30)
    assert accept(two.captain, straddling, "the server's clock was set back").state == "queued"


def test_what_was_accepted_in_time_is_scored_after_the_close(made: Made, clock: Clock) -> None:
    round_ = made.round()
    team = made.team(round_.contest)
    clock.moment = round_.end - timedelta(microseconds=1)
    submission = made.submission(team)
    day = submission.day
    clock.forward(hours=30)
    assert made.scored(submission, 5).state == "scored"
    assert (submission.day, submission.slot) == (day, "spent")


def test_midnight_of_the_contests_zone_begins_a_day(made: Made, clock: Clock) -> None:
    round_ = made.round()
    team = made.team(round_.contest)
    clock.moment = moment("2030-05-16T23:59:59.999999+08:00")
    late = made.submission(team)
    assert quota(team, round_, clock()).next_day_at == moment("2030-05-17T00:00:00+08:00")
    clock.forward(microseconds=1)
    early = made.submission(team)
    assert (str(late.day), str(early.day)) == ("2030-05-16", "2030-05-17")
    made.scored(late, 5)
    assert late.day < early.day, "scored after midnight, charged to its own day"
    assert numbers(team, round_, clock()) == (0, 9)
    assert numbers(team, round_, late.accepted_at) == (0, 9)


def test_a_day_that_changes_to_summer_time_is_one_day(made: Made, clock: Clock) -> None:
    clock.moment = moment("2030-03-30T12:00:00+01:00")
    round_ = made.round(zone="Europe/Berlin")
    team = made.team(round_.contest)
    clock.moment = moment("2030-03-31T00:00:00+01:00")
    made.submission(team)
    assert quota(team, round_, clock()).next_day_at == moment("2030-04-01T00:00:00+02:00")
    clock.forward(hours=22, minutes=59)
    with refused("used up or being scored", 429):
        made.submission(team)
    clock.forward(minutes=1)
    assert str(made.submission(team).day) == "2030-04-01", "after 23 hours"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.datetimes(datetime(2030, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC",
                          "America/Asuncion", "Pacific/Kiritimati", "Africa/Cairo"]),
)  # fmt: skip
def test_the_next_day_begins_where_the_date_changes(exam: tuple[Team, Any], at: datetime, zone: str) -> None:
    team, round_ = exam
    round_.contest.zone, round_.opens, round_.end = zone, at - timedelta(days=1), at + timedelta(days=9)
    state = quota(team, round_, at)
    assert state.next_day_at is not None
    assert state.day == at.astimezone(ZoneInfo(zone)).date()
    begins = state.next_day_at.astimezone(UTC)
    assert begins.astimezone(ZoneInfo(zone)).date() == state.day + timedelta(days=1)
    assert (begins - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date() == state.day
    assert timedelta() < begins - at <= timedelta(hours=25)


@pytest.fixture
def exam(made: Made, clock: Clock) -> tuple[Team, Any]:  # noqa: ARG001
    round_ = made.round()
    return made.team(round_.contest), round_


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_quota_is_what_is_left_of_any_history(exam: tuple[Team, Any], made: Made, data: st.DataObject) -> None:
    """Against a count by hand, over moments near the edges of days and all ends that a hand-in can meet."""
    from django.db import transaction

    team, round_ = exam
    round_.valid_per_day, round_.attempts_per_day = data.draw(st.sampled_from([(1, 1), (1, 3), (2, 3), (3, 4)]))
    edge = moment("2030-05-17T00:00:00+08:00")
    near = st.sampled_from([-86400.0, -1e-6, 0.0, 1e-6, 86399.999999, 86400.0]).map(
        lambda s: edge + timedelta(seconds=s)
    )
    ends = st.sampled_from(["queued", "scored", "invalid", "cancelled", "fault"])
    with transaction.atomic():
        round_.save()
        days: dict[Any, list[str]] = {}
        for at, end in data.draw(st.lists(st.tuples(near, ends), max_size=8)):
            day = at.astimezone(CHINA).date()
            so_far = days.setdefault(day, [])
            valid = sum(state in ("queued", "scored") for state in so_far)
            counted = sum(state != "fault" for state in so_far)
            state = quota(team, round_, at)
            left = (max(0, round_.valid_per_day - valid), max(0, round_.attempts_per_day - counted))
            assert (state.valid_left, state.attempts_left, state.day) == (*left, day)
            assert bool(state.why_not) == (not all(left))
            if all(left):
                _put(made, team, round_, at, end)
                so_far.append(end)
        transaction.set_rollback(True)


def _put(made: Made, team: Team, round_: Any, at: datetime, state: str) -> None:
    """A hand-in that was accepted at a moment and is in a state."""
    slot = {"queued": "held", "scored": "spent"}.get(state, "free")
    day = at.astimezone(CHINA).date()
    Submission.objects.create(
        team=team, round=round_, user=team.captain, upload=made.upload(team), key=f"{Submission.objects.count()}",
        sha256="0" * 64, size=1, accepted_at=at, day=day, moved_at=at, state=state, slot=slot,
        slot_no=handin.free_slot(team, round_, day), counted=state != "fault",
    )  # fmt: skip


def test_an_invalid_hand_in_gives_its_slot_back_and_costs_an_attempt(made: Made) -> None:
    round_ = made.round(attempts_per_day=2)
    team = made.team(round_.contest)
    for left in (1, 0):
        submission = made.submission(team)
        lease = scoring.claim("worker")
        assert lease is not None
        assert scoring.finish(lease, invalid(lease))
        submission.refresh_from_db()
        assert (submission.state, submission.slot, submission.reason) == ("invalid", "free", "not_tar")
        assert numbers(team, round_, submission.accepted_at) == (1, left)
    with refused("Your team's attempts of this day are used up", 429):
        made.submission(team)


def test_the_eleventh_invalid_hand_in_is_refused(made: Made) -> None:
    team = made.team(made.contest())
    for _ in range(10):
        made.submission(team)
        lease = scoring.claim("worker")
        assert lease is not None
        scoring.finish(lease, invalid(lease))
    with refused("attempts of this day are used up", 429):
        made.submission(team)


def test_what_still_waits_can_be_taken_back(made: Made, clock: Clock) -> None:
    round_ = made.round()
    team = made.team(round_.contest, made.user("ann"), made.user("bob"))
    submission = made.submission(team)
    with refused("Only members of the team", 403):
        cancel(made.user(), submission)
    cancel(team.memberships.last().user, submission)
    assert (submission.state, submission.slot, submission.counted) == ("cancelled", "free", True)
    assert numbers(team, round_, clock()) == (1, 9)
    assert scoring.claim("worker") is None
    with refused("only a hand-in that still waits"):
        cancel(team.captain, submission)


@pytest.mark.parametrize("state", ["checking", "scoring", "scored", "invalid", "fault", "voided"])
def test_what_is_being_checked_or_done_cannot_be_taken_back(made: Made, state: str) -> None:
    submission = made.submission(made.team(made.contest()))
    slot = {"checking": "held", "scoring": "held", "scored": "spent", "voided": "spent"}.get(state, "free")
    Submission.objects.update(state=state, slot=slot)
    with refused("only a hand-in that still waits"):
        cancel(submission.user, submission)


def test_a_paused_contest_takes_no_hand_ins(made: Made) -> None:
    round_ = made.round()
    team = made.team(round_.contest)
    organise.pause(made.organiser, round_.contest, "Power cut")
    with refused("The organisers have paused the contest"):
        made.submission(team)
    organise.resume(made.organiser, round_.contest, "On again")
    assert made.submission(team).state == "queued"


def test_the_final_is_for_teams_that_advanced(made: Made, clock: Clock) -> None:
    contest = made.contest()
    final = contest.rounds.get(number=2)
    team = made.team(contest)
    clock.moment = final.opens
    with refused("Your team did not advance"):
        made.submission(team, final)
    organise.change_round(made.organiser, contest.rounds.get(number=1), "All go on", advance=0)
    assert made.submission(team, final).round == final
    assert not Advancement.objects.exists()


@pytest.mark.parametrize("state", ["withdrawn", "disqualified"])
def test_a_team_that_is_out_hands_in_nothing(made: Made, state: str) -> None:
    team = made.team(made.contest())
    Team.objects.update(state=state)
    with refused("does not take part any more"):
        made.submission(team)


def test_there_must_be_data_and_members(made: Made) -> None:
    contest = made.contest(data=False)
    with refused("The data of this round are not there yet"):
        made.submission(made.team(contest))
    contest = made.contest()
    contest.rules_text = contest.rules_text.replace("[teams]", "[teams]\nsmallest = 2")
    contest.save()
    with refused("A team needs at least 2 members"):
        made.submission(made.team(contest))


def test_quotas_are_the_teams_not_the_members(made: Made) -> None:
    contest = made.contest()
    team = made.team(contest, made.user("ann"), made.user("bob"))
    made.submission(team)
    upload = made.upload(team)
    with refused("used up or being scored", 429):
        accept(team.memberships.last().user, upload, "second")
    new = made.user("new")
    teams.join(new, teams.invite(team.captain, team, new.email))
    with refused("used up or being scored", 429):
        accept(new, upload, "third")


def test_the_baseline_is_handed_in_by_organisers_at_any_time(made: Made, clock: Clock) -> None:
    round_ = made.round()
    baseline = teams.exhibit(made.organiser, round_.contest, "Baseline")
    clock.moment = round_.opens - timedelta(days=1)
    upload = made.upload(baseline)
    with refused("Only members of the team", 403):
        accept(made.user(), upload, "not yours")
    assert accept(made.organiser, upload, "baseline").state == "queued"


def test_two_valid_hand_ins_a_day_have_two_slots(made: Made, clock: Clock) -> None:
    round_ = made.round(valid_per_day=2)
    team = made.team(round_.contest)
    first, second = made.submission(team), made.submission(team)
    assert (first.slot_no, second.slot_no) == (1, 2)
    cancel(team.captain, first)
    assert made.submission(team).slot_no == 1
    with refused("used up", 429):
        made.submission(team)
    organise.change_round(made.organiser, round_, "Fewer", valid_per_day=1)
    assert numbers(team, round_, clock()) == (0, 7), "not less than none"
