"""What stands in front of Django: a limit on the size of requests, and a memory of the boards' rows."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings
from django.http import parse_cookie

_TOLD = (b"host", b"accept-language", b"if-none-match", b"x-forwarded-proto")
_ROWS = re.compile("/c/[^/]+/board/[0-9]+/rows/")
FRESH = 1.0  # seconds for which a board's rows are told again as they were
MOST_KEPT = 500
MOST_BYTES = (16 << 20) + (1 << 20)  # of a request: the largest part of an upload, or a form

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def limited(inner: Application, most: int = MOST_BYTES) -> Application:
    """An application that meets no larger request: Django would write all of it to disk before it looks at it."""

    async def outer(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        claimed = dict(scope["headers"]).get(b"content-length", b"0")
        if not claimed.isdigit() or int(claimed) > most:
            await _refuse(send, most)
            return
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            return {"type": "http.disconnect"} if came > most else message

        await inner(scope, counted, send)

    return outer


async def _refuse(send: Send, most: int) -> None:
    text = f"A request may have {most} bytes; send large files in parts.".encode()
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": text})


@dataclasses.dataclass
class _Kept:
    """An answer that is being made or was made, and since when."""

    answer: asyncio.Task[list[Message]]
    since: float


def remembered(inner: Application, seconds: float = FRESH) -> Application:
    """An application that gives people who are not logged in the rows of a board from memory, for so many seconds.

    Of those who ask at once one waits for the database, and the others for that one.
    """
    kept: dict[tuple[object, ...], _Kept] = {}

    async def outer(scope: Message, receive: Receive, send: Send) -> None:
        shared = _shared(scope)
        if shared is None:
            await inner(scope, receive, send)
            return
        key = (shared["path"], *shared["headers"])
        found = kept.get(key)
        if found is None or found.since + seconds < time.monotonic():
            if len(kept) >= MOST_KEPT:
                kept.clear()
            found = kept[key] = _Kept(asyncio.create_task(_whole(inner, shared)), time.monotonic())
        for message in await asyncio.shield(found.answer):
            await send(dict(message))

    return outer


def _shared(scope: Message) -> Message | None:
    """A request for rows without all that could make its answer another's; None for other requests.

    Whoever has a session or a token asks for themselves.
    """
    if scope["type"] != "http" or scope["method"] != "GET" or not _ROWS.fullmatch(scope["path"]):
        return None
    headers = dict(scope["headers"])
    cookies = parse_cookie(b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1"))
    if settings.SESSION_COOKIE_NAME in cookies or b"authorization" in headers:
        return None
    told = [(name, headers[name]) for name in _TOLD if name in headers]
    language = cookies.get(settings.LANGUAGE_COOKIE_NAME)
    if language in dict(settings.LANGUAGES):
        told.append((b"cookie", f"{settings.LANGUAGE_COOKIE_NAME}={language}".encode()))
    return {**scope, "query_string": b"", "headers": told}


async def _whole(inner: Application, scope: Message) -> list[Message]:
    """All messages of the answer to a request without a body."""
    messages: list[Message] = []
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()  # nobody hangs up
        asked = True
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        messages.append(message)

    await inner(scope, receive, send)
    return messages
