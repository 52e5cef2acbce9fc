"""A contest's site under kill -9, and in its last hour.

    python bench/site.py storm [--hand-ins 100] [--kills 200] [--workers 1] [--seed 0]
    python bench/site.py load [--teams 300] [--uploads 50] [--boards 500] [--seconds 60] [--web 1] [--workers 1]

Both serve a site on this machine by `subpixel challenge serve`, with SQLite in a new folder or the empty database of
DATABASE_URL, and hand in as programs do: tus, then the API. storm: web processes, workers, scoring processes, decoders,
chores and the parent of them all are killed at random while teams hand in; at the end every hand-in must have the one
right state, score, event and mail. load: so many teams hand in once while so many board requests a second are made.
The last line is JSON; the exit code is 1 if anything was lost, counted twice or wrong.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx

from handins import HOUR, HandIn, Report, Site, hand_all_in, prepared

AHEAD = 4  # hand-ins
WEIGHTS = {
    "serve": 1,
    "chores": 2,
    "web": 4,
    "worker": 4,
    "scoring": 12,
    "decoder": 12,
}  # of those that run at a moment
WATCHERS = 2


def storm(arguments: argparse.Namespace) -> tuple[dict[str, object], list[str]]:
    """Kill at random while all hand in."""
    report, chance = Report(), random.Random(arguments.seed)
    with prepared(max(1, arguments.hand_ins // 4), arguments.hand_ins, 1, arguments.workers, arguments.seed) as made:
        site, round_, todo, organiser = made
        began, over = time.monotonic(), threading.Event()
        killer = threading.Thread(target=_kill, args=[site, report, chance, arguments.kills, len(todo), over])
        killer.start()
        hand_all_in(site.url, round_.pk, todo, report, threads=8, parts=3)
        while killer.is_alive() or _unfinished(len(todo)):
            report.requeued += _help(organiser)
            if time.monotonic() > began + HOUR:
                report.problems.append("The hour was over before all was done.")
                break
            time.sleep(0.5)
        over.set()
        killer.join()
        report.problems += _wrong(round_, todo)
        seconds = time.monotonic() - began
    figures = {
        "hand_ins": len(todo), "kills": dict(report.kills), "repeated_requests": dict(report.repeated),
        "faults_requeued": report.requeued, "seconds": round(seconds),
    }  # fmt: skip
    return figures, report.problems


def _kill(site: Site, report: Report, chance: random.Random, kills: int, hand_ins: int, over: threading.Event) -> None:
    """Spread over the whole run: no further ahead than the hand-ins that are done."""
    from django.db import close_old_connections

    while report.kills.total() < kills and not over.wait(chance.uniform(0.1, 1.5)):
        close_old_connections()
        found = site.processes()
        if len(found) > 2 and report.kills.total() < kills * (hand_ins - _unfinished(hand_ins) + AHEAD) / hand_ins:
            kind = chance.choices(sorted(found), [WEIGHTS[kind] for kind in sorted(found)])[0]
            report.kills[kind] += site.kill(kind, chance.choice(found[kind]))


def _unfinished(hand_ins: int) -> int:
    """Of so many hand-ins those that are not yet what they are to be."""
    from subpixel.site.models import Submission

    return hand_ins - int(Submission.objects.filter(state__in=["scored", "invalid"]).count())


def _help(organiser: Any) -> int:
    """What organisers do, and what time does: faults are queued again, and nobody waits for another attempt."""
    from subpixel.site import clock
    from subpixel.site.acts import organise
    from subpixel.site.models import ScoreJob, Submission

    faults = list(Submission.objects.filter(state="fault"))
    for submission in faults:
        organise.requeue(organiser, submission, "The bench killed its workers.")
    ScoreJob.objects.filter(state="ready", not_before__gt=clock.now()).update(not_before=clock.now())
    return len(faults)


def _wrong(round_: Any, todo: list[HandIn]) -> list[str]:
    """Every hand-in against what must have come of it, and the records against each other."""
    from subpixel.site import audit, board, files, uploads
    from subpixel.site.models import AuditEvent, Evaluation, Outbox, ScoreJob, Submission

    wrong = audit.verify()
    rows = {row.key: row for row in Submission.objects.all()}
    if len(rows) != len(todo) or Submission.objects.count() != len(todo):
        wrong.append(f"{Submission.objects.count()} hand-ins are there, {len(todo)} were made.")
    for one in todo:
        row = rows.get(one.key)
        if row is None or row.pk != one.number:
            wrong.append(f"{one.key} was accepted as {one.number} and is {row and row.pk}.")
            continue
        expected = ("invalid", "free") if one.sse is None else ("scored", "spent")
        if (row.state, row.slot) != expected:
            wrong.append(f"{one.key} is {row.state}, {row.slot}; it must be {expected}.")
        if [each.sse for each in Evaluation.objects.filter(submission=row)] != [one.sse]:
            wrong.append(f"{one.key} has not the one score {one.sse}.")
        with files.store("submissions").open(row.sha256) as stream:
            if stream.read() != one.tar:
                wrong.append(f"{one.key}: the stored file is another.")
        for action in ("accept", expected[0]):
            events = AuditEvent.objects.filter(subject=f"submission:{row.pk}", action=f"submission.{action}").count()
            if events != 1:
                wrong.append(f"{one.key} was {events} times: {action}.")
        mails = Outbox.objects.filter(key__startswith=f"{expected[0]}:{row.pk}:").count()
        if mails != 1:
            wrong.append(f"{one.key}: {mails} mails tell of it.")
    if ScoreJob.objects.exclude(state="done").exists():
        wrong.append("Jobs are left.")
    uploads.sweep()
    if any(files.uploads().iterdir()):
        wrong.append("Parts of uploads are left.")
    best: dict[str, int] = {}
    for one in todo:
        if one.sse is not None:
            best[one.token] = min(one.sse, best.get(one.token, one.sse))
    if [row.sse for row in board.rows(round_)] != sorted(best.values()):
        wrong.append("The board is not that of the best hand-ins.")
    return wrong


def load(arguments: argparse.Namespace) -> tuple[dict[str, object], list[str]]:
    """Many teams hand in while everybody looks at the board."""
    report = Report()
    with prepared(arguments.teams, arguments.teams, arguments.web, arguments.workers, arguments.seed) as made:
        site, round_, todo, organiser = made
        _wait_for(site.url)
        address = f"{site.url}/c/bench/board/{round_.number}/rows/"
        watchers = [_watch(address, arguments.boards // WATCHERS, arguments.seconds) for _ in range(WATCHERS)]
        began = time.monotonic()
        hand_all_in(site.url, round_.pk, todo, report, threads=arguments.uploads, parts=3)
        accepted = time.monotonic() - began
        looked = [json.loads(watcher.communicate()[0]) for watcher in watchers]
        while _unfinished(len(todo)) and time.monotonic() < began + HOUR:
            report.requeued += _help(organiser)
            time.sleep(0.5)
        report.problems += _wrong(round_, todo)
        scored = time.monotonic() - began
    waits = sorted(wait for one in looked for wait in one["waits"])
    errors = sum((Counter(one["statuses"]) for one in looked), Counter())
    errors.pop("200", None)
    hand_ins = sorted(one.waited for one in todo)
    figures = {
        "teams": len(todo), "uploads_at_a_time": arguments.uploads, "workers": arguments.workers,
        "all_accepted_after_s": round(accepted, 1), "all_scored_after_s": round(scored, 1),
        "hand_in_s": _spread(hand_ins), "repeated_requests": dict(report.repeated),
        "board_requests": len(waits), "board_requests_a_second": round(len(waits) / arguments.seconds),
        "board_ms": {name: round(1000 * value, 1) for name, value in _spread(waits).items()},
        "board_errors": dict(errors),
    }  # fmt: skip
    problems = [*report.problems, *(["The board failed."] if errors else [])]
    return figures, problems


def _watch(address: str, rate: int, seconds: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "watch", address, str(rate), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def watch(arguments: argparse.Namespace) -> None:
    """One of the crowd's programs: so many requests a second over 20 connections, each when its time has come."""
    print(json.dumps(asyncio.run(_look(arguments.address, arguments.rate, arguments.seconds))))


async def _look(address: str, rate: int, seconds: int) -> dict[str, object]:
    url = urlsplit(address)
    request = f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode()
    waits: list[float] = []
    statuses: Counter[str] = Counter()
    loop, lanes = asyncio.get_running_loop(), 20
    began = loop.time()

    async def lane(number: int) -> None:
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        for turn in range(number, rate * seconds, lanes):
            due = began + turn / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r")[0])
            await reader.readexactly(length)
            waits.append(loop.time() - due)
            statuses[head.split()[1].decode()] += 1
        writer.close()

    await asyncio.gather(*(lane(number) for number in range(lanes)))
    return {"waits": waits, "statuses": statuses, "seconds": loop.time() - began}


def _spread(values: list[float]) -> dict[str, float]:
    """Of sorted values."""
    return {name: round(values[min(len(values) - 1, int(part * len(values)))], 4) for name, part in _PARTS.items()}


_PARTS = {"median": 0.5, "p99": 0.99, "most": 1.0}


def _wait_for(url: str) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health").status_code == 200:
                return
        time.sleep(0.5)
    raise TimeoutError(url)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(required=True)
    run: Callable[..., Any]
    for name, run, options in (
        ("storm", storm, {"hand-ins": 100, "kills": 200, "workers": 1, "seed": 0}),
        ("load", load, {"teams": 300, "uploads": 50, "boards": 500, "seconds": 60, "web": 1, "workers": 1, "seed": 0}),
    ):
        part = parts.add_parser(name)
        part.set_defaults(run=run)
        for option, value in options.items():
            part.add_argument(f"--{option}", type=int, default=value)
    part = parts.add_parser("watch")
    part.set_defaults(run=watch)
    part.add_argument("address")
    part.add_argument("rate", type=int)
    part.add_argument("seconds", type=int)
    arguments = parser.parse_args()
    found = arguments.run(arguments)
    if found:
        figures, problems = found
        print(*problems, sep="\n", file=sys.stderr)
        print(json.dumps({**figures, "problems": len(problems)}))
        sys.exit(bool(problems))


if __name__ == "__main__":
    main()
