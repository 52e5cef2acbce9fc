"""A whole site by one command: web processes, workers and chores as children that are started again when they die.

`python -m subpixel.site.serve web|worker|chores ...` is one of these children. It ends when its standard input does, so
that none is left behind by a parent that was killed.
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import django

from subpixel.errors import DiskError, UsageError
from subpixel.site import environment

_GRACE = 20.0  # seconds in which a child may end of itself
_SHORT = 5.0  # seconds; a child that lived less is started again more slowly
_SLOWEST = 10.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What runs: address and port to listen at (0: any that is free), numbers of processes, where to judge.

    url: what people write into a browser, "" for that of this machine. executor: of `judging.EXECUTORS`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    url: str = ""
    web: int = 1
    workers: int = 1
    executor: str = "local"
    demo: bool = False


def serve(folder: Path, plan: Plan, say: Callable[[str], None] = print) -> None:
    """Run a site in a folder until SIGINT or SIGTERM.

    say: gets a line of text for whoever started it. Raises UsageError where the address or the folder is in use, or
    the settings are not safe; DiskError where the folder cannot be written.
    """
    with _listen(plan) as listener:
        url = plan.url or f"http://{plan.host}:{listener.getsockname()[1]}"
        environment.adopt(folder, url)
        with _alone(folder):
            setup()
            _migrate()
            _Children(list(_commands(folder, plan, listener)), say).run(lambda: _welcome(url, plan.demo, say))


def setup() -> None:
    """Make Django ready by the environment of this process. Raises UsageError for settings that are not safe."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "subpixel.site.settings")
    django.setup()


def until_told() -> threading.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop


def _welcome(url: str, demo: bool, say: Callable[[str], None]) -> None:
    if demo:
        from subpixel.site import demo as look

        say(f"The site answers at {url}; the demo's data are being made.")
        contest = look.make()
        say(f"Log in as {look.CAPTAIN}, {look.GUEST} or {look.ORGANISER}, each with the password: {look.PASSWORD}")
        url = f"{url}/c/{contest.slug}/"
    say(f"Ready: {url}")


def _commands(folder: Path, plan: Plan, listener: socket.socket) -> Iterator[tuple[str, ...]]:
    for _ in range(plan.web):
        yield ("web", str(listener.fileno()))
    for number in range(1, plan.workers + 1):
        yield ("worker", f"{socket.gethostname()}:{folder.absolute()}:{number}"[-120:], plan.executor)
    yield ("chores",)


def _listen(plan: Plan) -> socket.socket:
    """The socket that all web processes share; while none is there, connections wait."""
    end = time.monotonic() + 5  # for the children of a parent that was just killed
    while True:
        try:
            return socket.create_server((plan.host, plan.port), backlog=2048)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                why = str(error.strerror or error).partition(" (while")[0]
                raise UsageError(f"Cannot listen at {plan.host}:{plan.port}: {why}.") from error
            time.sleep(0.2)


def _alone(folder: Path) -> Any:
    """A lock of the folder: names of workers are good for one parent only."""
    file = (folder / "serve.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UsageError(f"The site in {folder} is being served already.") from None
    return file


def _migrate() -> None:
    from django.core.management import call_command
    from django.db import OperationalError, connection

    try:
        call_command("migrate", verbosity=0, interactive=False)
        call_command("collectstatic", verbosity=0, interactive=False)
    except OperationalError as error:
        raise DiskError(f"The database cannot be used: {str(error).strip()}.") from error
    connection.close()


class _Children:
    """Processes that live as long as this one wants them to."""

    def __init__(self, commands: list[tuple[str, ...]], say: Callable[[str], None]) -> None:
        self._commands, self._say = commands, say
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._started = dict.fromkeys(range(len(commands)), 0.0)
        self._delays = dict.fromkeys(range(len(commands)), 0.0)

    def run(self, first: Callable[[], None]) -> None:
        """Start all, do something first, and start again what ends, until a signal comes."""
        stop = until_told()
        threading.Thread(target=self._watch, args=[stop], daemon=True).start()
        try:
            first()
            stop.wait()
        finally:
            stop.set()
            self._end()

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(0.1):
            for number in range(len(self._commands)):
                self._look_after(number, stop)

    def _look_after(self, number: int, stop: threading.Event) -> None:
        now, process = time.monotonic(), self._processes.get(number)
        if process is not None:
            if process.poll() is None:
                return
            lived = now - self._started[number]
            self._delays[number] = 0.0 if lived > _SHORT else min(_SLOWEST, 2 * self._delays[number] + 0.1)
            name = self._commands[number][0]
            self._say(f"The process {name} ended with {process.returncode}; it is started again.")
            del self._processes[number]
            self._started[number] = now
        if now >= self._started[number] + self._delays[number] and not stop.is_set():
            self._started[number] = now
            self._processes[number] = _start(self._commands[number])

    def _end(self) -> None:
        for process in list(self._processes.values()):
            process.terminate()
        end = time.monotonic() + _GRACE
        for process in list(self._processes.values()):
            try:
                process.wait(timeout=max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(command: tuple[str, ...]) -> subprocess.Popen[bytes]:
    shared = (int(command[1]),) if command[0] == "web" else ()
    return subprocess.Popen(
        [sys.executable, "-m", "subpixel.site.serve", *command],
        stdin=subprocess.PIPE,  # its end tells the child that this process is gone
        pass_fds=shared,
        start_new_session=True,  # Ctrl-C comes by way of this process
    )


def _web(descriptor: int) -> None:
    import uvicorn

    from subpixel.site import asgi

    config = uvicorn.Config(
        asgi.application, lifespan="off", log_config=None, access_log=False, server_header=False,
        proxy_headers=False, timeout_graceful_shutdown=5,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


def _die_with_parent() -> None:
    """End this process once its standard input ends; at once where it does not take the hint."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _child(kind: str, *arguments: str) -> None:
    _die_with_parent()
    setup()
    if kind == "web":
        _web(int(arguments[0]))
    elif kind == "worker":
        from subpixel.site import worker

        worker.run(arguments[0], arguments[1], until_told())
    else:
        from subpixel.site import chores

        chores.run(until_told())


if __name__ == "__main__":
    _child(*sys.argv[1:])
