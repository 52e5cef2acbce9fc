"""People's programs: `Authorization: Bearer TOKEN` on the addresses made for programs, and on no page."""

from __future__ import annotations

from collections.abc import Callable

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse

from subpixel.site import clock
from subpixel.site.acts import tokens

Answer = Callable[[HttpRequest], HttpResponse]
PLACES = ("/api/", "/uploads/")
SAFE = ("GET", "HEAD", "OPTIONS")
EACH_MINUTE = 120  # requests of a token, besides the parts of uploads


def bearer(get_response: Answer) -> Answer:
    """Middleware: the person behind a token asks. A token is no cookie, so that no other site can make use of it."""

    def answer(request: HttpRequest) -> HttpResponse:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not request.path_info.startswith(PLACES):
            return get_response(request)
        token = tokens.holder(secret.strip())
        if token is None:
            return refused("token", "This token is unknown, expired or revoked.", 401)
        if request.method not in SAFE and token.scope != "submit":
            return refused("scope", "This token may only read; make one that may hand in.", 403)
        if request.method != "PATCH" and not _allowed(f"api:{token.pk}"):
            return refused("throttled", f"A token may ask {EACH_MINUTE} times a minute; wait a little.", 429)
        request.user = token.user
        request.by_token = True
        request.csrf_processing_done = True
        return get_response(request)

    return answer


def refused(code: str, sentence: str, status: int) -> JsonResponse:
    """A refusal as programs get it."""
    response = JsonResponse({"code": code, "sentence": sentence}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status == 429:
        response["Retry-After"] = "60"
    return response


def _allowed(who: str) -> bool:
    """Count a request in this minute; whether it is not one too many."""
    key = f"{who}:{int(clock.now().timestamp()) // 60}"
    cache.add(key, 0, timeout=120)
    try:
        return cache.incr(key) <= EACH_MINUTE
    except ValueError:  # it expired in between
        return True
