"""One film from file to verified file: restored in chunks that survive interruption, joined, checked, renamed."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import os
import shutil
import sys
import time
from collections.abc import Callable, Container, Generator, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol

from subpixel.chunks import ahead, places, restored, timed
from subpixel.errors import DiskError, InputError, Interrupted, UsageError, VerificationError
from subpixel.frames import Frame
from subpixel.journal import Chunk, Journal, finished, sha256, work_folder
from subpixel.multiframe.warp_engine import WarpEngine
from subpixel.outcome import Progress, Report
from subpixel.plan import Options, Plan, check_free, color_note, plan, restorer
from subpixel.video import Assembly, Encoding, Keep, Writer, assemble, read, verify, write_images, write_pipe, writing

CONTINUE = "run the same command to continue"


class Cancel(Protocol):
    """What `cancel` must offer; threading.Event does."""

    def is_set(self) -> bool:
        """Whether the job shall stop after the chunk in work."""
        ...


def upscale(
    src: str | Path,
    dst: str | Path,
    *,
    model: str = "fast",
    scale: int = 4,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    tile: int = 0,
    ensemble: bool = False,
    warp_engine: WarpEngine | None = None,
    encoding: Encoding = Encoding(),
    images: bool = False,
    keep: Keep = Keep(),
    start: float | None = None,
    end: float | None = None,
    deinterlace: str = "auto",
    input_matrix: str = "auto",
    input_range: str = "auto",
    threads: int = 0,
    memory: int | None = None,
    overwrite: bool = False,
    resume: bool = True,
    keep_chunks: bool = False,
    temp_dir: str | Path | None = None,
    container: Literal["y4m", "nut"] = "y4m",
    progress: Callable[[Progress], None] | None = None,
    cancel: Cancel | None = None,
) -> Report:
    """Restore and enlarge the film `src` into `dst`, with its sound, subtitles, chapters, times and colours.

    The options are explained in `subpixel.plan.Options`. src: a file, a folder of pictures, or "-" for standard
    input; dst: a file, a folder (images=True) or "-" for standard output. progress is called in this thread, about
    ten times a second. When cancel is set, the chunk in work is finished and Interrupted raised; the same call
    continues. Raises the errors of `subpixel.errors`; the output appears only when it is complete and verified.
    """
    options = {name: value for name, value in locals().items() if name not in ("src", "dst", "progress", "cancel")}
    job = _Job(plan(src, dst, Options(**options)), progress, cancel)
    return job.pipe() if str(dst) == "-" else job.run()


class _Job:
    """One run of a plan: the counters and clocks that its stages share."""

    def __init__(self, todo: Plan, progress: Callable[[Progress], None] | None, cancel: Cancel | None) -> None:
        self.todo, self.options = todo, todo.options
        self.progress, self.cancel = progress, cancel
        self.spent: dict[str, float] = {}
        self.notes: list[str] = []
        self.frames = self.resumed = 0
        self.first: Frame | None = None
        self.began = self.started = self.reported = time.monotonic()

    def run(self) -> Report:
        """Restore into a file or a folder of pictures."""
        output = Path(self.todo.output)
        with writing(output):
            with contextlib.suppress(OSError):
                work_folder(output).rmdir()  # an empty one was left by a run killed at its last step
            if not work_folder(output).exists():
                check_free(output, self.options)
        state = _state(self.todo.source)
        header = self.todo.header(_digest(self.todo.source))
        facts = finished(output, header)
        tidy = facts is not None and _is_output(output, facts) and not self.options.keep_chunks
        if not tidy:
            check_free(output, self.options)
        temp_dir = None if self.options.temp_dir is None else Path(self.options.temp_dir)
        journal = Journal(output, header, temp_dir=temp_dir, resume=self.options.resume or tidy)
        with contextlib.closing(journal):
            if facts is not None and tidy:
                journal.remove()
                return Report(**facts)
            self._say_what_is_found(journal)
            with _continuable(journal):
                self._restore(journal)
                if _state(self.todo.source) != state:
                    raise InputError(
                        f"{self.todo.source!r} changed while it was being read; wait until it is complete."
                    )
                report = self._join(journal, output)
            if not self.options.keep_chunks:
                journal.remove()
            return report

    def pipe(self) -> Report:
        """Restore to standard output; nothing is kept for another run."""
        self.started = time.monotonic()
        rate = None if self.todo.info is None else self.todo.info.video.rate
        with contextlib.closing(self._restored(())) as film, self._clock("encode"):
            frames = self._counted(frame for _, frame in film)
            write_pipe(sys.stdout.buffer, frames, container=self.options.container, rate=rate)
        return self._report(Assembly(), 0, 0)

    def _say_what_is_found(self, journal: Journal) -> None:
        self.resumed = self.frames = sum(len(chunk.pts) for chunk in journal.chunks.values())
        if journal.stale:
            what = ", ".join(journal.stale)
            self.notes.append(f"Unfinished work in {str(journal.folder)!r} was of another {what}: started afresh.")

    def _restored(self, done: Container[int]) -> Generator[tuple[int, Frame]]:
        """Decoding, network and the caller run at the same time, each a few frames ahead of the next."""
        o, depth, spent = self.options, self.todo.ahead, self.spent
        decoded = read(
            self.todo.source,
            start=o.start,
            end=o.end,
            deinterlace=o.deinterlace,
            input_matrix=o.input_matrix,
            input_range=o.input_range,
            threads=o.threads,
        )
        model = restorer(o)
        film = timed(ahead(timed(places(decoded, model.after), spent, "decode"), depth), spent, "wait")
        frames = timed(restored(film, model, done, before=model.before), spent, "network")
        return timed(ahead(frames, depth), spent, "idle")

    def _restore(self, journal: Journal) -> None:
        """Restore and encode every chunk that is not finished yet."""
        self.started = time.monotonic()
        with contextlib.closing(self._restored(journal.chunks)) as film, self._clock("encode"):
            for number, group in itertools.groupby(film, key=lambda item: item[0]):
                frames = self._counted((frame for _, frame in group), number)
                self._encode(journal, number, frames)
                if self.cancel is not None and self.cancel.is_set():
                    raise Interrupted(f"Stopped after {self.frames} frames; {CONTINUE}.")
        if not journal.chunks:
            raise InputError(f"{self.todo.source!r} holds no frames in the section asked for.")

    def _encode(self, journal: Journal, number: int, frames: Iterator[Frame]) -> None:
        pts: list[int] = []
        durations: list[int] = []
        time_base = [Fraction(1, 25)]

        def listed() -> Iterator[Frame]:
            for frame in frames:
                pts.append(frame.pts if frame.pts is not None else len(pts))
                durations.append(frame.duration)
                time_base[0] = frame.time_base
                yield frame

        part = journal.part(number, "" if self.options.images else ".mkv")
        if self.options.images:
            shutil.rmtree(part, ignore_errors=True)
            write_images(part, listed())
        else:
            self._write(part, listed())
        journal.add(number, part, pts, durations, time_base[0])
        _release()

    def _write(self, part: Path, frames: Iterable[Frame]) -> None:
        rate = None if self.todo.info is None else self.todo.info.video.rate
        with Writer(part, self.options.encoding, rate=rate) as writer:
            for frame in frames:
                writer.write(frame)
        self._note(writer.notes)

    def _join(self, journal: Journal, output: Path) -> Report:
        """Assemble the chunks beside the output, verify the result and give it its name."""
        chunks = [journal.chunks[number] for number in sorted(journal.chunks)]
        whole = journal.folder / ("output" + output.suffix)
        self._tell("assemble", len(chunks) - 1)
        with self._clock("join"):
            if self.options.images:
                assembly = _gather(chunks, whole)
            else:
                assembly = self._assemble(chunks, whole)
        self._note(assembly.notes)
        report = self._report(assembly, len(chunks), _size(whole))
        journal.finish(report.as_dict())
        with writing(output):
            check_free(output, self.options)
            if output.is_dir():
                shutil.rmtree(output)
            whole.replace(output)
        return report

    def _assemble(self, chunks: list[Chunk], whole: Path) -> Assembly:
        todo, o = self.todo, self.options
        pts = [time for chunk in chunks for time in chunk.pts]
        durations = [time for chunk in chunks for time in chunk.durations]
        source = None if todo.info is None or Path(todo.source).is_dir() else todo.source
        paths, unit = [chunk.path for chunk in chunks], chunks[0].time_base
        assembly = assemble(whole, source, paths, pts, durations, unit, keep=o.keep, start=o.start, end=o.end)
        self._tell("verify", len(chunks) - 1)
        verify(whole, pts, unit, assembly)
        return assembly

    def _report(self, assembly: Assembly, chunks: int, size: int) -> Report:
        todo, o = self.todo, self.options
        seconds = time.monotonic() - self.began
        busy = {
            "decode": self.spent.get("decode", 0.0),
            "network": self.spent.get("network", 0.0) - self.spent.get("wait", 0.0),
            "encode": self.spent.get("encode", 0.0) - self.spent.get("idle", 0.0),
            "join": self.spent.get("join", 0.0),
        }
        return Report(
            source=todo.source,
            output=todo.output,
            frames=self.frames,
            resumed=self.resumed,
            chunks=chunks,
            width=todo.width or (self.first.width if self.first else 0),
            height=todo.height or (self.first.height if self.first else 0),
            bytes=size,
            seconds=round(seconds, 3),
            fps=round(self._fps(), 3),
            model=o.model,
            scale=o.scale,
            engine=todo.engine,
            weights_sha256=todo.weights_sha256,
            codec=o.container if todo.output == "-" else "png" if o.images else o.encoding.codec,
            color=todo.color or (color_note(self.first.color, o.input_matrix, o.input_range) if self.first else ""),
            deinterlaced=todo.deinterlaced,
            kept=assembly.kept,
            dropped=assembly.dropped,
            stages={name: round(max(0.0, value), 3) for name, value in busy.items()},
            notes=tuple(self.notes),
        )

    def _counted(self, frames: Iterable[Frame], chunk: int = 0) -> Iterator[Frame]:
        for frame in frames:
            self.first = self.first or frame.replace(qp=None, motion=None)
            yield frame
            self.frames += 1
            self._tell("restore", chunk)

    def _fps(self) -> float:
        return (self.frames - self.resumed) / max(1e-6, time.monotonic() - self.started)

    def _tell(self, stage: Literal["restore", "assemble", "verify"], chunk: int) -> None:
        """Report progress, at most ten times a second while restoring."""
        now = time.monotonic()
        if self.progress is None or (stage == "restore" and now - self.reported < 0.1):
            return
        self.reported = now
        fps, total = self._fps(), self.todo.frames
        eta = None if total is None or not fps else max(0.0, (total - self.frames) / fps)
        self.progress(Progress(stage, self.frames, total, fps, eta, chunk))

    @contextlib.contextmanager
    def _clock(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.spent[stage] = self.spent.get(stage, 0.0) + time.perf_counter() - start

    def _note(self, sentences: Iterable[str]) -> None:
        self.notes += [sentence for sentence in sentences if sentence not in self.notes]


@contextlib.contextmanager
def _continuable(journal: Journal) -> Iterator[None]:
    """Say in the errors of a disk that the finished chunks are safe; leave nothing of an input that cannot be read."""
    try:
        yield
    except (InputError, UsageError):
        journal.remove()
        raise
    except DiskError as error:
        raise DiskError(f"{error} The finished chunks are kept: {CONTINUE}.") from error


def _release() -> None:
    """Give the memory of a finished chunk back to the system; without it, a long film takes more than a short one.

    libav's containers and streams refer to each other, so an encoder with its frames waits for the collector, and
    glibc keeps what is freed in pieces.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)


def _gather(chunks: list[Chunk], folder: Path) -> Assembly:
    """One folder with the pictures of all chunks, numbered through; nothing is copied where the disk can link."""
    with writing(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        pictures = [picture for chunk in chunks for picture in sorted(chunk.path.glob("*.png"))]
        for number, picture in enumerate(pictures, 1):
            target = folder / f"{number:06}.png"
            try:
                os.link(picture, target)
            except OSError:
                shutil.copyfile(picture, target)
    frames = sum(len(chunk.pts) for chunk in chunks)
    if len(pictures) != frames:
        raise VerificationError(f"{str(folder)!r} holds {len(pictures)} pictures instead of {frames}; start afresh.")
    return Assembly()


def _digest(source: str) -> str:
    """SHA-256 of the input; a pipe never comes twice."""
    return f"standard input {time.time_ns()}" if source == "-" else sha256(Path(source))


def _state(source: str) -> tuple[int, int] | None:
    """Size and time of change, to notice an input that is still being written."""
    if source == "-":
        return None
    facts = os.stat(source)
    return facts.st_size, facts.st_mtime_ns


def _size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.iterdir()) if path.is_dir() else path.stat().st_size


def _is_output(output: Path, facts: dict[str, Any]) -> bool:
    """Whether the output is the one that was renamed just before an earlier run ended."""
    waiting = work_folder(output) / ("output" + output.suffix)
    return not waiting.exists() and output.exists() and _size(output) == facts["bytes"]
