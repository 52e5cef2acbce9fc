"""The site as an ASGI application, behind a limit on the size of requests."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.core.asgi import get_asgi_application

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


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "subpixel.site.settings")
application = limited(get_asgi_application())
