"""A contest to look at: tiny clips, a baseline on the board, a team with a hand-in that is being scored."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
from allauth.account.models import EmailAddress
from django.db import transaction

from subpixel import resample
from subpixel.challenge import dataset
from subpixel.challenge.manifest import Manifest
from subpixel.challenge.pack import pack
from subpixel.challenge.rules import Rules
from subpixel.challenge.tables import filled
from subpixel.frames import Frame
from subpixel.job import upscale
from subpixel.site import clock, files, uploads
from subpixel.site.acts import contests, handin, publish, teams
from subpixel.site.models import Contest, Round, Submission, Team, Upload, User
from subpixel.video import Encoding, Writer

SLUG = "demo"
PASSWORD = "look around here"  # of people who live on this machine only
ORGANISER, CAPTAIN, GUEST = "organiser@demo.example", "alice@demo.example", "bob@demo.example"
_SIZE, _FRAMES, _CLIPS = (128, 96), 8, 3
_RULES = """\
name = "Demo: sharpen the waves"
zone = "Asia/Shanghai"

[teams]
opens = {opens}
closes = {final_closes}

[compute]
hours = 30
grant_hours = 50

[[rounds]]
name = "preliminary"
opens = {opens}
closes = {closes}
valid_per_day = 3
attempts_per_day = 10
advance = 10
grants = 3

[[rounds]]
name = "final"
opens = {final_opens}
closes = {final_closes}
valid_per_day = 3
attempts_per_day = 10

[[prizes]]
first = 1
last = 3
prize = "A pat on the back"

[limits]
archive_bytes = 268435456
"""


def make() -> Contest:
    """The demo contest; what of it is there already, stays. A worker has to run for its hand-ins to be scored."""
    organiser = person(ORGANISER, "Olga", is_staff=True, is_superuser=True)
    captain = person(CAPTAIN, "Alice")
    person(GUEST, "Bob")
    contest = Contest.objects.filter(slug=SLUG).first() or contests.create(organiser, SLUG, rules(clock.now()))
    first = contest.rounds.get(number=1)
    with tempfile.TemporaryDirectory(dir=files.uploads().parent) as place:
        if not first.manifest:
            publish.publish(organiser, first, data(contest.rules_text, Path(place)))
            first.refresh_from_db()
        publish.enter_baseline(organiser, first)
        team = teams.team_of(captain, contest) or teams.create(captain, contest, "Bicubic", "none", True)
        if not team.submissions.exists():
            hand_in(captain, team, first, answer(first, Path(place)), "demo")
    return contest


def person(email: str, name: str, password: str = PASSWORD, **fields: bool) -> User:
    """Somebody with a proved address; who is there already, stays as they are."""
    found = User.objects.filter(email=email).first()
    if found:
        return found
    with transaction.atomic():
        user = User.objects.create_user(email, password, name=name, **fields)
        EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return user


def hand_in(user: User, team: Team, round: Round, tar: Path, key: str) -> Submission:  # noqa: A002
    """Upload a file and hand it in, as a browser does."""
    upload = Upload.objects.filter(team=team, state="receiving").first()
    if upload:  # of a process that died
        uploads.abort(upload)
    upload = uploads.begin(user, round, tar.name, tar.stat().st_size)
    with tar.open("rb") as file:
        while upload.state == "receiving":
            upload = uploads.append(upload, upload.offset, io.BytesIO(file.read(uploads.PART)))
    return handin.accept(user, upload, key, client="demo")


def rules(now: datetime) -> str:
    """Rules by which teams and the first round have been open since yesterday, and stay so for a fortnight."""
    opens = (now - timedelta(days=1)).replace(second=0, microsecond=0)
    days = {"opens": 0, "closes": 15, "final_opens": 16, "final_closes": 26}
    return _RULES.format(**{name: (opens + timedelta(days=day)).isoformat() for name, day in days.items()})


def data(rules_text: str, place: Path) -> Path:
    """A folder of `challenge dataset` from films made up here."""
    toml = place / "rules.toml"
    toml.write_text(rules_text, encoding="utf-8")
    films = [film(place / f"{number}.mkv", number) for number in range(_CLIPS)]
    dataset.build(films, place / "contest", dataset.Options(rules=toml, round="preliminary", test=1))
    return place / "contest"


def film(path: Path, seed: int) -> Path:
    """Waves and grain that drift, 128x96."""
    with Writer(path, Encoding("ffv1"), rate=Fraction(25)) as writer:
        for frame in _frames(seed):
            writer.write(frame)
    return path


def _frames(seed: int) -> Iterator[Frame]:
    random = np.random.default_rng(seed)
    width, height = _SIZE
    grain = resample.resize(random.integers(60, 196, (height // 4, width // 4), np.uint8), width, height)
    y, x = np.mgrid[:height, :width]
    for index in range(_FRAMES):
        waves = 40 * np.sin((x + 2 * index) / (3 + seed)) * np.cos((y - index) / 5)
        luma = np.clip(np.roll(grain, index, axis=1) + waves, 16, 235).astype(np.uint8)
        blue = np.full((height // 2, width // 2), 100 + 20 * seed, np.uint8)
        yield Frame((luma, blue, 228 - blue), pts=index, time_base=Fraction(1, 25), duration=1)


def answer(round: Round, place: Path) -> Path:  # noqa: A002
    """A hand-in to a round whose clips are enlarged by plain interpolation."""
    rules, manifest = Rules.parse(round.contest.rules_text), manifest_of(round)
    folder = place / "restored"
    folder.mkdir()
    for clip in manifest.clips:
        low = place / Path(clip.file).name
        shutil.copy(files.store("public").path(round.files.get(name=clip.file).key), low)
        upscale(low, folder / f"{clip.name}.mp4", model="bicubic", scale=4, encoding=Encoding("h264", crf=10))
    pack(folder, manifest, rules, place / "answer.tar")
    return place / "answer.tar"


def manifest_of(round: Round) -> Manifest:  # noqa: A002
    """The manifest of a round that has data."""
    return filled(Manifest, json.loads(round.manifest), "The manifest")
