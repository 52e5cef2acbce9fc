"""What the bench of the contest's site stands on: a served site, programs that hand in, answers of known error."""

import base64
import hashlib
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from subpixel.challenge.manifest import Clip, Manifest
from subpixel.challenge.pack import pack
from subpixel.challenge.rules import Rules
from subpixel.site import environment
from subpixel.video.image import encode_image

EVERY = 5  # one hand-in of so many lacks a frame
HOUR = 3600.0
KINDS = {  # of processes, by their command line
    "web": "subpixel.site.serve\0web",
    "worker": "subpixel.site.serve\0worker",
    "chores": "subpixel.site.serve\0chores",
    "scoring": "subpixel.site.scoring",
    "decoder": "subpixel.challenge.child",
}
RULES = """\
name = "Bench"
zone = "Asia/Shanghai"
[teams]
opens = 2020-01-01T00:00:00+08:00
closes = 2100-01-01T00:00:00+08:00
[compute]
hours = 30
grant_hours = 50
[[rounds]]
name = "preliminary"
opens = 2020-01-01T00:00:00+08:00
closes = 2100-01-01T00:00:00+08:00
valid_per_day = 200
attempts_per_day = 400
advance = 10
[limits]
archive_bytes = 268435456
"""


@dataclass
class HandIn:
    """One that a client makes: by which team, its bytes, what must come of it (None: not valid)."""

    token: str
    key: str
    tar: bytes
    sse: int | None
    number: int = 0
    waited: float = 0.0


@dataclass
class Report:
    """What happened."""

    kills: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    requeued: int = 0
    problems: list[str] = field(default_factory=list)


class Site:
    """The served site, as a process that can be killed and started again."""

    def __init__(self, folder: Path, web: int, workers: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder, self._web, self._workers = folder, web, workers
        self._log = (folder / "serve.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve."""
        command = ["-m", "subpixel", "challenge", "serve", self._folder, "--port", self.port]
        command += ["--workers", self._workers, "--web", self._web]
        values = {name: value for name, value in os.environ.items() if not name.startswith(("SUBPIXEL_", "DJANGO_"))}
        self._process = subprocess.Popen(
            [sys.executable, *map(str, command)], env=values, stdout=self._log, stderr=self._log
        )

    def stop(self) -> None:
        """End it in order, and say how long that took."""
        assert self._process
        self._process.terminate()
        self._process.wait(timeout=60)

    def processes(self) -> dict[str, list[int]]:
        """Numbers of the processes of each kind that descend from the one that serves, and of that one as "serve"."""
        assert self._process
        parents, commands = {}, {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                commands[int(entry.name)] = (entry / "cmdline").read_text(errors="replace")
        found: dict[str, list[int]] = {"serve": [self._process.pid]}
        for pid, command in commands.items():
            kind = next((kind for kind, words in KINDS.items() if words in command), None)
            if kind and self._process.pid in _ancestors(pid, parents):
                found.setdefault(kind, []).append(pid)
        return found

    def kill(self, kind: str, pid: int) -> bool:
        """kill -9; whether there was anything to kill. The parent of all is started again."""
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        if kind == "serve":
            assert self._process
            self._process.wait()
            self.start()
        return True


def _ancestors(pid: int, parents: dict[int, int]) -> Iterator[int]:
    while pid := parents.get(pid, 0):
        yield pid


class Client:
    """A team's program: it repeats what gets no answer, and goes on where the server says it is."""

    def __init__(self, url: str, round_number: int, report: Report, parts: int) -> None:
        self._http = httpx.Client(base_url=url, timeout=60)
        self._round, self._report, self._parts = round_number, report, parts

    def hand_in(self, one: HandIn) -> None:
        """From the first byte to the number of the hand-in."""
        began = time.monotonic()
        place = ""
        while not one.number and time.monotonic() < began + HOUR:
            try:
                place = place or self._begin(one)
                self._send(place, one)
                upload = place.rstrip("/").rpartition("/")[2]
                body = {"upload": upload, "key": one.key}
                answer = self._ask("POST", "/api/v1/submissions", one, json=body)
                if answer.status_code in (200, 201):  # 200: it had been accepted before
                    one.number = answer.json()["id"]
                else:
                    self._again(f"hand-in {answer.status_code}")
            except httpx.TransportError as error:
                self._again(type(error).__name__)
        one.waited = time.monotonic() - began

    def _begin(self, one: HandIn) -> str:
        metadata = {"round": str(self._round), "filename": f"{one.key}.tar"}
        told = ",".join(f"{key} {_base64(value.encode())}" for key, value in metadata.items())
        answer = self._ask("POST", "/uploads/", one, {"Upload-Length": str(len(one.tar)), "Upload-Metadata": told})
        if answer.status_code in (201, 409) and "location" in answer.headers:  # 409: the answer to the first was lost
            return str(answer.headers["location"])
        self._again(f"begin {answer.status_code}")
        return ""

    def _send(self, place: str, one: HandIn) -> None:
        size = -(-len(one.tar) // self._parts)
        while place:
            answer = self._ask("HEAD", place, one)
            if answer.status_code != 200:
                self._again(f"head {answer.status_code}")
                continue
            at = int(answer.headers["upload-offset"])
            if at == len(one.tar):
                return
            part = one.tar[at : at + size]
            headers = {
                "Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream",
                "Upload-Checksum": f"sha256 {_base64(hashlib.sha256(part).digest())}",
            }  # fmt: skip
            answer = self._ask("PATCH", place, one, headers, content=part)
            if answer.status_code != 204:
                self._again(f"part {answer.status_code}")

    def _ask(self, method: str, path: str, one: HandIn, headers: dict[str, str] | None = None, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {one.token}", "Tus-Resumable": "1.0.0", **(headers or {})}
        return self._http.request(method, path, headers=headers, **body)

    def _again(self, why: str) -> None:
        self._report.repeated[why] += 1
        time.sleep(0.2)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@contextmanager
def prepared(
    teams: int, hand_ins: int, web: int, workers: int, seed: int
) -> Iterator[tuple[Site, Any, list[HandIn], Any]]:
    """A site with a contest, and what its teams are going to hand in: site, round, hand-ins, an organiser."""
    with tempfile.TemporaryDirectory(prefix="subpixel-site-") as name:
        folder = Path(name) / "site"
        folder.mkdir()
        site = Site(folder, web, workers)
        environment.adopt(folder, site.url)
        from subpixel.site.serve import setup

        setup()
        from django.core.management import call_command
        from django.db import transaction

        from subpixel.site import clock, demo
        from subpixel.site.acts import contests, publish, tokens
        from subpixel.site.acts import teams as team_acts

        call_command("migrate", verbosity=0)
        organiser = demo.person("organiser@bench.example", "Olga", is_staff=True)
        contest = contests.create(organiser, "bench", RULES)
        round_ = contest.rounds.get()
        data = demo.data(RULES, Path(name))
        publish.publish(organiser, round_, data)
        round_.refresh_from_db()
        held = []
        with transaction.atomic():  # one wait for the disk, not hundreds
            for number in range(teams):
                user = demo.person(f"team{number}@bench.example", f"Team {number}", password="")
                team_acts.create(user, contest, f"Team {number}")
                held.append(tokens.issue(user, "bench"))
        made = Answers(demo.manifest_of(round_), data / "truth", Path(name), seed)
        todo = [
            HandIn(held[number % teams], f"hand-in-{number}", *made.answer(number % EVERY != EVERY - 1))
            for number in range(hand_ins)
        ]
        assert clock.now() < round_.end
        site.start()
        try:
            yield site, round_, todo, organiser
        finally:
            site.stop()


class Answers:
    """Hand-ins by noise on the truth, each another, with their errors by plain arithmetic."""

    def __init__(self, manifest: Manifest, truth: Path, place: Path, seed: int) -> None:
        self._manifest, self._place = manifest, place
        self._random = np.random.default_rng(seed)
        self._truth = {clip.name: _samples(truth, clip) for clip in manifest.clips}
        self._count = 0

    def answer(self, valid: bool) -> tuple[bytes, int | None]:
        """Bytes of a tar, and its sum of squared errors; None for one that lacks a frame."""
        self._count += 1
        folder, sse = self._place / f"answer{self._count}", 0
        for clip in self._manifest.clips:
            truth = self._truth[clip.name]
            noisy = np.clip(truth + self._random.normal(0, 4, truth.shape), 0, 255).astype(np.uint8)
            sse += int(np.square(noisy.astype(np.int64) - truth).sum())
            (folder / clip.name).mkdir(parents=True)
            for number, picture in enumerate(noisy, 1):
                (folder / clip.name / f"{number:04d}.png").write_bytes(encode_image(picture))
        tar = folder / "answer.tar"
        pack(folder, self._manifest, Rules.parse(RULES), tar)
        data = tar.read_bytes()
        return (data, sse) if valid else (_without_first(data), None)


def _samples(truth: Path, clip: Clip) -> npt.NDArray[np.uint8]:
    return np.fromfile(truth / f"{clip.name}.rgb", np.uint8).reshape(clip.frames, clip.height, clip.width, 3)


def _without_first(tar: bytes) -> bytes:
    """The archive without its first file."""
    size = int(tar[124:135], 8)
    return tar[512 + -(-size // 512) * 512 :]


def hand_all_in(url: str, round_number: int, todo: list[HandIn], report: Report, threads: int, parts: int) -> None:
    """Each team hands in one after another, so many teams at a time."""
    waiting: queue.SimpleQueue[list[HandIn]] = queue.SimpleQueue()
    for token in dict.fromkeys(one.token for one in todo):
        waiting.put([one for one in todo if one.token == token])

    def work() -> None:
        client = Client(url, round_number, report, parts)
        with suppress(queue.Empty):
            while True:
                for one in waiting.get_nowait():
                    client.hand_in(one)

    crowd = [threading.Thread(target=work) for _ in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
