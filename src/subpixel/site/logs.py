"""Logs: one JSON object a line on standard error, in which no secret and no line break of a stranger's stands."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse

Answer = Callable[[HttpRequest], HttpResponse]
HIDDEN = "***"
# What every record has, and what Django and uvicorn add for themselves; others begin such names with an underscore.
OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "request", "status_code", "color_message", "server_time"}
_requests = logging.getLogger("subpixel.site.requests")


class Formatter(logging.Formatter):
    """A record as JSON: time, level, logger, message, what `extra={...}` adds, and a traceback.

    secrets: text that is put out as ***, wherever it stands.
    """

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._secrets = sorted(secrets, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        request = getattr(record, "request", None)
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": f"{request.method} {route(request)}" if request is not None else record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in OWN and name[0] != "_"},
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        line = json.dumps(said, default=str, ensure_ascii=False)
        for secret in self._secrets:
            line = line.replace(json.dumps(secret, ensure_ascii=False)[1:-1], HIDDEN)
        return line


def route(request: HttpRequest) -> str:
    """The pattern of a request's address; the address itself may hold the token of an invitation or of a reset."""
    match = getattr(request, "resolver_match", None)
    return f"/{match.route}" if match else "(no page)"


def requests(get_response: Answer) -> Answer:
    """Middleware: a line for each request, without its address, body and cookies."""

    def answer(request: HttpRequest) -> HttpResponse:
        start = time.perf_counter()
        response = get_response(request)
        fields: dict[str, Any] = {
            "status": response.status_code,
            "milliseconds": round(1000 * (time.perf_counter() - start)),
            "user": getattr(getattr(request, "user", None), "pk", None),
            **{name: value for name, value in _parts(request).items() if isinstance(value, int) or name == "slug"},
        }
        _requests.info("%s %s", request.method, route(request), extra=fields)
        return response

    return answer


def _parts(request: HttpRequest) -> dict[str, Any]:
    match = getattr(request, "resolver_match", None)
    return match.kwargs if match else {}


def configuration(secrets: tuple[str, ...]) -> dict[str, Any]:
    """Django's setting LOGGING. Missing pages and refused requests are told by `requests`, once."""
    quiet = {"level": "ERROR"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": Formatter, "secrets": secrets}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "subpixel": {"level": "INFO"},
            "uvicorn.error": {"level": "INFO"},
            "uvicorn.access": {"level": "CRITICAL"},
            "django": {"handlers": [], "level": "WARNING", "propagate": True},
            "django.request": quiet,
            "django.security.csrf": quiet,
        },
    }
