"""Teams: making and naming them, inviting, joining, leaving."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from subpixel.site import audit, clock, outbox
from subpixel.site.acts import names
from subpixel.site.acts.turns import act, lock
from subpixel.site.models import Contest, HourLedger, Invite, Membership, Submission, Team, User
from subpixel.site.refusals import Refusal, need_staff

INVITE_DAYS = 7
INVITES_A_DAY = 20
FRAMEWORK_LENGTH = 60


@act
def create(user: User, contest: Contest, name: str, framework: str = "", given_data_only: bool = False) -> Team:
    """A new team with the user as its captain and the hours of compute that every team has."""
    _need_person(user)
    _need_window(lock(contest))
    _need_no_team(user, contest)
    team = _new(contest, name, captain=user, framework=_framework(framework), given_data_only=given_data_only)
    Membership.objects.create(contest=contest, team=team, user=user, joined_at=team.created_at)
    hours = contest.rules.compute.hours
    if hours:
        HourLedger.objects.create(contest=contest, team=team, kind="base", hours=hours, booked_at=team.created_at)
    audit.record(user, "team.create", team, after={"name": team.name, "hours": hours})
    return team


@act
def exhibit(by: User, contest: Contest, name: str) -> Team:
    """A team without members and rank, such as the baseline, for which organisers hand in."""
    need_staff(by)
    team = _new(lock(contest), name, exhibition=True)
    audit.record(by, "team.exhibit", team, after={"name": team.name})
    return team


@act
def rename(user: User, team: Team, name: str) -> None:
    """Give the team another name, one that no other team has, nor one that looks like it."""
    _need_captain(user, team)
    _need_window(team.contest)
    before, team.name = team.name, names.clean(name)
    team.key = _free_key(team.contest, team.name, team)
    team.save(update_fields=["name", "key"])
    audit.record(user, "team.rename", team, {"name": before}, {"name": team.name})


@act
def declare(user: User, team: Team, framework: str, given_data_only: bool) -> None:
    """Say what the solution is trained with. No change of the team: it is possible at any time."""
    _need_captain(user, team)
    before = {"framework": team.framework, "given_data_only": team.given_data_only}
    team.framework, team.given_data_only = _framework(framework), given_data_only
    team.save(update_fields=["framework", "given_data_only"])
    after = {"framework": team.framework, "given_data_only": team.given_data_only}
    audit.record(user, "team.declare", team, before, after)


@act
def invite(user: User, team: Team, email: str) -> str:
    """Invite an address by mail for a week, in place of an earlier invitation of it; the token, of which only the
    SHA-256 is kept. Whether somebody has this address is not told.
    """
    _need_captain(user, team)
    _need_window(team.contest)
    email, now = _address(email), clock.now()
    if team.invites.filter(created_at__gt=now - timedelta(days=1)).count() >= INVITES_A_DAY:
        text = _("A team sends at most %(most)d invitations a day; go on tomorrow.")
        raise Refusal("too_many_invites", text % {"most": INVITES_A_DAY}, 429)
    _need_place(team)
    team.invites.filter(email=email, used_at=None, revoked_at=None).update(revoked_at=now)
    token = secrets.token_urlsafe(32)
    times = {"created_at": now, "expires_at": now + timedelta(days=INVITE_DAYS)}
    made = Invite.objects.create(team=team, email=email, digest=_digest(token), by=user, **times)
    audit.record(user, "team.invite", team, after={"invite": made.pk})
    subject = format_lazy(gettext_lazy("Invitation to the team {team}"), team=team.name)
    text = gettext_lazy(
        "{who} invites you to the team {team} of {contest}. Log in or register with this address, then "
        "open\n\n{link}\n\nwithin {days} days. If you do not know them, do nothing."
    )
    address = outbox.link(team.contest, f"join/{token}/")
    body = format_lazy(text, who=user, team=team.name, contest=team.contest.name, link=address, days=INVITE_DAYS)
    outbox.write("invite", f"invite:{made.pk}", email, subject, body)
    return token


@act
def revoke(user: User, invite: Invite) -> None:
    """Take an invitation back that nobody has followed yet."""
    _need_captain(user, invite.team)
    lock(invite)
    if invite.used_at:
        raise Refusal("invite_used", _("This invitation has been followed already."))
    if invite.revoked_at is None:
        invite.revoked_at = clock.now()
        invite.save(update_fields=["revoked_at"])
        audit.record(user, "team.revoke", invite.team, after={"invite": invite.pk})


@act
def join(user: User, token: str) -> Team:
    """Follow an invitation to this user's own address."""
    _need_person(user)
    invite = Invite.objects.select_related("team__contest").filter(digest=_digest(token)).first()
    if invite is None or invite.revoked_at:
        raise Refusal("invite_unknown", _("There is no such invitation, or it was taken back; ask for a new one."), 404)
    team, now = lock(invite.team), clock.now()
    if invite.used_at:
        raise Refusal("invite_used", _("This invitation has been followed already."))
    if now >= invite.expires_at:
        raise Refusal("invite_expired", _("This invitation is too old; ask the team's captain for a new one."))
    if invite.email != user.email.lower():
        raise Refusal("invite_address", _("This invitation is for another address than yours."), 403)
    _need_window(team.contest)
    _need_active(team)
    _need_no_team(user, team.contest)
    _need_place(team)
    Membership.objects.create(contest=team.contest, team=team, user=user, joined_at=now)
    invite.used_at, invite.used_by = now, user
    invite.save(update_fields=["used_at", "used_by"])
    audit.record(user, "team.join", team, after={"user": user.pk, "invite": invite.pk})
    return team


@act
def leave(user: User, team: Team) -> None:
    """Leave a team that has handed in nothing yet. Its captain makes another member captain before."""
    need_member(user, team)
    _need_window(team.contest)
    _need_nothing_handed_in(team)
    if team.captain_id == user.pk:
        raise Refusal("captain_stays", _("You are the captain: make another member captain, or disband the team."))
    team.memberships.filter(user=user, left_at=None).update(left_at=clock.now())
    audit.record(user, "team.leave", team, before={"user": user.pk})


@act
def transfer(user: User, team: Team, to_user: User) -> None:
    """Make another member captain."""
    _need_captain(user, team)
    _need_window(team.contest)
    if not is_member(to_user, team):
        raise Refusal("no_member", _("Only a member of the team can become its captain."), 422)
    team.captain = to_user
    team.save(update_fields=["captain"])
    audit.record(user, "team.transfer", team, {"captain": user.pk}, {"captain": to_user.pk})


@act
def disband(user: User, team: Team) -> None:
    """End a team that has handed in nothing yet; its name is free again."""
    _need_captain(user, team)
    _need_window(team.contest)
    _need_nothing_handed_in(team)
    now = clock.now()
    team.memberships.filter(left_at=None).update(left_at=now)
    team.invites.filter(used_at=None, revoked_at=None).update(revoked_at=now)
    team.state, team.key, team.captain = "withdrawn", f"disbanded {team.pk}", None
    team.save(update_fields=["state", "key", "captain"])
    audit.record(user, "team.disband", team, {"name": team.name, "captain": user.pk})


def team_of(user: User, contest: Contest) -> Team | None:
    """The team that a person is in now."""
    return Team.objects.filter(contest=contest, memberships__user=user, memberships__left_at=None).first()


def is_member(user: User, team: Team) -> bool:
    """Whether a person is in a team now."""
    return team.memberships.filter(user=user, left_at=None).exists()


def need_member(user: User, team: Team) -> None:
    """Raises Refusal unless the user is in the team, which takes part."""
    if not is_member(user, lock(team)):
        raise Refusal("no_member", _("Only members of the team may do this."), 403)
    _need_active(team)


def _need_captain(user: User, team: Team) -> None:
    need_member(user, team)
    if team.captain_id != user.pk:
        raise Refusal("no_captain", _("Only the team's captain may do this."), 403)


def _need_active(team: Team) -> None:
    if team.state != "active":
        raise Refusal("team_inactive", _("This team does not take part any more."), 403)


def _need_person(user: User) -> None:
    """Raises Refusal unless the user may take part: a person with a verified address who is no organiser."""
    lock(user)
    if user.is_staff or user.is_superuser:
        raise Refusal("staff", _("Organisers may not take part in their own contest."), 403)
    if not user.is_active or user.erased_at:
        raise Refusal("account_closed", _("This account is closed."), 403)
    if not EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=True).exists():
        raise Refusal("not_verified", _("Confirm your mail address first: follow the link in the mail we sent."), 403)


def _need_window(contest: Contest) -> None:
    now = clock.now()
    if now < contest.teams_open:
        raise Refusal("teams_not_yet", _("Teams cannot be made or changed yet; see the dates of the contest."))
    if now >= contest.teams_end:
        raise Refusal("teams_closed", _("Teams cannot be made or changed any more; see the dates of the contest."))


def _need_no_team(user: User, contest: Contest) -> None:
    if Membership.objects.filter(contest=contest, user=user, left_at=None).exists():
        raise Refusal("has_team", _("You are in a team of this contest already; nobody is in two."))


def _need_place(team: Team) -> None:
    largest = team.contest.rules.teams.largest
    if team.memberships.filter(left_at=None).count() >= largest:
        raise Refusal("team_full", _("A team has at most %(largest)d members.") % {"largest": largest})


def _need_nothing_handed_in(team: Team) -> None:
    """Who could leave a team that has handed in could hand in twice a day, in two teams."""
    if Submission.objects.filter(team=team).exists():
        raise Refusal("has_handed_in", _("The team has handed in, so that its members stay in it."))


def _new(contest: Contest, name: str, **fields: object) -> Team:
    name = names.clean(name)
    return Team.objects.create(
        contest=contest, name=name, key=_free_key(contest, name), created_at=clock.now(), **fields
    )


def _free_key(contest: Contest, name: str, own: Team | None = None) -> str:
    key = names.key(name)
    if Team.objects.filter(contest=contest, key=key).exclude(pk=own.pk if own else None).exists():
        raise Refusal("name_taken", _("Another team has this name, or one that looks the same; choose another."))
    return key


def _framework(framework: str) -> str:
    framework = " ".join(framework.split())
    if len(framework) > FRAMEWORK_LENGTH or not framework.isprintable():
        text = _("Name the framework by at most %(most)d characters.")
        raise Refusal("framework", text % {"most": FRAMEWORK_LENGTH}, 422)
    return framework


def _address(email: str) -> str:
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise Refusal("address", _("This is no mail address: %(email)s") % {"email": email[:80]}, 422) from None
    return email


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
