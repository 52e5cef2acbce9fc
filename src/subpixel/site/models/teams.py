"""Teams, who is in them, and invitations."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from subpixel.site.models.contests import Contest


class Team(models.Model):
    """A team. key: its name without differences that the eye does not see. exhibition: shown, but without a rank, such
    as the baseline. framework: what its solution is declared to be trained with; given_data_only: that it used no
    other data.
    """

    STATES: ClassVar = [
        ("active", _("active")),
        ("withdrawn", _("withdrawn")),
        ("disqualified", _("disqualified")),
    ]

    contest = models.ForeignKey(Contest, models.PROTECT, related_name="teams")
    name = models.CharField(max_length=40)
    key = models.CharField(max_length=120, editable=False)
    captain = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    state = models.CharField(max_length=12, choices=STATES, default="active")
    exhibition = models.BooleanField(default=False)
    framework = models.CharField(max_length=60, blank=True)
    given_data_only = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["contest", "key"], name="one_team_a_name")]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's time in a team; left_at is null while it lasts."""

    contest = models.ForeignKey(Contest, models.PROTECT)
    team = models.ForeignKey(Team, models.PROTECT, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="memberships")
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["contest", "user"], condition=Q(left_at__isnull=True), name="one_team_a_person"
            )
        ]


class Invite(models.Model):
    """An invitation to one mail address, good once. Only the SHA-256 of its token is kept."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="invites")
    email = models.EmailField()
    digest = models.CharField(max_length=64, unique=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    used_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True)
