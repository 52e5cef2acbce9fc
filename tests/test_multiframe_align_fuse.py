"""Align and fuse: resolution from motion, noise that falls, no ghosts, every format, the same whoever restores it."""

import importlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from subpixel import chunks, upsample
from subpixel.chunks import places, restored
from subpixel.errors import Interrupted, UsageError
from subpixel.frames import Frame, pixel_format
from subpixel.job import upscale
from subpixel.multiframe.align_fuse import AlignFuse
from subpixel.multiframe.decimation import Decimation
from subpixel.multiframe.warp_engine import WarpEngine
from subpixel.restore import Restorer, restore
from subpixel.video import Encoding, read

MakeClip = Callable[..., Path]


def gray(plane: np.ndarray) -> Frame:
    return Frame((np.clip(np.rint(plane), 0, 255).astype(np.uint8),), "gray")


def luma(name: str = "astronaut") -> np.ndarray:
    return cv2.cvtColor(getattr(skimage.data, name)(), cv2.COLOR_RGB2GRAY).astype(np.float32)


def panned(count: int, scale: int, *, side: int = 192) -> tuple[list[Frame], list[Frame]]:
    """(small frames, large ones) of a photograph that a camera passes over by steps known to a small pixel's parts."""
    photo = luma()
    views = (np.array([[1, 0, 90 + 1.3 * t], [0, 1, 60 + 0.9 * t]], np.float32) for t in range(count))
    how = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    large = [gray(cv2.warpAffine(photo, view, (side, side), flags=how)) for view in views]
    shrink = Decimation(scale, "area").shrink
    return [gray(shrink(frame.planes[0].astype(np.float32))) for frame in large], large


def error(found: Frame, truth: Frame, border: int = 8) -> float:
    """RMS of luma without the border."""
    inner = np.s_[border:-border, border:-border]
    return float(np.sqrt(np.mean(np.square(found.planes[0][inner].astype(float) - truth.planes[0][inner]))))


def same(a: Frame, b: Frame) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_motion_gives_detail_that_one_frame_has_not(scale: int) -> None:
    low, truth = panned(10, scale)
    model = AlignFuse(scale, kernel="area")
    last = [model(frame) for frame in low][-1]
    model.forget()
    alone = model(low[-1])
    plain = upsample.bicubic(low[-1], scale)
    assert error(last, truth[-1]) < 0.9 * error(alone, truth[-1])
    assert error(last, truth[-1]) < 0.79 * error(plain, truth[-1])  # 2 dB and more


def test_noise_of_a_still_scene_falls() -> None:
    """Over time to a third of that of single frames, at most, for noise that is not told."""
    rng = np.random.default_rng(0)
    scene = cv2.resize(luma(), (96, 80), interpolation=cv2.INTER_AREA)
    frames = [gray(scene + rng.normal(0, 5, scene.shape)) for _ in range(14)]
    model = AlignFuse(2)
    fused = [model(frame).planes[0].astype(float) for frame in frames]
    alone = []
    for frame in frames[:6]:
        model.forget()
        alone.append(model(frame).planes[0].astype(float))
    assert np.diff(fused[6:], axis=0).std() < np.diff(alone, axis=0).std() / 3


def test_without_noise_the_picture_shrinks_to_its_frame() -> None:
    low, _ = panned(4, 4)
    model = AlignFuse(4, noise=0, back_projections=4)
    last = [model(frame) for frame in low][-1]
    small = Decimation(4).shrink(last.planes[0].astype(np.float32))
    assert np.sqrt(np.mean(np.square(small - low[-1].planes[0]))) < 1.5


def test_what_was_covered_and_what_covers_leave_no_ghost() -> None:
    """A bright block jumps over a still scene: where it was and where it is, nothing of the other is left."""
    scene = cv2.resize(luma(), (96, 80), interpolation=cv2.INTER_AREA) * 0.6
    frames = []
    for t in range(8):
        picture = scene.copy()
        picture[24:48, 8 * t + 8 : 8 * t + 24] = 240
        frames.append(gray(picture))
    model = AlignFuse(3)
    fused = [model(frame) for frame in frames]
    for before, after, frame in zip(fused, fused[1:], frames[1:], strict=False):
        model.forget()
        alone = model(frame).planes[0].astype(float)
        ghost = np.abs(after.planes[0] - alone)
        changed = np.abs(before.planes[0].astype(float) - alone) > 60  # where the block came or went
        assert ghost[changed].mean() < 6
        assert np.quantile(ghost[changed], 0.9) < 15


def test_a_cut_starts_afresh() -> None:
    low, _ = panned(4, 4)
    other = [gray(255 - frame.planes[0][::-1] // 2) for frame in low]
    together = list(restore(low + other, model="align-fuse"))
    apart = [*restore(low, model="align-fuse"), *restore(other, model="align-fuse")]
    assert all(same(a, b) for a, b in zip(together, apart, strict=True))


def test_a_new_size_starts_afresh() -> None:
    low, _ = panned(2, 4)
    small = gray(low[1].planes[0][:32, :24])
    assert [f.width for f in restore([*low, small], model="align-fuse", scale=2)] == [96, 96, 48]


def test_a_piece_of_a_shot_comes_out_as_in_the_whole() -> None:
    """As chunks are restored: after warm-up frames nothing worth naming shows that it is a piece."""
    low, _ = panned(24, 2, side=96)
    whole = list(restore(low, model="align-fuse", scale=2))
    model = Restorer("align-fuse", 2)
    assert model.before > 0
    piece = list(model(low[18 - model.before :], model.before))
    assert len(piece) == 6
    differences = [np.abs(a.planes[0].astype(int) - b.planes[0]) for a, b in zip(whole[18:], piece, strict=True)]
    assert max(d.mean() for d in differences) < 0.2


def test_chunks_do_not_depend_on_which_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "LONGEST", 12)
    film = [gray(np.roll(luma()[100:148, 100:148], t, 1)) for t in range(40)]
    model = Restorer("align-fuse", 2)
    divided = list(places(film))
    everything = list(restored(divided, model, before=model.before))
    assert {chunk for chunk, _ in everything} == {0, 1, 2, 3}
    for done in (0, 2):
        rest = list(restored(divided, model, {done}, before=model.before))
        kept = [(chunk, frame) for chunk, frame in everything if chunk != done]
        assert all(c == d and same(f, g) for (c, f), (d, g) in zip(kept, rest, strict=True))


class _Stop:
    """Asks to stop after the first chunk."""

    def is_set(self) -> bool:
        return True


def test_an_interrupted_film_goes_on_to_the_same_pictures(film: Path, tmp_path: Path) -> None:
    options = {"model": "align-fuse", "scale": 2, "encoding": Encoding("ffv1"), "end": 3.0}
    whole, parts = tmp_path / "whole.mkv", tmp_path / "parts.mkv"
    upscale(film, whole, **options)  # type: ignore[arg-type]
    with pytest.raises(Interrupted):
        upscale(film, parts, **options, cancel=_Stop())  # type: ignore[arg-type]
    upscale(film, parts, **options)  # type: ignore[arg-type]
    pairs = zip(read(whole), read(parts), strict=True)
    assert all(same(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuv444p12le", "yuva420p", "gray", "gray16le", "gbrp"])
@pytest.mark.parametrize("scale", [1, 3])
def test_every_format_keeps_its_planes(name: str, scale: int) -> None:
    """Odd sides, and the same picture whatever the depth."""
    layout, rng = pixel_format(name), np.random.default_rng(1)
    scene = cv2.GaussianBlur(rng.random((31, 45)).astype(np.float32), (0, 0), 2)
    scene = (scene - scene.min()) / np.ptp(scene)
    frames = []
    for t in range(3):
        sizes = [layout.plane_size(i, 45, 31) for i in range(layout.planes)]
        planes = [cv2.resize(np.roll(scene, t, 1), size[::-1], interpolation=cv2.INTER_AREA) for size in sizes]
        frames.append(Frame(tuple((p * layout.peak).astype(layout.dtype) for p in planes), name, pts=t))
    found = list(restore(frames, model="align-fuse", scale=scale))
    for before, after in zip(frames, found, strict=True):
        assert (after.format, after.pts, after.width, after.height) == (name, before.pts, 45 * scale, 31 * scale)
        for plane, want in zip(after.planes, upsample.bicubic(before, scale).planes, strict=True):
            assert np.abs(plane.astype(float) - want).mean() < 0.03 * layout.peak


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 3), (11, 12), (12, 40)])
def test_small_pictures(width: int, height: int) -> None:
    frame = Frame(
        (
            np.full((height, width), 90, np.uint8),
            *(np.full((-(-height // 2), -(-width // 2)), 128, np.uint8) for _ in "uv"),
        )
    )
    for found in restore([frame] * 3, model="align-fuse", scale=4):
        assert (found.planes[0] == 90).all()


def test_the_number_of_threads_changes_nothing_and_is_left_alone() -> None:
    low, _ = panned(3, 4)
    found = []
    before = cv2.getNumThreads()
    try:
        for threads in (1, 3):
            cv2.setNumThreads(threads)
            found.append(list(restore(low, model="align-fuse")))
            assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)
    assert all(same(a, b) for a, b in zip(*found, strict=True))


def test_a_warp_engine_costs_little_and_never_the_gain() -> None:
    low, truth = panned(10, 4)
    errors = []
    for engine in (None, WarpEngine(16, 256, "cubic"), WarpEngine(64, 32, "linear")):
        model = AlignFuse(4, kernel="area", warp_engine=engine)
        errors.append(error([model(frame) for frame in low][-1], truth[-1]))
    model.forget()
    assert errors[0] < 1.02 * errors[1]
    assert errors[1] < errors[2] < error(model(low[-1]), truth[-1])


def test_memory_is_foretold() -> None:
    plain, large = Restorer("lanczos", 2).memory(640, 480), Restorer("align-fuse", 2).memory(640, 480)
    assert plain == 0
    assert 20e6 < large < 200e6


def test_impossible_options_are_refused() -> None:
    with pytest.raises(UsageError, match="Scale 5 is not possible; align-fuse enlarges by 1, 2, 3 or 4"):
        list(restore([], model="align-fuse", scale=5))
    with pytest.raises(UsageError, match="--ensemble is for networks; align-fuse gives the same"):
        list(restore([], model="align-fuse", ensemble=True))
    with pytest.raises(UsageError, match="--warp-engine limits align-fuse alone; leave it out, or choose"):
        list(restore([], model="edge", warp_engine=WarpEngine()))
    with pytest.raises(UsageError, match="0 back-projections are not possible; choose 1 to 16"):
        AlignFuse(2, back_projections=0)
    with pytest.raises(UsageError, match="Noise of 200 code values is not possible; choose 0 to 128"):
        AlignFuse(2, noise=200)


def test_a_base_install_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cv2" else found(name))
    with pytest.raises(UsageError, match=r"needs OpenCV; install what it lacks with: pip install 'subpixel\[multifr"):
        list(restore([], model="align-fuse"))
