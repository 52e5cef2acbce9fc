"""The console's first page, making a contest, pausing it, its window, its news."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from subpixel.site import clock
from subpixel.site.acts import contests, organise
from subpixel.site.models import (
    CodeReview,
    Contest,
    Flag,
    GrantApplication,
    Outbox,
    ScoreJob,
    Submission,
    Team,
)
from subpixel.site.models.submissions import UNFINISHED
from subpixel.site.pages.contest import pulse
from subpixel.site.pages.organise.forms import ContestForm, NewsForm, ReasonForm, WindowForm
from subpixel.site.pages.shell import attempt, back, cleaned, of_organiser, page
from subpixel.site.refusals import Refusal, need_staff


@require_safe
@of_organiser
def console(request: HttpRequest, contest: Contest) -> HttpResponse:
    """What waits for a decision, how scoring keeps up, the contest's clock."""
    mine = Submission.objects.filter(round__contest=contest)
    context = {
        "health": health(contest),
        "faults": mine.filter(state="fault").count(),
        "flags": Flag.objects.filter(round__contest=contest, state="open").count(),
        "reviews": CodeReview.objects.filter(round__contest=contest, state__in=["submitted", "in_review"]).count(),
        "grants": GrantApplication.objects.filter(round__contest=contest, state="pending").count(),
        "teams": Team.objects.filter(contest=contest, state="active").count(),
        "hand_ins": mine.count(),
        "window_form": WindowForm(instance=contest),
    }
    return page(request, contest, "organise/console.html", context)


def health(contest: Contest) -> dict[str, Any]:
    """The queue and its workers, the mails: what has to move on its own."""
    jobs = ScoreJob.objects.filter(evaluation__submission__round__contest=contest)
    unsent = Outbox.objects.filter(sent_at=None).order_by("written_at")
    return {
        **pulse(contest),
        "leased": jobs.filter(state="leased").select_related("evaluation__submission__team").order_by("progressed_at"),
        "retried": jobs.filter(state="ready", attempts__gt=0).count(),
        "unsent": unsent.count(),
        "first_unsent": unsent.first(),
        "states": [
            (state, name, Submission.objects.filter(round__contest=contest, state=state).count())
            for state, name in Submission.STATES
            if state in UNFINISHED
        ],
        "now": clock.now(),
    }


@require_safe
@of_organiser
def health_part(request: HttpRequest, contest: Contest) -> HttpResponse:
    """The part of the page that renews itself."""
    return render(request, "organise/health.html", {"contest": contest, "health": health(contest)})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: HttpRequest) -> HttpResponse:
    """Makes a contest of a rule file."""
    need_staff(request.user)
    form = ContestForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = contests.create(request.user, **form.cleaned_data)
        except Refusal as refusal:
            form.add_error("slug" if refusal.code == "slug" else "rules_text", refusal.sentence)
        else:
            return redirect("organise", made.slug)
    return render(request, "organise/new.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
@of_organiser
def pause(request: HttpRequest, contest: Contest) -> HttpResponse:
    """No hand-ins for now."""
    values = cleaned(ReasonForm(request.POST))
    attempt(request, _("Hand-ins are paused."), organise.pause, request.user, contest, **values)
    return back("organise", contest)


@require_POST
@of_organiser
def resume(request: HttpRequest, contest: Contest) -> HttpResponse:
    """Hand-ins again."""
    values = cleaned(ReasonForm(request.POST))
    attempt(request, _("Hand-ins are taken again."), organise.resume, request.user, contest, **values)
    return back("organise", contest)


@require_POST
@of_organiser
def window(request: HttpRequest, contest: Contest) -> HttpResponse:
    """The name, the team window, the day on which personal data go."""
    unchanged = Contest.objects.get(pk=contest.pk)  # the form writes into the row it is given
    values = cleaned(WindowForm(request.POST, instance=contest))
    attempt(request, _("Changed."), organise.change_contest, request.user, unchanged, **values)
    return back("organise", contest)


@require_http_methods(["GET", "HEAD", "POST"])
@of_organiser
def news(request: HttpRequest, contest: Contest) -> HttpResponse:
    """News, and the form for more."""
    form = NewsForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        done = _("Published.")
        if attempt(request, done, organise.announce, request.user, contest, **form.cleaned_data):
            return back("organise-news", contest)
    context = {"form": form, "news": contest.announcements.all()}
    return page(request, contest, "organise/news.html", context, status=422 if form.errors else 200)
