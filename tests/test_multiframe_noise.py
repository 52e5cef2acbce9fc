import numpy as np
import pytest

from bursts import burst, mosaics, motions
from subpixel.multiframe import noise, psf
from subpixel.multiframe.fuse import fuse


@pytest.mark.parametrize(("a", "b"), [(0.0, 4e-4), (0.01, 1e-4), (0.02, 0.0)])
def test_noise_on_a_smooth_picture_is_found(a: float, b: float) -> None:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:256, :256] / 256
    clean = 0.05 + 0.7 * x * (0.6 + 0.4 * np.sin(3 * y))
    noisy = (clean + rng.normal(size=clean.shape) * np.sqrt(a * clean + b)).astype("f4")
    found = noise.estimate([noisy])
    for signal in (0.1, 0.3, 0.6):
        assert np.sqrt(found[0] * signal + found[1]) == pytest.approx(np.sqrt(a * signal + b), rel=0.12)


def test_fine_detail_is_not_taken_for_noise_in_a_burst() -> None:
    """What one frame alone shows is mostly detail; what the frames' common picture does not explain is noise."""
    _, frames, shifts = burst(8, size=128, sigma=3 / 255)
    alone = noise.estimate(frames[0].transpose(2, 0, 1).copy())
    found = fuse(mosaics(frames), motions=motions(shifts), psf=0.0).noise
    assert np.sqrt(found[0] * 0.4 + found[1]) == pytest.approx(3 / 255, rel=0.3)
    assert np.sqrt(alone[0] * 0.4 + alone[1]) > 1.1 * np.sqrt(found[0] * 0.4 + found[1])


def test_a_picture_too_small_to_judge_gets_the_noise_of_rounding() -> None:
    assert noise.estimate([np.zeros((8, 8), np.float32)]) == (0.0, noise.LEAST)


@pytest.mark.parametrize("sigma", [0.0, 0.4, 0.7])
def test_the_lens_is_read_off_straight_edges(sigma: float) -> None:
    """Slanted half planes, behind a lens of that sigma, as pixels of a grid twice as fine see them."""
    import cv2

    y, x = np.mgrid[:1600, :1600] / 16
    scene = ((x - 50) * np.cos(0.3) + (y - 50) * np.sin(0.3) > 0) * 0.6 + ((x + 2 * y) % 67 > 33) * 0.3
    scene = cv2.GaussianBlur(scene.astype("f4"), (0, 0), sigma * 32) if sigma else scene
    fine = scene.reshape(100, 16, 100, 16).mean((1, 3)).astype("f4")  # the pixel of the fine grid
    assert psf.estimate([fine], 2.0) == pytest.approx(sigma, abs=0.2)


def test_a_picture_without_edges_says_nothing_about_the_lens() -> None:
    assert psf.estimate([np.zeros((64, 64), np.float32)], 2.0) == 0.0
