"""Pages: who sees what, what forms do, and what comes back."""

from __future__ import annotations

import html
import io
import math
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from made import SAMPLES, Clock, Made, answer, invalid

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def client(user: Any = None, language: str = "en") -> Client:
    found = Client(headers={"accept-language": language})
    if user:
        found.force_login(user)
    return found


def text(response: Any) -> str:
    """What a reader reads."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def told(response: Any) -> str:
    """The page after a form, which says how it went."""
    assert response.status_code == 302, text(response)
    return text(response.client.get(response["Location"]))


# ---- for everyone


def test_home_leads_to_the_only_contest(made: Made) -> None:
    contest = made.contest()
    assert client().get("/")["Location"] == f"/c/{contest.slug}/"
    other = made.contest()
    page = text(client().get("/"))
    assert page.count("The preliminary round is open.") == 2
    assert f"/c/{other.slug}/" in client().get("/").content.decode()


def test_contest_says_what_is_on_in_its_own_time(made: Made, clock: Clock) -> None:
    contest = made.contest()
    page = text(client().get(f"/c/{contest.slug}/"))
    assert "The preliminary round is open." in page
    assert "5 d 00 h 01 min" in page
    assert "14 May 2030, 20:00 UTC+8" in page
    clock.forward(days=5, hours=1)
    assert "Next is the final round." in text(client().get(f"/c/{contest.slug}/"))
    clock.forward(days=20)
    assert "The contest is over." in text(client().get(f"/c/{contest.slug}/"))


def test_pages_speak_chinese(made: Made) -> None:
    contest = made.contest()
    page = text(client(language="zh-CN,zh;q=0.9").get(f"/c/{contest.slug}/"))
    assert "初赛正在进行。" in page
    assert "2030年5月14日 20:00 UTC+8" in page


def test_language_is_kept_for_mails_too(made: Made) -> None:
    user = made.user()
    browser = client(user)
    assert browser.post("/language/", {"language": "zh-hans", "next": "/account/"})["Location"] == "/account/"
    user.refresh_from_db()
    assert user.locale == "zh-hans"
    assert "账户" in text(browser.get("/account/"))
    assert browser.post("/language/", {"language": "en", "next": "https://evil.example/"})["Location"] == "/"


def test_no_page_lets_script_inside(made: Made) -> None:
    contest = made.contest()
    for path in ("/", f"/c/{contest.slug}/", "/accounts/login/", "/nowhere/"):
        response = client().get(path)
        policy = response["Content-Security-Policy"]
        assert "script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        body = response.content.decode()
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", body)


def test_rules_are_those_of_the_tables(made: Made) -> None:
    contest = made.contest(largest=3)
    page = text(client().get(f"/c/{contest.slug}/rules/"))
    assert "A team has 1 to 3 people" in page
    assert "Solutions are trained with MegEngine." in page
    assert "In the preliminary round 3 times at most." in page


# ---- data


def data_file(round_: Any, content: bytes, **fields: Any) -> Any:
    from subpixel.site import clock as real
    from subpixel.site import files
    from subpixel.site.models import DataFile

    key = files.store("public").put(io.BytesIO(content))
    given = {"kind": "test", "name": "test/90.mp4", "visible_from": real.now(), "size": len(content)}
    return DataFile.objects.create(round=round_, key=key, sha256=key, **given | fields)


def test_download_goes_on_where_it_broke_off(made: Made) -> None:
    round_ = made.round()
    file = data_file(round_, bytes(range(256)) * 4000)
    path = reverse("data-file", args=[round_.contest.slug, file.pk])
    whole = client().get(path)
    assert b"".join(whole.streaming_content) == bytes(range(256)) * 4000
    assert whole["Content-Disposition"] == 'attachment; filename="90.mp4"'
    assert client().head(path)["Content-Length"] == "1024000"
    rest = client().get(path, headers={"range": "bytes=1000000-", "if-range": whole["ETag"]})
    assert rest.status_code == 206
    assert rest["Content-Range"] == "bytes 1000000-1023999/1024000"
    assert b"".join(rest.streaming_content) == (bytes(range(256)) * 4000)[1000000:]
    assert len(b"".join(client().get(path, headers={"range": "bytes=-5"}).streaming_content)) == 5
    assert client().get(path, headers={"range": "bytes=1024000-"}).status_code == 416
    changed = client().get(path, headers={"range": "bytes=5-", "if-range": '"another"'})
    assert changed.status_code == 200
    changed.close()


def test_data_wait_for_their_time(made: Made, clock: Clock) -> None:
    round_ = made.round()
    file = data_file(round_, b"clip", visible_from=clock() + timedelta(hours=1))
    home = reverse("data", args=[round_.contest.slug])
    assert "More files will be here from 15 May 2030, 21:00 UTC+8" in text(client().get(home))
    assert client().get(f"{home}{file.pk}/").status_code == 404
    assert client(made.organiser).get(f"{home}{file.pk}/").status_code == 200
    clock.forward(hours=1)
    assert client().get(f"{home}{file.pk}/").status_code == 200
    other = made.contest()
    assert client().get(reverse("data-file", args=[other.slug, file.pk])).status_code == 404


# ---- teams and hand-ins


def test_team_is_made_and_refusals_are_told(made: Made, clock: Clock) -> None:
    contest, user = made.contest(), made.user()
    browser = client(user)
    path = f"/c/{contest.slug}/team/"
    assert "Make a team" in text(browser.get(path))
    made.team(contest, name="Falcons")
    assert "Another team has this name, or one that looks the same" in text(browser.post(path, {"name": "FaIcons"}))
    assert "Your team is made." in told(browser.post(path, {"name": "Owls"}))
    sent = browser.post(f"{path}invite/", {"invite-email": "friend@example.org"})
    assert "The invitation is on its way." in told(sent)
    assert "E-mail address: Enter a valid email address." in text(
        browser.post(f"{path}invite/", {"invite-email": "nobody"})
    )
    clock.forward(days=2)
    assert "cannot be made or changed any more" in told(browser.post(f"{path}rename/", {"name-name": "Kites"}))


def test_invitation_joins_by_its_form_only(made: Made) -> None:
    from subpixel.site.acts import teams

    contest, friend = made.contest(), made.user()
    team = made.team(contest, name="Owls")
    token = teams.invite(team.captain, team, friend.email)
    browser = client(friend)
    assert "invites you to join Owls" in text(browser.get(f"/c/{contest.slug}/join/{token}/"))
    assert teams.team_of(friend, contest) is None
    assert "Welcome to the team." in told(browser.post(f"/c/{contest.slug}/join/{token}/accept/"))
    assert teams.team_of(friend, contest) == team
    gone = browser.get(f"/c/{contest.slug}/join/{token}/")
    assert gone.status_code == 404
    assert "This invitation is not good any more" in text(gone)


def test_small_file_is_handed_in_without_script(made: Made) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    contest = made.contest()
    team = made.team(contest)
    browser = client(team.captain)
    home = f"/c/{contest.slug}/handin/"
    assert "1 scored hand-in left today" in text(browser.get(home))
    sent = browser.post(f"{home}whole/", {"file": SimpleUploadedFile("answer.tar", answer())})
    assert "It is next." in told(sent)
    assert "Your team's valid hand-ins of this day are used up" in text(browser.get(home))
    again = browser.post(f"{home}whole/", {"file": SimpleUploadedFile("answer.tar", answer(2))})
    assert "used up or being scored" in told(again)
    assert "Uploaded, not handed in yet" in text(browser.get(home))


def test_hand_in_twice_by_the_same_form_is_one(made: Made) -> None:
    contest = made.contest()
    team = made.team(contest)
    upload = made.upload(team)
    browser = client(team.captain)
    path = f"/c/{contest.slug}/handin/{upload.pk}/"
    assert browser.post(path)["Location"] == browser.post(path)["Location"]
    assert team.submissions.count() == 1


def test_state_is_told_in_words(made: Made) -> None:
    from subpixel.site.acts import scoring

    contest = made.contest()
    team = made.team(contest)
    one = made.submission(team)
    browser = client(team.captain)
    path = f"/c/{contest.slug}/submissions/{one.pk}/state/"
    waiting = browser.get(path)
    assert "It is next." in text(waiting)
    assert 'hx-trigger="every 2s"' in waiting.content.decode()
    lease = scoring.claim("worker")
    assert "The archive is being checked." in text(browser.get(path))
    assert lease
    scoring.start_scoring(lease)
    scoring.beat(lease, 2, 6)
    assert "2 of 6 frames are compared." in text(browser.get(path))
    scoring.finish(lease, invalid(lease))
    done = browser.get(path)
    assert "The file is no tar archive." in text(done)
    assert "hx-get" not in done.content.decode()
    team.captain.locale = "zh-hans"
    team.captain.save()
    assert "该文件不是 tar 归档" in text(client(team.captain).get(path))


def test_nobody_sees_another_teams_hand_in(made: Made) -> None:
    contest = made.contest()
    team, rival = made.team(contest), made.team(contest)
    one = made.submission(team)
    for path in ("", "state/", "file/"):
        address = f"/c/{contest.slug}/submissions/{one.pk}/{path}"
        assert client(rival.captain).get(address).status_code == 404
        assert client().get(address)["Location"].startswith("/accounts/login/")
    assert client(rival.captain).post(f"/c/{contest.slug}/submissions/{one.pk}/cancel/").status_code == 404
    assert "cancelled" in told(client(team.captain).post(f"/c/{contest.slug}/submissions/{one.pk}/cancel/"))


# ---- the board


def test_board_shows_ranks_the_line_and_the_own_team(made: Made) -> None:
    contest = made.contest(advance=1)
    best, second = made.team(contest, name="Best"), made.team(contest, name="Second")
    made.score(second, 2000)
    made.score(best, 1000)
    page = client(second.captain).get(f"/c/{contest.slug}/board/1/").content.decode()
    assert page.index("Best") < page.index("The best team above this line goes on") < page.index("Second")
    assert f'id="team-{second.pk}" class="own ' in page
    assert f"{10 * math.log10(255**2 * SAMPLES / 1000):.4f}" in page
    rows = client().get(f"/c/{contest.slug}/board/1/rows/")
    assert client().get(f"/c/{contest.slug}/board/1/rows/", headers={"if-none-match": rows["ETag"]}).status_code == 304
    made.score(made.team(contest), 500)
    fresh = client().get(f"/c/{contest.slug}/board/1/rows/", headers={"if-none-match": rows["ETag"]})
    assert fresh.status_code == 200


def test_hidden_and_frozen_boards_are_so_for_all_but_organisers(made: Made, clock: Clock) -> None:
    from subpixel.site.acts import organise

    round_ = made.round()
    team = made.team(round_.contest, name="Owls")
    made.score(team, 1000)
    path = f"/c/{round_.contest.slug}/board/1/"
    for board in ("hidden", "frozen"):
        organise.set_board(made.organiser, round_, board, "tension")
        late = made.team(round_.contest, name=f"Late {board}")
        clock.forward(minutes=1)
        made.score(late, 10)
        assert f"Late {board}" not in text(client().get(path))
        assert f"Late {board}" not in text(client().get(f"{path}rows/"))
        assert f"Late {board}" in text(client(made.organiser).get(path))


# ---- an account


def test_token_is_shown_once(made: Made) -> None:
    browser = client(made.user())
    page = text(browser.post("/account/tokens/", {"name": "laptop", "scope": "submit", "days": "30"}))
    token = re.search(r"spx_\S+", page)
    assert token
    assert token[0] not in text(browser.get("/account/"))
    assert "laptop" in text(browser.get("/account/"))


def test_profile_takes_no_more_than_it_asks_for(made: Made) -> None:
    user = made.user()
    asked = {"name": "Ann", "locale": "en", "shirt": "M", "mails": "on", "is_staff": "on", "email": "x@y.example"}
    client(user).post("/account/", asked)
    user.refresh_from_db()
    assert (user.name, user.shirt, user.is_staff, user.email.split("@")[1]) == ("Ann", "M", False, "example.org")


def test_person_erases_their_data(made: Made) -> None:
    user = made.user()
    browser = client(user)
    assert "Tick the box" in told(browser.post("/account/erase/"))
    browser.post("/account/erase/", {"sure": "on"})
    user.refresh_from_db()
    assert user.erased_at
    assert not user.email.endswith("example.org")


def test_register_mails_go_through_the_outbox_in_the_pages_language() -> None:
    from subpixel.site.models import Outbox, User

    form = {
        "email": "new@example.org",
        "password1": "a long walk by the river",
        "password2": "a long walk by the river",
    }
    response = client(language="zh-CN").post("/accounts/signup/", form)
    assert response["Location"] == "/accounts/confirm-email/"
    mail = Outbox.objects.get(recipient="new@example.org")
    link = re.search(r"http://\S+(/accounts/confirm-email/\S+)", mail.body)
    assert link
    assert User.objects.get(email="new@example.org").locale == "zh-hans"
    browser = client()
    assert "new@example.org" in text(browser.get(link[1]))
    browser.post(link[1])
    entered = browser.post("/accounts/login/", {"login": "new@example.org", "password": form["password1"]})
    assert entered.status_code == 302
