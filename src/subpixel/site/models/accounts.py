"""People, and the tokens by which their programs act for them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

LOCALES = [("en", "English"), ("zh-hans", "简体中文")]
SHIRTS = [(size, size) for size in ("XS", "S", "M", "L", "XL", "XXL")]


class People(BaseUserManager):
    """Makes users, who are known by their mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A user with a hashed password; None stands for one that nobody can log in by."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """An organiser with every permission."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    """A person. Staff are the contest's organisers, who may not take part.

    erased_at: when personal data were removed; the row stays for the sake of what points to it.
    """

    username = None
    first_name = None
    last_name = None
    email = models.EmailField(_("e-mail"), unique=True)
    name = models.CharField(_("name"), max_length=80, blank=True)
    locale = models.CharField(_("language"), max_length=8, choices=LOCALES, default="en")
    shirt = models.CharField(_("T-shirt size"), max_length=3, choices=SHIRTS, blank=True)
    mails = models.BooleanField(_("mails about rounds and scores"), default=True)
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = People()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(Lower("email"), name="one_user_a_mail_address")]

    def __str__(self) -> str:
        return self.name or self.email.partition("@")[0]


class ApiToken(models.Model):
    """A token of the API. Only its SHA-256 is kept. scope: what it allows, reading only or handing in too."""

    SCOPES: ClassVar = [("read", _("read")), ("submit", _("read and hand in"))]

    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=60)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scope = models.CharField(max_length=8, choices=SCOPES, default="submit")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
