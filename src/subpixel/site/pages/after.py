"""What follows from hand-ins: compute grants, and the review of a team's source."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from subpixel.site import clock, uploads
from subpixel.site.acts import grants as grant_acts
from subpixel.site.acts import reviews as review_acts
from subpixel.site.models import CodeReview, Contest, GrantApplication, GrantEntitlement, HourLedger, Team, Upload
from subpixel.site.pages.downloads import send
from subpixel.site.pages.forms import FileForm, PurposeForm, StatementForm
from subpixel.site.pages.handin import send_in_one_piece
from subpixel.site.pages.shell import attempt, back, cleaned, of_team, page


@require_safe
@of_team
def grants(request: HttpRequest, contest: Contest, team: Team) -> HttpResponse:
    """The team's hours of compute, what it may ask for, what it asked for."""
    context = {
        "balance": grant_acts.balance(team),
        "entitlements": _open_entitlements(team),
        "applications": GrantApplication.objects.filter(team=team).select_related("round").order_by("-applied_at"),
        "ledger": HourLedger.objects.filter(team=team).order_by("booked_at"),
        "rules": contest.rules,
        "left": [(one, _left(one, team)) for one in contest.rounds.all() if one.opens <= clock.now()],
    }
    return page(request, contest, "contest/grants.html", context)


def _open_entitlements(team: Team) -> Any:
    every = GrantEntitlement.objects.filter(team=team, application=None)
    return every.select_related("round", "submission", "previous").order_by("-earned_at")


def _left(one: Any, team: Team) -> int | None:
    """How many applications a round still allows the team; None for no limit."""
    if one.grants is None:
        return None
    return max(0, one.grants - GrantApplication.objects.filter(team=team, round=one).count())


@require_POST
@of_team
def apply(request: HttpRequest, contest: Contest, team: Team, entitlement: int) -> HttpResponse:
    """Asks for the hours of one entitlement."""
    found = get_object_or_404(GrantEntitlement, pk=entitlement, team=team)
    values = cleaned(PurposeForm(request.POST))
    attempt(
        request, _("The organisers will look at your application."), grant_acts.apply, request.user, found, **values
    )
    return back("grants", contest)


@require_http_methods(["GET", "HEAD", "POST"])
@of_team
def review(request: HttpRequest, contest: Contest, team: Team) -> HttpResponse:
    """What is asked of the team, and the form that hands its source over."""
    asked = list(CodeReview.objects.filter(team=team).select_related("round", "upload").order_by("-requested_at"))
    wanted = next((one for one in asked if one.state in ("requested", "submitted")), None)
    now = clock.now()
    source = Upload.objects.filter(team=team, purpose="review", expires_at__gt=now)
    complete = source.filter(state="complete", round=wanted.round).order_by("-moved_at").first() if wanted else None
    form = StatementForm(request.POST or None, initial={"statement": wanted.statement if wanted else ""})
    if request.method == "POST" and wanted and complete and form.is_valid():
        statement = form.cleaned_data["statement"]
        done = _("Your source is handed over.")
        if attempt(request, done, review_acts.hand_over, request.user, wanted, complete, statement):
            return back("review", contest)
    context = {
        "reviews": asked,
        "wanted": wanted,
        "complete": complete,
        "broken": source.filter(state="receiving").first(),
        "round": wanted.round if wanted else None,
        "form": FileForm(),
        "statement": form,
        "part": uploads.PART,
        "most": contest.rules.limits.archive_bytes,
    }
    return page(request, contest, "contest/review.html", context)


@require_POST
@of_team
def review_upload(request: HttpRequest, contest: Contest, team: Team) -> HttpResponse:
    """Uploads a small archive of source in one piece, for browsers without script."""
    wanted = get_object_or_404(CodeReview, team=team, state__in=["requested", "submitted"])
    file = cleaned(FileForm(request.POST, request.FILES))["file"]
    done = _("The archive is uploaded. Write the statement and hand both over.")
    attempt(request, done, send_in_one_piece, request.user, wanted.round, file, "review")
    return back("review", contest)


@require_safe
@of_team
def review_file(request: HttpRequest, _contest: Contest, team: Team, number: int) -> HttpResponse:
    """The source as it was handed over."""
    found = get_object_or_404(CodeReview, pk=number, team=team, upload__isnull=False)
    return send(request, "submissions", found.upload.sha256, found.upload.name)
