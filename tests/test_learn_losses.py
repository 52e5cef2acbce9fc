"""Losses at errors computed by hand, and against the pinned conversion."""

import numpy as np
import pytest
import torch

from subpixel import color
from subpixel.frames import Frame
from subpixel.learn import losses


def test_losses_at_known_errors() -> None:
    error = torch.tensor([0.0, 3e-3, -4e-3])
    assert losses.LOSSES["mse"](error).tolist() == pytest.approx([0, 9e-6, 1.6e-5])
    assert losses.LOSSES["l1"](error).tolist() == pytest.approx([0, 3e-3, 4e-3])
    assert losses.charbonnier(error, 4e-3).tolist() == pytest.approx([4e-3, 5e-3, 32**0.5 * 1e-3])


def test_planes_are_weighted() -> None:
    made = torch.full((2, 3, 1, 4, 4), 0.5), torch.full((2, 3, 2, 2, 2), 0.1)
    wanted = torch.zeros_like(made[0]), torch.zeros_like(made[1])
    expected = 0.25 + (losses.WEIGHT_U + losses.WEIGHT_V) * 0.01
    assert float(losses.picture_loss("mse", "planes", made, wanted)) == pytest.approx(expected)


def test_weights_of_planes_are_what_they_do_to_rgb() -> None:
    """A small error of one plane, squared, through the matrix: the plane loss is the RGB loss up to one factor."""
    grey = torch.full((1, 1, 1, 8, 8), 0.5), torch.full((1, 1, 2, 4, 4), 0.5)
    ratios = []
    for plane, index in ((0, 0), (1, 0), (1, 1)):
        off = [p.clone() for p in grey]
        off[plane][:, :, index] += 0.01
        both = [float(losses.picture_loss("mse", space, (off[0], off[1]), grey)) for space in ("planes", "rgb")]
        ratios.append(both[1] / both[0])
    assert ratios == pytest.approx([(255 / 219) ** 2] * 3, rel=0.01)


def test_rgb_is_that_of_the_score() -> None:
    """Up to two roundings, and to what the scaler does before the border and where it overshoots on the way."""
    rng = np.random.default_rng(0)
    luma, chroma = rng.integers(0, 256, (32, 48)).astype(np.uint8), rng.integers(64, 192, (2, 16, 24)).astype(np.uint8)
    planes = torch.from_numpy(luma)[None, None] / 255, torch.from_numpy(chroma)[None] / 255
    ours = losses.to_rgb(*planes)[0].permute(1, 2, 0).numpy() * 255
    difference = np.abs(ours - color.to_rgb(Frame((luma, chroma[0], chroma[1]))))[6:-6, 6:-6]
    assert difference.max() < 2.1
    assert difference.mean() < 0.5


def test_a_flow_that_explains_costs_nothing() -> None:
    """Frames that slide by two cells: their flow leaves Charbonnier's epsilon, no flow and its opposite leave more."""
    texture = torch.nn.functional.avg_pool2d(torch.rand(1, 1, 40, 60, generator=torch.Generator().manual_seed(0)), 5, 1)
    clean = torch.stack([texture[:, :, 4:28, 8 * t : 8 * t + 32] for t in range(2)], 1)  # 24x32, cells of 4

    def loss(x: float) -> float:
        flow = torch.tensor([x, 0.0]).view(1, 2, 1, 1).expand(1, 2, 6, 8)
        return float(losses.warp_loss([(flow, 0, 1)], clean))

    assert loss(2.0) == pytest.approx(1e-3 * 6 / 8, rel=1e-4)  # two of eight columns come from beyond the border
    assert loss(0.0) > 10 * loss(2.0)
    assert loss(-2.0) > 10 * loss(2.0)
    assert float(losses.warp_loss([], clean)) == 0
