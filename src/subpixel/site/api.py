"""The API of version 1, at /api/v1: what programs may know, and hand in, for a person by a token.

The acts are those of the pages. Files are sent to /uploads/ by tus with the same token. openapi.json describes it all.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from ninja import Field, NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer

from subpixel.metrics import finite
from subpixel.site import bearer, board, clock
from subpixel.site.acts import grants, handin, teams
from subpixel.site.models import Contest, Round, ScoreJob, Submission, Team, Upload, User
from subpixel.site.refusals import Refusal


class Token(HttpBearer):
    """The middleware of `bearer` has checked the token already; a session's cookie is none."""

    def authenticate(self, request: HttpRequest, token: str) -> User | None:  # noqa: ARG002
        """The person, None without a token."""
        return request.user if getattr(request, "by_token", False) else None


api = NinjaAPI(
    title="Contest of subpixel",
    version="1",
    description="Times are those of the server, with their zone. Refusals have a code and a sentence.",
    docs_url=None,  # a page of inline script, which the site's policy forbids
    urls_namespace="api",
)
own = Token()


class Said(Schema):
    """A refusal."""

    code: str
    sentence: str


class RoundOut(Schema):
    """A round. end: the first moment that does not belong to it."""

    id: int
    number: int
    name: str
    opens: datetime
    end: datetime
    valid_per_day: int
    attempts_per_day: int
    advance: int
    board: str
    final: bool


class ContestOut(Schema):
    """A contest and its rounds."""

    slug: str
    name: str
    zone: str
    paused: bool
    teams_open: datetime
    teams_end: datetime
    rounds: list[RoundOut]


class FileOut(Schema):
    """A file of the data. url: where it is, without a token."""

    name: str
    kind: str
    size: int
    sha256: str
    url: str


class RowOut(Schema):
    """A place on the board. psnr: in dB, pooled, as many decimals as the round shows; "inf" for no error at all."""

    rank: int | None
    team: str
    psnr: float | str
    accepted_at: datetime
    hand_ins: int
    advances: bool


class QuotaOut(Schema):
    """What may still be handed in on `day`. why_not: "" if a hand-in would be accepted now."""

    open: bool
    valid_left: int
    attempts_left: int
    day: date
    next_day_at: datetime | None
    why_not: str
    code: str


class TeamOut(Schema):
    """One's own team. hours: of compute that are left."""

    name: str
    state: str
    captain: str
    members: list[str]
    hours: float


class SubmissionOut(Schema):
    """A hand-in of one's own team. psnr: as on the board, null while there is no score. progress: 0 to 1."""

    id: int
    round: str
    accepted_at: datetime
    day: date
    state: str
    size: int
    sha256: str
    psnr: float | str | None
    progress: float | None
    reason: str
    problems: list[dict[str, str]]
    notes: list[str]


class SubmissionIn(Schema, extra="forbid"):
    """upload: a complete one of the team. key: the same again gives the same hand-in, so that one may repeat."""

    upload: uuid.UUID
    key: str = Field(min_length=1, max_length=handin.KEY_LENGTH, pattern=r"^[!-~]+$")


@api.get("/contests", response=list[ContestOut], auth=None)
def contests(request: HttpRequest) -> list[dict[str, Any]]:  # noqa: ARG001
    """All contests."""
    return [_contest(one) for one in Contest.objects.prefetch_related("rounds").order_by("-teams_open")]


@api.get("/contests/{slug}", response=ContestOut, auth=None)
def contest(request: HttpRequest, slug: str) -> dict[str, Any]:  # noqa: ARG001
    """One contest."""
    return _contest(get_object_or_404(Contest.objects.prefetch_related("rounds"), slug=slug))


@api.get("/contests/{slug}/rounds/{int:number}/files", response=list[FileOut], auth=None)
def files(request: HttpRequest, slug: str, number: int) -> list[dict[str, Any]]:
    """The data of a round that can be had now, its manifest among them."""
    found = _round(slug, number).files.filter(visible_from__lte=clock.now())
    return [
        {**_fields(FileOut, one, "url"), "url": request.build_absolute_uri(reverse("data-file", args=[slug, one.pk]))}
        for one in found
    ]


@api.get("/contests/{slug}/rounds/{int:number}/board", response=list[RowOut], auth=None)
def ranks(request: HttpRequest, response: HttpResponse, slug: str, number: int) -> list[dict[str, Any]]:  # noqa: ARG001
    """The board as everybody sees it; organisers too see no more here."""
    one = _round(slug, number)
    response["ETag"] = f'"{board.version(one)}"'
    return [{**_fields(RowOut, row, "psnr"), "psnr": _shown(row.sse, row.n, one)} for row in board.shown(one, None)]


@api.get("/contests/{slug}/team", response=TeamOut, auth=own)
def team(request: HttpRequest, slug: str) -> dict[str, Any]:
    """One's own team."""
    found = _team(request, slug)
    members = [str(one.user) for one in found.memberships.filter(left_at=None).select_related("user").order_by("pk")]
    return {
        "name": found.name, "state": found.state, "captain": str(found.captain or ""),
        "members": members, "hours": float(grants.balance(found)),
    }  # fmt: skip


@api.get("/contests/{slug}/rounds/{int:number}/quota", response=QuotaOut, auth=own)
def quota(request: HttpRequest, slug: str, number: int) -> dict[str, Any]:
    """What one's own team may still hand in."""
    return _fields(QuotaOut, handin.quota(_team(request, slug), _round(slug, number), clock.now()))


@api.get("/contests/{slug}/submissions", response=list[SubmissionOut], auth=own)
def submissions(request: HttpRequest, slug: str) -> list[dict[str, Any]]:
    """The hand-ins of one's own team, the latest first."""
    found = _team(request, slug).submissions.select_related("round")
    return [_submission(one) for one in found.order_by("-accepted_at", "-pk")]


@api.get("/submissions/{int:number}", response=SubmissionOut, auth=own)
def submission(request: HttpRequest, number: int) -> dict[str, Any]:
    """One hand-in of one's own team."""
    return _submission(_own(request, number))


@api.post("/submissions", response={200: SubmissionOut, 409: Said, 422: Said, 429: Said}, auth=own)
def hand_in(request: HttpRequest, given: SubmissionIn) -> dict[str, Any]:
    """Hand a complete upload in."""
    found = get_object_or_404(Upload.objects.select_related("team", "round__contest"), pk=given.upload)
    if not teams.is_member(_user(request), found.team):
        raise Http404
    return _submission(handin.accept(_user(request), found, given.key, client="api"))


@api.post("/submissions/{int:number}/cancel", response={200: SubmissionOut, 409: Said}, auth=own)
def cancel(request: HttpRequest, number: int) -> dict[str, Any]:
    """Take a hand-in back that still waits."""
    found = _own(request, number)
    handin.cancel(_user(request), found)
    return _submission(found)


@api.exception_handler(Refusal)
def refuse(request: HttpRequest, refusal: Refusal) -> HttpResponse:  # noqa: ARG001
    """An act was refused."""
    return bearer.refused(refusal.code, refusal.sentence, refusal.status)


@api.exception_handler(Http404)
def miss(request: HttpRequest, error: Http404) -> HttpResponse:  # noqa: ARG001
    """What is not there, or not this person's, which nobody can tell apart."""
    return bearer.refused("not_found", "There is no such thing, or it is not yours.", 404)


@api.exception_handler(AuthenticationError)
def ask(request: HttpRequest, error: AuthenticationError) -> HttpResponse:  # noqa: ARG001
    """No token came."""
    return bearer.refused("token", "This needs a token: Authorization: Bearer TOKEN.", 401)


@api.exception_handler(ValidationError)
def correct(request: HttpRequest, error: ValidationError) -> HttpResponse:  # noqa: ARG001
    """The first value that is wrong."""
    first = error.errors[0]
    where = ".".join(str(part) for part in first["loc"][2:])
    return bearer.refused("values", f"{where or 'The request'}: {first['msg']}.", 422)


@api.exception_handler(HttpError)
def stop(request: HttpRequest, error: HttpError) -> HttpResponse:  # noqa: ARG001
    """What is no JSON."""
    return bearer.refused("request", f"{error.message}.", error.status_code)


@api.exception_handler(RequestDataTooBig)
def shrink(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:  # noqa: ARG001
    """JSON of more than a megabyte."""
    return bearer.refused("too_large", "No request here needs that many bytes.", 413)


def _fields(schema: type[Schema], row: object, *others: str) -> dict[str, Any]:
    """The attributes that a schema has, but for others."""
    return {name: getattr(row, name) for name in schema.model_fields if name not in others}


def _contest(one: Contest) -> dict[str, Any]:
    rounds = [{**_fields(RoundOut, r, "final"), "final": r.finalised_at is not None} for r in one.rounds.all()]
    return {**_fields(ContestOut, one, "rounds"), "rounds": rounds}


def _round(slug: str, number: int) -> Round:
    return get_object_or_404(Round.objects.select_related("contest"), contest__slug=slug, number=number)


def _user(request: HttpRequest) -> User:
    return request.user  # endpoints of `own` are asked by nobody else


def _team(request: HttpRequest, slug: str) -> Team:
    found = teams.team_of(_user(request), get_object_or_404(Contest, slug=slug))
    if found is None:
        raise Refusal("no_team", "You are in no team of this contest.", 404)
    return found


def _own(request: HttpRequest, number: int) -> Submission:
    found = get_object_or_404(Submission.objects.select_related("team", "round__contest"), pk=number)
    if not teams.is_member(_user(request), found.team):
        raise Http404
    return found


def _shown(sse: int, n: int, one: Round) -> float | str:
    value = finite(board.psnr(sse, n))
    return round(value, one.decimals) if isinstance(value, float) else str(value)


def _submission(one: Submission) -> dict[str, Any]:
    sums = board.score(one)
    job = ScoreJob.objects.filter(evaluation__submission=one, state="leased").first()
    return {
        **_fields(SubmissionOut, one, "round", "psnr", "progress"),
        "round": one.round.name,
        "psnr": _shown(*sums, one.round) if sums else None,
        "progress": job.frames_done / job.frames if job and job.frames else None,
    }
