"""What organisers do: rules into contests, the clock, truths, flags, reviews, news; nobody else does it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from made import Clock, Made, moment, refused
from subpixel.challenge import rules
from subpixel.site import acts, audit
from subpixel.site import clock as real
from subpixel.site.acts import contests, finals, flags, grants, organise, reviews, teams
from subpixel.site.models import AuditEvent, CodeReview, DataFile, Flag, Outbox, Team

pytestmark = pytest.mark.django_db


def test_a_contest_of_the_default_rules(made: Made) -> None:
    contest = contests.create(made.organiser, "2020", rules.read_text())
    first, final = contest.rounds.all()
    window = ("2020-09-01T00:01:00+08:00", "2020-09-15T00:00:00+08:00")
    assert (first.opens, first.end) == tuple(map(moment, window))
    assert (contest.teams_end, contest.zone) == (moment("2020-09-01T00:00:00+08:00"), "Asia/Shanghai")
    assert [(one.name, one.advance, one.grants, one.valid_per_day) for one in (first, final)] == [
        ("preliminary", 10, 3, 1), ("final", 0, None, 1)
    ]  # fmt: skip
    with refused("a contest of this short name", 422):
        contests.create(made.organiser, "2020", rules.read_text())
    with refused("letters, digits, - and _", 422):
        contests.create(made.organiser, "../etc", rules.read_text())
    with refused("unknown key 'colour'", 422):
        contests.create(made.organiser, "other", "colour = 1\n" + rules.read_text())


def every_act(made: Made) -> dict[str, Any]:
    """Each act of organisers, on things that are there."""
    round_ = made.round()
    team = made.team(round_.contest)
    submission = made.score(team, 0)
    flag = Flag.objects.get()
    truth = made.data(round_, "second")
    review = reviews.ask(made.organiser, round_, team, real.now() + timedelta(days=1))
    return {
        "contests.create": lambda by: contests.create(by, "mine", made.rules()),
        "teams.exhibit": lambda by: teams.exhibit(by, round_.contest, "Show"),
        "organise.pause": lambda by: organise.pause(by, round_.contest, "Why"),
        "organise.resume": lambda by: organise.resume(by, round_.contest, "Why"),
        "organise.change_contest": lambda by: organise.change_contest(by, round_.contest, "Why", name="Other"),
        "organise.change_round": lambda by: organise.change_round(by, round_, "Why", decimals=2),
        "organise.set_board": lambda by: organise.set_board(by, round_, "frozen", "Why"),
        "organise.void": lambda by: organise.void(by, submission, "Why"),
        "organise.reinstate": lambda by: organise.reinstate(by, submission, "Why"),
        "organise.add_truth": lambda by: organise.add_truth(by, round_, "clips", "third"),
        "organise.rescore": lambda by: organise.rescore(by, round_, truth, "Why"),
        "organise.announce": lambda by: organise.announce(by, round_.contest, "News"),
        "flags.decide": lambda by: flags.decide(by, flag, True, "Why"),
        "reviews.ask": lambda by: reviews.ask(by, round_.contest.rounds.last(), team, real.now() + timedelta(1)),
        "reviews.waive": lambda by: reviews.waive(by, review, "Why"),
        "grants.book": lambda by: grants.book(by, team, Decimal(1), "Why"),
        "finals.sanction": lambda by: finals.sanction(by, team, "disqualified", None, "Why"),
        "finals.lift": lambda by: finals.lift(by, team.sanctions.get(), "Why"),
    }


def test_every_act_of_organisers_is_theirs_alone_and_leaves_an_event(made: Made) -> None:
    every = every_act(made)
    member, former = Team.objects.first().captain, made.user(staff=True, is_active=False)
    made.team(made.contest())
    for name, act in every.items():
        for somebody in (member, former) if name != "finals.lift" else ():
            before = AuditEvent.objects.count()
            with refused("Only the contest's organisers", 403):
                act(somebody)
            assert AuditEvent.objects.count() == before
        act(made.organiser)
        event = AuditEvent.objects.filter(actor=made.organiser).latest("pk")
        assert event.after or event.reason, name
        assert AuditEvent.objects.count() > before, f"{name} left no event"
    assert audit.verify() == []


# Acts of organisers that need more than `every_act` has, and the file that tests them.
ELSEWHERE = {
    "finals.finalise": "test_ranks", "finals.punish": "test_ranks", "finals.renew": "test_ranks",
    "grants.decide": "test_grants", "organise.requeue": "test_scoring", "organise.switch_truth": "test_scoring",
    "reviews.take": "below", "reviews.judge": "below", "publish.publish": "test_publish",
    "publish.enter_baseline": "test_publish", "privacy.erase": "test_operations",
}  # fmt: skip


def test_no_act_of_organisers_is_forgotten(made: Made) -> None:
    found = {
        f"{module.name}.{name}"
        for module in pkgutil.iter_modules(acts.__path__)
        for name, function in vars(importlib.import_module(f"{acts.__name__}.{module.name}")).items()
        if inspect.isfunction(function) and function.__module__.endswith(module.name) and not name.startswith("_")
        and next(iter(inspect.signature(function).parameters), "") == "by"
    }  # fmt: skip
    assert found == {*every_act(made), *ELSEWHERE}


def test_moving_rounds(made: Made, clock: Clock) -> None:
    first, final = made.contest().rounds.all()
    now, organiser = clock(), made.organiser
    organise.change_round(organiser, first, "Power cut", end=now)
    organise.change_round(organiser, final, "Earlier", opens=now, end=now + timedelta(days=1))
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.reason, event.after["opens"][:19]) == ("round.change", "Earlier", "2030-05-15T12:00:00")
    for fields, sentence in (
        ({"opens": now - timedelta(seconds=1)}, "Two rounds would be open at the same time"),
        ({"end": now}, "A window ends after it opens"),
        ({"end": now.replace(tzinfo=None)}, "both moments have a zone"),
        ({"valid_per_day": 0}, "at least one valid hand-in"),
        ({"valid_per_day": 11}, "as many attempts"),
        ({"decimals": 11}, "at most 10 decimals"),
        ({"advance": -1}, "must not be negative"),
        ({"scorer": "mine"}, "scorer cannot be changed here"),
        ({"finalised_at": None, "truth": None}, "finalised_at, truth cannot be changed here"),
    ):
        with refused(sentence, 422):
            organise.change_round(organiser, final, "Try", **fields)
    with refused("retire cannot be changed here", 422):
        organise.change_contest(organiser, first.contest, "Try", retire=1)
    with refused("A window ends after it opens", 422):
        organise.change_contest(organiser, first.contest, "Try", teams_end=first.contest.teams_open)


def test_the_same_file_of_two_teams_is_looked_at(made: Made) -> None:
    contest = made.contest()
    one, two = made.team(contest), made.team(contest)
    made.scored(made.submission(one, content=b"the same"), 20)
    made.scored(made.submission(two, content=b"the same"), 20)
    flag = Flag.objects.get()
    assert (flag.kind, flag.blocking, set(flag.teams.all())) == ("same_file", True, {one, two})
    assert Outbox.objects.filter(kind="flag", recipient=made.organiser.email).count() == 1
    with refused("Give a reason", 422):
        flags.decide(made.organiser, flag, True, "")
    flags.decide(made.organiser, flag, True, "They share an account")
    with refused("decided already"):
        flags.decide(made.organiser, flag, False, "Changed my mind")


def test_the_same_score_from_another_file_is_looked_at(made: Made) -> None:
    contest = made.contest()
    made.score(made.team(contest), 20)
    made.score(made.team(contest), 20)
    assert list(Flag.objects.values_list("kind", "blocking")) == [("same_score", True)]


def test_who_hands_in_the_baseline_is_no_suspect(made: Made) -> None:
    round_ = made.round()
    show, content = teams.exhibit(made.organiser, round_.contest, "Baseline"), b"the baseline"
    made.scored(made.submission(show, content=content), 20)
    made.scored(made.submission(made.team(round_.contest), content=content), 20)
    made.scored(made.submission(made.team(round_.contest), content=content), 20)
    assert not Flag.objects.exists()
    other = made.round()
    sha256 = made.upload(show, content=b"given out").sha256
    DataFile.objects.create(
        round=other, kind="baseline", name="baseline.tar", key=sha256, size=9, sha256=sha256, visible_from=other.opens
    )
    for _ in range(2):
        made.scored(made.submission(made.team(other.contest), content=b"given out"), 20)
    assert not Flag.objects.exists()


def test_a_jump_is_looked_at_but_blocks_nothing(made: Made, clock: Clock) -> None:
    team = made.team(made.contest())
    for sse in (1000, 502, 251):  # 2.99 dB, then 3.01 dB
        made.score(team, sse)
        clock.forward(days=1)
    assert list(Flag.objects.values_list("kind", "blocking", "evidence__sse")) == [("jump", False, 251)]


@pytest.fixture
def review(made: Made, clock: Clock) -> CodeReview:
    round_ = made.round()
    return reviews.ask(made.organiser, round_, made.team(round_.contest), clock() + timedelta(days=3))


def test_a_review_from_asking_to_passing(made: Made, review: CodeReview) -> None:
    team = review.team
    upload = made.upload(team, review.round, purpose="review")
    with refused("asked for its source already"):
        reviews.ask(made.organiser, review.round, team, review.deadline)
    with refused("Only members of the team", 403):
        reviews.hand_over(made.user(), review, upload, "")
    with refused("not complete", 422):
        reviews.hand_over(team.captain, review, made.upload(team), "an answer, no source")
    with refused("another state"):
        reviews.take(made.organiser, review)
    reviews.hand_over(team.captain, review, upload, "How to train it")
    assert (review.state, upload.state) == ("submitted", "consumed")
    reviews.take(made.organiser, review)
    with refused("The review has begun"):
        reviews.hand_over(team.captain, review, made.upload(team, review.round, purpose="review"), "Better")
    with refused("Give a reason", 422):
        reviews.judge(made.organiser, review, True, "")
    reviews.judge(made.organiser, review, True, "It gives the same score")
    assert (review.state, review.reviewer, review.findings) == ("passed", made.organiser, "It gives the same score")
    with refused("another state"):
        reviews.waive(made.organiser, review, "Changed my mind")
    assert Outbox.objects.filter(kind="review", recipient=team.captain.email).count() == 2


def test_who_misses_the_deadline_can_be_failed(made: Made, review: CodeReview, clock: Clock) -> None:
    upload = made.upload(review.team, review.round, purpose="review")
    with refused("another state"):
        reviews.judge(made.organiser, review, False, "Nothing came")
    clock.moment = review.deadline
    with refused("The deadline for handing over your source is over"):
        reviews.hand_over(review.team.captain, review, upload, "Late")
    with refused("another state"):
        reviews.judge(made.organiser, review, True, "Nothing came")
    reviews.judge(made.organiser, review, False, "Nothing came")
    assert review.team.sanctions.get().kind == "rank_cancelled"


def test_a_review_that_makes_no_sense_is_refused(made: Made, review: CodeReview, clock: Clock) -> None:
    other = made.team(made.contest())
    with refused("does not take part in the round", 422):
        reviews.ask(made.organiser, review.round, other, review.deadline)
    with refused("The deadline must be in the future", 422):
        reviews.ask(made.organiser, review.round, made.team(review.round.contest), clock())
    reviews.waive(made.organiser, review, "No reason to look")
    assert review.state == "waived"


def test_text_that_postgresql_cannot_store_is_stored_without_it(made: Made) -> None:
    contest = made.contest()
    organise.pause(made.organiser, contest, " Power\0 cut\n")
    assert AuditEvent.objects.latest("pk").reason == "Power cut"
    assert organise.announce(made.organiser, contest, "De\0lay").title_en == "Delay"


def test_news_have_a_title(made: Made) -> None:
    contest = made.contest()
    news = organise.announce(made.organiser, contest, "Delay", "One day **later**", "推迟", "")
    assert (news.title_en, news.title_zh, news.by) == ("Delay", "推迟", made.organiser)
    with refused("a title in one language", 422):
        organise.announce(made.organiser, contest, text_en="No title")
