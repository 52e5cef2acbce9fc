"""Motions and sampling: inverse, composition, scale, warps against SciPy's quintic splines and exact ramps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from moved import about_middle, photograph
from subpixel.errors import UsageError
from subpixel.register import Motion, shift_picture, warp
from subpixel.register.motion import grid
from subpixel.register.sampling import KERNELS

angles = st.floats(-180, 180)
small = st.floats(-20, 20)


def motion(turn: float, dx: float, dy: float, zoom: float = 1.1) -> Motion:
    return Motion("homography", about_middle((60, 80), turn=turn, zoom=zoom, dx=dx, dy=dy, tilt=(1e-4, -2e-4)))


def flow(amplitude: float = 1.5) -> Motion:
    y, x = np.mgrid[:60, :80]
    field = np.stack([np.sin(x / 15 + y / 20), np.cos(x / 20 - y / 15)], 2) * amplitude
    return Motion("flow", flow=field.astype(np.float32))


@settings(max_examples=30, deadline=None)
@given(turn=angles, dx=small, dy=small)
def test_inverse_goes_back(turn: float, dx: float, dy: float) -> None:
    there = motion(turn, dx, dy)
    where = grid(60, 80)
    assert there.inverse().points(there.points(where)) == pytest.approx(where, abs=1e-6)
    assert there.then(there.inverse()).matrix == pytest.approx(np.eye(3), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(turn=angles, dx=small, other=angles)
def test_composition_is_one_after_the_other(turn: float, dx: float, other: float) -> None:
    a, b = motion(turn, dx, 1), motion(other, 2, dx)
    where = grid(60, 80)[::7]
    assert a.then(b).points(where) == pytest.approx(b.points(a.points(where)), abs=1e-6)


def test_a_flow_is_inverted_and_composed() -> None:
    where = grid(60, 80).reshape(60, 80, 2)[12:-12, 12:-12].reshape(-1, 2)
    there = flow()
    assert np.abs(there.inverse().points(there.points(where)) - where).max() < 0.02
    for whole in (there.then(motion(3, 1, 1)), motion(3, 1, 1).then(there)):
        assert whole.model == "flow"
        assert (whole.matrix == np.eye(3)).all()
    assert there.then(motion(3, 1, 1)).points(where) == pytest.approx(
        motion(3, 1, 1).points(there.points(where)), abs=1e-4
    )


def test_gain_bias_and_error_compose() -> None:
    one = Motion(gain=2.0, bias=3.0, rmse=0.3)
    two = Motion("affine", gain=0.5, bias=-1.0, rmse=0.4, warning="careful")
    both = one.then(two)
    assert (both.gain, both.bias, both.model, both.warning) == (1.0, 0.5, "affine", "careful")
    assert both.rmse == pytest.approx(0.5)
    assert (one.inverse().gain, one.inverse().bias) == (0.5, -1.5)


@pytest.mark.parametrize("factor", [0.5, 2, 3])
def test_scale_keeps_outer_edges(factor: float) -> None:
    where = grid(60, 80)[::11]
    fine = (where + 0.5) * factor - 0.5
    for there in (motion(20, 3, -4), flow(), Motion(matrix=about_middle((60, 80), dx=2))):
        scaled = there.scaled(factor)
        inside = ((where > 4) & (where < [75, 55])).all(1)
        expected = (there.points(where) + 0.5) * factor - 0.5
        assert scaled.points(fine)[inside] == pytest.approx(expected[inside], abs=1e-6 if there.flow is None else 0.06)
    with pytest.raises(UsageError, match="cannot be scaled by 0; use a factor above 0"):
        motion(0, 0, 0).scaled(0)


def test_shift_is_the_translation_or_the_mean_of_a_flow() -> None:
    assert Motion(matrix=about_middle((9, 9), dx=2, dy=-3)).shift == (2, -3)
    assert flow().shift == pytest.approx(tuple(flow().flow.mean((0, 1))), abs=1e-6)  # type: ignore[union-attr]


@settings(max_examples=20, deadline=None)
@given(dx=st.floats(-7, 7), dy=st.floats(-7, 7))
def test_shifts_move_waves_exactly(dx: float, dy: float) -> None:
    """Waves of up to 0.3 cycles a pixel keep amplitude and phase to some thousandths."""
    y, x = np.mgrid[:60, :80]

    def waves(x: Any, y: Any) -> Any:
        return np.cos(2 * np.pi * (0.3 * x + 0.1 * y)) + np.sin(2 * np.pi * 0.25 * y) + 0.01 * x

    moved = shift_picture(waves(x, y), dx, dy)
    inner = (slice(13, -13),) * 2
    assert moved.dtype == np.float32
    assert np.abs(moved - waves(x - dx, y - dy))[inner].max() < 0.005


def test_whole_shifts_copy() -> None:
    picture = photograph()[:40, :50].astype(np.uint8)
    assert (shift_picture(picture, 3, -2)[:-2, 3:] == picture[2:, :-3]).all()
    assert shift_picture(np.dstack([picture] * 3), 0.5, 0.5).shape == (40, 50, 3)


@pytest.mark.parametrize("kernel", KERNELS)
def test_warps_keep_ramps(kernel: Any) -> None:
    """OpenCV's cubic does not: it displaces what it shows by up to 0.05 pixels."""
    x = np.mgrid[:60, :80][1].astype(float)
    there = motion(4, 1.3, -0.7, 1.0)
    seen, valid = warp(x, there, kernel=kernel)
    where = there.points(grid(60, 80)).reshape(60, 80, 2)
    inner = valid & ((where > 6) & (where < [73, 53])).all(2)
    assert np.abs(seen - where[..., 0])[inner].max() < (0.004 if kernel == "sinc" else 1e-4)
    assert np.isnan(seen[~valid]).all()
    assert valid.mean() == pytest.approx(((where >= 0) & (where <= [79, 59])).all(2).mean())


def test_warps_agree_with_splines_and_undo_shifts() -> None:
    picture = ndimage.gaussian_filter(photograph()[100:300, 100:340], 1)
    there = motion(7, 5.3, 2.2)
    seen, valid = warp(picture, there, fill=-1)
    x, y = there.points(grid(200, 240)).T
    expected = ndimage.map_coordinates(picture, [y, x], order=5).reshape(200, 240)
    inner = valid & ndimage.binary_erosion(valid, iterations=8)
    assert np.abs(seen - expected)[inner].max() < 0.6
    assert (seen[~valid] == -1).all()
    back, _ = warp(shift_picture(picture, 2.6, -3.4), Motion(matrix=about_middle((200, 240), dx=2.6, dy=-3.4)))
    assert np.abs(back - picture)[12:-12, 12:-12].max() < 0.6


def test_a_flow_warps_and_a_shape_may_differ() -> None:
    picture = ndimage.gaussian_filter(photograph()[:60, :80], 1)
    seen, valid = warp(np.dstack([picture, 2 * picture, 3 * picture]), flow(), fill=0, kernel="cubic")
    assert seen.shape == (60, 80, 3)
    assert seen[valid][:, 2] == pytest.approx(3 * seen[valid][:, 0], rel=1e-5)
    larger, valid = warp(picture, motion(0, 0, 0, 1.0), shape=(70, 90))
    assert larger.shape == valid.shape == (70, 90)
    with pytest.raises(UsageError, match="This flow is for 80x60 pictures, not 80x50"):
        warp(picture[:50], flow())
    with pytest.raises(UsageError, match="There is no kernel 'nearest'; choose sinc, cubic, linear"):
        warp(picture, flow(), kernel="nearest")  # type: ignore[arg-type]
