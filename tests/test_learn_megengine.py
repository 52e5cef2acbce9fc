"""MegEngine's networks and trainer against torch's. Its part runs in an environment of its own: `make megengine`."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import ROOT, ffmpeg
from pairs import write_pairs
from subpixel import metrics, models
from subpixel.frames import Frame
from subpixel.learn import clips, export, recipe, state, step
from subpixel.learn.losses import picture_loss
from subpixel.learn.store import Pair, Store
from subpixel.learn.team import Team
from subpixel.restore import restore

ALONE = Team(0, 1, torch.device("cpu"))
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}

FAST = """
seed = 3
[network]
name = "fast"
channels = 8
blocks = 1
kinds = true
[[stages]]
steps = 12
batch = 2
frames = 2
crop = 16
warmup = 2
drop_state = 0.2
drop_codec = 0.2
[[stages]]
steps = 8
batch = 2
frames = 3
crop = 16
loss = "mse"
space = "rgb"
warmup = 0
rate = 1e-4
"""

LEARNING = """
seed = 1
average = 0.95
report = 50
[network]
name = "fast"
channels = 8
blocks = 1
[[stages]]
steps = 200
batch = 1
frames = 1
crop = 32
windows = 2
warmup = 5
rate = 5e-3
loss = "mse"
"""

UNET = """
seed = 3
[network]
name = "unet"
channels = 4
[[stages]]
steps = 20
batch = 2
frames = 1
crop = 16
loss = "l1"
warmup = 0
"""

CASES = [
    ("fast", {}),
    ("fast", {"scale": 3, "channels": 8, "blocks": 2, "qp": False}),
    (
        "fast",
        {
            "scale": 2,
            "channels": 8,
            "blocks": 1,
            "unshuffle": 1,
            "recurrent": False,
            "look_ahead": False,
            "kinds": True,
        },
    ),
    ("unet", {}),
    ("unet", {"scale": 3, "channels": 4}),
]


def run(python: Path, *arguments: object, cwd: Path | None = None) -> str:
    """Run the Python that has MegEngine; returns its standard error."""
    done = subprocess.run([python, *map(str, arguments)], capture_output=True, text=True, env=ONE_THREAD, cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def twin(python: Path, function: str, folder: Path) -> None:
    """Run a function of twin.py on a folder."""
    run(python, Path(__file__).with_name("twin.py"), function, folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("store"))


def test_forward_is_torchs(megengine: Path, tmp_path: Path) -> None:
    """All networks, branched and fused, with weights large enough for every layer to count: within 1e-5."""
    cases, wanted = [], []
    for number, (name, options) in enumerate(CASES):
        torch.manual_seed(number)
        kind, make = models.MODELS[name]
        net = kind(make(**options)).eval()
        for parameter in net.parameters():
            parameter.data += 0.03 * torch.randn_like(parameter)
        feed = export.inputs(net, 24, 16, "step")
        with torch.no_grad():
            wanted.append(net.step(*feed.values()))
        np.savez(tmp_path / f"{number}.npz", **feed)
        save_file(dict(net.named_parameters()), tmp_path / f"{number}.safetensors")
        defaults = dataclasses.asdict(make())
        cases.append({"file": number, "network": name, "options": options, "defaults": defaults})
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    twin(megengine, "forward", tmp_path)
    for number, theirs in enumerate(wanted):
        made = np.load(tmp_path / f"{number}.made.npz")
        for form, (k, tensor) in itertools.product(("plain", "fused"), enumerate(theirs)):
            assert float(tensor.abs().max()) > 0.5
            assert float(np.abs(made[f"{form}{k}"] - tensor.numpy()).max()) <= 1e-5, (CASES[number], form)


@pytest.mark.parametrize("text", [FAST + "distil = 0.3\n", UNET], ids=["fast", "unet"])
def test_twenty_steps_are_torchs(megengine: Path, store: Path, tmp_path: Path, text: str) -> None:
    """From the same weights the same batches give the same losses, within 1e-5; then either reads the other's state."""
    second = write_pairs(tmp_path / "second", clips=1, width=96)
    path = tmp_path / "recipe.toml"
    teacher = f"teacher = {json.dumps(str(tmp_path / 'teacher'))}\n" * ("distil" in text)
    path.write_text(f"store = {json.dumps([str(store), str(second)])}\n{teacher}{text}")
    asked = recipe.load(path)
    ours = state.start(asked, ALONE.device)
    kept_as(ours, tmp_path / "teacher", text)
    for name, parameter in ours.net.named_parameters():
        parameter.data += 0.03 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name)))
        ours.average[name].copy_(parameter.detach())
    kept_as(ours, tmp_path / "init", text)
    means = step.equip(asked, ALONE)
    losses = [step.take_step(ours, means, window, [])[0] for window in step.windows(ours, means)]
    twin(megengine, "curve", tmp_path)
    theirs = json.loads((tmp_path / "losses.json").read_text())
    assert len(losses) == len(theirs) == 20
    for mine, other in zip(losses, theirs, strict=True):
        assert mine.pop("norm") == pytest.approx(other.pop("norm"), rel=1e-4)
        assert mine == pytest.approx(other, abs=1e-5)
    wanted, made = (load_file(tmp_path / name / "state.safetensors") for name in ("init", "ours"))
    assert all(torch.any(wanted[k] != made[k]) for k in wanted if k.startswith("net."))

    (tmp_path / "ours" / "recipe.toml").write_text(text)
    made_file = export.export(tmp_path / "ours", "mine", tmp_path, {})
    grey = tuple(np.full(size, 90, np.uint8) for size in ((16, 24), (8, 12), (8, 12)))
    frames = [Frame(grey, pts=0), Frame(grey, pts=1)]
    for engine in ("onnxruntime", "openvino", "torch"):
        restored = list(restore(frames, model=str(made_file.path), engine=engine, threads=1))
        assert [(f.width, f.height) for f in restored] == [(96, 64)] * 2

    kept_as(ours, tmp_path / "theirs", text)
    twin(megengine, "again", tmp_path)
    kept, facts = state.read(tmp_path / "theirs" / "state.safetensors")
    back, facts_back = state.read(tmp_path / "back" / "state.safetensors")
    assert kept.keys() == back.keys() == made.keys()
    assert all(kept[k].dtype == back[k].dtype and torch.equal(kept[k], back[k]) for k in kept)
    assert facts_back.pop("framework") == "MegEngine 1.13.0"
    assert facts == facts_back


def kept_as(run: state.Run, folder: Path, text: str) -> None:
    """Leave the run's state and recipe in a folder."""
    folder.mkdir()
    state.save(run, folder)
    (folder / "recipe.toml").write_text(text)


def test_it_learns_from_real_clips(megengine: Path, tmp_path: Path) -> None:
    """200 steps on the sample film, stopped after the first and continued: the loss falls, bicubic is beaten."""
    ffmpeg("-i", ROOT / "samples" / "bunny-original.webm", "-t", 1.5, "-c", "copy", tmp_path / "film.webm")
    clips.build([tmp_path / "film.webm"], tmp_path / "store", variants=1, shots=1)
    (tmp_path / "recipe.toml").write_text(LEARNING)
    command = ("-m", "subpixel.learn.megengine", "recipe.toml", "--store", "store", "--out", "run")
    said = run(megengine, *command, "--seconds", 0, cwd=tmp_path)
    assert "Time is over at step 1 of 200; run the same command to continue." in said
    pairs = Store(tmp_path / "store")
    (same,) = pairs.sample(np.random.default_rng(0), batch=32, frames=2, crop=32, windows=1)
    before = loss(tmp_path / "run", same)
    assert "run: all 200 steps are done." in run(megengine, *command, cwd=tmp_path)
    assert loss(tmp_path / "run", same) < 0.97 * before
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [50, 100, 150, 200]

    made = export.export(tmp_path / "run", "mine", tmp_path, {})
    assert made.card["training"]["framework"] == "MegEngine 1.13.0"
    sharp, low = (frames[:8] for frames in pairs.frames(pairs.clips[0]))
    score = {model: psnr(restore(low, model=model, threads=1), sharp) for model in ("bicubic", str(made.path))}
    assert score[str(made.path)] > score["bicubic"] + 0.1


def loss(folder: Path, pair: Pair) -> float:
    """Mean squared error, by torch, of the averaged weights that a run has."""
    net = state.trained(folder)
    with torch.no_grad():
        made = net(pair.y, pair.uv, pair.codec(net.codec), torch.zeros(len(pair.y), 8, 16, 16))
    return float(picture_loss("mse", "planes", (made.luma, made.chroma), (pair.target_y, pair.target_uv)))


def psnr(restored: Iterable[Frame], sharp: Iterable[Frame]) -> float:
    """Pooled RGB PSNR in dB."""
    total = metrics.Tally()
    for _, tally in metrics.tallies(restored, sharp, with_ssim=False):
        total += tally
    return total.rgb.psnr


def test_a_killed_run_continues_bit_for_bit(megengine: Path, store: Path, tmp_path: Path) -> None:
    """kill -9 in the middle, the same command again: the state of the run nobody disturbed."""
    (tmp_path / "recipe.toml").write_text(FAST)
    command = ["-m", "subpixel.learn.megengine", "recipe.toml", "--store", str(store), "--save-seconds", "0", "--out"]
    run(megengine, *command, "whole", cwd=tmp_path)
    victim = subprocess.Popen([megengine, *command, "cut"], cwd=tmp_path, env=ONE_THREAD, stderr=subprocess.DEVNULL)
    path = tmp_path / "cut" / "state.safetensors"
    for _ in itertools.takewhile(lambda _: not path.exists(), range(6000)):
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert 0 < int(state.read(path)[1]["step"]) < 20
    run(megengine, *command, "cut", cwd=tmp_path)
    (whole, facts), (cut, facts_cut) = (state.read(tmp_path / name / "state.safetensors") for name in ("whole", "cut"))
    assert facts == facts_cut
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[k], cut[k]) for k in whole)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('name = "fast"', 'name = "best"'), "name must be one of fast, unet, not 'best'"),
        (("kinds = true", "motion = true"), "motion = true is not to be had with MegEngine; set motion = false"),
        (("batch = 2", "batch = 2\nwarp = 0.1"), "A stage has a warp loss, but fast gives no flow here; set warp = 0."),
        (("seed = 3", 'device = "cuda:7"'), "MegEngine finds no CUDA device for 'cuda:7'; choose auto or cpu."),
    ],
    ids=["network", "motion", "warp", "device"],
)
def test_what_it_cannot_do_is_said(
    megengine: Path, store: Path, tmp_path: Path, change: tuple[str, str], sentence: str
) -> None:
    (tmp_path / "recipe.toml").write_text(FAST.replace(*change, 1))
    command = [megengine, "-m", "subpixel.learn.megengine", "recipe.toml", "--store", str(store), "--out", "run"]
    done = subprocess.run(command, cwd=tmp_path, env=ONE_THREAD, capture_output=True, text=True)
    assert done.returncode == 2
    assert sentence in done.stderr
