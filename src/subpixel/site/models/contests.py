"""Contests, their rounds, what is handed out, and versions of the truth."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from subpixel.challenge.rules import Rules


class Contest(models.Model):
    """A contest. rules_text: its rule file, which says all that no column here says. paused: no hand-ins for now.

    retention_until: the day on which addresses and other personal data are erased.
    """

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    zone = models.CharField(max_length=64)
    rules_text = models.TextField()
    teams_open = models.DateTimeField()
    teams_end = models.DateTimeField()
    paused = models.BooleanField(default=False)
    retention_until = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(teams_end__gt=F("teams_open")), name="team_window_has_a_length")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def rules(self) -> Rules:
        """The rules; windows and quotas are those of the rows, which organisers may change, not these."""
        return Rules.parse(self.rules_text, f"Rules of {self.slug}")


class Round(models.Model):
    """One round. `end` is the first moment that does not belong to it.

    manifest: the text of manifest.json, "" until data are there. truth: the version that ranks are by now. board: what
    teams see of it; frozen: as it was at `frozen_at`. finalised_at: when its first snapshot was taken.
    """

    BOARDS: ClassVar = [("live", _("live")), ("frozen", _("frozen")), ("hidden", _("hidden"))]

    contest = models.ForeignKey(Contest, models.PROTECT, related_name="rounds")
    number = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=60)
    opens = models.DateTimeField()
    end = models.DateTimeField()
    valid_per_day = models.PositiveSmallIntegerField(default=1)
    attempts_per_day = models.PositiveSmallIntegerField(default=10)
    advance = models.PositiveSmallIntegerField(default=0)
    decimals = models.PositiveSmallIntegerField(default=4)
    grants = models.PositiveSmallIntegerField(null=True, blank=True)
    manifest = models.TextField(blank=True)
    scorer = models.CharField(max_length=40)
    truth = models.ForeignKey("Truth", models.PROTECT, null=True, blank=True, related_name="+")
    board = models.CharField(max_length=8, choices=BOARDS, default="live")
    frozen_at = models.DateTimeField(null=True, blank=True)
    finalised_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["contest", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["contest", "number"], name="one_round_a_number"),
            models.UniqueConstraint(fields=["contest", "name"], name="one_round_a_name"),
            models.CheckConstraint(condition=Q(end__gt=F("opens")), name="round_has_a_length"),
            models.CheckConstraint(condition=Q(attempts_per_day__gte=F("valid_per_day")), name="attempts_are_enough"),
        ]

    def __str__(self) -> str:
        return self.name


class Truth(models.Model):
    """A version of a round's truth. folder: its name in the store of truths, which only the worker reads."""

    round = models.ForeignKey(Round, models.PROTECT, related_name="truths")
    version = models.CharField(max_length=64)
    folder = models.CharField(max_length=200)
    added_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["round", "version"], name="one_truth_a_version")]


class DataFile(models.Model):
    """A file handed out with a round. key: in the store of public files; from `visible_from` everyone may have it."""

    KINDS: ClassVar = [
        ("train", _("training data")),
        ("test", _("test clips")),
        ("manifest", _("manifest")),
        ("rules", _("rules")),
        ("baseline", _("baseline")),
        ("other", _("other")),
    ]

    round = models.ForeignKey(Round, models.PROTECT, related_name="files")
    kind = models.CharField(max_length=10, choices=KINDS)
    name = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    visible_from = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["kind", "name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["round", "name"], name="one_data_file_a_name")]


class Announcement(models.Model):
    """News of a contest in Markdown, in both languages; an empty text falls back to the other."""

    contest = models.ForeignKey(Contest, models.CASCADE, related_name="announcements")
    title_en = models.CharField(max_length=200, blank=True)
    title_zh = models.CharField(max_length=200, blank=True)
    text_en = models.TextField(blank=True)
    text_zh = models.TextField(blank=True)
    published_at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT)

    class Meta:
        ordering: ClassVar = ["-published_at"]
