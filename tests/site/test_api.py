"""The API: what it tells to whom, the same acts as the pages, by tokens alone."""

from __future__ import annotations

import hashlib
import json
import uuid
from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from made import Made, answer
from subpixel.site import bearer
from subpixel.site.acts import organise, tokens
from subpixel.site.models import ApiToken, AuditEvent, Submission, Upload
from subpixel.site.refusals import Refusal

pytestmark = pytest.mark.django_db
V1 = "/api/v1"


class Program:
    """Asks as a person's program does."""

    def __init__(self, token: str = "", client: Client | None = None) -> None:
        self._client = client or Client(enforce_csrf_checks=True)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Any:
        return self._client.get(V1 + path, headers=self._headers)

    def post(self, path: str, values: Any = None) -> Any:
        text = values if isinstance(values, str) else json.dumps(values or {})
        return self._client.post(V1 + path, text, content_type="application/json", headers=self._headers)

    def tus(self, method: str, path: str, content: bytes = b"", **headers: str) -> Any:
        given = {"Tus-Resumable": "1.0.0", **self._headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
        kind = "application/offset+octet-stream"
        return self._client.generic(method, path, content, content_type=kind, headers=given)


@pytest.fixture
def team(made: Made) -> Any:
    return made.team(made.contest(valid_per_day=2), name="Sharp eyes")


@pytest.fixture
def program(team: Any) -> Program:
    return Program(tokens.issue(team.captain, "laptop"))


def test_anybody_reads_contests_files_and_boards(made: Made, team: Any) -> None:
    made.score(team, 1000)
    slug, stranger = team.contest.slug, Program()
    (told,) = stranger.get("/contests").json()
    assert (told["slug"], told["zone"], told["paused"]) == (slug, "Asia/Shanghai", False)
    assert [one["name"] for one in told["rounds"]] == ["preliminary", "final"]
    assert stranger.get(f"/contests/{slug}").json() == told
    found = stranger.get(f"/contests/{slug}/rounds/1/board")
    (row,) = found.json()
    assert found["ETag"]
    assert {"rank": 1, "team": "Sharp eyes", "hand_ins": 1, "advances": True}.items() <= row.items()
    assert row["psnr"] == pytest.approx(57.7762, abs=0.0001)
    assert stranger.get(f"/contests/{slug}/rounds/1/files").json() == []
    assert stranger.get("/contests/nothing").json()["code"] == "not_found"


def test_nobody_sees_a_hidden_board_by_the_api(made: Made, team: Any) -> None:
    made.score(team, 1000)
    organise.set_board(made.organiser, team.contest.rounds.get(number=1), "hidden", "The last days.")
    for who in (Program(), Program(tokens.issue(made.organiser, "laptop"))):
        assert who.get(f"/contests/{team.contest.slug}/rounds/1/board").json() == []


def test_a_file_is_uploaded_and_handed_in_by_a_token(program: Program, team: Any, made: Made) -> None:
    content = answer(5)
    told = ",".join(
        f"{key} {b64encode(value.encode()).decode()}"
        for key, value in {"round": str(team.contest.rounds.get(number=1).pk), "filename": "answer.tar"}.items()
    )
    begun = program.tus("POST", "/uploads/", Upload_Length=str(len(content)), Upload_Metadata=told)
    assert begun.status_code == 201, begun.content
    half = len(content) // 2
    for offset, part in ((0, content[:half]), (half, content[half:])):
        sent = program.tus("PATCH", begun["Location"], part, Upload_Offset=str(offset))
        assert (sent.status_code, sent["Upload-Offset"]) == (204, str(offset + len(part))), sent.content
    upload = str(Upload.objects.get().pk)
    accepted = program.post("/submissions", {"upload": upload, "key": "tuesday"})
    assert accepted.status_code == 200, accepted.content
    told = accepted.json()
    assert (told["state"], told["psnr"], told["sha256"]) == ("queued", None, hashlib.sha256(content).hexdigest())
    assert program.post("/submissions", {"upload": upload, "key": "tuesday"}).json() == told  # asked again
    made.scored(Submission.objects.get(), 5)
    told = program.get(f"/submissions/{told['id']}").json()
    assert (told["state"], round(told["psnr"], 2)) == ("scored", 80.79)
    assert program.get(f"/contests/{team.contest.slug}/submissions").json() == [told]
    assert AuditEvent.objects.get(action="submission.accept").after["client"] == "api"


def test_refusals_have_a_code_and_a_sentence(program: Program, team: Any, made: Made) -> None:
    for _ in range(2):
        made.submission(team)
    refused = program.post("/submissions", {"upload": str(made.upload(team).pk), "key": "third"})
    assert (refused.status_code, refused.json()) == (
        429,
        {"code": "quota_valid", "sentence": "Your team's valid hand-ins of this day are used up or being scored."},
    )
    organise.pause(made.organiser, team.contest, "Power cut")
    quota = program.get(f"/contests/{team.contest.slug}/rounds/1/quota").json()
    assert (quota["open"], quota["valid_left"], quota["attempts_left"], quota["code"]) == (False, 0, 8, "paused")


def test_a_hand_in_that_waits_is_taken_back(program: Program, team: Any, made: Made) -> None:
    waiting = made.submission(team)
    assert program.post(f"/submissions/{waiting.pk}/cancel").json()["state"] == "cancelled"
    again = program.post(f"/submissions/{waiting.pk}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "not_queued")


def test_the_own_team_is_told(program: Program, team: Any) -> None:
    told = program.get(f"/contests/{team.contest.slug}/team").json()
    assert told == {
        "name": "Sharp eyes", "state": "active", "captain": team.captain.name, "members": [team.captain.name],
        "hours": 30.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({}, "upload: Field required."),
        ({"upload": "x", "key": "k"}, "upload: Input should be a valid UUID"),
        ({"upload": str(uuid.UUID(int=1)), "key": ""}, "key: String should have at least 1 character"),
        ({"upload": str(uuid.UUID(int=1)), "key": "k" * 81}, "key: String should have at most 80 characters"),
        ({"upload": str(uuid.UUID(int=1)), "key": "a\0b"}, "key: String should match pattern"),
        ({"upload": str(uuid.UUID(int=1)), "key": "k", "state": "scored"}, "state: Extra inputs are not permitted."),
        (
            {"upload": str(uuid.UUID(int=1)), "key": "k", "accepted_at": 0},
            "accepted_at: Extra inputs are not permitted",
        ),
        ("{", "Cannot parse request body"),
        ("[" * 10_000, "Cannot parse request body"),
    ],
)
def test_values_that_are_wrong_are_named(program: Program, values: Any, part: str) -> None:
    refused = program.post("/submissions", values)
    assert refused.status_code in (400, 422)
    assert part in refused.json()["sentence"]
    assert not Submission.objects.exists()


def test_a_request_of_megabytes_is_refused(program: Program) -> None:
    refused = program.post("/submissions", '{"key": "' + "x" * (2 << 20) + '"}')
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")


def test_what_is_another_teams_looks_like_nothing(made: Made, team: Any, program: Program) -> None:
    other = made.team(team.contest)
    theirs, upload = made.submission(other), made.upload(other)
    for path in (f"/submissions/{theirs.pk}", f"/submissions/{theirs.pk + 999}"):
        assert program.get(path).json() == program.get("/submissions/0").json()
        assert program.post(f"{path}/cancel").status_code == 404
    for pk in (upload.pk, uuid.uuid4()):
        assert program.post("/submissions", {"upload": str(pk), "key": "mine"}).status_code == 404
    assert program.tus("HEAD", f"/uploads/{upload.pk}").status_code == 404


def test_organisers_have_no_other_rights_by_a_token(made: Made, team: Any) -> None:
    theirs = made.submission(team)
    assert Program(tokens.issue(made.organiser, "laptop")).get(f"/submissions/{theirs.pk}").status_code == 404


def test_without_a_token_there_is_nothing(team: Any) -> None:
    for who in (Program(), Program("spx_wrong"), Program("\x00é")):
        refused = who.get(f"/contests/{team.contest.slug}/team")
        assert (refused.status_code, refused.json()["code"]) == (401, "token")
        assert refused["WWW-Authenticate"] == "Bearer"


def test_a_session_is_no_token(team: Any) -> None:
    """Or another site could make a browser hand in."""
    browser = Client()
    browser.force_login(team.captain)
    assert Program(client=browser).post("/submissions", {}).status_code == 401


def test_a_token_is_good_for_programs_only(program: Program, team: Any) -> None:
    page = program._client.get("/account/", headers=program._headers)
    assert page.status_code == 302
    assert page["Location"].startswith("/accounts/login/")
    act = program._client.post(f"/c/{team.contest.slug}/team/disband/", headers=program._headers)
    assert act.status_code in (302, 403)
    team.refresh_from_db()
    assert team.state == "active"


def test_a_token_to_read_hands_nothing_in(team: Any, made: Made) -> None:
    reader = Program(tokens.issue(team.captain, "reader", "read"))
    assert reader.get(f"/contests/{team.contest.slug}/team").status_code == 200
    refused = reader.post("/submissions", {"upload": str(made.upload(team).pk), "key": "k"})
    assert (refused.status_code, refused.json()["code"]) == (403, "scope")
    assert reader.tus("POST", "/uploads/", Upload_Length="10").status_code == 403


def test_tokens_end(team: Any, clock: Any) -> None:
    path = f"/contests/{team.contest.slug}/team"
    short, long = (tokens.issue(team.captain, name, days=days) for name, days in (("short", 1), ("long", 9)))
    clock.forward(days=2)
    assert (Program(short).get(path).status_code, Program(long).get(path).status_code) == (401, 200)
    tokens.revoke(team.captain, ApiToken.objects.get(name="long"))
    assert Program(long).get(path).status_code == 401


def test_a_person_who_is_gone_has_no_programs(team: Any, program: Program) -> None:
    team.captain.is_active = False
    team.captain.save()
    assert program.get(f"/contests/{team.contest.slug}/team").status_code == 401


def test_only_a_hash_of_a_token_is_kept(made: Made) -> None:
    token = tokens.issue(made.user(), "laptop")
    row = ApiToken.objects.get()
    assert token.startswith("spx_")
    assert row.digest == hashlib.sha256(token.encode()).hexdigest()
    assert token not in json.dumps(list(AuditEvent.objects.values("before", "after", "reason")))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": " "}, "Give the token a name"),
        ({"name": "x" * 61}, "Give the token a name"),
        ({"name": "x", "scope": "admin"}, "A token may read"),
        ({"name": "x", "days": 0}, "for at most 366 days"),
        ({"name": "x", "days": 367}, "for at most 366 days"),
    ],
)
def test_tokens_of_other_kinds_are_refused(made: Made, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        tokens.issue(made.user(), **values)


def test_a_person_has_ten_tokens_at_most_and_ends_only_their_own(made: Made) -> None:
    user, other = made.user(), made.user()
    for number in range(10):
        tokens.issue(user, str(number))
    with pytest.raises(Refusal, match="You have ten tokens; revoke one first"):
        tokens.issue(user, "eleventh")
    with pytest.raises(Refusal, match="There is no such token"):
        tokens.revoke(other, user.tokens.get(name="0"))


def test_a_token_that_asks_too_often_waits(clock: Any, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bearer, "EACH_MINUTE", 3)
    answers = [program.get("/contests").status_code for _ in range(5)]
    assert answers == [200, 200, 200, 429, 429]
    refused = program.get("/contests")
    assert (refused.json()["code"], refused["Retry-After"]) == ("throttled", "60")
    clock.forward(minutes=1)
    assert program.get("/contests").status_code == 200


def test_the_description_names_every_address_and_what_needs_a_token() -> None:
    told = Client().get(f"{V1}/openapi.json").json()
    free = {path for path, methods in told["paths"].items() for one in methods.values() if not one.get("security")}
    assert free == {
        f"{V1}/contests", f"{V1}/contests/{{slug}}", f"{V1}/contests/{{slug}}/rounds/{{number}}/files",
        f"{V1}/contests/{{slug}}/rounds/{{number}}/board",
    }  # fmt: skip
    assert all(one["description"] for methods in told["paths"].values() for one in methods.values())
    assert Client().get(f"{V1}/docs").status_code == 404


def test_a_password_that_changes_ends_all_tokens(made: Made) -> None:
    user = made.user()
    token = tokens.issue(user, "laptop")
    browser = Client()
    browser.force_login(user)
    from made import PASSWORD

    changed = browser.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": "another long pass phrase", "password2": "another long pass phrase"},
    )
    assert changed.status_code == 302
    assert tokens.holder(token) is None


def test_when_a_token_was_used_is_known_to_the_minute(made: Made, clock: Any) -> None:
    token = tokens.issue(made.user(), "laptop")
    start = clock.moment
    for seconds in (0, 30, 61):
        clock.moment = start + timedelta(seconds=seconds)
        assert tokens.holder(token) is not None
    assert ApiToken.objects.get().used_at == start + timedelta(seconds=61)
