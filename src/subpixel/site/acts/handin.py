"""Handing in: what a team may still hand in, accepting it, and taking it back."""

from __future__ import annotations

import dataclasses
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from subpixel.site import audit, board, clock
from subpixel.site.acts import grants, teams
from subpixel.site.acts.turns import act, lock
from subpixel.site.models import Advancement, Evaluation, Round, ScoreJob, Submission, Team, Upload, User
from subpixel.site.models.submissions import HOLDING
from subpixel.site.refusals import Refusal

KEY_LENGTH = 80


@dataclasses.dataclass(frozen=True)
class Quota:
    """What a team may hand in to a round at a moment.

    open: whether the round takes hand-ins of this team at all. valid_left, attempts_left: of `day`, a day of the
    contest's zone. next_day_at: when the next one begins, None if the round is over by then. why_not: a sentence, "" if
    a hand-in would be accepted; code: the same for programs.
    """

    open: bool
    valid_left: int
    attempts_left: int
    day: date
    next_day_at: datetime | None
    why_not: str = ""
    code: str = ""


def quota(team: Team, round: Round, at: datetime) -> Quota:  # noqa: A002
    """What the team may hand in to a round at a moment. A baseline's team is bound by numbers, not by times."""
    zone = ZoneInfo(round.contest.zone)
    day = at.astimezone(zone).date()
    tomorrow = datetime.combine(day + timedelta(days=1), time(), zone)
    todays = Submission.objects.filter(team=team, round=round, day=day)
    valid = max(0, round.valid_per_day - todays.filter(slot__in=HOLDING).count())
    attempts = max(0, round.attempts_per_day - todays.filter(counted=True).count())
    code, why_not = _closed(team, round, at)
    is_open = not code
    if is_open and not valid:
        code, why_not = "quota_valid", _("Your team's valid hand-ins of this day are used up or being scored.")
    elif is_open and not attempts:
        code, why_not = "quota_attempts", _("Your team's attempts of this day are used up.")
    return Quota(is_open, valid, attempts, day, tomorrow if tomorrow < round.end else None, why_not, code)


def _closed(team: Team, round: Round, at: datetime) -> tuple[str, str]:  # noqa: A002
    """Why the round takes no hand-ins of the team at all, as code and sentence; empty if it does."""
    if round.finalised_at:
        return "finalised", _("The results of this round are final.")
    if team.state != "active":
        return "team_inactive", _("This team does not take part any more.")
    if not round.manifest or round.truth_id is None:
        return "no_data", _("The data of this round are not there yet.")
    if team.exhibition:
        return "", ""
    if at < round.opens:
        return "not_yet", _("This round has not begun yet.")
    if at >= round.end:
        return "closed", _("This round is over.")
    if round.contest.paused:
        return "paused", _("The organisers have paused the contest; no hand-ins for now.")
    if board.needs_advancement(round) and not Advancement.objects.filter(round=round, team=team).exists():
        return "not_advanced", _("Your team did not advance to this round.")
    smallest = round.contest.rules.teams.smallest
    if team.memberships.filter(left_at=None).count() < smallest:
        return "team_small", _("A team needs at least %(smallest)d members.") % {"smallest": smallest}
    return "", ""


@act
def accept(user: User, upload: Upload, key: str, client: str = "web") -> Submission:
    """Hand in a complete upload. The same key again gives the same hand-in, so that a request may be repeated.

    The moment, and with it the day, is the server's at which it is accepted; from now on a slot of that day is held.
    """
    if not (1 <= len(key) <= KEY_LENGTH and key.isprintable()):
        text = _("A hand-in needs a key of 1 to %(most)d characters.")
        raise Refusal("key", text % {"most": KEY_LENGTH}, 422)
    lock(upload)
    team, round_ = upload.team, upload.round
    lock(round_)
    lock(round_.contest)
    _need_right(user, team)
    earlier = Submission.objects.filter(team=team, key=key).first()
    if earlier is not None:
        if earlier.upload_id != upload.pk:
            raise Refusal("key_used", _("This key was used for another hand-in; choose a new one."))
        return earlier
    _need_answer(upload)
    now = clock.now()
    state = quota(team, round_, now)
    if state.why_not:
        raise Refusal(state.code, state.why_not, 429 if state.open else 409)
    submission = Submission.objects.create(
        team=team, round=round_, user=user, upload=upload, key=key, sha256=upload.sha256, size=upload.size,
        accepted_at=now, day=state.day, moved_at=now, slot_no=free_slot(team, round_, state.day),
    )  # fmt: skip
    upload.state, upload.moved_at = "consumed", now
    upload.save(update_fields=["state", "moved_at"])
    evaluation = Evaluation.objects.create(
        submission=submission, truth=round_.truth, scorer=round_.scorer, created_at=now
    )
    ScoreJob.objects.create(evaluation=evaluation, not_before=now, progressed_at=now)
    after = {"day": state.day, "slot": submission.slot_no, "sha256": upload.sha256, "client": client[:40]}
    audit.record(user, "submission.accept", submission, after=after)
    return submission


def free_slot(team: Team, round: Round, day: date) -> int:  # noqa: A002
    """The lowest number, from 1, that no hand-in of that day holds; it may be more than the round allows."""
    todays = Submission.objects.filter(team=team, round=round, day=day, slot__in=HOLDING)
    taken = set(todays.values_list("slot_no", flat=True))
    return next(number for number in range(1, len(taken) + 2) if number not in taken)


@act
def cancel(user: User, submission: Submission) -> None:
    """Take a hand-in back that nobody has begun to check. The slot is free again; the attempt was one."""
    lock(submission)
    _need_right(user, submission.team)
    if submission.state != "queued":
        raise Refusal("not_queued", _("It is too late: only a hand-in that still waits can be taken back."))
    now = clock.now()
    ScoreJob.objects.filter(evaluation__submission=submission, state="ready").update(state="dead")
    submission.evaluations.filter(status="pending").update(status="failed", finished_at=now)
    submission.state, submission.slot, submission.moved_at = "cancelled", "free", now
    submission.save(update_fields=["state", "slot", "moved_at"])
    audit.record(user, "submission.cancel", submission, {"state": "queued"}, {"state": "cancelled"})
    grants.entitle(submission)


def _need_right(user: User, team: Team) -> None:
    """Members hand in for their team, organisers for a baseline."""
    lock(team)
    if not (user.is_staff if team.exhibition else teams.is_member(user, team) and not user.is_staff):
        raise Refusal("no_member", _("Only members of the team may do this."), 403)


def _need_answer(upload: Upload) -> None:
    if upload.state == "consumed":
        raise Refusal("upload_used", _("This file was handed in already."))
    if upload.purpose != "answer" or upload.state != "complete" or not upload.sha256:
        raise Refusal("upload_incomplete", _("This upload is not complete; finish it first."))
