import hashlib
import os
import random
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Ship, ffmpeg, trained_like
from subpixel import chunks
from subpixel.errors import (
    DiskError,
    Interrupted,
    SubpixelError,
    UsageError,
)
from subpixel.job import upscale
from subpixel.journal import Journal, work_folder
from subpixel.models.best import Best, BestOptions
from subpixel.video import Encoding, Keep, read

FAST: dict[str, Any] = {"model": "bicubic", "scale": 2, "encoding": Encoding("ffv1", threads=1), "threads": 1}


def digest(path: Path) -> str:
    """Of every decoded sample and time."""
    total = hashlib.sha256()
    for frame in read(path):
        total.update(f"{frame.seconds:.4f}".encode() + b"".join(plane.tobytes() for plane in frame.planes))
    return total.hexdigest()


@pytest.fixture(scope="module")
def whole(film: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of the film restored in one go."""
    path = tmp_path_factory.mktemp("whole") / "whole.mkv"
    upscale(film, path, **FAST)
    return digest(path)


def in_a_child(work: Callable[[], object]) -> int:
    """Process of its own that does the work; ends with 0, or the exit code of the error."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except SubpixelError as error:
            code = error.exit_code
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """Exit code of the process, negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class After:
    """A cancel token that is set when it has been asked `times` times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def is_set(self) -> bool:
        self.times -= 1
        return self.times <= 0


def test_killed_at_random_moments_the_same_command_ends_the_same(film: Path, whole: str, tmp_path: Path) -> None:
    """kill -9 twenty times; whenever a run gets through, its output is compared and the next one starts."""
    moments, kills, length = random.Random(0), 0, 2.0
    out = tmp_path / "out.mkv"
    while kills < 20:
        start = time.monotonic()
        child = in_a_child(lambda: upscale(film, out, **FAST))
        timer = threading.Timer(moments.uniform(0.0, length), os.kill, (child, signal.SIGKILL))
        timer.start()
        code = ended(child)
        timer.cancel()
        kills += code == -signal.SIGKILL
        if code == 0:
            length = min(length, time.monotonic() - start)
        if out.exists() and not work_folder(out).exists():
            assert digest(out) == whole
            out.unlink()
    if not out.exists():
        upscale(film, out, **FAST)
    assert digest(out) == whole


TOUCHES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link"}


def kill_at(step: int, folder: Path) -> None:
    """Arrange for this process to be killed just before it touches the folder for the step-th time."""
    left = step

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in TOUCHES and str(folder) in str(arguments[0]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def test_killed_at_every_touch_of_the_disk_nothing_is_lost(film: Path, tmp_path: Path) -> None:
    options = {**FAST, "start": 0.0, "end": 4.0}  # two chunks
    reference = tmp_path / "reference.mkv"
    upscale(film, reference, **options)
    whole = digest(reference)
    work = tmp_path / "work"
    work.mkdir()
    out = work / "out.mkv"
    step, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        step += 1
        code = ended(in_a_child(lambda n=step: (kill_at(n, work), upscale(film, out, **options))))  # type: ignore[misc]
        if out.exists() and not (work_folder(out) / "journal.jsonl").exists():
            with pytest.raises(UsageError, match="exists already"):
                upscale(film, out, **options)
        else:
            upscale(film, out, **options)
        assert digest(out) == whole, f"killed before touch {step}"
        assert [p.name for p in work.iterdir()] == ["out.mkv"]
        out.unlink()
    assert code == 0
    assert step > 15


def test_cancel_ends_after_the_chunk_and_the_same_call_continues(film: Path, whole: str, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    with pytest.raises(Interrupted, match=r"Stopped after 130 frames; run the same command to continue\."):
        upscale(film, out, **FAST, cancel=After(2))
    assert not out.exists()
    report = upscale(film, out, **FAST)
    assert report.resumed == 130
    assert digest(out) == whole
    assert "130 frames were finished before" in str(report)


def test_work_of_another_kind_is_not_continued(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    with pytest.raises(Interrupted):
        upscale(film, out, **FAST, cancel=After(1))
    report = upscale(film, out, **{**FAST, "model": "lanczos"})
    assert report.resumed == 0
    assert report.notes[0] == f"Unfinished work in {str(work_folder(out))!r} was of another model: started afresh."


@pytest.mark.parametrize(
    ("change", "named"),
    [({"tile": 32}, "tile"), ({"ensemble": True}, "ensemble"), ({"engine": "torch", "precision": "bf16"}, "engine")],
)
def test_work_of_a_network_run_in_another_way_is_not_continued(
    film: Path, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    out, options = tmp_path / "out.mkv", {**FAST, "model": "fast", "scale": 4, "end": 2.45}
    with pytest.raises(Interrupted):
        upscale(film, out, **options, cancel=After(1))
    report = upscale(film, out, **{**options, **change})
    assert report.resumed == 0
    assert f"was of another {named}: started afresh" in report.notes[0]
    assert report.engine == ("torch on cpu, bf16" if named == "engine" else "onnxruntime")


def test_a_network_of_two_directions_continues_as_if_never_stopped(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ship: Ship
) -> None:
    """Shots are cut into chunks here, so that warm-up and look-ahead reach across what was finished before."""
    monkeypatch.setattr(chunks, "SHORTEST", 16)
    monkeypatch.setattr(chunks, "LONGEST", 20)
    small = BestOptions(channels=4, blocks=1, back_blocks=1, groups=2, flow_channels=2)
    options = {**FAST, "model": str(ship(trained_like(Best, small))), "scale": 4, "end": 2.0}
    upscale(film, tmp_path / "whole.mkv", **options)
    out = tmp_path / "out.mkv"
    with pytest.raises(Interrupted):
        upscale(film, out, **options, cancel=After(2))
    report = upscale(film, out, **options)
    assert (report.frames, report.resumed, report.chunks) == (50, 40, 3)
    assert digest(out) == digest(tmp_path / "whole.mkv")


def test_work_on_another_input_is_not_continued(film: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    shutil.copy(film, source)
    with pytest.raises(Interrupted):
        upscale(source, out, **FAST, cancel=After(1))
    ffmpeg("-i", film, "-c", "copy", "-metadata", "title=new", source)
    report = upscale(source, out, **FAST)
    assert report.resumed == 0
    assert "was of another input: started afresh" in report.notes[0]


def test_no_resume_starts_afresh(film: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        upscale(film, tmp_path / "out.mkv", **FAST, cancel=After(1))
    assert upscale(film, tmp_path / "out.mkv", **FAST, resume=False).resumed == 0


def test_a_damaged_chunk_and_a_torn_journal_are_made_good(film: Path, whole: str, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    with pytest.raises(Interrupted):
        upscale(film, out, **FAST, cancel=After(3))
    chunk = work_folder(out) / "00001.mkv"
    chunk.write_bytes(chunk.read_bytes()[:-10])
    with (work_folder(out) / "journal.jsonl").open("ab") as file:
        file.write(b'{"chunk": 3, "file": "0000')
    report = upscale(film, out, **FAST)
    assert report.resumed == 160
    assert digest(out) == whole


def test_two_processes_never_write_one_output(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    journal = Journal(out, {"held": "by us"})
    with pytest.raises(DiskError, match=r"Another process is already working on '.*out\.mkv'; wait for it"):
        upscale(film, out, **FAST)
    journal.close()
    upscale(film, out, **FAST)


def test_chunks_go_to_the_temporary_folder(film: Path, whole: str, tmp_path: Path) -> None:
    out, temporary = tmp_path / "out.mkv", tmp_path / "elsewhere"
    with pytest.raises(Interrupted):
        upscale(film, out, **FAST, temp_dir=temporary, cancel=After(1))
    assert [p.name for p in temporary.rglob("*.mkv")] == ["00000.mkv"]
    assert list(work_folder(out).glob("*.mkv")) == []
    assert upscale(film, out, **FAST, temp_dir=temporary).resumed == 60
    assert digest(out) == whole
    assert list(temporary.iterdir()) == []


def test_kept_chunks_are_there_and_join_again(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    upscale(film, out, **FAST, keep_chunks=True)
    assert len(list(work_folder(out).glob("0000?.mkv"))) == 4
    again = upscale(film, out, **FAST, keep_chunks=True, overwrite=True, keep=Keep(audio=False))
    assert (again.resumed, again.kept) == (310, ())


@pytest.mark.parametrize("limit", [1000, 40_000, 150_000, 500_000])
def test_a_full_disk_keeps_the_finished_chunks(film: Path, whole: str, tmp_path: Path, limit: int) -> None:
    """No file may grow beyond the limit: the journal, a chunk or the whole film hits it."""
    out, message = tmp_path / "out.mkv", tmp_path / "message"

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            upscale(film, out, **FAST)
        except DiskError as error:
            message.write_text(str(error))
            raise

    assert ended(in_a_child(work)) == DiskError.exit_code
    assert "run the same command to continue" in message.read_text()
    assert not out.exists()
    report = upscale(film, out, **FAST)
    assert report.resumed in (0, 60, 130, 230, 310)
    assert digest(out) == whole
