"""A person's own page: name, language, T-shirt, mails, and tokens of the API."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from subpixel.site import clock
from subpixel.site.acts import privacy, tokens
from subpixel.site.models import ApiToken
from subpixel.site.pages.forms import ProfileForm, TokenForm
from subpixel.site.pages.shell import attempt


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """The page, and the form about the person."""
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Saved."))
        return redirect("account")
    return _page(request, form, TokenForm(), status=422 if form.errors else 200)


def _page(
    request: HttpRequest, form: ProfileForm, token_form: TokenForm, made: str = "", status: int = 200
) -> HttpResponse:
    live = request.user.tokens.filter(revoked_at=None, expires_at__gt=clock.now()).order_by("-created_at")
    context = {"form": form, "token_form": token_form, "tokens": live, "made": made}
    response = render(request, "account.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
@login_required
def token(request: HttpRequest) -> HttpResponse:
    """A new token, which is shown this once."""
    form, made = TokenForm(request.POST), [""]
    profile = ProfileForm(instance=request.user)
    if not form.is_valid():
        return _page(request, profile, form, status=422)
    attempt(request, _("The token is made."), lambda: made.append(tokens.issue(request.user, **form.cleaned_data)))
    return _page(request, profile, TokenForm(), made[-1])


@require_POST
@login_required
def token_revoke(request: HttpRequest, number: int) -> HttpResponse:
    """Ends a token."""
    found = get_object_or_404(ApiToken, pk=number, user=request.user)
    attempt(request, _("The token no longer works."), tokens.revoke, request.user, found)
    return redirect("account")


@require_POST
@login_required
def erase(request: HttpRequest) -> HttpResponse:
    """Erases the person's own data, for good."""
    if request.POST.get("sure") != "on":
        messages.error(request, _("Tick the box to erase your data."))
        return redirect("account")
    attempt(
        request, _("Your data are erased."), privacy.erase, request.user, request.user, reason="asked by the person"
    )
    return redirect("home")
