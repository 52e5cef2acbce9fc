"""Mails, written in the transaction of what they tell of and sent later."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import translation

from subpixel.site import clock
from subpixel.site.models import Contest, Outbox, Team, User

NEWS = ("scored", "invalid", "advanced", "grant")  # what people may choose not to get
ATTEMPTS = 10
FIRST_PAUSE = timedelta(minutes=1)  # doubled by each attempt: 17 hours in all
_log = logging.getLogger(__name__)


def write(kind: str, key: str, to: User | str, subject: Any, body: Any) -> None:
    """Put a mail into the outbox, once for each key.

    to: a person, who gets it in their language unless they are gone or do not want this kind; or an address. subject,
    body: text, lazily translated.
    """
    if isinstance(to, User) and (not to.is_active or to.erased_at or (kind in NEWS and not to.mails)):
        return
    with translation.override(to.locale if isinstance(to, User) else translation.get_language()):
        mail = Outbox(key=key, kind=kind, subject=str(subject)[:200], body=str(body))
    mail.recipient = to.email if isinstance(to, User) else to
    mail.written_at = mail.not_before = clock.now()
    Outbox.objects.bulk_create([mail], ignore_conflicts=True)


def tell_team(team: Team, kind: str, key: str, subject: Any, body: Any) -> None:
    """A mail to each member, of their own; others' addresses are not in it."""
    for user in User.objects.filter(memberships__team=team, memberships__left_at__isnull=True):
        write(kind, f"{key}:{user.pk}", user, subject, body)


def tell_staff(kind: str, key: str, subject: Any, body: Any) -> None:
    """A mail to each organiser."""
    for user in User.objects.filter(is_staff=True, is_active=True):
        write(kind, f"{key}:{user.pk}", user, subject, body)


def link(contest: Contest, path: str = "") -> str:
    """The address of a contest's page, such as .../c/<slug>/join/<token>/."""
    return f"{settings.SITE.url.rstrip('/')}/c/{contest.slug}/{path}"


def deliver(limit: int = 50) -> int:
    """Send mails that are due, the oldest first; the number that was sent.

    A mail is taken by a step that two senders cannot both make, and tried again ever later, ten times in all, if it
    could not be sent. One that was sent by a process which died at once after is sent twice, under the same Message-ID.
    """
    due = Outbox.objects.filter(sent_at=None, not_before__lte=clock.now(), attempts__lt=ATTEMPTS).order_by("pk")
    return sum(_take(mail) and _send(mail) for mail in list(due[:limit]))


def _take(mail: Outbox) -> bool:
    later = clock.now() + FIRST_PAUSE * 2**mail.attempts
    rows = Outbox.objects.filter(pk=mail.pk, attempts=mail.attempts, sent_at=None)
    return bool(rows.update(attempts=mail.attempts + 1, not_before=later))


def _send(mail: Outbox) -> bool:
    """Whether the mail went out; what hindered it is in its row and in the log, without the text."""
    message = EmailMessage(
        " ".join(mail.subject.split()),
        mail.body,
        to=[mail.recipient],
        headers={"Message-ID": f"<outbox-{mail.pk}@{settings.SITE.host}>", "Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except (OSError, ValueError) as error:  # SMTPException is an OSError
        what = f"{type(error).__name__}: {error}"[:300]
        Outbox.objects.filter(pk=mail.pk).update(error=what)
        _log.warning("A mail could not be sent.", extra={"mail": mail.pk, "error": what})
        return False
    Outbox.objects.filter(pk=mail.pk).update(sent_at=clock.now(), error="")
    return True
