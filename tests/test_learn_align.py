"""Targets that lie beside what the input shows, by flows that are known; a training step that takes them moved."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F

from pairs import write_pairs
from subpixel.errors import UsageError
from subpixel.learn import align, state, step
from subpixel.learn import recipe as recipes
from subpixel.learn.team import Team


def sharp() -> torch.Tensor:
    return torch.from_numpy(skimage.data.astronaut()[0:256, 100:356].mean(2)).float()[None, None] / 255


@pytest.mark.parametrize("scale", [2, 4])
def test_a_smooth_flow_is_found(scale: int) -> None:
    """Up to 2 and 1.5 pixels, half a wave over 256: to 0.2 pixels in the median, for walls without texture show none;
    and the target gains 6 dB and more by it."""
    picture = sharp()
    wave = torch.linspace(0, np.pi, 256)
    across, down = torch.meshgrid(2 * torch.sin(wave), 1.5 * torch.cos(wave), indexing="ij")
    moved = torch.stack([across, down])[None]
    target = align.sample(picture, moved)
    low = F.avg_pool2d(picture, scale)
    found = align.residual_flow(target, low)
    truth = -moved
    for _ in range(20):  # what the input shows at p is in the target at p + truth(p)
        truth = -align.sample(moved, truth)
    inner = (..., slice(32, -32), slice(32, -32))
    assert float((found - truth)[inner].pow(2).sum(1).sqrt().median()) < 0.2
    again = align.sample(target, found)
    errors = [float((p - picture)[inner].pow(2).mean()) for p in (target, again)]
    assert 10 * np.log10(errors[0] / errors[1]) > 6


def test_what_lies_right_stays() -> None:
    picture = sharp()
    found = align.residual_flow(picture, F.avg_pool2d(picture, 4))
    assert float(found.pow(2).sum(1).mean().sqrt()) < 0.02


def test_chroma_moves_with_luma() -> None:
    """A whole shift by (4, 2): luma and chroma of the target come back, up to what interpolation costs."""
    picture = sharp()
    chroma = F.avg_pool2d(picture, 2).repeat(1, 2, 1, 1)
    luma, low = picture.roll((2, 4), (-2, -1)), F.avg_pool2d(picture, 4)
    made = align.aligned(luma[:, None], chroma.roll((1, 2), (-2, -1))[:, None], low[:, None])
    inner = (..., slice(24, -24), slice(24, -24))
    assert float((made[0][:, 0] - picture)[inner].abs().mean()) < 0.2 * float((luma - picture)[inner].abs().mean())
    assert float((made[1][:, 0] - chroma)[inner].abs().mean()) < 0.01


def test_a_stage_may_align_its_targets(tmp_path: Path) -> None:
    store = write_pairs(tmp_path / "store")
    table = {"store": str(store), "network": {"name": "fast", "channels": 8, "blocks": 1}}
    stage = {"steps": 4, "batch": 2, "frames": 1, "crop": 16, "warmup": 0, "windows": 1, "loss": "l1", "drop_codec": 0}
    team = Team(0, 1, torch.device("cpu"))
    asked = recipes.parse(table | {"stages": [stage | {"align": True}]}, "r.toml")
    means, run = step.equip(asked, team), state.start(asked, team.device)
    window = next(step.windows(run, means))
    found, _ = step.objective(run, means, window)
    pair = window.pair
    made = run.net(pair.y, pair.uv, pair.codec(("qp",)), torch.zeros(2, 8, 8, 8))
    wanted = align.aligned(pair.target_y, pair.target_uv, pair.y[:, 1:-1, None])
    assert torch.equal(found["main"], step.picture_loss("l1", "planes", (made.luma, made.chroma), wanted))


def test_cobi_compares_planes() -> None:
    stage = {"steps": 4, "loss": "cobi", "space": "rgb"}
    with pytest.raises(UsageError, match=r'stage 1: loss = "cobi" compares patches of luma; set space = "planes"'):
        recipes.parse({"network": {"name": "fast"}, "stages": [stage]}, "r.toml")
