"""The contextual bilateral loss against a search written out in NumPy, its gradient, what shifts cost, its memory."""

import subprocess
import sys

import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F

from subpixel.learn import losses
from subpixel.learn.cobi import PATCH, best_places, cobi


def written_out(made: np.ndarray, wanted: np.ndarray, window: int, spatial: float) -> float:
    """The loss of planes (H, W) by its definition, patch against patch."""
    height, width = made.shape
    reach, rim = window // 2, PATCH // 2
    p, q = (np.pad(plane, rim, mode="edge") for plane in (made, wanted))

    def cost(i: int, j: int, k: int, m: int) -> float:
        a, b = p[i : i + PATCH, j : j + PATCH], q[k : k + PATCH, m : m + PATCH]
        far = ((k - i) ** 2 + (m - j) ** 2) / (2 * reach**2)
        return float(((a - b) ** 2).mean() / (a.var() + b.var() + 0.02**2) + spatial * far)

    def near(i: int, size: int) -> range:
        return range(max(0, i - reach), min(size, i + reach + 1))

    best = [
        min(cost(i, j, k, m) for k in near(i, height) for m in near(j, width))
        for i in range(height)
        for j in range(width)
    ]
    return float(np.mean(best))


def test_it_is_its_definition() -> None:
    rng = np.random.default_rng(0)
    made, wanted = rng.random((2, 11, 9))
    ours = cobi(*(torch.from_numpy(plane)[None, None] for plane in (made, wanted)), window=7, spatial=0.3)
    assert float(ours) == pytest.approx(written_out(made, wanted, 7, 0.3), rel=1e-9)


def test_equal_pictures_cost_nothing_and_stay_in_place() -> None:
    picture = torch.rand(2, 1, 20, 24, generator=torch.Generator().manual_seed(1))
    assert float(cobi(picture, picture)) < 1e-6
    assert torch.equal(best_places(picture, picture), torch.arange(480).view(20, 24).expand(2, -1, -1))


def test_a_moved_picture_is_found_where_it_went() -> None:
    wide = torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(2))
    here, there = wide[..., 8:32, 8:32], wide[..., 5:29, 10:34]  # what is at p here is at p + (3 down, 2 left) there
    place = best_places(here, there)[0]
    row, column = torch.arange(24)[:, None], torch.arange(24)
    found = torch.stack([place // 24 - row, place % 24 - column])[:, 6:-6, 6:-6]
    assert (found == torch.tensor([3, -2]).view(2, 1, 1)).all()


def test_its_gradient_is_that_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(3)
    made, wanted = torch.rand(2, 2, 1, 8, 9, generator=generator, dtype=torch.float64)
    made.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: cobi(x, wanted, window=5), (made,))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("name", ["camera", "coffee", "astronaut", "chelsea"])
def test_shifts_of_two_pixels_hardly_change_it(name: str) -> None:
    """An enlarged picture against the original, and against the original moved by up to two pixels: below 5 %, where
    the absolute error changes by 40 % and more."""
    whole = getattr(skimage.data, name)()
    whole = torch.from_numpy(whole if whole.ndim == 2 else whole.mean(2)).float()[None, None] / 255
    sharp = whole[..., 100:228, 100:228]
    made = F.interpolate(F.avg_pool2d(sharp, 4), scale_factor=4, mode="bicubic")
    here, absolute = float(cobi(made, sharp)), float((made - sharp).abs().mean())
    for down, right in ((0, 2), (2, 0), (-1, 1), (2, -2), (2, 2)):
        moved = whole[..., 100 + down : 228 + down, 100 + right : 228 + right]
        assert abs(float(cobi(made, moved)) / here - 1) < 0.05
        if max(abs(down), abs(right)) == 2:
            assert float((made - moved).abs().mean()) / absolute > 1.35


def test_a_paler_or_blurred_picture_costs_more() -> None:
    picture = torch.from_numpy(skimage.data.camera()[200:296, 200:296]).float()[None, None] / 255
    pale = picture.mean() + 0.7 * (picture - picture.mean())
    blurred = F.avg_pool2d(F.pad(picture, [1] * 4, mode="replicate"), 3, 1)
    assert float(cobi(pale, picture)) > 0.05
    assert float(cobi(blurred, picture)) > 0.05


def test_memory_is_below_a_gigabyte_at_128() -> None:
    """All of the process, torch included, forwards and backwards with a window of 15."""
    code = (
        "import pathlib, re, torch\n"
        "from subpixel.learn.cobi import cobi\n"
        "made = torch.rand(1, 1, 128, 128, requires_grad=True)\n"
        "cobi(made, torch.rand(1, 1, 128, 128)).backward()\n"
        # Not ru_maxrss: a child begins with its parent's, here that of the whole test run.
        "print(re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1e6  # KB


def test_as_a_loss_of_pictures_it_is_that_of_luma_and_charbonniers_of_chroma() -> None:
    generator = torch.Generator().manual_seed(4)
    made = torch.rand(1, 2, 1, 16, 16, generator=generator), torch.rand(1, 2, 2, 8, 8, generator=generator)
    wanted = torch.rand(1, 2, 1, 16, 16, generator=generator), made[1]
    expected = np.mean([float(cobi(made[0][:, t], wanted[0][:, t])) for t in range(2)])
    expected += (losses.WEIGHT_U + losses.WEIGHT_V) * 1e-3
    assert float(losses.picture_loss("cobi", "planes", made, wanted)) == pytest.approx(expected, rel=1e-5)
