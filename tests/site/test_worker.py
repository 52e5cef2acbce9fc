"""The worker with real processes: right scores, and no end of a process that loses or forges one."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostile import frames, manifest, pictures, png, tar, truth
from made import CLIPS, Made, answer, verdict
from subpixel.challenge.rules import Rules, read_text
from subpixel.challenge.score import judge
from subpixel.challenge.truth import Truth

NEVER = threading.Event()
INVALID = tar(frames(*CLIPS)[:-1])


@pytest.fixture
def home(tmp_path: Path) -> tuple[Any, Path]:
    """The manifest, and the truth as an organiser has it at home."""
    return manifest(*CLIPS), truth(tmp_path / "truth", *CLIPS)


@pytest.fixture
def round_(made: Made, home: tuple[Any, Path]) -> Any:
    """A round whose truth is that of home."""
    found = made.round(data=False)
    made.data(found, Truth.open(home[1], home[0]).version)
    found.refresh_from_db()
    return found


def handed_in(made: Made, round_: Any, content: bytes) -> Any:
    return made.submission(made.team(round_.contest), round_, content)


def work(executor: Any = None, owner: str = "one") -> Any:
    """Let a worker do the next job; its hand-in afterwards."""
    from subpixel.site import judging, worker
    from subpixel.site.acts import scoring
    from subpixel.site.models import Submission

    lease = scoring.claim(owner)
    assert lease is not None
    worker.work(lease, executor or judging.local, NEVER)
    return Submission.objects.get(pk=lease.submission)


def the_job() -> Any:
    from subpixel.site.models import ScoreJob

    return ScoreJob.objects.get()


def again() -> None:
    """Time passes until the next attempt."""
    type(the_job()).objects.update(not_before=the_job().progressed_at)


def test_a_valid_answer_gets_the_score_of_plain_arithmetic(made: Made, round_: Any) -> None:
    submission = handed_in(made, round_, answer(change=7))
    done = work()
    assert (done.pk, done.state, done.slot) == (submission.pk, "scored", "spent")
    evaluation = done.evaluations.get()
    assert (evaluation.sse, evaluation.n, evaluation.status) == (7, 2 * 3 * 3 * 32 * 16, "ok")
    assert [clip["sse"] for clip in evaluation.clips] == [7, 0]


@pytest.mark.parametrize(
    "content", [answer(change=100), INVALID, b"x" * 1000], ids=["valid", "frame missing", "no tar"]
)
def test_the_verdict_is_that_of_home(
    made: Made, round_: Any, home: tuple[Any, Path], tmp_path: Path, content: bytes
) -> None:
    """Promise 6: the same problems, notes and integers."""
    clips, folder = home
    (tmp_path / "answer.tar").write_bytes(content)
    rules = Rules.parse(round_.contest.rules_text)
    at_home = judge(tmp_path / "answer.tar", clips, rules, folder).as_dict()
    handed_in(made, round_, content)
    done = work()
    assert done.state == ("scored" if at_home["valid"] else "invalid")
    assert (done.problems, done.notes) == (at_home["problems"], at_home["notes"])
    evaluation = done.evaluations.get()
    assert (evaluation.sse, evaluation.n) == (at_home["sse"], at_home["n"])


def test_ray_gives_the_same_integers(made: Made, round_: Any) -> None:
    from subpixel.site import judging

    handed_in(made, round_, answer(change=33))
    handed_in(made, round_, INVALID)
    import ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        scored, invalid = work(judging.on_ray), work(judging.on_ray)
    finally:
        ray.shutdown()
    assert (scored.state, scored.evaluations.get().sse) == ("scored", 33)
    assert (invalid.state, invalid.reason) == ("invalid", "missing_frames")


def killing(words: str) -> Callable[[Any, float], Generator[bytes | None]]:
    """Judging here, while the first process whose command line has these words is killed."""

    def execute(job: Any, _tick: float) -> Generator[bytes | None]:
        from subpixel.site import judging

        with contextlib.closing(judging.local(job, 0.01)) as lines:
            for line in lines:
                for pid in descendants():
                    with contextlib.suppress(OSError):
                        if words in Path(f"/proc/{pid}/cmdline").read_text():
                            os.kill(pid, signal.SIGKILL)
                yield line

    return execute


def descendants() -> Iterator[int]:
    """Of this process, by /proc."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    for pid in parents:
        above = pid
        while above := parents.get(above, 0):
            if above == os.getpid():
                yield pid


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("subpixel.site.scoring", "The scoring process ended with signal SIGKILL."),
        ("subpixel.challenge.child", "ended with -9, and not by the answer's fault."),
    ],
)
def test_a_killed_process_costs_nothing(made: Made, round_: Any, words: str, error: str) -> None:
    """Promise 3: our fault is never the team's; after three there is a fault that an organiser ends."""
    from subpixel.site.acts import handin, organise

    submission = handed_in(made, round_, answer(change=5))
    done = work(killing(words))
    assert (done.state, done.slot, the_job().attempts) == ("queued", "held", 1)
    assert error in the_job().error
    for _ in range(2):
        again()
        done = work(killing(words))
    assert (done.state, done.slot, done.counted) == ("fault", "free", False)
    quota = handin.quota(done.team, round_, done.accepted_at)
    assert (quota.valid_left, quota.attempts_left) == (1, 10)
    organise.requeue(made.organiser, submission, "Try again.")
    assert work().evaluations.get().sse == 5


def saying(*lines: bytes) -> Callable[[Any, float], Generator[bytes | None]]:
    """A process that says these lines."""

    def execute(_job: Any, _tick: float) -> Generator[bytes | None]:
        yield from lines

    return execute


def forged(**values: Any) -> Callable[[Any], bytes]:
    """A verdict that would be right but for these values."""
    return lambda lease: json.dumps({"verdict": verdict(lease, **values)}).encode()


NAN = b'{"verdict": {"valid": true, "sse": NaN, "n": 9216}}'
FORGED: dict[str, Callable[[Any], bytes]] = {
    "NaN": lambda _: NAN,
    "negative": forged(sse=-1),
    "a number with a point": forged(sse=1000.0),
    "infinite": forged(sse=float("inf")),
    "larger than can be": forged(sse=9216 * 255**2 + 1),
    "more than a database holds": forged(sse=10**30),
    "other samples": forged(n=9215),
    "sums that are not those of the clips": forged(sse=999, clips=[]),
    "another truth": forged(truth="0" * 64),
    "another round": forged(round="final"),
    "another scorer": forged(scorer="mine"),
    "valid with problems": forged(problems=[{"code": "not_tar", "member": "", "sentence": "No."}]),
    "invalid without": forged(valid=False),
    "problems of another form": forged(valid=False, problems="all of them"),
    "a list": lambda _: b"[]",
    "no verdict": lambda _: b'{"verdict": null}',
    "no JSON": lambda _: b"\xff\xfe",
    "deep JSON": lambda _: b"[" * 100_000,
    "silence": lambda _: b"",
}


@pytest.mark.parametrize("said", FORGED.values(), ids=FORGED)
def test_a_forged_verdict_is_no_score(made: Made, round_: Any, said: Callable[[Any], bytes]) -> None:
    from subpixel.site import board, worker
    from subpixel.site.acts import scoring
    from subpixel.site.models import Submission

    handed_in(made, round_, answer())
    lease = scoring.claim("one")
    assert lease is not None
    line = said(lease)
    worker.work(lease, saying(*([line] if line else [])), NEVER)
    assert Submission.objects.get().state == "queued"
    assert the_job().error
    assert board.rows(round_) == []


def test_a_worker_that_lost_its_lease_writes_nothing(made: Made, round_: Any) -> None:
    """A zombie with an old fence, which has the right verdict but too late."""
    from subpixel.site import clock
    from subpixel.site.acts import scoring
    from subpixel.site.models import AuditEvent, ScoreJob

    submission = handed_in(made, round_, answer(change=9))

    def slow(job: Any, tick: float) -> Generator[bytes | None]:
        from subpixel.site import judging

        ScoreJob.objects.update(lease_until=clock.now())
        assert scoring.reap() == 1
        again()
        assert work(owner="two").state == "scored"
        yield from judging.local(job, tick)

    done = work(slow)
    assert done.state == "scored"
    events = AuditEvent.objects.filter(subject=f"submission:{submission.pk}").values_list("action", flat=True)
    assert sorted(events) == [
        f"submission.{what}" for what in ("accept", "checking", "checking", "queued", "scored", "scoring")
    ]


def test_a_lost_lease_ends_the_process(made: Made, round_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from subpixel.site.acts import scoring
    from subpixel.site.models import ScoreJob

    monkeypatch.setattr(scoring, "BEAT", 0)
    handed_in(made, round_, answer())
    ended = []

    def robbed(_job: Any, _tick: float) -> Generator[bytes | None]:
        try:
            yield b'{"frames": 1}'
            ScoreJob.objects.update(fence=77)
            yield b'{"frames": 2}'
            raise AssertionError("asked for more")
        finally:
            ended.append(True)

    assert work(robbed).state == "scoring"
    assert ended == [True]


def test_beats_keep_the_lease_and_tell_progress(made: Made, round_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from subpixel.site import clock
    from subpixel.site.acts import scoring
    from subpixel.site.models import ScoreJob, Submission

    monkeypatch.setattr(scoring, "BEAT", 0)
    handed_in(made, round_, answer())

    def beating(_job: Any, _tick: float) -> Generator[bytes | None]:
        ScoreJob.objects.update(lease_until=clock.now())
        yield None
        assert the_job().lease_until > clock.now()
        assert Submission.objects.get().state == "checking"
        yield b'{"frames": 4}'
        assert (the_job().frames_done, the_job().frames) == (4, 6)
        assert Submission.objects.get().state == "scoring"
        yield b'{"frames": 400}'
        assert the_job().frames_done == 6

    assert work(beating).state == "queued"  # it ended without a verdict


def test_a_worker_that_is_told_to_stop_gives_its_work_back(made: Made, round_: Any) -> None:
    from subpixel.site import judging, worker
    from subpixel.site.acts import scoring
    from subpixel.site.models import Submission

    handed_in(made, round_, answer())
    stop = threading.Event()
    stop.set()
    lease = scoring.claim("one")
    assert lease is not None
    worker.work(lease, judging.local, stop)
    assert (Submission.objects.get().state, the_job().attempts) == ("queued", 0)
    assert not [pid for pid in descendants() if "scoring" in Path(f"/proc/{pid}/cmdline").read_text()]


def test_what_a_dead_worker_had_in_hand_goes_on_when_it_is_started_again(made: Made, round_: Any) -> None:
    from subpixel.site import worker
    from subpixel.site.acts import scoring

    handed_in(made, round_, answer())
    assert scoring.claim("one") is not None
    stop = threading.Event()
    stop.set()
    worker.run("another", "local", stop)
    assert the_job().state == "leased"
    worker.run("one", "local", stop)
    assert (the_job().state, the_job().error) == ("ready", "The worker one was lost.")


def test_a_database_that_does_not_answer_is_asked_again(
    made: Made, round_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is not lost with the first attempt to write it, and is written once."""
    from django.db import OperationalError

    from subpixel.site import worker
    from subpixel.site.acts import scoring
    from subpixel.site.models import AuditEvent

    real, failures = scoring.finish, [1, 2]

    def finish(lease: Any, found: Any) -> bool:
        if failures:
            failures.pop()
            raise OperationalError("database is locked")
        return real(lease, found)

    monkeypatch.setattr(scoring, "finish", finish)
    monkeypatch.setattr(worker, "PAUSE", 0.0)
    monkeypatch.setattr(worker.connection, "close", lambda: None)  # of this test's transaction
    handed_in(made, round_, answer(change=3))
    assert work().state == "scored"
    assert AuditEvent.objects.filter(action="submission.scored").count() == 1


@pytest.mark.parametrize("missing", ["answer", "truth"])
def test_a_lost_file_is_our_fault(made: Made, round_: Any, missing: str) -> None:
    from subpixel.site import files
    from subpixel.site.models import Truth

    submission = handed_in(made, round_, answer())
    if missing == "answer":
        files.store("submissions").delete(submission.sha256)
    else:
        Truth.objects.update(folder="nowhere")
    done = work()
    assert (done.state, done.slot) == ("queued", "held")
    assert ("No such file" if missing == "answer" else "nowhere does not hold the truth") in the_job().error


def test_the_scoring_process_has_no_secrets_and_ends_with_its_worker(tmp_path: Path) -> None:
    from django.conf import settings

    from subpixel.site.judging import Job

    count = 300
    clips = manifest("90", frames=count)
    picture = pictures(seed=1)[0]
    files = [(f"90/{number:04d}.png".encode(), png(picture)) for number in range(1, count + 1)]
    (tmp_path / "answer.tar").write_bytes(tar(files))
    folder = tmp_path / "long"
    folder.mkdir()
    (folder / "90.rgb").write_bytes(np.repeat(picture[None], count, axis=0).tobytes())
    (folder / "truth.json").write_text("{}")
    job = Job(str(tmp_path / "answer.tar"), clips.text(), read_text(), str(folder))
    code = (
        "import json, sys\nfrom subpixel.site.judging import Job, local\n"
        "for line in filter(None, local(Job(**json.loads(sys.argv[1])), 1)):\n"
        "    print(line, flush=True); sys.stdin.read()"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(dataclasses.asdict(job))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert worker.stdout is not None
    assert worker.stdin is not None
    assert b"frames" in worker.stdout.readline()
    (scoring,) = (pid for pid in descendants() if b"subpixel.site.scoring" in Path(f"/proc/{pid}/cmdline").read_bytes())
    environment = Path(f"/proc/{scoring}/environ").read_bytes()
    assert settings.SITE.secret.encode() not in environment
    assert b"SUBPIXEL_" not in environment
    assert b"DATABASE_URL" not in environment
    worker.kill()
    worker.wait()
    worker.stdin.close()
    worker.stdout.close()
    while Path(f"/proc/{scoring}/cmdline").exists() and Path(f"/proc/{scoring}/cmdline").read_bytes():
        time.sleep(0.05)
