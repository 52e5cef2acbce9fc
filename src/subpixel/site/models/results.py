"""What follows from scores: snapshots, who goes on, reviews, sanctions, compute grants."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from subpixel.site.models.contests import Contest, Round
from subpixel.site.models.submissions import Submission, Upload
from subpixel.site.models.teams import Team


class Snapshot(models.Model):
    """A round's ranking as it was made official; never changed, a later sanction writes the next version.

    rows: in the order of ranks, see `board.rows`; sha256: of their canonical JSON.
    """

    round = models.ForeignKey(Round, models.PROTECT, related_name="snapshots")
    version = models.PositiveSmallIntegerField()
    reason = models.CharField(max_length=500)
    rows = models.JSONField()
    sha256 = models.CharField(max_length=64)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    taken_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["round", "version"], name="one_snapshot_a_version")]


class Advancement(models.Model):
    """A team that may hand in to a round because of a snapshot of the one before."""

    round = models.ForeignKey(Round, models.PROTECT, related_name="advancements")
    team = models.ForeignKey(Team, models.PROTECT, related_name="advancements")
    snapshot = models.ForeignKey(Snapshot, models.PROTECT)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["round", "team"], name="one_advancement_a_team")]


class Flag(models.Model):
    """A suspicion, never a judgement: raised by the machine or a person, decided by an organiser.

    key: what makes it one of a kind, so that it is raised once. blocking: the round cannot be finalised while it is
    open.
    """

    STATES: ClassVar = [("open", _("open")), ("confirmed", _("confirmed")), ("dismissed", _("dismissed"))]

    round = models.ForeignKey(Round, models.PROTECT, related_name="flags")
    kind = models.CharField(max_length=40)
    key = models.CharField(max_length=200, unique=True)
    teams = models.ManyToManyField(Team, related_name="flags")
    submissions = models.ManyToManyField(Submission, related_name="flags")
    evidence = models.JSONField(default=dict)
    blocking = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=STATES, default="open")
    decision = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    raised_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)


class CodeReview(models.Model):
    """A look at a team's source, asked for by an organiser."""

    STATES: ClassVar = [
        ("requested", _("requested")),
        ("submitted", _("submitted")),
        ("in_review", _("in review")),
        ("passed", _("passed")),
        ("failed", _("failed")),
        ("waived", _("waived")),
    ]

    round = models.ForeignKey(Round, models.PROTECT, related_name="reviews")
    team = models.ForeignKey(Team, models.PROTECT, related_name="reviews")
    state = models.CharField(max_length=10, choices=STATES, default="requested")
    deadline = models.DateTimeField()
    upload = models.ForeignKey(Upload, models.PROTECT, null=True, related_name="+")
    statement = models.TextField(blank=True)
    findings = models.TextField(blank=True)
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    requested_at = models.DateTimeField()
    moved_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["round", "team"], name="one_review_a_team")]


class Sanction(models.Model):
    """What an organiser decided against a team. lifted_at: when it was taken back."""

    KINDS: ClassVar = [("disqualified", _("disqualified")), ("rank_cancelled", _("rank cancelled"))]

    team = models.ForeignKey(Team, models.PROTECT, related_name="sanctions")
    round = models.ForeignKey(Round, models.PROTECT, null=True, blank=True)
    kind = models.CharField(max_length=16, choices=KINDS)
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    decided_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True)


class GrantEntitlement(models.Model):
    """The right to ask for compute: `submission` scored higher than `previous`, the round's one before it."""

    team = models.ForeignKey(Team, models.PROTECT, related_name="entitlements")
    round = models.ForeignKey(Round, models.PROTECT, related_name="entitlements")
    submission = models.OneToOneField(Submission, models.PROTECT, related_name="entitlement")
    previous = models.ForeignKey(Submission, models.PROTECT, related_name="+")
    earned_at = models.DateTimeField()


class GrantApplication(models.Model):
    """A team asks for the hours of one entitlement; number counts its applications in a round, from 1."""

    STATES: ClassVar = [("pending", _("pending")), ("approved", _("approved")), ("declined", _("declined"))]

    entitlement = models.OneToOneField(GrantEntitlement, models.PROTECT, related_name="application")
    team = models.ForeignKey(Team, models.PROTECT, related_name="applications")
    round = models.ForeignKey(Round, models.PROTECT, related_name="applications")
    number = models.PositiveSmallIntegerField()
    hours = models.PositiveIntegerField()
    purpose = models.TextField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    applied_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=STATES, default="pending")
    decision = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "round", "number"], name="one_application_a_number")
        ]


class HourLedger(models.Model):
    """Hours of compute given to a team (positive) and used by it (negative); the balance is the sum. Append-only."""

    KINDS: ClassVar = [("base", _("base")), ("grant", _("grant")), ("use", _("use")), ("correction", _("correction"))]

    contest = models.ForeignKey(Contest, models.PROTECT)
    team = models.ForeignKey(Team, models.PROTECT, related_name="hours")
    kind = models.CharField(max_length=10, choices=KINDS)
    hours = models.DecimalField(max_digits=9, decimal_places=2)
    application = models.OneToOneField(GrantApplication, models.PROTECT, null=True)
    note = models.CharField(max_length=200, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    booked_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team"], condition=models.Q(kind="base"), name="base_hours_are_given_once")
        ]
