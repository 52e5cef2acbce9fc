"""The tables of the site."""

from subpixel.site.models.accounts import ApiToken, User
from subpixel.site.models.contests import Announcement, Contest, DataFile, Round, Truth
from subpixel.site.models.records import AuditEvent, Outbox
from subpixel.site.models.results import (
    Advancement,
    CodeReview,
    Flag,
    GrantApplication,
    GrantEntitlement,
    HourLedger,
    Sanction,
    Snapshot,
)
from subpixel.site.models.submissions import Evaluation, ScoreJob, Submission, Upload
from subpixel.site.models.teams import Invite, Membership, Team

__all__ = [
    "Advancement",
    "Announcement",
    "ApiToken",
    "AuditEvent",
    "CodeReview",
    "Contest",
    "DataFile",
    "Evaluation",
    "Flag",
    "GrantApplication",
    "GrantEntitlement",
    "HourLedger",
    "Invite",
    "Membership",
    "Outbox",
    "Round",
    "Sanction",
    "ScoreJob",
    "Snapshot",
    "Submission",
    "Team",
    "Truth",
    "Upload",
    "User",
]
