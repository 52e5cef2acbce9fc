"""The synthetic camera: known motions give known pictures; letters; every kind of scene."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import ffmpeg
from subpixel.errors import InputError
from subpixel.frames import Frame
from subpixel.learn import camera, glyphs, scenes
from subpixel.learn.camera import SHUTTER, Layer, Motion, render, steady, wander
from subpixel.learn.scenes import MOTIONS, photo_frames

VIEW = (96, 64)


def canvas(density: float = 1.25, seed: int = 0) -> list[torch.Tensor]:
    """A soft random texture, three times as wide and high as the view."""
    rng = np.random.default_rng(seed)
    wide, tall = (int(3 * side * density) // 2 * 2 for side in VIEW)
    coarse = torch.from_numpy(rng.uniform(40, 210, (1, 1, tall // 8, wide // 8))).float()
    luma = torch.nn.functional.interpolate(coarse, (tall, wide), mode="bicubic")[0, 0].clamp(16, 235)
    return [luma, luma[::2, ::2].clone(), 255 - luma[::2, ::2]]


def seen(motion: Motion, planes: list[torch.Tensor], density: float = 1.25, shutter: int = 1) -> list[Frame]:
    tall, wide = planes[0].shape
    return list(render([Layer(planes, None, motion.path((wide / 2, tall / 2), density, VIEW))], *VIEW, shutter))


def test_a_steady_camera_shifts_the_picture_by_whole_pixels() -> None:
    """16 pixels right and 8 down a frame: what was there comes to the left and up, in luma and chroma."""
    frames = seen(steady(4, x=16, y=8), canvas())
    for before, after in itertools.pairwise(frames):
        for plane, (dy, dx) in enumerate(((8, 16), (4, 8), (4, 8))):
            a, b = before.planes[plane].astype(int), after.planes[plane].astype(int)
            assert np.abs(a[dy:, dx:] - b[:-dy, :-dx])[4:-4, 4:-4].max() <= 1  # the filter sees no farther than the rim


def test_what_does_not_move_stays_the_same_to_the_bit() -> None:
    first, *others = seen(steady(4), canvas(), shutter=SHUTTER)
    assert all(np.array_equal(p, q) for f in others for p, q in zip(f.planes, first.planes, strict=True))


def test_zoom_and_roll_move_a_point_as_their_matrix_says() -> None:
    """A bright dot 20 pixels right of the centre: half as far when zoomed out by 2, above when rolled."""
    planes = [torch.full((192, 288), 16.0), torch.full((96, 144), 128.0), torch.full((96, 144), 128.0)]
    planes[0][94:98, 162:166] = 235.0  # at 20 pixels from (144, 96)
    none = np.zeros(SHUTTER)
    for zoom, roll, expected in ((0, 0, (20, 0)), (-np.log(2), 0, (10, 0)), (0, np.pi / 2, (0, -20))):
        motion = Motion(none, none, none + zoom, none + roll, none, none)
        (frame,) = seen(motion, planes, density=1.0)
        y, x = np.unravel_index(int(frame.planes[0].argmax()), frame.planes[0].shape)
        assert np.hypot(x + 0.5 - VIEW[0] / 2 - expected[0], y + 0.5 - VIEW[1] / 2 - expected[1]) < 1.5


def test_near_layers_pass_faster() -> None:
    motion = steady(3, x=2)
    shift = [motion.path((0, 0), 1.5, VIEW, depth)[:, 0, 0, 2] for depth in (1, 2.5)]
    assert shift[0].tolist() == [0, 3, 6]
    assert np.allclose(shift[1], 2.5 * shift[0])


def test_detail_beyond_the_picture_does_not_alias() -> None:
    """Columns that alternate twice as fast as the picture can show become even gray; sampling alone shows a pattern."""
    luma = torch.full((3 * VIEW[1] * 2, 3 * VIEW[0] * 2), 16.0)
    luma[:, ::2] = 235.0
    planes = [luma, torch.full((192, 288), 128.0), torch.full((192, 288), 128.0)]
    (frame,) = seen(steady(1, x=0.1), planes, density=1.95)
    assert frame.planes[0].std() < 3
    plain = torch.nn.functional.grid_sample(
        luma[None, None],
        torch.rand(1, 64, 64, 2, generator=torch.Generator().manual_seed(0)),
        mode="bicubic",
        align_corners=False,
    )
    assert float(plain.std()) > 30


def test_motion_blur_spreads_an_edge_over_the_way_it_went() -> None:
    luma = torch.full((192, 288), 30.0)
    luma[:, 144:] = 200.0
    planes = [luma, torch.full((96, 144), 128.0), torch.full((96, 144), 128.0)]
    widths = []
    for shutter in (1, SHUTTER):
        row = seen(steady(1, x=16), planes, density=1.0, shutter=shutter)[0].planes[0][32].astype(int)
        widths.append(int(((row > 40) & (row < 190)).sum()))
    assert widths[0] <= 4
    assert widths[1] == pytest.approx(15, abs=3)


def test_a_hand_held_camera_rests_when_told_to() -> None:
    motion = wander(np.random.default_rng(1), 30, speed=3, shake=1, turn=1, rest=1)
    still = np.diff(motion.x) == 0
    assert SHUTTER * 30 // 4 <= still.sum() < SHUTTER * 30 * 3 // 4
    assert np.array_equal(still, np.diff(motion.roll) == 0)
    assert not (np.diff(wander(np.random.default_rng(1), 30, speed=3, shake=1, turn=1, rest=0).x) == 0).any()
    assert abs(motion.x.mean()) < 1e-9


def test_layers_cover_what_is_behind_them() -> None:
    back = [torch.full((s, t), v) for s, t, v in ((192, 288, 50.0), (96, 144, 128.0), (96, 144, 128.0))]
    over = torch.zeros(192, 288)
    over[:, 144:] = 1.0
    front = scenes._over([torch.full_like(p, v) for p, v in zip(back, (200.0, 90.0, 160.0), strict=True)], over, None)
    path = steady(1).path((144, 96), 1.0, VIEW)
    (frame,) = render([Layer(back, None, path), Layer(front.planes, front.opacity, path)], *VIEW)
    for plane, (left, right) in zip(frame.planes, ((50, 200), (128, 90), (128, 160)), strict=True):
        middle = plane.shape[1] // 2
        assert np.abs(plane[:, : middle - 3].astype(int) - left).max() <= 1
        assert np.abs(plane[:, middle + 3 :].astype(int) - right).max() <= 1


def test_letters_are_drawn_to_measure() -> None:
    """An l is one stroke 6 units high with round ends: its area is known, its edges are smooth."""
    drawn = glyphs.draw("l", 60, weight=1.0)
    assert drawn.sum() == pytest.approx(60 * 10 + np.pi * 25, rel=0.01)
    assert drawn.shape == (100, 20)
    assert ((drawn > 0) & (drawn < 1)).sum() > 20
    assert np.array_equal(glyphs.draw("é", 30), glyphs.draw("?", 30))
    assert glyphs.draw("WIDE WORDS", 20).shape[1] > 2 * glyphs.draw("WIDE", 20).shape[1]
    assert glyphs.draw("", 20).sum() == 0


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """480x384 JPEG, full range: blocks of random colours."""
    path = tmp_path_factory.mktemp("photo") / "a.jpg"
    picture = np.random.default_rng(0).integers(0, 255, (24, 30, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    ffmpeg("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "480x384", "-i", "-", path, data=picture.tobytes())
    return path


def moving(frames: list[Frame]) -> list[bool]:
    return [not np.array_equal(a.planes[0], b.planes[0]) for a, b in itertools.pairwise(frames)]


@pytest.mark.parametrize("motion", [m for m in MOTIONS if m != "handheld"])
def test_every_scene_is_seeded(photo: Path, motion: str) -> None:
    made, again, other = (photo_frames(photo, np.random.default_rng(seed), motion, frames=4) for seed in (3, 3, 4))
    assert {(f.width, f.height, f.format) for f in made} == {(256, 192, "yuv420p")}
    assert [f.pts for f in made] == [0, 1, 2, 3]
    assert all(
        np.array_equal(p, q) for a, b in zip(made, again, strict=True) for p, q in zip(a.planes, b.planes, strict=True)
    )
    assert not np.array_equal(made[0].planes[0], other[0].planes[0])
    assert {f.planes[0].min() >= 16 and f.planes[0].max() <= 235 for f in made} == {True}
    if motion in ("still", "flight", "parallax"):
        assert any(moving(made)) == (motion != "still")


def test_the_plain_camera_is_still_one_time_in_four() -> None:
    planes = canvas(density=1.0)
    still = 0
    for seed in range(40):
        frames = list(camera.handheld(planes, np.random.default_rng(seed), width=32, height=32, frames=3))
        still += not any(moving(frames))
    assert 4 <= still <= 16


def test_titles_roll_crawl_and_stand(photo: Path) -> None:
    kinds = set()
    for seed in range(6):
        made = photo_frames(photo, np.random.default_rng(seed), "titles", frames=2)
        kinds.add(any(moving(made)))
    assert kinds == {True, False}


def test_a_photograph_too_small_to_move_over_is_refused(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x240", "-frames:v", "1", tmp_path / "small.png")
    with pytest.raises(InputError, match=r"small\.png has 320x240 pixels, too few to move a camera over; leave it out"):
        photo_frames(tmp_path / "small.png", np.random.default_rng(0), "flight")
