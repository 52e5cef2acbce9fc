"""The audit trail, to be read and checked."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from subpixel.site import audit
from subpixel.site.acts import finals
from subpixel.site.models import AuditEvent, Contest
from subpixel.site.pages.shell import of_organiser, page

A_PAGE = 100


@require_safe
@of_organiser
def trail(request: HttpRequest, contest: Contest) -> HttpResponse:
    """All events of the site, the newest first; with ?check also whether anything was altered."""
    events = AuditEvent.objects.select_related("actor").order_by("-id")
    wanted = {name: request.GET[name] for name in ("subject", "action") if request.GET.get(name)}
    events = events.filter(**wanted)
    part = Paginator(events, A_PAGE).get_page(request.GET.get("page"))
    checked = "check" in request.GET
    problems = [*audit.verify(), *finals.verify()] if checked else []
    context = {"part": part, "checked": checked, "problems": problems, "wanted": wanted}
    return page(request, contest, "organise/trail.html", context)
