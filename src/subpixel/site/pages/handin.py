"""Handing in: the upload, what becomes of it, the team's history."""

from __future__ import annotations

import io
import uuid
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from subpixel.site import clock, uploads
from subpixel.site.acts import handin as acts
from subpixel.site.acts import teams
from subpixel.site.models import Contest, Evaluation, Round, ScoreJob, Submission, Team, Upload, User
from subpixel.site.models.submissions import UNFINISHED
from subpixel.site.pages.downloads import send
from subpixel.site.pages.forms import FileForm
from subpixel.site.pages.shell import attempt, back, cleaned, of_person, of_team, page, phase
from subpixel.site.refusals import Refusal


@require_safe
@of_team
def handin(request: HttpRequest, contest: Contest, team: Team) -> HttpResponse:
    """The form to hand in, with what is left of the day, an upload that broke off, and the hand-ins under way."""
    now = clock.now()
    current = phase(contest, now)
    one = current.round if current.kind == "round" else None
    open_uploads = Upload.objects.filter(team=team, purpose="answer", expires_at__gt=now)
    context = {
        "round": one,
        "quota": acts.quota(team, one, now) if one else None,
        "broken": open_uploads.filter(state="receiving").first(),
        "complete": open_uploads.filter(state="complete", round=one).order_by("-moved_at") if one else [],
        "form": FileForm(),
        "part": uploads.PART,
        "most": contest.rules.limits.archive_bytes,
        "under_way": with_scores(Submission.objects.filter(team=team, state__in=UNFINISHED)),
    }
    return page(request, contest, "contest/handin.html", context)


@require_POST
@of_team
def accept(request: HttpRequest, contest: Contest, team: Team, upload: uuid.UUID) -> HttpResponse:
    """Hands a complete upload in."""
    found = get_object_or_404(Upload, pk=upload, team=team, purpose="answer")
    if not attempt(request, _("Accepted. It is scored as soon as its turn comes."), _accept, request, found):
        return back("handin", contest)
    return back("submission", contest, found.submission.pk)


def _accept(request: HttpRequest, upload: Upload) -> Submission:
    """The hand-in of an upload; the same one if the form is sent twice."""
    return acts.accept(request.user, upload, f"web:{upload.pk}", client="web")


@require_POST
@of_team
def send_whole(request: HttpRequest, contest: Contest, _team: Team) -> HttpResponse:
    """Uploads a small file in one piece and hands it in, for browsers without script."""
    current = phase(contest, clock.now())
    form = FileForm(request.POST, request.FILES)
    if current.kind != "round" or current.round is None:
        raise Refusal("closed", _("No round is open."))
    file, one = cleaned(form)["file"], current.round
    sent: list[Submission] = []

    def whole() -> None:
        sent.append(_accept(request, send_in_one_piece(request.user, one, file)))

    if not attempt(request, _("Accepted. It is scored as soon as its turn comes."), whole):
        return back("handin", contest)
    return back("submission", contest, sent[0].pk)


def send_in_one_piece(user: User, round: Round, file: UploadedFile, purpose: str = "answer") -> Upload:  # noqa: A002
    """A file that came with a form as a complete upload. Raises Refusal as uploads do."""
    upload = uploads.begin(user, round, file.name, file.size, purpose)
    for offset in range(0, file.size, uploads.PART):
        upload = uploads.append(upload, offset, io.BytesIO(file.read(uploads.PART)))
    return upload


@require_POST
@of_team
def give_up(request: HttpRequest, contest: Contest, team: Team, upload: uuid.UUID) -> HttpResponse:
    """Gives an upload up."""
    found = get_object_or_404(Upload, pk=upload, team=team)
    attempt(request, _("The upload is given up."), uploads.abort, found)
    return back("handin" if found.purpose == "answer" else "review", contest)


def with_scores(submissions: Any) -> list[Submission]:
    """Hand-ins with `result`, the evaluation against the current truth, or None while there is none."""
    scored = Prefetch("evaluations", Evaluation.objects.select_related("job"), to_attr="all_evaluations")
    found = list(submissions.select_related("round", "team", "user", "upload").prefetch_related(scored))
    for one in found:
        own = [e for e in one.all_evaluations if e.truth_id == one.round.truth_id and e.scorer == one.round.scorer]
        one.result = own[0] if own and own[0].status == "ok" and one.state in ("scored", "voided") else None
        one.job = next((e.job for e in one.all_evaluations if hasattr(e, "job")), None)
    return found


def own_or_404(request: HttpRequest, contest: Contest, number: int) -> Submission:
    """A hand-in of the person's team, or any for an organiser. Raises Http404 for others."""
    found = with_scores(Submission.objects.filter(pk=number, round__contest=contest))
    team = teams.team_of(request.user, contest)
    if not found or not (request.user.is_staff or (team and team.pk == found[0].team_id)):
        raise Http404
    return found[0]


def _ahead(one: Submission) -> int:
    """How many hand-ins wait in front of one."""
    if one.state != "queued":
        return 0
    return ScoreJob.objects.filter(state="ready", evaluation__submission__accepted_at__lt=one.accepted_at).count()


@require_safe
@of_person
def submission(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """One hand-in: its state while it is scored, then its score or what is wrong with it."""
    found = own_or_404(request, contest, number)
    context = {"submission": found, "unfinished": found.state in UNFINISHED, "ahead": _ahead(found)}
    return page(request, contest, "contest/submission.html", context)


@require_safe
@of_person
def submission_state(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """The part of the page that changes."""
    found = own_or_404(request, contest, number)
    context = {"contest": contest, "submission": found, "unfinished": found.state in UNFINISHED, "ahead": _ahead(found)}
    response = render(request, "contest/submission_state.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_safe
@of_person
def submission_file(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """The archive as it was handed in."""
    found = own_or_404(request, contest, number)
    return send(request, "submissions", found.sha256, f"{found.round.name}-{found.pk}.tar")


@require_POST
@of_team
def cancel(request: HttpRequest, contest: Contest, team: Team, number: int) -> HttpResponse:
    """Takes a hand-in back that still waits."""
    found = get_object_or_404(Submission, pk=number, team=team)
    attempt(request, _("The hand-in is cancelled."), acts.cancel, request.user, found)
    return redirect("submission", contest.slug, number)


@require_safe
@of_team
def history(request: HttpRequest, contest: Contest, team: Team) -> HttpResponse:
    """All hand-ins of the team, and its best one of each round."""
    every = with_scores(Submission.objects.filter(team=team))
    for one in every:
        rivals = [o.result for o in every if o.round_id == one.round_id and o.state == "scored" and o.result]
        one.best = one.state == "scored" and one.result is not None and one.result is min(
            rivals, key=lambda result: (result.sse, result.submission.accepted_at, result.submission_id)
        )  # fmt: skip
    return page(request, contest, "contest/history.html", {"submissions": every})
