"""The boards' rows from memory: fresh within a second, and nobody's but everybody's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from subpixel.site.edge import limited, remembered

ROWS = "/c/cup/board/1/rows/"


class Inner:
    """An application that answers with a number that rises, and with what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(dict(scope["headers"]))
        number = len(self.asked)
        await receive()
        await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % number})


async def ask(application: Any, path: str = ROWS, method: str = "GET", **headers: str) -> bytes:
    """The body of the answer."""
    told = [(name.replace("_", "-").encode(), value.encode()) for name, value in {"host": "x", **headers}.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": told}
    body = b""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        nonlocal body
        body += message.get("body", b"")

    await application(scope, receive, send)
    return body


def test_many_who_ask_at_once_wait_for_one() -> None:
    async def crowd() -> list[bytes]:
        application = remembered(inner)
        return [*await asyncio.gather(*(ask(application) for _ in range(100))), await ask(application)]

    inner = Inner()
    assert set(asyncio.run(crowd())) == {b"1"}
    assert len(inner.asked) == 1


def test_after_a_while_it_is_asked_again() -> None:
    async def twice() -> list[bytes]:
        application = remembered(Inner(), seconds=0)
        return [await ask(application), await ask(application)]

    assert asyncio.run(twice()) == [b"1", b"2"]


@pytest.mark.parametrize(
    "other",
    [
        {"path": "/c/cup/"}, {"path": "/c/cup/board/1/"}, {"method": "POST"}, {"authorization": "Bearer x"},
        {"cookie": "session=abc"}, {"cookie": "a=b; session=abc"}, {"cookie": "[=(; session=abc"},
    ],
    ids=str,
)  # fmt: skip
def test_other_requests_are_not_remembered(other: dict[str, str]) -> None:
    async def twice() -> list[bytes]:
        application = remembered(Inner())
        return [await ask(application, **other) for _ in range(2)]

    assert asyncio.run(twice()) == [b"1", b"2"]


def test_what_is_not_told_apart_is_not_told() -> None:
    """The application gets no cookie but the language, so that what is kept is nobody's own."""

    async def several(application: Callable[..., Awaitable[None]]) -> list[bytes]:
        asks: list[dict[str, str]] = [
            {"cookie": "django_language=zh-hans; csrf=1", "accept_language": "de"},
            {"cookie": "csrf=2; django_language=zh-hans", "accept_language": "de", "x_other": "1"},
            {"cookie": "django_language=evil", "accept_language": "de"},
            {"accept_language": "de"},
            {"accept_language": "en"},
            {"host": "evil.example"},
        ]
        return [await ask(application, **headers) for headers in asks]

    inner = Inner()
    assert asyncio.run(several(remembered(inner))) == [b"1", b"1", b"2", b"2", b"3", b"4"]
    assert inner.asked[0] == {b"host": b"x", b"accept-language": b"de", b"cookie": b"django_language=zh-hans"}
    assert inner.asked[1] == {b"host": b"x", b"accept-language": b"de"}


def test_an_announced_body_too_large_is_refused() -> None:
    inner = Inner()
    for length in ("101", "-1", "1e3", "x"):
        body = asyncio.run(ask(limited(inner, 100), content_length=length))
        assert body == b"A request may have 100 bytes; send large files in parts."
    assert inner.asked == []
    assert asyncio.run(ask(limited(inner, 100), content_length="100")) == b"1"
