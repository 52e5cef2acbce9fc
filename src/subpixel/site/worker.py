"""The worker: takes hand-ins by leases, has them judged in processes of their own, and tells the verdicts.

Nothing it believes about its lease matters: every word goes through `acts.scoring`, which knows the fence.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from subpixel.challenge.manifest import Manifest
from subpixel.challenge.tables import filled
from subpixel.site import files
from subpixel.site.acts import scoring
from subpixel.site.acts.scoring import Lease
from subpixel.site.judging import EXECUTORS, Executor, Failed, Job

TICK = 0.5  # seconds between looks at what else is to be done
REAP = 5.0  # seconds between looks for lost leases
PATIENCE = 120.0  # seconds for which a database that does not answer is asked again
PAUSE = 1.0  # seconds between two such questions
_log = logging.getLogger(__name__)
T = TypeVar("T")


def run(owner: str, executor: str, stop: threading.Event) -> None:
    """Work until `stop` is set; what is in hand then goes back to the queue, and it counts as no attempt.

    owner: name of this worker. No two run by the same name, so that its leases are those of one that died.
    """
    judge = EXECUTORS[executor]
    _patiently(lambda: scoring.reap(owner), stop)
    reaped = time.monotonic()
    while not stop.is_set():
        close_old_connections()
        if time.monotonic() >= reaped + REAP:
            reaped = time.monotonic()
            _patiently(scoring.reap, stop)
        lease = _patiently(lambda: scoring.claim(owner), stop)
        if lease is None:
            stop.wait(TICK)
        else:
            work(lease, judge, stop)


def work(lease: Lease, judge: Executor, stop: threading.Event) -> None:
    """Bring one leased hand-in to its end, or back into the queue."""
    _log.info("judging", extra=_of(lease))
    try:
        with contextlib.closing(judge(_job(lease), TICK)) as lines:
            verdict = _verdict(lease, lines, stop)
        if verdict is None:
            _patiently(lambda: scoring.release(lease), stop)
        else:
            _hold(lambda: scoring.finish(lease, verdict), stop)
    except _LeaseLost:
        _log.warning("lease lost", extra=_of(lease))
    except (OperationalError, InterfaceError):
        raise  # nothing can be told to anybody; the lease runs out
    except Exception as error:  # whatever it is, the hand-in is tried again, and is a fault at last
        _log.warning("failed: %s", error, extra=_of(lease))
        sentence = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        _patiently(lambda: scoring.fail(lease, sentence), stop)
    finally:
        files.store("submissions").release(lease.sha256)


def _of(lease: Lease) -> dict[str, Any]:
    return {"fields": {"submission": lease.submission, "fence": lease.fence}}


class _LeaseLost(Exception):
    """Another has the hand-in by now."""


def _job(lease: Lease) -> Job:
    return Job(
        tar=str(files.store("submissions").path(lease.sha256)),
        manifest=lease.manifest,
        rules=lease.rules_text,
        truth=str(files.truths() / lease.truth_folder),
    )


def _verdict(lease: Lease, lines: Iterator[bytes | None], stop: threading.Event) -> dict[str, Any] | None:
    """What the process says in the end, with the lease kept alive meanwhile; None if this worker is to stop."""
    manifest = filled(Manifest, json.loads(lease.manifest), "The manifest")
    frames = sum(clip.frames for clip in manifest.clips)
    done, told = 0, time.monotonic()
    for line in lines:
        if stop.is_set():
            return None
        if line is not None:
            word = _word(line)
            if "verdict" in word:
                return _locked(word["verdict"])
            if "fault" in word:
                raise Failed(str(word["fault"])[:2000])
            if not done:
                _hold(lambda: scoring.start_scoring(lease), stop)
            done = min(int(word["frames"]), frames)
        if time.monotonic() >= told + scoring.BEAT:
            told = time.monotonic()
            _hold(lambda: scoring.beat(lease, done, frames), stop)  # noqa: B023
    raise Failed("The scoring process ended without a verdict.")


def _word(line: bytes) -> dict[str, Any]:
    try:
        word = json.loads(line)
    except (ValueError, RecursionError):
        word = None
    if not isinstance(word, dict) or not word.keys() & {"verdict", "fault", "frames"}:
        raise Failed(f"The scoring process said {line[:80]!r}, which means nothing.")
    return word


def _locked(verdict: Any) -> dict[str, Any]:
    """The verdict, unless strangers' files were decoded where nothing kept the decoder in; trials may do so."""
    if not isinstance(verdict, dict) or not (verdict.get("locked") or settings.SITE.local):
        raise Failed("The decoder could not be kept from files and network here; score on Linux (x86-64, ARM64).")
    return verdict


def _hold(act: Callable[[], bool], stop: threading.Event) -> None:
    if _patiently(act, stop) is False:
        raise _LeaseLost


def _patiently(act: Callable[[], T], stop: threading.Event) -> T:
    """What an act gives, which is repeated while the database does not answer: every act can be."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return act()
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() > end or stop.is_set():
                raise
            _log.warning("The database does not answer: %s", error)
            connection.close()
            stop.wait(PAUSE)
