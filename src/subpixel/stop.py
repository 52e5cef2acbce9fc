"""Stopping on request: Ctrl-C and SIGTERM as an event, and as the error that the work ends with."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from subpixel.errors import Interrupted


class Stop(threading.Event):
    """Set by the first signal; `code` is the exit code that the signal stands for."""

    code = 130


@contextlib.contextmanager
def stoppable(kept: str) -> Iterator[Stop]:
    """Within the block, Ctrl-C and SIGTERM set the event; a second signal raises KeyboardInterrupt at once.

    Whatever way the block is left because of a signal, it is by Interrupted with that signal's exit code.
    kept: what is not lost even then, such as "the finished chunks are kept".
    """
    stop = Stop()

    def handle(number: int, _frame: FrameType | None) -> None:
        stop.code = 128 + number
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    except (Interrupted, KeyboardInterrupt) as error:
        sentence = str(error) or f"Stopped at once; {kept}: run the same command to continue."
        interrupted = Interrupted(sentence)
        interrupted.exit_code = stop.code
        raise interrupted from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
