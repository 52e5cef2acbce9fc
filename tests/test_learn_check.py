"""A sound store passes; every kind of damage is found and named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from subpixel.degrade import Recipe
from subpixel.errors import InputError
from subpixel.learn import clips
from subpixel.learn.check import check, describe
from test_learn_store import panning


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    for k in range(2):
        clips.write_clip(folder / f"clip{k}", panning(6, seed=k), Recipe(), {"source": "a", "scene": f"scene{k}"})
    clips.write_manifest(folder)
    return folder


@pytest.fixture
def store(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "store")
    return tmp_path / "store"


def rewrite(store: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change an array of clip1 as a faulty build would have: hashes and manifest agree with what is there."""
    path = store / "clip1" / f"{name}.npy"
    np.save(path, change(np.load(path)))
    facts = json.loads((store / "clip1" / "clip.json").read_text())
    array = np.load(path)
    facts["arrays"][name] = {"shape": list(array.shape), "dtype": str(array.dtype), "sha256": clips.sha256(path)}
    (store / "clip1" / "clip.json").write_text(json.dumps(facts))
    clips.write_manifest(store)


def test_a_sound_store_passes(sound: Path) -> None:
    assert check(sound) == []
    assert describe(sound) == "2 clips of 2 scenes, 12 frames, 0 clips set apart for validation"


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda s: flipped(s / "clip1" / "lr_u.npy"),
         "clip1: lr_u.npy is not the file that was written (its SHA-256 differs); delete the clip's"),
        (lambda s: (s / "clip1" / "qp.npy").unlink(), "clip1: qp.npy is missing; delete the clip's"),
        (lambda s: (s / "clip1" / "clip.json").unlink(), "clip1: clip.json is missing; delete the clip's"),
        (lambda s: shutil.rmtree(s / "clip1"), "clip1: manifest.json lists it, but it is missing; build again."),
        (lambda s: shutil.copytree(s / "clip1", s / "clip2"), "clip2: manifest.json does not list it; build again."),
        (lambda s: (s / "manifest.json").unlink(), "has no manifest.json: its build was not finished; give the same"),
        (lambda s: (s / "manifest.json").write_text("{"), "manifest.json is damaged ("),
        (lambda s: (s / ".clip3.x.part").mkdir(), ".clip3.x.part was left by a build that was killed; the same"),
        (lambda s: (s / "clip1" / "hr_y.npy").write_bytes(b"\x93NUMPY"), "clip1: hr_y.npy cannot be read ("),
        (lambda s: (s / "clip1" / "clip.json").write_text("no"), "clip.json is damaged ("),
        (lambda s: (s / "clip1" / "clip.json").write_text("{}"), "clip1: clip.json does not say scale, frames, kinds;"),
    ],
)  # fmt: skip
def test_damage_is_named(store: Path, damage: Callable[[Path], object], sentence: str) -> None:
    damage(store)
    assert sentence in "\n".join(check(store))


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("hr_y", lambda a: a[:, :-4], "hr_y.npy has the shape (6, 124, 192) where lr_y.npy asks for (6, 128, 192)."),
        ("qp", lambda a: a[:5], "qp.npy has the shape (5, 2, 3) where lr_y.npy asks for (6, 2, 3)."),
        ("qp", lambda a: a + np.uint8(60), "qp.npy holds quantisers up to"),
        ("motion", lambda a: a.astype(np.int32), "motion.npy holds int32, not int16."),
        ("hr_y", lambda a: np.roll(a, 2, axis=2), "frame 0 of the sharp side fits better when taken 2 pixels left."),
        ("hr_y", lambda a: np.roll(a, -2, axis=1), "frame 0 of the sharp side fits better when taken 2 pixels down."),
        ("hr_y", lambda a: a[[0, 0, 1, 2, 3, 4]], "frame 2 of the sharp side fits better when taken 1 frame later."),
        ("lr_y", lambda a: 255 - a, "frame 0 of the two sides is not the same picture (luma"),
    ],
)
def test_clips_that_do_not_fit_are_named(
    store: Path, name: str, change: Callable[[np.ndarray], np.ndarray], sentence: str
) -> None:
    rewrite(store, name, change)
    problems = check(store)
    assert len(problems) == 1
    assert problems[0].startswith(f"clip1: {sentence}")


def test_counts_and_scales_are_compared(store: Path) -> None:
    facts = json.loads((store / "clip1" / "clip.json").read_text())
    (store / "clip1" / "clip.json").write_text(json.dumps(facts | {"kinds": "IP", "scale": 2}))
    clips.write_manifest(store)
    problems = "\n".join(check(store))
    assert "clip1: it is of scale 2, the store is of scale 4." in problems
    assert "clip1: clip.json counts 6 frames and 2 frame types, lr_y.npy 6." in problems


def test_a_clip_of_an_older_version_is_told(store: Path) -> None:
    facts = json.loads((store / "clip1" / "clip.json").read_text())
    del facts["arrays"]
    (store / "clip1" / "clip.json").write_text(json.dumps(facts))
    assert check(store)[-1] == "clip1: clip.json has no hashes: an older version made it; build again."


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no training clips; make them with `subpixel clips build`"):
        check(tmp_path)
