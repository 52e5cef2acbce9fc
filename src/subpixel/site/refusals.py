"""What a person may not do, told in a sentence."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from subpixel.site.models import User

REASON_LENGTH = 500


class Refusal(Exception):
    """An act is refused. code: for programs; sentence: for people, in the language that was active; status: of HTTP.

    403: not this person; 404: no such thing; 409: not now; 422: not these values; 429: not so often.
    """

    def __init__(self, code: str, sentence: Any, status: int = 409) -> None:
        super().__init__(str(sentence))
        self.code, self.sentence, self.status = code, str(sentence), status


def plain(text: str) -> str:
    """Text without spaces around it and without the sign that PostgreSQL cannot store."""
    return text.replace("\0", "").strip()


def need_staff(by: User) -> None:
    """Raises Refusal unless this is an organiser."""
    if not (by.is_active and by.is_staff):
        raise Refusal("staff_only", _("Only the contest's organisers may do this."), 403)


def need_reason(reason: str) -> str:
    """The reason without spaces around it; raises Refusal for none, or one too long to be kept."""
    reason = plain(reason)
    if not 1 <= len(reason) <= REASON_LENGTH:
        text = _("Give a reason, of at most %(most)d characters; it is kept in the audit trail.")
        raise Refusal("reason", text % {"most": REASON_LENGTH}, 422)
    return reason
