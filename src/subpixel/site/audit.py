"""The audit trail: every act leaves an event, chained to the one before by its hash."""

from __future__ import annotations

import hashlib
import json
from contextvars import ContextVar
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models, transaction

from subpixel.site import clock
from subpixel.site.models import AuditEvent, User

ip: ContextVar[str | None] = ContextVar("ip", default=None)  # of the request at hand
START = "0" * 64
_LOCK = 0x5355425049584C  # any number, the same for all who act on a database


def record(
    by: User | None,
    action: str,
    subject: models.Model,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
) -> AuditEvent:
    """Write an event in the transaction at hand; it is there if, and only if, what it tells of is.

    by: None for the machine. action: such as "team.create". before, after: what changed, without personal data, for
    events are never erased.
    """
    lock()
    event = AuditEvent(
        at=clock.now(),
        actor=by,
        ip=ip.get() if by else None,
        action=action,
        subject=f"{subject._meta.model_name}:{subject.pk}",
        reason=reason,
        before=_plain(before or {}),
        after=_plain(after or {}),
        prev_hash=AuditEvent.objects.order_by("-id").values_list("hash", flat=True).first() or START,
    )
    event.hash = digest(event)
    event.save(force_insert=True)
    return event


def lock() -> None:
    """Wait until no other transaction acts, and keep others waiting until this one ends.

    On SQLite every transaction is IMMEDIATE, and so alone anyway.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("An act needs a transaction; use acts.turns.act.")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def digest(event: AuditEvent) -> str:
    """SHA-256 of an event's prev_hash and the canonical JSON of its other fields."""
    fields = {
        "at": event.at.timestamp(),
        "actor": event.actor_id,
        "ip": event.ip,
        "action": event.action,
        "subject": event.subject,
        "reason": event.reason,
        "before": event.before,
        "after": event.after,
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256((event.prev_hash + text).encode()).hexdigest()


def verify() -> list[str]:
    """What is wrong with the trail: nothing, or a sentence for each event that was changed, or removed before it."""
    problems, last = [], START
    for event in AuditEvent.objects.order_by("id").iterator():
        if event.prev_hash != last:
            problems.append(f"Before event {event.pk} ({event.action}) an event is missing or was changed.")
        if event.hash != digest(event):
            problems.append(f"Event {event.pk} ({event.action}, {event.subject}) was changed.")
        last = event.hash
    return problems


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from JSON."""
    return dict(json.loads(json.dumps(values, cls=DjangoJSONEncoder)))
