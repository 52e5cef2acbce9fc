"""People, contests, teams and hand-ins for the site's tests, made by the site's own acts."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import itertools
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hostile import FRAMES, HEIGHT, WIDTH, frames, manifest, png, tar, truth

PASSWORD = "correct horse battery staple"
CLIPS = ("90", "91")
SAMPLES = len(CLIPS) * FRAMES * 3 * WIDTH * HEIGHT
RULES = """
name = "{name}"
zone = "{zone}"
framework = "MegEngine"
[teams]
opens = {teams_opens}
closes = {teams_closes}
largest = {largest}
[compute]
hours = 30
grant_hours = 50
[[rounds]]
name = "preliminary"
opens = {opens}
closes = {closes}
valid_per_day = {valid_per_day}
attempts_per_day = {attempts_per_day}
advance = {advance}
grants = {grants}
[[rounds]]
name = "final"
opens = {final_opens}
closes = {final_closes}
valid_per_day = {valid_per_day}
attempts_per_day = {attempts_per_day}
"""


class Clock:
    """The site's clock, standing still; a test moves it."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **span: float) -> datetime:
        """As timedelta(**span)."""
        self.moment += timedelta(**span)
        return self.moment


class Made:
    """Each method makes one thing and all that it stands on. Numbers in names keep them apart."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._organiser: Any = None

    def user(self, name: str = "", *, staff: bool = False, verified: bool = True, **fields: Any) -> Any:
        """A person with the password PASSWORD and an address, <name>@example.org."""
        from allauth.account.models import EmailAddress

        from subpixel.site.models import User

        name = name or f"person{next(self._numbers)}"
        user = User(email=f"{name}@example.org", name=name, is_staff=staff, password=hashed(), **fields)
        user.save()
        EmailAddress.objects.create(user=user, email=user.email, verified=verified, primary=True)
        return user

    @property
    def organiser(self) -> Any:
        """The same one each time."""
        if self._organiser is None:
            self._organiser = self.user("organiser", staff=True)
        return self._organiser

    def rules(self, **values: Any) -> str:
        """A rule file: teams may be made and changed from ten days ago for a day from now; the preliminary is open from
        yesterday for five days, the final follows a day later. values: of RULES.
        """
        from subpixel.site import clock

        now = clock.now().replace(second=0, microsecond=0)

        def day(days: float) -> str:
            return (now + timedelta(days=days)).isoformat()

        given = {
            "name": "Cup", "zone": "Asia/Shanghai", "largest": 5, "valid_per_day": 1, "attempts_per_day": 10,
            "advance": 10, "grants": 3, "teams_opens": day(-10), "teams_closes": day(1), "opens": day(-1),
            "closes": day(5), "final_opens": day(6), "final_closes": day(12),
        }  # fmt: skip
        return RULES.format(**given | values)

    def contest(self, *, data: bool = True, **values: Any) -> Any:
        """A contest by `rules`, with tiny data for both rounds."""
        from subpixel.site.acts import contests

        contest = contests.create(self.organiser, f"cup{next(self._numbers)}", self.rules(**values))
        for round_ in contest.rounds.all() if data else ():
            self.data(round_)
        return contest

    def round(self, **values: Any) -> Any:
        """The first round of a new contest."""
        return self.contest(**values).rounds.get(number=1)

    def data(self, round_: Any, version: str = "") -> Any:
        """Two clips of three frames of 32x16, as `answer` gives them; version: another name for the same truth."""
        from subpixel.challenge.truth import Truth
        from subpixel.site import files
        from subpixel.site.acts import organise

        clips = dataclasses.replace(manifest(*CLIPS), round=round_.name)
        place = files.truths() / "clips"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            truth(place, *CLIPS)
        if round_.manifest != clips.text():
            round_.manifest = clips.text()
            round_.save(update_fields=["manifest"])
        return organise.add_truth(self.organiser, round_, place.name, version or Truth.open(place, clips).version)

    def team(self, contest: Any, *users: Any, name: str = "", **fields: Any) -> Any:
        """A team of these people, the first of whom, a new one by default, is the captain."""
        from subpixel.site.acts import teams

        captain, *others = users or (self.user(),)
        team = teams.create(captain, contest, name or f"Team {next(self._numbers)}", **fields)
        for user in others:
            teams.join(user, teams.invite(captain, team, user.email))
        return team

    def upload(self, team: Any, round_: Any = None, content: bytes = b"", **fields: Any) -> Any:
        """A complete upload of a team; with content, its file is in the store."""
        from subpixel.site import clock, files
        from subpixel.site.models import Upload

        now = clock.now()
        content = content or f"upload {next(self._numbers)}".encode()
        if len(content) > 100:
            files.store("submissions").put(io.BytesIO(content))
        return Upload.objects.create(**{
            "team": team, "round": round_ or team.contest.rounds.get(number=1), "user": team.captain or self.organiser,
            "name": "answer.tar", "size": len(content), "offset": len(content), "state": "complete",
            "sha256": hashlib.sha256(content).hexdigest(), "created_at": now, "moved_at": now,
            "expires_at": now + timedelta(days=1), **fields,
        })  # fmt: skip

    def submission(self, team: Any, round_: Any = None, content: bytes = b"") -> Any:
        """A hand-in of a team that was just accepted."""
        from subpixel.site.acts import handin

        upload = self.upload(team, round_, content)
        return handin.accept(upload.user, upload, f"key {next(self._numbers)}")

    def scored(self, submission: Any, sse: int) -> Any:
        """The hand-in, scored with this error by a worker; there must be nothing else in the queue before it."""
        from subpixel.site.acts import scoring

        lease = scoring.claim("worker")
        assert lease is not None
        assert lease.submission == submission.pk
        assert scoring.finish(lease, verdict(lease, sse))
        submission.refresh_from_db()
        return submission

    def score(self, team: Any, sse: int, round_: Any = None) -> Any:
        """A new hand-in of the team, scored with this error."""
        return self.scored(self.submission(team, round_), sse)


@functools.cache
def hashed() -> str:
    """The hash of PASSWORD, which takes a while by intention."""
    from django.contrib.auth.hashers import make_password

    return make_password(PASSWORD)


def verdict(lease: Any, sse: int = 1000, **values: Any) -> dict[str, Any]:
    """What a worker says of a valid answer; values take the place of what would be right."""
    n = SAMPLES // len(CLIPS)
    shares = [sse - sse // 2, sse // 2]
    clips = [
        {"name": clip, "form": "png", "frames": FRAMES, "sse": share, "n": n}
        for clip, share in zip(CLIPS, shares, strict=True)
    ]
    return {
        "schema_version": 1, "valid": True, "round": lease.round_name, "scorer": "rgb-sse-1",
        "truth": lease.truth_version, "sse": sse, "n": SAMPLES, "psnr": 40.0, "problems": [], "notes": [],
        "locked": True, "clips": clips, **values,
    }  # fmt: skip


def invalid(lease: Any, code: str = "not_tar") -> dict[str, Any]:
    """What a worker says of an answer that is not valid."""
    problem = {"code": code, "member": "", "sentence": "The file is no tar archive."}
    return verdict(lease) | {"valid": False, "sse": None, "n": None, "psnr": None, "clips": [], "problems": [problem]}


def answer(change: int = 0) -> bytes:
    """A tar that is right but for so many samples of the first picture, each wrong by one."""
    files = frames(*CLIPS)
    if change:
        from hostile import pictures

        first = pictures(seed=0)[0].copy()
        first.flat[:change] ^= 1
        files[0] = (files[0][0], png(first))
    return tar(files)


def refused(sentence: str, status: int = 409) -> pytest.RaisesExc[Exception]:
    """The next act is refused by a sentence that has this in it, and by this status of HTTP."""
    from subpixel.site.refusals import Refusal

    def right(error: Exception) -> bool:
        return isinstance(error, Refusal) and error.status == status

    return pytest.raises(Refusal, match=sentence, check=right)


def moment(text: str) -> datetime:
    """Of ISO 8601, with a zone."""
    found = datetime.fromisoformat(text)
    assert found.utcoffset() is not None
    return found


def folder() -> Path:
    """Of the site under test."""
    from django.conf import settings

    return Path(settings.SITE.folder)
