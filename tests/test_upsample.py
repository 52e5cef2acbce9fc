"""upsample: every format and scale, what edge and back-projection gain, and that shrinking gives the input back."""

import numpy as np
import pytest

from subpixel.errors import UsageError
from subpixel.frames import Frame, pixel_format
from subpixel.resample import resize, resize_frame
from subpixel.upsample import METHODS, back_project, bicubic, edge, lanczos


def drawing(width=384, height=288, seed=1):
    """Bars at all angles, rings and letters of a stroke's width, drawn four times larger and averaged: uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: 4 * height, : 4 * width].astype(np.float32)
    picture = np.full(x.shape, 40, np.uint8)
    for _ in range(30):
        cx, cy, angle = rng.uniform(0, 4 * width), rng.uniform(0, 4 * height), rng.uniform(0, np.pi)
        along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        aside = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        picture[(abs(along) < rng.uniform(100, 500)) & (abs(aside) < rng.uniform(10, 40))] = rng.integers(256)
    for _ in range(12):
        ring = np.hypot(x - rng.uniform(0, 4 * width), y - rng.uniform(0, 4 * height)) - rng.uniform(40, 200)
        picture[abs(ring) < rng.uniform(10, 30)] = rng.integers(256)
    return resize(picture, width, height, kernel="area")


def photograph(width=384, height=288, seed=2):
    """A stand-in for natural pictures: noise of a 1/f spectrum, thresholded in places into objects. uint8."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) + 1 / width
    fields = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(height, width))) / frequency**p).real for p in (1.5, 2.0)]
    texture, shape = (field / field.std() for field in fields)
    return np.clip(128 + 25 * texture + 50 * np.sign(shape), 0, 255).astype(np.uint8)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def rms(a, b):
    return np.sqrt(np.mean((a.astype(float) - b) ** 2))


def degraded(high, scale):
    return Frame((resize(high, high.shape[1] // scale, high.shape[0] // scale),), "gray")


def consistency(high, low):
    back = resize_frame(high, low.width, low.height)
    return max(rms(a, b) for a, b in zip(back.planes, low.planes, strict=True))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_edge_beats_lanczos_on_drawings_and_shrinks_back(scale):
    high = drawing()
    low = degraded(high, scale)
    found = edge(low, scale)
    assert psnr(found.planes[0], high) > psnr(lanczos(low, scale).planes[0], high) + 1.5
    assert consistency(found, low) < 0.5


@pytest.mark.parametrize("scale", [2, 4])
def test_edge_beats_lanczos_on_natural_pictures_and_lanczos_beats_bicubic(scale):
    high = photograph()
    low = degraded(high, scale)
    plain, windowed, along = (psnr(METHODS[m](low, scale).planes[0], high) for m in ("bicubic", "lanczos", "edge"))
    assert along > windowed + 0.2
    assert windowed > plain


def test_back_projection_shrinks_to_the_input_and_gains():
    high = drawing()
    low = degraded(high, 4)
    start = bicubic(low, 4)
    found = back_project(start, low)
    assert consistency(found, low) < 0.5 < consistency(start, low)
    assert psnr(found.planes[0], high) > psnr(start.planes[0], high) + 0.8


def test_no_iteration_changes_nothing():
    low = degraded(drawing(), 4)
    start = lanczos(low, 4)
    assert (back_project(start, low, iterations=0).planes[0] == start.planes[0]).all()


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("name", ["yuv420p", "yuva420p", "yuv422p10le", "yuv444p12le", "gray16le", "gbrp", "gbrap10le"])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_every_plane_of_every_format_is_enlarged(method, name, scale):
    layout, rng = pixel_format(name), np.random.default_rng(0)
    sizes = [layout.plane_size(index, 21, 17) for index in range(layout.planes)]
    planes = tuple(rng.integers(0, layout.peak + 1, size).astype(layout.dtype) for size in sizes)
    frame = Frame(planes, name, pts=5)
    found = METHODS[method](frame, scale)
    assert (found.width, found.height, found.format, found.pts) == (21 * scale, 17 * scale, name, 5)
    if scale == 1:
        assert all((a == b).all() for a, b in zip(frame.planes, found.planes, strict=True))


def test_edge_does_the_same_at_every_depth():
    low = degraded(drawing(192, 96), 4)
    deep = Frame((low.planes[0].astype(np.uint16) << 4,), "gray12le")
    assert rms(edge(deep, 4).planes[0] / 16, edge(low, 4).planes[0]) < 0.6


@pytest.mark.parametrize("method", sorted(METHODS))
def test_flat_frames_stay_flat(method):
    frame = Frame((np.full((9, 12), 200, np.uint8),), "gray")
    assert (METHODS[method](frame, 3).planes[0] == 200).all()


def test_edge_is_steady_on_noise_and_tiny_frames():
    noise = np.random.default_rng(0).integers(0, 256, (24, 32)).astype(np.uint8)
    low = Frame((noise,), "gray")
    assert consistency(edge(low, 4), low) < consistency(lanczos(low, 4), low) / 2
    assert edge(Frame((noise[:1, :2],), "gray"), 4).planes[0].shape == (4, 8)


def test_requests_that_make_no_sense_are_refused():
    frame = Frame((np.zeros((4, 4), np.uint8),), "gray")
    for method in METHODS.values():
        with pytest.raises(UsageError, match="A frame can be enlarged 1, 2, 3 or 4 times, not 5"):
            method(frame, 5)
    with pytest.raises(UsageError, match="Lanczos has 3 or 4 lobes here, not 5"):
        lanczos(frame, 2, lobes=5)
    with pytest.raises(UsageError, match="Back-projection wants a larger frame of one format"):
        back_project(frame, bicubic(frame, 2))
