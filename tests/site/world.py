"""A contest in full swing, every address of the site with the numbers of what is in it, and a print of all tables."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib.admindocs.views import extract_views_from_urlpatterns, simplify_regex
from django.db import transaction
from django.test import Client

from made import CLIPS, PASSWORD, SAMPLES, Made, verdict

CLIP_ERRORS = (424_242, 535_353)
ERROR = sum(CLIP_ERRORS)
SECRETS = (
    "secret-answer.tar", "secret-source.tar", "guest-secret@example.org", "alice@example.org", "bob@example.org",
    "secret statement", "secret purpose",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class World:
    """A contest in which alice and bob are team Alpha, carol is team Beta; dave is in none. Numbers are of Alpha's."""

    contest: Any
    people: dict[str, Any]
    team: Any
    numbers: dict[str, Any]

    def browser(self, who: str, **options: Any) -> Client:
        """Of a person, "" for a stranger."""
        browser = Client(**options)
        if who:
            browser.force_login(self.people[who])
        return browser

    def secrets(self) -> set[str]:
        """What others must not read: words in Alpha's things, and the SHA-256 of its hand-ins."""
        return {*SECRETS, *self.team.submissions.values_list("sha256", flat=True)}

    def of_the_truth(self) -> set[str]:
        """What follows from the truth besides the pooled score."""
        truth = self.contest.rounds.get(number=1).truth
        return {truth.version, truth.folder + "/", f"{truth.folder}.rgb", *map(str, CLIP_ERRORS), str(ERROR)}

    def paths(self) -> Iterator[tuple[str, str]]:
        """Every address as its pattern and as it is for Alpha's things."""
        from subpixel.site.urls import urlpatterns

        for _, regex, _, _ in extract_views_from_urlpatterns(urlpatterns):
            pattern = simplify_regex(regex)
            yield pattern, re.sub(r"(\w[\w-]*/)?<(?:\w+:)?(\w+)>", self._filled, pattern)

    def _filled(self, part: re.Match[str]) -> str:
        """A new address needs its numbers here: by what stands before them, if they are just called a number."""
        before, name = part[1] or "", part[2]
        return f"{before}{self.numbers[before[:-1] if name in ('number', 'pk') else name]}"


def build(made: Made) -> World:
    """The world; it takes a dozen acts."""
    from subpixel.site.acts import grants, organise, reviews, teams, tokens
    from subpixel.site.models import DataFile, Flag, Submission

    contest = made.contest(valid_per_day=9)
    people = {name: made.user(name) for name in ("alice", "bob", "carol", "dave")} | {"olga": made.organiser}
    alpha = made.team(contest, people["alice"], people["bob"], name="Alpha")
    beta = made.team(contest, people["carol"], name="Beta")
    first, final = contest.rounds.all()
    for errors in ((CLIP_ERRORS[0] + 2, CLIP_ERRORS[1] + 2), (CLIP_ERRORS[0] + 1, CLIP_ERRORS[1] + 1), CLIP_ERRORS):
        _score(made.submission(alpha), errors)
    _score(made.submission(beta), (0, 0))  # a perfect copy raises a flag
    entitled = alpha.entitlements.order_by("pk")
    application = grants.apply(people["alice"], entitled[0], "secret purpose")
    token = teams.invite(people["alice"], alpha, "guest-secret@example.org")
    review = reviews.ask(made.organiser, first, alpha, final.opens)
    source = made.upload(alpha, name="secret-source.tar", purpose="review")
    reviews.hand_over(people["alice"], review, source, "secret statement")
    reviews.take(made.organiser, review)
    sanction = _sanction(made, contest)
    tokens.issue(people["alice"], "laptop")
    organise.announce(made.organiser, contest, title_en="News", text_en="It begins.")
    hidden = _file(final, final.opens)
    waiting = made.submission(alpha)
    numbers = {
        "slug": contest.slug, "c": contest.slug, "rounds": 1, "board": 1, "snapshots": 1, "version": 1,
        "submissions": waiting.pk, "teams": alpha.pk, "flags": Flag.objects.get().pk,
        "reviews": review.pk, "review": review.pk, "grants": application.pk, "entitlement": entitled[1].pk,
        "invite": alpha.invites.get(used_at=None).pk, "person": people["bob"].pk, "token": token,
        "sanction": sanction.pk,
        "tokens": people["alice"].tokens.get().pk, "truth": made.data(first, "the second version").pk,
        "upload": made.upload(alpha, name="secret-answer.tar").pk, "file": hidden.pk, "uidb36": "1", "key": "1-key",
        "uploads": made.upload(alpha, name="secret-answer.tar", state="receiving", size=99, offset=1, sha256="").pk,
    }  # fmt: skip
    assert Submission.objects.count() == 5
    assert DataFile.objects.count() == 1
    return World(contest, people, alpha, numbers)


def _score(submission: Any, errors: tuple[int, ...]) -> None:
    from subpixel.site.acts import scoring

    lease = scoring.claim("worker")
    assert lease is not None
    assert lease.submission == submission.pk
    said = verdict(lease, sum(errors))
    said["clips"] = [
        {"name": name, "form": "png", "frames": 3, "sse": sse, "n": SAMPLES // len(CLIPS)}
        for name, sse in zip(CLIPS, errors, strict=True)
    ]
    assert scoring.finish(lease, said)


def _sanction(made: Made, contest: Any) -> Any:
    from subpixel.site.acts import finals

    gamma = made.team(contest, name="Gamma")
    return finals.sanction(made.organiser, gamma, "rank_cancelled", contest.rounds.get(number=1), "Two accounts.")


def _file(round_: Any, visible_from: Any) -> Any:
    from subpixel.site import files
    from subpixel.site.models import DataFile

    key = files.store("public").put(io.BytesIO(b"test clips of the final"))
    return DataFile.objects.create(
        round=round_, kind="test", name="test/91.mp4", key=key, sha256=key, size=23, visible_from=visible_from
    )


# For any form of the site: what it does not know it must leave aside.
FORM = {
    "reason": "Because.", "name": "Zeta team", "email": "zeta@example.org", "framework": "x", "purpose": "x",
    "statement": "x", "findings": "x", "text": "x", "note": "x", "hours": "5", "kind": "disqualified",
    "board": "hidden", "sure": "on", "passed": "on", "verdict": "passed", "approve": "on", "decision": "confirmed",
    "confirmed": "on", "slug": "another", "scope": "submit", "days": "30", "language": "zh-hans", "title_en": "x",
    "text_en": "x", "password": PASSWORD, "password1": PASSWORD + "1", "password2": PASSWORD + "1",
    "oldpassword": PASSWORD, "login": "alice@example.org", "locale": "en", "override": "on", "action": "approve",
}  # fmt: skip


for _prefix in ("name", "declare", "invite"):
    FORM |= {f"{_prefix}-{name}": value for name, value in FORM.items() if "-" not in name}


def printed(*without: str) -> dict[str, str]:
    """A hash of the rows of every table, but for those left out and for moments of use."""
    from subpixel.site.operations import bundle

    found = {}
    for model in bundle.tables():
        if model.__name__ not in without:
            names = [f.name for f in model._meta.concrete_fields if f.name not in ("used_at", "last_login")]
            rows = list(model._base_manager.order_by("pk").values_list(*names))
            found[model.__name__] = hashlib.sha256(repr(rows).encode()).hexdigest()
    return found


@contextlib.contextmanager
def undone() -> Iterator[None]:
    """What happens inside has not happened."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def body(response: Any) -> str:
    """The text of an answer, also of a file."""
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return str(content.decode("utf-8", "replace"))


def later(days: float) -> str:
    """As forms take a moment."""
    from subpixel.site import clock

    return (clock.now() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M")
