"""Lucky imaging on skies whose truth is known: geometry, sharpness, choice of frames, what is refused."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from subpixel.errors import InputError, UsageError
from subpixel.multiframe import skies
from subpixel.multiframe.chart import chart
from subpixel.multiframe.glance import find_disc, guess_mode, look, luminance, noise_of
from subpixel.multiframe.judge import PLACE, Judge, weights
from subpixel.multiframe.lucky import Options, Stack, Verdict, join_colours, lucky
from subpixel.multiframe.seeing import Seeing, unbent
from subpixel.multiframe.sequences import Recording, open_recording
from subpixel.multiframe.ser import write_ser
from subpixel.register import shift_picture

Float = npt.NDArray[np.float32]
SIZE = 120 + 2 * skies.MARGIN, 160 + 2 * skies.MARGIN


@pytest.fixture(scope="module")
def surface() -> Float:
    return skies.moon(*SIZE, seed=3)


@pytest.fixture(scope="module")
def body() -> Float:
    return skies.planet(*SIZE)


def recorded(frames: Any, path: Path, **options: Any) -> Recording:
    write_ser(path, (np.rint(255 * np.clip(frame, 0, 1)).astype(np.uint8) for frame in frames), **options)
    return open_recording(path)


@pytest.fixture(scope="module")
def film(surface: Float, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return recorded(skies.through_air(surface, 32), tmp_path_factory.mktemp("film") / "moon.ser")


@pytest.fixture(scope="module")
def stack(film: Recording) -> Stack:
    return lucky(film)


def error(picture: Float, truth: Float) -> float:
    """Root mean square difference where `truth` shows a picture best, without the borders of that."""
    inner = np.ascontiguousarray(luminance(picture)[12:-12, 12:-12])
    likeness = cv2.matchTemplate(luminance(truth), inner, cv2.TM_SQDIFF)
    top, left = np.unravel_index(likeness.argmin(), likeness.shape)
    fine = np.inf
    for dx in (-0.5, -0.25, 0, 0.25, 0.5):
        for dy in (-0.5, -0.25, 0, 0.25, 0.5):
            moved = shift_picture(luminance(truth), dx, dy)[top : top + inner.shape[0], left : left + inner.shape[1]]
            fine = min(fine, float(np.sqrt(np.mean((moved - inner) ** 2))))
    return fine


def test_the_stack_is_nearer_to_the_truth_than_any_frame(film: Recording, stack: Stack, surface: Float) -> None:
    frames = [error(picture, surface) for _, picture in film.read(range(0, 32, 4))]
    sharp = cv2.GaussianBlur(surface, (0, 0), 0.8)  # no frame is less blurred than this
    assert error(stack.picture, surface) < 0.75 * min(frames)
    assert error(stack.picture, sharp) < 0.5 * min(frames)


def test_it_says_what_it_did(stack: Stack) -> None:
    assert stack.mode == "surface"
    assert stack.noise == pytest.approx(6 / 255, rel=0.1)
    assert stack.seeing == pytest.approx(1.2 * 2**0.5, rel=0.25)
    assert 0 < stack.error < 0.2
    assert 0.1 < stack.resolution < 0.5
    assert len(stack.verdicts) == 32
    unused = [verdict for verdict in stack.verdicts if not verdict.used]
    assert unused
    assert {verdict.why for verdict in unused} == {"nowhere among the best 25%"}
    used, rest = ([v.sharpness for v in stack.verdicts if (v.used > 0) is taken] for taken in (True, False))
    assert np.mean(used) > np.mean(rest)


def test_noise_left_is_that_of_the_stack(film: Recording) -> None:
    """A recording of one scene that is bent by nothing: the power of what is left of white noise is known."""
    rng = np.random.default_rng(0)
    still = [0.5 + 0.3 * skies.moon(96, 128) + 0.02 * rng.standard_normal((96, 128), np.float32) for _ in range(16)]
    recording = dataclasses.replace(film, size=(96, 128), _frames=lambda _: iter(enumerate(still)), _finish=lambda f: f)
    left = lucky(recording, Options(keep=1.0)).left
    expected = 0.02**2 / 16
    assert expected < left[2 : len(left) // 2].mean() < 3 * expected  # frames do not all count alike


def test_memory_holds_no_frames(film: Recording) -> None:
    """Every pass reads anew, and what is read is let go of: at most two frames are alive at a time."""
    alive: list[Any] = []

    def read(wanted: Any) -> Any:
        import weakref

        for index, samples in film._frames(wanted):
            picture = samples.copy()
            alive.append(weakref.ref(picture))
            yield index, picture
            del picture
            assert sum(reference() is not None for reference in alive) <= 6  # five of them choose the mode

    lucky(dataclasses.replace(film, _frames=lambda wanted: itertools.islice(read(wanted), 12)))


def test_a_bent_frame_is_bent_back(surface: Float) -> None:
    """The field of a frame made by a known one; its error is what was predicted from the noise."""
    rng = np.random.default_rng(1)
    sharp = cv2.GaussianBlur(surface, (0, 0), 1.0)
    height, width = sharp.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    true = np.stack([1.2 * skies._clouds(rng, (height, width), 40) + 2, skies._clouds(rng, (height, width), 40)], 2)
    # the frame at p + d(p) shows what the reference has at p: d is inverted by iteration to draw it
    back = true.copy()
    for _ in range(20):
        back = cv2.remap(true, x - back[..., 0], y - back[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    frame = cv2.remap(sharp, x - back[..., 0], y - back[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    noise = 0.02
    bent = Seeing(sharp)
    field = bent.field(frame + noise * rng.standard_normal(frame.shape, np.float32), np.zeros(2, np.float32))
    fine = cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)
    inner = slice(24, -24), slice(24, -24)
    wrong = float(np.sqrt(np.square(fine - true).sum(2)[inner].mean()))
    assert wrong < 0.35
    assert bent.uncertainty(noise) < wrong  # a bound: the smoothness of the field costs more
    seen, inside = unbent(frame, field)
    assert np.abs(seen - sharp)[inner].mean() < 0.3 * np.abs(frame - sharp)[inner].mean()
    assert inside[inner].all()


@pytest.mark.parametrize("size", [(97, 131), (128, 128)])
def test_a_whole_shift_is_found_at_any_size(size: tuple[int, int]) -> None:
    whole = cv2.GaussianBlur(skies.moon(size[0] + 20, size[1] + 20), (0, 0), 1.0)
    field = Seeing(whole[10:-10, 10:-10]).field(whole[8:-12, 7:-13], np.array((2, 1.5), np.float32))
    inner = field[2:-2, 2:-2]
    np.testing.assert_allclose(np.median(inner, (0, 1)), (3, 2), atol=0.05)


def test_finer_sampling_shows_the_same_place(surface: Float) -> None:
    """Outer edges stay: pixel (x, y) of the coarse picture is the middle of its finer ones."""
    still = np.zeros((21, 26, 2), np.float32)
    seen, inside = unbent(cv2.GaussianBlur(surface, (0, 0), 2), still, 2.0)
    assert seen.shape == (2 * surface.shape[0], 2 * surface.shape[1])
    assert inside[2:-2, 2:-2].all()
    coarse = cv2.resize(seen, surface.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(coarse - cv2.GaussianBlur(surface, (0, 0), 2))[8:-8, 8:-8].max() < 0.02


def test_sharpness_orders_blurs_whatever_the_noise(surface: Float) -> None:
    rng = np.random.default_rng(0)
    judge = Judge(surface, 0.03)
    everywhere = np.ones_like(surface)
    found = []
    for blur in (0.6, 0.9, 1.3, 2.0):
        frame = cv2.GaussianBlur(surface, (0, 0), blur) + 0.03 * rng.standard_normal(surface.shape, np.float32)
        found.append(float(judge.sharpness(frame, everywhere).mean()))
    assert found == sorted(found, reverse=True)
    alone = judge.sharpness(0.5 + 0.03 * rng.standard_normal(surface.shape, np.float32), everywhere)
    assert alone.mean() < 0.1  # noise is not detail
    inside = everywhere.copy()
    inside[:, : 3 * PLACE] = 0
    assert not judge.sharpness(surface, inside)[:, 0].any()
    assert judge.gain(2 * surface, everywhere) == pytest.approx(0.5)


@given(arrays(np.float32, (9, 2, 3), elements=st.floats(0.125, 1, width=32)), st.floats(0.05, 1))
@settings(max_examples=50, deadline=None)
def test_weights_take_the_best_of_each_place(sharpness: Float, keep: float) -> None:
    chosen = weights(sharpness, keep)
    most = max(3, int(np.ceil(keep * 9)))
    assert ((chosen > 0).sum(0) <= most).all()
    assert (chosen >= 0).all()
    assert (chosen <= 1).all()
    order = np.argsort(-sharpness, 0)
    ranked = np.take_along_axis(chosen, order, 0)
    assert (np.diff(ranked, axis=0) <= 1e-6).all()


def test_geometry_is_the_mean_of_all_frames(surface: Float, tmp_path: Path) -> None:
    """Frames that bend a grid one way and the other leave it straight."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    waves = [np.sin(2 * np.pi * (y / 90 + np.float32(phase))) for phase in np.arange(12) / 12]
    frames = [
        cv2.remap(surface, x + np.float32(2) * wave, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        for wave in waves
    ]
    picture = lucky(recorded(frames, tmp_path / "a.ser"), Options(keep=1.0)).picture
    assert error(picture, surface) < 0.3 * min(error(frame, surface) for frame in frames)


def test_planet_in_colours(body: Float, tmp_path: Path) -> None:
    frames = list(skies.through_air(body, 20, noise=0.02, jitter=10))
    result = lucky(recorded(frames, tmp_path / "a.ser", colour="RGB"))
    assert result.mode == "planet"
    assert result.picture.ndim == 3
    assert error(result.picture, body) < 0.85 * min(error(frame, body) for frame in frames)


def test_half_a_planet_is_not_the_sharpest(body: Float) -> None:
    """Cut by the edge, or by a cloud: left out, with the reason."""
    frames = list(skies.through_air(body, 8, noise=0.005))
    wide = frames[0].shape[1]
    frames.append(np.concatenate([frames[0][:, wide // 2 :], np.zeros_like(frames[0])[:, wide // 2 :]], 1))
    clouded = frames[1].copy()
    clouded[: clouded.shape[0] // 2] *= 0.05
    frames += [clouded, np.zeros_like(frames[0]), np.full_like(frames[0], np.nan), np.minimum(40 * frames[2], 1)]
    seen = {g.index: g.why for g in look(enumerate(frames), "planet")}
    assert [why for index, why in seen.items() if index < 8] == [""] * 8
    assert [seen[index] for index in range(8, 13)] == [
        "cut by the edge of the picture",
        "with a planet of another size",
        "of one brightness everywhere",
        "with values that are no numbers",
        "burnt out",
    ]


def test_a_first_frame_with_infinite_samples_is_left_out(surface: Float, tmp_path: Path) -> None:
    frames = np.stack(list(skies.through_air(surface, 6)))
    frames[0, 0, 0] = np.inf
    fits.writeto(tmp_path / "a.fits", frames)
    result = lucky(open_recording(tmp_path / "a.fits"))
    assert result.verdicts[0].why == "with values that are no numbers"
    assert np.isfinite(result.picture).all()


def test_strangers_among_the_frames_are_left_out(surface: Float, tmp_path: Path) -> None:
    """Even where the first frame is one of them."""
    rng = np.random.default_rng(0)
    stranger = np.clip(0.4 + 0.1 * rng.standard_normal((120, 160), np.float32), 0, 1)
    frames = [stranger, *skies.through_air(surface, 9), stranger[::-1]]
    result = lucky(recorded(frames, tmp_path / "a.ser"))
    odd = [verdict.index for verdict in result.verdicts if verdict.why == "with nothing that other frames show"]
    assert odd == [0, 10]


def test_a_drift_is_followed_and_cropped(tmp_path: Path) -> None:
    """Over more than the width of the frame; what half of the frames show is kept, and all of it is filled."""
    long = np.concatenate([skies.moon(96, 260, seed=5), skies.moon(96, 60, seed=6)], 1)
    frames = [long[:, at : at + 128] + 0.05 for at in range(0, 60, 5)]
    result = lucky(recorded(frames, tmp_path / "a.ser"), Options(keep=1.0))
    found = [verdict.shift[0] for verdict in result.verdicts]
    np.testing.assert_allclose(np.diff(found), -5, atol=0.3)
    assert 85 < result.picture.shape[1] <= 128
    assert result.picture.min() > 0
    farther = [long[:, at : at + 96] for at in range(0, 200, 8)]
    shifts = [glance.shift[0] for glance in look(enumerate(farther), "surface", farther[:5])]
    np.testing.assert_allclose(np.diff(shifts), -8, atol=0.5)


def test_flicker_does_not_choose(surface: Float, tmp_path: Path) -> None:
    frames = [
        frame * (0.6 if n % 2 else 1) for n, frame in enumerate(skies.through_air(surface, 16, blur=(1, 0), bend=0.5))
    ]
    result = lucky(recorded(frames, tmp_path / "a.ser"), Options(keep=0.5))
    dim, bright = (np.mean([v.sharpness for v in result.verdicts[n::2]]) for n in (1, 0))
    assert dim == pytest.approx(bright, rel=0.1)


def test_colours_are_joined(body: Float) -> None:
    spread = cv2.GaussianBlur(body, (0, 0), 1.0)
    spread[..., 0] = shift_picture(spread[..., 0], 0.4, 1.5)
    spread[..., 2] = shift_picture(spread[..., 2], -0.3, -1.8)
    joined, moved = join_colours(spread)
    np.testing.assert_allclose(moved, [(0.4, 1.5), (-0.3, -1.8)], atol=0.1)
    truth = cv2.GaussianBlur(body, (0, 0), 1.0)
    assert np.abs(joined - truth)[10:-10, 10:-10].max() < 0.2 * np.abs(spread - truth)[10:-10, 10:-10].max()


def test_mode_is_guessed(surface: Float, body: Float) -> None:
    assert guess_mode([surface] * 3) == "surface"
    assert guess_mode([body, body, surface]) == "planet"
    limb = np.where(np.add.outer(np.arange(SIZE[0]), np.arange(SIZE[1])) < 120, 0, 0.2 + surface).astype(np.float32)
    assert guess_mode([limb]) == "surface"
    assert find_disc(np.full((40, 40), 0.5, np.float32)) is None


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.08])
def test_noise_is_measured(surface: Float, noise: float) -> None:
    smooth = cv2.GaussianBlur(surface, (0, 0), 1.5)
    noisy = smooth + noise * np.random.default_rng(0).standard_normal(surface.shape, np.float32)
    assert noise_of(noisy) == pytest.approx(noise, rel=0.15)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (1, ": 1 frame; at least 3 are needed"),
        (2, ": 2 frames; at least 3 are needed"),
        ("tiny", "Frames of 80x20, as .* has, are too small; 32 pixels a side are needed"),
        ("flat", "of which 0 can be used and 3 are needed: 8 of one brightness everywhere"),
        ("noise", "of which 1 can be used and 3 are needed: 3 with nothing that other frames show"),
        ("leaving", "5 cut by the edge of the picture.*; if it is a surface, choose that mode"),
    ],
)
def test_what_cannot_be_stacked_is_refused(
    frames: Any, message: str, surface: Float, body: Float, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    given = {
        "tiny": [surface[:20, :80]] * 4,
        "flat": [np.full((60, 80), 0.4, np.float32)] * 8,
        "noise": [0.4 + 0.03 * rng.standard_normal((60, 80), np.float32) for _ in range(4)],
        "leaving": [luminance(np.pad(body[:, 60 + 8 * n :], ((0, 0), (0, 60 + 8 * n), (0, 0)))) for n in range(5)],
    }
    chosen = given[frames] if isinstance(frames, str) else list(skies.through_air(surface, frames))
    with pytest.raises(InputError, match=message):
        lucky(recorded(chosen, tmp_path / "a.ser"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(keep=0), "share of frames to keep lies above 0"),
        (Options(keep=1.5), "share of frames to keep"),
        (Options(scale=5), "scale is from 1 to 4; not 5"),
        (Options(mode="moon"), "mode is auto, surface or planet; not 'moon'"),  # type: ignore[arg-type]
    ],
)
def test_options_out_of_range_are_refused(options: Options, message: str, film: Recording) -> None:
    with pytest.raises(UsageError, match=message):
        lucky(film, options)


def test_few_frames_and_uncertain_motion_are_warned_of(surface: Float, tmp_path: Path) -> None:
    frames = [*skies.through_air(surface, 6), *np.zeros((10, 120, 160), np.float32)]
    warnings = lucky(recorded(frames, tmp_path / "a.ser")).warnings
    assert warnings[0].startswith("Only 6 of 16 frames can be used.")
    assert "the mean of 3 frames only" in warnings[1]
    faint = skies.through_air(0.4 + 0.1 * surface, 6, noise=0.065, blur=(1.5, 0.3))
    warnings = lucky(recorded(faint, tmp_path / "b.ser")).warnings
    assert any("Local motion is uncertain by" in warning for warning in warnings)


def test_chart_shows_every_frame() -> None:
    verdicts = [Verdict(n, (0, 0), 0.5 + n / 20, n / 19, "") for n in range(20)]
    drawn = chart([*verdicts, Verdict(20, (0, 0), 0, 0, "burnt out")], 0.25)
    assert drawn.shape == (600, 960, 3)
    assert drawn.dtype == np.uint8
    bluest, palest = (drawn == colour for colour in ((20, 90, 170), (205, 215, 225)))
    assert bluest.all(2).any()
    assert palest.all(2).any()
    red = (drawn[..., 0] > 180) & (drawn[..., 1] < 100)
    assert red[200:300].any()
    assert not red[300:].any()


@given(st.integers(1, 20_000), st.floats(0.01, 50))
@settings(max_examples=30, deadline=None)
def test_chart_of_any_number_of_frames(count: int, sharpness: float) -> None:
    verdicts = [Verdict(0, (0, 0), sharpness, 1, ""), Verdict(count - 1, (0, 0), 0, 0, "burnt out")]
    assert chart(verdicts, 1.0).shape == (600, 960, 3)
