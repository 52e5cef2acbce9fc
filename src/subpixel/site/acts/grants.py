"""Compute time: the right to ask for more, asking, deciding, and the hours' ledger."""

from __future__ import annotations

from decimal import Decimal

from django.db.models import Q, Sum
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from subpixel.site import audit, board, clock, outbox
from subpixel.site.acts import teams
from subpixel.site.acts.turns import act, lock
from subpixel.site.models import GrantApplication, GrantEntitlement, HourLedger, Submission, Team, User
from subpixel.site.models.submissions import UNFINISHED
from subpixel.site.refusals import Refusal, need_reason, need_staff, plain

PURPOSE_LENGTH = 2000


def entitle(submission: Submission) -> None:
    """Give the rights that follow from a hand-in that reached a final state; within its act.

    A scored hand-in gives one if it is strictly better than the team's scored one before it, in the order of acceptance
    and by the same truth. Those that are accepted later wait until all before them have reached a final state.
    """
    of_team = Submission.objects.filter(team=submission.team_id, round=submission.round_id)
    later = Q(accepted_at__gt=submission.accepted_at) | Q(accepted_at=submission.accepted_at, pk__gte=submission.pk)
    if of_team.filter(state__in=UNFINISHED).exclude(later).exists():
        return
    scored = of_team.filter(state="scored")
    previous = scored.exclude(later).order_by("accepted_at", "pk").last()
    for one in of_team.filter(later, state__in=(*UNFINISHED, "scored")).order_by("accepted_at", "pk"):
        if one.state != "scored":
            return
        if previous is not None and _improved(one, previous) and not GrantEntitlement.objects.filter(submission=one):
            made = GrantEntitlement.objects.create(
                team=one.team, round=one.round, submission=one, previous=previous, earned_at=clock.now()
            )
            audit.record(None, "grant.entitle", made, after={"submission": one.pk, "previous": previous.pk})
        previous = one


def _improved(one: Submission, previous: Submission) -> bool:
    """Whether the pooled error is less, exactly."""
    new, old = board.score(one), board.score(previous)
    return new is not None and old is not None and new[0] * old[1] < old[0] * new[1]


@act
def apply(user: User, entitlement: GrantEntitlement, purpose: str) -> GrantApplication:
    """Ask for the hours of an entitlement, once for each, and so often in a round as it allows."""
    team, round_ = entitlement.team, entitlement.round
    teams.need_member(user, team)
    purpose = plain(purpose)
    if not 1 <= len(purpose) <= PURPOSE_LENGTH:
        text = _("Say what the hours are for, by at most %(most)d characters.")
        raise Refusal("purpose", text % {"most": PURPOSE_LENGTH}, 422)
    if lock(entitlement.submission).state != "scored":
        raise Refusal("not_scored", _("The hand-in that gave this right does not count any more."))
    if GrantApplication.objects.filter(entitlement=entitlement).exists():
        raise Refusal("applied", _("Your team has applied for these hours already."))
    made = GrantApplication.objects.filter(team=team, round=round_).count()
    if round_.grants is not None and made >= round_.grants:
        text = _("A team applies at most %(most)d times in this round.")
        raise Refusal("grants_used", text % {"most": round_.grants}, 429)
    hours = round_.contest.rules.compute.grant_hours
    application = GrantApplication.objects.create(
        entitlement=entitlement, team=team, round=round_, number=made + 1, hours=hours, purpose=purpose, user=user,
        applied_at=clock.now(),
    )  # fmt: skip
    audit.record(user, "grant.apply", application, after={"number": made + 1, "hours": hours})
    body = format_lazy(gettext_lazy("{team} asks for {hours} hours of compute."), team=team.name, hours=hours)
    outbox.tell_staff("grant_asked", f"grant_asked:{application.pk}", gettext_lazy("A team asks for compute"), body)
    return application


@act
def decide(by: User, application: GrantApplication, approve: bool, note: str) -> None:
    """Approve, which books the hours, or decline; either once and for all."""
    need_staff(by)
    if lock(application).state != "pending":
        raise Refusal("decided", _("This application was decided already."))
    application.state, application.decision = "approved" if approve else "declined", plain(note)
    application.by, application.decided_at = by, clock.now()
    application.save()
    if approve:
        _book(application.team, "grant", Decimal(application.hours), by, application=application)
    audit.record(by, f"grant.{application.state}", application, {"state": "pending"}, {"hours": application.hours})
    approved = gettext_lazy("Your application for {hours} hours of compute was approved. {note}")
    declined = gettext_lazy("Your application for {hours} hours of compute was declined. {note}")
    body = format_lazy(approved if approve else declined, hours=application.hours, note=application.decision)
    subject = gettext_lazy("Your application for compute")
    outbox.tell_team(application.team, "grant", f"grant:{application.pk}", subject, body)


@act
def book(by: User, team: Team, hours: Decimal, note: str) -> None:
    """Book hours: negative for use, positive for a correction; the note says what for."""
    need_staff(by)
    note, hours = need_reason(note), round(Decimal(hours), 2)
    if not hours or not abs(hours) < Decimal(10) ** 7:
        raise Refusal("hours", _("Book a number of hours other than 0 and below 10 million."), 422)
    entry = _book(lock(team), "use" if hours < 0 else "correction", hours, by, note=note[:200])
    audit.record(by, "hours.book", entry, after={"team": team.pk, "hours": hours}, reason=note)


def _book(team: Team, kind: str, hours: Decimal, by: User, **fields: object) -> HourLedger:
    return HourLedger.objects.create(
        contest=team.contest, team=team, kind=kind, hours=hours, by=by, booked_at=clock.now(), **fields
    )


def balance(team: Team) -> Decimal:
    """Hours that the team has left."""
    total: Decimal | None = HourLedger.objects.filter(team=team).aggregate(sum=Sum("hours"))["sum"]
    return total or Decimal(0)
