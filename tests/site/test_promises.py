"""What the site promises, each promise with an attempt to break it.

Promise 6 is held by test_worker.py, 7 by test_attacks_web.py, 8 by test_organise.py as well, 10 by test_kills.py.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, models

from made import SAMPLES, Clock, Made, answer, invalid, verdict
from subpixel.challenge.manifest import Manifest
from subpixel.challenge.rules import Rules
from subpixel.challenge.score import judge
from subpixel.challenge.tables import filled
from subpixel.site import audit, board, files
from subpixel.site.acts import finals, handin, organise, scoring
from subpixel.site.models import Evaluation, Flag, Outbox, ScoreJob, Submission
from subpixel.site.models.submissions import FINAL


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_promise_1_every_accepted_hand_in_reaches_a_final_state(made: Made, clock: Clock, seed: int) -> None:
    """Whatever workers do, and if they do nothing at all, an hour and a half after the last is accepted."""
    chance = random.Random(seed)
    contest = made.contest()
    for _ in range(8):
        made.submission(made.team(contest))
    for _ in range(90 * 3):
        clock.forward(seconds=20)
        scoring.reap()
        lease = scoring.claim("worker") if chance.random() < 0.3 else None
        if lease is None:
            continue
        ends: list[Any] = [
            lambda: None,  # killed
            lambda lease=lease: scoring.fail(lease, "Out of memory."),
            lambda lease=lease: scoring.finish(lease, verdict(lease)),
            lambda lease=lease: scoring.finish(lease, invalid(lease)),
            lambda lease=lease: scoring.finish(lease, {"valid": True}),
        ]
        chance.choice(ends)()
    assert set(Submission.objects.values_list("state", flat=True)) <= set(FINAL)
    assert not ScoreJob.objects.filter(state__in=["ready", "leased"]).exists()


@pytest.mark.django_db(transaction=True)
def test_promise_2_none_is_lost_or_counted_twice(made: Made) -> None:
    """Teams that send everything twice, workers that say everything twice, at the same time."""
    contest = made.contest()
    uploads = [made.upload(made.team(contest)) for _ in range(12)]
    over = threading.Event()

    def hand_in(upload: Any) -> set[int]:
        try:
            return {handin.accept(upload.user, upload, f"key {upload.pk}").pk for _ in range(2)}
        finally:
            connections.close_all()

    def work(name: str) -> None:
        try:
            while not over.is_set() or ScoreJob.objects.filter(state="ready").exists():
                lease = scoring.claim(name)
                if lease:
                    assert scoring.finish(lease, verdict(lease, 100))
                    assert not scoring.finish(lease, verdict(lease, 1))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(work, f"worker {number}") for number in range(3)]
        try:
            accepted = list(pool.map(hand_in, uploads))
        finally:
            over.set()
        for worker in workers:
            worker.result()
    assert all(len(pks) == 1 for pks in accepted)
    assert {pk for pks in accepted for pk in pks} == set(Submission.objects.values_list("pk", flat=True))
    assert Counter(Submission.objects.values_list("state", flat=True)) == {"scored": 12}
    assert Counter(Evaluation.objects.values_list("sse", flat=True)) == {100: 12}
    assert Outbox.objects.filter(kind="scored").count() == 12
    assert {row.hand_ins for row in board.rows(contest.rounds.get(number=1))} == {1}
    assert audit.verify() == []


@pytest.mark.django_db
def test_promise_3_a_fault_of_ours_costs_neither_slot_nor_attempt(made: Made, clock: Clock) -> None:
    round_ = made.round(attempts_per_day=1)
    team = made.team(round_.contest)
    for _ in range(3):
        submission = made.submission(team)
        for _ in range(3):
            lease = scoring.claim("worker")
            assert lease is not None
            clock.forward(minutes=2)
            scoring.reap()  # killed, each time
            clock.forward(minutes=1)
        submission.refresh_from_db()
        assert (submission.state, submission.slot, submission.counted) == ("fault", "free", False)
    assert made.score(team, 5).state == "scored"


@pytest.mark.django_db
@pytest.mark.parametrize("workers", [1, 4])
def test_promise_4_the_same_bytes_score_the_same_integer(made: Made, workers: int) -> None:
    """On either database, for the suite runs on both, and by any number of workers."""
    contest = made.contest()
    content = answer(change=7)
    for _ in range(workers):
        made.submission(made.team(contest), content=content)
    leases = [scoring.claim(f"worker {number}") for number in range(workers)]
    for lease in leases:
        assert lease is not None
        manifest = filled(Manifest, json.loads(lease.manifest), "manifest")
        tar = files.store("submissions").path(lease.sha256)
        said = judge(tar, manifest, Rules.parse(lease.rules_text), files.truths() / lease.truth_folder)
        assert scoring.finish(lease, said.as_dict())
    assert set(Evaluation.objects.values_list("sse", "n")) == {(7, SAMPLES)}


@pytest.mark.django_db
def test_promise_5_the_board_follows_from_the_tables(made: Made, clock: Clock) -> None:
    """A count in plain SQL rows and plain Python finds the same ranks as the board, and as the snapshot."""
    contest = made.contest(valid_per_day=3)
    round_ = contest.rounds.get(number=1)
    chance = random.Random(5)
    for _ in range(5):
        team = made.team(contest)
        for _ in range(3):
            submission = made.score(team, chance.choice([40, 50, 60]))
            clock.forward(seconds=1)
            if chance.random() < 0.3:
                organise.void(made.organiser, submission, "A reason")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.team_id, e.sse, s.id FROM contest_evaluation e "
            "JOIN contest_submission s ON e.submission_id = s.id "
            "WHERE s.state = 'scored' AND e.status = 'ok' ORDER BY e.sse, s.accepted_at, s.id"
        )
        best: dict[int, int] = {}
        for team_id, sse, _ in cursor.fetchall():
            best.setdefault(team_id, sse)
    assert [(row.team_id, row.sse) for row in board.rows(round_)] == list(best.items())
    Flag.objects.update(state="dismissed")
    clock.moment = round_.end
    snapshot = finals.finalise(made.organiser, round_, "Over")
    assert [(row["team_id"], row["sse"]) for row in snapshot.rows] == list(best.items())
    assert board.shown(round_, None) == board.rows(round_)


@pytest.mark.django_db
def test_promise_9_every_time_has_a_zone_and_the_servers_clock_decides(made: Made, clock: Clock) -> None:
    contest = made.contest()
    submission = made.score(made.team(contest), 5)
    clock.forward(days=1)
    seen = 0
    for model in (Submission, Evaluation, ScoreJob, Outbox, type(contest), type(submission.round)):
        for row in model.objects.all():
            for field in model._meta.concrete_fields:
                value = getattr(row, field.attname)
                if isinstance(field, models.DateTimeField) and value is not None:
                    assert value.utcoffset() == timedelta(0), f"{model.__name__}.{field.name}"
                    seen += 1
    assert seen > 10
    late = made.upload(submission.team)
    type(late).objects.filter(pk=late.pk).update(created_at="2001-01-01T00:00Z", moved_at="2001-01-01T00:00Z")
    assert handin.accept(late.user, late, "what the client says of times is not asked").accepted_at == clock()
