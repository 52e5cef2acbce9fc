"""What has to be done now and then is done, and one chore that fails does not keep the others from it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.core import mail
from django.db import DatabaseError

from made import Made
from subpixel.site import chores, outbox
from subpixel.site.acts import scoring
from subpixel.site.models import Outbox, ScoreJob, Upload

pytestmark = pytest.mark.django_db(transaction=True)  # chores open and close their connections themselves


class Once(threading.Event):
    """Set as soon as somebody waits for it."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return super().wait(timeout)


@pytest.fixture
def _waiting(made: Made, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that was lost, an upload that expired, a mail."""
    round_ = made.round()
    made.submission(made.team(round_.contest))
    assert scoring.claim("worker") is not None
    made.upload(made.team(round_.contest), state="receiving", offset=1, expires_at=clock.forward(minutes=2))
    monkeypatch.setattr(scoring, "LEASE", 0)  # for which chores leave to the workers what waited
    outbox.write("test", "key", "somebody@example.org", "Subject", "Body")


@pytest.mark.usefixtures("_waiting")
def test_all_chores_are_done() -> None:
    chores.run(Once())
    assert ScoreJob.objects.get().state == "ready"
    assert Upload.objects.filter(state="expired").count() == 1
    assert Outbox.objects.get(key="key").sent_at is not None
    assert [message.subject for message in mail.outbox] == ["Subject"]


@pytest.mark.usefixtures("_waiting")
def test_a_chore_that_fails_is_told_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_count: int) -> int:
        raise DatabaseError("The table is locked.")

    monkeypatch.setattr(outbox, "deliver", broken)
    chores.run(Once())
    assert "chore deliver failed" in caplog.text
    assert ScoreJob.objects.get().state == "ready"
    assert Upload.objects.filter(state="expired").count() == 1
