"""tOF: zero for the same motion, the distance where it is known, its sentences."""

import numpy as np
import pytest
import skimage.data

from subpixel.errors import InputError
from subpixel.frames import Frame
from subpixel.metrics import FrameCountError, tof


def film(steps: list[int], height: int = 96, width: int = 128) -> list[Frame]:
    """A photograph that has moved by so many pixels to the left at each frame."""
    photo = skimage.data.gravel()
    return [Frame((photo[:height, step : step + width].copy(),), "gray") for step in steps]


def test_the_same_motion_is_no_distance() -> None:
    frames = film([0, 1, 2, 3, 4, 5, 6])
    assert tof(frames, frames) == 0


def test_another_speed_is_the_difference() -> None:
    """One pixel a frame against two: flows differ by one, but where the picture shows nothing that moves."""
    found = tof(film([2 * t for t in range(7)]), film(list(range(7))))
    assert 0.6 < found < 1.1


def test_two_frames_at_each_end_do_not_count() -> None:
    still, jerky = film([20] * 8), film([0, 9, 20, 20, 20, 20, 9, 0])
    assert tof(jerky, still) < 0.05
    assert tof(film([20, 20, 20, 20, 23, 20, 20, 20]), still) > 0.5


def test_films_that_do_not_compare_are_refused() -> None:
    with pytest.raises(InputError, match="tOF leaves 4 frames out and compares the others, so it needs 6 at least"):
        tof(film([0] * 5), film([0] * 5))
    with pytest.raises(InputError, match="128x96 and 128x90 do not compare; they must be of one size, and 48"):
        tof(film([0] * 6), film([0] * 6, height=90))
    with pytest.raises(InputError, match="40x96 and 40x96 do not compare"):
        tof(film([0] * 6, width=40), film([0] * 6, width=40))
    with pytest.raises(FrameCountError, match="6 in the restored video, 7 in the reference"):
        tof(film([0] * 6), film([0] * 7))


def test_deep_video_is_compared_at_eight_bits() -> None:
    frames = film(list(range(7)))
    deep = [Frame((f.planes[0].astype(np.uint16) * 4,), "gray10le") for f in frames]
    assert tof(deep, frames) == 0
