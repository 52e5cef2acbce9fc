"""One process at a time in a folder: two that write the same run or store would spoil it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from subpixel.errors import DiskError, UsageError


@contextlib.contextmanager
def alone(folder: Path, verb: str) -> Iterator[None]:
    """The folder, made if needed, for this process alone; freed by the system, even after kill -9.

    Raises UsageError, which says that another process is `verb` ("building", "training") it, where one is, DiskError
    where the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"The folder {folder} cannot be made ({error.strerror}); choose another place.") from error
    if sys.platform == "win32":  # folders cannot be locked there
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UsageError(f"Another process is {verb} {folder}; wait for it, or name another folder.") from error
    try:
        yield
    finally:
        os.close(descriptor)
