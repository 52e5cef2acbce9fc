"""The worker's side of judging: a process for each hand-in, here or on Ray."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

STALL = 1200.0  # seconds without a word after which a process is ended; its decoders have limits of their own
_LONGEST = 4 << 20  # bytes of a line


@dataclasses.dataclass(frozen=True)
class Job:
    """What is judged: paths of archive and truth, texts of manifest and rules."""

    tar: str
    manifest: str
    rules: str
    truth: str


class Failed(Exception):
    """The process gave no verdict; the machine's fault, as far as anybody knows. The message says how it ended."""


Executor = Callable[[Job, float], Generator[bytes | None]]


def local(job: Job, tick: float) -> Generator[bytes | None]:
    """Judge in a process of this machine: its lines, and None for each `tick` seconds without one.

    It dies with the iterator, and with this process. Raises Failed for any end but one in order.
    """
    process = _start(job)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield from _lines(process.stdout.fileno(), tick)
        code = process.wait(timeout=60)
        if code:
            raise Failed(f"The scoring process ended with {_shown(code)}.")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        process.wait()


def on_ray(job: Job, tick: float) -> Generator[bytes | None]:
    """As `local`, on any machine of a Ray cluster that has archive and truth under the same paths.

    The cluster is that of RAY_ADDRESS, or this machine. Raises Failed if the machine that judges is lost too.
    """
    import logging

    import ray

    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    task: Any = ray.remote(_remote).options(num_cpus=1, max_retries=0, num_returns="streaming")
    stream = task.remote(dataclasses.asdict(job))
    try:
        while True:
            if not ray.wait([stream], timeout=tick)[0]:
                yield None
                continue
            yield ray.get(next(stream))
    except StopIteration:
        return
    except ray.exceptions.RayError as error:
        raise Failed(f"Ray lost the hand-in: {str(error).strip().splitlines()[-1]}") from error
    finally:
        with contextlib.suppress(ray.exceptions.RayError):
            ray.cancel(stream, force=True)


def _remote(job: dict[str, str]) -> Iterator[bytes]:
    """What a machine of the cluster does."""
    yield from (line for line in local(Job(**job), 60) if line is not None)


EXECUTORS: dict[str, Executor] = {"local": local, "ray": on_ray}


def _start(job: Job) -> subprocess.Popen[bytes]:
    """The process with its job; of this one's surroundings, with its secrets, it gets nothing else."""
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PATH", "TMPDIR") if name in os.environ}
    command = [sys.executable, "-I", "-m", "subpixel.site.scoring"]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd="/", start_new_session=True
        )
    except OSError as error:
        raise Failed(f"The scoring process cannot be started: {error}.") from error
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # then its end tells why
        process.stdin.write(json.dumps(dataclasses.asdict(job)).encode() + b"\n")
        process.stdin.flush()
    return process


def _lines(pipe: int, tick: float) -> Iterator[bytes | None]:
    poll, rest, heard = select.poll(), b"", time.monotonic()
    poll.register(pipe, select.POLLIN)
    while True:
        if not poll.poll(1000 * tick):
            if time.monotonic() > heard + STALL:
                raise Failed(f"The scoring process said nothing for {STALL:.0f} s.")
            yield None
            continue
        heard = time.monotonic()
        if not (part := os.read(pipe, 1 << 16)):
            return
        *whole, rest = (rest + part).split(b"\n")
        if len(rest) > _LONGEST:
            raise Failed("The scoring process wrote a line without end.")
        yield from whole


def _shown(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
