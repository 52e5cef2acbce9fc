"""Stores as they are built: what a pair is, the same bytes however they are made, interruption, splitting."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from conftest import MakeClip, ffmpeg
from subpixel import video
from subpixel.degrade import Recipe, degrade_frames
from subpixel.errors import InputError, MemoryLimitError, UsageError
from subpixel.frames import FULL, Color, Frame
from subpixel.learn import clips, films
from subpixel.learn.films import Variant, crop, film_frames, to_420, variants
from subpixel.learn.sources import Shot, Source
from subpixel.learn.spread import each
from subpixel.learn.store import read_manifest

COMMAND = (sys.executable, "-m", "subpixel", "clips", "build")


@pytest.fixture(scope="module")
def given(make_clip: MakeClip, cut_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a film of two shots, one of one shot, and a photograph."""
    folder = tmp_path_factory.mktemp("given")
    shutil.copy(cut_clip, folder / "cut.mp4")
    shutil.copy(make_clip("sample clip.mp4"), folder / "sample clip.mp4")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=480x384", "-frames:v", "1", folder / "photo.png")
    return folder


@pytest.fixture(scope="module")
def store(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of them."""
    folder = tmp_path_factory.mktemp("store")
    clips.build([given], folder, variants=2, seed=1)
    return folder


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_pair_is_what_the_real_command_made(store: Path, given: Path) -> None:
    facts = json.loads((store / "sample_clip.000.0" / "clip.json").read_text())
    kept = {name: np.load(store / "sample_clip.000.0" / f"{name}.npy") for name in facts["arrays"]}
    sharp = [Frame(tuple(kept[f"hr_{plane}"][t] for plane in "yuv"), pts=t) for t in range(facts["frames"])]
    low = list(degrade_frames(sharp, Recipe(crf=facts["crf"])))
    assert all(np.array_equal(kept[f"lr_{p}"], np.stack([f.planes[k] for f in low])) for k, p in enumerate("yuv"))
    assert facts["kinds"] == "".join(f.kind for f in low)
    assert np.array_equal(kept["qp"], np.stack([f.qp for f in low]))
    assert facts["source"] == "sample clip.mp4"
    assert facts["source_sha256"] == hashlib.sha256((given / "sample clip.mp4").read_bytes()).hexdigest()
    assert facts["arrays"]["motion"] == {
        "shape": [24, 4, 5, 9],
        "dtype": "int16",
        "sha256": hashlib.sha256((store / "sample_clip.000.0" / "motion.npy").read_bytes()).hexdigest(),
    }
    assert {"subpixel", "av", "numpy", "torch", "ffmpeg"} <= facts["versions"].keys()


def test_every_shot_and_photograph_has_its_clips(store: Path) -> None:
    manifest = read_manifest(store)
    names = [f"cut.00{shot}.{k}" for shot in (0, 1) for k in (0, 1)]
    assert list(manifest["clips"]) == [*names, "photo.000.0", "sample_clip.000.0", "sample_clip.000.1"]
    for name, facts in manifest["clips"].items():
        assert facts == json.loads((store / name / "clip.json").read_text()) | {"part": "train"}
    assert [manifest["clips"][name]["shot"] for name in names] == [0, 0, 1, 1]
    assert str(store.parent) not in (store / "manifest.json").read_text()


def test_processes_change_no_byte(given: Path, store: Path, tmp_path: Path) -> None:
    built = clips.build([given / "sample clip.mp4", given], tmp_path, variants=2, seed=1, jobs=2)
    assert (built.clips, built.made, built.failed) == (7, 7, {})
    assert built.bytes == sum(np.load(path).nbytes for path in store.glob("*/*.npy"))
    assert tree(tmp_path) == tree(store)
    assert clips.build([given], tmp_path, variants=2, seed=1).made == 0
    assert tree(tmp_path) == tree(store)


def test_ray_changes_no_byte(given: Path, store: Path, tmp_path: Path) -> None:
    options = ("--variants", "2", "--seed", "1", "--jobs", "2", "--ray")
    done = subprocess.run([*COMMAND, given, "-o", tmp_path, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path) == tree(store)


def descendants(process: int) -> set[int]:
    found = {int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()}
    return found | {below for pid in found for below in descendants(pid)}


def wait_until(true: object) -> None:
    for _ in range(6000):
        if true():  # type: ignore[operator]
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to pass")


def test_a_killed_build_is_finished_by_the_same_command(given: Path, store: Path, tmp_path: Path) -> None:
    """kill -9 among the clips: no process stays behind, no half a clip counts, and the end is the same to the byte."""
    command = [*COMMAND, given, "-o", tmp_path, "--variants", "2", "--seed", "1", "--jobs", "2"]
    victim = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_until(lambda: any(tmp_path.glob("*/clip.json")))
    workers = descendants(victim.pid)
    os.kill(victim.pid, signal.SIGKILL)
    assert len(workers) >= 2
    assert victim.wait() == -signal.SIGKILL, "the build ended before it could be killed"
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    assert not (tmp_path / "manifest.json").exists()
    (tmp_path / ".left.part").mkdir()  # the worst moment: in the middle of a file
    (tmp_path / ".left.part" / "hr_y.npy").write_bytes(b"half")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert tree(tmp_path) == tree(store)


def test_other_sources_are_added_and_clips_made_otherwise_refused(given: Path, tmp_path: Path) -> None:
    first = clips.build([given / "sample clip.mp4"], tmp_path, variants=1)
    before = tree(tmp_path)
    both = clips.build([given / "photo.png"], tmp_path)
    assert (first.clips, both.clips, both.made) == (1, 2, 1)
    kept = {path: digest for path, digest in tree(tmp_path).items() if path in before and path != "manifest.json"}
    assert kept.items() <= before.items()
    with pytest.raises(
        UsageError, match=r"holds the clip sample_clip\.000\.0 made otherwise \(.* was .* and is now .*\)"
    ):
        clips.build([given / "sample clip.mp4"], tmp_path, variants=1, seed=5)
    with pytest.raises(UsageError, match="holds pairs of scale 4; name another folder for scale 2"):
        clips.build([given / "cut.mp4"], tmp_path, scale=2)


def test_sources_that_cannot_be_used_are_told(given: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film at all" * 100)
    built = clips.build([given / "sample clip.mp4", tmp_path / "broken.mp4"], tmp_path / "store", variants=1)
    assert built.clips == 1
    assert "broken.mp4' cannot be read" in built.failed["broken.mp4"]
    with pytest.raises(InputError, match=r"broken\.mp4' cannot be read"):
        clips.build([tmp_path / "broken.mp4"], tmp_path / "other")


def test_one_build_at_a_time(given: Path, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(UsageError, match=r"Another process is building .*; wait for it, or name another folder"):
        clips.build([given / "photo.png"], tmp_path)
    os.close(descriptor)


@pytest.mark.parametrize("scale", [2, 3])
def test_other_scales(given: Path, tmp_path: Path, scale: int) -> None:
    clips.build([given / "sample clip.mp4"], tmp_path, scale=scale, variants=1)
    sharp, low = (np.load(tmp_path / "sample_clip.000.0" / f"{side}_v.npy").shape for side in ("hr", "lr"))
    assert [side * scale for side in low[1:]] == list(sharp[1:])
    assert read_manifest(tmp_path)["scale"] == scale


def test_long_films_give_evenly_spread_shots(film: Path, tmp_path: Path) -> None:
    clips.build([film], tmp_path, variants=1, shots=2)
    assert [facts["shot"] for facts in read_manifest(tmp_path)["clips"].values()] == [0, 3]


def test_scenes_are_never_on_both_sides_of_a_split(store: Path, given: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "store")
    clips.split(tmp_path / "store", 0.34, seed=2)
    facts = read_manifest(tmp_path / "store")["clips"].values()
    sides = {part: {f["scene"] for f in facts if f["part"] == part} for part in ("train", "validation")}
    assert (len(sides["train"]), len(sides["validation"])) == (2, 1)
    assert not sides["train"] & sides["validation"]
    chosen = set()
    for seed in range(20):
        clips.split(tmp_path / "store", 0.01, seed)
        chosen |= {f["scene"] for f in read_manifest(tmp_path / "store")["clips"].values() if f["part"] == "validation"}
    assert chosen == {"cut", "photo", "sample_clip"}
    clips.build([given], tmp_path / "store", variants=2, seed=1)  # a further build splits its clips the same way
    assert read_manifest(tmp_path / "store")["split"] == {"validation": 0.01, "seed": 19}
    clips.split(tmp_path / "store", 0)
    assert tree(tmp_path / "store") == tree(store)


def test_one_scene_cannot_be_split(given: Path, tmp_path: Path) -> None:
    clips.build([given / "cut.mp4"], tmp_path, variants=1)
    with pytest.raises(UsageError, match="A store of one scene cannot be split: both parts would show the same"):
        clips.split(tmp_path, 0.5)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(
        InputError, match=r"has no manifest\.json: its build was not finished; give the same command again"
    ):
        clips.split(tmp_path, 0.5)


def test_variants_are_drawn_as_documented() -> None:
    drawn = [v for k in range(200) for v in variants(Source(Path("a.mp4"), treatment="film"), str(k), 0, 6, 150)]
    assert np.mean([v.crf == 21 for v in drawn]) == pytest.approx(0.6 + 0.4 / 7, abs=0.04)
    assert {v.crf for v in drawn} == {18, 19, 20, 21, 22, 23, 24}
    assert np.mean([v.mirror for v in drawn]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([v.backwards for v in drawn]) == pytest.approx(0.3, abs=0.05)
    for k, (low, high, frames) in enumerate(((0.45, 0.5, 100), (0.675, 0.75, 60), (1, 1, 36))):
        assert all(low <= v.shrink <= high and v.frames == frames for v in drawn[k::3])
    assert all(0 <= v.first <= 150 - v.frames for v in drawn)
    photo = Source(Path("a.jpg"), treatment="mix")
    motions = [variants(photo, str(k), 0, 1, 1)[0].motion for k in range(600)]
    assert {m: motions.count(m) / 600 for m in set(motions)} == pytest.approx(
        {"handheld": 0.3, "flight": 0.25, "parallax": 0.15, "titles": 0.15, "still": 0.15}, abs=0.05
    )


def test_a_sharp_clip_is_a_mirrored_part_played_backwards(make_clip: MakeClip) -> None:
    path = make_clip("sample clip.mp4")
    made = film_frames(
        Source(path), Shot(0.0, 24), Variant(21, 1.0, True, True, first=3, frames=5, shift_x=1, shift_y=0.5)
    )
    decoded = list(video.read(path))[3:8][::-1]
    assert (made[0].width, made[0].height) == (144, 80)
    for mine, frame in zip(made, decoded, strict=True):  # room of 10 and 6: from column 10 and row 2
        assert np.array_equal(mine.planes[0], frame.planes[0][2:82, 10:154][:, ::-1])
        assert np.array_equal(mine.planes[2], frame.planes[2][1:41, 5:77][:, ::-1])


def test_small_films_are_shrunk_less(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "SMALLEST", 60)
    frames = film_frames(Source(make_clip("sample clip.mp4")), Shot(0.0, 24), Variant(21, 0.1, first=0, frames=1))
    assert (frames[0].width, frames[0].height) == (96, 48)  # two thirds, not a tenth
    with pytest.raises(InputError, match=r"gave 24 of 40 frames after 0\.000 s; leave it out"):
        film_frames(Source(make_clip("sample clip.mp4")), Shot(0.0, 24), Variant(21, first=0, frames=40))


def test_crop_boxes_stay_on_even_samples(make_clip: MakeClip) -> None:
    frame = next(video.read(make_clip("sample clip.mp4")))
    cut = crop(frame, (0.11, 0.12, 0.9, 0.99))
    assert (cut.width, cut.height) == (144 - 16, 94 - 10)
    assert np.array_equal(cut.planes[0], frame.planes[0][10:94, 16:144])
    assert np.array_equal(cut.planes[1], frame.planes[1][5:47, 8:72])


def flat(*values: int, shape: tuple[int, int] = (6, 8), chroma: tuple[int, int] = (6, 8), deep: bool = False) -> tuple:
    """Planes of one value each, (rows, columns) of luma and of chroma."""
    kind = np.uint16 if deep else np.uint8
    return tuple(np.full(chroma if k else shape, value, kind) for k, value in enumerate(values))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (Frame(flat(600, 400, 400, deep=True), "yuv444p10le"), (150, 100, 100)),
        (Frame(flat(255, shape=(7, 9)), "gray", color=Color(range=FULL)), (235, 128, 128)),
        (Frame(flat(0, 255, 255, chroma=(6, 4)), "yuv422p", color=Color(range=FULL)), (16, 240, 240)),
        (Frame(flat(0, 0, 255), "gbrp"), (63, 102, 240)),
    ],
    ids=["10 bits 4:4:4", "gray, full range, odd", "4:2:2, full range", "RGB"],
)
def test_every_film_becomes_what_networks_see(frame: Frame, expected: tuple[int, int, int]) -> None:
    made = to_420(frame)
    assert (made.width, made.height, made.format) == (8, 6, "yuv420p")
    assert [int(plane.mean()) for plane in made.planes] == list(expected)
    assert all(plane.std() == 0 for plane in made.planes)


def vanish(item: int) -> int:
    """A worker that is killed, as for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return item


@contextlib.contextmanager
def without_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "ray", None)
    yield


def test_work_that_cannot_be_shared_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dict(each(abs, [-1, 2])) == {-1: 1, 2: 2}
    with pytest.raises(
        MemoryLimitError, match="A process was killed, most likely for want of memory; use fewer with --jobs"
    ):
        list(each(vanish, [1], jobs=2))
    with (
        without_ray(monkeypatch),
        pytest.raises(UsageError, match=r"Ray is not installed; pip install 'subpixel\[cluster\]'"),
    ):
        list(each(abs, [1], ray=True))
