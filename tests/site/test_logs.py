"""Logs: JSON lines without secrets, personal data and strangers' line breaks."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from made import Made
from subpixel.site import logs, urls


def line(message: str, *arguments: object, secrets: tuple[str, ...] = (), **extra: Any) -> str:
    record = logging.getLogger("subpixel.test").makeRecord(
        "subpixel.test", logging.INFO, "file.py", 1, message, arguments, None, extra=extra
    )
    return logs.Formatter(secrets).format(record)


def test_a_record_is_one_json_object_with_what_was_added() -> None:
    said = json.loads(line("judged %s", "well", submission=12))
    assert said.pop("time").endswith("+00:00")
    assert said == {"level": "info", "logger": "subpixel.test", "message": "judged well", "submission": 12}


def test_a_stranger_cannot_forge_a_line() -> None:
    text = line("name %s", 'x\n{"level": "error", "message": "all is lost"}\r\u2028\x1b[2J')
    assert text.count("\n") == 0
    assert "\x1b" not in text
    assert json.loads(text)["level"] == "info"


@pytest.mark.parametrize("secret", ["pass/word", 'quote"d', "line\nbreak"])
def test_secrets_are_put_out_as_stars(secret: str) -> None:
    text = line("cannot reach smtp://me:%s@mail", secret, secrets=(secret,), url=f"x{secret}y")
    assert json.dumps(secret)[1:-1] not in text
    assert json.loads(text)["url"] == "x***y"


def test_a_traceback_is_part_of_the_line() -> None:
    try:
        raise ValueError("the secret word")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed", (), (type(error), error, error.__traceback__))
    said = json.loads(logs.Formatter(("the secret word",)).format(record))
    assert said["traceback"].splitlines()[-1] == "ValueError: ***"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """What has been logged so far, as it is written."""
    caplog.set_level(logging.INFO)
    return lambda: [logs.Formatter().format(record) for record in caplog.records]


@pytest.mark.django_db
def test_a_request_is_logged_without_its_address(lines: Any, made: Made) -> None:
    made.contest()
    Client().get("/uploads/0d5d6a2c-5b0c-4b0f-8f5d-0a4f6f3b2a11", {"key": "very-secret"})
    Client().get("/no/such/page/very-secret/")
    Client().get("/api/v1/contests", headers={"Authorization": "Bearer very-secret"})
    text = "\n".join(lines())
    assert "very-secret" not in text
    assert "0d5d6a2c" not in text
    said = [json.loads(one) for one in lines() if "subpixel.site.requests" in one]
    assert [(one["message"], one["status"]) for one in said] == [
        ("GET /uploads/<uuid:pk>", 401), ("GET (no page)", 404), ("GET (no page)", 401),
    ]  # fmt: skip


def fail(request: HttpRequest, token: str) -> HttpResponse:  # noqa: ARG001
    raise ZeroDivisionError


urlpatterns = [path("fail/<str:token>/", fail), *urls.urlpatterns]


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_a_failure_is_logged_with_its_traceback_and_without_the_address(lines: Any) -> None:
    answer = Client(raise_request_exception=False).get("/fail/very-secret/")
    assert answer.status_code == 500
    said = [json.loads(one) for one in lines()]
    failed = next(one for one in said if "traceback" in one)
    assert (failed["logger"], failed["level"]) == ("django.request", "error")
    assert failed["message"] == "GET /fail/<str:token>/"
    assert "ZeroDivisionError" in failed["traceback"]
    assert "very-secret" not in "".join(lines())
