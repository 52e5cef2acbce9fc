"""What has to be done now and then wherever the site runs: mails, lost leases, uploads that nobody goes on with."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections, connection

from subpixel.site import outbox, uploads
from subpixel.site.acts import scoring

TICK = 0.5
_log = logging.getLogger(__name__)


def run(stop: threading.Event) -> None:
    """Do every chore in its turn until `stop` is set; one that fails is tried again in its next turn."""
    chores: dict[Callable[[], object], float] = {deliver: 2, scoring.reap: 5, uploads.sweep: 30}
    due = dict.fromkeys(chores, 0.0)
    due[scoring.reap] = time.monotonic() + scoring.LEASE  # what waited while nothing ran is first left to the workers
    while not stop.is_set():
        for chore, every in chores.items():
            if time.monotonic() >= due[chore]:
                due[chore] = time.monotonic() + every
                _do(chore)
        stop.wait(TICK)


def deliver() -> int:
    """Send some of the mails that wait."""
    return outbox.deliver(50)


def _do(chore: Callable[[], object]) -> None:
    close_old_connections()
    try:
        chore()
    except Exception:  # whatever it is, the other chores go on
        _log.exception("chore %s failed", chore.__name__)
        connection.close()
