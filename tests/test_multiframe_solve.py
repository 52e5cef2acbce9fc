"""The camera model, the normal equations and their solution, against plain matrices in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursts import shifted
from subpixel.multiframe.normal import Normal
from subpixel.multiframe.optics import optics, transfer
from subpixel.multiframe.solve import Solver

HEIGHT, WIDTH = 20, 24
CAMERA = optics(2.0)


def rows(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(samples, HEIGHT * WIDTH) float64: which nodes each sample is made of."""
    matrix = np.zeros((len(y), HEIGHT, WIDTH))
    for k, (v, u) in enumerate(zip(y, x, strict=True)):
        row, column = int(np.rint(v)), int(np.rint(u))
        down, across = CAMERA.weights(np.array([v - row, u - column])).T
        matrix[k, row - 1 : row + 2, column - 1 : column + 2] = np.outer(down, across)
    return matrix.reshape(len(y), -1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_product_and_right_side_are_those_of_the_matrix(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.permutation((HEIGHT - 3) * (WIDTH - 3))[:count]  # no two next to the same node
    y = (places // (WIDTH - 3) + 1 + rng.uniform(-0.49, 0.49, count)).astype(np.float32)
    x = (places % (WIDTH - 3) + 1 + rng.uniform(-0.49, 0.49, count)).astype(np.float32)
    values, weights = rng.random((2, count)).astype(np.float32)
    normal = Normal(CAMERA, HEIGHT, WIDTH, 1, shared=False)
    normal.add_points(0, values, weights, y, x)
    a, z = rows(y, x), rng.random((1, HEIGHT, WIDTH)).astype(np.float32)
    np.testing.assert_allclose(normal.product(z).ravel(), a.T @ (weights * (a @ z.ravel())), atol=1e-5)
    np.testing.assert_allclose(normal.rhs.ravel(), a.T @ (weights * values), atol=1e-5)
    np.testing.assert_allclose(normal.at(z[0], y, x), a @ z.ravel(), atol=1e-5)
    assert normal.density() == pytest.approx(weights.sum() / (HEIGHT * WIDTH), rel=1e-4)


def test_a_lattice_is_its_points() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.random((2, 4, 5)).astype(np.float32)
    one, other = (Normal(CAMERA, HEIGHT, WIDTH, 1, shared=False) for _ in range(2))
    one.add_lattice(0, values, weights, 1.3, 2.8, 4)
    y, x = np.meshgrid(1.3 + 4 * np.arange(4), 2.8 + 4 * np.arange(5), indexing="ij")
    other.add_points(0, values.ravel(), weights.ravel(), y.ravel().astype("f4"), x.ravel().astype("f4"))
    np.testing.assert_allclose(one.planes, other.planes, atol=1e-6)
    np.testing.assert_allclose(one.rhs, other.rhs, atol=1e-6)


def test_shared_places_are_separate_ones_with_equal_weights() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.random((30, 3)).astype("f4"), rng.random(30).astype("f4")
    y, x = rng.uniform(1, HEIGHT - 3, 30).astype("f4"), rng.uniform(1, WIDTH - 3, 30).astype("f4")
    together, apart = (Normal(CAMERA, HEIGHT, WIDTH, 3, shared=shared) for shared in (True, False))
    together.add_points(0, values, weights, y, x)
    for channel in range(3):
        apart.add_points(channel, values[:, channel], weights, y, x)
    z = rng.random((3, HEIGHT, WIDTH)).astype("f4")
    np.testing.assert_allclose(together.product(z), apart.product(z), atol=1e-5)
    np.testing.assert_allclose(together.rhs, apart.rhs, atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_samples_are_means_of_shifted_pixels(scale: int) -> None:
    """A scene of waves up to a third of the sampling frequency, shifted in its Fourier series, averaged by blocks."""
    import cv2

    rng = np.random.default_rng(1)
    side = 96
    spectrum = np.fft.rfft2(rng.normal(size=(side, side)))
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    scene = np.fft.irfft2(spectrum * (f < 1 / 3) / np.maximum(f, 0.02), s=(side, side))
    dy, dx = 0.37, -0.61  # fine pixels
    moved = shifted(scene, dx, dy)
    edge = -(-16 // scale)  # pixels at the border, where the filter does not know that the scene is periodic
    wanted = moved.reshape(side // scale, scale, side // scale, scale).mean((1, 3))[edge:-edge, edge:-edge]
    camera = optics(float(scale))
    nodes = cv2.sepFilter2D(scene, -1, camera.blur, camera.blur, borderType=cv2.BORDER_REFLECT_101)
    index = np.arange(edge, side // scale - edge) * scale + (scale - 1) / 2
    y, x = np.meshgrid(index - dy, index - dx, indexing="ij")
    got = Normal(camera, side, side, 1, shared=False).at(nodes.astype("f4"), y.ravel(), x.ravel()).reshape(y.shape)
    assert np.sqrt(np.mean((got - wanted) ** 2)) < 0.015 * wanted.std()


def test_transfer_is_that_of_pixel_and_lens() -> None:
    f = np.array([0.0, 0.1, 0.25, 0.4])
    pairs = (1 + np.exp(2j * np.pi * f)) / 2  # the mean of two pixels
    np.testing.assert_allclose(transfer(f, 2, 1, 0), np.abs(pairs), atol=1e-12)
    np.testing.assert_allclose(transfer(f, 4, 0.5, 0), np.abs(pairs), atol=1e-12)
    x = np.arange(-60, 61)
    lens = np.exp(-(x**2) / (2 * 1.5**2))
    np.testing.assert_allclose(
        transfer(f, 1, 1, 1.5), (lens / lens.sum()) @ np.cos(2 * np.pi * np.outer(x, f)), atol=1e-6
    )


def test_a_constant_stays() -> None:
    rng = np.random.default_rng(2)
    normal = Normal(CAMERA, HEIGHT, WIDTH, 1, shared=False)
    for top, left in rng.uniform(0.6, 2.4, (12, 2)):
        normal.add_lattice(0, np.full((8, 10), 0.7, "f4"), np.ones((8, 10), "f4"), top, left, 2)
    solver = Solver(normal, 1e-6)
    z = solver.solve(solver.start(), solver.first_power(solver.start()), local=True, iterations=5)
    np.testing.assert_allclose(solver.picture(z), 0.7, atol=2e-3)
