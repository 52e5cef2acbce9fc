"""What every page of a contest stands in: its contest and time zone, who may see it, what becomes of a form."""

from __future__ import annotations

import dataclasses
import functools
import zoneinfo
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from subpixel.site import clock
from subpixel.site.acts import teams
from subpixel.site.models import CodeReview, Contest, Round, Team
from subpixel.site.refusals import Refusal

View = Callable[..., HttpResponse]


@dataclasses.dataclass(frozen=True)
class Phase:
    """Where a contest is: before, teams (they are made), round (hand-ins are taken), between (rounds), over.

    round: the open or the next one. until: the end of the phase, None when it has none.
    """

    kind: str
    round: Round | None
    until: datetime | None


def phase(contest: Contest, at: datetime) -> Phase:
    """The phase of a contest at a moment."""
    rounds = list(contest.rounds.all())
    for one in rounds:
        if one.opens <= at < one.end:
            return Phase("round", one, one.end)
    following = next((one for one in rounds if at < one.opens), None)
    if at < contest.teams_open:
        return Phase("before", following, contest.teams_open)
    if at < contest.teams_end:
        return Phase("teams", following, contest.teams_end)
    if following:
        return Phase("between", following, following.opens)
    return Phase("over", rounds[-1] if rounds else None, None)


def of_contest(view: View) -> View:
    """The view of a page below /c/<slug>/: it gets the contest, and times are those of the contest's zone."""

    @functools.wraps(view)
    def inner(request: HttpRequest, slug: str, **arguments: Any) -> HttpResponse:
        contest = get_object_or_404(Contest.objects.prefetch_related("rounds"), slug=slug)
        with timezone.override(zoneinfo.ZoneInfo(contest.zone)):
            return view(request, contest, **arguments)

    return inner


def of_person(view: View) -> View:
    """As of_contest, for people who have logged in."""
    return login_required(of_contest(view))


def of_team(view: View) -> View:
    """As of_person, and the view gets the person's team; people without one are sent to make one."""

    @functools.wraps(view)
    def inner(request: HttpRequest, contest: Contest, **arguments: Any) -> HttpResponse:
        team = teams.team_of(request.user, contest)
        if team is None:
            if not request.user.is_staff:
                messages.info(request, _("This page belongs to teams. Make one here, or join one by an invitation."))
            return redirect("team", contest.slug)
        return view(request, contest, team, **arguments)

    return of_person(inner)


def of_organiser(view: View) -> View:
    """As of_person, for organisers only."""

    @functools.wraps(view)
    def inner(request: HttpRequest, contest: Contest, **arguments: Any) -> HttpResponse:
        if not request.user.is_staff:
            raise Refusal("not_staff", _("This page is for the organisers of the contest."), 403)
        return view(request, contest, **arguments)

    return of_person(inner)


def page(
    request: HttpRequest, contest: Contest, template: str, context: dict[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """A page in the frame of its contest: what the head, the tabs and the clock need besides the context."""
    now = clock.now()
    team: Team | None = teams.team_of(request.user, contest) if request.user.is_authenticated else None
    frame = {
        "contest": contest,
        "team": team,
        "now": now,
        "phase": phase(contest, now),
        "asked": team is not None and CodeReview.objects.filter(team=team).exists(),
    }
    return render(request, template, {**frame, **(context or {})}, status=status)


def cleaned(form: BaseForm) -> dict[str, Any]:
    """What a form holds. Raises Refusal with the first thing that is wrong in it."""
    if form.is_valid():
        return dict(form.cleaned_data)
    field, errors = next(iter(form.errors.items()))
    label = form[field].label if field in form.fields else ""
    raise Refusal("form", f"{label}: {errors[0]}" if label else errors[0], 422)


def attempt(request: HttpRequest, done: str | Promise, act: Callable[..., Any], *arguments: Any, **fields: Any) -> bool:
    """Does an act and tells the person how it went, in a message; whether it was done.

    A person who may not do it at all, or whose thing is not there, gets the refusal as a page.
    """
    try:
        act(*arguments, **fields)
    except Refusal as refusal:
        if refusal.status in (403, 404):
            raise
        messages.error(request, refusal.sentence)
        return False
    messages.success(request, done)
    return True


def back(name: str, contest: Contest, *arguments: Any) -> HttpResponseRedirect:
    """On to a page of the contest, after a form."""
    return redirect(name, contest.slug, *arguments)
