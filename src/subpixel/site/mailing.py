"""Mails about accounts: they go through the outbox too, in the language of the page that asked for them."""

from __future__ import annotations

import uuid
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.http import HttpRequest
from django.utils import translation

from subpixel.site import outbox
from subpixel.site.acts import tokens
from subpixel.site.models import User


class Adapter(DefaultAccountAdapter):
    """How django-allauth makes people and writes to them here."""

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Writes one mail about an account into the outbox."""
        message = self.render_mail(template_prefix, email, {"request": self.request, "email": email, **context})
        kind = template_prefix.rpartition("/")[2]
        with transaction.atomic():
            outbox.write(kind, f"{kind}:{uuid.uuid4()}", email, message.subject, message.body)

    def format_email_subject(self, subject: str) -> str:
        """The subject as it is."""
        return subject

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """A new person, who is written to in the language of the page."""
        user.locale = translation.get_language() or "en"
        return super().save_user(request, user, form, commit)

    def set_password(self, user: User, password: str) -> None:
        """A new password, which ends what was open under the old one: sessions and tokens."""
        super().set_password(user, password)
        tokens.revoke_all(user)

    def send_account_already_exists_mail(self, email: str) -> None:
        """Tells the owner of an address that somebody registered with it, in the time that a new account takes."""
        make_password(email)
        super().send_account_already_exists_mail(email)
