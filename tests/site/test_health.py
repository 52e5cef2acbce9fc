"""What a probe is told, and what an organiser."""

from __future__ import annotations

import shutil
from collections import namedtuple
from typing import Any

import pytest
from django.test import Client

from made import Made
from subpixel.site import health, outbox
from subpixel.site.acts import scoring
from subpixel.site.models import Outbox

pytestmark = pytest.mark.django_db


def test_a_site_without_work_is_well(clock: Any) -> None:  # noqa: ARG001
    answer = Client().get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


def test_a_queue_that_stands_still_is_late_and_then_bad(clock: Any, made: Made) -> None:
    made.submission(made.team(made.contest()))
    assert health.report().problems == ()
    clock.forward(minutes=16)
    found = health.report()
    assert found.problems == ("A hand-in has waited for 15 minutes; add workers, or look whether one runs.",)
    assert (found.bad, found.waiting, found.running) == (False, 1, 0)
    assert Client().get("/health").json() == {"status": "late"}
    clock.forward(minutes=30)
    assert health.report().problems[0] == "1 hand-ins made no progress in 45 minutes: does a worker run?"
    answer = Client().get("/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "bad"})


def test_a_worker_at_work_is_seen(made: Made) -> None:
    made.submission(made.team(made.contest()))
    assert scoring.claim("worker") is not None
    assert (health.report().waiting, health.report().running) == (0, 1)


def test_faults_and_mails_that_do_not_go_out_are_told(clock: Any, made: Made) -> None:
    made.submission(made.team(made.contest()))
    for _ in range(3):
        lease = scoring.claim("worker")
        assert lease is not None
        scoring.fail(lease, "The disk is full.")
        clock.forward(minutes=10)
    outbox.write("fault", "x", made.user(), "Subject", "Text")
    Outbox.objects.update(attempts=4)
    problems = health.report().problems
    assert "1 hand-ins failed by our fault; requeue them." in problems
    assert any(one.endswith("mails could not be sent; see the outbox.") for one in problems)


def test_a_full_disk_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10 << 30, 9 << 30, 1 << 30))
    found = health.report()
    assert (found.bad, found.problems) == (True, ("Only 1024 MB of disk are free; hand-ins need more.",))


def test_organisers_get_the_figures_and_nobody_else(made: Made) -> None:
    browser = Client()
    browser.force_login(made.user())
    assert set(browser.get("/health").json()) == {"status"}
    browser.force_login(made.organiser)
    assert {"status", "waiting", "oldest", "faults", "disk", "problems"} <= set(browser.get("/health").json())
