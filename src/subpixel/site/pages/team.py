"""A team: making it, inviting, joining, leaving."""

from __future__ import annotations

import hashlib

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from subpixel.site import clock
from subpixel.site.acts import teams
from subpixel.site.models import Contest, Invite, Membership, Team
from subpixel.site.pages.forms import DeclarationForm, InviteForm, NameForm, TeamForm
from subpixel.site.pages.shell import attempt, back, cleaned, of_person, of_team, page


@require_http_methods(["GET", "HEAD", "POST"])
@of_person
def team(request: HttpRequest, contest: Contest) -> HttpResponse:
    """The person's team; or, by POST, a new one."""
    own = teams.team_of(request.user, contest)
    if own:
        return page(request, contest, "contest/team.html", _rooms(contest, own))
    form = TeamForm(request.POST or None, initial={"framework": contest.rules.framework, "given_data_only": False})
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        if attempt(request, _("Your team is made."), teams.create, request.user, contest, **values):
            return back("team", contest)
    now = clock.now()
    invites = Invite.objects.filter(
        team__contest=contest, email__iexact=request.user.email, used_at=None, revoked_at=None, expires_at__gt=now
    )
    window = contest.teams_open <= now < contest.teams_end
    context = {"form": form, "window": window, "invites": invites.select_related("team"), "rules": contest.rules}
    return page(request, contest, "contest/team_new.html", context, status=422 if form.errors else 200)


def _rooms(contest: Contest, own: Team) -> dict[str, object]:
    now = clock.now()
    open_invites = own.invites.filter(used_at=None, revoked_at=None, expires_at__gt=now)
    return {
        "members": Membership.objects.filter(team=own, left_at=None).select_related("user").order_by("joined_at"),
        "invites": open_invites.order_by("created_at"),
        "window": contest.teams_open <= now < contest.teams_end,
        "rules": contest.rules,
        "name_form": NameForm(initial={"name": own.name}, prefix="name"),
        "declaration": DeclarationForm(
            initial={"framework": own.framework, "given_data_only": own.given_data_only}, prefix="declare"
        ),
        "invite_form": InviteForm(prefix="invite"),
        "has_handed_in": own.submissions.exists(),
    }


@require_POST
@of_team
def rename(request: HttpRequest, contest: Contest, own: Team) -> HttpResponse:
    """Another name for the team."""
    values = cleaned(NameForm(request.POST, prefix="name"))
    attempt(request, _("Your team has its new name."), teams.rename, request.user, own, **values)
    return back("team", contest)


@require_POST
@of_team
def declare(request: HttpRequest, contest: Contest, own: Team) -> HttpResponse:
    """What the team declares about its solution."""
    values = cleaned(DeclarationForm(request.POST, prefix="declare"))
    attempt(request, _("Your declaration is kept."), teams.declare, request.user, own, **values)
    return back("team", contest)


@require_POST
@of_team
def invite(request: HttpRequest, contest: Contest, own: Team) -> HttpResponse:
    """An invitation by mail."""
    values = cleaned(InviteForm(request.POST, prefix="invite"))
    attempt(
        request, _("The invitation is on its way. It is good for 7 days."), teams.invite, request.user, own, **values
    )
    return back("team", contest)


@require_POST
@of_team
def revoke(request: HttpRequest, contest: Contest, own: Team, invite: int) -> HttpResponse:
    """Takes an invitation back."""
    found = get_object_or_404(own.invites, pk=invite)
    attempt(request, _("The invitation no longer works."), teams.revoke, request.user, found)
    return back("team", contest)


@require_POST
@of_team
def leave(request: HttpRequest, contest: Contest, own: Team) -> HttpResponse:
    """Out of the team."""
    attempt(request, _("You have left the team."), teams.leave, request.user, own)
    return back("team", contest)


@require_POST
@of_team
def transfer(request: HttpRequest, contest: Contest, own: Team, person: int) -> HttpResponse:
    """Another captain."""
    to = get_object_or_404(Membership, team=own, left_at=None, user=person).user
    attempt(request, _("Your team has a new captain."), teams.transfer, request.user, own, to)
    return back("team", contest)


@require_POST
@of_team
def disband(request: HttpRequest, contest: Contest, own: Team) -> HttpResponse:
    """The end of the team."""
    attempt(request, _("The team is disbanded."), teams.disband, request.user, own)
    return back("team", contest)


@require_safe
@of_person
def invitation(request: HttpRequest, contest: Contest, token: str) -> HttpResponse:
    """The page that an invitation's link leads to. Joining is a form on it."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    found = Invite.objects.filter(team__contest=contest, digest=digest).select_related("team", "by").first()
    good = found and not found.used_at and not found.revoked_at and found.expires_at > clock.now()
    context = {"invite": found if good else None, "token": token}
    return page(request, contest, "contest/join.html", context, status=200 if good else 404)


@require_POST
@of_person
def join(request: HttpRequest, contest: Contest, token: str) -> HttpResponse:
    """Into the team that invited."""
    if attempt(request, _("Welcome to the team."), teams.join, request.user, token):
        return back("team", contest)
    return back("invitation", contest, token)
