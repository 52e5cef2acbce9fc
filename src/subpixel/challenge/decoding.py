"""The scorer's side of the decoder: it starts a limited process for each clip and takes nothing from it but samples."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

from subpixel.challenge.layout import Answer
from subpixel.challenge.problems import CODES, shown
from subpixel.challenge.rules import Limits
from subpixel.errors import Refused, SubpixelError

_START_SECONDS = 20  # of CPU time: to load the decoder, and for small clips
_STALL_SECONDS = 600.0  # without any sample, which is not the answer's fault as its CPU time is limited
_PIPE_BYTES = 1 << 20
_REPORT_BYTES = 2000
# One thread; and glibc keeps the memory of one picture for the next, which saves a tenth of the time.
_SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 28),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
}
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGTRAP}


class Fault(SubpixelError):
    """The machine failed, not the answer: judging has to be repeated, and nothing is known of the answer."""


class Decoder:
    """One clip's decoder, as a context manager that ends it.

    locked: whether it can reach neither files nor network, known once pictures come; see `sandbox`.
    """

    def __init__(self, tar: BinaryIO, answer: Answer, limits: Limits) -> None:
        self.locked = False
        self._answer = answer
        clip = answer.clip
        seconds = _START_SECONDS + limits.decoder_seconds * clip.frames * clip.width * clip.height / 1e6
        job = {
            "form": answer.form,
            "width": clip.width,
            "height": clip.height,
            "frames": clip.frames,
            "members": [(member.offset, member.size) for member in answer.members],
            "memory": limits.decoder_memory,
            "seconds": int(seconds),
        }
        self._process = _start(tar.fileno(), json.dumps(job).encode())
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process.returncode is None:  # else its number may be another's by now
            os.killpg(self._process.pid, signal.SIGKILL)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()

    def pictures(self) -> Iterator[memoryview]:
        """The samples of each frame, 8-bit RGB, row after row; each is overwritten by the next.

        Raises Refused for an answer that cannot be decoded as the rules want it, Fault if the machine failed.
        """
        clip = self._answer.clip
        samples = memoryview(bytearray(clip.picture_bytes))
        tag = self._tag()
        if tag not in (b"S", b"L"):
            self._misbehaved()
        self.locked = tag == b"S"
        for _ in range(clip.frames):
            tag = self._tag()
            if tag == b"R":
                self._refused()
            if tag != b"F":
                self._misbehaved()
            self._fill(samples)
            yield samples
        tag = self._tag()
        if tag == b"R":
            self._refused()
        if tag != b"D" or self._read(bytearray(1)):
            self._misbehaved()

    def _tag(self) -> bytes:
        tag = bytearray(1)
        self._fill(memoryview(tag))
        return bytes(tag)

    def _fill(self, target: memoryview) -> None:
        while target:
            count = self._read(target)
            if not count:
                self._ended()
            target = target[count:]

    def _read(self, target: memoryview | bytearray) -> int:
        """Bytes that came, 0 at the end."""
        if not self._poll.poll(1000 * _STALL_SECONDS):
            raise Fault(f"The decoder of clip {self._answer.clip.name} gave nothing for {_STALL_SECONDS:.0f} s.")
        return os.readv(self._pipe, [target])

    def _refused(self) -> NoReturn:
        """Raise what the decoder found, in a form that does not trust it."""
        text = b""
        while len(text) <= _REPORT_BYTES and (count := self._read(part := bytearray(_REPORT_BYTES + 1))):
            text += part[:count]
        try:
            report = json.loads(text) if len(text) <= _REPORT_BYTES else {}
            code, sentence, frame = str(report["code"]), str(report["sentence"]), int(report["frame"])
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            self._misbehaved()
        if code not in CODES or not re.fullmatch(r"[ -~]{1,300}", sentence) or not 0 <= frame < 10**7:
            self._misbehaved()
        members = self._answer.members
        member = members[min(frame, len(members) - 1)] if self._answer.form == "png" else members[0]
        raise Refused(code, sentence, shown(member.name))

    def _misbehaved(self) -> NoReturn:
        raise self._refusal("decoder_misbehaved", "The decoder gave something else than pictures; write it anew.")

    def _ended(self) -> NoReturn:
        """Raise why the decoder ended before its time."""
        code = self._process.wait(timeout=60)
        if -code == signal.SIGXCPU:
            raise self._refusal("too_slow", "Decoding it takes more time than the rules allow.")
        if -code in _CRASHES:
            raise self._refusal("decoder_crashed", "The decoder crashed on it; write the files anew.")
        raise Fault(f"The decoder of clip {self._answer.clip.name} ended with {code}, and not by the answer's fault.")

    def _refusal(self, code: str, sentence: str) -> Refused:
        members = self._answer.members
        return Refused(code, sentence, shown(members[0].name if len(members) == 1 else f"{self._answer.clip.name}/"))


def _start(archive: int, job: bytes) -> subprocess.Popen[bytes]:
    """The process, with the job handed over; of this one's surroundings it gets the archive and no secrets."""
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PATH") if name in os.environ}
    environment |= _SETTINGS
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "subpixel.challenge.child", str(archive)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(archive,),
            cwd="/",
            env=environment,
            start_new_session=True,
            pipesize=_PIPE_BYTES,
        )
    except OSError as error:
        raise Fault(f"The decoder cannot be started: {error}.") from error
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(job)
    process.stdin = None
    return process
