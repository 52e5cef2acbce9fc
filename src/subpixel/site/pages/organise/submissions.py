"""Hand-ins in the console: all of them, and one with everything that is known of it."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from subpixel.site.acts import organise
from subpixel.site.models import AuditEvent, Contest, Submission
from subpixel.site.pages.handin import own_or_404, with_scores
from subpixel.site.pages.organise.forms import ReasonForm, SearchForm
from subpixel.site.pages.shell import attempt, back, cleaned, of_organiser, page

A_PAGE = 100


@require_safe
@of_organiser
def submissions(request: HttpRequest, contest: Contest) -> HttpResponse:
    """Hand-ins by state and team, the newest first."""
    form = SearchForm(request.GET)
    found = Submission.objects.filter(round__contest=contest)
    wanted = form.cleaned_data if form.is_valid() else {}
    if wanted.get("state"):
        found = found.filter(state=wanted["state"])
    if wanted.get("team"):
        found = found.filter(team__name__icontains=wanted["team"])
    part = Paginator(found, A_PAGE).get_page(request.GET.get("page"))
    listed = with_scores(part.object_list)
    context = {"form": form, "part": part, "submissions": listed, "wanted": wanted}
    return page(request, contest, "organise/submissions.html", context)


@require_safe
@of_organiser
def submission(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """One hand-in: evaluations with the sums of each clip, its job, what was done with it."""
    found = own_or_404(request, contest, number)
    context = {
        "submission": found,
        "evaluations": found.evaluations.select_related("truth", "job").order_by("created_at"),
        "events": AuditEvent.objects.filter(subject=f"submission:{number}").select_related("actor").order_by("id"),
        "flags": found.flags.order_by("raised_at"),
    }
    return page(request, contest, "organise/submission.html", context)


def _do(request: HttpRequest, contest: Contest, number: int, act: Any, done: Any, **more: Any) -> HttpResponse:
    found = get_object_or_404(Submission, pk=number, round__contest=contest)
    attempt(request, done, act, request.user, found, **cleaned(ReasonForm(request.POST)), **more)
    return back("organise-submission", contest, number)


@require_POST
@of_organiser
def requeue(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """Scores a hand-in again that our fault ended."""
    override = request.POST.get("override") == "on"
    return _do(request, contest, number, organise.requeue, _("It is in the queue again."), override=override)


@require_POST
@of_organiser
def void(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """Takes a scored hand-in out of the ranks."""
    return _do(request, contest, number, organise.void, _("It no longer counts."))


@require_POST
@of_organiser
def reinstate(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """Puts a voided hand-in back."""
    return _do(request, contest, number, organise.reinstate, _("It counts again."))
