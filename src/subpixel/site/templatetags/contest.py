"""How moments, scores and texts are written in pages."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import markdown as renderer  # type: ignore[import-untyped]
import nh3
from django import template
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from subpixel.challenge.problems import CODES
from subpixel.site import board
from subpixel.site.models import Announcement

register = template.Library()

FLAGS = {
    "same_file": _("The same file as another team’s"),
    "same_score": _("Exactly the score of another team"),
    "perfect": _("No error at all"),
    "jump": _("Far better than the team’s best before"),
}

TAGS = {"p", "br", "em", "strong", "a", "ul", "ol", "li", "code", "pre", "blockquote", "h1", "h2", "h3", "hr"}
TABLES = {"table", "thead", "tbody", "tr", "th", "td"}


def _written(at: datetime) -> tuple[datetime, str]:
    local = timezone.localtime(at)
    return local, formats.date_format(local, gettext("j M Y, H:i"))


def _offset(local: datetime) -> str:
    minutes = int((local.utcoffset() or timedelta()).total_seconds()) // 60
    sign, (hours, rest) = "+" if minutes >= 0 else "−", divmod(abs(minutes), 60)
    return f"UTC{sign}{hours}" + (f":{rest:02}" if rest else "") if minutes else "UTC"


@register.filter
def day(at: date) -> str:
    """A day as moments have it, in the contest's zone."""
    return formats.date_format(timezone.localtime(at) if isinstance(at, datetime) else at, gettext("j M Y"))


@register.filter
def moment(at: datetime) -> SafeString:
    """A moment in the contest's time, with the zone's distance from UTC."""
    local, text = _written(at)
    return format_html('<time datetime="{}" class="nowrap">{} {}</time>', local.isoformat(), text, _offset(local))


@register.filter
def cell(at: datetime) -> SafeString:
    """A moment in a table whose head names the zone."""
    local, text = _written(at)
    exact = f"{local:%H:%M:%S} {_offset(local)}"
    return format_html('<time datetime="{}" class="nowrap" title="{}">{}</time>', local.isoformat(), exact, text)


@register.filter
def last_minute(end: datetime) -> datetime:
    """The last minute of a window that ends before `end`, as rules write it."""
    return end - timedelta(minutes=1)


@register.filter
def left(until: datetime, now: datetime) -> SafeString:
    """The time left from now, in days, hours and minutes; the page's script counts it down."""
    minutes = max(0, int((until - now).total_seconds()) // 60)
    text = gettext("%(days)d d %(hours)02d h %(minutes)02d min") % {
        "days": minutes // 1440,
        "hours": minutes // 60 % 24,
        "minutes": minutes % 60,
    }
    return format_html('<span class="left" data-until="{}">{}</span>', until.isoformat(), text)


@register.simple_tag
def score(sse: int, n: int, decimals: int) -> str:
    """A PSNR in dB with so many decimals."""
    value = board.psnr(sse, n)
    return "∞" if value == float("inf") else f"{value:.{decimals}f}"


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as HTML of harmless elements only."""
    html = renderer.markdown(text, extensions=["tables", "sane_lists"])
    clean = nh3.clean(html, tags=TAGS | TABLES, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"})
    return mark_safe(clean)  # nosec B308 B703: cleaned in the line before


@register.filter
def told(news: Announcement, part: str) -> str:
    """The title or text of an announcement in the reader's language, or in the other where it has none."""
    own, other = ("zh", "en") if (get_language() or "").startswith("zh") else ("en", "zh")
    return str(getattr(news, f"{part}_{own}") or getattr(news, f"{part}_{other}"))


@register.filter
def explained(code: str) -> str:
    """What a validator's code stands for, in the reader's language."""
    return gettext(CODES.get(code, code))


@register.filter
def flagged(kind: str) -> str:
    """What a flag of a kind says."""
    return str(FLAGS.get(kind, kind))
