"""The process that decodes one clip of a stranger's answer: pictures come out of a pipe, nothing else goes anywhere.

It is started as `python -m subpixel.challenge.child FD`, where FD is the archive, open for reading, and the job stands
on standard input as JSON. On standard output it writes S or L (how it is locked in, see `sandbox`), then for each frame
F and its samples, 8-bit RGB, row after row; at the end D, or R and a JSON object that says what was wrong.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.challenge import png, sandbox
from subpixel.errors import Refused
from subpixel.video import untrusted


class Part(io.RawIOBase):
    """A stretch of an open file as a file of its own, read by position."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        super().__init__()
        self._descriptor, self._offset, self._size, self._at = descriptor, offset, size, 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Position within the stretch."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as io.RawIOBase.seek."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes, all that is left by default; none behind the end."""
        left = max(0, self._size - self._at)
        wanted = left if size < 0 else min(size, left)
        data = os.pread(self._descriptor, wanted, self._offset + self._at) if wanted else b""
        self._at += len(data)
        return data


def main() -> None:
    """Do one job."""
    archive, job = int(sys.argv[1]), json.loads(sys.stdin.buffer.read())
    untrusted.load_all()  # nothing can be imported afterwards
    locked = sandbox.lock(job["memory"], job["seconds"])
    _write(b"S" if locked == sandbox.SECCOMP else b"L")
    frame = 0
    try:
        for frame, picture in enumerate(_pictures(archive, job), 1):  # noqa: B007
            _write(b"F")
            _write(picture)
        _write(b"D")
    except Refused as error:
        _refuse(error.code, error.sentence, frame)
    except MemoryError:
        _refuse("memory", "The decoder needs more memory than it may have.", frame)


def _pictures(archive: int, job: dict[str, Any]) -> Iterator[npt.NDArray[np.uint8]]:
    width, height = job["width"], job["height"]
    if job["form"] == "video":
        ((offset, size),) = job["members"]
        yield from untrusted.film(Part(archive, offset, size), width, height, job["frames"])  # type: ignore[arg-type]
        return
    for offset, size in job["members"]:
        data = Part(archive, offset, size).read()
        yield untrusted.picture(png.bare(data, width, height), width, height)


def _refuse(code: str, sentence: str, frame: int) -> None:
    _write(b"R" + json.dumps({"code": code, "sentence": sentence, "frame": frame}).encode())


def _write(data: bytes | npt.NDArray[np.uint8]) -> None:
    view = memoryview(data if isinstance(data, bytes) else data.reshape(-1).data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    main()
