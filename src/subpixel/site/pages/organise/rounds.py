"""A round in the console: its clock, the board, versions of the truth, the end."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from subpixel.site import board
from subpixel.site.acts import finals, organise
from subpixel.site.models import Contest, Round, Truth
from subpixel.site.models.submissions import UNFINISHED
from subpixel.site.pages.organise.forms import BoardForm, ReasonForm, RoundForm
from subpixel.site.pages.shell import attempt, back, cleaned, of_organiser, page


def _round(contest: Contest, number: int) -> Round:
    found: Round = get_object_or_404(contest.rounds.select_related("contest", "truth"), number=number)
    return found


@require_safe
@of_organiser
def round_page(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """All about a round."""
    one = _round(contest, number)
    truths = one.truths.annotate(scored=Count("evaluation", filter=Q(evaluation__status="ok"))).order_by("added_at")
    context = {
        "round": one,
        "form": RoundForm(instance=one),
        "board_form": BoardForm(initial={"board": one.board}),
        "truths": truths,
        "scored": one.submissions.filter(state__in=["scored", "voided"]).count(),
        "unfinished": one.submissions.filter(state__in=UNFINISHED).count(),
        "blocking": one.flags.filter(state="open", blocking=True).count(),
        "snapshots": one.snapshots.order_by("-version").select_related("by"),
    }
    return page(request, contest, "organise/round.html", context)


@require_POST
@of_organiser
def change(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """Other times or numbers."""
    values = cleaned(RoundForm(request.POST, instance=_round(contest, number)))
    attempt(request, _("Changed."), organise.change_round, request.user, _round(contest, number), **values)
    return back("organise-round", contest, number)


@require_POST
@of_organiser
def set_board(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """What teams see of the board."""
    values = cleaned(BoardForm(request.POST))
    attempt(request, _("Changed."), organise.set_board, request.user, _round(contest, number), **values)
    return back("organise-round", contest, number)


@require_POST
@of_organiser
def rescore(request: HttpRequest, contest: Contest, number: int, truth: int) -> HttpResponse:
    """Scores all hand-ins by a version of the truth, beside the present ranks."""
    return _by_truth(request, contest, number, truth, organise.rescore, _("The hand-ins are being scored again."))


@require_POST
@of_organiser
def switch(request: HttpRequest, contest: Contest, number: int, truth: int) -> HttpResponse:
    """Ranks by another version of the truth from now on."""
    return _by_truth(request, contest, number, truth, organise.switch_truth, _("Ranks are by this truth now."))


def _by_truth(request: HttpRequest, contest: Contest, number: int, truth: int, act: Any, done: Any) -> HttpResponse:
    one = _round(contest, number)
    found = get_object_or_404(Truth, pk=truth, round=one)
    attempt(request, done, act, request.user, one, found, **cleaned(ReasonForm(request.POST)))
    return back("organise-round", contest, number)


@require_safe
@of_organiser
def difference(request: HttpRequest, contest: Contest, number: int, truth: int) -> HttpResponse:
    """The ranks as they are, beside those by another truth."""
    one = _round(contest, number)
    other = get_object_or_404(Truth, pk=truth, round=one)
    now = {row.team_id: row for row in board.rows(one)}
    one.truth = other
    then = board.rows(one)
    rows = [(now.pop(row.team_id, None), row) for row in then] + [(row, None) for row in now.values()]
    context = {"round": one, "truth": other, "rows": rows}
    return page(request, contest, "organise/difference.html", context)


@require_POST
@of_organiser
def finalise(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """Makes the ranks official."""
    values = cleaned(ReasonForm(request.POST))
    attempt(request, _("The results are official."), finals.finalise, request.user, _round(contest, number), **values)
    return back("organise-round", contest, number)


@require_safe
@of_organiser
def snapshot(request: HttpRequest, contest: Contest, number: int, version: int) -> HttpResponse:
    """A version of the official ranks."""
    one = _round(contest, number)
    found = get_object_or_404(one.snapshots, version=version)
    context = {"round": one, "snapshot": found, "rows": [board.from_dict(row) for row in found.rows]}
    return page(request, contest, "organise/snapshot.html", context)
