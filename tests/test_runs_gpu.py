"""The recipe for a bare machine: packed, carried, two pieces of training by a Python that has torch and NumPy alone."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from subpixel.degrade import Recipe
from subpixel.frames import Frame
from subpixel.learn import clips, recipe, state
from subpixel.learn.store import read_facts, read_manifest
from subpixel.models import MODELS, describe

GPU = Path(__file__).parent.parent / "runs" / "gpu"
ABSENT = ("av", "onnx", "onnxruntime", "openvino", "rich", "tensorboard", "typer")  # on a bare machine


def drifting(seed: int, frames: int = 8) -> list[Frame]:
    """Random blocks that drift by two pixels a frame, 128x96."""
    texture = np.kron(np.random.default_rng(seed).random((16, 20)), np.ones((8, 8))) * 200 + 20
    gray = np.full((48, 64), 128, np.uint8)
    return [Frame((texture[:96, 2 * t : 2 * t + 128].astype(np.uint8), gray, gray), pts=t) for t in range(frames)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of scenes of their own, one of them set apart."""
    folder = tmp_path_factory.mktemp("store")
    for k in range(4):
        clips.write_clip(folder / f"clip{k}", drifting(k), Recipe(), {"source": f"clip{k}", "scene": f"scene{k}"})
    clips.write_manifest(folder, {"validation": 0.25, "seed": 0})
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the packages of ABSENT cannot be imported."""
    folder = tmp_path_factory.mktemp("bare")
    code = f"""import sys
from importlib.machinery import PathFinder
class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition('.')[0] in {ABSENT} else super().find_spec(name, path, target)
sys.meta_path[:] = [Bare if finder is PathFinder else finder for finder in sys.meta_path]
"""
    (folder / "sitecustomize.py").write_text(code)
    # The script sets PYTHONPATH, so the interpreter it is told to use adds the folder itself.
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return {**os.environ, "PYTHON": str(python), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def packed(store: Path, out: Path, *options: str) -> Path:
    command = [sys.executable, GPU / "pack.py", store, "-o", out, *options]
    subprocess.run(command, check=True, capture_output=True)
    return out


def piece(
    bare: dict[str, str], *arguments: object, name: str = "best.toml", **places: object
) -> subprocess.CompletedProcess[str]:
    """One call of piece.sh with WORK, OUT and so on set to `places`."""
    pack, *rest = arguments
    command = [str(a) for a in (GPU / "piece.sh", pack, GPU / name, *rest)]
    return subprocess.run(command, env=bare | {k: str(v) for k, v in places.items()}, capture_output=True, text=True)


def test_a_bare_interpreter_lacks_what_it_should(bare: dict[str, str]) -> None:
    done = subprocess.run([bare["PYTHON"], "-c", "import safetensors; import av"], env=bare, capture_output=True)
    assert b"No module named 'av'" in done.stderr


def test_two_pieces_make_one_run(store: Path, bare: dict[str, str], tmp_path: Path) -> None:
    """The first piece stops when its time is over; on another machine the second goes on from what it left."""
    pack = packed(store, tmp_path / "pack")
    first = piece(bare, pack, 0.01, WORK=tmp_path / "one", OUT=tmp_path / "home1")
    assert first.returncode == 0, first.stderr
    assert "Time is over at step 1 of 48; run the same command to continue." in first.stderr
    begun = state.read(tmp_path / "one" / "best" / state.STATE)[1]
    assert begun["step"] == "1"
    shutil.rmtree(tmp_path / "one")
    second = piece(bare, pack, 600, WORK=tmp_path / "two", OUT=tmp_path / "home2", RESUME=tmp_path / "home1", PART=1)
    assert second.returncode == 0, second.stderr
    assert "all 48 steps are done" in second.stderr
    home = tmp_path / "home2"
    parts = sorted(home.glob("run.tar.*"))
    assert all(part.stat().st_size <= 1 << 20 for part in parts)
    (tmp_path / "run.tar").write_bytes(b"".join(part.read_bytes() for part in parts))
    with tarfile.open(tmp_path / "run.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    net = state.trained(tmp_path / "best")
    assert all(torch.isfinite(p).all() for p in net.parameters())
    records = [json.loads(line) for line in (home / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["event"] == "validation"] == [12, 24, 36, 48]
    timings = json.loads((home / "timings.json").read_text())
    timed = [(row["network"], row["part"], row["precision"]) for row in timings["rows"]]
    assert timed == [("best", "step", "fp32"), ("best", "back", "fp32"), ("fast", "step", "fp32")]
    assert all(row["median_ms"] > 0 for row in timings["rows"])
    assert "torch" in (home / "machine.txt").read_text()


def test_a_piece_says_what_is_missing(bare: dict[str, str], tmp_path: Path) -> None:
    none = piece(bare, tmp_path / "nothing", 1, WORK=tmp_path / "work")
    assert none.returncode == 2
    assert "there is no pack" in none.stderr
    assert "make one with pack.py" in none.stderr


def test_a_pack_holds_what_fits_as_it_was(store: Path, tmp_path: Path) -> None:
    packed(store, tmp_path / "all", "--frames", "5", "--validation-frames", "7")
    done = subprocess.run([sys.executable, GPU / "pack.py", "--open", tmp_path / "all", "-o", tmp_path / "opened"])
    assert done.returncode == 0
    parts = {n: c["part"] for n, c in read_manifest(tmp_path / "opened")["clips"].items()}
    assert sorted(parts) == [f"clip{k}" for k in range(4)]
    assert sorted(parts.values()) == ["train"] * 3 + ["validation"]
    for name, part in parts.items():
        count = 7 if part == "validation" else 5
        for array in ("hr_y", "lr_v", "qp", "motion"):
            whole = np.load(store / name / f"{array}.npy")
            assert np.array_equal(np.load(tmp_path / "opened" / name / f"{array}.npy"), whole[:count])
        assert len(read_facts(tmp_path / "opened" / name)["kinds"]) == count
    size = sum(path.stat().st_size for path in (tmp_path / "all").glob("*.xz"))
    packed(store, tmp_path / "some", "--megabytes", str(0.6 * size / 1e6))
    some = list((tmp_path / "some").glob("*.xz"))
    assert 0 < len(some) < 4
    assert sum(path.stat().st_size for path in some) <= 0.6 * size


def test_a_pack_too_small_is_refused(store: Path, tmp_path: Path) -> None:
    command = [sys.executable, GPU / "pack.py", store, "-o", tmp_path / "pack", "--megabytes", "0.001"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Not one clip fits into 0.001 MB; raise --megabytes or lower --frames." in done.stderr


@pytest.mark.parametrize("path", sorted(GPU.glob("*.toml")), ids=lambda p: p.stem)
def test_recipes_are_of_the_size_they_claim(path: Path) -> None:
    """best between one and three million parameters, everything small enough to be shipped as 12 MB of float32."""
    read = recipe.load(path)
    net = MODELS[read.network][0](read.options)
    count = describe(net.fuse())["parameters"]
    assert path.stem == read.network == read.out
    assert 4 * count < 12e6 or path.stem == "frvsr"
    assert path.stem != "best" or 1e6 <= count <= 3e6


def test_a_share_of_a_recipe_keeps_its_shape(tmp_path: Path) -> None:
    command = [sys.executable, GPU / "shorter.py", GPU / "best.toml", "-o", tmp_path / "a.toml", "--share", "0.1"]
    subprocess.run(command, check=True)
    whole, tenth = recipe.load(GPU / "best.toml"), recipe.load(tmp_path / "a.toml")
    assert [s.steps for s in tenth.stages] == [s.steps // 10 for s in whole.stages]
    assert [s.warmup for s in tenth.stages] == [s.warmup // 10 for s in whole.stages]
    assert (tenth.options, tenth.stages[0].batch) == (whole.options, whole.stages[0].batch)
