"""Networks over frames: engines, tiles, windows, chunks, precision, memory that runs out."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import Ship, trained_like
from subpixel import chunks, engines, recurrent, weights
from subpixel.errors import MemoryLimitError, UsageError, WeightsError
from subpixel.frames import Frame
from subpixel.models import describe
from subpixel.models.best import Best, BestOptions
from subpixel.models.fast import Fast, FastOptions
from subpixel.models.frvsr import Frvsr, FrvsrOptions

restore = importlib.import_module("subpixel.restore")  # subpixel.restore itself is the public function

SMALL = BestOptions(channels=8, blocks=1, back_blocks=1, groups=2, flow_channels=4)
NETWORKS = {
    "fast": (Fast, FastOptions(channels=16, blocks=2)),
    "frvsr": (Frvsr, FrvsrOptions(blocks=1, channels=8, flow_channels=2)),
    "best": (Best, SMALL),
}


@pytest.fixture(scope="module", params=NETWORKS)
def net(request: pytest.FixtureRequest) -> Fast | Best | Frvsr:
    """Each of the networks, small, with noise for weights."""
    return trained_like(*NETWORKS[request.param])


def clip(count: int = 6, width: int = 64, height: int = 48, seed: int = 0) -> list[Frame]:
    """A smooth random picture that moves by a pixel a frame, with all that a codec says."""
    rng = np.random.default_rng(seed)
    low = rng.random((height // 6 + 3, width // 6 + 3 + count))
    vectors = np.dtype(
        [(n, "i4") for n in ("source", "w", "h", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale")]
    )
    frames = []
    for t in range(count):
        planes = []
        for size in ((height, width), (height // 2, width // 2), (height // 2, width // 2)):
            picture = np.kron(low, np.ones((6, 6)))[: size[0], t : t + size[1]]
            planes.append((60 + picture * 120).astype(np.uint8))
        motion = np.array(
            [(-1, 16, 16, x + 8, y + 8, 4, 0, 4) for y in range(0, height, 16) for x in range(0, width, 16)], vectors
        )
        qp = rng.integers(15, 35, (-(-height // 16), -(-width // 16))).astype(np.int16)
        frames.append(Frame(tuple(planes), pts=t, kind="IBBP"[t % 4], qp=qp, motion=motion))
    return frames


def difference(a: Frame, b: Frame) -> int:
    return max(int(np.abs(p.astype(int) - q).max()) for p, q in zip(a.planes, b.planes, strict=True))


def worst(one: Iterator[Frame] | list[Frame], other: Iterator[Frame] | list[Frame]) -> int:
    return max(difference(a, b) for a, b in zip(one, other, strict=True))


def test_engines_and_the_module_itself_agree_over_time(net: Fast | Best | Frvsr, ship: Ship) -> None:
    path, film = str(ship(net)), clip()
    whole = list(restore.restore(film, model=net))
    assert worst(whole, restore.restore(film, model="bicubic")) > 3, "every part shows"
    for engine in ("onnxruntime", "openvino", "torch"):
        assert worst(whole, restore.restore(film, model=path, engine=engine, threads=1)) <= 1, engine


def test_tiles_give_what_the_whole_gives(net: Fast | Best | Frvsr) -> None:
    film = clip(2, 280, 180)
    network = restore.Restorer(net, tile=64)
    tiled = list(network(film))
    assert len(network._model._steps) > 0
    assert max(width for _, _, width in network._model._steps) < 280
    assert worst(restore.restore(film, model=net), tiled) <= 1


def test_windows_give_what_one_backward_pass_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    film, net = clip(26), trained_like(Best, SMALL)
    whole = list(restore.restore(film, model=net))
    ran: list[str] = []
    real = recurrent.Network._run
    monkeypatch.setattr(recurrent.Network, "_run", lambda self, part, a: ran.append(part) or real(self, part, a))  # type: ignore[func-returns-value]
    monkeypatch.setattr(recurrent, "WINDOW", 4)
    assert worst(whole, restore.restore(film, model=net)) <= 1
    assert ran[:16] == ["back"] * 12 + ["step"] * 4
    assert ran.count("step") == 26


@pytest.mark.parametrize("positions", [False, True])
def test_windows_bound_the_frames_and_the_memory_that_wait(positions: bool) -> None:
    alive = 0

    def source() -> Iterator[Frame]:
        nonlocal alive
        for frame in clip(40, 24, 16):
            alive += 1
            yield frame

    network = restore.Restorer(trained_like(Best, SMALL), ensemble=positions)
    for done, _ in zip(range(1, 6 if positions else 28), network(source()), strict=False):
        assert alive <= done + recurrent.WINDOW + recurrent.LOOK_AHEAD
    assert network._model.window(3840, 2160) == 4


@pytest.mark.parametrize("network", weights.shipped(), ids=lambda w: f"{w.name} x{w.scale}")
def test_chunks_of_a_film_come_out_as_the_whole_by_shipped_networks(network: weights.Weights) -> None:
    pieces_equal_the_whole(restore.Restorer(network.name, network.scale, threads=1))


def test_chunks_of_a_film_come_out_as_the_whole_in_two_directions() -> None:
    pieces_equal_the_whole(restore.Restorer(trained_like(Best, SMALL)))


def pieces_equal_the_whole(network: Any) -> None:
    """A shot in chunks of 20 frames, each begun with its warm-up, differs from the whole by a code value at most."""
    film = clip(50, 48, 32)
    whole = list(network(film))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "LONGEST", 20)
        found = list(chunks.restored(chunks.places(film, network.after), network, before=network.before))
    assert [number for number, _ in found] == [0] * 20 + [1] * 20 + [2] * 10
    assert [f.pts for _, f in found] == [f.pts for f in whole]
    assert worst(whole, [f for _, f in found]) <= 1


def test_shots_know_nothing_of_each_other() -> None:
    first, second = clip(5, seed=1), [f.replace(planes=(f.planes[0] // 4, *f.planes[1:])) for f in clip(5, seed=2)]
    for k, f in enumerate(second):
        luma = f.planes[0] + np.linspace(0, 160, 48).astype(np.uint8)[:, None]
        second[k] = f.replace(planes=(luma, *f.planes[1:]))
    assert restore.is_cut(first[-1], second[0])
    net = trained_like(Best, SMALL)
    apart = [*restore.restore(first, model=net), *restore.restore(second, model=net)]
    assert worst(apart, restore.restore(first + second, model=net)) == 0


def test_a_restorer_forgets_between_films() -> None:
    network = restore.Restorer(trained_like(Best, SMALL))
    film = clip(5)
    whole = list(network(film))
    next(network(clip(5, seed=3)))  # left in the middle
    assert worst(whole, network(film)) == 0


@pytest.mark.parametrize(("precision", "most"), [("bf16", 6), ("fp16", 1)])
def test_half_precision_is_close(net: Fast | Best | Frvsr, precision: str, most: int) -> None:
    film = clip(4)
    found = list(restore.restore(film, model=net, precision=precision))
    assert worst(restore.restore(film, model=net), found) <= most


def test_what_half_precision_cannot_hold_is_done_in_single() -> None:
    """Features beyond 65504 are infinite in fp16; the picture is that of single precision, bit for bit."""
    net = trained_like(Fast, FastOptions(channels=16, blocks=2, recurrent=False))
    with torch.no_grad():
        net.head.conv.weight *= 1e6
        for layer in (net.to_detail.conv, net.to_chroma):
            layer.weight *= 1e-6
    film = clip(3)
    plain = list(restore.restore(film, model=net))
    with torch.inference_mode(), torch.autocast("cpu", torch.float16):
        alone = net.step(*(torch.rand(1, n, 32 // d, 32 // d) for n, d in ((3, 1), (2, 2), (1, 2), (16, 2))))
    assert not torch.isfinite(alone[0]).all(), "the case is a real one"
    assert worst(plain, restore.restore(film, model=net, precision="fp16")) == 0


def test_values_that_are_no_numbers_even_in_single_precision_stop_the_work() -> None:
    net = Fast(FastOptions(channels=16, blocks=2))
    with torch.no_grad():
        net.to_luma.bias.fill_(torch.nan)
    for precision in ("fp32", "bf16"):
        with pytest.raises(WeightsError, match="network fast gave values that are not numbers with the engine torch"):
            list(restore.restore(clip(1), model=net, precision=precision))


class Hungry(Fast):
    """A network whose card is full as soon as a tile has more than `most` pixels."""

    most = 0

    def step(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `Fast`, where there is room."""
        if y.shape[2] * y.shape[3] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().step(y, uv, codec, state)


def test_a_full_card_gets_smaller_tiles() -> None:
    film = clip(3, 200, 160)
    net = trained_like(Hungry, FastOptions(channels=8, blocks=1))
    net.most = 10**9
    whole = list(restore.restore(film, model=net))
    net.most = 120 * 100
    assert worst(whole, restore.restore(film, model=net)) <= 1
    net.most = 10
    with pytest.raises(MemoryLimitError, match="not enough memory for tiles of 32 pixels and their margins"):
        list(restore.restore(film, model=net))


def test_torchs_own_words_for_too_little_memory_are_understood() -> None:
    class Greedy(Hungry):
        def step(self, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            torch.empty(1 << 60)
            raise AssertionError

    with pytest.raises(MemoryLimitError, match="not enough memory for tiles"):
        list(restore.restore(clip(1), model=Greedy(FastOptions(channels=8, blocks=1))))


def test_tiles_too_small_are_refused() -> None:
    with pytest.raises(UsageError, match="Tiles of 8 pixels are too small; take 32 or more, or 0"):
        list(restore.restore(clip(1), tile=8))


def test_a_torch_network_needs_neither_codecs_nor_onnxruntime() -> None:
    """A machine that trains has neither; validation there is this very code."""
    code = """
import sys
sys.modules.update(dict.fromkeys(("av", "onnxruntime", "openvino", "onnx")))  # importing them raises
import numpy as np, torch
from subpixel.restore import restore
from subpixel.frames import Frame
from subpixel.models import describe
from subpixel.models.best import Best, BestOptions
from subpixel.models.fast import Fast
film = [Frame(tuple(np.full(s, 99, np.uint8) for s in ((32, 48), (16, 24), (16, 24)))) for _ in range(3)]
for net in (Fast(), Best(BestOptions(channels=8, blocks=1))):
    assert [f.width for f in restore(film, model=net, ensemble=isinstance(net, Fast))] == [192] * 3
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_look_ahead_and_warm_up_are_the_cards() -> None:
    card = describe(Best(SMALL))
    network = recurrent.Network(weights.Weights(Path("best.onnx"), card), engines.Engine("torch"))
    assert (network.warm_up, network.look_ahead) == (recurrent.WARM_UP, recurrent.LOOK_AHEAD)
    network = recurrent.Network(
        weights.Weights(Path("best.onnx"), {**card, "warm_up": 30, "look_ahead": 5}), engines.Engine("torch")
    )
    assert (network.warm_up, network.look_ahead) == (30, 5)
    assert recurrent.Network(Fast(), engines.Engine("torch")).look_ahead == 0


def test_memory_is_guessed_from_tile_positions_and_window(net: Fast | Best | Frvsr) -> None:
    whole, turned = restore.Restorer(net), restore.Restorer(net, ensemble=True)
    assert whole.memory(160, 96) < whole.memory(640, 360) < turned.memory(640, 360)
    assert whole.memory(3840, 2160, tile=64) < whole.memory(3840, 2160)
    assert restore.Restorer("bicubic").memory(640, 360) == 0
