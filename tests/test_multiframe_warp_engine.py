"""The warp engine: where it puts things, what its mesh can say, what its options may be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subpixel.errors import UsageError
from subpixel.multiframe.warp_engine import WarpEngine, parse


def waves(dx: float = 0.0, dy: float = 0.0, size: int = 96) -> np.ndarray:
    """A band-limited picture seen at (x + dx, y + dy)."""
    y, x = np.mgrid[:size, :size] + np.array([dy, dx])[:, None, None]
    return np.asarray(100 + 50 * np.sin(x / 4 + y / 9) + 40 * np.cos(y / 5 - x / 13), np.float32)


def offsets(dx: float, dy: float, size: int = 96) -> np.ndarray:
    return np.broadcast_to(np.array([dx, dy], np.float32), (size, size, 2))


@pytest.mark.parametrize("precision", [32, 64, 128, 256])
@settings(max_examples=15, deadline=None)
@given(dx=st.floats(-6, 6), dy=st.floats(-6, 6))
def test_things_land_within_half_a_step(precision: int, dx: float, dy: float) -> None:
    """A ramp, which both kernels reproduce, says how far the warp is from where it was sent."""
    ramp = np.broadcast_to(np.arange(96, dtype=np.float32), (96, 96))
    inner = np.s_[10:-10, 10:-10]
    for kernel in ("linear", "cubic"):
        engine = WarpEngine(32, precision, kernel)
        across = engine.warp(ramp.copy(), offsets(dx, dy)) - ramp
        down = engine.warp(ramp.T.copy(), offsets(dx, dy)) - ramp.T
        for found, sent in ((across, dx), (down, dy)):
            assert np.abs(found[inner] - sent).max() <= 0.5 / precision + 1e-4
            assert np.ptp(found[inner]) < 1e-4


def test_the_cubic_is_keys() -> None:
    """Against the polynomial, computed sample by sample in float64."""
    rng = np.random.default_rng(0)
    picture = rng.random((12, 12))

    def keys(t: float) -> float:
        t = abs(t)
        near = 1.5 * t**3 - 2.5 * t**2 + 1
        return near if t < 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0

    dx, dy = 37 / 128, -51 / 128
    want = sum(keys(j - dy) * keys(i - dx) * picture[5 + j, 5 + i] for j in range(-2, 3) for i in range(-2, 3))
    found = WarpEngine(16, 128, "cubic").warp(picture.astype(np.float32), offsets(dx, dy, 12))
    assert abs(found[5, 5] - want) < 1e-5


def test_cubic_is_closer_than_linear_and_finer_than_coarse() -> None:
    sent, want = offsets(0.4321, -0.3), waves(0.4321, -0.3)
    inner = np.s_[8:-8, 8:-8]

    def miss(engine: WarpEngine) -> float:
        return float(np.abs(engine.warp(waves(), sent) - want)[inner].mean())

    assert miss(WarpEngine(32, 128, "cubic")) < 0.3 * miss(WarpEngine(32, 128, "linear"))
    assert miss(WarpEngine(32, 256, "cubic")) < miss(WarpEngine(32, 32, "cubic"))


@pytest.mark.parametrize("grid", [16, 31, 64])
def test_a_mesh_says_what_is_linear_and_no_more(grid: int) -> None:
    engine = WarpEngine(grid, 256)
    y, x = np.mgrid[:40, :50].astype(np.float32)
    zoom = np.stack([0.02 * x - 0.3, 0.01 * y + 0.5], -1)
    mesh = engine.mesh(zoom, (160, 200))
    large_y, large_x = ((np.mgrid[:160, :200] + 0.5) / 4 - 0.5).astype(np.float32)
    want = 4 * np.stack([0.02 * large_x - 0.3, 0.01 * large_y + 0.5], -1)
    inside = np.s_[grid:-grid, grid:-grid]
    if grid < 64:
        assert np.abs(mesh - want)[inside].max() < 0.05
    second = np.diff(mesh, 2, axis=1)
    bends = np.flatnonzero(np.abs(second).max(axis=(0, 2)) > 1e-3) + 1
    assert (bends % grid == 0).all()  # straight between nodes


def test_a_still_mesh_changes_nothing() -> None:
    engine = WarpEngine()
    mesh = engine.mesh(np.zeros((24, 24, 2), np.float32), (96, 96))
    assert (mesh == 0).all()
    assert np.abs(engine.warp(waves(), mesh) - waves()).max() < 1e-4


def test_text_becomes_an_engine_and_back() -> None:
    assert parse("default") == WarpEngine() == parse(str(WarpEngine()))
    assert parse("grid=16") == WarpEngine(16)
    assert parse(" precision = 1/256 , kernel=linear") == WarpEngine(32, 256, "linear")
    assert parse("precision=64") == WarpEngine(32, 64)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' says nothing about a warp engine; write --warp-engine grid=16..64"),
        ("mesh=3", "'mesh=3' says nothing about a warp engine"),
        ("grid=16,grid=32", "'grid=32' says nothing about a warp engine.*each once"),
        ("grid=8", "A mesh of 8 pixels is not a warp engine's; choose a grid of 16 to 64"),
        ("grid=many", "The warp engine's grid cannot be 'many'; write grid=32"),
        ("grid=-16", "The warp engine's grid cannot be '-16'"),
        ("precision=1/100", "A precision of 1/100 pixel is not possible; choose 1/32, 1/64, 1/128, 1/256"),
        ("precision=0.01", "The warp engine's precision cannot be '0.01'; write precision=1/128"),
        ("kernel=sinc", "A warp engine has no kernel 'sinc'; choose linear or cubic"),
    ],
)
def test_what_it_cannot_be_is_said(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse(text)
