"""The leaderboard, which everyone may see and which renews itself."""

from __future__ import annotations

import dataclasses
import zoneinfo
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from subpixel.site import board, clock
from subpixel.site.acts import teams
from subpixel.site.models import Contest, Round
from subpixel.site.pages.shell import of_contest, page


@dataclasses.dataclass
class Rendered:
    """Rows of a board as HTML, and what they were made of."""

    tag: str
    html: str


# Boards as they were last rendered, by round, language and whether for organisers: many ask for the same.
_rendered: dict[tuple[int, str, bool], Rendered] = {}


@require_safe
@of_contest
def boards(request: HttpRequest, contest: Contest) -> HttpResponse:
    """On to the board of the round that is open, or was last."""
    rounds = list(contest.rounds.all())
    if not rounds:
        return page(request, contest, "contest/board.html", {"round": None})
    now = clock.now()
    begun = [one for one in rounds if one.opens <= now] or rounds[:1]
    return redirect("board-round", contest.slug, begun[-1].number)


@require_safe
@of_contest
def board_round(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """The board of a round."""
    one = get_object_or_404(contest.rounds, number=number)
    one.contest = contest
    team = teams.team_of(request.user, contest) if request.user.is_authenticated else None
    html = rendered(one, _staff(request)).html
    if team:
        html = html.replace(f'id="team-{team.pk}" class="', f'id="team-{team.pk}" class="own ', 1)
    snapshot = one.snapshots.order_by("-version").first()
    return page(request, contest, "contest/board.html", {"round": one, "html": html, "snapshot": snapshot})


@require_safe
def board_rows(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The rows alone, for the page to renew itself; 304 while nothing has changed. Asked often, so by few queries."""
    one = get_object_or_404(Round.objects.select_related("contest"), contest__slug=slug, number=number)
    with timezone.override(zoneinfo.ZoneInfo(one.contest.zone)):
        found = rendered(one, _staff(request))
    same = request.headers.get("If-None-Match") == found.tag
    response = HttpResponseNotModified() if same else HttpResponse(found.html)
    response["ETag"], response["Cache-Control"] = found.tag, "private, no-cache"
    return response


def _staff(request: HttpRequest) -> bool:
    return bool(request.user.is_authenticated and request.user.is_staff)


def rendered(one: Round, staff: bool) -> Rendered:
    """The rows of a board, rendered anew only when something has changed."""
    lang = get_language() or "en"
    tag = f'"{board.version(one)}-{lang}-{staff:d}"'
    key = (one.pk, lang, staff)
    kept = _rendered.get(key)
    if kept is None or kept.tag != tag:
        kept = _rendered[key] = Rendered(tag, render_to_string("contest/board_rows.html", rows(one, staff)))
    return kept


@dataclasses.dataclass(frozen=True)
class _Seer:
    """Anybody, or an organiser."""

    is_staff: bool


def rows(one: Round, staff: bool) -> dict[str, Any]:
    """What the rows are made of: the rows, the first below the line of advancement, what is hidden."""
    shown = board.shown(one, _Seer(staff))
    below = next((row.team_id for row in shown if row.rank and not row.advances), None)
    line = below if one.advance and any(row.advances for row in shown) else None
    return {"contest": one.contest, "round": one, "rows": shown, "line": line, "staff": staff}
