"""The contact sheet: its size, and that its squares are those of the clips."""

from pathlib import Path

import numpy as np
import pytest

from subpixel import color, video
from subpixel.degrade import Recipe
from subpixel.learn import clips, sheet
from subpixel.learn.store import Store
from test_learn_store import panning


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for k in range(3):
        clips.write_clip(folder / f"clip{k}", panning(5, seed=k), Recipe(), {"source": f"clip{k}", "scene": "a"})
    return folder


def test_a_row_for_each_clip_with_both_sides(store: Path, tmp_path: Path) -> None:
    assert sheet.sheet(store, tmp_path / "sheet.png", clips=2) == 2
    (picture,) = video.read(tmp_path / "sheet.png")
    rgb = color.to_rgb(picture)
    header, row = 90, 230
    assert rgb.shape == (header + 2 * row, 1320, 3)
    stored = Store(store)
    for k, clip in enumerate((stored.clips[0], stored.clips[2])):
        sharp, low = stored.frames(clip)
        top = header + k * row + 26
        assert np.array_equal(rgb[top : top + 192, 12:300], sheet._fitted(color.to_rgb(sharp[2])))
        degraded = rgb[top : top + 128, 516:708][2::4, 2::4]  # 32 rows of LR pixels, each a square of four by four
        assert np.array_equal(degraded, color.to_rgb(low[2])[:32, :48])
        assert len(np.unique(rgb[top - 20 : top - 6, 12:400])) > 10  # the label


def test_the_square_is_where_the_detail_is() -> None:
    luma = np.full((60, 80), 90, np.uint8)
    luma[40:50, 61:71] = np.random.default_rng(0).integers(0, 255, (10, 10))
    top, left = sheet._detailed(luma, 16)
    assert top <= 40 <= top + 6
    assert left <= 61 <= left + 6
    assert (top % 2, left % 2) == (0, 0)


def test_colours_of_quantisers_and_of_motion() -> None:
    blue, red = sheet._heat(np.array([[10, 40]]))[0]
    assert blue[2] > 2 * blue[0]
    assert red[0] > 2 * red[2]
    right = sheet._hue(np.array([[np.pi]]), np.ones((1, 1)))[0, 0]
    assert (right == [0, 191, 191]).all()
