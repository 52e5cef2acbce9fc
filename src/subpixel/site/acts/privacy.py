"""The end of personal data: what a person's row is called by goes, what others' results rest on stays."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from django.contrib.sessions.models import Session
from django.db.models import Q
from django.utils.translation import gettext as _

from subpixel.site import audit, clock
from subpixel.site.acts.turns import act, lock
from subpixel.site.models import Contest, Invite, Membership, Outbox, Team, User
from subpixel.site.refusals import Refusal, need_reason, need_staff

NOWHERE = "erased.invalid"


@act
def erase(by: User | None, user: User, reason: str) -> None:
    """Remove a person's name, addresses, password, tokens, sessions and mails, for good.

    by: an organiser, the person, or None for the machine. Hand-ins and ranks stay with the team, whose next member
    becomes captain. Raises Refusal for organisers and those erased before.
    """
    reason = need_reason(reason)
    if by is not None and by.pk != user.pk:
        need_staff(by)
    lock(user)
    if user.is_staff:
        raise Refusal("staff", _("An organiser's acts bear their name; take away their rights first."))
    if user.erased_at:
        raise Refusal("erased", _("This person's data are erased already."))
    addresses = {user.email, *EmailAddress.objects.filter(user=user).values_list("email", flat=True)}
    _leave(user)
    _forget_mails(addresses, str(user))
    EmailAddress.objects.filter(user=user).delete()
    user.tokens.all().delete()
    _log_out(user)
    user.email, user.name, user.shirt, user.is_active = f"{user.pk}@{NOWHERE}", "", "", False
    user.erased_at, user.last_login = clock.now(), None
    user.set_unusable_password()
    user.save()
    audit.record(by, "user.erase", user, reason=reason)


def due() -> list[User]:
    """People who took part in contests whose data are no longer to be kept, and in no other."""
    today = clock.now().date()
    over = Contest.objects.filter(retention_until__lt=today)
    kept = Contest.objects.exclude(pk__in=over)
    found = User.objects.filter(memberships__contest__in=over, erased_at=None, is_staff=False)
    return list(found.exclude(memberships__contest__in=kept).distinct().order_by("pk"))


def _leave(user: User) -> None:
    now = clock.now()
    for one in Membership.objects.filter(user=user, left_at=None).select_related("team"):
        team = lock(one.team)
        Membership.objects.filter(pk=one.pk).update(left_at=now)
        rest = Membership.objects.filter(team=team, left_at=None).order_by("joined_at", "pk").first()
        if team.captain_id == user.pk:
            Team.objects.filter(pk=team.pk).update(captain=rest.user if rest else None)


def _forget_mails(addresses: set[str], name: str) -> None:
    """Mails to the person, and what was sent to others and names them, such as invitations."""
    to = Q()
    for address in addresses:
        to |= Q(recipient__iexact=address)
        Invite.objects.filter(email__iexact=address).update(email=f"invite@{NOWHERE}")
    Outbox.objects.filter(to, sent_at=None).delete()
    Outbox.objects.filter(to).update(recipient=f"mail@{NOWHERE}", subject="", body="", error="")
    Outbox.objects.filter(body__contains=name).exclude(sent_at=None).update(subject="", body="")


def _log_out(user: User) -> None:
    for session in Session.objects.filter(expire_date__gt=clock.now()):
        if session.get_decoded().get("_auth_user_id") == str(user.pk):
            session.delete()
