"""Deblurring: known kernels, known shares, motion of its own, and what is refused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from skimage import data

from subpixel.color import from_unit, to_unit
from subpixel.errors import InputError, UsageError
from subpixel.frames import Frame
from subpixel.multiframe.accumulate import accumulate
from subpixel.multiframe.deblur import deblur, helped
from subpixel.multiframe.deblur_film import NAME, Deblur
from subpixel.multiframe.exposures import Scene, Thing, disturbed, shaken
from subpixel.multiframe.regrid import agreement, align, sharpness
from subpixel.register import register, shift_picture
from subpixel.restore import Restorer

Array = npt.NDArray[np.float32]

QUIET = (0.0, 1e-6)
NOISE = (0.0, (2 / 255) ** 2)
SIZE = (128, 160)


@pytest.fixture(scope="module")
def picture() -> Array:
    return data.astronaut()[40:300, 60:380].astype(np.float32) / 255


@pytest.fixture(scope="module")
def film(picture: Array) -> tuple[list[Array], list[Array]]:
    return shaken(Scene(picture), SIZE, count=6, reach=7, seed=3)


def psnr(picture: Array, truth: Array) -> float:
    """Without a border, where the truth is: a blur has no place of its own."""
    dx, dy = register(truth, picture, robust=True).shift
    error = (shift_picture(picture, -dx, -dy) - truth)[12:-12, 12:-12]
    return float(-10 * np.log10(np.square(error).mean()))


def motion_blurred(picture: Array, length: int, axis: int) -> Array:
    """The mean over a straight, centred path, the picture going on as it does."""
    moved = [np.roll(picture, k, axis) for k in range(-(length // 2), length // 2 + 1)]
    return np.mean(moved, 0).astype(np.float32)


def test_equal_pictures_are_left_as_they_are(picture: Array) -> None:
    made, shares = accumulate(np.stack([picture] * 4), QUIET)
    np.testing.assert_allclose(made, picture, atol=2e-5)
    np.testing.assert_allclose(shares, 0.25, atol=1e-3)


def test_blurs_in_two_directions_complete_each_other(picture: Array) -> None:
    wide, tall = motion_blurred(picture, 9, 1), motion_blurred(picture, 9, 0)
    made, shares = accumulate(np.stack([wide, tall]), QUIET)
    error = [np.square((p - picture)[20:-20, 20:-20]).mean() for p in (wide, tall, made)]
    assert error[2] < 0.6 * min(error[:2])
    assert abs(shares[0] - shares[1]) < 0.2


def test_the_sharpest_gives_most_and_the_others_take_noise_away(picture: Array) -> None:
    rng = np.random.default_rng(0)
    clean = [picture, picture, motion_blurred(picture, 13, 0)]
    noisy = np.stack([p + 0.02 * rng.standard_normal(p.shape) for p in clean]).astype(np.float32)
    made, shares = accumulate(noisy, (0.0, 0.02**2))
    assert shares[2] < 0.5 * min(shares[:2])
    # Two sharp pictures alone would leave half of the noise.
    assert np.square(made - picture)[16:-16, 16:-16].mean() < 0.65 * 0.02**2


@pytest.mark.parametrize("height", [33, 64, 200])
def test_tiles_leave_no_seams(height: int) -> None:
    slope = np.broadcast_to(np.linspace(0, 1, 150, dtype=np.float32)[:, None], (height, 150, 1)).copy()
    made, _ = accumulate(np.stack([slope, slope]), QUIET)
    np.testing.assert_allclose(made, slope, atol=1e-3)


def test_a_shaken_burst_becomes_sharp(film: tuple[list[Array], list[Array]]) -> None:
    frames, truths = film
    result = deblur(frames)
    before = [psnr(frame, truth) for frame, truth in zip(frames, truths, strict=True)]
    assert psnr(result.picture, truths[result.reference]) > max(before)
    assert psnr(result.picture, truths[result.reference]) > np.mean(before) + 6.0
    assert result.reference == int(np.argmax([part.sharpness for part in result.parts]))
    assert sum(part.share for part in result.parts) == pytest.approx(1, abs=1e-5)
    assert result.notes == []


def test_the_blurriest_frame_as_reference_is_sharpened_most(film: tuple[list[Array], list[Array]]) -> None:
    frames, truths = film
    worst = int(np.argmin([part.sharpness for part in deblur(frames).parts]))
    result = deblur(frames, reference=worst)
    assert psnr(result.picture, truths[worst]) > psnr(frames[worst], truths[worst]) + 8.0
    assert all(part.aligned is not None for k, part in enumerate(result.parts) if k != worst)


def test_grey_frames_give_a_grey_picture(film: tuple[list[Array], list[Array]]) -> None:
    frames = [frame.mean(2) for frame in film[0][:3]]
    before = [frame.copy() for frame in frames]
    assert deblur(frames).picture.shape == SIZE
    assert all((a == b).all() for a, b in zip(frames, before, strict=True))


def test_what_moves_by_itself_leaves_no_ghost(picture: Array) -> None:
    cup = data.coffee()[60:300, 150:450].astype(np.float32) / 255
    frames, truths, places = disturbed(
        Scene(picture), SIZE, Thing(cup, 22, (70, 60), (6, 0)), count=5, reach=3, roll=0.3, seed=1
    )
    made = helped(frames, 2)
    assert made is not None
    inside, outside = places[2], ~places[2]
    outside[:12], outside[-12:], outside[:, :12], outside[:, -12:] = False, False, False, False

    def error(picture: Array, where: npt.NDArray[np.bool_]) -> float:
        dx, dy = register(truths[2], picture, robust=True).shift
        return float(np.square(shift_picture(picture, -dx, -dy) - truths[2])[where].mean())

    assert error(made, inside) < 1.3 * error(frames[2], inside)
    assert error(made, outside) < 0.7 * error(frames[2], outside)
    # Without the masks the disc of the other frames would shine through where it is not.
    naive = np.mean([frames[k] for k in (0, 2, 4)], 0)
    assert error(naive, inside) > 3 * error(made, inside)


def test_a_turned_frame_is_aligned_by_flow(picture: Array) -> None:
    frames, _, _ = disturbed(
        Scene(picture), SIZE, Thing(picture, 0, (0, 0), (0, 0)), count=4, reach=1, roll=1.0, seed=5
    )
    found = [align(frames[0], frame, NOISE) for frame in frames[1:]]
    assert {f.motion.model for f in found} == {"flow"}
    for frame, aligned in zip(frames[1:], found, strict=True):
        inner = np.s_[16:-16, 16:-16]
        before = np.square(frame - frames[0])[inner].mean()
        assert np.square(aligned.picture - frames[0])[inner].mean() < 0.2 * before


def test_a_blur_alone_is_aligned_by_a_shift(film: tuple[list[Array], list[Array]]) -> None:
    frames, _ = film
    found = [align(frames[0], frame, NOISE) for frame in frames[1:]]
    assert {f.motion.model for f in found} == {"shift"}
    assert max(f.moved for f in found) < 0.15


def test_agreement_knows_blur_from_motion(picture: Array) -> None:
    grey = picture.mean(2)
    everywhere = np.ones(grey.shape, bool)
    blurred = motion_blurred(picture, 7, 0).mean(2)
    assert agreement(grey, blurred, everywhere, QUIET).mean() > 0.9
    changed = grey.copy()
    changed[80:130, 100:160] = grey[200:250, 20:80]
    trust = agreement(grey, changed, everywhere, QUIET)
    assert trust[90:120, 110:150].mean() < 0.15
    assert trust[150:, 180:].mean() > 0.95


def test_sharpness_does_not_grow_with_noise(picture: Array) -> None:
    rng = np.random.default_rng(2)
    noisy = (picture + 0.03 * rng.standard_normal(picture.shape)).astype(np.float32)
    clean, with_noise = sharpness([picture], QUIET)[0], sharpness([noisy], (0.0, 0.03**2))[0]
    assert with_noise == pytest.approx(clean, rel=0.1)


def test_brighter_frames_are_equalised_and_said(film: tuple[list[Array], list[Array]]) -> None:
    frames, truths = film
    lit = [frames[0], frames[1] * np.float32(1.1), *frames[2:]]
    result = deblur(lit, reference=0)
    assert any("1.10 times as bright" in note for note in result.notes)
    assert psnr(result.picture, truths[0]) > psnr(deblur(frames, reference=0).picture, truths[0]) - 0.3


def test_a_strange_frame_is_left_out_and_said(film: tuple[list[Array], list[Array]]) -> None:
    frames, _ = film
    strange = (data.coffee()[:128, :160] / 255).astype(np.float32)
    result = deblur([*frames[:3], strange], reference=0, names=["a", "b", "c", "d"])
    assert result.parts[3].share == 0
    assert result.parts[3].why
    assert any(note.startswith("d is left out: ") for note in result.notes)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([np.zeros((64, 64))], "two frames or more, not 1"),
        ([np.zeros((64, 64)), np.zeros((64, 65))], "give frames of one camera at one size"),
        ([np.zeros((20, 64))] * 2, "64x20; frames of 32x32 or more can be aligned"),
        ([np.zeros((64, 64, 4))] * 2, r"a frame is \(height, width\) or \(height, width, 3\)"),
        ([np.full((64, 64), np.nan)] * 2, "no numbers"),
        ([np.ones((64, 64))] * 2, "saturated in 100% of its samples"),
        ([np.full((64, 64), 0.5)] * 2, "No frame shows what Frame 0 shows"),
    ],
)
def test_impossible_bursts_are_refused(frames: list[Array], message: str) -> None:
    with pytest.raises(InputError, match=message):
        deblur([np.asarray(frame, np.float32) for frame in frames])


def test_mixed_exposures_are_refused(film: tuple[list[Array], list[Array]]) -> None:
    with pytest.raises(InputError, match=r"Frame 1 is 0.5\d? times as bright as the reference; give frames"):
        deblur([film[0][0], film[0][1] * np.float32(0.5)], reference=0)


def test_a_reference_that_is_not_there_is_refused(film: tuple[list[Array], list[Array]]) -> None:
    with pytest.raises(UsageError, match="There is no frame 9; the reference is one of 0 to 5"):
        deblur(film[0], reference=9)


@pytest.fixture(scope="module")
def coded(film: tuple[list[Array], list[Array]]) -> list[Frame]:
    """The film as 4:2:0 frames."""
    blank = Frame(
        (np.zeros(SIZE, np.uint8), *(np.zeros((SIZE[0] // 2, SIZE[1] // 2), np.uint8),) * 2), format="yuv420p"
    )
    return [from_unit(np.moveaxis(f, 2, 0), blank).replace(pts=k) for k, f in enumerate(film[0])]


def test_a_film_keeps_its_frames_and_becomes_sharper(coded: list[Frame], film: tuple[list[Array], list[Array]]) -> None:
    made = list(Deblur()(coded))
    assert [frame.pts for frame in made] == [frame.pts for frame in coded]
    assert {(frame.width, frame.height, frame.format) for frame in made} == {(160, 128, "yuv420p")}
    gains = [
        psnr(np.moveaxis(to_unit(after), 0, 2), truth) - psnr(np.moveaxis(to_unit(before), 0, 2), truth)
        for before, after, truth in zip(coded, made, film[1], strict=True)
    ]
    assert np.mean(gains) > 3.0


def test_shots_do_not_help_each_other(coded: list[Frame]) -> None:
    other = [frame.replace(planes=(255 - frame.planes[0], *frame.planes[1:])) for frame in coded[:2]]
    whole = list(Restorer(NAME, 1)([*coded[:2], *other]))
    apart = [*Restorer(NAME, 1)(coded[:2]), *Restorer(NAME, 1)(other)]
    for one, two in zip(whole, apart, strict=True):
        assert all((a == b).all() for a, b in zip(one.planes, two.planes, strict=True))


def test_a_piece_of_a_film_comes_out_as_in_the_whole(coded: list[Frame]) -> None:
    model = Restorer(NAME, 1)
    whole = list(model(coded))
    piece = list(model(coded[1:], model.before))
    assert (piece[0].planes[0] == whole[1 + model.before].planes[0]).all()


def test_a_film_keeps_its_size() -> None:
    with pytest.raises(UsageError, match="Scale 2 is not possible; deblur keeps the size of frames: choose 1"):
        Restorer(NAME, 2)
