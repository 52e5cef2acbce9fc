"""What everyone may read: the contests, a contest's home with its clock, its rules, its data."""

from __future__ import annotations

import json
import statistics
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe
from django.views.i18n import set_language

from subpixel.site import board, clock
from subpixel.site.acts import handin, teams
from subpixel.site.models import Contest, DataFile, Evaluation, Round, Submission
from subpixel.site.models.submissions import UNFINISHED
from subpixel.site.pages.downloads import send
from subpixel.site.pages.shell import of_contest, page, phase


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The list of contests, or the contest where there is only one."""
    contests = list(Contest.objects.prefetch_related("rounds").order_by("-teams_open"))
    if len(contests) == 1:
        return redirect("contest", contests[0].slug)
    now = clock.now()
    listed = [(contest, phase(contest, now)) for contest in contests]
    return render(request, "home.html", {"contests": listed, "now": now})


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Changes the language of pages, and of mails for people who have logged in."""
    chosen = request.POST.get("language")
    if request.user.is_authenticated and chosen in dict(settings.LANGUAGES):
        request.user.locale = chosen
        request.user.save(update_fields=["locale"])
    return set_language(request)


@require_safe
@of_contest
def contest(request: HttpRequest, contest: Contest) -> HttpResponse:
    """The home of a contest: what is on, what to do next, news, timetable, prizes."""
    now = clock.now()
    context: dict[str, Any] = {
        "news": contest.announcements.filter(published_at__lte=now)[:10],
        "rules": contest.rules,
        "stages": [(one, "past" if one.end <= now else "now" if one.opens <= now else "next")
                   for one in contest.rounds.all()],
        "pulse": pulse(contest),
        "leaders": leaders(request, contest, now),
        **next_step(request, contest),
    }  # fmt: skip
    return page(request, contest, "contest/contest.html", context)


def next_step(request: HttpRequest, contest: Contest) -> dict[str, Any]:
    """What the reader may do now: the quota of the open round, if they are in a team."""
    now = clock.now()
    current = phase(contest, now)
    team = teams.team_of(request.user, contest) if request.user.is_authenticated else None
    if team is None or current.kind != "round" or current.round is None:
        return {"quota": None}
    return {"quota": handin.quota(team, current.round, now)}


def leaders(request: HttpRequest, contest: Contest, at: datetime) -> tuple[Round | None, list[board.Row]]:
    """The first of the board of the round that is open or was last, with its round."""
    begun = [one for one in contest.rounds.all() if one.opens <= at]
    if not begun:
        return None, []
    return begun[-1], [row for row in board.shown(begun[-1], request.user) if row.rank][:5]


def pulse(contest: Contest) -> dict[str, Any]:
    """How scoring keeps up, for everyone to see: minutes from hand-in to score, hand-ins waiting, and since when."""
    recent = Evaluation.objects.filter(submission__round__contest=contest, status="ok").order_by("-finished_at")
    spans = [
        (done - accepted).total_seconds() / 60
        for done, accepted in recent.values_list("finished_at", "submission__accepted_at")[:51]
    ]
    waiting = Submission.objects.filter(round__contest=contest, state__in=UNFINISHED).order_by("accepted_at")
    first = waiting.first()
    return {
        "minutes": statistics.median(spans) if spans else None,
        "waiting": waiting.count(),
        "oldest": first.accepted_at if first else None,
    }


@require_safe
@of_contest
def rules(request: HttpRequest, contest: Contest) -> HttpResponse:
    """The rules, from the tables and the rule file."""
    context = {
        "rules": contest.rules,
        "files": DataFile.objects.filter(round__contest=contest, kind="rules", visible_from__lte=clock.now()),
    }
    return page(request, contest, "contest/rules.html", context)


def visible(request: HttpRequest, contest: Contest) -> Any:
    """The files that the reader may have now; organisers see all."""
    every = DataFile.objects.filter(round__contest=contest)
    return every if request.user.is_authenticated and request.user.is_staff else every.filter(
        visible_from__lte=clock.now()
    )  # fmt: skip


@require_safe
@of_contest
def data(request: HttpRequest, contest: Contest) -> HttpResponse:
    """The files of each round, the test clips with the answers they ask for."""
    rounds = []
    for one in contest.rounds.all():
        files = list(visible(request, contest).filter(round=one))
        order = {kind: place for place, (kind, _) in enumerate(DataFile.KINDS)}
        files.sort(key=lambda file: (order[file.kind], file.name))
        rounds.append((one, files, clips(one) if files else [], sum(file.size for file in files)))
    later = DataFile.objects.filter(round__contest=contest, visible_from__gt=clock.now()).order_by("visible_from")
    return page(request, contest, "contest/data.html", {"rounds": rounds, "later": later.first()})


def clips(one: Round) -> list[dict[str, Any]]:
    """The clips that a round's manifest names."""
    return list(json.loads(one.manifest)["clips"]) if one.manifest else []


@require_safe
@of_contest
def data_file(request: HttpRequest, contest: Contest, file: int) -> HttpResponse:
    """One file of the data."""
    found = get_object_or_404(visible(request, contest), pk=file)
    return send(request, "public", found.key, found.name.rpartition("/")[2])
