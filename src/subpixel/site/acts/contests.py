"""Making a contest of its rules."""

from __future__ import annotations

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.utils.translation import gettext as _

from subpixel.challenge.rules import Rules
from subpixel.errors import UsageError
from subpixel.site import audit, clock
from subpixel.site.acts.turns import act
from subpixel.site.models import Contest, Round, User
from subpixel.site.refusals import Refusal, need_staff

RETENTION = timedelta(days=180)  # after the last round


@act
def create(by: User, slug: str, rules_text: str) -> Contest:
    """A contest with the windows, quotas and rounds of a rule file. slug: its name in addresses."""
    need_staff(by)
    try:
        validate_slug(slug)
        rules = Rules.parse(rules_text)
    except ValidationError:
        raise Refusal("slug", _("The short name consists of letters, digits, - and _."), 422) from None
    except UsageError as error:
        raise Refusal("rules", str(error), 422) from error
    if len(slug) > 50 or Contest.objects.filter(slug=slug).exists():
        raise Refusal("slug", _("There is a contest of this short name, or it is too long; choose another."), 422)
    contest = Contest.objects.create(
        slug=slug, name=rules.name, zone=rules.zone, rules_text=rules_text, teams_open=rules.teams.opens,
        teams_end=rules.teams.end, created_at=clock.now(),
        retention_until=rules.day(max(one.end for one in rules.rounds) + RETENTION),
    )  # fmt: skip
    for number, one in enumerate(rules.rounds, 1):
        Round.objects.create(
            contest=contest, number=number, name=one.name, opens=one.opens, end=one.end,
            valid_per_day=one.valid_per_day, attempts_per_day=one.attempts_per_day, advance=one.advance,
            decimals=one.decimals, grants=one.grants, scorer=rules.scorer,
        )  # fmt: skip
    audit.record(by, "contest.create", contest, after={"slug": slug})
    return contest
