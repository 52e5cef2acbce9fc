"""Attacks by time: clocks that step, edges, and clients that say what time it is."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from made import Made, verdict
from subpixel.site import audit, outbox
from subpixel.site.acts import handin, organise, scoring, teams, tokens
from subpixel.site.models import Outbox, Submission
from subpixel.site.refusals import Refusal

pytestmark = pytest.mark.django_db
SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_a_clock_that_steps_back_over_midnight_gives_no_second_slot(made: Made, clock: Any) -> None:
    team = made.team(made.contest())
    midnight = datetime(2030, 5, 16, tzinfo=SHANGHAI)
    clock.moment = midnight - timedelta(seconds=20)
    made.score(team, 1000)
    clock.moment = midnight + timedelta(seconds=10)
    made.score(team, 900)
    clock.moment = midnight - timedelta(seconds=10)
    with pytest.raises(Refusal, match="valid hand-ins of this day are used up"):
        made.submission(team)
    clock.moment = midnight + timedelta(seconds=20)
    with pytest.raises(Refusal, match="valid hand-ins of this day are used up"):
        made.submission(team)


def test_a_clock_that_steps_loses_no_lease_and_counts_nothing_twice(made: Made, clock: Any) -> None:
    hand_in = made.submission(made.team(made.contest()))
    lease = scoring.claim("worker")
    assert lease is not None
    clock.forward(hours=-3)
    assert scoring.reap() == 0
    assert scoring.claim("another") is None
    assert scoring.beat(lease, 1, 6)
    assert scoring.finish(lease, verdict(lease))
    clock.forward(hours=6)
    assert scoring.reap() == 0
    assert not scoring.finish(lease, verdict(lease, 1))
    hand_in.refresh_from_db()
    assert (hand_in.state, hand_in.evaluations.get().sse) == ("scored", 1000)


def test_a_clock_that_steps_back_breaks_no_audit_trail(made: Made, clock: Any) -> None:
    contest = made.contest()
    for hours in (0, -5, 2, -1):
        clock.forward(hours=hours)
        organise.pause(made.organiser, contest, "Clock.")
        organise.resume(made.organiser, contest, "Clock.")
    assert audit.verify() == []


def test_mails_are_not_sent_twice_by_a_clock_that_steps_back(made: Made, clock: Any) -> None:
    outbox.write("fault", "once", made.user(), "Subject", "Text")
    assert outbox.deliver() == 1
    clock.forward(days=-1)
    assert outbox.deliver() == 0
    assert Outbox.objects.get().sent_at is not None


def test_what_a_client_says_of_the_time_is_not_believed(made: Made, clock: Any) -> None:
    """Promise 9: the server's clock decides."""
    team = made.team(made.contest())
    first = team.contest.rounds.get(number=1)
    upload = made.upload(team)
    clock.moment = first.end
    early = (first.end - timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"Date": early, "X-Timestamp": early, "If-Unmodified-Since": early}
    browser = Client()
    browser.force_login(team.captain)
    path = f"/c/{team.contest.slug}/handin/{upload.pk}/"
    browser.post(path, {"accepted_at": early, "day": "2030-05-15", "now": early}, headers=headers)
    token = tokens.issue(team.captain, "laptop")
    asked = Client().post(
        "/api/v1/submissions", json.dumps({"upload": str(upload.pk), "key": "k"}), content_type="application/json",
        headers={**headers, "Authorization": f"Bearer {token}"},
    )  # fmt: skip
    assert (asked.status_code, asked.json()["code"]) == (409, "closed")
    assert not Submission.objects.exists()


def test_an_upload_across_the_close_is_not_handed_in(made: Made, clock: Any) -> None:
    team = made.team(made.contest())
    upload = made.upload(team)
    clock.moment = team.contest.rounds.get(number=1).end - timedelta(microseconds=1)
    assert handin.quota(team, upload.round, clock.moment).open
    clock.forward(microseconds=1)
    with pytest.raises(Refusal, match="This round is over"):
        handin.accept(team.captain, upload, "late")
    upload.refresh_from_db()
    assert upload.state == "complete"


def test_invitations_and_tokens_end_to_the_microsecond(made: Made, clock: Any) -> None:
    team, guest = made.team(made.contest(teams_closes="2030-06-15T00:00:00+00:00")), made.user("guest")
    invitation, token = teams.invite(team.captain, team, guest.email), tokens.issue(guest, "laptop", days=7)
    clock.forward(days=7, microseconds=-1)
    assert tokens.holder(token) is not None
    clock.forward(microseconds=1)
    assert tokens.holder(token) is None
    with pytest.raises(Refusal, match="This invitation is too old"):
        teams.join(guest, invitation)


def test_a_round_cannot_be_turned_round(made: Made, clock: Any) -> None:
    first = made.round()
    with pytest.raises(Refusal):
        organise.change_round(made.organiser, first, "Oops.", end=first.opens - timedelta(hours=1))
    assert clock.moment.tzinfo is UTC


def test_every_time_that_is_shown_has_a_zone(made: Made) -> None:
    """Promise 9: on pages, in mails and by the API."""
    team = made.team(made.contest())
    made.score(team, 1000)
    browser = Client()
    browser.force_login(team.captain)
    times = 0
    for path in ("", "rules/", "board/1/", "handin/", "submissions/", "team/"):
        text = browser.get(f"/c/{team.contest.slug}/{path}").content.decode()
        found = re.findall(r'datetime="([^"]+)"', text)
        times += len(found)
        assert all(datetime.fromisoformat(one).utcoffset() is not None for one in found), path
    assert times > 5
    home = browser.get(f"/c/{team.contest.slug}/").content.decode()
    assert re.search(r"UTC\+0?8|Asia/Shanghai|CST", home)
    (told,) = Client().get("/api/v1/contests").json()
    moments = [told["teams_open"], *(one[name] for one in told["rounds"] for name in ("opens", "end"))]
    assert all(datetime.fromisoformat(one).utcoffset() is not None for one in moments)
