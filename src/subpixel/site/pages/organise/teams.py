"""Teams in the console: who they are, decisions against them, their hours, their source."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from subpixel.site import board
from subpixel.site.acts import finals, grants, reviews
from subpixel.site.models import Contest, HourLedger, Membership, Sanction, Submission, Team
from subpixel.site.pages.handin import with_scores
from subpixel.site.pages.organise.forms import HoursForm, ReasonForm, ReviewForm, SanctionForm
from subpixel.site.pages.shell import attempt, back, cleaned, of_organiser, page


@require_safe
@of_organiser
def teams(request: HttpRequest, contest: Contest) -> HttpResponse:
    """All teams."""
    members = Count("memberships", filter=Q(memberships__left_at=None), distinct=True)
    found = Team.objects.filter(contest=contest).annotate(members=members, hand_ins=Count("submissions", distinct=True))
    return page(request, contest, "organise/teams.html", {"teams": found.select_related("captain").order_by("name")})


def _team(contest: Contest, number: int) -> Team:
    found: Team = get_object_or_404(Team.objects.select_related("contest", "captain"), pk=number, contest=contest)
    return found


@require_safe
@of_organiser
def team(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """One team."""
    one = _team(contest, number)
    rounds = contest.rounds.all()
    sanction_form, review_form = SanctionForm(), ReviewForm()
    for form in (sanction_form, review_form):
        form.fields["round"].queryset = rounds
    context = {
        "one": one,
        "members": Membership.objects.filter(team=one).select_related("user").order_by("joined_at"),
        "sanctions": Sanction.objects.filter(team=one).select_related("round", "by").order_by("-decided_at"),
        "reviews": one.reviews.select_related("round"),
        "submissions": with_scores(Submission.objects.filter(team=one)),
        "ledger": HourLedger.objects.filter(team=one).order_by("booked_at"),
        "balance": grants.balance(one),
        "sanction_form": sanction_form,
        "review_form": review_form,
        "hours_form": HoursForm(),
    }
    return page(request, contest, "organise/team.html", context)


@require_POST
@of_organiser
def sanction(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """Disqualifies a team, or cancels its rank in a round."""
    form = SanctionForm(request.POST)
    form.fields["round"].queryset = contest.rounds.all()
    values = cleaned(form)
    attempt(request, _("Decided."), finals.sanction, request.user, _team(contest, number), **values)
    return back("organise-team", contest, number)


@require_POST
@of_organiser
def lift(request: HttpRequest, contest: Contest, number: int, sanction: int) -> HttpResponse:
    """Takes a decision back."""
    found = get_object_or_404(Sanction, pk=sanction, team=_team(contest, number))
    attempt(request, _("Taken back."), finals.lift, request.user, found, **cleaned(ReasonForm(request.POST)))
    return back("organise-team", contest, number)


@require_POST
@of_organiser
def book(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """Books hours."""
    values = cleaned(HoursForm(request.POST))
    attempt(request, _("Booked."), grants.book, request.user, _team(contest, number), **values)
    return back("organise-team", contest, number)


@require_POST
@of_organiser
def ask(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """Asks a team for its source."""
    form = ReviewForm(request.POST)
    form.fields["round"].queryset = contest.rounds.all()
    values = cleaned(form)
    done = _("The team has been asked.")
    one = _team(contest, number)
    attempt(request, done, reviews.ask, request.user, team=one, round=values["round"], deadline=values["deadline"])
    return back("organise-team", contest, number)


def table(name: str, rows: Iterable[Iterable[object]]) -> HttpResponse:
    """A CSV file. A cell that a spreadsheet would take for a formula gets an apostrophe in front."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([f"'{cell}" if str(cell).startswith(tuple("=+-@\t\r\n＝＋－＠")) else cell for cell in row])
    response = HttpResponse("\ufeff" + text.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = content_disposition_header(True, name)
    response["Cache-Control"] = "no-store"
    return response


@require_safe
@of_organiser
def people_csv(_request: HttpRequest, contest: Contest) -> HttpResponse:
    """Who took part, for prizes and T-shirts: those who handed in have a number of scored hand-ins."""
    members = Membership.objects.filter(contest=contest, left_at=None).select_related("team", "user")
    scored = Count("team__submissions", filter=Q(team__submissions__state="scored"), distinct=True)
    rows = [
        (one.team.name, one.team.state, one.user.name, one.user.email, one.user.shirt, one.user.locale, one.scored)
        for one in members.annotate(scored=scored).order_by("team__name", "joined_at")
    ]
    head = ("team", "state", "name", "email", "shirt", "language", "scored hand-ins")
    return table(f"{contest.slug}-people.csv", [head, *rows])


@require_safe
@of_organiser
def board_csv(request: HttpRequest, contest: Contest, number: int) -> HttpResponse:
    """The board of a round with its exact sums."""
    one = get_object_or_404(contest.rounds, number=number)
    rows = [
        (
            row.rank or "",
            row.team,
            f"{row.psnr:.{one.decimals}f}",
            row.sse,
            row.n,
            row.accepted_at.isoformat(),
            row.hand_ins,
        )
        for row in board.shown(one, request.user)
    ]
    head = ("rank", "team", "psnr", "sse", "n", "accepted at", "hand-ins")
    return table(f"{contest.slug}-{one.name}.csv", [head, *rows])
