"""resample: bit for bit what the ffmpeg binary's swscale gives, and what any resampling filter must hold."""

import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from subpixel.errors import UsageError
from subpixel.frames import Frame, pixel_format
from subpixel.resample import resize, resize_frame, resize_real, taps

FLAGS = {
    "bicubic": "flags=bicubic+accurate_rnd+bitexact",
    "bilinear": "flags=bilinear+accurate_rnd+bitexact",
    "area": "flags=area+accurate_rnd+bitexact",
    "lanczos3": "flags=lanczos+accurate_rnd+bitexact",
    "lanczos4": "flags=lanczos+accurate_rnd+bitexact:param0=4",
}
SIDE = st.integers(4, 90)


def noise(name, width, height, seed=0):
    layout, rng = pixel_format(name), np.random.default_rng(seed)
    sizes = [layout.plane_size(index, width, height) for index in range(layout.planes)]
    return Frame(tuple(rng.integers(0, layout.peak + 1, s).astype(layout.dtype) for s in sizes), name)


def ffmpeg(frame, width, height, options):
    """The planes that `ffmpeg -vf scale` makes of a frame."""
    raw = ["-f", "rawvideo", "-pix_fmt", frame.format]
    command = ["ffmpeg", "-v", "error", *raw, "-s", f"{frame.width}x{frame.height}", "-i", "-"]
    command += ["-vf", f"scale={width}:{height}:{options}", *raw, "-"]
    data = subprocess.run(command, input=b"".join(p.tobytes() for p in frame.planes), capture_output=True, check=True)
    samples, planes = np.frombuffer(data.stdout, frame.layout.dtype), []
    for index in range(len(frame.planes)):
        h, w = frame.layout.plane_size(index, width, height)
        planes.append(samples[: h * w].reshape(h, w))
        samples = samples[h * w :]
    return planes


def pyav(plane, width, height, options):
    """The same of a gray plane by the FFmpeg that PyAV brings."""
    graph = av.filter.Graph()
    shape = {"width": plane.shape[1], "height": plane.shape[0]}
    source = graph.add_buffer(**shape, format=av.VideoFormat("gray"), time_base=Fraction(1, 25))
    scale, sink = graph.add("scale", f"{width}:{height}:{options}"), graph.add("buffersink")
    source.link_to(scale)
    scale.link_to(sink)
    graph.configure()
    graph.push(av.VideoFrame.from_ndarray(plane, "gray"))
    return graph.pull().to_ndarray()


def same(frame, width, height, kernel, options):
    found = resize_frame(frame, width, height, kernel=kernel).planes
    return all((a == b).all() for a, b in zip(found, ffmpeg(frame, width, height, options), strict=True))


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuva420p", "gray", "gray10le", "gray12le", "gray16le"])
@pytest.mark.parametrize("size", [(120, 68, 480, 272), (192, 96, 48, 24), (97, 61, 201, 130), (60, 40, 180, 120)])
def test_bicubic_is_swscale_bit_for_bit(name, size):
    assert same(noise(name, *size[:2]), *size[2:], "bicubic", FLAGS["bicubic"])


@pytest.mark.parametrize("size", [(480, 270, 1920, 1080), (1280, 720, 320, 180)])
def test_bicubic_is_swscale_at_full_size_without_bitexact_too(size):
    assert same(noise("yuv420p", *size[:2]), *size[2:], "bicubic", "flags=bicubic+accurate_rnd")


@settings(max_examples=25, deadline=None)
@given(SIDE, SIDE, SIDE, SIDE, st.sampled_from(sorted(FLAGS)), st.integers(0, 9))
@example(90, 60, 90, 30, "bicubic", 0)
@example(4, 4, 16, 16, "lanczos4", 0)
@example(90, 90, 7, 5, "bicubic", 0)
def test_every_kernel_and_size_is_swscale_bit_for_bit(width, height, to_width, to_height, kernel, seed):
    if kernel == "area":
        to_width, to_height = min(width, to_width), min(height, to_height)
    assert same(noise("yuv420p", width, height, seed), to_width, to_height, kernel, FLAGS[kernel])


@settings(max_examples=15, deadline=None)
@given(SIDE, SIDE, SIDE, SIDE, st.sampled_from(["bicubic", "lanczos3", "lanczos4"]))
def test_the_library_inside_pyav_agrees_as_well(width, height, to_width, to_height, kernel):
    plane = noise("gray", width, height).planes[0]
    found = resize(plane, to_width, to_height, kernel=kernel)
    assert (found == pyav(plane, to_width, to_height, FLAGS[kernel])).all()


def test_same_size_is_the_identity():
    for name in ("yuv420p", "gray12le", "gray16le"):
        frame = noise(name, 33, 21)
        assert all((a == b).all() for a, b in zip(frame.planes, resize_frame(frame, 33, 21).planes, strict=True))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["bicubic", "bilinear", "lanczos3", "lanczos4"]))
def test_a_flat_plane_stays_flat(source, target, kernel):
    for value in (0, 1, 127, 255):
        assert (resize(np.full((source, 9), value, np.uint8), 13, target, kernel=kernel) == value).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 80), st.integers(1, 80), st.sampled_from(["bicubic", "bilinear", "lanczos3", "lanczos4"]))
def test_taps_sum_to_one_and_lie_inside(source, target, kernel):
    positions, weights = taps(source, target, kernel)
    assert weights.sum(axis=1) == pytest.approx(1)
    assert positions.min() >= 0
    assert positions.max() + weights.shape[1] <= source


def test_bicubic_taps_are_keys_cubic_with_minus_0_6():
    def cubic(x, a=-0.6):
        x = abs(x)
        if x < 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0

    positions, weights = taps(32, 128)
    for i in range(20, 40):
        centre = (i + 0.5) / 4 - 0.5
        assert weights[i] == pytest.approx([cubic(positions[i] + j - centre) for j in range(4)], abs=1e-5)


def test_mirrored_pictures_give_mirrored_results_within_one_away_from_the_border():
    plane = noise("gray", 40, 24).planes[0]
    found = resize(plane, 160, 96).astype(int)
    assert np.abs(found - resize(plane[::-1, ::-1], 160, 96)[::-1, ::-1])[8:-8, 8:-8].max() <= 1


@pytest.mark.parametrize("size", [(96, 64), (24, 16), (50, 70)])
def test_the_real_valued_filter_agrees_within_rounding(size):
    rng = np.random.default_rng(3)
    plane = rng.integers(96, 160, (32, 48)).astype(np.uint8)
    for kernel in ("bicubic", "lanczos4"):
        real = resize_real(plane.astype(np.float32), *size, kernel=kernel)
        assert real.dtype == np.float32
        assert np.abs(real - resize(plane, *size, kernel=kernel)).max() < 0.6


def test_codec_hints_of_the_old_grid_are_dropped():
    frame = noise("yuv420p", 32, 32).replace(qp=np.zeros((2, 2), np.int16), pts=7)
    found = resize_frame(frame, 64, 64)
    assert found.qp is None
    assert found.pts == 7


def test_requests_that_make_no_sense_are_refused():
    plane = np.zeros((4, 4), np.uint8)
    with pytest.raises(UsageError, match="There is no kernel 'cubic'; choose bicubic"):
        resize(plane, 8, 8, kernel="cubic")
    with pytest.raises(UsageError, match="area kernel only shrinks; choose bicubic or lanczos4"):
        resize(plane, 8, 8, kernel="area")
    with pytest.raises(UsageError, match="A line of 4 samples cannot become 0"):
        resize(plane, 0, 8)
