"""The process that judges one hand-in: `python -m subpixel.site.scoring`, started by `judging`, without Django.

The job comes as one line of JSON on standard input, which stays open as long as whoever wants the verdict is alive. On
standard output come lines of JSON: {"frames": N} now and then, at the end {"verdict": {...}}, or {"fault": "..."} where
the machine failed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from subpixel.challenge.manifest import Manifest
from subpixel.challenge.rules import Rules
from subpixel.challenge.score import judge
from subpixel.challenge.tables import filled
from subpixel.errors import SubpixelError

_EVERY = 0.5  # seconds between two words on progress


def main() -> None:
    """Do one job."""
    lines = os.dup(1)
    os.dup2(2, 1)  # whatever else writes there, it is no line of ours
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _say(lines, {"verdict": _judge(job, lines)})
    except (SubpixelError, OSError, MemoryError) as error:
        _say(lines, {"fault": f"{type(error).__name__}: {error}"[:2000]})


def _judge(job: dict[str, str], lines: int) -> dict[str, object]:
    manifest = filled(Manifest, json.loads(job["manifest"]), "The manifest")
    done, last = 0, time.monotonic()

    def tell(_clip: str, _frame: int, _frames: int) -> None:
        nonlocal done, last
        done += 1
        if done == 1 or time.monotonic() >= last + _EVERY:
            last = time.monotonic()
            _say(lines, {"frames": done})

    rules = Rules.parse(job["rules"])
    return judge(Path(job["tar"]), manifest, rules, Path(job["truth"]), progress=tell).as_dict()


def _say(lines: int, what: dict[str, Any]) -> None:
    left = memoryview(json.dumps(what, allow_nan=False).encode() + b"\n")
    while left:
        left = left[os.write(lines, left) :]


def _end_with_parent() -> None:
    """Without the one who waits for the verdict there is nothing to do."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
