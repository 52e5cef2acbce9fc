"""The eight positions of a picture, alone and around a network."""

import importlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from conftest import trained_like
from subpixel import engines, ensemble
from subpixel.ensemble import TURNS, UPRIGHT
from subpixel.errors import UsageError
from subpixel.frames import Frame
from subpixel.models.best import Best, BestOptions
from subpixel.models.fast import Fast, FastOptions
from subpixel.recurrent import Moment, Network

restore = importlib.import_module("subpixel.restore")  # subpixel.restore itself is the public function
PLAIN = engines.Engine("torch")


@given(st.integers(1, 5), st.integers(1, 5))
def test_eight_positions_and_back(height: int, width: int) -> None:
    picture = np.arange(2 * height * width, dtype=np.float32).reshape(2, height, width)
    assert all(np.array_equal(turn.back(turn(picture)), picture) for turn in TURNS)
    square = np.random.default_rng(0).random((1, 3, 3), np.float32)
    assert len({turn(square).tobytes() for turn in TURNS}) == 8


@pytest.mark.parametrize("turn", TURNS)
def test_vectors_point_to_the_same_thing(turn: ensemble.Turn) -> None:
    """What lies at p + v(p) lies there still when picture and vectors are turned."""
    rng = np.random.default_rng(0)
    picture = rng.random((1, 20, 30), np.float32)
    vectors = rng.integers(-3, 4, (2, 20, 30)).astype(np.float32)

    def fetched(picture: ensemble.Float32, vectors: ensemble.Float32) -> ensemble.Float32:
        height, width = picture.shape[1:]
        y, x = np.mgrid[:height, :width]
        there = np.clip(y + vectors[1], 0, height - 1), np.clip(x + vectors[0], 0, width - 1)
        return picture[:, there[0].astype(int), there[1].astype(int)]

    both = turn.vectors(np.concatenate([vectors, -vectors]))
    np.testing.assert_array_equal(turn.back(fetched(turn(picture), both[:2])), fetched(picture, vectors))
    np.testing.assert_array_equal(both[2:], -both[:2])


class Shift(Fast):
    """Linear, with a known answer: every sample from its left neighbour, nothing learnt."""

    def step(self, y: Tensor, uv: Tensor, _: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        luma, chroma = (F.pad(x, (1, 0, 0, 0), mode="replicate")[..., :-1] for x in (y[:, 1:2], uv))
        return luma, chroma, state


class Mean(Fast):
    """The same in every position: the mean of all neighbours, and of the frame before by way of the state."""

    def step(self, y: Tensor, uv: Tensor, _: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        luma, chroma = (F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1) for x in (y[:, 1:2], uv))
        return luma, chroma * 0.5 + state[:, :2] * 0.5, chroma.repeat(1, 16, 1, 1)


def frames(count: int = 1, width: int = 34, height: int = 22) -> list[Frame]:
    rng = np.random.default_rng(0)
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    return [Frame(tuple(rng.integers(90, 160, s, dtype=np.uint8) for s in shapes)) for _ in range(count)]


def test_the_mean_over_all_positions_is_taken_before_rounding() -> None:
    """A shift to the left, in eight positions, is the mean of the four neighbours."""
    (frame,) = frames()
    (found,) = restore.restore([frame], model=Shift(FastOptions(scale=1, qp=False)), scale=1, ensemble=True)
    for before, after in zip(frame.planes, found.planes, strict=True):
        p = np.pad(before, 1, mode="edge").astype(float)
        want = (p[1:-1, :-2] + p[1:-1, 2:] + p[:-2, 1:-1] + p[2:, 1:-1]) / 4
        assert np.abs(after - want).max() <= 0.5 + 1e-3


def test_a_network_without_a_preferred_direction_gives_the_same_in_all() -> None:
    film = frames(4)
    net = Mean(FastOptions(scale=1, qp=False))
    for one, other in zip(
        restore.restore(film, model=net), restore.restore(film, model=net, ensemble=True), strict=True
    ):
        assert max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(one.planes, other.planes, strict=True)) <= 1


def test_every_position_has_a_memory_and_a_future_of_its_own() -> None:
    """The mean is that of eight runs over a turned film."""
    film = frames(3)
    net = trained_like(Best, BestOptions(channels=8, blocks=1, back_blocks=1, flow_channels=4, motion=False))
    runs = []
    for turn in TURNS:
        turned = [Frame(tuple(np.ascontiguousarray(turn(p)) for p in f.planes)) for f in film]
        lumas = run(net, turned)
        runs.append([turn.back(luma) for luma in lumas])
    wanted = [np.mean(of_frame, axis=0) for of_frame in zip(*runs, strict=True)]
    for want, found in zip(wanted, run(net, film, turned=True), strict=True):
        assert np.abs(want - found).max() <= 1


def run(net: Fast | Best, film: list[Frame], turned: bool = False) -> list[ensemble.Float32]:
    network = Network(net, PLAIN, turned=turned)
    moments = [Moment(film[max(0, k - 1)], f, film[min(k + 1, len(film) - 1)]) for k, f in enumerate(film)]
    told = network.backward(moments, len(moments))
    return [network.forward(m, t).planes[0].astype(np.float32) for m, t in zip(moments, told, strict=True)]


def test_an_ensemble_of_a_method_is_refused() -> None:
    with pytest.raises(UsageError, match="--ensemble is for networks; lanczos gives the same in all positions"):
        list(restore.restore(frames(), model="lanczos", ensemble=True))


def test_one_alone_is_its_own_mean() -> None:
    picture = np.ones((2, 2), np.float32)
    assert ensemble.mean([picture]) is picture
    assert UPRIGHT(picture).base is picture
    assert torch.equal(torch.from_numpy(ensemble.mean([picture, 2 * picture])), torch.full((2, 2), 1.5))
