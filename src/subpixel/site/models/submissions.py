"""Hand-ins from the first byte to the score."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from subpixel.site.models.contests import Round, Truth
from subpixel.site.models.teams import Team

UNFINISHED = ("queued", "checking", "scoring")
FINAL = ("scored", "invalid", "fault", "cancelled", "voided")
HOLDING = ("held", "spent")


class Upload(models.Model):
    """A resumable upload (tus 1.0). purpose: an answer, or the source code asked for by a review.

    offset: bytes that are safely on disk. sha256: of the whole file, "" until it is complete. One may be open for each
    team and purpose.
    """

    STATES: ClassVar = [
        ("receiving", _("receiving")),
        ("complete", _("complete")),
        ("consumed", _("handed in")),
        ("expired", _("expired")),
        ("aborted", _("aborted")),
    ]

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, models.PROTECT, related_name="uploads")
    round = models.ForeignKey(Round, models.PROTECT, related_name="uploads")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=8, default="answer", choices=[("answer", "answer"), ("review", "review")])
    name = models.CharField(max_length=200)
    size = models.BigIntegerField()
    offset = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=10, choices=STATES, default="receiving")
    created_at = models.DateTimeField()
    moved_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["team", "purpose"], condition=Q(state="receiving"), name="one_open_upload_a_team"
            ),
            models.CheckConstraint(condition=Q(offset__gte=0) & Q(offset__lte=F("size")), name="offset_within_size"),
        ]


class Submission(models.Model):
    """A hand-in. accepted_at and day (of the contest's zone) are fixed when it is accepted.

    slot: one of the team's valid hand-ins of that day, number slot_no from 1: held while in flight, spent when
    scored, free otherwise. counted: whether it is one of the day's attempts. key: what a client calls it, so that a
    repeated request makes no second one. problems: what the validator said. A file of answers is stored under its
    sha256.
    """

    STATES: ClassVar = [
        ("queued", _("queued")),
        ("checking", _("checking")),
        ("scoring", _("scoring")),
        ("scored", _("scored")),
        ("invalid", _("invalid")),
        ("fault", _("our fault")),
        ("cancelled", _("cancelled")),
        ("voided", _("voided")),
    ]
    SLOTS: ClassVar = [("held", _("held")), ("spent", _("spent")), ("free", _("free"))]

    team = models.ForeignKey(Team, models.PROTECT, related_name="submissions")
    round = models.ForeignKey(Round, models.PROTECT, related_name="submissions")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    upload = models.OneToOneField(Upload, models.PROTECT, related_name="submission")
    key = models.CharField(max_length=80)
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    accepted_at = models.DateTimeField()
    day = models.DateField()
    state = models.CharField(max_length=10, choices=STATES, default="queued")
    moved_at = models.DateTimeField()
    slot = models.CharField(max_length=5, choices=SLOTS, default="held")
    slot_no = models.PositiveSmallIntegerField()
    counted = models.BooleanField(default=True)
    reason = models.CharField(max_length=500, blank=True)
    problems = models.JSONField(default=list, blank=True)
    notes = models.JSONField(default=list, blank=True)

    class Meta:
        ordering: ClassVar = ["-accepted_at", "-id"]
        indexes: ClassVar = [models.Index(fields=["round", "state"]), models.Index(fields=["team", "round", "day"])]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["team", "round", "day", "slot_no"], condition=Q(slot__in=HOLDING), name="one_holder_a_slot"
            ),
            models.UniqueConstraint(fields=["team", "key"], name="one_submission_a_key"),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "checking", "scoring"], slot="held")
                | Q(state__in=["scored", "voided"], slot="spent")
                | Q(state__in=["invalid", "fault", "cancelled"], slot="free"),
                name="slot_follows_state",
            ),
        ]


class Evaluation(models.Model):
    """A hand-in against one version of truth and scorer. sse, n: exact sums over all samples; PSNR is made of them.

    clips: sums of each clip, which nobody but organisers may see.
    """

    submission = models.ForeignKey(Submission, models.PROTECT, related_name="evaluations")
    truth = models.ForeignKey(Truth, models.PROTECT)
    scorer = models.CharField(max_length=40)
    status = models.CharField(max_length=8, default="pending", choices=[(s, s) for s in ("pending", "ok", "failed")])
    sse = models.BigIntegerField(null=True, blank=True)
    n = models.BigIntegerField(null=True, blank=True)
    clips = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["submission", "truth", "scorer"], name="one_evaluation_a_version"),
            models.CheckConstraint(
                condition=~Q(status="ok") | (Q(sse__gte=0) & Q(n__gt=0)), name="a_score_has_finite_sums"
            ),
        ]


class ScoreJob(models.Model):
    """The work of an evaluation. A worker leases it until lease_until and renews; fence rises with each lease, so that
    a worker whose lease was given to another can write nothing any more.
    """

    evaluation = models.OneToOneField(Evaluation, models.PROTECT, related_name="job")
    state = models.CharField(
        max_length=6, default="ready", choices=[(s, s) for s in ("ready", "leased", "done", "dead")]
    )
    owner = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.BigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField()
    frames_done = models.PositiveIntegerField(default=0)
    frames = models.PositiveIntegerField(default=0)
    progressed_at = models.DateTimeField()
    error = models.TextField(blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["state", "not_before"])]
