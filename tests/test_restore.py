"""Restoring frames: formats, cuts, strips, memory of the network, refusals."""

import importlib
import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from subpixel import engines, tiles, upsample, weights
from subpixel.errors import UsageError, WeightsError
from subpixel.frames import Color, Frame, pixel_format

restore = importlib.import_module("subpixel.restore")  # subpixel.restore itself is the public function


def clip(count: int = 6, width: int = 64, height: int = 48, *, name: str = "yuv420p", seed: int = 0) -> list[Frame]:
    """A smooth random picture that moves by one pixel a frame."""
    layout = pixel_format(name)
    color = Color(matrix=0, range=2) if layout.rgb else Color(range=1)
    rng = np.random.default_rng(seed)
    frames = []
    low = rng.random((height // 6 + 3, width // 6 + 3 + count))
    for t in range(count):
        planes = []
        for index in range(layout.planes):
            h, w = layout.plane_size(index, width, height)
            picture = np.kron(low, np.ones((6, 6)))[:h, t : t + w]
            planes.append((40 * 2 ** (layout.bits - 8) + picture * 150 * 2 ** (layout.bits - 8)).astype(layout.dtype))
        frames.append(Frame(tuple(planes), name, pts=3 * t + 1, time_base=Fraction(1, 90), color=color))
    return frames


def difference(a: Frame, b: Frame) -> int:
    return max(int(np.abs(p.astype(int) - q).max()) for p, q in zip(a.planes, b.planes, strict=True))


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le", "gray", "gbrp", "yuva420p"]
)
def test_every_format_keeps_its_format_time_and_colour(name: str) -> None:
    frames = clip(name=name)
    for before, after in zip(frames, restore.restore(frames, model="fast"), strict=True):
        assert (after.format, after.pts, after.time_base, after.color) == (
            name,
            before.pts,
            before.time_base,
            before.color,
        )
        assert (after.width, after.height) == (before.width * 4, before.height * 4)
        # The network repairs; it does not paint another picture.
        enlarged = upsample.bicubic(before, 4)
        error = after.planes[0].astype(float) - enlarged.planes[0]
        assert np.sqrt((error**2).mean()) < 12 * 2 ** (before.layout.bits - 8)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (17, 17), (17, 16), (33, 31), (85, 47)])
def test_odd_sizes(width: int, height: int) -> None:
    (frame,) = restore.restore(clip(1, width, height), model="fast")
    assert (frame.width, frame.height) == (4 * width, 4 * height)


def test_deep_and_full_range_video_say_the_same_as_plain() -> None:
    """The same picture in 10 bits, or in full range, is restored to the same picture."""
    plain = clip()
    deep = [f.replace(planes=tuple(p.astype(np.uint16) * 4 for p in f.planes), format="yuv420p10le") for f in plain]
    for a, b in zip(restore.restore(plain), restore.restore(deep), strict=True):
        assert max(np.abs(p - q / 4.0).max() for p, q in zip(a.planes, b.planes, strict=True)) <= 0.51


def test_first_frame_after_a_cut_equals_a_fresh_start() -> None:
    first, second = clip(5, seed=1), list(reversed(clip(5, seed=2)))
    for k, f in enumerate(second):  # another scene: dark above, bright below
        luma = f.planes[0] // 3 + np.linspace(0, 160, 48).astype(np.uint8)[:, None]
        second[k] = f.replace(planes=(luma, *f.planes[1:]))
    assert restore.is_cut(first[-1], second[0])
    assert not any(restore.is_cut(a, b) for a, b in itertools.pairwise(first))
    together = list(restore.restore(first + second))
    for a, b in zip(together, [*restore.restore(first), *restore.restore(second)], strict=True):
        assert difference(a, b) == 0


def test_a_flash_is_no_cut_and_a_new_size_is() -> None:
    frame = clip(1)[0]
    flash = frame.replace(planes=(frame.planes[0] + 60, *frame.planes[1:]))
    assert not restore.is_cut(frame, flash)
    assert restore.is_cut(frame, clip(1, 80, 48)[0])


def test_the_network_remembers() -> None:
    frames = clip(6)
    warm = list(restore.restore(frames))[-1]
    cold = list(restore.restore(frames[-2:]))[-1]
    assert difference(warm, cold) > 0


def test_warm_up_frames_are_run_and_not_given() -> None:
    frames = clip(6)
    whole = list(restore.restore(frames))
    rest = list(restore.restore(frames, warmup=4))
    assert [f.pts for f in rest] == [f.pts for f in frames[4:]]
    assert [difference(a, b) for a, b in zip(whole[4:], rest, strict=True)] == [0, 0]


@pytest.mark.parametrize("height", [200, 202, 331])
def test_strips_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch, height: int) -> None:
    frames = clip(3, 70, height)
    whole = list(restore.restore(frames))
    monkeypatch.setattr(tiles, "PIXELS", 98 * 92)
    assert max(difference(a, b) for a, b in zip(whole, restore.restore(frames), strict=True)) <= 1


def test_memory_is_bounded_by_the_window() -> None:
    alive = 0

    def source() -> Iterator[Frame]:
        nonlocal alive
        for frame in clip(12):
            alive += 1
            yield frame

    for done, _ in enumerate(restore.restore(source()), start=1):
        assert alive <= done + 1


def test_values_that_are_not_numbers_stop_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., engines.Step] = engines.load

    def broken(*args: object, **options: object) -> engines.Step:
        step = real(*args, **options)

        def once(y: engines.Float32, uv: engines.Float32, qp: engines.Float32, state: engines.Float32):  # type: ignore[no-untyped-def]
            luma, chroma, state = step(y, uv, qp, state)
            luma[0, 0, 3, 5] = np.nan
            return luma, chroma, state

        return once

    monkeypatch.setattr(engines, "load", broken)
    with pytest.raises(
        WeightsError, match="gave values that are not numbers with the engine onnxruntime; try --engine"
    ):
        list(restore.restore(clip(2), engine="onnxruntime"))


def test_methods_without_learning_and_their_limits() -> None:
    for model in ("bicubic", "lanczos", "edge"):
        assert [f.width for f in restore.restore(clip(2), model=model, scale=3)] == [192, 192]
    (same,) = restore.restore(clip(1), model="bicubic", scale=1)
    assert difference(same, clip(1)[0]) == 0
    with pytest.raises(UsageError, match="Scale 5 is not possible; bicubic enlarges by 1, 2, 3 or 4"):
        list(restore.restore(clip(1), model="bicubic", scale=5))
    with pytest.raises(WeightsError, match="no network 'none'"):
        list(restore.restore(clip(1), model="none"))


def test_the_card_says_how_far_the_network_sees() -> None:
    """A change outside the halo must not be felt: what strips rely on."""
    net = weights.load("fast", 4)
    step = engines.load(net, "onnxruntime", width=96, height=96, threads=1)
    rng = np.random.default_rng(0)
    y, uv, qp, state = (
        rng.random(s, dtype=np.float32) for s in ((1, 3, 96, 96), (1, 2, 48, 48), (1, 1, 48, 48), (1, 32, 48, 48))
    )
    before = step(y, uv, qp, state)
    edge = 96 - int(net.card["halo"])
    far = [a.copy() for a in (y, uv, qp, state)]
    for array, k in zip(far, (1, 2, 2, 2), strict=True):
        array[..., edge // k :, :] = 0
    after = step(*far)
    row = 40
    reach = row + int(net.card["halo"])
    assert reach <= edge
    assert np.abs(before[0][..., : row * 4, :] - after[0][..., : row * 4, :]).max() < 1e-6
    assert np.abs(before[2][..., : row // 2, :] - after[2][..., : row // 2, :]).max() < 1e-6
