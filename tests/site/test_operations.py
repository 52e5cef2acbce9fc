"""Backups that restore, moves that keep every table as it was, inspections that find what was tampered with."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from hostile import manifest, truth
from made import CLIPS, Made, answer, folder, verdict
from postgres import server
from subpixel.errors import InputError, UsageError, VerificationError
from subpixel.site import files, triggers
from subpixel.site.acts import finals, scoring, tokens
from subpixel.site.models import AuditEvent, ScoreJob, Snapshot, Submission, Upload, User
from subpixel.site.operations import backups, bundle, inspection

pytestmark = pytest.mark.django_db(transaction=True)


def command(*arguments: object, folder: Path, database: str = "") -> subprocess.CompletedProcess[str]:
    """`subpixel challenge ...` for a site of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SUBPIXEL_", "DATABASE_URL"))}
    line = [sys.executable, "-m", "subpixel", "challenge", *map(str, arguments), "--folder", str(folder)]
    return subprocess.run(line, env={**kept, "DATABASE_URL": database}, capture_output=True, text=True)


@pytest.fixture
def season(made: Made, clock: Any) -> Iterator[Any]:
    """A round that is over and final, with a truth as `dataset` makes it, hand-ins, a token, a mail, an open upload."""
    contest = made.contest()
    first = contest.rounds.get(number=1)
    people = [made.user("张三"), made.user("o'brien")]
    teams = [made.team(contest, person, name=name) for person, name in zip(people, ['山水 "x"', "Bee"], strict=True)]
    for team, sse in zip(teams, (1000, 900), strict=True):
        made.scored(made.submission(team, content=answer(sse)), sse)
    tokens.issue(people[0], "laptop")
    made.upload(teams[0], content=b"half of it" * 20, state="receiving", sha256="", offset=5)
    clock.forward(days=6)
    finals.finalise(made.organiser, first, "The round is over.")
    yield first
    shutil.rmtree(files.truths(), ignore_errors=True)


def emptied() -> None:
    """The site as it was before anybody came."""
    triggers.drop(connection)
    call_command("flush", interactive=False, verbosity=0)
    triggers.create(connection)
    shutil.rmtree(files.truths())
    shutil.rmtree(folder() / "files")


def test_a_backup_is_restored_table_by_table(season: Any, tmp_path: Path) -> None:  # noqa: ARG001
    place, listing = backups.take(tmp_path / "backups")
    assert len(listing.files["submissions"]) == 2
    emptied()
    backups.fill(place, tmp_path / "backups" / backups.SHARED)
    assert inspection.problems(contents=True) == []
    assert set(Upload.objects.values_list("state", flat=True)) == {"consumed", "aborted"}
    again = bundle.write(tmp_path / "again", tmp_path / "again" / "files")
    assert {name for name in again.tables if again.tables[name] != listing.tables[name]} == {"contest.Upload"}
    assert (again.files, again.truths) == (listing.files, listing.truths)


def test_a_drill_proves_a_backup_and_leaves_the_site_alone(season: Any, tmp_path: Path) -> None:  # noqa: ARG001
    place, _ = backups.take(tmp_path / "backups")
    before = sorted(path.name for path in (tmp_path / "backups").iterdir())
    done = command("restore", tmp_path / "backups", "--drill", folder=tmp_path / "own")
    assert done.returncode == 0, done.stderr
    restored, drill = done.stdout.splitlines()
    assert restored.startswith(f"Restored {place}: 2 files of ")
    assert drill == "It was a drill; what was restored is removed again."
    assert sorted(path.name for path in (tmp_path / "backups").iterdir()) == before
    assert not (tmp_path / "own").exists()


def test_a_site_moves_from_one_database_to_another_and_keeps_its_snapshots(season: Any, tmp_path: Path) -> None:
    bundle.write(tmp_path / "bundle", tmp_path / "bundle" / backups.SHARED)
    with server() as url:
        there = url.replace("/contest?", "/postgres?") if connection.vendor == "sqlite" else ""
        done = command("import", tmp_path / "bundle", folder=tmp_path / "new", database=there)
        assert done.returncode == 0, done.stderr
        code = (
            "from subpixel.site.models import *; from subpixel.site import board\n"
            "s = Snapshot.objects.get(); r = s.round\n"
            "print(s.sha256, [board.as_dict(row) for row in board.rows(r)] == s.rows)\n"
            "print(Announcement.objects.create(contest=r.contest, published_at=r.end, by=User.objects.last()).pk)\n"
            "print(User.objects.create_user('new@example.org').pk > s.by_id)"
        )
        shown = command("manage", "shell", "-v", "0", "-c", code, folder=tmp_path / "new", database=there)
    sha256 = Snapshot.objects.get(round=season).sha256
    assert shown.stdout.split() == [sha256, "True", "1", "True"], shown.stderr  # numbers go on behind the old ones


def test_backups_share_files_and_old_ones_go(season: Any, made: Made, clock: Any, tmp_path: Path) -> None:  # noqa: ARG001
    place = tmp_path / "backups"
    backups.take(place)
    first = {path.name: path.stat().st_ino for path in (place / "files").rglob("*") if path.is_file()}
    clock.forward(days=1)
    made.upload(Submission.objects.order_by("pk")[0].team, content=b"one more " * 50)
    backups.take(place)
    second = {path.name: path.stat().st_ino for path in (place / "files").rglob("*") if path.is_file()}
    assert first.items() <= second.items()
    assert len(second) == len(first) + 1
    Upload.objects.filter(submission=None, state="complete").update(state="expired")
    clock.forward(days=1)
    backups.take(place, keep=1)
    assert len(backups.every(place)) == 1
    assert {path.name for path in (place / "files").rglob("*") if path.is_file()} == set(first)


def test_a_damaged_backup_is_refused_whole(season: Any, tmp_path: Path) -> None:  # noqa: ARG001
    good = tmp_path / "good"
    backups.take(good)
    emptied()
    damages: list[tuple[Callable[[Path], object], str]] = [
        (lambda at: next(at.rglob("contest.Team.jsonl")).write_text("{}\n"), "contest.Team.jsonl is altered"),
        (lambda at: next(at.rglob("contest.Team.jsonl")).unlink(), "contest.Team.jsonl cannot be read"),
        (lambda at: next((at / "files/submissions").glob("*/*")).write_bytes(b"x"), "of the bundle is altered"),
        (lambda at: next((at / "files/submissions").glob("*/*")).unlink(), "is missing in the bundle"),
        (lambda at: next((at / "files/truth").rglob("*.rgb")).write_bytes(b"x"), ".rgb is altered"),
        (lambda at: next(at.rglob("bundle.json")).unlink(), "holds no whole backup"),
    ]
    for number, (damage, sentence) in enumerate(damages):
        bad = tmp_path / f"bad{number}"
        shutil.copytree(good, bad)
        damage(bad)
        with pytest.raises((InputError, VerificationError), match=re.escape(sentence)):
            backups.fill(backups.find(bad), bad / backups.SHARED)
        assert not User.objects.exists()
        shutil.rmtree(files.truths(), ignore_errors=True)


def test_a_bundle_of_other_tables_is_refused(season: Any, tmp_path: Path) -> None:  # noqa: ARG001
    bundle.write(tmp_path / "bundle", tmp_path / "files")
    told = json.loads((tmp_path / "bundle" / bundle.LIST).read_text())
    told["migrations"], told["version"] = ["contest.0099_later"], "9.9"
    (tmp_path / "bundle" / bundle.LIST).write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"was made by subpixel 9.9, whose tables have another form"):
        bundle.read(tmp_path / "bundle")


def test_a_site_with_people_is_never_overwritten(season: Any, tmp_path: Path) -> None:  # noqa: ARG001
    bundle.write(tmp_path / "bundle", tmp_path / "files")
    with pytest.raises(UsageError, match="This site is not empty"):
        bundle.load(tmp_path / "bundle", tmp_path / "files")
    with pytest.raises(UsageError, match="exists already; name a new folder"):
        bundle.write(tmp_path / "bundle", tmp_path / "files")


def test_a_restored_site_has_no_phantom_slots(season: Any, made: Made, clock: Any, tmp_path: Path) -> None:
    """A hand-in that was being scored when the backup was taken is scored after the restore, once."""
    final = season.contest.rounds.get(number=2)
    clock.moment = final.opens
    team = Submission.objects.order_by("pk")[0].team
    hand_in = made.submission(team, final, content=answer(7))
    old = scoring.claim("worker of old")
    assert old is not None
    place, _ = backups.take(tmp_path / "backups")
    emptied()
    clock.forward(hours=2)
    backups.fill(place, tmp_path / "backups" / backups.SHARED)
    assert scoring.reap() == 1
    clock.forward(minutes=10)
    made.scored(hand_in, 7)
    assert not scoring.finish(old, verdict(old, 8))
    hand_in.refresh_from_db()
    assert (hand_in.state, hand_in.slot, hand_in.evaluations.get().sse) == ("scored", "spent", 7)


def test_the_whole_site_is_found_well(season: Any) -> None:  # noqa: ARG001
    assert inspection.problems(contents=True) == []


def test_what_was_tampered_with_is_found(season: Any, clock: Any) -> None:  # noqa: ARG001
    triggers.drop(connection)
    event = AuditEvent.objects.order_by("pk")[2]
    AuditEvent.objects.filter(pk=event.pk).update(reason="Another")
    Snapshot.objects.update(rows=[])
    hand_in = Submission.objects.get(team__name="Bee")
    hand_in.evaluations.update(sse=999_999, status="failed")
    first, second = Submission.objects.order_by("pk").values_list("sha256", flat=True)
    files.store("submissions").path(first).write_bytes(b"another")
    files.store("submissions").delete(second)
    next(files.truths().rglob("90.rgb")).write_bytes(b"another")
    found = inspection.problems(contents=True)
    triggers.create(connection)
    for sentence in (
        f"Event {event.pk} ({event.action}, {event.subject}) was changed.",
        "Snapshot 1 of round",
        "no longer give the ranks of its last snapshot",
        f"Hand-in {hand_in.pk} is scored, but was never scored.",
        "is altered (submissions/",
        "is missing (submissions/",
        "90.rgb is altered.",
    ):
        assert any(sentence in one for one in found), sentence
    files.store("submissions").delete(first)


def test_a_hand_in_without_work_is_found(made: Made) -> None:
    hand_in = made.submission(made.team(made.contest()), content=answer(1))
    ScoreJob.objects.update(state="dead")
    assert f"Hand-in {hand_in.pk} is queued, but no worker will take it up: requeue it." in inspection.problems(
        truths=False
    )


def test_a_backup_of_altered_files_is_refused(season: Any, tmp_path: Path) -> None:  # noqa: ARG001
    key = Submission.objects.first().sha256
    files.store("submissions").path(key).write_bytes(b"another")
    with pytest.raises(VerificationError, match=f"The file {key} of submissions is altered"):
        backups.take(tmp_path / "backups")
    assert backups.every(tmp_path / "backups") == []
    files.store("submissions").delete(key)


def test_a_bundle_holds_no_secret_and_no_session(season: Any, tmp_path: Path, client: Any) -> None:  # noqa: ARG001
    client.force_login(User.objects.first())
    token = tokens.issue(User.objects.first(), "laptop")
    bundle.write(tmp_path / "bundle", tmp_path / "files")
    text = "".join(path.read_text() for path in (tmp_path / "bundle").iterdir())
    assert os.environ["SUBPIXEL_SECRET"] not in text
    assert client.cookies["session"].value not in text
    assert token not in text
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "bundle", tmp_path / "files/submissions")} == {0}


def test_data_are_published_by_a_command(made: Made, tmp_path: Path) -> None:
    """In a site of its own, as an organiser does it; then a corrected truth as another version."""
    data = contest_folder(tmp_path, made.rules())
    code = (
        "from subpixel.site.models import *; from subpixel.site.acts import contests\n"
        "u = User.objects.create_user('olga@example.org', is_staff=True)\n"
        f"contests.create(u, 'cup', open({str(data / 'public/rules.toml')!r}).read())"
    )
    site = tmp_path / "site"
    command("manage", "migrate", "-v", "0", folder=site)
    made_it = command("manage", "shell", "-v", "0", "-c", code, folder=site)
    assert made_it.returncode == 0, made_it.stderr
    line = ("publish", data, "--contest", "cup", "--by", "olga@example.org")
    done = command(*line, folder=site)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 files for the round preliminary, open to all from ")
    for wrong, sentence in (
        (("publish", tmp_path, *line[2:]), "These are no data of a contest"),
        ((*line[:3], "mug", *line[4:]), "There is no contest called mug."),
    ):
        refused = command(*wrong, folder=site)
        assert refused.returncode == 2
        assert sentence in refused.stderr


def contest_folder(place: Path, rules: str) -> Path:
    """What `challenge dataset` leaves of one tiny clip, without training pairs and baseline."""
    folder = place / "contest"
    (folder / "public" / "test").mkdir(parents=True)
    clips = dataclasses.replace(manifest(*CLIPS), round="preliminary")
    (folder / "public" / "manifest.json").write_text(clips.text())
    (folder / "public" / "rules.toml").write_text(rules)
    (folder / "public" / "test" / "90.mp4").write_bytes(b"a film")
    truth(folder / "truth", *CLIPS)
    return folder


@pytest.mark.parametrize("words", [("backup", "backups"), ("export", "bundle"), ("check",), ("erase",), ("worker",)])
def test_a_folder_misspelt_is_not_made_a_site(words: tuple[str, ...], tmp_path: Path) -> None:
    done = command(*words[:1], *(tmp_path / word for word in words[1:]), folder=tmp_path / "sight")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: There is no site in the folder {tmp_path / 'sight'}; name the one that")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_does_not_answer_is_told_in_a_sentence(tmp_path: Path) -> None:
    nobody = "postgresql://contest:shibboleth@127.0.0.1:1/contest"
    done = command("check", folder=tmp_path / "site", database=nobody)
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: The site's database does not do what it should: .+\. See that it runs.+\n", done.stderr
    )
    assert "shibboleth" not in done.stderr
