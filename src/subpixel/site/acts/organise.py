"""What organisers do: the clock, the board, hand-ins that need a decision, versions of the truth, news."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Exists, F, OuterRef
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from subpixel.site import audit, clock, outbox
from subpixel.site.acts import finals, handin
from subpixel.site.acts.turns import act, lock
from subpixel.site.models import Announcement, Contest, Evaluation, Round, ScoreJob, Submission, Truth, User
from subpixel.site.models.submissions import UNFINISHED
from subpixel.site.refusals import Refusal, need_reason, need_staff, plain

CONTEST_FIELDS = ("name", "teams_open", "teams_end", "retention_until")
ROUND_FIELDS = ("opens", "end", "valid_per_day", "attempts_per_day", "advance", "decimals", "grants")
_FIXED = ("opens", "end", "advance")  # by a snapshot


@act
def pause(by: User, contest: Contest, reason: str) -> None:
    """Take no hand-ins until `resume`."""
    _set(by, contest, "contest.pause", reason, paused=True)


@act
def resume(by: User, contest: Contest, reason: str) -> None:
    """Take hand-ins again."""
    _set(by, contest, "contest.resume", reason, paused=False)


@act
def change_contest(by: User, contest: Contest, reason: str, **fields: Any) -> None:
    """Change fields of CONTEST_FIELDS: the team window, the name, the day on which personal data are erased."""
    _need_fields(fields, CONTEST_FIELDS)
    _need_length(fields.get("teams_open", contest.teams_open), fields.get("teams_end", contest.teams_end))
    _set(by, contest, "contest.change", reason, **fields)


@act
def change_round(by: User, round: Round, reason: str, **fields: Any) -> None:  # noqa: A002
    """Change fields of ROUND_FIELDS: the window, quotas, how many advance, decimals, applications for compute."""
    _need_fields(fields, ROUND_FIELDS)
    lock(round)
    if round.finalised_at and any(name in fields and fields[name] != getattr(round, name) for name in _FIXED):
        raise Refusal("finalised", _("The results of this round are final; its window cannot be changed."))
    new = {name: fields.get(name, getattr(round, name)) for name in ROUND_FIELDS}
    _need_length(new["opens"], new["end"])
    if not 1 <= new["valid_per_day"] <= new["attempts_per_day"] <= 1000:
        raise Refusal("quota", _("A day has at least one valid hand-in, and as many attempts at least."), 422)
    if min(new["advance"], new["decimals"], new["grants"] or 0) < 0 or new["decimals"] > 10:
        raise Refusal("values", _("Numbers must not be negative, and at most 10 decimals are shown."), 422)
    others = Round.objects.filter(contest=round.contest_id)
    before = others.filter(number__lt=round.number).order_by("-number").first()
    after = others.filter(number__gt=round.number).order_by("number").first()
    if (before and new["opens"] < before.end) or (after and new["end"] > after.opens):
        raise Refusal("overlap", _("Two rounds would be open at the same time; move the other one first."), 422)
    _set(by, round, "round.change", reason, **fields)


@act
def set_board(by: User, round: Round, board: str, reason: str) -> None:  # noqa: A002
    """Show the board live, hide it, or freeze it as it is at this moment."""
    if board not in dict(Round.BOARDS):
        raise Refusal("board", _("A board is live, frozen or hidden."), 422)
    _set(by, round, "round.board", reason, board=board, frozen_at=clock.now() if board == "frozen" else None)


@act
def requeue(by: User, submission: Submission, reason: str, override: bool = False) -> None:
    """Score a hand-in again that our fault ended. It holds a slot of its own day again.

    override: even if the team's slots of that day are used up by now.
    """
    need_staff(by)
    reason = need_reason(reason)
    if lock(submission).state != "fault":
        raise Refusal("not_fault", _("Only a hand-in that our fault ended can be scored again."))
    round_ = lock(submission.round)
    _need_open_ranks(round_)
    slot = handin.free_slot(submission.team, round_, submission.day)
    if slot > round_.valid_per_day and not override:
        text = _("The team's valid hand-ins of that day are used up; override this to score one more.")
        raise Refusal("slot_spent", text)
    now = clock.now()
    submission.state, submission.slot, submission.slot_no, submission.counted = "queued", "held", slot, True
    submission.reason, submission.moved_at = "", now
    submission.save()
    evaluation = submission.evaluations.get()
    evaluation.status, evaluation.truth, evaluation.finished_at = "pending", round_.truth, None
    evaluation.save()
    _make_ready(ScoreJob.objects.filter(evaluation=evaluation))
    audit.record(by, "submission.requeue", submission, {"state": "fault"}, {"state": "queued", "slot": slot}, reason)


@act
def void(by: User, submission: Submission, reason: str) -> None:
    """Take a scored hand-in out of the ranks. Its slot stays spent."""
    _judge(by, submission, "scored", "voided", reason, gettext_lazy("Hand-in {number} was voided: {reason}"))


@act
def reinstate(by: User, submission: Submission, reason: str) -> None:
    """Put a voided hand-in back into the ranks."""
    _judge(by, submission, "voided", "scored", reason, gettext_lazy("Hand-in {number} counts again: {reason}"))


@act
def add_truth(by: User, round: Round, folder: str, version: str) -> Truth:  # noqa: A002
    """Another version of the truth, in a folder of its store. A round's first one is what ranks are by at once."""
    need_staff(by)
    if Truth.objects.filter(round=lock(round), version=version).exists():
        raise Refusal("truth_known", _("This round has this version of the truth already."))
    truth = Truth.objects.create(round=round, folder=folder, version=version, added_at=clock.now())
    audit.record(by, "truth.add", truth, after={"round": round.pk, "version": version})
    if round.truth_id is None:
        round.truth = truth
        round.save(update_fields=["truth"])
    return truth


@act
def rescore(by: User, round: Round, truth: Truth, reason: str) -> int:  # noqa: A002
    """Score all scored hand-ins by another truth as well, while ranks stay as they are; how many are in the queue."""
    need_staff(by)
    reason = need_reason(reason)
    _need_truth_of(lock(round), truth)
    now = clock.now()
    ready = Evaluation.objects.filter(submission=OuterRef("pk"), truth=truth, scorer=round.scorer)
    scored = Submission.objects.filter(round=round, state__in=("scored", "voided"))
    made = Evaluation.objects.bulk_create(
        Evaluation(submission=one, truth=truth, scorer=round.scorer, created_at=now)
        for one in scored.filter(~Exists(ready)).order_by("pk")
    )
    ScoreJob.objects.bulk_create(ScoreJob(evaluation=one, not_before=now, progressed_at=now) for one in made)
    failed = Evaluation.objects.filter(submission__in=scored, truth=truth, scorer=round.scorer, status="failed")
    again = list(failed.values_list("pk", flat=True))
    _make_ready(ScoreJob.objects.filter(evaluation__in=again))
    Evaluation.objects.filter(pk__in=again).update(status="pending", finished_at=None)
    after = {"truth": truth.version, "number": len(made) + len(again)}
    audit.record(by, "round.rescore", round, after=after, reason=reason)
    return len(made) + len(again)


@act
def switch_truth(by: User, round: Round, truth: Truth, reason: str) -> None:  # noqa: A002
    """Rank by another truth from now on, by which all scored hand-ins have a score. Those in the queue will have."""
    need_staff(by)
    reason = need_reason(reason)
    _need_truth_of(lock(round), truth)
    has = Evaluation.objects.filter(submission=OuterRef("pk"), truth=truth, scorer=round.scorer, status="ok")
    missing = Submission.objects.filter(~Exists(has), round=round, state="scored").count()
    if missing:
        text = _("%(number)d hand-ins have no score by this truth yet; score them by it first.")
        raise Refusal("not_rescored", text % {"number": missing})
    waiting = Evaluation.objects.filter(submission__round=round, submission__state__in=UNFINISHED, status="pending")
    _make_ready(ScoreJob.objects.filter(evaluation__in=list(waiting.values_list("pk", flat=True))))
    waiting.update(truth=truth)
    moved = Submission.objects.filter(round=round, state__in=("checking", "scoring"))
    for submission in moved:
        audit.record(by, "submission.queued", submission, {"state": submission.state}, {"state": "queued"}, reason)
    moved.update(state="queued", moved_at=clock.now())
    before = round.truth.version if round.truth else None
    round.truth = truth
    round.save(update_fields=["truth"])
    audit.record(by, "round.truth", round, {"truth": before}, {"truth": truth.version}, reason)
    finals.renew(by, round, reason)


@act
def announce(
    by: User, contest: Contest, title_en: str = "", text_en: str = "", title_zh: str = "", text_zh: str = ""
) -> Announcement:
    """Publish news in Markdown, in one language or both."""
    need_staff(by)
    texts = {"title_en": title_en, "text_en": text_en, "title_zh": title_zh, "text_zh": text_zh}
    texts = {name: plain(text) for name, text in texts.items()}
    if not (texts["title_en"] or texts["title_zh"]) or max(len(title_en), len(title_zh)) > 200:
        raise Refusal("title", _("News have a title in one language at least, of at most 200 characters."), 422)
    news = Announcement.objects.create(contest=contest, published_at=clock.now(), by=by, **texts)
    audit.record(by, "contest.announce", news, after=texts)
    return news


def _set(by: User, row: models.Model, action: str, reason: str, **fields: Any) -> None:
    """Change a row, with an event that says from what to what."""
    need_staff(by)
    reason = need_reason(reason)
    lock(row)
    before = {name: getattr(row, name) for name in fields}
    for name, value in fields.items():
        setattr(row, name, value)
    row.save(update_fields=list(fields))
    audit.record(by, action, row, before, fields, reason)


def _judge(by: User, submission: Submission, old: str, new: str, reason: str, text: Any) -> None:
    need_staff(by)
    reason = need_reason(reason)
    if lock(submission).state != old:
        raise Refusal("state", _("The hand-in is in another state by now; look again."))
    submission.state, submission.moved_at = new, clock.now()
    submission.reason = reason if new == "voided" else ""
    submission.save()
    event = audit.record(by, f"submission.{new}", submission, {"state": old}, {"state": new}, reason)
    body = format_lazy(text, number=submission.pk, reason=reason)
    outbox.tell_team(
        submission.team, "decision", f"decision:{event.pk}", gettext_lazy("A decision about a hand-in"), body
    )
    finals.renew(by, submission.round, reason)


def _make_ready(jobs: models.QuerySet[ScoreJob]) -> None:
    """Into the queue as if new; whoever works on them has lost them."""
    now = clock.now()
    jobs.update(
        state="ready", owner="", lease_until=None, fence=F("fence") + 1, attempts=0, not_before=now, progressed_at=now,
        error="",
    )  # fmt: skip


def _need_open_ranks(round: Round) -> None:  # noqa: A002
    if round.finalised_at:
        raise Refusal("finalised", _("The results of this round are final."))


def _need_truth_of(round: Round, truth: Truth) -> None:  # noqa: A002
    if truth.round_id != round.pk:
        raise Refusal("truth", _("This truth is of another round."), 422)


def _need_fields(fields: dict[str, Any], known: tuple[str, ...]) -> None:
    if unknown := set(fields) - set(known):
        text = _("%(name)s cannot be changed here.")
        raise Refusal("field", text % {"name": ", ".join(sorted(unknown))}, 422)


def _need_length(opens: Any, end: Any) -> None:
    if opens.utcoffset() is None or end.utcoffset() is None or end <= opens:
        raise Refusal("window", _("A window ends after it opens, and both moments have a zone."), 422)
