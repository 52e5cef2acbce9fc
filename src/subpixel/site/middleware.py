"""What holds for every request: the policy of contents, the reader's language, who asks, and refusals told as pages."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation

from subpixel.site import audit
from subpixel.site.refusals import Refusal

Answer = Callable[[HttpRequest], HttpResponse]

# Everything from this server, nothing written into the page itself.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


def policy(get_response: Answer) -> Answer:
    """Middleware: forbids the browser all that does not come from this server, such as script inside a page."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.setdefault("Content-Security-Policy", POLICY)
        response.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        return response

    return answer


def client(request: HttpRequest) -> str | None:
    """The address that a request comes from, as the outermost trusted proxy saw it."""
    proxies = settings.SITE.proxies
    seen = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    return seen[-proxies] if 0 < proxies <= len(seen) else request.META.get("REMOTE_ADDR")


def address(get_response: Answer) -> Answer:
    """Middleware: tells the audit trail who asks."""

    def answer(request: HttpRequest) -> HttpResponse:
        token = audit.ip.set(client(request))
        try:
            return get_response(request)
        finally:
            audit.ip.reset(token)

    return answer


def language(get_response: Answer) -> Answer:
    """Middleware: the language a person chose for mails, where this browser has none of its own."""

    def answer(request: HttpRequest) -> HttpResponse:
        if settings.LANGUAGE_COOKIE_NAME not in request.COOKIES and request.user.is_authenticated:
            translation.activate(request.user.locale)
            request.LANGUAGE_CODE = translation.get_language()
        return get_response(request)

    return answer


class Refusals:
    """Middleware: a refusal that no page took becomes a page of its own, with its status."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The answer of the view."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A page for a refusal; None leaves other exceptions to Django."""
        if not isinstance(exception, Refusal):
            return None
        return render(request, "error.html", {"sentence": exception.sentence}, status=exception.status)
