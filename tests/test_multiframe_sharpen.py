"""Deconvolution: known blurs are undone, noise is not; the blur and the spectrum of pictures are measured."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
import skimage.restoration
from hypothesis import given, settings
from hypothesis import strategies as st

from subpixel.errors import InputError, UsageError
from subpixel.multiframe.sharpen import estimate_blur, radial_power, richardson_lucy, transfer, wiener

Float = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def truth() -> Float:
    return np.ascontiguousarray(skimage.data.camera()[100:356, 100:400] / np.float32(255))


def blurred(truth: Float, blur: float, noise: float) -> Float:
    rng = np.random.default_rng(0)
    return cv2.GaussianBlur(truth, (0, 0), blur) + noise * rng.standard_normal(truth.shape, np.float32)


def rms(one: Float, other: Float) -> float:
    return float(np.sqrt(np.mean((one - other)[16:-16, 16:-16] ** 2)))


@pytest.mark.parametrize("noise", [0.001, 0.01])
def test_wiener_undoes_a_blur(truth: Float, noise: float) -> None:
    """Nearer to the truth than the blurred picture, and no farther than scikit-image's filter at its best balance."""
    seen = blurred(truth, 1.5, noise)
    psf = cv2.getGaussianKernel(15, 1.5) @ cv2.getGaussianKernel(15, 1.5).T
    peers = [rms(skimage.restoration.wiener(seen, psf, b, clip=False), truth) for b in (1e-3, 1e-2, 0.1, 1)]
    own = rms(wiener(seen, 1.5, noise=noise), truth)
    assert own < 0.92 * rms(seen, truth)
    assert own < 1.05 * min(peers)


def test_richardson_lucy_is_scikit_images(truth: Float) -> None:
    seen = np.clip(blurred(truth, 1.5, 0.001), 1e-3, 1)
    psf = cv2.getGaussianKernel(15, 1.5) @ cv2.getGaussianKernel(15, 1.5).T
    peer = skimage.restoration.richardson_lucy(seen.astype(float), psf, num_iter=10, clip=False)
    own = richardson_lucy(seen, psf, iterations=10)
    assert rms(own, truth) < 0.8 * rms(seen, truth)
    assert rms(own, peer) < 0.25 * rms(seen, own)  # it starts at grey, ours at the picture


def test_richardson_lucy_stays_above_black(truth: Float) -> None:
    body = np.zeros_like(truth)
    cv2.circle(body, (150, 128), 60, 0.8, -1)
    assert richardson_lucy(blurred(body, 2.0, 0), 2.0).min() >= 0
    assert wiener(blurred(body, 2.0, 0.001), 2.0, noise=0.001).min() < -0.01  # which is why there are two


def test_noise_is_not_sharpened() -> None:
    """Where the spectrum says noise, the filter gives nothing back."""
    noise = 0.02 * np.random.default_rng(0).standard_normal((128, 150), np.float32) + np.float32(0.5)
    assert wiener(noise, 2.0, noise=0.02).std() < 0.01


def test_unforeseen_noise_is_told_by_the_blur(truth: Float) -> None:
    """A blur of 3 pixels leaves nothing at high frequencies: a sensor's pattern there is not blown up."""
    seen = blurred(truth, 3.0, 0.0005)
    pattern = 0.01 * np.random.default_rng(1).standard_normal(truth.shape, np.float32)
    assert rms(wiener(seen + pattern, 3.0, noise=0.0005), truth) < 1.2 * rms(seen, truth)


def test_colours_are_sharpened_one_by_one(truth: Float) -> None:
    seen = np.stack([blurred(truth, blur, 0.002) for blur in (1.2, 1.2, 1.2)], 2)
    seen[..., 1] *= 0.5
    out = wiener(seen, 1.2, noise=0.002)
    np.testing.assert_allclose(out[..., 0], wiener(seen[..., 0], 1.2, noise=0.002))
    np.testing.assert_allclose(
        richardson_lucy(seen, 1.2, iterations=2)[..., 1], richardson_lucy(seen[..., 1], 1.2, iterations=2)
    )


@pytest.mark.parametrize("picture", ["camera", "moon", "astronaut"])
@pytest.mark.parametrize("blur", [1.2, 2.0, 3.0])
def test_blur_is_estimated(picture: str, blur: float) -> None:
    sharp = getattr(skimage.data, picture)()
    plane = (sharp if sharp.ndim == 2 else sharp.mean(2)).astype(np.float32) / 255
    assert estimate_blur(blurred(plane, blur, 0.004), noise=0.004) == pytest.approx(blur, rel=0.2)


def test_blur_of_nothing_is_not_guessed() -> None:
    noise = np.random.default_rng(0).standard_normal((100, 100), np.float32)
    with pytest.raises(InputError, match="too little structure above its noise to tell its blur; give the blur"):
        estimate_blur(noise)


@given(st.floats(0.01, 2), st.integers(90, 130), st.integers(90, 130))
@settings(max_examples=20, deadline=None)
def test_white_noise_has_its_variance_everywhere(level: float, height: int, width: int) -> None:
    noise = level * np.random.default_rng(0).standard_normal((height, width), np.float32)
    power = radial_power(noise)
    assert power[3:].mean() == pytest.approx(level**2, rel=0.2)


@given(st.floats(0, 5), st.integers(33, 65), st.integers(32, 64))
@settings(max_examples=20, deadline=None)
def test_transfer_is_that_of_the_kernel(blur: float, height: int, width: int) -> None:
    """A Gaussian by its formula, and the same as an array of samples (wide enough to hold it)."""
    left = transfer(blur, (height, width))
    assert left[0, 0] == pytest.approx(1)
    if 1 <= blur <= 2:
        kernel = cv2.getGaussianKernel(29, blur)
        np.testing.assert_allclose(transfer(kernel @ kernel.T, (height, width)), left, atol=0.01)


def test_impossible_blurs_are_refused(truth: Float) -> None:
    with pytest.raises(UsageError, match="A blur is from 0 to 5 pixels; not 9"):
        wiener(truth, 9.0)
    with pytest.raises(UsageError, match=r"A PSF is an array of odd sides .*not one of shape \(4, 5\)"):
        wiener(truth, np.ones((4, 5)))
    with pytest.raises(UsageError, match="one iteration or more; not 0"):
        richardson_lucy(truth, 1.0, iterations=0)
