"""The work folder beside an output: finished chunks, and the journal that remembers them.

    clip.mkv.subpixel/
        journal.jsonl    first line: what the work depends on; then one line per finished chunk
        lock             held while a process works here
        part-00003.mkv   being written; renamed to 00003.mkv when finished and on the disk
        output.mkv       being assembled; renamed to clip.mkv when verified

A process may be killed at any instruction: a chunk counts only once its line is in the journal, and
its line is written only after the renamed file is on the disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from subpixel.errors import DiskError
from subpixel.video import writing


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """One finished piece: its file and the presentation times of its frames, in units of time_base."""

    number: int
    path: Path
    pts: tuple[int, ...]
    durations: tuple[int, ...]
    time_base: Fraction
    sha256: str


def sha256(path: Path) -> str:
    """SHA-256 of a file, or of the sorted names and contents of a folder, in hexadecimal."""
    if path.is_dir():
        total = hashlib.sha256()
        for file in sorted(path.iterdir()):
            if file.is_file():
                total.update(file.name.encode("utf-8", "surrogateescape") + b"\0" + bytes.fromhex(sha256(file)))
        return total.hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def work_folder(dst: Path) -> Path:
    """Where the unfinished work for `dst` lies."""
    return dst.with_name(dst.name + ".subpixel")


def finished(dst: Path, header: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `Journal.finish` recorded, if this very work was complete and only its last steps are missing."""
    lines = _lines(work_folder(dst) / "journal.jsonl")
    if not lines or lines[0] != json.loads(json.dumps(header)) or "finished" not in lines[-1]:
        return None
    facts: dict[str, Any] = lines[-1]["finished"]
    return facts


class Journal:
    """The finished chunks of one output, open and locked by this process.

    header: what the chunks depend on (input hash, options, weights hash); values are JSON scalars.
    chunks: number -> Chunk, those whose files are intact.
    stale: the header's keys that differ from those of earlier work, which was then thrown away.
    """

    def __init__(
        self, dst: Path, header: Mapping[str, Any], *, temp_dir: Path | None = None, resume: bool = True
    ) -> None:
        self.folder = work_folder(dst)
        self.chunk_folder = self.folder
        if temp_dir is not None:
            tag = hashlib.sha256(os.fsencode(dst.absolute())).hexdigest()[:8]
            self.chunk_folder = temp_dir / f"{dst.name}.{tag}.subpixel"
        self.header = json.loads(json.dumps(header))
        self.chunks: dict[int, Chunk] = {}
        self.stale: tuple[str, ...] = ()
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.chunk_folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self.folder / "lock", dst)
            try:
                self._load(resume)
            except BaseException:
                self.close()
                raise

    @property
    def _file(self) -> Path:
        return self.folder / "journal.jsonl"

    def _load(self, resume: bool) -> None:
        lines = _lines(self._file) if resume else []
        if lines and lines[0] == self.header:
            for line in lines[1:]:
                self._recall(line)
            return
        if lines:
            old = lines[0]
            self.stale = tuple(key for key in self.header if old.get(key) != self.header[key])
        self.clear()
        self._append(self.header, mode="wb")

    def _recall(self, line: dict[str, Any]) -> None:
        if "finished" in line:
            return
        chunk = Chunk(
            line["chunk"],
            self.chunk_folder / line["file"],
            tuple(line["pts"]),
            tuple(line["durations"]),
            Fraction(line["time_base"]),
            line["sha256"],
        )
        if chunk.path.exists() and sha256(chunk.path) == chunk.sha256:
            self.chunks[chunk.number] = chunk

    def _append(self, line: Mapping[str, Any], mode: str = "ab") -> None:
        with writing(self._file), self._file.open(mode) as stream:
            if mode == "ab" and stream.tell() and not _ends_with_newline(self._file):
                stream.write(b"\n")
            stream.write(json.dumps(line).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def part(self, number: int, suffix: str) -> Path:
        """Where to write chunk `number`; `add` gives the file its final name."""
        return self.chunk_folder / f"part-{number:05}{suffix}"

    def add(self, number: int, part: Path, pts: list[int], durations: list[int], time_base: Fraction) -> Chunk:
        """Record the finished file (or folder of pictures) `part` as chunk `number`."""
        final = part.with_name(part.name.removeprefix("part-"))
        with writing(part):
            _sync(part)
            digest = sha256(part)
            if final.is_dir():
                shutil.rmtree(final)
            part.replace(final)
            _sync(final.parent)
        chunk = Chunk(number, final, tuple(pts), tuple(durations), time_base, digest)
        line = {
            "chunk": number,
            "file": final.name,
            "time_base": str(time_base),
            "sha256": digest,
            "pts": pts,
            "durations": durations,
        }
        self._append(line)
        self.chunks[number] = chunk
        return chunk

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Record that the output is complete, just before it gets its final name."""
        self._append({"finished": dict(facts)})

    def clear(self) -> None:
        """Delete everything but the lock; the journal goes last, so that what is left can be told apart."""
        self.chunks = {}
        with writing(self.folder):
            self._empty(keep=("lock", "journal.jsonl"))
            self._file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the work folder: the output is done."""
        with writing(self.folder):
            self._empty(keep=("journal.jsonl",))
            if self.chunk_folder != self.folder:
                self.chunk_folder.rmdir()
            self._file.unlink()
            self.folder.rmdir()
        self.close()

    def _empty(self, keep: tuple[str, ...]) -> None:
        for folder in {self.folder, self.chunk_folder}:
            for path in folder.iterdir():
                if path.name not in keep:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def close(self) -> None:
        """Release the lock and leave everything in place for the next run."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _lines(path: Path) -> list[dict[str, Any]]:
    """The journal's complete lines; a line cut off by a crash ends the list."""
    found: list[dict[str, Any]] = []
    try:
        raw = path.read_bytes()
    except OSError:
        return found
    for line in raw.split(b"\n"):
        if line:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
    return found


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def _sync(path: Path) -> None:
    """Force a file, or a folder and the files in it, out to the disk."""
    if path.is_dir():
        for file in path.iterdir():
            if file.is_file():
                _sync(file)
        if sys.platform == "win32":  # folders cannot be opened there
            return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(path: Path, dst: Path) -> int:
    """Open and lock `path` for this process alone; the operating system frees it even after kill -9."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock_now(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise DiskError(
                f"Another process is already working on {str(dst)!r}; wait for it to end or choose another output."
            ) from error
        # The file may have been deleted by the process that held it until a moment ago.
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
        os.close(descriptor)


def _lock_now(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
