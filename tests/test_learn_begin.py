"""How a run begins: from which weights, where, and what it refuses."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pairs import write_pairs
from subpixel.errors import DiskError, InputError, SubpixelError, UsageError
from subpixel.learn import recipe as recipes
from subpixel.learn import state, step
from subpixel.learn.lock import alone
from subpixel.learn.store import Store
from subpixel.learn.team import Team
from subpixel.learn.train import begin, command, train
from trainings import ALONE, recipe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "store")


def test_a_run_begins_from_a_shipped_network(store: Path) -> None:
    """By name: at first it computes what the network does."""
    begun = state.start(recipe(store, {"steps": 3}, network={"name": "fast"}, init="fast"), ALONE.device)
    (pair,) = Store(store).sample(np.random.default_rng(2), batch=1, frames=3, crop=16, windows=1)
    feed = pair.y, pair.uv, pair.codec(("qp",)), torch.rand(1, 32, 8, 8)
    with torch.no_grad():
        made, wanted = begun.net(*feed), state.exported("fast", 4, "teacher")(*feed)
    assert torch.allclose(made.luma, wanted.luma, atol=1e-5)
    assert torch.allclose(made.state, wanted.state, atol=1e-5)
    with pytest.raises(SubpixelError, match="There is no network 'fats'; there are: best, fast"):
        state.start(recipe(store, {"steps": 3}, init="fats"), ALONE.device)
    with pytest.raises(SubpixelError, match="fast holds another kind of network; none of its layers fits"):
        state.start(recipe(store, {"steps": 3}, network={"name": "unet"}, init="fast"), ALONE.device)


def test_a_community_network_can_neither_teach_nor_be_trained_on(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    path.write_bytes(b"x")
    with pytest.raises(UsageError, match=r"theirs\.safetensors cannot be the teacher: it is a community network"):
        step.equip(recipe(store, {"steps": 3, "distil": 0.3}, teacher=str(path)), ALONE)


def test_a_wrong_name_of_what_to_validate_on_costs_no_step(store: Path, tmp_path: Path) -> None:
    asked = recipe(store, {"steps": 3}, validation={"clips": str(tmp_path / "none")})
    with pytest.raises(InputError, match="none holds no clips to validate on"):
        train(asked, tmp_path / "run")
    assert not (tmp_path / "run" / state.STATE).exists()


def test_a_run_is_trained_by_one_process_at_a_time(store: Path, tmp_path: Path) -> None:
    with (
        alone(tmp_path, "training"),
        pytest.raises(UsageError, match=r"Another process is training .*; wait for it, or name another folder"),
    ):
        train(recipe(store, {"steps": 3}), tmp_path)
    assert train(recipe(store, {"steps": 3}), tmp_path).step == 3


def test_a_full_disk_keeps_the_last_state(store: Path, tmp_path: Path) -> None:
    short = recipe(store, {"steps": 3})
    train(short, tmp_path / "run")
    longer = dataclasses.replace(short, stages=short.stages * 2, store=(str(store),))
    (tmp_path / "r.toml").write_text(recipes.dump(longer))
    command = [sys.executable, "-m", "subpixel.learn.train", str(tmp_path / "r.toml"), "--out", str(tmp_path / "run")]
    limited = ["bash", "-c", 'ulimit -f 16; exec "$@"', "bash", *command]  # no file longer than 16 KB
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert done.returncode == DiskError.exit_code
    assert re.search(
        r"error: The run .*run cannot be written \(.*; make room, or choose another place by --out", done.stderr
    )
    assert train(longer, tmp_path / "run").step == 6
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=r"The folder .*file cannot be made \(File exists\); choose another place"):
        train(short, tmp_path / "file")


def test_what_a_run_refuses(store: Path, tmp_path: Path) -> None:
    train(recipe(store, {"steps": 3}), tmp_path / "run")
    with pytest.raises(
        UsageError, match=r"another recipe \(rate of stage 1 was 0\.001 and is now 0\.5\); name another"
    ):
        train(recipe(store, {"steps": 3, "rate": 0.5}), tmp_path / "run")
    with pytest.raises(UsageError, match=r"holds pairs of scale 4, the network is of scale 2"):
        train(recipe(store, {"steps": 3}, network={"name": "fast", "scale": 2}), tmp_path / "two")
    with pytest.raises(UsageError, match=r"The device 'cuda:7' cannot be used \(.*\); take auto, cpu, cuda or cuda:N"):
        train(recipe(store, {"steps": 3}, device="cuda:7"), tmp_path / "three")
    with pytest.raises(UsageError, match=r"A batch of 3 cannot be shared by 2 processes; make it a multiple"):
        Team(1, 2, torch.device("cpu")).rows(3)
    with pytest.raises(UsageError, match=r"names no store of training pairs; add store = a folder, or --store"):
        train(dataclasses.replace(recipe(store, {"steps": 3}), store=()), tmp_path / "four")
    (tmp_path / "r.toml").write_text(recipes.dump(recipe(store, {"steps": 3})))
    with pytest.raises(UsageError, match=r"r\.toml does not say where the run goes; add out = a folder, or --out"):
        command(tmp_path / "r.toml")


def test_a_state_of_another_network_is_refused(store: Path, tmp_path: Path) -> None:
    train(recipe(store, {"steps": 3}), tmp_path)
    (tmp_path / state.RECIPE).unlink()
    wider = recipe(store, {"steps": 3}, network={"name": "fast", "channels": 16})
    with pytest.raises(SubpixelError, match=r"state\.safetensors is of another network: .* does not fit"):
        begin(wider, tmp_path, ALONE)
    with pytest.raises(SubpixelError, match="holds another kind of network; none of its layers fits"):
        state.load_weights(torch.nn.Conv2d(1, 1, 1), tmp_path)
    with pytest.raises(SubpixelError, match="holds no trained network; name the folder of a run"):
        state.load_weights(torch.nn.Conv2d(1, 1, 1), tmp_path / "nothing")
    (tmp_path / state.STATE).write_bytes(b"{}")
    with pytest.raises(SubpixelError, match=r"state\.safetensors cannot be read \(.*\); remove it to start afresh"):
        begin(recipe(store, {"steps": 3}), tmp_path, ALONE)
