"""Code reviews: asking a team for its source, handing it over, judging it."""

from __future__ import annotations

from datetime import datetime

from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from subpixel.site import audit, clock, outbox
from subpixel.site.acts import finals, teams
from subpixel.site.acts.turns import act, lock
from subpixel.site.models import CodeReview, Round, Team, Upload, User
from subpixel.site.refusals import Refusal, need_reason, need_staff, plain

STATEMENT_LENGTH = 20_000
_OPEN = ("requested", "submitted", "in_review")


@act
def ask(by: User, round: Round, team: Team, deadline: datetime) -> CodeReview:  # noqa: A002
    """Ask a team for the source of what it handed in to a round, until a deadline."""
    need_staff(by)
    if lock(team).contest_id != round.contest_id or team.exhibition or team.state != "active":
        raise Refusal("team", _("This team does not take part in the round."), 422)
    now = clock.now()
    if deadline <= now:
        raise Refusal("deadline", _("The deadline must be in the future."), 422)
    if CodeReview.objects.filter(round=round, team=team).exists():
        raise Refusal("asked", _("This team was asked for its source already."))
    review = CodeReview.objects.create(round=round, team=team, deadline=deadline, requested_at=now, moved_at=now)
    audit.record(by, "review.ask", review, after={"team": team.pk, "deadline": deadline})
    text = gettext_lazy("The organisers ask {team} for the source of its solution, until {deadline} (UTC).\n\n{link}")
    link = outbox.link(round.contest)
    body = format_lazy(text, team=team.name, deadline=f"{deadline:%Y-%m-%d %H:%M}", link=link)
    outbox.tell_team(team, "review", f"review:{review.pk}", gettext_lazy("Hand over your source"), body)
    return review


@act
def hand_over(user: User, review: CodeReview, upload: Upload, statement: str) -> None:
    """Hand over a complete upload; until the deadline, or until an organiser begins, another takes its place."""
    teams.need_member(user, review.team)
    lock(review)
    lock(upload)
    now = clock.now()
    if review.state not in ("requested", "submitted"):
        raise Refusal("review_begun", _("The review has begun; nothing can be handed over any more."))
    if now >= review.deadline:
        raise Refusal("deadline", _("The deadline for handing over your source is over."))
    fits = (upload.team_id, upload.purpose, upload.state) == (review.team_id, "review", "complete")
    if not fits or len(statement) > STATEMENT_LENGTH:
        raise Refusal("upload_incomplete", _("This upload is not complete; finish it first."), 422)
    upload.state, upload.moved_at = "consumed", now
    upload.save(update_fields=["state", "moved_at"])
    review.upload, review.statement = upload, plain(statement)
    _move(review, "submitted", user, {"sha256": upload.sha256})


@act
def take(by: User, review: CodeReview) -> None:
    """Begin to look at what was handed over."""
    need_staff(by)
    _need(review, "submitted")
    review.reviewer = by
    _move(review, "in_review", by)


@act
def judge(by: User, review: CodeReview, passed: bool, findings: str) -> None:
    """Pass a review, or fail it, which cancels the team's rank in the round.

    One that was asked for can be failed as well once its deadline is over.
    """
    need_staff(by)
    findings = need_reason(findings)
    lock(review)
    late = review.state == "requested" and clock.now() >= review.deadline and not passed
    if not late:
        _need(review, "in_review")
    review.findings = findings
    review.reviewer = review.reviewer or by
    _move(review, "passed" if passed else "failed", by, reason=findings)
    if not passed:
        finals.punish(by, review.team, "rank_cancelled", review.round, findings)
        return
    text = gettext_lazy("The source of your team {team} passed the review.")
    body = format_lazy(text, team=review.team.name)
    outbox.tell_team(review.team, "review", f"review:{review.pk}:passed", gettext_lazy("Your review"), body)


@act
def waive(by: User, review: CodeReview, findings: str) -> None:
    """End a review without a judgement."""
    need_staff(by)
    findings = need_reason(findings)
    _need(review, *_OPEN)
    review.findings = findings
    _move(review, "waived", by, reason=findings)


def _need(review: CodeReview, *states: str) -> None:
    if lock(review).state not in states:
        raise Refusal("review_state", _("The review is in another state by now; look again."))


def _move(review: CodeReview, state: str, by: User, after: dict[str, object] | None = None, reason: str = "") -> None:
    before, review.state, review.moved_at = review.state, state, clock.now()
    review.save()
    audit.record(by, f"review.{state}", review, {"state": before}, after, reason)
