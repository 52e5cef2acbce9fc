"""Work on hand-ins: leases, fences, attempts, verdicts, and what becomes of a worker that is lost."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from made import SAMPLES, Clock, Made, invalid, verdict
from subpixel.site import audit
from subpixel.site.acts import handin, organise
from subpixel.site.acts.scoring import Lease, beat, claim, fail, finish, reap, release, start_scoring
from subpixel.site.models import AuditEvent, Evaluation, Outbox, ScoreJob, Submission

pytestmark = pytest.mark.django_db


@pytest.fixture
def submission(made: Made, clock: Clock) -> Submission:  # noqa: ARG001
    return made.submission(made.team(made.contest()))


def claimed(owner: str = "worker") -> Lease:
    lease = claim(owner)
    assert lease is not None
    return lease


def state(submission: Submission) -> tuple[str, str, bool]:
    submission.refresh_from_db()
    return submission.state, submission.slot, submission.counted


def test_from_the_queue_to_the_score(submission: Submission) -> None:
    lease = claimed()
    assert (lease.submission, lease.sha256, lease.round_name) == (submission.pk, submission.sha256, "preliminary")
    assert state(submission) == ("checking", "held", True)
    assert claim("another") is None, "it is leased"
    assert start_scoring(lease)
    assert state(submission) == ("scoring", "held", True)
    assert start_scoring(lease), "twice does no harm"
    assert beat(lease, 3, 6)
    assert finish(lease, verdict(lease, 1234))
    assert state(submission) == ("scored", "spent", True)
    evaluation = submission.evaluations.get()
    assert (evaluation.status, evaluation.sse, evaluation.n, evaluation.job.state) == ("ok", 1234, SAMPLES, "done")
    moves = AuditEvent.objects.filter(subject=f"submission:{submission.pk}").order_by("pk")
    assert [move.action for move in moves] == [
        f"submission.{name}" for name in ("accept", "checking", "scoring", "scored")
    ]
    assert audit.verify() == []


def test_one_mail_tells_the_score_and_nothing_else_of_the_truth(submission: Submission) -> None:
    lease = claimed()
    finish(lease, verdict(lease, 1234))
    assert not finish(lease, verdict(lease, 1234)), "delivered twice"
    mail = Outbox.objects.get(kind="scored")
    assert mail.recipient == submission.user.email
    assert "PSNR: 56.8631 dB" in mail.body, "10 log10(255^2 9216 / 1234)"
    assert not {"1234", "617", "truth", "90:", "91:"} & set(mail.body.split())


def test_a_hidden_board_hides_the_score_in_mails_too(made: Made, submission: Submission) -> None:
    organise.set_board(made.organiser, submission.round, "hidden", "Last days")
    lease = claimed()
    finish(lease, verdict(lease, 1234))
    body = Outbox.objects.get(kind="scored").body
    assert "Scores of this round are not shown yet" in body
    assert "56.86" not in body


def test_who_wants_no_news_gets_mail_of_faults_only(made: Made, clock: Clock) -> None:
    team = made.team(made.contest(), made.user(mails=False), made.user())
    made.score(team, 5)
    assert Outbox.objects.filter(kind="scored").count() == 1
    clock.forward(days=1)
    made.submission(team)
    for _ in range(3):
        clock.forward(minutes=2)
        fail(claimed(), "Out of memory.")
    assert Outbox.objects.filter(kind="fault").exclude(recipient=made.organiser.email).count() == 2


def test_a_bad_file_is_the_teams_fault(submission: Submission) -> None:
    lease = claimed()
    assert start_scoring(lease)
    assert finish(lease, invalid(lease, "truncated"))
    assert state(submission) == ("invalid", "free", True)
    assert (submission.reason, submission.problems[0]["code"]) == ("truncated", "truncated")
    assert submission.evaluations.get().status == "failed"
    assert "The file is no tar archive." in Outbox.objects.get(kind="invalid").body


def test_a_poison_job_is_our_fault_after_three_attempts(submission: Submission, made: Made, clock: Clock) -> None:
    for attempt in (1, 2, 3):
        lease = claimed()
        assert state(submission)[0] == "checking"
        assert fail(lease, "The decoder's machine is on fire.")
        if attempt < 3:
            assert state(submission) == ("queued", "held", True)
            assert claim("worker") is None, "it waits a little"
            clock.forward(minutes=1)
    assert state(submission) == ("fault", "free", False)
    assert claim("worker") is None
    assert not finish(lease, verdict(lease)), "too late"
    left = handin.quota(submission.team, submission.round, clock())
    assert (left.valid_left, left.attempts_left) == (1, 10), "it costs nothing"
    told = Outbox.objects.filter(kind="fault").order_by("pk").values_list("recipient", flat=True)
    assert list(told) == [made.organiser.email, submission.user.email]
    assert "The decoder's machine is on fire." in Outbox.objects.filter(kind="fault").earliest("pk").body


def test_a_worker_that_stops_politely_costs_no_attempt(submission: Submission) -> None:
    for _ in range(10):
        lease = claimed()
        assert release(lease)
        assert state(submission) == ("queued", "held", True)
        assert not beat(lease, 0, 0)
    finish(lease := claimed(), verdict(lease, 7))
    assert state(submission)[0] == "scored"


def test_a_lost_worker_is_replaced_and_its_late_words_change_nothing(submission: Submission, clock: Clock) -> None:
    zombie = claimed("first")
    start_scoring(zombie)
    clock.forward(seconds=59)
    assert reap() == 0
    clock.forward(seconds=1)
    assert reap() == 1
    assert state(submission) == ("queued", "held", True)
    late = [
        lambda: finish(zombie, verdict(zombie, 1)),
        lambda: finish(zombie, invalid(zombie)),
        lambda: fail(zombie, "-"),
        lambda: release(zombie),
        lambda: start_scoring(zombie),
        lambda: beat(zombie, 1, 1),
    ]
    assert [act() for act in late] == [False] * 6
    clock.forward(minutes=1)
    lease = claimed("second")
    assert lease.fence > zombie.fence
    assert [act() for act in late] == [False] * 6, "with the old fence"
    assert finish(lease, verdict(lease, 9))
    assert [act() for act in late] == [False] * 6
    assert submission.evaluations.get().sse == 9


def test_beats_keep_a_lease(submission: Submission, clock: Clock) -> None:
    lease = claimed()
    for frame in range(20):
        clock.forward(seconds=15)
        assert beat(lease, frame, 20)
        assert reap() == 0
    job = ScoreJob.objects.get()
    assert (job.frames_done, job.frames, job.state) == (19, 20, "leased")
    assert state(submission)[0] == "checking"


def test_a_worker_that_begins_anew_gives_up_its_earlier_life(submission: Submission) -> None:
    lease = claimed("host:1")
    assert reap("host:2") == 0
    assert reap("host:1") == 1
    assert not beat(lease, 1, 1)
    assert state(submission)[0] == "queued"


def test_without_progress_nothing_stays_unfinished_longer_than_45_minutes(submission: Submission, clock: Clock) -> None:
    """A worker that beats and gets nowhere."""
    lease = claimed()
    beat(lease, 1, 6)
    for _ in range(53):
        clock.forward(seconds=50)
        assert beat(lease, 1, 6)
        assert reap() == 0
    clock.forward(seconds=50)
    assert reap() == 1
    assert state(submission) == ("fault", "free", False)
    assert not finish(lease, verdict(lease))


def test_a_queue_that_nobody_works_on_ends_after_45_minutes(submission: Submission, clock: Clock) -> None:
    clock.forward(minutes=44, seconds=59)
    assert reap() == 0
    clock.forward(seconds=1)
    assert reap() == 1
    assert state(submission) == ("fault", "free", False)


def test_after_an_outage_the_worker_comes_before_the_clock(made: Made, clock: Clock) -> None:
    """All was off for hours: what was being checked and what waited is scored, and is no fault of ours."""
    contest = made.contest()
    begun, waiting = made.submission(made.team(contest)), made.submission(made.team(contest))
    claimed("worker")
    clock.forward(hours=9)
    assert reap("worker") == 1, "its earlier life"
    lease = claimed("worker")
    assert (lease.submission, reap()) == (waiting.pk, 0)
    assert finish(lease, verdict(lease, 5))
    clock.forward(minutes=1)
    made.scored(begun, 6)
    assert (state(begun)[0], state(waiting)[0]) == ("scored", "scored")


def test_waiting_behind_others_is_no_fault(made: Made, clock: Clock) -> None:
    """The queue makes progress while the worker is busy for an hour with the one before."""
    contest = made.contest()
    made.submission(made.team(contest))
    behind = made.submission(made.team(contest))
    lease = claimed()
    for frame in range(72):
        clock.forward(seconds=50)
        beat(lease, frame, 72)
        assert reap() == 0
    assert state(behind)[0] == "queued"


@pytest.mark.parametrize(
    "forged",
    [
        {"sse": -1}, {"sse": 10**30}, {"sse": float("nan")}, {"sse": 1.5}, {"sse": True}, {"sse": "7"}, {"sse": None},
        {"sse": 999}, {"n": 1}, {"n": 0}, {"n": 2 * SAMPLES}, {"truth": "other"}, {"round": "final"},
        {"scorer": "mine"}, {"clips": []}, {"clips": None}, {"valid": 1}, {"valid": None}, {"problems": [1]},
        {"valid": False},
    ],
    ids=str,
)  # fmt: skip
def test_a_forged_verdict_is_a_workers_fault_and_no_score(submission: Submission, forged: dict[str, Any]) -> None:
    lease = claimed()
    assert finish(lease, verdict(lease, 1000) | forged)
    assert state(submission) == ("queued", "held", True)
    assert ScoreJob.objects.get().error.startswith("The worker")
    assert not Evaluation.objects.exclude(sse=None).exists()


def test_a_verdict_that_is_no_verdict(submission: Submission) -> None:
    assert finish(claimed(), {})
    assert state(submission)[0] == "queued"


def test_a_lease_of_another_owner_is_none(submission: Submission) -> None:
    lease = claimed()
    assert not finish(dataclasses.replace(lease, owner="eve"), verdict(lease))
    assert state(submission)[0] == "checking"


def test_a_new_truth_leaves_ranks_alone_until_all_are_scored_by_it(made: Made, clock: Clock) -> None:
    from subpixel.site import board

    round_ = made.round()
    first, second = made.team(round_.contest), made.team(round_.contest)
    one, two = made.score(first, 10), made.score(second, 20)
    truth = made.data(round_, "second")
    with pytest.raises(Exception, match="2 hand-ins have no score by this truth"):
        organise.switch_truth(made.organiser, round_, truth, "A clip was wrong")
    assert organise.rescore(made.organiser, round_, truth, "A clip was wrong") == 2
    assert organise.rescore(made.organiser, round_, truth, "Once more") == 0, "they are in the queue"
    waiting = made.submission(made.team(round_.contest))
    lease = claimed()
    assert lease.submission == waiting.pk, "a hand-in comes before re-scores"
    for sse in (40, 30):
        again = claimed()
        assert (state(one)[0], state(two)[0]) == ("scored", "scored"), "the state stays"
        assert again.truth_version == "second"
        finish(again, verdict(again, sse))
    assert [row.team_id for row in board.rows(round_)] == [first.pk, second.pk]
    organise.switch_truth(made.organiser, round_, truth, "All have a score")
    assert [(row.team_id, row.sse) for row in board.rows(round_)] == [(second.pk, 30), (first.pk, 40)]
    assert not finish(lease, verdict(lease)), "it was being scored by the old truth"
    lease = claimed()
    assert (lease.submission, lease.truth_version) == (waiting.pk, "second")
    assert finish(lease, verdict(lease, 5))
    assert [row.sse for row in board.rows(round_)] == [5, 30, 40]
    clock.forward(minutes=1)
    assert audit.verify() == []


def test_a_re_score_that_fails_changes_no_hand_in(made: Made, clock: Clock) -> None:
    round_ = made.round()
    submission = made.score(made.team(round_.contest), 10)
    truth = made.data(round_, "second")
    organise.rescore(made.organiser, round_, truth, "A clip was wrong")
    for _ in range(3):
        clock.forward(minutes=2)
        fail(claimed(), "Disk full.")
    assert state(submission) == ("scored", "spent", True)
    assert submission.evaluations.get(truth=truth).status == "failed"
    assert Outbox.objects.filter(kind="fault", recipient=made.organiser.email).count() == 1
    assert organise.rescore(made.organiser, round_, truth, "Disk is empty again") == 1
    lease = claimed()
    assert finish(lease, verdict(lease, 10))
    assert submission.evaluations.get(truth=truth).status == "ok"


def test_a_fault_is_scored_again_on_its_own_day(made: Made, submission: Submission, clock: Clock) -> None:
    for _ in range(3):
        fail(claimed(), "Disk full.")
        clock.forward(minutes=2)
    clock.forward(days=2)
    organise.requeue(made.organiser, submission, "Disk is empty again")
    assert state(submission) == ("queued", "held", True)
    lease = claimed()
    assert finish(lease, verdict(lease, 10))
    assert state(submission) == ("scored", "spent", True)
    assert submission.day < clock().date()
    with pytest.raises(Exception, match="Only a hand-in that our fault ended"):
        organise.requeue(made.organiser, submission, "Again")


def test_a_fault_whose_day_is_spent_needs_an_override(made: Made, submission: Submission, clock: Clock) -> None:
    for _ in range(3):
        fail(claimed(), "Disk full.")
        clock.forward(minutes=2)
    second = made.score(submission.team, 20)
    assert second.day == submission.day
    with pytest.raises(Exception, match="used up; override this"):
        organise.requeue(made.organiser, submission, "Disk is empty again")
    organise.requeue(made.organiser, submission, "Disk is empty again", override=True)
    lease = claimed()
    assert finish(lease, verdict(lease, 10))
    assert (submission.evaluations.get().sse, Submission.objects.get(pk=submission.pk).slot_no) == (10, 2)
