"""Tokens of the API, by which a person's programs act for them."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.utils.translation import gettext as _

from subpixel.site import audit, clock
from subpixel.site.acts.turns import act
from subpixel.site.models import ApiToken, User
from subpixel.site.refusals import Refusal

PREFIX = "spx_"  # by which scanners of published code know a lost token
LONGEST = 366
MOST = 10
_USE = timedelta(minutes=1)


@act
def issue(user: User, name: str, scope: str = "submit", days: int = 90) -> str:
    """Make a token; it is told this once, and only its SHA-256 is kept.

    scope: "read" or "submit". days: until it expires, 1 to 366. Raises Refusal for other values and an eleventh token.
    """
    name, now = name.strip(), clock.now()
    if not 1 <= len(name) <= 60:
        raise Refusal("token_name", _("Give the token a name of at most 60 characters."), 422)
    if scope not in dict(ApiToken.SCOPES) or not 1 <= days <= LONGEST:
        raise Refusal("token_values", _("A token may read, or read and hand in, for at most 366 days."), 422)
    if user.tokens.filter(revoked_at=None, expires_at__gt=now).count() >= MOST:
        raise Refusal("tokens", _("You have ten tokens; revoke one first."))
    token = PREFIX + secrets.token_urlsafe(32)
    row = ApiToken.objects.create(
        user=user, name=name, digest=_digest(token), scope=scope, created_at=now, expires_at=now + timedelta(days=days)
    )
    audit.record(user, "token.issue", row, after={"scope": scope, "expires_at": row.expires_at})
    return token


@act
def revoke(user: User, token: ApiToken) -> None:
    """End a token of one's own. Raises Refusal for another's."""
    if not ApiToken.objects.filter(pk=token.pk, user=user, revoked_at=None).update(revoked_at=clock.now()):
        raise Refusal("no_token", _("There is no such token."), 404)
    audit.record(user, "token.revoke", token)


@act
def revoke_all(user: User) -> None:
    """End every token of a person, such as when their password changes."""
    for token in user.tokens.filter(revoked_at=None):
        ApiToken.objects.filter(pk=token.pk).update(revoked_at=clock.now())
        audit.record(user, "token.revoke", token)


def holder(token: str) -> ApiToken | None:
    """The row of a token that is good now, with its user; None for any other."""
    now = clock.now()
    row = (
        ApiToken.objects.select_related("user")
        .filter(digest=_digest(token), revoked_at=None, expires_at__gt=now, user__is_active=True)
        .first()
    )
    if row and (row.used_at is None or row.used_at < now - _USE):
        ApiToken.objects.filter(pk=row.pk).update(used_at=now)
    return row


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
