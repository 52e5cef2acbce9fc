import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subpixel import job
from subpixel.errors import (
    DiskError,
    InputError,
    Interrupted,
    UsageError,
    VerificationError,
)
from subpixel.job import upscale
from subpixel.journal import work_folder
from subpixel.outcome import Progress
from subpixel.plan import plan
from subpixel.upsample import bicubic
from subpixel.video import Encoding, probe, read

FAST: dict[str, Any] = {"model": "bicubic", "scale": 2, "encoding": Encoding("ffv1", threads=1), "threads": 1}


def test_every_frame_is_restored_once_in_order_at_its_time(film: Path, tmp_path: Path) -> None:
    report = upscale(film, tmp_path / "out.mkv", **FAST)
    for before, after in zip(read(film), read(tmp_path / "out.mkv"), strict=True):
        assert before.seconds == after.seconds
        for wanted, found in zip(bicubic(before, 2).planes, after.planes, strict=True):
            np.testing.assert_array_equal(wanted, found)
    assert (report.frames, report.chunks, report.resumed) == (310, 4, 0)
    assert (report.width, report.height, report.codec) == (128, 96, "ffv1")
    assert report.kept == ("audio 1: aac",)
    assert report.dropped == ()
    assert report.bytes == (tmp_path / "out.mkv").stat().st_size
    assert sorted(report.stages) == ["decode", "encode", "join", "network"]
    assert [p.name for p in tmp_path.iterdir()] == ["out.mkv"]


def test_an_output_that_cannot_be_written(film: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskError, match=r"Cannot write .*file.*: Not a directory"):
        upscale(film, tmp_path / "file" / "out.mkv", **FAST)
    with pytest.raises(DiskError, match=r"Cannot write .*: File name too long"):
        upscale(film, tmp_path / f"{'x' * 250}.mkv", **FAST)


def test_a_film_that_fails_its_verification_is_not_renamed(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assemble = job.assemble

    def forgetful(
        dst: Path, source: str, chunks: list[Path], pts: list[int], durations: list[int], *rest: Any, **kw: Any
    ) -> Any:
        return assemble(dst, source, chunks[:3], pts[:230], durations[:230], *rest, **kw)

    monkeypatch.setattr(job, "assemble", lambda *a, **_: forgetful(*a))
    out = tmp_path / "out.mkv"
    with pytest.raises(VerificationError, match="230"):
        upscale(film, out, **FAST)
    assert not out.exists()
    assert (work_folder(out) / "output.mkv").exists()
    monkeypatch.undo()
    assert upscale(film, out, **FAST).resumed == 310


def test_an_existing_output_is_not_touched_without_leave(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    out.write_text("mine")
    with pytest.raises(UsageError, match=r"out\.mkv' exists already; add -y \(overwrite\) to replace it"):
        upscale(film, out, **FAST)
    assert out.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["out.mkv"]
    upscale(film, out, **FAST, overwrite=True)
    assert probe(out).video.width == 128


def test_an_output_that_appears_meanwhile_is_not_touched(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"

    def appear(progress: Progress) -> None:
        if progress.stage == "assemble":
            out.write_text("mine")

    with pytest.raises(UsageError, match="exists already"):
        upscale(film, out, **FAST, progress=appear)
    assert out.read_text() == "mine"


def test_an_input_that_grows_meanwhile_is_refused(film: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    shutil.copy(film, source)

    def grow(_: Progress) -> None:
        with source.open("ab") as file:
            file.write(b"\0")

    with pytest.raises(InputError, match="changed while it was being read; wait until it is complete"):
        upscale(source, tmp_path / "out.mkv", **FAST, progress=grow)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]


def test_a_cut_off_input_leaves_nothing_behind(film: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    source.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    with pytest.raises(InputError, match=r"in\.mkv"):
        upscale(source, tmp_path / "out.mkv", **FAST)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]


def test_pictures(film: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {**FAST, "images": True, "end": 5.0}
    out, stopped = tmp_path / "pictures", threading.Event()
    stopped.set()
    with pytest.raises(Interrupted):
        upscale(film, out, **options, cancel=stopped)
    assert not out.exists()
    report = upscale(film, out, **options)
    assert (report.codec, report.frames, report.resumed) == ("png", 125, 60)
    assert sorted(p.name for p in out.iterdir()) == [f"{n:06}.png" for n in range(1, 126)]
    assert [p.name for p in tmp_path.iterdir()] == ["pictures"]
    upscale(out, tmp_path / "film.mkv", **{**FAST, "scale": 1})
    assert len(list(read(tmp_path / "film.mkv"))) == 125
    with pytest.raises(UsageError, match="exists already"):
        upscale(film, out, **options)
    upscale(film, out, **{**options, "end": 1.0}, overwrite=True)
    assert len(list(out.iterdir())) == 25
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds more than PNG pictures; choose a new or an empty one"):
        upscale(film, out, **options, overwrite=True)


def test_a_section(film: Path, tmp_path: Path) -> None:
    report = upscale(film, tmp_path / "out.mkv", **FAST, start=1.0, end=3.0)
    assert report.frames == 50
    inside = [frame.planes[0] for frame in read(film, start=1.0, end=3.0)]
    found = [frame.planes[0][::2, ::2].shape for frame in read(tmp_path / "out.mkv")]
    assert found == [plane.shape for plane in inside]


def test_a_section_without_frames(film: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no frames in the section asked for"):
        upscale(film, tmp_path / "out.mkv", **FAST, start=100.0, end=101.0)
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_the_last_frame(film: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    upscale(film, tmp_path / "out.mkv", **FAST, progress=told.append)
    assert [p.stage for p in told][-2:] == ["assemble", "verify"]
    assert told[-1].frame == 310
    assert sorted(p.frame for p in told) == [p.frame for p in told]
    assert {p.total for p in told} <= {310, 309, 311}


def test_the_report_tells_what_is_lost(rich_clip: Path, tmp_path: Path) -> None:
    report = upscale(rich_clip, tmp_path / "out.mp4", model="bicubic", scale=1)
    assert [name.split(":")[0] for name, _ in report.dropped] == ["attachment 1"]
    assert "attachments" in report.dropped[0][1]
    assert "  dropped  attachment 1" in str(report)
    assert report.color == "BT.709, limited range"
    assert json.loads(json.dumps(report.as_dict()))["frames"] == 25
    assert plan(rich_clip, tmp_path / "other.mp4").dropped == report.dropped
    assert plan(rich_clip, tmp_path / "other.mp4").kept == report.kept
