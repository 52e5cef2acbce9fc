"""What waits for a decision: flags, reviews, applications for compute."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from subpixel.site.acts import flags as flag_acts
from subpixel.site.acts import grants as grant_acts
from subpixel.site.acts import reviews as review_acts
from subpixel.site.models import CodeReview, Contest, Flag, GrantApplication
from subpixel.site.pages.downloads import send
from subpixel.site.pages.organise.forms import DecisionForm, FindingsForm, NoteForm
from subpixel.site.pages.shell import attempt, back, cleaned, of_organiser, page


@require_safe
@of_organiser
def flags(request: HttpRequest, contest: Contest) -> HttpResponse:
    """Suspicions, the open ones first."""
    found = Flag.objects.filter(round__contest=contest).select_related("round", "by")
    found = found.prefetch_related("teams", "submissions__team")
    context = {"open": found.filter(state="open").order_by("raised_at"), "decided": found.exclude(state="open")}
    return page(request, contest, "organise/flags.html", context)


@require_POST
@of_organiser
def decide_flag(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """Confirms or dismisses a flag."""
    found = get_object_or_404(Flag, pk=number, round__contest=contest)
    confirmed = request.POST.get("verdict") == "confirm"
    attempt(
        request, _("Decided."), flag_acts.decide, request.user, found, confirmed, **cleaned(DecisionForm(request.POST))
    )
    return back("organise-flags", contest)


@require_safe
@of_organiser
def reviews(request: HttpRequest, contest: Contest) -> HttpResponse:
    """Reviews, those that wait for us first."""
    found = CodeReview.objects.filter(round__contest=contest).select_related("team", "round", "upload", "reviewer")
    order = ["submitted", "in_review", "requested", "passed", "failed", "waived"]
    listed = sorted(found, key=lambda review: (order.index(review.state), review.deadline))
    return page(request, contest, "organise/reviews.html", {"reviews": listed})


def _review(contest: Contest, number: int) -> CodeReview:
    found: CodeReview = get_object_or_404(CodeReview, pk=number, round__contest=contest)
    return found


@require_POST
@of_organiser
def take_review(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """Begins a review."""
    attempt(request, _("The review is yours."), review_acts.take, request.user, _review(contest, number))
    return back("organise-reviews", contest)


@require_POST
@of_organiser
def judge_review(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """Passes, fails or waives."""
    found, values = _review(contest, number), cleaned(FindingsForm(request.POST))
    verdict = request.POST.get("verdict")
    act: Any = review_acts.waive if verdict == "waive" else review_acts.judge
    more = {} if verdict == "waive" else {"passed": verdict == "pass"}
    attempt(request, _("Decided."), act, request.user, found, **values, **more)
    return back("organise-reviews", contest)


@require_safe
@of_organiser
def review_source(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """The source that a team handed over."""
    found = get_object_or_404(CodeReview, pk=number, round__contest=contest, upload__isnull=False)
    return send(request, "submissions", found.upload.sha256, found.upload.name)


@require_safe
@of_organiser
def grants(request: HttpRequest, contest: Contest) -> HttpResponse:
    """Applications for compute, the open ones first."""
    found = GrantApplication.objects.filter(round__contest=contest).select_related("team", "round", "user", "by")
    found = found.select_related("entitlement__submission", "entitlement__previous")
    pending = found.filter(state="pending").order_by("applied_at")
    context = {
        "pending": [(one, grant_acts.balance(one.team)) for one in pending],
        "decided": found.exclude(state="pending").order_by("-decided_at"),
    }
    return page(request, contest, "organise/grants.html", context)


@require_POST
@of_organiser
def decide_grant(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """Approves or declines an application."""
    found = get_object_or_404(GrantApplication, pk=number, round__contest=contest)
    approve = request.POST.get("verdict") == "approve"
    attempt(request, _("Decided."), grant_acts.decide, request.user, found, approve, **cleaned(NoteForm(request.POST)))
    return back("organise-grants", contest)
