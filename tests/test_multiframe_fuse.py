import dataclasses

import cv2
import numpy as np
import pytest
import skimage.data

from bursts import burst, mosaic_of, mosaics, motions, psnr, shifted
from subpixel.errors import InputError, UsageError
from subpixel.multiframe.fuse import fuse
from subpixel.multiframe.raw import Camera, Mosaic
from subpixel.pictures import Picture

NOISE = (0.0, (2 / 255) ** 2)


def enlarged(frame: np.ndarray, scale: int) -> np.ndarray:
    return cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_LANCZOS4)


def test_a_bayer_burst_has_far_more_detail_than_an_interpolated_frame() -> None:
    """Everything is found by itself but for the lens; 3 dB above the best that one frame WITH all colours gives."""
    scene, frames, shifts = burst(10)
    found = fuse(mosaics(frames), psf=0.0)
    assert psnr(found.picture, scene) > psnr(enlarged(frames[0], 2), scene) + 3
    errors = np.array([m.shift for m in found.motions]) - shifts
    assert np.sqrt((errors**2).sum(1).mean()) < 0.02
    assert min(found.kept) > 0.85
    assert found.notes == []


@pytest.mark.parametrize("scale", [1, 1.5, 3, 4])
def test_any_scale(scale: float) -> None:
    """Against the scene brought to that size by areas, which is what such pixels would have seen."""
    scene, frames, shifts = burst(8, size=60, scale=4)
    found = fuse(mosaics(frames), scale=scale, psf=0.0, noise=NOISE, motions=motions(shifts)).picture
    side = round(60 * scale)
    wanted = cv2.resize(scene, (side, side), interpolation=cv2.INTER_AREA)
    assert found.shape == wanted.shape
    simple = cv2.resize(frames[0], (side, side), interpolation=cv2.INTER_CUBIC)
    assert psnr(found, wanted) > psnr(simple, wanted) + (1 if scale > 1 else -1)


@pytest.mark.parametrize("kind", ["rgb", "grey", "uint8"])
def test_colour_and_grey_frames(kind: str) -> None:
    scene, frames, _ = burst(8)
    if kind == "grey":
        scene, frames = scene.mean(-1), [f.mean(-1) for f in frames]
    if kind == "uint8":
        frames = [np.rint(np.clip(f, 0, 1) * 255).astype(np.uint8) for f in frames]
    found = fuse(frames, psf=0.0)
    assert found.picture.shape == scene.shape
    simple = enlarged(np.asarray(frames[0], np.float32) / (255 if kind == "uint8" else 1), 2)
    assert psnr(found.picture, scene) > psnr(simple, scene) + 4


def test_a_lens_that_is_given_is_undone() -> None:
    scene, frames, shifts = burst(10, lens=0.4)
    known = {"motions": motions(shifts), "noise": NOISE}
    with_lens, without = (fuse(mosaics(frames), psf=psf, **known).picture for psf in (0.4, 0.0))
    assert psnr(with_lens, scene) > psnr(without, scene) + 2
    guessed = fuse(mosaics(frames), **known)
    assert 0.15 < guessed.psf < 0.6
    assert psnr(guessed.picture, scene) > psnr(without, scene) + 0.5


def with_visitor(frames: list[np.ndarray], where: list[int]) -> list[np.ndarray]:
    """A textured square, 14 x 14 pixels, that is at another column in every frame."""
    square = np.random.default_rng(7).random((14, 14, 3)).astype(np.float32)
    square = 0.2 + 0.8 * cv2.GaussianBlur(square, (0, 0), 1.2)
    out = [frame.copy() for frame in frames]
    for frame, column in zip(out, where, strict=True):
        frame[40:54, column : column + 14] = square
    return out


def test_samples_of_the_dark_do_not_outweigh_all_others() -> None:
    """By photon noise alone a sample of the dark would count a thousand times as much as one of the light."""
    rng = np.random.default_rng(0)
    lamp = cv2.GaussianBlur(cv2.circle(np.full((400, 400, 1), 0.002), (150, 150), 45, 1.0, -1), (0, 0), 2)[..., None]
    picture = lamp * skimage.data.astronaut()[:400, 60:460] / 255.0
    shifts = [(0.0, 0.0), *(tuple(map(float, rng.uniform(-3, 3, 2))) for _ in range(9))]
    frames = []
    for dx, dy in shifts:
        small = shifted(picture, 2 * dx, 2 * dy)[90:218, 90:218].reshape(64, 2, 64, 2, 3).mean((1, 3))
        spread = np.sqrt(4e-4 * np.maximum(small, 0) + 1e-7)
        frames.append((small + spread * rng.normal(size=small.shape)).astype("f4"))
    known = {"motions": motions(shifts), "noise": (4e-4, 1e-7), "psf": 0.0, "robust": False}
    scene = picture[90:218, 90:218]
    assert psnr(fuse(mosaics(frames), **known).picture, scene) > psnr(enlarged(frames[0], 2), scene) + 3.5


def test_what_moves_leaves_no_ghosts() -> None:
    scene, frames, shifts = burst(10)
    columns = [8 + 7 * k for k in range(10)]
    moving = mosaics(with_visitor(frames, columns))
    passed = np.s_[84:104, 50:180]  # where it went in the other frames, in pixels of the result

    def away(picture: np.ndarray) -> float:
        return float(-10 * np.log10(np.mean((np.clip(picture, 0, 1)[passed] - scene[passed]) ** 2)))

    still = fuse(mosaics(frames), motions=motions(shifts), noise=NOISE, psf=0.0)
    masked = fuse(moving, motions=motions(shifts), noise=NOISE, psf=0.0)
    naive = fuse(moving, motions=motions(shifts), noise=NOISE, psf=0.0, robust=False)
    assert away(masked.picture) > away(still.picture) - 5.5  # half of the frames are left out there
    assert away(masked.picture) > away(naive.picture) + 8
    visitor = with_visitor([np.zeros_like(f) for f in frames], columns)[0]
    here = np.s_[84:104, 20:40]  # the reference's own visitor is there, sharp
    assert np.abs(masked.picture[here] - enlarged(visitor, 2)[here]).mean() < 0.05
    found = fuse(moving, psf=0.0)  # and with nothing known
    assert np.abs(np.array([m.shift for m in found.motions]) - shifts).max() < 0.03
    assert away(found.picture) > away(naive.picture) + 8
    assert found.used[45:50, 4 + 3 : 4 + 6].mean() < 0.45 < found.used[5:15, 5:15].mean()


def test_balance_counts_in_the_noise_and_not_in_the_scene() -> None:
    """The same light through weaker red and blue filters, with gains that make up for them."""
    scene, frames, shifts = burst(10, sigma=0)
    rng = np.random.default_rng(3)
    gains = np.array([2.0, 1.0, 1.6])
    weak = [
        dataclasses.replace(m, samples=(m.samples + rng.normal(0, 2 / 255, m.samples.shape)).astype("f4"),
                            camera=Camera((2.0, 1.0, 1.6)))
        for m in mosaics([f / gains for f in frames])
    ]  # fmt: skip
    found = fuse(weak, motions=motions(shifts), noise=NOISE, psf=0.0).picture
    assert psnr(found, scene) > 33
    assert np.abs(found.mean((0, 1)) - scene.mean((0, 1))).max() < 0.003


def test_exposures_that_are_told_are_merged() -> None:
    """Every other frame has four times the light; what is white in it is taken from the others."""
    scene, frames, _ = burst(10, sigma=0)
    rng = np.random.default_rng(4)
    taken = []
    for k, mosaic in enumerate(mosaics(frames)):
        light = mosaic.samples * (1.0 if k % 2 else 0.25) + rng.normal(0, 1 / 255, mosaic.samples.shape)
        taken.append(
            dataclasses.replace(mosaic, samples=np.clip(light, 0, 1).astype("f4"), exposure=0.04 if k % 2 else 0.01)
        )
    found = fuse(taken, psf=0.0)
    assert np.allclose(found.gains[::2], 1, rtol=0.02)
    assert np.allclose(found.gains[1::2], 4, rtol=0.02)
    assert psnr(found.picture * 4, scene) > psnr(fuse(taken[::2], psf=0.0).picture * 4, scene) + 1
    with pytest.raises(InputError, match=r"frame 1 is \d\.\d\d times as bright as frame 0, and the files do not say"):
        fuse([dataclasses.replace(t, exposure=None) for t in taken])
    developed = [Picture(m.samples, 8, exposure=m.exposure, name=m.name) for m in taken]
    with pytest.raises(InputError, match=r"developed pictures were exposed differently \(by a factor of 4\.00\)"):
        fuse(developed)


def test_turned_frames() -> None:
    """A camera that turns by up to half a degree about the middle: frames come from a scene 8 times finer."""
    rng = np.random.default_rng(5)
    crop = skimage.data.astronaut()[80:272, 140:332] / np.float32(255)
    fine = cv2.resize(crop, (768, 768), interpolation=cv2.INTER_CUBIC)
    frames = []
    for k in range(8):
        turn = np.zeros((2, 3)) if k == 0 else np.array([[0, 0, rng.uniform(-16, 16)], [0, 0, rng.uniform(-16, 16)]])
        turn += cv2.getRotationMatrix2D((383.5, 383.5), 0 if k == 0 else rng.uniform(-0.5, 0.5), 1)
        moved = cv2.warpAffine(fine, turn, (768, 768), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        small = moved.reshape(96, 8, 96, 8, 3).mean((1, 3))
        frames.append((small + rng.normal(0, 2 / 255, small.shape)).astype("f4"))
    found = fuse(mosaics(frames), psf=0.0)
    assert found.motions[1].model == "homography"
    scene = fine.reshape(192, 4, 192, 4, 3).mean((1, 3))
    assert psnr(found.picture, scene, 16) > psnr(enlarged(frames[0], 2), scene, 16) + 3


def test_tiles_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    from subpixel.multiframe import fuse as module

    _, frames, shifts = burst(6)
    known = {"motions": motions(shifts), "noise": NOISE, "psf": 0.0, "robust": False}
    whole = fuse(mosaics(frames), **known).picture
    monkeypatch.setattr(module, "TILE", 64)
    tiled = fuse(mosaics(frames), **known).picture
    assert np.abs(whole - tiled).mean() < 1 / 255


def test_x_trans_mosaics() -> None:
    pattern = np.array([[1, 2, 1, 1, 0, 1], [0, 1, 0, 2, 1, 2], [1, 2, 1, 1, 0, 1],
                        [1, 0, 1, 1, 2, 1], [2, 1, 2, 0, 1, 0], [1, 0, 1, 1, 2, 1]])  # fmt: skip
    scene, frames, shifts = burst(12)
    found = fuse(mosaics(frames, pattern), motions=motions(shifts), noise=NOISE, psf=0.0).picture
    assert psnr(found, scene) > psnr(enlarged(frames[0], 2), scene) + 2


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ([np.zeros((64, 64), np.float32)], "A burst has two frames or more, not 1"),
        ([np.ones((64, 64)), np.ones((64, 65))], "frame 0 and frame 1 differ in size: 64x64 and 65x64"),
        ([np.ones((64, 64)), np.ones((64, 64, 3))], "are of different kinds; give all as RAW, as RGB or as grey"),
        ([np.ones((8, 8)), np.ones((8, 8))], "too small"),
        ([np.ones((64, 64, 2)), np.ones((64, 64, 2))], r"shape \(64, 64, 2\)"),
        ([np.full((64, 64), np.nan), np.ones((64, 64))], "no numbers"),
        ([np.full((64, 64), 0.5), np.full((64, 64), 0.5)], "frame 1 cannot be registered"),
        ([np.ones((64, 64)), np.ones((64, 64))], "frame 1 cannot be registered"),
    ],
)
def test_frames_that_make_no_burst_get_a_sentence(frames: list[np.ndarray], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        fuse(frames)


def test_frames_of_different_scenes_are_refused() -> None:
    _, frames, _ = burst(2)
    other = np.random.default_rng(0).random(frames[0].shape).astype("f4") * 2 * frames[0].mean()
    with pytest.raises(InputError, match=r"frame 1 cannot be registered\. .*nothing in common"):
        fuse([frames[0], cv2.GaussianBlur(other, (0, 0), 1)])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scale": 0.5}, "The scale is from 1 to 4, not 0.5"),
        ({"psf": -1.0}, "psf is 'auto' or the sigma"),
        ({"fill": 0}, "fill is the light-sensitive width"),
        ({"noise": (-1, 0)}, "is impossible; both are at least 0"),
        ({"reference": 2}, "There is no frame 2; the 2 frames"),
        ({"model": "spin"}, "There is no model 'spin'"),
        ({"motions": []}, "0 motions were given for 2 frames"),
    ],
)
def test_impossible_options(options: dict, sentence: str) -> None:
    _, frames, _ = burst(2, size=48)
    with pytest.raises(UsageError, match=sentence):
        fuse(frames, **options)


def test_frames_are_not_changed() -> None:
    _, frames, _ = burst(3, size=48)
    before = [f.copy() for f in frames]
    fuse(frames)
    for frame, copy in zip(frames, before, strict=True):
        np.testing.assert_array_equal(frame, copy)


def test_mosaics_of_two_cameras_are_refused() -> None:
    _, frames, _ = burst(2, size=48)
    one = mosaics(frames)[0]
    turned = one.pattern[::-1]
    other = Mosaic(mosaic_of(frames[1], turned).astype("f4"), turned, one.black, 1.0)
    with pytest.raises(InputError, match="have different mosaics"):
        fuse([one, other])
