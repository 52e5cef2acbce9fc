"""Pixel shift: known shifts, any order, unequal light, things that move, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from skimage import data

from subpixel.errors import InputError
from subpixel.multiframe.demosaic import demosaic
from subpixel.multiframe.exposures import BAYER, Scene, interleaved, shifted, unmoved
from subpixel.multiframe.pixelshift import GRIDS, pixelshift
from subpixel.multiframe.raw import Mosaic

Array = npt.NDArray[np.float32]

SIZE = (96, 112)
FOUR, SIXTEEN = GRIDS["mosaic", 4][0], GRIDS["mosaic", 16][0]


@pytest.fixture(scope="module")
def scene() -> Scene:
    picture = data.astronaut() / 255
    return Scene(picture[: 4 * (SIZE[0] + 24), : 4 * (SIZE[1] + 16)])


def mosaics(shots: list[Array]) -> list[Any]:
    black = np.zeros((2, 2), np.float32)
    return [Mosaic(shot, BAYER.astype(np.int64), black, 1.0, name=f"shot {k}") for k, shot in enumerate(shots)]


def psnr(picture: Array, truth: Array) -> float:
    inner = np.s_[8:-8, 8:-8]
    return float(-10 * np.log10(np.square(np.clip(picture, 0, 1)[inner] - truth[inner]).mean()))


def steps(places: npt.NDArray[np.float64], error: float, seed: int = 0) -> npt.NDArray[np.float64]:
    moved = places + np.random.default_rng(seed).normal(0, error, places.shape)
    return moved - moved[0]


def test_a_bad_stage_costs_a_decibel_when_it_is_believed(scene: Scene) -> None:
    true = steps(FOUR.places, 0.1)
    shots = shifted([scene] * 4, SIZE, true)
    truth = unmoved(scene, SIZE)
    found = pixelshift(mosaics(shots))
    assert found.fused.picture.shape == (*SIZE, 3)
    assert psnr(found.fused.picture, truth) > psnr(interleaved(shots, FOUR.places, 1), truth) + 1.0
    assert psnr(found.fused.picture, truth) > psnr(demosaic(shots[0], "RGGB"), truth) + 4.0
    np.testing.assert_allclose(found.used, true, atol=0.02)
    assert found.stage == pytest.approx(0.1, rel=0.6)
    assert min(found.fused.kept) > 0.98


def test_nothing_is_lost_with_a_perfect_stage(scene: Scene) -> None:
    shots = shifted([scene] * 4, SIZE, FOUR.places)
    truth = unmoved(scene, SIZE)
    found = pixelshift(mosaics(shots))
    assert psnr(found.fused.picture, truth) > psnr(interleaved(shots, FOUR.places, 1), truth)
    assert found.stage < 0.02
    assert found.notes == []


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_shots_is_found(scene: Scene, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(4)
    places = FOUR.places[order]
    found = pixelshift(mosaics(shifted([scene] * 4, SIZE, places - places[0])))
    assert found.places == order.tolist()
    np.testing.assert_allclose(found.nominal, places - places[0], atol=1e-9)


def test_sixteen_shots_are_twice_as_fine(scene: Scene) -> None:
    order = np.random.default_rng(1).permutation(16)
    true = steps(SIXTEEN.places[order], 0.05)
    shots = shifted([scene] * 16, SIZE, true)
    found = pixelshift(mosaics(shots))
    truth = unmoved(scene, SIZE, scale=2)
    plain = interleaved(shots, SIXTEEN.places[order] - SIXTEEN.places[order[0]], 2)
    assert found.places == order.tolist()
    assert found.fused.picture.shape == (2 * SIZE[0], 2 * SIZE[1], 3)
    assert psnr(found.fused.picture, truth) > psnr(plain, unmoved(scene, SIZE, scale=2, corner=False)) + 2.0


@pytest.mark.parametrize(("kind", "count", "colours"), [("picture", 4, 3), ("picture", 4, 1), ("picture", 16, 3)])
def test_shots_with_all_colours_become_finer(scene: Scene, kind: str, count: int, colours: int) -> None:
    grid = GRIDS[kind, count][0]
    shots = shifted([scene] * count, SIZE, steps(grid.places, 0.02), mosaic=False)
    truth = unmoved(scene, SIZE, scale=grid.scale)
    if colours == 1:
        shots, truth = [shot.mean(2) for shot in shots], truth.mean(2)
    found = pixelshift(shots)
    assert found.grid == grid
    assert found.fused.picture.shape == truth.shape
    enlarged = np.kron(shots[0], np.ones((grid.scale,) * 2 + (1,) * (truth.ndim - 2), np.float32))
    assert psnr(found.fused.picture, truth) > psnr(enlarged, truth) + 3.0


def test_sixteen_pictures_half_a_pixel_apart_are_known(scene: Scene) -> None:
    shots = shifted([scene] * 16, SIZE, GRIDS["picture", 16][1].places, mosaic=False)
    assert pixelshift(shots).grid == GRIDS["picture", 16][1]


def test_each_colour_of_each_shot_is_equalised(scene: Scene) -> None:
    gains = 1 + 0.03 * np.random.default_rng(2).standard_normal((4, 3))
    gains[0] = 1
    true = steps(FOUR.places, 0.05)
    found = pixelshift(mosaics(shifted([scene] * 4, SIZE, true, gains=gains)))
    np.testing.assert_allclose(found.gains, gains, atol=0.01)
    truth = unmoved(scene, SIZE)
    equal = pixelshift(mosaics(shifted([scene] * 4, SIZE, true)))
    assert psnr(found.fused.picture, truth) > psnr(equal.fused.picture, truth) - 0.5
    assert any("it was equalised" in note for note in found.notes)


def test_what_moves_is_the_first_shots_alone() -> None:
    picture = data.astronaut() / 255
    cup = data.coffee()[150:210, 200:260] / 255
    scenes = []
    for number in range(4):
        full = picture.copy()
        full[200:260, 100 + 40 * number : 160 + 40 * number] = cup
        scenes.append(Scene(full[: 4 * (SIZE[0] + 24), : 4 * (SIZE[1] + 16)]))
    shots = shifted(scenes, SIZE, FOUR.places)
    truth = unmoved(scenes[0], SIZE)
    found = pixelshift(mosaics(shots))
    box = np.s_[200 // 4 - 8 : 260 // 4 - 8, 100 // 4 - 8 : 160 // 4 + 22]

    def error(picture: Array) -> float:
        return float(np.square(np.clip(picture, 0, 1) - truth)[box].mean())

    assert error(found.fused.picture) < 1.5 * error(demosaic(shots[0], "RGGB"))
    assert error(found.fused.picture) < 0.1 * error(interleaved(shots, FOUR.places, 1))
    assert 0.85 < min(found.fused.kept) < 0.99


def test_too_little_detail_leaves_the_nominal_shifts() -> None:
    """A faint disc under heavy noise: what the stage should have done is surer than what can be measured."""
    y, x = np.mgrid[:480, :512]
    faint = 0.4 + 0.1 / (1 + np.exp((np.hypot(x - 250, y - 230) - 120) / 20))
    there = Scene(np.repeat(faint[..., None], 3, 2))
    found = pixelshift(mosaics(shifted([there] * 4, SIZE, FOUR.places, noise=(0.0, 0.01**2), seed=3)))
    assert np.abs(found.used - FOUR.places).max() < 0.8 * np.abs(found.measured - FOUR.places).max()
    assert any(note.startswith("The shifts are known to 0.") for note in found.notes)


def test_nothing_is_changed_in_the_shots(scene: Scene) -> None:
    shots = shifted([scene] * 4, SIZE, GRIDS["picture", 4][0].places, mosaic=False)
    shots[1] = (shots[1] * np.float32(1.05)).astype(np.float32)
    before = [shot.copy() for shot in shots]
    pixelshift(shots)
    assert all((a == b).all() for a, b in zip(shots, before, strict=True))


def test_impossible_shots_are_refused(scene: Scene) -> None:
    shots = shifted([scene] * 4, SIZE, FOUR.places)
    cases = [
        (mosaics(shots[:3]), "A pixel shift has 4 or 16 shots, not 3"),
        (mosaics([*shots[:3], shots[3][:, :-2]]), "differ in size"),
        ([*mosaics(shots[:3]), np.zeros((*SIZE, 3), np.float32)], "different kinds"),
        (mosaics([shots[0]] * 4), r"The shots lie within 0\.0\d\d pixels of each other"),
        (mosaics([*shots[:3], 0.5 * shots[3]]), r"shot 3 is 0\.5\d? times as bright as shot 0"),
        (mosaics([shot + np.float32(1) for shot in shots]), r"shot 0 is saturated in 100% of its samples"),
        (mosaics([np.full(SIZE, 0.3, np.float32)] * 4), "shot 1 cannot be registered with shot 0"),
    ]
    for given, message in cases:
        with pytest.raises(InputError, match=message):
            pixelshift(given)


def test_a_moved_tripod_is_refused(scene: Scene) -> None:
    moved = FOUR.places + np.array([[0, 0], [0, 0], [0, 0], [2.5, 1.0]])
    with pytest.raises(InputError, match=r"do not lie on 2 x 2 places, 1 pixels apart.*The camera moved"):
        pixelshift(mosaics(shifted([scene] * 4, SIZE, moved)))


def test_a_worn_stage_is_a_warning_with_its_figure(scene: Scene) -> None:
    moved = FOUR.places + np.array([[0.3, 0], [-0.3, 0], [0, 0.3], [0, -0.3]])
    found = pixelshift(mosaics(shifted([scene] * 4, SIZE, moved - moved[0])))
    assert any(note.startswith("The stage is off by 0.") for note in found.notes)
    np.testing.assert_allclose(found.used, moved - moved[0], atol=0.03)
