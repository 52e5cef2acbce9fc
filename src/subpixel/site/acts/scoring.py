"""Scoring: who works on which hand-in, and what becomes of it.

A worker leases a job for LEASE seconds and renews that every BEAT seconds. What it writes counts only while the lease
is its own; False says that it no longer is, and that nothing was written.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, F, Max, When
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from subpixel.challenge.manifest import Manifest
from subpixel.challenge.tables import filled
from subpixel.site import audit, board, clock, outbox
from subpixel.site.acts import flags, grants
from subpixel.site.acts.turns import act, lock
from subpixel.site.models import Evaluation, ScoreJob, Submission
from subpixel.site.models.submissions import UNFINISHED

LEASE, BEAT = 60, 15
MOST_ATTEMPTS = 3
BOUND = timedelta(minutes=45)
BACKOFF = (timedelta(seconds=10), timedelta(seconds=60))
_LARGEST = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class Lease:
    """What a worker needs to know of its job. job, submission, evaluation: ids; truth_folder: in the truth's store."""

    job: int
    submission: int
    evaluation: int
    owner: str
    fence: int
    sha256: str
    rules_text: str
    manifest: str
    truth_folder: str
    truth_version: str
    round_name: str


def claim(owner: str) -> Lease | None:
    """Lease the next job, hand-ins before re-scores; None if there is nothing to do."""
    return _claim(owner) if _ready(clock.now()).exists() else None


def _ready(now: datetime) -> Any:
    return ScoreJob.objects.filter(state="ready", not_before__lte=now)


@act
def _claim(owner: str) -> Lease | None:
    now = clock.now()
    new_first = Case(When(evaluation__submission__state="queued", then=0), default=1)
    queue = _ready(now).select_for_update(skip_locked=True, of=("self",)).order_by(new_first, "not_before", "pk")
    job = queue.first()
    if job is None:
        return None
    job.state, job.owner, job.lease_until = "leased", owner, now + timedelta(seconds=LEASE)
    job.fence, job.attempts = job.fence + 1, job.attempts + 1
    job.progressed_at, job.frames_done, job.frames = now, 0, 0
    job.save()
    submission = lock(job.evaluation.submission)
    if submission.state == "queued":
        _move(submission, "checking", now, {"worker": owner, "fence": job.fence, "attempt": job.attempts})
    evaluation, round_ = job.evaluation, submission.round
    return Lease(
        job.pk, submission.pk, evaluation.pk, owner, job.fence, submission.sha256, round_.contest.rules_text,
        round_.manifest, evaluation.truth.folder, evaluation.truth.version, round_.name,
    )  # fmt: skip


def beat(lease: Lease, frames_done: int, frames: int) -> bool:
    """Renew the lease and tell how far the work is."""
    now = clock.now()
    progress = Case(When(frames_done__lt=frames_done, then=now), default=F("progressed_at"))
    mine = ScoreJob.objects.filter(pk=lease.job, state="leased", owner=lease.owner, fence=lease.fence)
    until = now + timedelta(seconds=LEASE)
    return bool(mine.update(lease_until=until, frames_done=frames_done, frames=frames, progressed_at=progress))


@act
def start_scoring(lease: Lease) -> bool:
    """The archive's names are right and its pictures are being compared."""
    job = _own(lease)
    if job is None:
        return False
    submission = lock(job.evaluation.submission)
    if submission.state == "checking":
        _move(submission, "scoring", clock.now(), {"fence": lease.fence})
    return True


@act
def finish(lease: Lease, verdict: dict[str, Any]) -> bool:
    """Write a verdict, as `Verdict.as_dict` gives it. One that cannot be is the worker's failure, see `fail`."""
    job = _own(lease)
    if job is None:
        return False
    wrong = _implausible(verdict, lease, job.evaluation)
    if wrong:
        _fail(job, wrong)
        return True
    now, evaluation, submission = clock.now(), job.evaluation, lock(job.evaluation.submission)
    job.state, job.lease_until, job.error = "done", None, ""
    job.save()
    evaluation.status, evaluation.finished_at = "ok" if verdict["valid"] else "failed", now
    if verdict["valid"]:
        evaluation.sse, evaluation.n, evaluation.clips = verdict["sse"], verdict["n"], verdict["clips"]
    evaluation.save()
    if submission.state not in UNFINISHED:
        _rescored(submission, evaluation)
    elif verdict["valid"]:
        _scored(submission, evaluation, verdict, now)
    else:
        _invalid(submission, verdict, now)
    return True


@act
def fail(lease: Lease, error: str) -> bool:
    """The machine failed, not the hand-in: it waits for another attempt, and after the third it is our fault."""
    job = _own(lease)
    if job is not None:
        _fail(job, error)
    return job is not None


@act
def release(lease: Lease) -> bool:
    """The worker stops before it is done; the attempt does not count."""
    job = _own(lease)
    if job is None:
        return False
    job.attempts -= 1
    _back(job, clock.now(), "The worker stopped.")
    return True


@act
def reap(owner: str = "") -> int:
    """Take back what workers have lost, and end what made no progress for too long; how many jobs that were.

    owner: of a worker that begins anew, so that nothing of its earlier life goes on; what waited while there was no
    worker is left to it, however long that was.
    """
    now = clock.now()
    leased = ScoreJob.objects.filter(state="leased")
    lost = leased.filter(lease_until__lte=now) | (leased.filter(owner=owner) if owner else leased.none())
    stuck = leased.none() if owner else leased.filter(progressed_at__lte=now - BOUND)
    last = ScoreJob.objects.aggregate(last=Max("progressed_at"))["last"]
    if not owner and last is not None and last <= now - BOUND:
        stuck |= ScoreJob.objects.filter(state="ready", evaluation__submission__state__in=UNFINISHED)
    ended = set(stuck.values_list("pk", flat=True))
    for job in ScoreJob.objects.filter(pk__in=ended).order_by("pk"):
        _end(job, f"There was no progress for {BOUND.seconds // 60} minutes.")
    dropped = list(lost.exclude(pk__in=ended).order_by("pk"))
    for job in dropped:
        _fail(job, f"The worker {job.owner} was lost.")
    return len(ended) + len(dropped)


def _own(lease: Lease) -> ScoreJob | None:
    """The leased job, if it still is this lease's."""
    mine = ScoreJob.objects.select_for_update(no_key=True, of=("self",)).select_related("evaluation")
    return mine.filter(pk=lease.job, state="leased", owner=lease.owner, fence=lease.fence).first()


def _move(submission: Submission, state: str, now: datetime, after: dict[str, Any], **fields: Any) -> None:
    """To another state, with an event of the machine."""
    before = submission.state
    for name, value in {"state": state, "moved_at": now, **fields}.items():
        setattr(submission, name, value)
    submission.save()
    audit.record(None, f"submission.{state}", submission, {"state": before}, {"state": state, **after})


def _back(job: ScoreJob, not_before: datetime, error: str) -> None:
    """Into the queue again."""
    now, worker = clock.now(), job.owner
    job.state, job.owner, job.lease_until, job.not_before = "ready", "", None, not_before
    job.progressed_at, job.error = now, error
    job.save()
    submission = lock(job.evaluation.submission)
    if submission.state in UNFINISHED:
        after = {"worker": worker, "attempts": job.attempts, "error": error[:500]}
        _move(submission, "queued", now, after)


def _fail(job: ScoreJob, error: str) -> None:
    if job.attempts >= MOST_ATTEMPTS:
        _end(job, error)
    else:
        _back(job, clock.now() + BACKOFF[max(job.attempts, 1) - 1], error)


def _end(job: ScoreJob, error: str) -> None:
    """No further attempt: the hand-in costs nothing, and the organisers are told."""
    now, evaluation = clock.now(), job.evaluation
    job.state, job.lease_until, job.error = "dead", None, error
    job.fence += 1
    job.save()
    evaluation.status, evaluation.finished_at = "failed", now
    evaluation.save()
    submission = lock(evaluation.submission)
    key = f"fault:{job.pk}:{job.fence}"
    where = {"number": submission.pk, "team": submission.team.name, "error": error[:1000]}
    text = gettext_lazy("Hand-in {number} of {team} could not be scored: {error}")
    outbox.tell_staff(
        "fault", f"{key}:staff", gettext_lazy("A hand-in could not be scored"), format_lazy(text, **where)
    )
    if submission.state not in UNFINISHED:
        audit.record(None, "evaluation.dead", submission, after={"evaluation": evaluation.pk, "error": error[:500]})
        return
    _move(submission, "fault", now, {"error": error[:500]}, slot="free", counted=False)
    body = gettext_lazy(
        "Hand-in {number} could not be scored, and the fault is ours. It costs you neither a valid hand-in nor an "
        "attempt. The organisers know of it; you may hand in again at once."
    )
    body = format_lazy(body, number=submission.pk)
    outbox.tell_team(submission.team, "fault", key, gettext_lazy("A fault of ours at your hand-in"), body)
    grants.entitle(submission)


def _implausible(verdict: dict[str, Any], lease: Lease, evaluation: Evaluation) -> str:
    """What cannot be true of a verdict, "" if nothing."""
    try:
        valid = verdict["valid"]
        asked = (lease.round_name, evaluation.scorer)
        if type(valid) is not bool or (verdict["round"], verdict["scorer"]) != asked:
            return "The worker's verdict is about something else."
        if not valid:
            return "" if verdict["problems"] else "The worker calls a hand-in invalid and does not say why."
        if verdict["problems"] or verdict["truth"] != lease.truth_version:
            return "The worker's verdict is about another truth."
        clips = filled(Manifest, json.loads(lease.manifest), "The manifest").clips
        samples = [(clip.name, clip.frames * clip.picture_bytes) for clip in clips]
        sums = [(clip["sse"], clip["n"]) for clip in verdict["clips"]]
        total = (verdict["sse"], verdict["n"])
        plain = all(type(value) is int for pair in [*sums, total] for value in pair)
        if not plain or [(clip["name"], clip["n"]) for clip in verdict["clips"]] != samples:
            return "The worker's sums do not belong to these clips."
        possible = all(0 <= sse <= min(n * 255**2, _LARGEST) for sse, n in [*sums, total])
        if not possible or total != (sum(sse for sse, _ in sums), sum(n for _, n in sums)):
            return "The worker's sums cannot be."
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f"The worker's verdict is malformed: {error!r}."
    return ""


def _scored(submission: Submission, evaluation: Evaluation, verdict: dict[str, Any], now: datetime) -> None:
    after = {"evaluation": evaluation.pk, "sse": evaluation.sse, "n": evaluation.n}
    _move(submission, "scored", now, after, slot="spent", reason="", problems=[], notes=verdict["notes"])
    grants.entitle(submission)
    flags.detect(submission)
    text = gettext_lazy("Hand-in {number} is valid and was scored. PSNR: {psnr} dB\n\n{link}")
    if submission.round.board == "hidden":
        text = gettext_lazy(
            "Hand-in {number} is valid and was scored. Scores of this round are not shown yet.\n\n{link}"
        )
    shown = f"{board.psnr(evaluation.sse, evaluation.n):.{submission.round.decimals}f}"
    _tell(submission, "scored", gettext_lazy("Your hand-in was scored"), text, psnr=shown)


def _invalid(submission: Submission, verdict: dict[str, Any], now: datetime) -> None:
    code = str(verdict["problems"][0]["code"])[:60]
    fields = {"slot": "free", "reason": code, "problems": verdict["problems"], "notes": verdict.get("notes", [])}
    _move(submission, "invalid", now, {"code": code}, **fields)
    grants.entitle(submission)
    text = gettext_lazy(
        "Hand-in {number} is not valid: {why}\n\nIt counts as an attempt, but you may still hand in another.\n\n{link}"
    )
    why = verdict["problems"][0].get("sentence", code)
    _tell(submission, "invalid", gettext_lazy("Your hand-in is not valid"), text, why=why)


def _tell(submission: Submission, kind: str, subject: Any, text: Any, **values: Any) -> None:
    contest = submission.round.contest
    body = format_lazy(text, number=submission.pk, link=outbox.link(contest), **values)
    outbox.tell_team(submission.team, kind, f"{kind}:{submission.pk}:{submission.moved_at.timestamp()}", subject, body)


def _rescored(submission: Submission, evaluation: Evaluation) -> None:
    after = {"evaluation": evaluation.pk, "truth": evaluation.truth_id, "sse": evaluation.sse, "n": evaluation.n}
    audit.record(None, "submission.rescored", submission, after=after)
