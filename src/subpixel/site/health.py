"""Whether the site is well: for a probe at /health, and in figures for organisers."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from subpixel.site import clock
from subpixel.site.models import Outbox, ScoreJob, Submission
from subpixel.site.models.submissions import UNFINISHED

SLOW = timedelta(minutes=15)  # a hand-in that nobody took up in that time wants an organiser
LONGEST = timedelta(minutes=45)  # no hand-in may go without progress for longer
LEAST_DISK = 2 << 30
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Health:
    """Figures of one moment.

    waiting, running: score jobs. oldest: when the hand-in that waits longest last moved. faults: hand-ins that failed
    by our fault and still stand so. mails: unsent; stuck: of those, tried three times and more. disk: free bytes.
    problems: sentences, none where all is well. bad: whether hand-ins are in danger, not only late.
    """

    at: datetime
    waiting: int
    running: int
    oldest: datetime | None
    faults: int
    mails: int
    stuck: int
    disk: int
    problems: tuple[str, ...]
    bad: bool


def report() -> Health:
    """How the site is now. Raises DatabaseError where the database cannot be asked."""
    now = clock.now()
    unfinished = Submission.objects.filter(state__in=UNFINISHED)
    oldest = unfinished.order_by("moved_at").values_list("moved_at", flat=True).first()
    faults = Submission.objects.filter(state="fault").count()
    unsent = Outbox.objects.filter(sent_at=None)
    stuck = unsent.filter(attempts__gte=3).count()
    disk = shutil.disk_usage(settings.SITE.folder).free
    late = _late(now)
    bad = [f"Only {disk >> 20} MB of disk are free; hand-ins need more."] if disk < LEAST_DISK else []
    if late:
        bad.append(f"{late} hand-ins made no progress in {LONGEST.seconds // 60} minutes: does a worker run?")
    poor = [f"{faults} hand-ins failed by our fault; requeue them."] if faults else []
    if not late and _late(now, SLOW):
        poor.append(f"A hand-in has waited for {SLOW.seconds // 60} minutes; add workers, or look whether one runs.")
    if stuck:
        poor.append(f"{stuck} mails could not be sent; see the outbox.")
    return Health(
        at=now,
        waiting=ScoreJob.objects.filter(state="ready").count(),
        running=ScoreJob.objects.filter(state="leased", lease_until__gt=now).count(),
        oldest=oldest,
        faults=faults,
        mails=unsent.count(),
        stuck=stuck,
        disk=disk,
        problems=(*bad, *poor),
        bad=bool(bad),
    )


def _late(now: datetime, span: timedelta = LONGEST) -> int:
    """Jobs of hand-ins that are not final and did not move for a time."""
    jobs = ScoreJob.objects.filter(state__in=["ready", "leased"], progressed_at__lt=now - span, not_before__lte=now)
    return jobs.count()


def unmigrated() -> list[str]:
    """Changes of the tables that the database does not have yet."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


@require_safe
@never_cache
def health(request: HttpRequest) -> JsonResponse:
    """For a probe: 200 with "ok" or "late", 503 with "bad"; organisers get the figures too."""
    try:
        found = report()
        status = "bad" if found.bad else "late" if found.problems else "ok"
        full = request.user.is_authenticated and request.user.is_staff
    except DatabaseError:
        _log.exception("The database does not answer.")
        return JsonResponse({"status": "bad"}, status=503)
    answer = {"status": status, **(dataclasses.asdict(found) if full else {})}
    return JsonResponse(answer, status=503 if found.bad else 200)
