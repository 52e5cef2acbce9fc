"""Runs a command with DATABASE_URL set to a PostgreSQL of its own, which is gone afterwards.

python tests/site/postgres.py COMMAND...
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Nothing here outlives the tests, so nothing need be on the disk.
FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200 -c listen_addresses="


def program(name: str) -> str:
    """A program of PostgreSQL; Debian keeps them off the PATH."""
    found = shutil.which(name) or max(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), default="")
    if not found:
        sys.exit(f"The tests need PostgreSQL, and {name} was not found. On Debian: sudo apt-get install postgresql")
    return found


def as_other() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.getuid():
        return []
    users = [entry.pw_name for entry in pwd.getpwall()]
    return ["runuser", "-u", "postgres" if "postgres" in users else "nobody", "--"]


@contextmanager
def server() -> Iterator[str]:
    """The URL of a database on a server that listens on a socket in a folder of its own only."""
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder, user = Path(name), as_other()
        if user:
            shutil.chown(folder, user[2])
        run = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
        data = str(folder / "data")
        subprocess.run([*user, program("initdb"), "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "-N"], **run)  # type: ignore[call-overload]
        control = [*user, program("pg_ctl"), "-D", data, "-w", "-t", "60"]
        subprocess.run([*control, "-l", str(folder / "log"), "-o", f"{FAST} -k {folder}", "start"], **run)  # type: ignore[call-overload]
        try:
            yield f"postgresql://tests@/contest?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **run)  # type: ignore[call-overload]


if __name__ == "__main__":
    with server() as url:
        sys.exit(subprocess.run(sys.argv[1:], env={**os.environ, "DATABASE_URL": url}, check=False).returncode)
