import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from subpixel.errors import (
    DiskError,
    MemoryLimitError,
    UsageError,
    WeightsError,
)
from subpixel.estimate import estimate
from subpixel.job import upscale
from subpixel.outcome import duration, megabytes
from subpixel.plan import Options, peak_memory, plan, restorer
from subpixel.video import Encoding, probe

FAST: dict[str, Any] = {"model": "bicubic", "scale": 2, "encoding": Encoding("ffv1", threads=1), "threads": 1}


def test_a_disk_too_small_is_refused_before_the_work(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))  # type: ignore[attr-defined]
    with pytest.raises(DiskError, match="needs about 5 MB while it is made, but only 0 MB are free"):
        upscale(film, tmp_path / "out.mkv", **FAST)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dst", "options", "sentence"),
    [
        ("out", {}, "does not say which container to write"),
        ("out.mkv", {"scale": 5}, "Scale 5 is not possible; bicubic enlarges by 1, 2, 3 or 4"),
        ("out.mkv", {"ensemble": True}, "--ensemble is for networks; bicubic gives the same in all positions"),
        ("out.mkv", {"start": 3.0, "end": 2.0}, "is empty; --end must come after --start"),
        ("-", {"images": True}, "Pictures cannot go to standard output"),
        (".", {}, "is a folder; name a file in it"),
        ("out.mkv", {"encoding": Encoding(extra=(("no-such-option", "1"),))}, "no-such-option"),
        ("out.mkv", {"deinterlace": "maybe"}, "'auto' or 'off'"),
        ("out.mkv", {"input_matrix": "bt7"}, "bt7"),
    ],
)
def test_requests_that_make_no_sense(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dst: str, options: dict[str, Any], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=sentence):
        upscale(film, dst, **{**FAST, **options})
    assert list(tmp_path.iterdir()) == []


def test_the_input_is_not_its_own_output(film: Path) -> None:
    with pytest.raises(UsageError, match="is the input itself; choose another output"):
        upscale(film, film, **FAST, overwrite=True)


def test_an_unknown_network(film: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="There is no network 'splendid'"):
        upscale(film, tmp_path / "out.mkv", model="splendid")
    assert list(tmp_path.iterdir()) == []


def test_too_little_memory_is_refused(film: Path, tmp_path: Path) -> None:
    with pytest.raises(
        MemoryLimitError, match=r"Restoring 64x48 by 2 needs about \d+ MB at least, but --memory allows 9"
    ):
        upscale(film, tmp_path / "out.mkv", **FAST, memory=9_000_000)
    assert list(tmp_path.iterdir()) == []


def test_little_memory_makes_queues_and_threads_fewer(film: Path) -> None:
    free = plan(film, "out.mkv", Options(encoding=Encoding(threads=16)))
    assert free.memory is not None
    tight = plan(film, "out.mkv", Options(encoding=Encoding(threads=16), memory=free.memory - 1))
    assert tight.memory is not None
    assert (tight.ahead, tight.memory < free.memory) == (1, True)
    least = plan(film, "out.mkv", Options(encoding=Encoding(threads=16), memory=tight.memory - 1))
    assert least.options.encoding.threads == 8


def test_little_memory_makes_tiles_smaller_in_the_end(make_clip: Callable[..., Path]) -> None:
    clip = make_clip("wide.mp4", size="960x540", frames=2)
    options = Options(encoding=Encoding(threads=1))
    most = plan(clip, "out.mkv", options).memory
    assert most is not None
    tight = plan(clip, "out.mkv", dataclasses.replace(options, memory=int(most * 0.6)))
    assert tight.memory is not None
    assert tight.memory <= int(most * 0.6)
    assert 0 < tight.options.tile < 512
    assert f"tiles    {tight.options.tile}x{tight.options.tile} pixels" in str(tight)
    asked = plan(clip, "out.mkv", dataclasses.replace(options, tile=96))
    assert asked.options.tile == 96
    with pytest.raises(MemoryLimitError, match="Restoring 960x540 by 4 needs about"):
        plan(clip, "out.mkv", dataclasses.replace(options, memory=int(most * 0.2)))


def test_untagged_colours_are_named(film: Path, tmp_path: Path) -> None:
    todo = plan(film, tmp_path / "out.mkv", Options())
    assert todo.color == "matrix untagged: treated as BT.601, limited range"
    told = plan(film, tmp_path / "out.mkv", Options(input_matrix="bt709"))
    assert told.color == "BT.709 as asked, limited range"


def test_an_estimate_measures_and_leaves_nothing(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = estimate(film, Options(model="bicubic", scale=2))
    # Matroska counts no frames: the number comes from the length, to which the sound adds a little.
    assert (found.sampled, found.frames, found.width, found.height) == (50, 311, 128, 96)
    assert found.seconds == pytest.approx(311 / found.fps, abs=0.1)
    assert found.bytes is not None
    assert 10_000 < found.bytes < 10_000_000
    with pytest.raises(UsageError, match="Standard input can be read once only"):
        estimate("-")


def test_memory_is_guessed_to_grow_with_the_picture(film: Path) -> None:
    info, model = probe(film), restorer(Options())
    assert peak_memory(info, Options(scale=4), model, 4) > peak_memory(info, Options(scale=2), model, 4) > 100e6


@pytest.mark.parametrize(("value", "said"), [(4.24, "4.2 s"), (187, "3:07 min"), (7500, "2:05 h"), (59.99, "60.0 s")])
def test_durations(value: float, said: str) -> None:
    assert duration(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(12, "12 bytes"), (12_345, "12.3 kB"), (3_400_000, "3.4 MB"), (10**9, "1 GB")]
)
def test_sizes(value: int, said: str) -> None:
    assert megabytes(value) == said


def test_a_container_without_a_place_for_the_codec_is_refused(film: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'out\.webm' cannot hold h264: a \.webm file has no place for it"):
        plan(film, tmp_path / "out.webm", Options(model="bicubic"))
    av1 = Options(model="bicubic", encoding=Encoding("av1"))
    assert plan(film, tmp_path / "out.webm", av1).output.endswith("out.webm")
    with pytest.raises(UsageError, match=r"'out\.mov' cannot hold ffv1"):
        plan(film, tmp_path / "out.mov", Options(model="bicubic", encoding=Encoding("ffv1")))
