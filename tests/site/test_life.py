"""The life of hand-ins: any order of what teams, workers, organisers and accidents can do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from made import Clock, Made, invalid, verdict
from subpixel.site import audit, board, clock
from subpixel.site.acts import handin, organise, scoring
from subpixel.site.acts.scoring import Lease
from subpixel.site.models import AuditEvent, Evaluation, Outbox, ScoreJob, Submission
from subpixel.site.refusals import Refusal

pytestmark = pytest.mark.django_db
ARCS = {
    None: {"queued"},
    "queued": {"checking", "cancelled", "fault"},
    "checking": {"scoring", "scored", "invalid", "queued", "fault"},
    "scoring": {"scored", "invalid", "queued", "fault"},
    "scored": {"voided"},
    "voided": {"scored"},
    "fault": {"queued"},
    "invalid": set(),
    "cancelled": set(),
}
SLOTS = {"queued": "held", "checking": "held", "scoring": "held", "scored": "spent", "voided": "spent"}


def refusal(act: Callable[[], object]) -> str:
    """The code by which an act is refused, "" if it is not."""
    try:
        act()
    except Refusal as error:
        return error.code
    return ""


class Life(RuleBasedStateMachine):
    """Two teams, some workers, an organiser and a clock; what must hold is looked at after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.clock = Clock(datetime(2030, 5, 15, 12, tzinfo=UTC))
        self.real, clock.now = clock.now, self.clock
        self.known: dict[int, str | None] = {}
        self.leases: list[Lease] = []
        self.scores: dict[int, int] = {}

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)
        clock.now = self.real

    @initialize(valid=st.integers(1, 2))
    def begin(self, valid: int) -> None:
        self.made = Made()
        self.round = self.made.round(valid_per_day=valid, attempts_per_day=4)
        self.teams = [self.made.team(self.round.contest) for _ in range(2)]

    def hand_ins(self, *states: str) -> list[Submission]:
        found = Submission.objects.order_by("pk")
        return list(found.filter(state__in=states) if states else found)

    @rule(which=st.integers(0, 1))
    def hand_in(self, which: int) -> None:
        team = self.teams[which]
        left = handin.quota(team, self.round, self.clock())
        assert refusal(lambda: self.made.submission(team)) == left.code
        if not left.code:
            assert self.hand_ins()[-1].day == self.clock().astimezone(ZoneInfo("Asia/Shanghai")).date()

    @rule(owner=st.sampled_from(["one", "two"]))
    def claim(self, owner: str) -> None:
        lease = scoring.claim(owner)
        if lease:
            assert all(lease.fence > old.fence for old in self.leases if old.job == lease.job)
            self.leases.append(lease)
        else:
            assert not ScoreJob.objects.filter(state="ready", not_before__lte=self.clock()).exists()

    def holds(self, lease: Lease) -> bool:
        return ScoreJob.objects.filter(pk=lease.job, state="leased", owner=lease.owner, fence=lease.fence).exists()

    @precondition(lambda self: self.leases)
    @rule(
        data=st.data(),
        what=st.sampled_from(["beat", "start", "valid", "valid", "invalid", "forged", "fail", "release"]),
    )
    def work(self, data: st.DataObject, what: str) -> None:
        """By any worker that ever had a lease, those who lost it long ago included."""
        lease = data.draw(st.sampled_from(self.leases))
        acts: dict[str, Any] = {
            "beat": lambda: scoring.beat(lease, 3, 6),
            "start": lambda: scoring.start_scoring(lease),
            "valid": lambda: scoring.finish(lease, verdict(lease, 100 + lease.job)),
            "invalid": lambda: scoring.finish(lease, invalid(lease)),
            "forged": lambda: scoring.finish(lease, verdict(lease) | {"sse": -1}),
            "fail": lambda: scoring.fail(lease, "Disk full."),
            "release": lambda: scoring.release(lease),
        }
        before, held = self.all_states(), self.holds(lease)
        assert acts[what]() == held
        if not held:
            assert self.all_states() == before, "a worker without a lease changed something"

    def all_states(self) -> list[Any]:
        jobs = list(ScoreJob.objects.order_by("pk").values_list("pk", "state", "fence", "attempts"))
        return [list(Submission.objects.order_by("pk").values_list("pk", "state", "slot", "counted")), jobs]

    @precondition(lambda self: self.hand_ins())
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        submission = data.draw(st.sampled_from(self.hand_ins()))
        before = submission.state
        code = refusal(lambda: handin.cancel(submission.user, submission))
        assert code == ("" if before == "queued" else "not_queued")

    @precondition(lambda self: self.hand_ins())
    @rule(data=st.data(), what=st.sampled_from(["void", "reinstate", "requeue"]))
    def decide(self, data: st.DataObject, what: str) -> None:
        submission = data.draw(st.sampled_from(self.hand_ins()))
        needed = {"void": "scored", "reinstate": "voided", "requeue": "fault"}[what]
        before = submission.state
        code = refusal(lambda: getattr(organise, what)(self.made.organiser, submission, "A reason"))
        assert code in (("", "slot_spent") if before == needed else ("state", "not_fault"))

    @rule(seconds=st.sampled_from([1, 30, 61, 600, 46 * 60, 9 * 3600]))
    def time_passes(self, seconds: int) -> None:
        self.clock.forward(seconds=seconds)
        scoring.reap()
        assert not ScoreJob.objects.filter(state="leased", lease_until__lte=self.clock()).exists()
        bound = self.clock() - timedelta(minutes=45)
        stuck = ScoreJob.objects.filter(progressed_at__lte=bound, evaluation__submission__state__in=scoring.UNFINISHED)
        last = ScoreJob.objects.order_by("-progressed_at").first()
        assert not stuck.exists() or (last and last.progressed_at > bound), "unfinished, and nothing moves"

    @invariant()
    def every_move_is_an_arc(self) -> None:
        words = {"accept": "queued", "cancel": "cancelled", "requeue": "queued"}
        paths: dict[str, list[str]] = {}
        moves = AuditEvent.objects.filter(action__startswith="submission.").order_by("pk")
        for action, subject in moves.values_list("action", "subject"):
            state = action.removeprefix("submission.")
            paths.setdefault(subject, []).append(words.get(state, state))
        for path in paths.values():
            assert all(after in ARCS[before] for before, after in zip([None, *path], path, strict=False)), path
        ends = {f"submission:{one.pk}": one.state for one in self.hand_ins()}
        assert {subject: path[-1] for subject, path in paths.items()} == ends, "the trail tells another story"

    @invariant()
    def slots_and_attempts_follow_states(self) -> None:
        seen = set()
        for one in self.hand_ins():
            assert one.slot == SLOTS.get(one.state, "free")
            assert one.counted == (one.state != "fault")
            if one.slot != "free":
                assert 1 <= one.slot_no <= self.round.valid_per_day
                assert (one.team_id, one.day, one.slot_no) not in seen, "two hold one slot"
                seen.add((one.team_id, one.day, one.slot_no))

    @invariant()
    def work_follows_states(self) -> None:
        wanted = {"queued": "ready", "fault": "dead", "cancelled": "dead", "checking": "leased", "scoring": "leased"}
        for job in ScoreJob.objects.select_related("evaluation__submission"):
            assert job.state == wanted.get(job.evaluation.submission.state, "done")
            assert job.attempts <= 3

    @invariant()
    def scores_never_change_and_ranks_follow_them(self) -> None:
        for one in Evaluation.objects.filter(submission__state__in=("scored", "voided")):
            assert self.scores.setdefault(one.submission_id, one.sse) == one.sse
        if not hasattr(self, "round"):
            return
        best: dict[int, int] = {}
        for one in self.hand_ins("scored"):
            best[one.team_id] = min(best.get(one.team_id, 10**9), self.scores[one.pk])
        assert {row.team_id: row.sse for row in board.rows(self.round)} == best

    @invariant()
    def nobody_is_told_twice(self) -> None:
        scored = Evaluation.objects.exclude(sse=None).count()
        assert Outbox.objects.filter(kind="scored").count() == scored


def test_any_order_of_events() -> None:
    """Not shrunk on failure, which would take longer than reading a path of thirty steps."""
    chosen = settings(max_examples=10, stateful_step_count=30, deadline=None, phases=[Phase.generate])
    run_state_machine_as_test(Life, settings=chosen)
    assert audit.verify() == []
