"""register: known motions of known pictures, properties, and what it says of pictures that cannot be registered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moved import about_middle, moved, pair, photograph, shifted
from subpixel.errors import InputError, UsageError
from subpixel.register import LOW_CONFIDENCE, METHODS, MODELS, Motion, register, register_many, shift_picture, warp
from subpixel.register.motion import grid

SMALL = photograph("camera")[100:356, 60:316]  # 256 x 256


def distance(motion: Motion, matrix: Any, shape: tuple[int, int]) -> float:
    """RMS distance in pixels between a motion and the true matrix, over what is seen in both."""
    where = grid(*shape)
    true = Motion(matrix=matrix).points(where)
    inside = ((true >= 0) & (true <= np.array(shape[::-1]) - 1)).all(1)
    return float(np.sqrt(np.square(motion.points(where) - true)[inside].sum(1).mean()))


def test_shift_has_the_sign_and_order_of_its_docstring() -> None:
    reference = np.zeros((40, 60))
    reference[10:20, 20:32] = 1
    moving = np.zeros((40, 60))
    moving[12:22, 25:37] = 1  # 5 to the right, 2 down
    assert register(reference, moving).shift == pytest.approx((5, 2), abs=1e-3)


@pytest.mark.parametrize(("sigma", "bound"), [(0, 0.004), (2, 0.005), (5, 0.010)])
def test_shifts_are_found_to_some_thousandths_of_a_pixel(sigma: float, bound: float) -> None:
    rng = np.random.default_rng(1)
    squares = []
    for seed, (dx, dy) in enumerate(rng.uniform(-3, 3, (8, 2))):
        found = register(*shifted(photograph(), dx, dy, sigma, seed)).shift
        squares.append((found[0] - dx) ** 2 + (found[1] - dy) ** 2)
    assert np.sqrt(np.mean(squares)) < bound


@pytest.mark.parametrize(
    ("model", "motion", "bound"),
    [
        ("shift", {"dx": 60.3, "dy": -40.7}, 0.01),
        ("euclidean", {"turn": 1.5, "dx": 3, "dy": -2}, 0.01),
        ("euclidean", {"turn": 170, "dx": 5, "dy": 8}, 0.01),
        ("similarity", {"turn": -25, "zoom": 1.2, "dx": 4}, 0.015),
        ("affine", {"turn": 40, "zoom": 1.1, "dx": 4, "dy": 3, "shear": 0.05}, 0.015),
        ("homography", {"turn": 2, "dx": 4, "dy": 3, "tilt": (1e-5, -2e-5)}, 0.015),
        ("homography", {"turn": 45, "zoom": 0.9, "dy": 3, "tilt": (4e-4, -2e-4)}, 0.02),
    ],
)
def test_every_model_finds_its_motion(model: Any, motion: dict[str, Any], bound: float) -> None:
    matrix = about_middle((256, 256), **motion)
    found = register(*moved(photograph(), matrix), model)
    assert found.model == model
    assert distance(found, matrix, (256, 256)) < bound
    assert found.rmse < 3 * bound


@pytest.mark.parametrize("method", ["gradient", "neural"])
def test_flow_follows_every_pixel(method: Any) -> None:
    """Waves of one pixel, 100 pixels long: dense flow is right to a tenth of a pixel where DIS is to a third."""

    def waves(x: Any, y: Any) -> tuple[Any, Any]:
        return np.sin(2 * np.pi * y / 100), np.cos(2 * np.pi * x / 100)

    def back(x: Any, y: Any) -> tuple[Any, Any]:  # where waves lead to (x, y) from: a fixed point
        u, v = x, y
        for _ in range(30):
            across, down = waves(u, v)
            u, v = x - across, y - down
        return u, v

    found = register(*pair(photograph()[:384, :384], back), "flow", method)
    y, x = np.mgrid[:192, :192]
    assert found.flow is not None
    errors = np.hypot(*(found.flow - np.stack(waves(x, y), 2)).transpose(2, 0, 1))[12:-12, 12:-12]
    assert np.median(errors) < 0.05
    assert np.sqrt(np.mean(errors**2)) < 0.15
    assert 0.5 < np.sqrt(np.mean(errors**2)) / found.rmse < 2
    assert (found.matrix == np.eye(3)).all()


def test_features_start_where_correlation_cannot() -> None:
    matrix = about_middle((256, 256), turn=75, zoom=0.8, tilt=(6e-4, 2e-4))
    found = register(*moved(photograph(), matrix), "homography", "feature")
    assert distance(found, matrix, (256, 256)) < 0.02


@pytest.mark.parametrize(("method", "bound"), [("peak", 0.3), ("foroosh", 0.2), ("phase", 0.15), ("gradient", 0.01)])
def test_methods_are_as_precise_as_they_say(method: Any, bound: float) -> None:
    for seed, (dx, dy) in enumerate([(1.3, -0.8), (-2.6, 0.45), (0.1, 2.5)]):
        found = register(*shifted(photograph(), dx, dy, 2, seed), method=method)
        error = np.hypot(found.shift[0] - dx, found.shift[1] - dy)
        assert error < bound
        assert found.rmse == pytest.approx(error, abs=0.02)  # Gauss-Newton judges the others


@pytest.mark.parametrize("model", ["shift", "euclidean", "similarity", "affine", "homography"])
def test_predicted_errors_are_calibrated(model: Any) -> None:
    """Over pictures and noises the actual error is what was predicted, within a factor of 1.7, for every model."""
    rng = np.random.default_rng(5)
    ratios, predicted = [], []
    for seed in range(12):
        sharp = photograph(("astronaut", "camera", "coffee")[seed % 3])
        top, left = rng.integers(0, 120, 2)
        part = sharp[top : top + 256, left : left + 256]
        matrix = about_middle((128, 128), dx=rng.uniform(-3, 3), dy=rng.uniform(-3, 3))
        found = register(*moved(part, matrix, float(rng.choice([2, 4, 8])), seed), model)
        ratios.append(distance(found, matrix, (128, 128)) / found.rmse)
        predicted.append(found.rmse)
    assert 1 / 1.7 < np.sqrt(np.mean(np.square(ratios))) < 1.7
    assert max(ratios) < 4
    assert max(predicted) / min(predicted) > 4  # the cases do differ


def test_what_is_uncertain_carries_a_warning() -> None:
    rng = np.random.default_rng(0)
    faint = np.zeros((64, 64))
    faint[20:44, 20:44] = 10
    noisy = [np.roll(faint, shift, 1) + rng.normal(0, 5, faint.shape) for shift in (0, 2)]
    found = register(*noisy)
    assert found.rmse > LOW_CONFIDENCE
    assert found.warning == f"The predicted error of this motion is {found.rmse:.2g} pixels."
    assert np.hypot(found.shift[0] - 2, found.shift[1]) < 4 * found.rmse
    assert register(SMALL, shift_picture(SMALL, 1, 0)).warning == ""


def test_an_edge_tells_of_one_direction_only() -> None:
    """Along the edge there is noise and nothing else, which must not count as slopes."""
    rng = np.random.default_rng(0)
    edges = [np.tile((np.arange(128) > at) * 100.0, (128, 1)) + rng.normal(0, 1, (128, 128)) for at in (64, 66)]
    found = register(*edges)
    assert found.rmse > 3 * LOW_CONFIDENCE
    assert found.warning.startswith("The predicted error of this motion is ")


def test_what_repeats_itself_and_what_differs_in_contrast_carry_a_warning() -> None:
    wave = np.sin(np.arange(256) * 2 * np.pi / 8) * 50
    repeating = wave + wave[:, None] + np.random.default_rng(0).normal(0, 5, (256, 256))
    found = register(repeating, np.roll(repeating, (3, 2), (0, 1)))
    assert "What the pictures show repeats itself: a shift of (" in found.warning
    reference, moving = shifted(photograph(), 1.2, 0.4)
    found = register(reference, moving * 0.5)
    assert "has 0.5 times the contrast of the reference, which misleads; ask for gain and bias" in found.warning
    assert register(reference, moving * 0.5, photometric=True).warning == ""


def test_noise_does_not_send_register_on_a_search() -> None:
    """The first start is right, however little the slopes correlate, and no other is tried."""
    reference, moving = shifted(photograph(), 2.3, -1.2, 60)
    found = register(reference, moving, "euclidean")
    error = distance(found, about_middle((256, 256), dx=2.3, dy=-1.2), (256, 256))
    assert error < 3 * found.rmse < 0.5


@settings(max_examples=12, deadline=None)
@given(dx=st.floats(-9, 9), dy=st.floats(-9, 9))
def test_shift_picture_and_register_are_inverse(dx: float, dy: float) -> None:
    found = register(SMALL, shift_picture(SMALL, dx, dy))
    assert found.shift == pytest.approx((dx, dy), abs=2e-3)
    assert found.overlap == pytest.approx((1 - abs(dx) / 256) * (1 - abs(dy) / 256), abs=1e-3)


@settings(max_examples=8, deadline=None)
@given(dx=st.floats(-4, 4), dy=st.floats(-4, 4), seed=st.integers(0, 99))
def test_swapping_pictures_inverts_the_motion(dx: float, dy: float, seed: int) -> None:
    reference, moving = shifted(photograph("coffee")[:300, :300], dx, dy, 2, seed)
    there, back = register(reference, moving), register(moving, reference)
    assert np.hypot(*np.add(there.shift, back.shift)) < 4 * there.rmse + 1e-3


@settings(max_examples=8, deadline=None)
@given(gain=st.floats(1e-3, 1e3), bias=st.floats(-1e3, 1e3))
def test_a_scale_of_both_pictures_changes_nothing(gain: float, bias: float) -> None:
    reference, moving = shifted(photograph("coffee")[:256, :256], 1.4, -0.6)
    plain = register(reference, moving)
    scaled = register(reference * gain + bias * gain, moving * gain + bias * gain)
    assert scaled.shift == pytest.approx(plain.shift, abs=3e-4)
    assert scaled.rmse == pytest.approx(plain.rmse, rel=0.05)


@settings(max_examples=8, deadline=None)
@given(x=st.integers(0, 40), y=st.integers(0, 40))
def test_cutting_both_pictures_alike_changes_little(x: int, y: int) -> None:
    reference, moving = shifted(photograph(), 0.7, 0.4)
    found = register(reference[y : y + 200, x : x + 200], moving[y : y + 200, x : x + 200])
    assert np.hypot(found.shift[0] - 0.7, found.shift[1] - 0.4) < 0.012


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "float32", "float64", "bool"])
def test_samples_may_be_of_any_real_type(kind: str) -> None:
    reference, moving = shifted(photograph(), 2.3, -1.7)
    if kind == "bool":
        reference, moving = reference > 128, moving > 128
    found = register(reference.astype(kind), moving.astype(kind))
    assert found.shift == pytest.approx((2.3, -1.7), abs=0.05 if kind == "bool" else 0.01)


def test_colour_is_taken_as_luma() -> None:
    reference, moving = shifted(photograph(), 1.2, 0.3)
    colours = [np.repeat(p[:, :, None], 3, 2) for p in (reference, moving)]
    assert register(*colours).shift == pytest.approx(register(reference, moving).shift, abs=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_pictures_are_not_changed(model: Any) -> None:
    """Sizes at which the discrete Fourier transform needs no padding, where a library is known to write into them."""
    for size in (64, 128):
        pictures = [np.ascontiguousarray(SMALL[i : i + size, :size], np.float32) for i in (0, 1)]
        copies = [p.copy() for p in pictures]
        register(*pictures, model, photometric=True)
        warp(pictures[0], Motion(matrix=about_middle((size, size), turn=1)))
        shift_picture(pictures[0], 0.5, 0.5)
        assert all(np.array_equal(p, c) for p, c in zip(pictures, copies, strict=True))


@pytest.mark.parametrize("model", ["shift", "affine", "flow"])
def test_gain_and_bias_are_found(model: Any) -> None:
    reference, moving = shifted(photograph(), 1.6, -0.9)
    found = register(reference, 0.7 * moving + 21.0, model, photometric=True)
    assert found.gain == pytest.approx(0.7, abs=0.01)
    assert found.bias == pytest.approx(21, abs=1)
    assert np.median(np.abs(found.points(grid(256, 256)) - grid(256, 256) - (1.6, -0.9))) < 0.05
    assert (register(reference, moving).gain, register(reference, moving).bias) == (1, 0)


@pytest.mark.parametrize("gain", [1 / 255, 257.0])
def test_pictures_of_other_depths_are_found_by_their_gain_and_otherwise_told_apart(gain: float) -> None:
    reference, moving = shifted(photograph(), 1.6, -0.9)
    found = register(reference, moving * gain, photometric=True)
    assert found.shift == pytest.approx((1.6, -0.9), abs=0.02)
    assert found.gain == pytest.approx(gain, rel=0.01)
    with pytest.raises(InputError, match=r"nothing in common.* \d\S* times the contrast of the reference: bring"):
        register(reference, moving * gain)


@pytest.mark.parametrize("model", ["shift", "euclidean"])
def test_what_moves_otherwise_does_not_count_when_robust(model: Any) -> None:
    reference, moving = shifted(photograph(), 0.6, 0.3)
    rng = np.random.default_rng(0)
    moving[60:140, 60:140] = rng.integers(0, 255, (80, 80))
    plain, robust = (register(reference, moving, model, robust=r) for r in (False, True))
    truth = about_middle((256, 256), dx=0.6, dy=0.3)
    assert distance(robust, truth, (256, 256)) < 0.01
    assert distance(plain, truth, (256, 256)) > 2 * distance(robust, truth, (256, 256))
    assert plain.rmse > 2 * robust.rmse


@pytest.mark.parametrize("model", ["shift", "similarity", "flow"])
def test_a_mask_leaves_pixels_out(model: Any) -> None:
    reference, moving = (p.astype(float) for p in shifted(photograph(), 1.3, 0.8))
    mask = np.ones((256, 256), bool)
    mask[:, 128:] = False
    reference[:, 140:] = np.nan
    moving[:, 150:] = 9
    found = register(reference, moving, model, mask=mask)
    inside = (
        found.points(grid(256, 120)) - grid(256, 120)
        if model == "flow"
        else np.array([found.points([[50, 50]])[0] - 50])
    )
    assert np.median(inside, 0) == pytest.approx((1.3, 0.8), abs=0.03)


def test_a_start_leads_where_a_search_would_not() -> None:
    stripes = 100 + 50 * np.sin(np.arange(200) * 2 * np.pi / 10) * np.ones((200, 1)) + SMALL[:200, :200] / 20
    moving = shift_picture(stripes, 20.4, 0)
    start = Motion(matrix=np.array([[1, 0, 20], [0, 1, 0], [0, 0, 1.0]]))
    assert register(stripes, moving, start=start).shift == pytest.approx((20.4, 0), abs=0.01)


def test_register_many_is_register_for_each() -> None:
    frames = [shifted(photograph(), dx, 0.5)[1] for dx in (0.5, 1.5)]
    reference = shifted(photograph(), 0, 0)[0]
    found = register_many(reference, iter(frames), "euclidean")
    assert [m.shift for m in found] == [register(reference, f, "euclidean").shift for f in frames]


RAMP = np.tile(np.arange(64.0), (64, 1))
NOISE = np.random.default_rng(3).normal(0, 1, (2, 128, 128))


@pytest.mark.parametrize(
    ("reference", "moving", "message"),
    [
        (SMALL, SMALL[:200], "The reference is 256x256 pixels and the moving picture 256x200; they must be equal"),
        (SMALL, SMALL * 0 + 7, "The moving picture is featureless: all its samples are 7"),
        (SMALL.astype(np.uint8) | 255, SMALL.astype(np.uint8), r"The reference is saturated: 100 % .* 255; use"),
        (np.where(SMALL > 20, 1.0, SMALL / 20), SMALL, "The reference is saturated|nothing in common"),
        (np.where(SMALL > 250, np.nan, SMALL), SMALL * np.inf, r"The reference has \d+ samples that are no numbers"),
        (SMALL, np.where(SMALL > 200, np.inf, SMALL), r"The moving picture has \d+ samples that are no numbers"),
        (NOISE[0], NOISE[1], "The two pictures have nothing in common: their gradients correlate by -?0.0"),
        (SMALL, photograph("coffee")[:256, :256], "The two pictures have nothing in common"),
        (RAMP, RAMP, "The pictures show too little to be registered"),
        (SMALL[:12], SMALL[:12], "The reference is 256x12 pixels; to be registered it must have 16 on each side"),
        (SMALL[None, None], SMALL[None, None], r"The reference has the shape \(1, 1, 256, 256\)"),
        (SMALL.astype(complex), SMALL, "The reference holds complex128"),
        (None, SMALL, "The reference holds object"),
        (SMALL, SMALL[0], r"The moving picture has the shape \(256,\)"),
    ],
)  # fmt: skip
def test_bad_pictures_get_one_sentence(reference: Any, moving: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        register(reference, moving)


def test_bad_requests_get_one_sentence() -> None:
    with pytest.raises(UsageError, match="There is no model 'spline'; choose shift, "):
        register(SMALL, SMALL, "spline")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="There is no method 'magic'; choose gradient, "):
        register(SMALL, SMALL, method="magic")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'phase' finds a shift only, no affine"):
        register(SMALL, SMALL, "affine", "phase")
    with pytest.raises(UsageError, match="'neural' finds a flow only, no shift"):
        register(SMALL, SMALL, method="neural")
    with pytest.raises(InputError, match=r"The mask has the shape \(3, 3\)"):
        register(SMALL, SMALL, mask=np.ones((3, 3)))
    with pytest.raises(InputError, match="The mask leaves 0 pixels"):
        register(SMALL, SMALL, mask=np.zeros(SMALL.shape))
    with pytest.raises(InputError, match="Frame 1: The moving picture is featureless"):
        register_many(SMALL, [SMALL, SMALL * 0])
    assert len(METHODS) == 6
