"""From sharp frames to a shipped file at small scale: pairs, loop, resumption, export."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from subpixel import weights
from subpixel.degrade import Recipe, degrade_frames
from subpixel.errors import InputError, UsageError, VerificationError
from subpixel.frames import Frame
from subpixel.learn import clips, export, losses
from subpixel.learn.train import TrainOptions, learning_rate, start, train

torch.set_num_threads(1)  # the same sums in the same order on every machine, and no waiting for a busy core

TINY = TrainOptions(steps=6, batch=2, frames=2, crop=16, windows=2, warmup=2, channels=8, blocks=1)


def moving(count: int = 12, width: int = 192, height: int = 128, seed: int = 0) -> list[Frame]:
    """A soft random texture that slides diagonally."""
    rng = np.random.default_rng(seed)
    texture = np.kron(rng.random((20, 24)), np.ones((12, 12))) * 180 + 30
    frames = []
    for t in range(count):
        luma = texture[t : t + height, 2 * t : 2 * t + width].astype(np.uint8)
        chroma = np.full((height // 2, width // 2), 128 + t, np.uint8)
        frames.append(Frame((luma, chroma, chroma), pts=t))
    return frames


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    for k in range(2):
        clips.write_clip(folder / f"clip{k}", moving(seed=k), Recipe(), {"source": f"clip{k}"})
    return folder


def test_a_pair_is_what_the_real_command_made(store: Path) -> None:
    low = list(degrade_frames(moving(), Recipe()))
    kept = np.load(store / "clip0" / "lr_y.npy")
    assert np.array_equal(kept, np.stack([f.planes[0] for f in low]))
    facts = json.loads((store / "clip0" / "clip.json").read_text())
    assert facts["kinds"][0] == "I"
    assert facts["frames"] == 12
    assert 5 < np.load(store / "clip0" / "qp.npy").mean() < 40


def test_crops_of_both_sides_show_the_same_place(store: Path) -> None:
    """The sharp crop, shrunk, is the degraded crop up to the codec's noise, whatever the flip."""
    rng = np.random.default_rng(0)
    for _ in range(12):
        y, uv, qp, sharp, sharp_uv = clips.Store(store).crops(rng, 3, 16)
        assert (y.shape, uv.shape, qp.shape) == ((5, 16, 16), (3, 2, 8, 8), (3, 1, 8, 8))
        assert (sharp.shape, sharp_uv.shape) == ((3, 64, 64), (3, 2, 32, 32))
        shrunk = sharp.reshape(3, 16, 4, 16, 4).mean(axis=(2, 4))
        inside = (slice(None), slice(2, -2), slice(2, -2))
        assert np.corrcoef(shrunk[inside].ravel(), y[1:-1][inside].ravel())[0, 1] > 0.9


def test_windows_follow_each_other(store: Path) -> None:
    first, second = clips.Store(store).sample(np.random.default_rng(1), batch=2, frames=2, crop=16, windows=2)
    assert torch.equal(first.y[:, -2:], second.y[:, :2])
    assert first.target_y.shape == (2, 2, 1, 64, 64)
    assert first.y.max() <= 1


def test_times_beyond_the_ends_are_reflected() -> None:
    assert clips.reflect(np.arange(-2, 8), 4).tolist() == [2, 1, 0, 1, 2, 3, 2, 1, 0, 1]
    assert clips.reflect(np.arange(3), 1).tolist() == [0, 0, 0]


def test_crop_boxes_stay_on_even_samples() -> None:
    cut = clips.crop(moving(1)[0], (0.1, 0.12, 0.9, 0.99))
    assert (cut.width % 2, cut.height % 2) == (0, 0)
    assert np.array_equal(cut.planes[0][0], moving(1)[0].planes[0][int(128 * 0.12) & ~1][18:172])


def test_photographs_become_moving_pictures(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8).repeat(24, 0).repeat(24, 1)
    subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            "1440x960",
            "-i",
            "-",
            tmp_path / "a.jpg",
        ],
        input=picture.tobytes(),
        check=True,
    )
    frames = clips.photo_frames(tmp_path / "a.jpg", 3, width=96, height=64, frames=5)
    assert [f.pts for f in frames] == list(range(5))
    assert {(f.width, f.height, f.format) for f in frames} == {(96, 64, "yuv420p")}
    again = clips.photo_frames(tmp_path / "a.jpg", 3, width=96, height=64, frames=5)
    assert all(np.array_equal(a.planes[0], b.planes[0]) for a, b in zip(frames, again, strict=True))


def test_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no training clips; make them with python -m subpixel\.learn\.clips"):
        clips.Store(tmp_path)


def test_learning_rate_rises_then_falls() -> None:
    o = TrainOptions(steps=1000, warmup=100)
    rates = [learning_rate(s, o) for s in (0, 99, 100, 550, 1000)]
    assert rates[0] < rates[1] == pytest.approx(o.rate) == rates[2] > rates[3] > rates[4]
    assert rates[4] == pytest.approx(o.final_rate)


def test_losses_at_known_errors() -> None:
    error = torch.tensor([0.0, 3e-3, -4e-3])
    assert losses.squared(error).tolist() == pytest.approx([0, 9e-6, 1.6e-5])
    assert losses.charbonnier(error, 4e-3).tolist() == pytest.approx([4e-3, 5e-3, 32**0.5 * 1e-3])
    loss = losses.frame_loss("mse", torch.full((1, 1, 4, 4), 0.5), torch.full((1, 2, 2, 2), 0.1))
    assert float(loss) == pytest.approx(0.25 + (losses.WEIGHT_U + losses.WEIGHT_V) * 0.01)


def test_training_lowers_the_loss(store: Path, tmp_path: Path) -> None:
    """On the very same batch, the trained network is nearer to the sharp frames than the untrained, plain bicubic."""
    o = dataclasses.replace(TINY, steps=40, rate=3e-3, loss="mse")
    run = train(clips.Store(store), tmp_path / "run", o, report=10)
    (pair,) = clips.Store(store).sample(np.random.default_rng(9), batch=8, frames=2, crop=16, windows=1)
    errors = []
    for net in (start(o).net, run.net):
        with torch.no_grad():
            lumas, _, _ = net(pair.y, pair.uv, pair.qp, net.hidden(8, 16, 16))
        errors.append(float(sum(((m - pair.target_y[:, t]) ** 2).mean() for t, m in enumerate(lumas))))
    assert errors[1] < 0.97 * errors[0]
    reported = [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert reported == sorted(reported)
    assert reported[-1] >= 40


def test_a_killed_run_continues_bit_for_bit(store: Path, tmp_path: Path) -> None:
    """kill -9 in the middle, the same command again: the same weights as the run nobody disturbed."""
    command = [sys.executable, "-m", "subpixel.learn.train", str(store)]
    flags = ["--steps", "60", "--batch", "2", "--frames", "2", "--crop", "16", "--channels", "8", "--blocks", "1"]
    flags += ["--threads", "1", "--save-seconds", "0"]
    subprocess.run([*command, tmp_path / "whole", *flags], check=True, stdout=subprocess.DEVNULL)
    victim = subprocess.Popen([*command, tmp_path / "cut", *flags], stdout=subprocess.DEVNULL)
    state = tmp_path / "cut" / "state.safetensors"
    for _ in itertools.takewhile(lambda _: not state.exists(), range(3000)):
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    subprocess.run([*command, tmp_path / "cut", *flags], check=True, stdout=subprocess.DEVNULL)
    whole, cut = load_file(tmp_path / "whole" / "state.safetensors"), load_file(state)
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[k], cut[k]) for k in whole)


def test_a_run_refuses_other_options(store: Path, tmp_path: Path) -> None:
    train(clips.Store(store), tmp_path, dataclasses.replace(TINY, steps=1))
    with pytest.raises(UsageError, match=r"other options \(rate was 0\.001 and is now 0\.5\); name another folder"):
        train(clips.Store(store), tmp_path, dataclasses.replace(TINY, steps=1, rate=0.5))


def test_a_store_of_another_scale_is_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds pairs of scale 4, the network is of scale 2; use --scale"):
        train(clips.Store(store), tmp_path, dataclasses.replace(TINY, scale=2))


@pytest.mark.parametrize("scale", [2, 3])
def test_other_scales_start_from_the_weights_of_four(store: Path, tmp_path: Path, scale: int) -> None:
    clips.write_clip(tmp_path / "store" / "clip", moving(width=192, height=96), Recipe(scale=scale), {"source": "clip"})
    train(clips.Store(store), tmp_path / "four", TINY)
    o = dataclasses.replace(TINY, scale=scale, init=str(tmp_path / "four"), steps=4)
    train(clips.Store(tmp_path / "store"), tmp_path / "run", o)
    made = export.export(tmp_path / "run", "tiny", tmp_path, {})
    assert (made.scale, made.path.name) == (scale, f"tiny-x{scale}.onnx")


def test_a_loss_that_is_no_number_stops_the_run(store: Path, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"The loss became (nan|inf) at step [0-9]+; lower --rate"):
        train(clips.Store(store), tmp_path, dataclasses.replace(TINY, steps=50, rate=1e30, warmup=0, loss="mse"))


def test_export_is_checked_against_torch(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(clips.Store(store), tmp_path / "run", TINY)
    made = export.export(tmp_path / "run", "tiny", tmp_path, {"quality": {"rgb_psnr": 1.0}})
    assert weights.load(str(made.path), 4).card["quality"] == {"rgb_psnr": 1.0}
    assert made.card["training"]["steps"] == 6
    nines = tuple(np.full(1, 9.0, np.float32) for _ in range(3))
    monkeypatch.setattr(export.engines, "load", lambda *_, **__: lambda *_: nines)
    with pytest.raises(
        VerificationError, match=r"tiny-x4\.onnx differs from the trained network by .*; do not ship it"
    ):
        export.export(tmp_path / "run", "tiny", tmp_path, {})
