"""Attacks on accounts: taking one over, finding out who has one, guessing, having two."""

from __future__ import annotations

import re
import statistics
import time
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from made import PASSWORD, Made
from subpixel.site import audit, outbox
from subpixel.site.acts import privacy, teams, tokens
from subpixel.site.models import ApiToken, AuditEvent, Invite, Membership, Outbox, Submission, User
from subpixel.site.refusals import Refusal

pytestmark = pytest.mark.django_db
NEW = "another long pass phrase"


@pytest.fixture(autouse=True)
def _nobody_has_tried_yet() -> None:
    cache.clear()


def log_in(email: str, password: str = PASSWORD, browser: Client | None = None) -> tuple[Client, Any]:
    browser = browser or Client()
    return browser, browser.post("/accounts/login/", {"login": email, "password": password})


def inside(browser: Client) -> bool:
    return bool(browser.get("/account/").status_code == 200)


def link(kind: str, email: str) -> str:
    """The address in the last mail of a kind."""
    mail = Outbox.objects.filter(recipient=email, kind=kind).order_by("pk").last()
    assert mail is not None
    found = re.search(r"https?://[^/]+(/\S+)", mail.body)
    assert found is not None
    return found[1]


def plain(response: Any) -> str:
    """A page without what differs from one request to the next, and without the address that was written."""
    text = re.sub(r'(csrfmiddlewaretoken" value="|nonce=")[^"]+', "", response.content.decode())
    return re.sub(r"[\w.+]+@example\.org", "", text)


def register(email: str, browser: Client | None = None) -> Any:
    fields = {"email": email, "password1": PASSWORD, "password2": PASSWORD}
    return (browser or Client()).post("/accounts/signup/", fields)


# --------------------------------------------------------------------------------------------------- who has an account
@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/accounts/login/", {"login": "{}", "password": "wrong pass phrase"}),
        ("/accounts/signup/", {"email": "{}", "password1": PASSWORD, "password2": PASSWORD}),
        ("/accounts/password/reset/", {"email": "{}"}),
    ],
)
def test_no_page_tells_who_has_an_account(made: Made, path: str, form: dict[str, str]) -> None:
    made.user("anna")
    told = []
    for email in ("anna@example.org", "nobody@example.org"):
        browser = Client()
        response = browser.post(path, {name: value.format(email) for name, value in form.items()})
        after = browser.get(response["Location"]) if response.status_code == 302 else response
        told.append((response.status_code, response.get("Location"), plain(after), sorted(browser.cookies)))
    assert told[0] == told[1]


@pytest.mark.parametrize("path", ["login", "signup"])
def test_no_time_tells_who_has_an_account(made: Made, path: str) -> None:
    """Both take as long as a password takes to be hashed; without that they would differ tenfold."""
    made.user("anna")
    spans: dict[bool, list[float]] = {True: [], False: []}
    for number in range(5):
        for known in spans:
            cache.clear()
            email = "anna@example.org" if known else f"nobody{number}@example.org"
            form = {"login": email, "password": "wrong pass phrase"} if path == "login" else {
                "email": email, "password1": PASSWORD, "password2": PASSWORD
            }  # fmt: skip
            start = time.thread_time()
            Client().post(f"/accounts/{path}/", form)
            spans[known].append(time.thread_time() - start)
    known, unknown = (min(spans[one]) for one in (True, False))
    assert 1 / 3 < known / unknown < 3, (statistics.median(spans[True]), statistics.median(spans[False]))


def test_an_invitation_tells_nobody_who_has_an_account(made: Made) -> None:
    made.user("anna")
    team = made.team(made.contest())
    for email in ("anna@example.org", "nobody@example.org"):
        assert teams.invite(team.captain, team, email)
    known, unknown = Outbox.objects.filter(kind="invite").order_by("pk").values_list("body", flat=True)
    assert re.sub(r"join/\S+", "", known) == re.sub(r"join/\S+", "", unknown)


# ------------------------------------------------------------------------------------------------------------- guessing
def test_guessing_a_password_ends_after_five_attempts(made: Made) -> None:
    user = made.user("anna")
    for _ in range(5):
        log_in(user.email, "wrong pass phrase")
    browser, response = log_in(user.email)
    assert not inside(browser)
    assert response.status_code in (200, 429)
    other, _ = log_in(made.user("bert").email)
    assert inside(other)


def test_an_address_that_is_made_up_does_not_help_guessing(made: Made) -> None:
    """Nobody behind no proxy may say who they are; nor do capitals and spaces make another account."""
    user = made.user("anna")
    for number in range(5):
        email = ["anna@example.org", "ANNA@example.org", " anna@example.org", "Anna@Example.org "][number % 4]
        Client().post(
            "/accounts/login/", {"login": email, "password": "wrong"}, headers={"X-Forwarded-For": f"10.0.0.{number}"}
        )
    browser = Client()
    browser.post(
        "/accounts/login/", {"login": user.email, "password": PASSWORD}, headers={"X-Forwarded-For": "10.9.9.9"}
    )
    assert not inside(browser)


def test_many_accounts_from_one_place_are_slowed(made: Made) -> None:
    assert made.user()
    statuses = [register(f"eve{number}@example.org").status_code for number in range(21)]
    assert statuses[-1] == 429
    assert User.objects.filter(email__startswith="eve").count() <= 20


def test_resets_of_one_address_are_few(made: Made) -> None:
    user = made.user("anna")
    for _ in range(12):
        Client().post("/accounts/password/reset/", {"email": user.email})
    assert Outbox.objects.filter(recipient=user.email).count() <= 5


@pytest.mark.parametrize("password", ["short", "anna@example.org", "password1234", "1234567890", "annaexample"])
def test_weak_passwords_are_refused(password: str) -> None:
    form = {"email": "anna@example.org", "password1": password, "password2": password}
    Client().post("/accounts/signup/", form)
    assert not User.objects.exists()


def test_passwords_are_kept_by_argon2(made: Made) -> None:
    assert made.user().password.startswith("argon2$argon2id$")


# ------------------------------------------------------------------------------------------------------------- sessions
def test_a_session_that_was_planted_is_not_the_one_after_logging_in(made: Made) -> None:
    """Fixation."""
    user, browser = made.user(), Client()
    browser.get("/accounts/login/")
    browser.cookies["session"] = "planted0planted0planted0planted0"
    log_in(user.email, browser=browser)
    assert browser.cookies["session"].value != "planted0planted0planted0planted0"
    thief = Client()
    thief.cookies["session"] = "planted0planted0planted0planted0"
    assert inside(browser)
    assert not inside(thief)


def test_cookies_are_out_of_scripts_reach(made: Made) -> None:
    browser, _ = log_in(made.user().email)
    cookie = browser.cookies["session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")


def test_a_new_password_logs_all_other_browsers_out(made: Made) -> None:
    user = made.user()
    here, there = (log_in(user.email)[0] for _ in range(2))
    form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert here.post("/accounts/password/change/", form).status_code == 302
    assert inside(here)
    assert not inside(there)


def test_who_logs_out_is_out(made: Made) -> None:
    browser, _ = log_in(made.user().email)
    stolen = browser.cookies["session"].value
    browser.get("/accounts/logout/")
    assert inside(browser)  # an address in a picture logs nobody out
    browser.post("/accounts/logout/")
    thief = Client()
    thief.cookies["session"] = stolen
    assert not inside(thief)


# --------------------------------------------------------------------------------------------------------- taking over
def test_a_reset_is_good_once_and_ends_everything_else(made: Made) -> None:
    user = made.user("anna")
    thief, _ = log_in(user.email)
    token = tokens.issue(user, "thief's")
    Client().post("/accounts/password/reset/", {"email": user.email})
    path = link("password_reset_key", user.email)
    browser = Client()
    form = browser.get(path)
    assert form.status_code == 302  # the key leaves the address, and so every Referer
    assert path.rsplit("-", 1)[1].rstrip("/") not in form["Location"]
    done = browser.post(form["Location"], {"password1": NEW, "password2": NEW})
    assert done.status_code == 302
    assert not inside(thief)
    assert tokens.holder(token) is None
    assert inside(log_in(user.email, NEW)[0])
    again = Client()
    text = again.get(path, follow=True).content.decode()
    assert 'name="password1"' not in text


@pytest.mark.parametrize(
    "email", ["anna@exаmple.org", "аnna@example.org", "anna@example.org\n", "anna@example.org,e@x.y"]
)
def test_a_look_alike_address_gets_no_reset(made: Made, email: str) -> None:
    """Unicode: the mail goes where the account says, never where the form says."""
    made.user("anna")
    Client().post("/accounts/password/reset/", {"email": email})
    keys = Outbox.objects.filter(kind="password_reset_key")
    assert set(keys.values_list("recipient", flat=True)) <= {"anna@example.org"}


@pytest.mark.parametrize("change", ["x", "", "0"])
def test_a_reset_with_another_key_is_refused(made: Made, change: str) -> None:
    user = made.user("anna")
    Client().post("/accounts/password/reset/", {"email": user.email})
    path = link("password_reset_key", user.email).rstrip("/")
    forged = path[:-1] + change + "/" if change else path[:-4] + "/"
    if forged.rstrip("/") == path:
        forged = path[:-1] + "1/"
    text = Client().get(forged, follow=True).content.decode()
    assert 'name="password1"' not in text


def test_a_reset_of_anothers_number_with_ones_own_key_is_refused(made: Made) -> None:
    anna, eve = made.user("anna"), made.user("eve")
    for user in (anna, eve):
        Client().post("/accounts/password/reset/", {"email": user.email})
    theirs, own = (link("password_reset_key", user.email).rstrip("/").rsplit("/", 1)[1] for user in (anna, eve))
    mixed = f"{theirs.split('-')[0]}-{own.split('-', 1)[1]}"
    text = Client().get(f"/accounts/password/reset/key/{mixed}/", follow=True).content.decode()
    assert 'name="password1"' not in text


def test_nobody_is_let_in_before_their_address_is_proved(made: Made) -> None:
    browser = Client()
    register("eve@example.org", browser)
    assert not inside(browser)
    assert not inside(log_in("eve@example.org")[0])
    path = link("email_confirmation_signup", "eve@example.org")
    reader = Client()
    reader.get(path)  # a scanner of mails follows links
    assert not User.objects.get(email="eve@example.org").emailaddress_set.get().verified
    reader.post(path)
    assert inside(log_in("eve@example.org")[0])
    assert made.organiser


def test_registering_anothers_address_changes_nothing_of_theirs(made: Made) -> None:
    anna = made.user("anna")
    before = anna.password
    for email in ("anna@example.org", "ANNA@example.org", "Anna@EXAMPLE.ORG"):
        register(email)
    assert User.objects.filter(email__iexact="anna@example.org").count() == 1
    assert User.objects.get(pk=anna.pk).password == before
    assert set(Outbox.objects.values_list("kind", flat=True)) == {"account_already_exists"}


def test_another_address_counts_once_it_is_proved(made: Made) -> None:
    """Nobody gets an invitation of somebody else's by naming their address."""
    eve, team = made.user("eve"), made.team(made.contest())
    token = teams.invite(team.captain, team, "anna@example.org")
    browser, _ = log_in(eve.email)
    browser.post("/accounts/email/", {"email": "anna@example.org", "action_add": ""})
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    browser.post("/accounts/email/", {"email": "anna@example.org", "action_add": ""})
    eve.refresh_from_db()
    assert eve.email == "eve@example.org"
    with pytest.raises(Refusal):
        teams.join(eve, token)


def test_a_changed_address_needs_the_password_again(made: Made) -> None:
    """A browser that was left open is not enough to take an account over."""
    eve, browser = made.user("eve"), Client()
    browser.force_login(eve)
    response = browser.post("/accounts/email/", {"email": "thief@example.org", "action_add": ""})
    assert response.status_code == 302
    assert "reauthenticate" in response["Location"] or response["Location"].startswith("/accounts/login/")
    assert not eve.emailaddress_set.filter(email="thief@example.org").exists()


# ----------------------------------------------------------------------------------------------------- going for good
def test_who_is_erased_is_nobody_and_ranks_stay(made: Made) -> None:
    anna, bert = made.user("anna", shirt="M"), made.user("bert")
    team = made.team(made.contest(), anna, bert)
    made.score(team, 1000)
    token, browser = tokens.issue(anna, "laptop"), Client()
    browser.force_login(anna)
    teams.invite(anna, team, "guest@example.org")
    assert outbox.deliver() > 0
    answer = browser.post("/account/erase/", {"sure": "on"})
    assert answer.status_code == 302
    anna.refresh_from_db()
    assert (anna.email, anna.name, anna.shirt, anna.is_active) == (f"{anna.pk}@erased.invalid", "", "", False)
    assert anna.erased_at is not None
    assert not inside(browser)
    assert not inside(log_in("anna@example.org")[0])
    assert tokens.holder(token) is None
    assert not ApiToken.objects.exists()
    assert not anna.emailaddress_set.exists()
    team.refresh_from_db()
    assert (team.captain, team.state) == (bert, "active")
    assert not Membership.objects.filter(user=anna, left_at=None).exists()
    assert Submission.objects.get().state == "scored"
    everything = "".join(
        str(list(model.objects.values())) for model in (User, Outbox, Invite, AuditEvent, Membership, Submission)
    )
    assert "anna" not in everything
    assert audit.verify() == []


def test_who_is_erased_may_register_anew(made: Made) -> None:
    anna = made.user("anna")
    privacy.erase(anna, anna, "Asked by the person.")
    register("anna@example.org")
    assert User.objects.filter(email="anna@example.org").count() == 1


def test_nobody_erases_others_nor_organisers(made: Made) -> None:
    anna, eve = made.user(), made.user()
    with pytest.raises(Refusal, match="Only the contest's organisers"):
        privacy.erase(eve, anna, "For fun.")
    with pytest.raises(Refusal, match="An organiser's acts bear their name"):
        privacy.erase(made.organiser, made.organiser, "Tired.")
    privacy.erase(made.organiser, anna, "Asked by mail.")
    with pytest.raises(Refusal, match="erased already"):
        privacy.erase(made.organiser, anna, "Again.")


def test_data_go_when_no_contest_keeps_them(made: Made, clock: Any) -> None:
    over, kept = made.contest(), made.contest()
    gone, stays = made.user("gone"), made.user("stays")
    made.team(over, gone, stays)
    made.team(kept, stays)
    assert privacy.due() == []
    over.retention_until = clock.moment.date()
    over.save()
    assert privacy.due() == []  # kept until that day, and on it
    clock.forward(days=1)
    assert privacy.due() == [gone]
