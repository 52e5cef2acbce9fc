"""Sending files, whole or from a byte on, without holding them in memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Generator

from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header

from subpixel.site import files

_PIECE = 1 << 18


def send(request: HttpRequest, store: str, key: str, name: str) -> HttpResponse:
    """A file of a store to be saved under a name. A request for a range of bytes gets it, so that a download that
    broke off can go on. Raises Http404 where there is no such file.
    """
    try:
        size = files.store(store).size(key)
    except FileNotFoundError as error:
        raise Http404(str(error)) from error
    wanted = _range(request, size, key)
    if wanted is None:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    start, stop = wanted
    pieces = _pieces_later if isinstance(request, ASGIRequest) else _pieces
    body = () if request.method == "HEAD" else pieces(store, key, start, stop - start)
    response = StreamingHttpResponse(body, content_type="application/octet-stream")
    response["Content-Length"] = str(stop - start)
    response["Content-Disposition"] = content_disposition_header(True, name)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = f'"{key}"'
    if stop - start < size:
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return response


def _range(request: HttpRequest, size: int, key: str) -> tuple[int, int] | None:
    """First byte, and the one after the last; None for a range outside the file. Several ranges get the whole file."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
    current = request.headers.get("If-Range", f'"{key}"') == f'"{key}"'
    if not found or not current or found.groups() == ("", ""):
        return 0, size
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    start, stop = int(first), min(size, int(last) + 1) if last else size
    return (start, stop) if start < stop else None


def _pieces(store: str, key: str, start: int, count: int) -> Generator[bytes]:
    with files.store(store).open(key) as file:
        file.seek(start)
        while count and (piece := file.read(min(_PIECE, count))):
            count -= len(piece)
            yield piece


async def _pieces_later(store: str, key: str, start: int, count: int) -> AsyncIterator[bytes]:
    pieces = _pieces(store, key, start, count)
    try:
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece
    finally:
        pieces.close()
