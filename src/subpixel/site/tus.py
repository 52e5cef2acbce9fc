"""Uploads by tus 1.0: core, creation, checksum, expiration, termination. https://tus.io/protocols/resumable-upload"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from email.utils import format_datetime
from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from subpixel.site import uploads
from subpixel.site.models import Round, Upload, User
from subpixel.site.refusals import Refusal

VERSION = "1.0.0"
_BODY = "application/offset+octet-stream"
View = Callable[..., HttpResponse]


def _spoken(view: View) -> View:
    """A view that speaks tus to people who are logged in, and tells refusals as plain text."""

    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if request.method == "OPTIONS":
            response = _abilities()
        elif not request.user.is_authenticated:
            response = _text("Log in first.", 401)
        elif request.headers.get("Tus-Resumable") != VERSION:
            response = _text(f"This server speaks tus {VERSION}; send Tus-Resumable: {VERSION}.", 412)
            response["Tus-Version"] = VERSION
        else:
            try:
                response = view(request, *args, **kwargs)
            except Refusal as refusal:
                response = _refused(refusal)
        response["Tus-Resumable"] = VERSION
        response["Cache-Control"] = "no-store"
        return response

    return answer


@_spoken
def creation(request: HttpRequest) -> HttpResponse:
    """POST: open an upload. Upload-Metadata has round (its number in the database), filename and purpose."""
    if request.method != "POST":
        return _not_allowed("POST, OPTIONS")
    size, told = _number(request, "Upload-Length"), _metadata(request.headers.get("Upload-Metadata", ""))
    number = told.get("round", "")
    round_ = get_object_or_404(Round.objects.select_related("contest"), pk=int(number) if number.isdecimal() else 0)
    purpose = told.get("purpose", "answer")
    if purpose not in ("answer", "review"):
        return _text("purpose is answer or review.", 400)
    person = _person(request)
    try:
        upload = uploads.begin(person, round_, told.get("filename", "answer.tar"), size, purpose)
    except uploads.StillOpen as refusal:  # also of one whose Location was lost on its way to the client
        response = _refused(refusal)
        response["Location"] = reverse("upload", args=[refusal.upload.pk])
        return response
    return _place(upload, 201)


@_spoken
def part(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """HEAD: how far it is. PATCH: add a part. DELETE: give it up."""
    if request.method not in ("HEAD", "PATCH", "DELETE"):
        return _not_allowed("HEAD, PATCH, DELETE, OPTIONS")
    upload = uploads.find(_person(request), pk)
    if request.method == "DELETE":
        uploads.abort(upload)
        return HttpResponse(status=204)
    if upload.state not in ("receiving", "complete", "consumed"):
        return _text("This upload is no longer open; begin another.", 410)
    if request.method == "PATCH":
        if request.content_type != _BODY:
            return _text(f"A part is sent as {_BODY}.", 415)
        upload = uploads.append(upload, _number(request, "Upload-Offset"), request, _checksum(request))
        return _place(upload, 204)
    if upload.state == "receiving" and upload.offset == upload.size:
        uploads.finish(upload)
        upload.refresh_from_db()
    return _place(upload, 200)


def _place(upload: Upload, status: int) -> HttpResponse:
    response = HttpResponse(status=status)
    if status == 201:
        response["Location"] = reverse("upload", args=[upload.pk])
    response["Upload-Offset"] = str(upload.offset)
    response["Upload-Length"] = str(upload.size)
    response["Upload-Expires"] = format_datetime(upload.expires_at, usegmt=True)
    return response


def _abilities() -> HttpResponse:
    response = HttpResponse(status=204)
    response["Tus-Version"] = VERSION
    response["Tus-Extension"] = "creation,checksum,expiration,termination"
    response["Tus-Checksum-Algorithm"] = "sha256"
    return response


def _not_allowed(methods: str) -> HttpResponse:
    response = _text(f"Only {methods} are known here.", 405)
    response["Allow"] = methods
    return response


def _text(sentence: str, status: int) -> HttpResponse:
    return HttpResponse(sentence, status=status, content_type="text/plain; charset=utf-8")


def _refused(refusal: Refusal) -> HttpResponse:
    response = _text(refusal.sentence, refusal.status)
    response["X-Refusal"] = refusal.code
    return response


def _person(request: HttpRequest) -> User:
    person: User = request.user
    return person


def _number(request: HttpRequest, header: str) -> int:
    """A header with a whole number of at most 15 digits."""
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise Refusal("header", f"{header} must be a whole number, not {text[:40]!r}.", status=400)
    return int(text)


def _metadata(text: str) -> dict[str, str]:
    """Keys and their base64-coded values, separated by commas."""
    told = {}
    for pair in filter(None, (one.strip() for one in text.split(","))):
        key, _, value = pair.partition(" ")
        try:
            told[key] = base64.b64decode(value.strip(), validate=True).decode("utf-8")
        except ValueError:  # of either step
            raise Refusal("header", f"Upload-Metadata: {key[:40]!r} is not followed by base64.", status=400) from None
    return told


def _checksum(request: HttpRequest) -> str:
    """The SHA-256 that came with a part in hexadecimal digits, "" for none."""
    text = request.headers.get("Upload-Checksum", "")
    if not text:
        return ""
    algorithm, _, value = text.partition(" ")
    try:
        digest = base64.b64decode(value, validate=True)
    except ValueError:
        digest = b""
    if algorithm != "sha256" or len(digest) != 32:
        raise Refusal("header", "Upload-Checksum is `sha256 ` and 32 bytes as base64.", status=400)
    return digest.hex()
