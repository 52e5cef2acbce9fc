"""Training on a small store: what a run learns and hands on; stopped, killed, shared among processes."""

import dataclasses
import itertools
import json
import math
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pairs import write_pairs
from subpixel.errors import Interrupted, SubpixelError, UsageError
from subpixel.learn import recipe as recipes
from subpixel.learn import state, step
from subpixel.learn.recipe import Stage
from subpixel.learn.store import Store
from subpixel.learn.team import team
from subpixel.learn.train import train
from subpixel.stop import Stop
from trainings import ALONE, log, recipe

PLAIN_MACHINE = "av", "onnxruntime", "onnx", "typer", "rich", "tensorboard"  # what training can do without


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "store")


def same(a: Path, b: Path) -> bool:
    one, other = load_file(a / state.STATE), load_file(b / state.STATE)
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_training_lowers_the_loss(store: Path, tmp_path: Path) -> None:
    """On the very same batch, the trained network is nearer to the sharp frames than the untrained, plain bicubic."""
    asked = recipe(store, {"steps": 40, "rate": 3e-3, "loss": "mse"}, report=10)
    run = train(asked, tmp_path)
    (pair,) = Store(store).sample(np.random.default_rng(9), batch=8, frames=2, crop=16, windows=1)
    errors = []
    for net in (state.build(asked), run.net):
        with torch.no_grad():
            made = net(pair.y, pair.uv, pair.codec(("qp",)), torch.zeros(8, 8, 8, 8))
        errors.append(float(((made.luma - pair.target_y) ** 2).mean()))
    assert errors[1] < 0.97 * errors[0]
    assert [line["step"] for line in log(tmp_path)] == [10, 20, 30, 40]
    assert {"total", "main", "norm", "rate", "stage", "seconds_per_step"} <= log(tmp_path)[0].keys()


def test_a_stage_starts_from_the_average_of_the_one_before(store: Path, tmp_path: Path) -> None:
    first = train(recipe(store, {"steps": 6}), tmp_path / "first")
    both = recipe(store, {"steps": 6}, {"steps": 1, "rate": 1e-12, "warmup": 0})
    second = train(both, tmp_path / "both")
    assert second.step == 7
    pairs = zip(first.average.values(), second.net.parameters(), strict=True)
    assert all(torch.allclose(average, now, atol=1e-7) for average, now in pairs)
    assert {float(slot["step"]) for slot in second.adam.state.values()} == {1}


def test_states_are_handed_on_within_a_sequence(store: Path) -> None:
    """What a window starts from is what the one before ended with; a forgotten state is zeros, hidden maps are too."""
    asked = recipe(store, {"steps": 30, "windows": 1, "long": 1, "long_frames": 6, "drop_state": 0, "drop_codec": 0})
    means, run = step.equip(asked, ALONE), state.start(asked, ALONE.device)
    found = step.windows(run, means)
    first = next(found)
    step.take_step(run, means, first, [])
    assert (run.step, run.window) == (1, 1)
    second = next(found)
    assert torch.equal(first.pair.y[:, -2:], second.pair.y[:, :2])
    loss, _ = step.objective(run, means, second)
    net: Any = run.net
    made = net(second.pair.y, second.pair.uv, second.pair.codec(("qp",)), run.carry["state"])
    wanted = second.pair.target_y, second.pair.target_uv
    assert torch.equal(loss["main"], step.picture_loss("charbonnier", "planes", (made.luma, made.chroma), wanted))
    bare = dataclasses.replace(second, keep_state=False, keep_codec=False)
    codec = torch.zeros_like(second.pair.codec(("qp",)))
    made = net(second.pair.y, second.pair.uv, codec, torch.zeros_like(run.carry["state"]))
    forgot, _ = step.objective(run, means, bare)
    assert torch.equal(forgot["main"], step.picture_loss("charbonnier", "planes", (made.luma, made.chroma), wanted))
    step.take_step(run, means, second, [])
    third = next(found)
    step.take_step(run, means, third, [])
    assert third.following is not None  # six frames are three windows of two
    assert (run.window, run.carry) == (0, {})


def test_states_and_maps_are_dropped_as_often_as_asked(store: Path) -> None:
    asked = recipe(store, {"steps": 400, "drop_state": 0.25, "drop_codec": 0.75, "crop": 16, "batch": 1, "frames": 1})
    means, run = step.equip(asked, ALONE), state.start(asked, ALONE.device)
    kept = []
    for window in step.windows(run, means):
        kept.append((window.keep_state, window.keep_codec))
        step._advance(run, 0.999, window, {})
    assert len(kept) == 400
    assert np.mean(kept, axis=0) == pytest.approx((0.75, 0.25), abs=0.07)


def test_batches_are_drawn_from_all_stores(store: Path, tmp_path: Path) -> None:
    other = write_pairs(tmp_path / "other", clips=1, frames=4)
    stores = [Store(store), Store(other)]
    for clip in stores[1].clips:
        clip.arrays["lr_y"] = torch.zeros_like(clip.arrays["lr_y"])
    windows = step.sample(stores, np.random.default_rng(0), Stage(1, batch=400, frames=1, crop=16), 2)
    dark = (windows[0].y.amax(dim=(1, 2, 3)) == 0).float().mean()
    sizes = [sum(clip.arrays["lr_y"].numel() ** 0.5 for clip in s.clips) for s in stores]
    assert float(dark) == pytest.approx(sizes[1] / sum(sizes), abs=0.07)
    assert [tuple(w.target_y.shape) for w in windows] == [(400, 1, 1, 64, 64)] * 2


def test_a_teacher_that_agrees_costs_nothing(store: Path, tmp_path: Path) -> None:
    train(recipe(store, {"steps": 4}), tmp_path / "teacher")
    keys = {"teacher": str(tmp_path / "teacher"), "init": str(tmp_path / "teacher")}
    asked = recipe(store, {"steps": 9, "loss": "mse", "distil": 0.5, "windows": 3, "drop_codec": 0}, **keys)
    means, run = step.equip(asked, ALONE), state.start(asked, ALONE.device)
    losses, carry = step.objective(run, means, next(step.windows(run, means)))
    assert losses["distil"].item() < 1e-12 < losses["main"].item()
    assert torch.allclose(carry["teacher"], carry["state"], atol=1e-5)
    run = train(asked, tmp_path / "run")
    assert log(tmp_path / "run")[-1]["distil"] > 0


def test_all_losses_of_the_larger_network(store: Path, tmp_path: Path) -> None:
    best = {"name": "best", "channels": 8, "groups": 2, "blocks": 1, "back_blocks": 1, "flow_channels": 4}
    run = train(recipe(store, {"steps": 3, "auxiliary": 0.3, "warp": 0.1, "space": "rgb"}, network=best), tmp_path)
    assert log(tmp_path)[-1].keys() >= {"auxiliary", "warp"}
    moved = [
        name
        for name, p in run.net.named_parameters()
        if not torch.equal(p, dict(state.build(recipe(store, {"steps": 3}, network=best)).named_parameters())[name])
    ]
    assert any(name.startswith("flow") for name in moved)
    with pytest.raises(UsageError, match="Stage 1 has a warp loss, but fast has no flow"):
        train(recipe(store, {"steps": 3, "warp": 0.1}), tmp_path / "fast")


CUT = {"report": 20, "validation": {"every": 60, "first": 3}}
CUT_STAGES = ({"steps": 90, "long": 0.3, "long_frames": 12}, {"steps": 70, "loss": "mse", "space": "rgb"})


def test_frozen_layers_keep_their_weights_for_one_stage(store: Path, tmp_path: Path) -> None:
    small = {"name": "best", "channels": 8, "blocks": 1, "back_blocks": 1}
    stages: tuple[dict[str, Any], ...] = ({"steps": 3, "frozen": "flow."}, {"steps": 3})
    run = train(recipe(store, *stages[:1], network=small), tmp_path / "run")
    fresh = dict(state.build(recipe(store, *stages, network=small)).named_parameters())
    now = dict(run.net.named_parameters())
    for name in (n for n in fresh if n.startswith("flow.")):
        assert torch.equal(now[name], fresh[name]), name
        assert torch.equal(run.average[name], fresh[name]), name
    assert not torch.equal(now["into.weight"], fresh["into.weight"])
    again = train(recipe(store, *stages, network=small), tmp_path / "run")
    assert not torch.equal(dict(again.net.named_parameters())["flow.fine.0.weight"], fresh["flow.fine.0.weight"])
    with pytest.raises(UsageError, match=r"frozen = 'second\.' fits no layers; the network's are .*flow, "):
        train(recipe(store, {"steps": 3, "frozen": "second."}, network=small), tmp_path / "other")


def test_a_killed_run_continues_bit_for_bit(store: Path, tmp_path: Path) -> None:
    """kill -9 three times, amid sequences, the same command each time: the tensors of the run nobody disturbed."""
    validation = {**CUT["validation"], "clips": str(store)}
    asked = recipe(store, *CUT_STAGES, report=20, validation=validation)
    whole = train(asked, tmp_path / "whole")
    assert whole.step == 160
    (tmp_path / "r.toml").write_text(recipes.dump(asked))
    run = [sys.executable, "-m", "subpixel.learn.train", tmp_path / "r.toml", "--out", tmp_path / "cut"]
    run += ["--threads", "1", "--save-seconds", "0"]
    cut_within = 0
    for at in (15, 70, 120):
        victim = subprocess.Popen(run, stderr=subprocess.DEVNULL)
        for _ in itertools.takewhile(lambda _, at=at: saved(tmp_path / "cut")[0] < at, range(20000)):
            time.sleep(0.002)
        os.kill(victim.pid, signal.SIGKILL)
        assert victim.wait() == -signal.SIGKILL, "the run ended before it could be killed"
        cut_within += saved(tmp_path / "cut")[1] > 0
    subprocess.run(run, check=True, stderr=subprocess.DEVNULL)
    assert same(tmp_path / "whole", tmp_path / "cut")
    assert [line["step"] for line in log(tmp_path / "cut")] == [20, 40, 60, 80, 100, 120, 140, 160]
    scores = [[line["psnr_rgb"] for line in log(tmp_path / run, "validation")] for run in ("whole", "cut")]
    assert scores[0] == scores[1]
    assert len(scores[0]) == 3


def saved(run: Path) -> tuple[int, int]:
    """(step, window within its sequence) of the state on disk, which may be replaced at any moment."""
    if not (run / state.STATE).exists():
        return 0, 0
    with open(run / state.STATE, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        facts = json.loads(file.read(length))["__metadata__"]
    return int(facts["step"]), int(facts["window"])


@pytest.mark.parametrize("steps", range(1, 5))
def test_a_sequence_is_continued_where_it_was_left(store: Path, tmp_path: Path, steps: int) -> None:
    """Stopped after any window of a sequence of four, by the wish to stop, and taken up again."""

    class AfterSteps(Stop):
        left = steps

        def is_set(self) -> bool:
            self.left -= 1
            return self.left <= 0

    asked = recipe(store, {"steps": 8, "long": 1, "long_frames": 8, "drop_state": 0.3}, report=3)
    train(asked, tmp_path / "whole")
    with pytest.raises(Interrupted, match=f"Stopped at step {steps} of 8; run the same command to continue") as stopped:
        train(asked, tmp_path / "cut", stop=AfterSteps())
    assert stopped.value.exit_code == 130
    assert saved(tmp_path / "cut") == (steps, steps % 4)
    train(asked, tmp_path / "cut")
    assert same(tmp_path / "whole", tmp_path / "cut")


def test_two_processes_train_as_one(store: Path, tmp_path: Path) -> None:
    """Two ranks over Gloo: the loss curve and the weights of one process, up to the order of sums."""
    asked = recipe(
        store, {"steps": 12, "loss": "mse", "batch": 4}, report=1, validation={"clips": str(store), "every": 6}
    )
    train(asked, tmp_path / "one")
    (tmp_path / "r.toml").write_text(recipes.dump(asked))
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run += ["-m", "subpixel.learn.train", tmp_path / "r.toml", "--out", tmp_path / "two", "--threads", "1"]
    done = subprocess.run(run, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    curves = [[line["total"] for line in log(tmp_path / run)] for run in ("one", "two")]
    assert len(curves[0]) == len(curves[1]) == 12
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    one, two = (load_file(tmp_path / run / state.STATE) for run in ("one", "two"))
    assert all(torch.allclose(one[k], two[k], atol=1e-4) for k in one if k.startswith("net."))
    scores = [[line["psnr_rgb"] for line in log(tmp_path / run, "validation")] for run in ("one", "two")]
    assert scores[1] == pytest.approx(scores[0], abs=1e-3)


def test_a_machine_with_torch_alone_trains(store: Path, tmp_path: Path) -> None:
    """Nothing of the base install but NumPy, no codec: train, validate on a store, stop by the clock, go on."""
    asked = recipe(store, {"steps": 400}, out=str(tmp_path / "run"), validation={"clips": str(store), "every": 400})
    (tmp_path / "r.toml").write_text(recipes.dump(asked))
    code = f"import sys\nfor m in {PLAIN_MACHINE}: sys.modules[m] = None\n"
    code += "from subpixel.learn.train import main\nmain(sys.argv[1:])"
    options = [str(tmp_path / "r.toml"), "--threads", "1"]
    run = [sys.executable, "-c", code, *options]
    done = subprocess.run([*run, "--seconds", "0.3"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Time is over at step " in done.stderr
    assert 0 < saved(tmp_path / "run")[0] < 400
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'run'}: all 400 steps are done." in done.stderr
    assert len(log(tmp_path / "run", "validation")) == 1
    wrong = subprocess.run([*run, "--store", "nowhere"], capture_output=True, text=True)
    assert wrong.returncode == 4
    assert wrong.stderr.startswith("error: nowhere holds no training clips")


def test_a_signal_saves_and_says_how_to_go_on(store: Path, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(recipes.dump(recipe(store, {"steps": 100000}, out=str(tmp_path / "run"))))
    run = [Path(sys.executable).with_name("subpixel"), "train", tmp_path / "r.toml", "--threads", "1"]
    victim = subprocess.Popen([*run, "--save-seconds", "0"], stderr=subprocess.PIPE, text=True)
    for _ in itertools.takewhile(lambda _: saved(tmp_path / "run")[0] < 3, range(20000)):
        time.sleep(0.002)
    victim.send_signal(signal.SIGTERM)
    _, said = victim.communicate()
    assert victim.returncode == 143
    steps = saved(tmp_path / "run")[0]
    assert f"error: Stopped at step {steps} of 100000; run the same command to continue." in said


def test_a_loss_that_is_no_number_stops_the_run(store: Path, tmp_path: Path) -> None:
    asked = recipe(store, {"steps": 200, "rate": 1000, "warmup": 0, "loss": "mse", "windows": 4})
    with pytest.raises(
        SubpixelError, match=r"became (nan|inf) at step [0-9]+ \(stage 1\); its batch is in .*bad-batch"
    ) as told:
        train(asked, tmp_path, save_seconds=0)
    assert f"Start another run with a lower rate, from these weights with --init {tmp_path}" in str(told.value)
    batch = load_file(tmp_path / "bad-batch.safetensors")
    assert batch["y"].shape == (2, 4, 16, 16)
    assert batch["target_uv"].shape == (2, 2, 2, 32, 32)
    assert all(value.isfinite().all() for name, value in load_file(tmp_path / state.STATE).items() if "net." in name)


def test_a_finished_run_goes_on_with_a_further_stage(store: Path, tmp_path: Path) -> None:
    short = recipe(store, {"steps": 3})
    train(short, tmp_path)
    longer = dataclasses.replace(short, stages=(*short.stages, dataclasses.replace(short.stages[0], loss="l1")))
    assert train(longer, tmp_path).step == 6
    with pytest.raises(UsageError, match=r"another recipe \(stage 2 had begun and is gone\); name another folder"):
        train(short, tmp_path)


def test_bfloat16_trains_to_about_the_same(store: Path, tmp_path: Path) -> None:
    for precision in ("fp32", "bf16"):
        train(recipe(store, {"steps": 20}, precision=precision), tmp_path / precision)
    losses = [log(tmp_path / precision)[-1]["total"] for precision in ("fp32", "bf16")]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[1] != losses[0]
    assert math.isfinite(losses[1])


def test_a_process_alone_is_a_team() -> None:
    with team("auto") as ours:
        assert (ours.rank, ours.size, ours.rows(6)) == (0, 1, slice(0, 6))
        assert ours.total([[1, 2], [3, 4]]) == [[1, 2], [3, 4]]
