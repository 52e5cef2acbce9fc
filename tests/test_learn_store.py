"""Stores as they are read: crops of both sides, codec maps, turns, devices, frames; all without a codec."""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from subpixel import priors
from subpixel.degrade import Recipe, degrade_frames
from subpixel.errors import InputError, UsageError
from subpixel.frames import Frame
from subpixel.learn import clips
from subpixel.learn.store import Store, blocks, cut, reflect

MAPS = ["qp", "kinds", "motion"]


def panning(count: int = 12, seed: int = 0, step: tuple[int, int] = (8, 4)) -> list[Frame]:
    """192x128: a soft random texture whose content moves left by step[0] and up by step[1] sharp pixels a frame."""
    rng = np.random.default_rng(seed)
    texture = np.kron(rng.random((30, 40)), np.ones((12, 12))) * 180 + 30
    frames = []
    for t in range(count):
        luma = texture[step[1] * t : step[1] * t + 128, step[0] * t : step[0] * t + 192].astype(np.uint8)
        chroma = np.full((64, 96), 118 + t, np.uint8)
        frames.append(Frame((luma, chroma, chroma), pts=t))
    return frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("store")
    for k in range(2):
        clips.write_clip(made / f"clip{k}", panning(seed=k), Recipe(), {"source": f"clip{k}", "scene": f"scene{k}"})
    return made


@pytest.fixture(scope="module")
def low() -> list[Frame]:
    """What the decoder gave when clip0 was made."""
    return list(degrade_frames(panning(), Recipe()))


def test_crops_of_both_sides_show_the_same_place(folder: Path) -> None:
    """The sharp crop, shrunk, is the degraded crop up to the codec's noise, whatever the flip."""
    rng = np.random.default_rng(0)
    for _ in range(12):
        y, uv, qp, kinds, motion, sharp, sharp_uv = (part.numpy() for part in Store(folder).crops(rng, 3, 16))
        assert (y.shape, uv.shape, qp.shape) == ((5, 16, 16), (3, 2, 8, 8), (3, 1, 8, 8))
        assert (kinds.shape, motion.shape) == ((3, 3), (3, 4, 8, 8))
        assert (sharp.shape, sharp_uv.shape) == ((3, 64, 64), (3, 2, 32, 32))
        shrunk = sharp.reshape(3, 16, 4, 16, 4).mean(axis=(2, 4))
        inside = (slice(None), slice(2, -2), slice(2, -2))
        assert np.corrcoef(shrunk[inside].ravel(), y[1:-1][inside].ravel())[0, 1] > 0.9


def test_a_crop_is_a_part_of_the_frames_and_their_maps(folder: Path, low: list[Frame]) -> None:
    """Unturned: samples, quantisers, types and vectors are those that `priors` tells of the decoder's frames."""
    order, (top, left, side) = np.arange(2, 8), (6, 14, 16)
    y, uv, qp, kinds, motion, _, _ = cut(Store(folder).clips[0], order, (top, left, side), 4, way=0)
    half = (slice(None), slice(top // 2, top // 2 + 8), slice(left // 2, left // 2 + 8))
    for k, t in enumerate(order[1:-1]):
        assert np.array_equal(y[k + 1], low[t].planes[0][top : top + side, left : left + side])
        assert np.array_equal(uv[k, 1], low[t].planes[2][half[1:]])
        assert np.allclose(qp[k] / 51, priors.quantiser(low[t])[half])
        assert np.array_equal(kinds[k], priors.kinds(low[t])[:, 0, 0])
        assert np.array_equal(motion[k] / 128, priors.motion(low[t])[half])


def test_windows_follow_each_other(folder: Path) -> None:
    first, second = Store(folder).sample(np.random.default_rng(1), batch=2, frames=2, crop=16, windows=2)
    assert torch.equal(first.y[:, -2:], second.y[:, :2])
    assert first.target_y.shape == (2, 2, 1, 64, 64)
    assert first.target_uv.shape == (2, 2, 2, 32, 32)
    assert 0.1 < first.y.mean() < first.y.max() <= 1


def test_a_batch_has_the_maps_that_are_asked_for(folder: Path) -> None:
    (pair,) = Store(folder).sample(np.random.default_rng(3), batch=3, frames=4, crop=16, windows=1)
    assert torch.equal(pair.codec(MAPS), torch.cat([pair.qp, pair.kinds, pair.motion], 2))
    assert pair.codec(["motion", "qp"]).shape == (3, 4, 5, 8, 8)
    assert pair.codec([]).shape == (3, 4, 0, 8, 8)
    assert torch.equal(pair.kinds.sum(2), torch.ones(3, 4, 8, 8))
    assert torch.equal(pair.rows(slice(1, 3)).y, pair.y[1:3])
    assert torch.equal(pair.to("cpu").target_uv, pair.target_uv)


def displacement(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(x, y) so that now at p looks like before at p + (x, y), the best of all whole ones up to 4 pixels."""
    rows, columns = (np.arange(4, side - 4) for side in now.shape)

    def error(way: tuple[int, int]) -> float:
        return float(np.abs(now[4:-4, 4:-4] - before[rows[:, None] + way[1], columns + way[0]]).mean())

    return np.array(min(itertools.product(range(-4, 5), range(-4, 5)), key=error), float)


@pytest.mark.parametrize("way", range(8))
def test_vectors_point_the_right_way_under_every_turn(folder: Path, way: int) -> None:
    """Where a search in the turned pictures says the content came from, the turned vectors say it too."""
    clip = Store(folder).clips[0]
    y, _, _, _, motion, _, _ = cut(clip, np.arange(0, 12), (0, 0, 32), 4, way=way)
    codes, seen = y.numpy().astype(float), set()
    for t in range(10):
        past, found = motion[t, :2].numpy() / 4, displacement(codes[t + 1], codes[t])
        known = np.abs(past).sum(axis=0) > 0
        if known.mean() < 0.5:
            continue
        mean = past[:, known].mean(axis=1)
        assert float(mean @ found) > 0.97 * float(np.linalg.norm(mean) * np.linalg.norm(found))
        seen.add(tuple(found))
    flips = (2 if not way & 1 else -2, 1 if not way & 2 else -1)
    assert seen == {flips[::-1] if way & 4 else flips}


def test_playing_backwards_exchanges_past_and_future(folder: Path) -> None:
    clip = Store(folder).clips[0]
    forwards = cut(clip, np.arange(3, 8), (0, 0, 16), 4, way=0)[4]
    backwards = cut(clip, np.arange(7, 2, -1), (0, 0, 16), 4, way=0)[4]
    assert forwards.any()
    assert torch.equal(backwards.flip(0)[:, [2, 3, 0, 1]], forwards)


def test_times_beyond_the_ends_are_reflected() -> None:
    assert reflect(np.arange(-2, 8), 4).tolist() == [2, 1, 0, 1, 2, 3, 2, 1, 0, 1]
    assert reflect(np.arange(3), 1).tolist() == [0, 0, 0]


def test_a_resident_store_gives_the_same_batches(folder: Path, tmp_path: Path) -> None:
    """Bit for bit, and without the files: they are gone."""
    shutil.copytree(folder, tmp_path / "copy")
    resident = Store(tmp_path / "copy").to("cpu", budget=10**9)
    for array in (tmp_path / "copy").glob("*/*.npy"):
        array.write_bytes(b"")
    mapped = Store(folder).to("cpu", budget=Store(folder).bytes - 1)
    options = {"batch": 3, "frames": 5, "crop": 24, "windows": 4}  # longer than the clips: to and fro
    for a, b in zip(
        mapped.sample(np.random.default_rng(5), **options),
        resident.sample(np.random.default_rng(5), **options),
        strict=True,
    ):
        assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in vars(a))


def test_frames_are_what_the_decoder_gave(folder: Path, low: list[Frame]) -> None:
    sharp, kept = Store(folder).frames(Store(folder).clips[0])
    assert all(
        np.array_equal(a.planes[k], b.planes[k]) for a, b in zip(sharp, panning(), strict=True) for k in range(3)
    )
    for mine, decoded in zip(kept, low, strict=True):
        assert mine.kind == decoded.kind
        assert all(np.array_equal(a, b) for a, b in zip(mine.planes, decoded.planes, strict=True))
        for told in (priors.quantiser, priors.kinds, priors.motion):
            assert np.array_equal(told(mine), told(decoded))


def test_vectors_survive_the_list_of_blocks() -> None:
    field = np.random.default_rng(0).integers(-2000, 2000, (4, 5, 7)).astype(np.int16)
    frame = Frame((np.zeros((20, 28), np.uint8), *[np.zeros((10, 14), np.uint8)] * 2), motion=blocks(field))
    assert np.array_equal(priors.vectors(frame), field)


def test_reading_needs_no_codec(folder: Path) -> None:
    """A machine without PyAV, onnxruntime and typer: their import fails, the store is read all the same."""
    script = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("av", "onnxruntime", "typer", "ray"):
            raise ImportError("there is no " + name)
sys.meta_path.insert(0, Absent())
from pathlib import Path
import numpy as np
from subpixel.learn.store import Store
store = Store(Path({str(folder)!r}))
(pair,) = store.sample(np.random.default_rng(0), batch=1, frames=2, crop=16, windows=1)
sharp, low = store.frames(store.clips[0])
print(tuple(pair.codec(["qp", "kinds", "motion"]).shape), len(sharp), low[0].kind)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert done.stdout == "(1, 2, 8, 8, 8) 12 I\n", done.stderr


def test_scenes_that_were_set_apart_are_another_part(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    clips.write_manifest(tmp_path / "copy")
    clips.split(tmp_path / "copy", 0.5)
    parts = [
        {clip.name for clip in Store(tmp_path / "copy", part=part).clips} for part in ("train", "validation", None)
    ]
    assert parts[0] ^ parts[1] == parts[2] == {"clip0", "clip1"}
    assert len(parts[0]) == 1


def test_errors_say_what_to_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no training clips; make them with `subpixel clips build`"):
        Store(tmp_path)
    with pytest.raises(InputError, match="holds no clips for validation; `subpixel clips split` sets some apart"):
        Store(folder, part="validation")
    with pytest.raises(
        UsageError, match="No clip of the store is as large as a crop of 64 LR pixels; use smaller crops"
    ):
        Store(folder).sample(np.random.default_rng(0), batch=1, frames=2, crop=64, windows=1)
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "clip1" / "motion.npy").unlink()
    with pytest.raises(InputError, match=r"clip1 is not complete \(.*motion.*\); `subpixel clips check` says more"):
        Store(tmp_path / "copy")
    (tmp_path / "copy" / "clip0" / "clip.json").write_text("{")
    with pytest.raises(InputError, match=r"clip\.json is damaged \(.*\); delete .*clip0 and build again"):
        Store(tmp_path / "copy")


def test_small_clips_are_left_out_where_crops_are_larger(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    small = [f.replace(planes=tuple(np.ascontiguousarray(p[: p.shape[0] // 2]) for p in f.planes)) for f in panning(4)]
    clips.write_clip(tmp_path / "copy" / "small", small, Recipe(), {"source": "small"})
    store = Store(tmp_path / "copy")
    for seed in range(10):
        store.sample(np.random.default_rng(seed), batch=2, frames=2, crop=32, windows=1)
    assert json.loads((tmp_path / "copy" / "small" / "clip.json").read_text())["frames"] == 4
