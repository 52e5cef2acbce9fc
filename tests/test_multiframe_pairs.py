"""Zoom pairs whose true homography is known; pairs that are no use, each with its reason."""

from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from subpixel.errors import InputError
from subpixel.multiframe import pairs, parallax, render, tone
from subpixel.register import Motion
from zoomed import Zoomed, zoomed


def error(found: pairs.Aligned, made: Zoomed, scale: int = 4) -> float:
    """RMS distance of what was found from the truth, tele pixels."""
    here, there = made.points()
    ours = found.motion.points((here - np.array(found.place) + 0.5) * scale - 0.5)
    return float(np.sqrt(((ours - there) ** 2).sum(1).mean()))


@pytest.mark.parametrize("follow", [True, False])
def test_the_homography_is_found(follow: bool) -> None:
    """To 0.03 pixels of the tele picture; the predicted error says so within a factor of three."""
    made = zoomed()
    found = pairs.align(made.tele, made.wide, follow=follow)
    assert error(found, made) < 0.03
    assert error(found, made) / 3 < found.error < 3 * error(found, made)
    assert found.zoom == pytest.approx(4 * 1.008, rel=2e-3)
    assert found.kept == 1
    assert found.psnr > 36
    assert found.sharpness > 2


def test_low_is_the_wide_pictures_own_and_sharp_fits_it() -> None:
    """A third of a wide picture that shows more; a scale below the zoom; sharp shrunk is low up to noise, in colour."""
    made = zoomed(skimage.data.astronaut(), margin=100)
    before = made.tele.copy(), made.wide.copy()
    found = pairs.align(made.tele, made.wide, scale=3)
    left, top = found.place
    height, width = found.low.shape[:2]
    assert np.array_equal(found.low, made.wide[top : top + height, left : left + width])
    assert found.sharp.shape == (3 * height, 3 * width, 3)
    assert 70 <= width <= 76
    assert np.abs((render.shrunk(found.sharp, 3) - found.low)[4:-4, 4:-4].mean((0, 1))).max() < 0.002
    assert np.array_equal(before[0], made.tele)
    assert np.array_equal(before[1], made.wide)
    assert error(found, made, 3) < 0.05


def test_gray_pictures_are_aligned_too() -> None:
    made = zoomed(np.repeat(skimage.data.camera()[60:460, 60:460, None], 3, 2))
    found = pairs.align(made.tele[..., 0], made.wide[..., 0], follow=False)
    assert error(found, made) < 0.05


def test_parallax_is_followed() -> None:
    """A smooth displacement of 2 pixels RMS that no homography explains: followed, most of it is gone."""
    y, x = np.mgrid[:400, :400] / 400
    flow = np.stack([2.8 * np.sin(5 * y + 1), 2.8 * np.cos(5 * x)], -1)
    made = zoomed(flow=flow)
    plain, followed = (pairs.align(made.tele, made.wide, follow=follow) for follow in (False, True))
    assert plain.parallax == followed.parallax > 1
    assert followed.psnr > plain.psnr + 3


def test_what_moved_is_not_trusted() -> None:
    made = zoomed()
    wide = made.wide.copy()
    wide[36:56, 36:56] = made.wide[70:50:-1, 60:40:-1]
    found = pairs.align(made.tele, wide, follow=False)
    assert 0.4 < found.kept < 1
    assert error(found, made) < 0.06


def blank(shape: tuple[int, ...], value: float) -> Any:
    return np.full(shape, value, np.float32)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t, _: (t, cv2.resize(skimage.data.coffee(), (128, 96)).astype(np.float32) / 255), "no part in common"),
        (lambda t, w: (blank(t.shape, 0.4), w), r"the tele picture is blank: its samples differ by 0\.0 of 255"),
        (lambda t, w: (t, blank(w.shape, 1.0)), "100 % of the wide picture are saturated; expose it shorter"),
        (lambda t, w: (w, t), r"the wide picture is the narrower one \(zoom 0\.2\d\); give the tele picture first"),
        (lambda t, _: (t, t[8:, 8:]), r"the same focal length \(zoom 1\.00\)"),
        (lambda t, w: (cv2.resize(t, None, fx=0.5, fy=0.5), w), r"a zoom of 2\.0\d is too little for a scale of 4"),
        (lambda t, w: (np.rot90(t).copy(), w), r"turned by -?\d+ degrees against the wide one"),
        (lambda t, w: (np.where(t < 2, np.nan, t), w), "the tele picture holds values that are no numbers"),
        (lambda t, w: (t[100:260, 100:260], w), r"only \d\dx\d\d pixels of the wide picture are in the tele one; 64"),
        (lambda t, w: (cv2.GaussianBlur(t, (0, 0), 3), w), "no sharper than the wide one"),
    ],
)
def test_pairs_that_are_no_use(change: Any, sentence: str) -> None:
    made = zoomed()
    with pytest.raises(InputError, match=sentence):
        pairs.align(*change(made.tele, made.wide))


def test_a_render_of_the_same_grid_is_the_mean_of_its_pixels() -> None:
    picture = np.random.default_rng(0).random((64, 80, 3)).astype(np.float32)
    fine, valid = render.rendered(picture, Motion("homography"), (16, 20), 4)
    assert np.allclose(fine, picture, atol=1e-6)
    assert valid.all()
    assert np.allclose(render.shrunk(picture, 4)[3, 5], picture[12:16, 20:24].mean((0, 1)), atol=1e-6)


def test_a_tone_is_undone() -> None:
    """Gains, a mix of channels, a curve and vignetting, with a tenth of the picture replaced: to 1.5 of 255."""
    picture = skimage.data.coffee()[:, :400].astype(np.float32) / 255
    y, x = np.mgrid[-1:1:400j, -1:1:400j]
    like = 0.9 * picture**1.1 * (1 - 0.1 * (x * x + y * y))[..., None]
    like[..., 0] = 0.9 * like[..., 0] + 0.08 * picture[..., 1]
    wrong = like.copy()
    wrong[:126, :126] = 0.5
    made = tone.match(picture, wrong).apply(picture)
    assert np.abs(made - like)[130:].mean() * 255 < 1.5


def test_tiles_cover_and_interpolate() -> None:
    grid = parallax.tiles(100, 150, 64)
    seen = np.zeros((100, 150), int)
    for _, _, part in grid.parts():
        seen[part] += 1
    assert seen.min() >= 1
    plane = np.stack(np.meshgrid(grid.tops + 31.5, grid.lefts + 31.5, indexing="ij"), -1)
    dense = grid.dense(plane, 100, 150, 2)  # of positions, inside the outermost middles: the positions themselves
    assert dense[100, 150] == pytest.approx([(100.5) / 2 - 0.5, (150.5) / 2 - 0.5], abs=1e-4)
    assert parallax.tiles(40, 50, 64).shape == (1, 2)
