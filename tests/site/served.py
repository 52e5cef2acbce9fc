"""A site served by the command, in a folder and a database of its own, for tests of whole processes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path

PROGRAM = (sys.executable, "-m", "subpixel", "challenge")


@contextlib.contextmanager
def environment() -> Iterator[dict[str, str]]:
    """This process's environment without the site under test; on PostgreSQL with an empty database of its own."""
    values = {name: value for name, value in os.environ.items() if not name.startswith(("SUBPIXEL_", "DJANGO_"))}
    if "DATABASE_URL" not in values:
        yield values
        return
    import psycopg

    url, name = urllib.parse.urlsplit(values["DATABASE_URL"]), f"served_{uuid.uuid4().hex}"
    with psycopg.connect(url._replace(path="/postgres").geturl(), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield values | {"DATABASE_URL": url._replace(path=f"/{name}").geturl()}
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


class Served:
    """`subpixel challenge serve` as a process. url: where it answers, once `ready`."""

    def __init__(self, folder: Path, values: dict[str, str], *options: str) -> None:
        self.url = ""
        self.said: list[str] = []
        self._process = subprocess.Popen(
            [*PROGRAM, "serve", str(folder), *options],
            env=values,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Of the parent of all its processes."""
        return self._process.pid

    def ready(self) -> str:
        """Wait until it says that it is; the address it names."""
        line = self.until(r"Ready: (\S+)")
        self.url = "/".join(line.split("/")[:3])
        return line

    def until(self, pattern: str) -> str:
        """Wait for a line; its first group. Fails with all that was said if it ends before."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line)
            if found := re.search(pattern, line):
                return found[1]
        raise AssertionError("".join(self.said))

    def children(self) -> dict[int, str]:
        """Numbers of its processes, and what they do: web, worker or chores."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_text().split("\0")
                if parent == self.pid and "subpixel.site.serve" in words:
                    found[int(entry.name)] = words[words.index("subpixel.site.serve") + 1]
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        self._process.send_signal(number)
        assert self._process.stdout is not None
        self.said += self._process.stdout
        self._process.stdout.close()
        return self._process.wait()
