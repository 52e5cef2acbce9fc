"""Runs become files that every engine runs: each network, fused, checked; runs of any age."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pairs import write_pairs
from subpixel import engines, models, weights
from subpixel.cli import app
from subpixel.errors import DiskError, InputError, UsageError, VerificationError
from subpixel.learn import recipe as recipes
from subpixel.learn import state
from subpixel.learn.export import export
from subpixel.learn.store import Store
from subpixel.learn.train import train
from subpixel.restore import restore

NETWORKS: dict[str, dict[str, Any]] = {
    "fast": {"channels": 8, "blocks": 1},
    "best": {"channels": 8, "groups": 2, "blocks": 1, "back_blocks": 1},
    "frvsr": {"blocks": 1, "channels": 8, "flow_channels": 2},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "store", frames=4)


def trained(store: Path, run: Path, name: str = "fast", **keys: Any) -> recipes.Recipe:
    stage = {"steps": 2, "batch": 1, "frames": 2, "crop": 16, "warmup": 0}
    table = {"store": str(store), "network": {"name": name, **NETWORKS[name], **keys}, "stages": [stage]}
    recipe = recipes.parse(table, "r.toml")
    train(recipe, run)
    return recipe


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_exported_restores_as_the_run_does(store: Path, tmp_path: Path, name: str) -> None:
    recipe = trained(store, tmp_path / "run", name)
    made = export(tmp_path / "run", "mine", tmp_path / "out", {"quality": {"psnr": 1.0}})
    assert (made.path.name, made.scale, made.card["quality"]) == ("mine-x4.onnx", 4, {"psnr": 1.0})
    assert made.card["network"] == name
    assert made.card["training"]["steps"] == 2
    assert made.card["training"]["stages"][0]["crop"] == 16
    assert (tmp_path / "out" / "mine-x4.back.onnx").exists() == (name == "best")
    run = state.start(recipe, torch.device("cpu"))
    state.load(run, tmp_path / "run")
    read = Store(store)
    _, low = read.frames(read.clips[0])
    ours = list(restore(low, model=state.averaged(recipe, run), scale=4))
    theirs = list(restore(low, model=str(made.path), scale=4, engine="onnxruntime"))
    for a, b in zip(ours, theirs, strict=True):
        assert max(np.abs(p.astype(int) - q).max() for p, q in zip(a.planes, b.planes, strict=True)) <= 1


def test_a_file_that_computes_something_else_is_not_shipped(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(store, tmp_path / "run")
    nines = tuple(np.full(1, 9.0, np.float32) for _ in range(3))
    monkeypatch.setattr(engines, "load", lambda *_, **__: lambda *_: nines)
    with pytest.raises(
        VerificationError, match=r"mine-x4\.onnx differs from the trained network by .* in its step; do"
    ):
        export(tmp_path / "run", "mine", tmp_path, {})


def test_the_best_weights_are_exported(store: Path, tmp_path: Path) -> None:
    recipe = trained(store, tmp_path / "run")
    run = state.start(recipe, torch.device("cpu"))
    run.step, run.best = 1, 30.0
    run.average["to_luma.bias"] += 0.125
    state.save_best(run, tmp_path / "run")
    made = export(tmp_path / "run", "mine", tmp_path, {})
    assert made.card["training"]["steps"] == 1
    kept = models.network(made.path, made.card).to_luma.bias
    assert torch.allclose(kept, run.average["to_luma.bias"])


@pytest.mark.parametrize("scale", [2, 3])
def test_other_scales_start_from_the_weights_of_four(tmp_path: Path, store: Path, scale: int) -> None:
    trained(store, tmp_path / "four")
    other = write_pairs(tmp_path / "store", scale=scale, clips=1, frames=4)
    stage = {"steps": 2, "batch": 1, "frames": 2, "crop": 16, "warmup": 0, "rate": 1e-12}
    network = {"name": "fast", **NETWORKS["fast"], "scale": scale}
    table = {"store": str(other), "init": str(tmp_path / "four"), "network": network, "stages": [stage]}
    run = train(recipes.parse(table, "r.toml"), tmp_path / "run")
    four = state.trained(tmp_path / "four")
    assert torch.allclose(run.net.head.conv.weight, four.head.conv.weight, atol=1e-6)  # type: ignore[union-attr]
    made = export(tmp_path / "run", "tiny", tmp_path, {})
    assert (made.scale, made.path.name) == (scale, f"tiny-x{scale}.onnx")
    assert made.card["training"]["init"] == "four"


def test_a_run_without_recipe_gets_one_by_hand(store: Path, tmp_path: Path) -> None:
    """What an older loop left: weights, average, optimiser; no facts of stages, validation or recipe."""
    trained(store, tmp_path / "run")
    tensors, facts = state.read(tmp_path / "run" / state.STATE)
    old = tmp_path / "old"
    old.mkdir()
    state.write(old / state.STATE, tensors, {"step": "2", "rng": facts["rng"]})
    with pytest.raises(UsageError, match=r"The recipe '.*recipe\.toml' cannot be read: .*No such file"):
        export(old, "mine", tmp_path, {})
    (old / state.RECIPE).write_text('[network]\nname = "fast"\nchannels = 8\nblocks = 1\n[[stages]]\nsteps = 300\n')
    assert export(old, "mine", tmp_path, {}).card["training"]["steps"] == 2


def test_the_commands(store: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    (tmp_path / "r.toml").write_text(recipes.dump(trained(store, tmp_path / "first")))
    run = ["train", str(tmp_path / "r.toml"), "--out", str(tmp_path / "run"), "--store", str(store), "--device", "cpu"]
    assert CliRunner().invoke(app, run, catch_exceptions=False).exit_code == 0
    (tmp_path / "about.json").write_text(json.dumps({"data": "two textures"}))
    ship = ["export", str(tmp_path / "run"), "-o", "tiny", "--folder", str(tmp_path)]
    done = CliRunner().invoke(app, [*ship, "--about", str(tmp_path / "about.json")], catch_exceptions=False)
    assert done.stdout.startswith(f"{tmp_path / 'tiny-x4.onnx'}: ")
    assert weights.load(str(tmp_path / "tiny-x4.onnx"), 4).card["data"] == "two textures"
    (tmp_path / "about.json").write_text("{")
    with pytest.raises(InputError, match=r"about\.json is no JSON object \(.*\)"):
        CliRunner().invoke(app, [*ship, "--about", str(tmp_path / "about.json")], catch_exceptions=False)


def test_names_and_folders_that_cannot_be(store: Path, tmp_path: Path) -> None:
    trained(store, tmp_path / "run")
    for name in ("", "a/b"):
        with pytest.raises(UsageError, match=f"'{name}' is no name of a network; give one without folders"):
            export(tmp_path / "run", name, tmp_path, {})
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=r"The network .*mine-x4\.onnx cannot be written \(.*place by --folder"):
        export(tmp_path / "run", "mine", tmp_path / "file" / "under", {})
