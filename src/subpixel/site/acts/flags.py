"""Suspicions: raised by the machine when a hand-in is scored, decided by organisers, and never more than that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from subpixel.site import audit, board, clock, outbox
from subpixel.site.acts.turns import act, lock
from subpixel.site.models import DataFile, Evaluation, Flag, Submission, User
from subpixel.site.refusals import Refusal, need_reason, need_staff

JUMP = 3.0  # dB over the team's best
_SHOWN = 20


def detect(submission: Submission) -> None:
    """Raise what a hand-in that was just scored gives cause for; within its act. An exhibition entry gives none.

    same_file, same_score: of another team's hand-in in the contest and the round, unless it is the baseline's; perfect:
    no error at all; jump: far above the team's best so far.
    """
    score = board.score(submission)
    if score is None or submission.team.exhibition:
        return
    sse, n = score
    others = Submission.objects.filter(round__contest=submission.round.contest_id).exclude(team=submission.team_id)
    same_file = others.filter(sha256=submission.sha256)
    equal = Evaluation.objects.filter(truth=submission.round.truth_id, status="ok", sse=sse).values("submission")
    same_score = others.filter(pk__in=equal).exclude(sha256=submission.sha256)
    if not same_file.filter(team__exhibition=True).exists() and not _is_baseline(submission):
        _raise(submission, "same_file", same_file, {"sha256": submission.sha256}, blocking=True)
    if not same_score.filter(team__exhibition=True).exists():
        _raise(submission, "same_score", same_score, {"sse": sse}, blocking=True)
    if sse == 0:
        _raise(submission, "perfect", None, {}, blocking=True)
    best = _best_before(submission)
    if best is not None and board.psnr(sse, n) > board.psnr(*best) + JUMP:
        _raise(submission, "jump", None, {"before": best[0], "sse": sse, "n": n}, blocking=False)


def _is_baseline(submission: Submission) -> bool:
    return DataFile.objects.filter(
        round__contest=submission.round.contest_id, kind="baseline", sha256=submission.sha256
    ).exists()


def _best_before(submission: Submission) -> tuple[int, int] | None:
    scores = Evaluation.objects.filter(
        submission__team=submission.team_id, truth=submission.round.truth_id, status="ok", submission__state="scored"
    )
    return scores.exclude(submission=submission).order_by("sse").values_list("sse", "n").first()


def _raise(
    submission: Submission, kind: str, others: QuerySet[Submission] | None, evidence: dict[str, Any], *, blocking: bool
) -> None:
    """One flag of a kind for a hand-in, with the others that it concerns; none if these are asked for and not there."""
    concerned: Iterable[Submission] = [] if others is None else others.order_by("pk")[:_SHOWN]
    if others is not None and not concerned:
        return
    found = {"round": submission.round, "kind": kind, "evidence": evidence, "blocking": blocking}
    flag, new = Flag.objects.get_or_create(key=f"{kind}:{submission.pk}", defaults=found | {"raised_at": clock.now()})
    if not new:
        return
    flag.submissions.set([submission, *concerned])
    flag.teams.set({submission.team_id, *(other.team_id for other in concerned)})
    audit.record(None, "flag.raise", flag, after={"kind": kind, "submission": submission.pk})
    body = format_lazy(
        gettext_lazy("Hand-in {number} of {team} gives cause for a look: {kind}."),
        number=submission.pk, team=submission.team.name, kind=kind,
    )  # fmt: skip
    outbox.tell_staff("flag", f"flag:{flag.pk}", gettext_lazy("A hand-in to look at"), body)


@act
def decide(by: User, flag: Flag, confirmed: bool, text: str) -> None:
    """Confirm or dismiss a flag; what follows for the team is a sanction of its own."""
    need_staff(by)
    text = need_reason(text)
    if lock(flag).state != "open":
        raise Refusal("decided", _("This flag was decided already."))
    flag.state, flag.decision = "confirmed" if confirmed else "dismissed", text
    flag.by, flag.decided_at = by, clock.now()
    flag.save()
    audit.record(by, f"flag.{flag.state}", flag, {"state": "open"}, {"state": flag.state}, text)
