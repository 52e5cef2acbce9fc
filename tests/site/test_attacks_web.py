"""Attacks by the web: every address of the site with every kind of person, so that a new one is tried as well."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

import world as worlds
from made import PASSWORD, Made, folder
from subpixel.site.acts import organise
from subpixel.site.models import AuditEvent, Outbox, Team, User

pytestmark = pytest.mark.django_db

# What a stranger may read, or do: the rest asks who they are.
OPEN = re.compile(
    r"/$|/language/$|/accounts/(?!reauthenticate|email|password/(change|set)|login/code)|/health$|/c/<slug:slug>/$"
    r"|/c/<slug:slug>/(rules|data|board)/|/api/v1/(openapi.json|contests|contests/<slug>)$"
    r"|/api/v1/contests/<slug>/rounds/<int:number>/(files|board)$|/c/<slug:slug>/join/<str:token>/$"
)
ORGANISE = re.compile(r"/c/<slug:slug>/organise/|/organise/")
PERSONS = ["dave", "carol", "bob", "alice"]


@pytest.fixture
def world(made: Made) -> worlds.World:
    return worlds.build(made)


@pytest.mark.parametrize("who", ["", *PERSONS, "olga"])
def test_reading_changes_nothing_and_every_answer_is_guarded(world: worlds.World, who: str) -> None:
    browser, before = world.browser(who), worlds.printed()
    for pattern, path in world.paths():
        response = browser.get(path)
        assert response.status_code < 500, path
        assert response["X-Frame-Options"] == "DENY", path
        assert "frame-ancestors 'none'" in response["Content-Security-Policy"], path
        assert "unsafe" not in response["Content-Security-Policy"], path
        assert response["X-Content-Type-Options"] == "nosniff", path
        assert response["Referrer-Policy"] == "same-origin", path
        if ORGANISE.match(pattern) and who != "olga" and response.status_code != 405:
            assert response.status_code == (403 if who else 302), path
        if not who and not OPEN.match(pattern):
            assert response.status_code in (302, 401, 404, 405), path
    assert worlds.printed() == before


@pytest.mark.parametrize("who", ["", "dave", "carol"])
def test_others_read_nothing_of_a_team(world: worlds.World, who: str) -> None:
    """IDOR: each number in an address is one of the team Alpha's."""
    browser, secrets = world.browser(who), world.secrets()
    for pattern, path in world.paths():
        if "token" in pattern:  # whoever has an invitation may read it
            continue
        text = worlds.body(browser.get(path))
        assert not [one for one in secrets if one in text], path


@pytest.mark.parametrize("who", ["", "dave", "carol"])
def test_others_change_nothing_of_a_team(world: worlds.World, who: str) -> None:
    """IDOR: forms and API with each of its numbers."""
    browser = world.browser(who)
    form = {**worlds.FORM, "round": world.contest.rounds.get(number=1).pk, "deadline": worlds.later(9)}
    before = _of(world)
    for _, path in world.paths():
        with worlds.undone():
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                kind = "application/x-www-form-urlencoded" if method == "POST" else "application/json"
                response = browser.post(path, form) if method == "POST" else browser.generic(method, path, "{}", kind)
                assert response.status_code < 500, (method, path)
            assert _of(world) == before, path


def _of(world: worlds.World) -> dict[str, Any]:
    """All that is the contest's or Alpha's."""
    people = User.objects.filter(name__in=("alice", "bob", "olga"))
    rows = {
        "contest": type(world.contest).objects.all(),
        "rounds": world.contest.rounds.all(),
        "team": Team.objects.filter(pk=world.team.pk),
        "tokens": world.people["alice"].tokens.all(),
        "truths": world.contest.rounds.get(number=1).truths.all(),
    }
    names = ("memberships", "invites", "submissions", "uploads", "reviews", "entitlements", "applications", "hours")
    rows |= {name: getattr(world.team, name).all() for name in (*names, "sanctions", "flags")}
    found = {name: list(queryset.order_by("pk").values()) for name, queryset in rows.items()}
    return found | {"people": list(people.order_by("pk").values("email", "password", "is_staff"))}


@pytest.mark.parametrize("who", PERSONS)
def test_organisers_acts_are_theirs_alone(world: worlds.World, who: str) -> None:
    browser, before = world.browser(who), worlds.printed()
    form = {**worlds.FORM, "round": world.contest.rounds.get(number=1).pk, "deadline": worlds.later(9)}
    tried = 0
    for pattern, path in world.paths():
        if ORGANISE.match(pattern):
            response = browser.post(path, form)
            assert response.status_code in (403, 405), path
            tried += response.status_code == 403
    assert tried > 20
    assert worlds.printed() == before


def test_every_act_of_an_organiser_is_in_the_audit_trail(world: worlds.World) -> None:
    """Promise 8: whatever a form of the console changes, the trail says who did it and why."""
    browser, before = world.browser("olga"), worlds.printed("AuditEvent")
    first = world.contest.rounds.get(number=1)
    form = {
        **worlds.FORM, "round": first.pk, "deadline": worlds.later(9), "rules_text": world.contest.rules_text,
        "opens": worlds.later(-2), "end": worlds.later(4), "teams_open": worlds.later(-9), "teams_end": worlds.later(2),
        "valid_per_day": "3", "attempts_per_day": "9", "advance": "5", "decimals": "3", "grants": "2",
    }  # fmt: skip
    last = AuditEvent.objects.order_by("pk").last()
    acts: set[str] = set()
    for pattern, path in world.paths():
        if ORGANISE.match(pattern):
            with worlds.undone():
                browser.post(path, form)
                told = AuditEvent.objects.filter(pk__gt=last.pk, actor=world.people["olga"])
                if worlds.printed("AuditEvent") != before:
                    assert told.exists(), path
                    assert all(event.reason or event.after for event in told), path
                    acts |= set(told.values_list("action", flat=True))
    assert len(acts) >= 12, acts


@pytest.mark.parametrize("who", ["alice", "olga"])
def test_no_form_works_without_the_sites_own_token(world: worlds.World, who: str) -> None:
    """CSRF on every address, with the session of somebody who may do all of it."""
    browser, before = world.browser(who, enforce_csrf_checks=True), worlds.printed()
    form = {**worlds.FORM, "round": world.contest.rounds.get(number=1).pk, "deadline": worlds.later(9)}
    refused = 0
    for pattern, path in world.paths():
        response = browser.post(path, form, headers={"Origin": "https://evil.example"})
        if pattern.startswith("/api/"):
            assert response.status_code in (401, 403, 404, 405), path
        else:
            assert response.status_code in (403, 405), path
            refused += response.status_code == 403
        assert worlds.printed() == before, path
    assert refused > 40


# --------------------------------------------------------------------------------------------------- what people write
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg/onload=alert(3)>"


def test_what_people_write_never_becomes_markup(world: worlds.World) -> None:
    """XSS in every text that a person can put anywhere."""
    from django.apps import apps
    from django.db import models

    for model in apps.get_app_config("contest").get_models():
        if model.__name__ in ("AuditEvent", "HourLedger", "Snapshot"):
            continue
        for field in model._meta.concrete_fields:
            free = isinstance(field, models.CharField | models.TextField) and not field.choices and not field.unique
            structural = {"rules_text", "manifest", "zone", "scorer", "folder", "key", "digest", "sha256", "locale"}
            if free and field.name not in structural and not isinstance(field, models.SlugField | models.EmailField):
                for pk in model.objects.values_list("pk", flat=True):
                    model.objects.filter(pk=pk).update(**{field.name: f"{pk}{SCRIPT}"[: field.max_length]})
    markdown = f"{SCRIPT}\n\n[x](javascript:alert(4)) [y](data:text/html,alert(5)) <a href='javascript:alert(6)'>z</a>"
    organise.announce(world.people["olga"], world.contest, title_en=SCRIPT, text_en=markdown)
    world.people["alice"].refresh_from_db()
    for who in ("", "carol", "alice", "olga"):
        browser = world.browser(who)
        for pattern, path in world.paths():
            if pattern.startswith("/api/") or "file" in pattern or "source" in pattern:
                continue  # no HTML, and sent as such
            response = browser.get(path)
            if response["Content-Type"].startswith("text/html"):
                text = worlds.body(response)
                found = re.search(r"<script>alert|<img src=x|<svg/onload|href=[\"']?\s*(javascript|data):", text)
                assert not found, (who, path, found and text[max(0, found.start() - 200) : found.end()])


def test_json_is_never_taken_for_a_page(world: worlds.World) -> None:
    User.objects.filter(pk=world.people["alice"].pk).update(name=SCRIPT[:80])
    response = world.browser("").get("/api/v1/contests")
    assert response["Content-Type"].startswith("application/json")
    assert response["X-Content-Type-Options"] == "nosniff"


def test_files_of_people_are_saved_and_never_shown(world: worlds.World) -> None:
    """An SVG or an HTML page that was handed in runs nowhere."""
    scored = world.team.submissions.filter(state="scored").first()
    from subpixel.site import files

    key = files.store("submissions").put(io.BytesIO(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"))
    type(scored).objects.filter(pk=scored.pk).update(sha256=key)
    response = world.browser("alice").get(f"/c/{world.contest.slug}/submissions/{scored.pk}/file/")
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"].startswith("attachment;")
    assert worlds.body(response).startswith("<svg")


def test_no_cell_of_a_table_is_a_formula(world: worlds.World) -> None:
    """CSV: whatever stands in a name."""
    browser = world.browser("olga")
    for formula in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("http://x")'):
        User.objects.filter(pk=world.people["alice"].pk).update(name=formula)
        Team.objects.filter(pk=world.team.pk).update(name=formula)
        for path in ("teams/people.csv", "rounds/1/board.csv"):
            text = worlds.body(browser.get(f"/c/{world.contest.slug}/organise/{path}"))
            cells = [cell for row in csv.reader(io.StringIO(text.lstrip("\ufeff"))) for cell in row]
            assert f"'{formula}" in cells, path
            assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))], path


# ------------------------------------------------------------------------------------------------- what is sent along
def test_more_fields_than_a_form_has_change_nothing(world: worlds.World) -> None:
    """Mass assignment."""
    more = {
        "is_staff": "on", "is_superuser": "on", "is_active": "on", "email": "evil@example.org", "contest": "1",
        "captain": str(world.people["dave"].pk), "state": "disqualified", "exhibition": "on", "key": "x", "team": "1",
        "user": str(world.people["carol"].pk), "slot": "free", "accepted_at": "2000-01-01", "erased_at": "2030-01-01",
    }  # fmt: skip
    more |= {f"name-{name}": value for name, value in more.items()}
    slug = world.contest.slug
    world.browser("dave").post("/account/", {"name": "Dave", "locale": "en", **more})
    world.browser("dave").post(f"/c/{slug}/team/", {"name": "Delta force", **more})
    world.browser("alice").post(f"/c/{slug}/team/rename/", {"name-name": "Alpha again", **more})
    upload = world.numbers["upload"]
    world.browser("bob").post(f"/c/{slug}/handin/{upload}/", more)
    dave = User.objects.get(pk=world.people["dave"].pk)
    assert (dave.name, dave.email, dave.is_staff, dave.is_superuser) == ("Dave", "dave@example.org", False, False)
    delta, alpha = Team.objects.get(name="Delta force"), Team.objects.get(name="Alpha again")
    assert (delta.captain, delta.state, delta.exhibition, delta.contest) == (dave, "active", False, world.contest)
    assert (alpha.captain, alpha.state) == (world.people["alice"], "active")
    hand_in = alpha.submissions.get(upload=upload)
    assert (hand_in.user.name, hand_in.slot, hand_in.state) == ("bob", "held", "queued")


def test_who_registers_is_nobody_special(made: Made) -> None:
    assert made.organiser
    fields = {"email": "eve@example.org", "password1": PASSWORD, "password2": PASSWORD}
    Client().post("/accounts/signup/", {**fields, "is_staff": "on", "is_superuser": "1", "name": "x", "verified": "on"})
    eve = User.objects.get(email="eve@example.org")
    assert (eve.is_staff, eve.is_superuser, eve.emailaddress_set.get().verified) == (False, False, False)


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
        "https:evil.example", "http:///evil.example", "javascript:alert(1)", "//evil.example\\@localhost",
        "///evil.example",
    ],
)  # fmt: skip
def test_nobody_is_sent_elsewhere(made: Made, target: str) -> None:
    """Open redirect, by each page that takes where to go next."""
    user = made.user()
    forms = [
        ("/accounts/login/", {"login": user.email, "password": PASSWORD}),
        ("/accounts/logout/", {}),
        ("/language/", {"language": "zh-hans"}),
        ("/accounts/reauthenticate/", {"password": PASSWORD}),
    ]
    for path, form in forms:
        browser = Client()
        if "log" not in path or "logout" in path:
            browser.force_login(user)
        response = browser.post(path, {**form, "next": target}, headers={"Referer": "https://evil.example/"})
        where = response.get("Location", "/")
        assert re.match(r"/(?![/\\\t])", where) or where.startswith("http://testserver/"), (path, where)


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "Forwarded", "X-Host", "X-Original-URL"])
def test_a_forged_host_gets_into_no_mail(made: Made, header: str) -> None:
    """Poisoning of the link in a reset."""
    user = made.user()
    value = {"Forwarded": "host=evil.example", "X-Original-URL": "https://evil.example"}.get(header, "evil.example")
    response = Client().post("/accounts/password/reset/", {"email": user.email}, headers={header: value})
    assert response.status_code == (400 if header == "Host" else 302)
    for mail in Outbox.objects.all():
        assert "evil.example" not in mail.body
        assert "/accounts/password/reset/key/" in mail.body


def test_a_guessed_path_leads_to_no_file(world: worlds.World) -> None:
    """Truth, database and secret of the site, and what others handed in, by any way of writing a path."""
    (folder() / "static").mkdir(exist_ok=True)
    key = world.team.submissions.filter(state="scored")[0].sha256
    truth = world.contest.rounds.get(number=1).truth.folder
    goals = [f"truth/{truth}/90.rgb", "site.sqlite3", "secret", f"files/submissions/{key[:2]}/{key}"]
    ways = [
        "/static/../{}",
        "/static/..%2f{}",
        "/static/%2e%2e/{}",
        "/static//{}",
        "/{}",
        "/media/{}",
        "/static/....//{}",
    ]
    slug = world.contest.slug
    ways += [f"/c/{slug}/data/../../../{{}}", f"/c/{slug}/data/{{}}"]
    for who in ("", "carol", "olga"):
        browser = world.browser(who)
        for way in ways:
            for goal in goals:
                assert browser.get(way.format(goal)).status_code in (404, 400), way.format(goal)
    assert Path(folder() / "truth" / truth / "90.rgb").exists()


def test_files_come_when_their_round_opens_whoever_knows_the_number(world: worlds.World) -> None:
    path = f"/c/{world.contest.slug}/data/{world.numbers['file']}/"
    for who in ("", "alice"):
        assert world.browser(who).get(path, headers={"Range": "bytes=0-3"}).status_code == 404
    assert world.browser("olga").get(path).status_code == 200


def test_no_page_asks_another_server(world: worlds.World) -> None:
    """Nor does the server ask one: nothing that a person gives is opened as an address."""
    for who in ("", "alice", "olga"):
        browser = world.browser(who)
        for _, path in world.paths():
            response = browser.get(path)
            if response["Content-Type"].startswith("text/html"):
                assert not re.findall(r"(?:src|action)=\"(?:https?:)?//(?!testserver)[^\"]*", worlds.body(response)), (
                    path
                )


@pytest.mark.parametrize("who", ["", "carol", "alice"])
def test_nothing_of_the_truth_but_the_pooled_score_leaves(world: worlds.World, who: str) -> None:
    """Promise 7, during a round: no sums, no scores of clips, no version of the truth, by page, API or mail."""
    browser, forbidden = world.browser(who), world.of_the_truth()
    for _, path in world.paths():
        text = worlds.body(browser.get(path))
        assert not [one for one in forbidden if one in text], path
    mails = "".join(
        f"{mail.subject}\n{mail.body}\n" for mail in Outbox.objects.exclude(recipient__startswith="organiser")
    )
    assert mails
    assert not [one for one in forbidden if one in mails]


def test_logs_tell_nothing_of_the_truth_nor_of_people(world: worlds.World, caplog: pytest.LogCaptureFixture) -> None:
    from subpixel.site import logs

    caplog.set_level("INFO")
    for who in ("", "alice", "olga"):
        browser = world.browser(who)
        for _, path in world.paths():
            browser.get(path)
    text = "\n".join(logs.Formatter().format(record) for record in caplog.records)
    assert text
    told = {*world.of_the_truth(), *world.secrets(), world.numbers["token"], "1-key"}
    assert not [one for one in told if one in text]
