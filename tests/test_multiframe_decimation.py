"""Decimation and its inverses: against swscale's filter, exactness of the projection, refusals."""

import numpy as np
import pytest

from subpixel.errors import UsageError
from subpixel.multiframe.decimation import Decimation
from subpixel.resample import resize_real


def smooth(height: int, width: int) -> np.ndarray:
    """A random picture without steps, float32."""
    rng = np.random.default_rng(0)
    return resize_real(rng.random((height // 4, width // 4), dtype=np.float32) * 200, width, height)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", ["bicubic", "area"])
def test_shrinking_is_swscales(scale: int, kernel: str) -> None:
    picture = smooth(24 * scale, 32 * scale)
    want = resize_real(picture, 32, 24, kernel=kernel) if scale > 1 else picture
    assert np.abs(Decimation(scale, kernel).shrink(picture) - want)[4:-4, 4:-4].max() < 0.02


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_gaussian_keeps_places_and_widths(scale: int) -> None:
    """A ramp stays one, and a wave falls as the Gaussian's transfer function says."""
    shrink, n = Decimation(scale, 1.6).shrink, 40 * scale
    ramp = np.broadcast_to(np.arange(n, dtype=np.float32), (n, n))
    centres = scale * np.arange(40) + (scale - 1) / 2
    assert np.abs(shrink(ramp)[20, 6:-6] - centres[6:-6]).max() < 1e-3
    frequency = 0.05
    wave = np.broadcast_to(np.cos(2 * np.pi * frequency * np.arange(n, dtype=np.float32)), (n, n))
    want = np.cos(2 * np.pi * frequency * centres) * np.exp(-2 * (np.pi * frequency * 1.6) ** 2)
    assert np.abs(shrink(wave)[20, 6:-6] - want[6:-6]).max() < 0.003


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kernel", ["bicubic", "area", 1.6])
def test_both_ways_back_shrink_to_what_they_came_from(scale: int, kernel: str | float) -> None:
    decimation, low = Decimation(scale, kernel), smooth(32, 40)
    for large, most in ((decimation.enlarge(low), 2.0), (decimation.project(low), 8.0)):
        assert large.shape == (32 * scale, 40 * scale)
        assert np.abs(decimation.shrink(large) - low)[4:-4, 4:-4].max() < most


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_flat_stays_flat(scale: int) -> None:
    decimation, low = Decimation(scale), np.full((5, 1), 77, np.float32)
    for large in (decimation.enlarge(low), decimation.project(low)):
        assert np.abs(large - 77).max() < 1e-3
        assert np.abs(decimation.shrink(large) - 77).max() < 1e-3


def test_enlarging_beats_bicubic() -> None:
    rng = np.random.default_rng(3)
    truth = np.cumsum(np.cumsum(rng.normal(0, 1, (128, 128)), 0), 1).astype(np.float32)
    truth -= truth.mean()
    decimation = Decimation(4, "area")
    low = decimation.shrink(truth)
    ours, plain = decimation.enlarge(low) - truth, resize_real(low, 128, 128) - truth
    assert np.square(ours)[8:-8, 8:-8].mean() < np.square(plain)[8:-8, 8:-8].mean()


def test_impossible_decimations_are_refused() -> None:
    with pytest.raises(UsageError, match="Scale 0 is not possible; choose 1, 2, 3 or 4"):
        Decimation(0)
    with pytest.raises(UsageError, match="no decimation 'nearest'; choose bicubic, area or a Gaussian's sigma"):
        Decimation(2, "nearest")
    with pytest.raises(UsageError, match="A Gaussian of sigma -1 is not possible"):
        Decimation(2, -1.0)
