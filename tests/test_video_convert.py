"""video.convert: every pixel format FFmpeg knows reaches a planar one without loss."""

from __future__ import annotations

import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.format import VideoFormat

from subpixel.errors import InputError
from subpixel.frames import Color, Frame, pixel_format
from subpixel.video.convert import from_av, planar_name, tag, to_av

LISTED = subprocess.run(["ffmpeg", "-v", "error", "-pix_fmts"], capture_output=True, text=True, check=True).stdout
NAMES = [line.split()[1] for line in LISTED.splitlines() if line[:1] in "I." and len(line.split()) >= 5]
NAMES = [name for name in NAMES if name != "="]

# 5 bits of green and blue widen in two ways; dithered ones carry their noise along.
COARSE = ("rgb4", "bgr4", "rgb8", "bgr8", "monow", "monob", "565", "555", "444", "410", "440", "411")


def picture(name: str) -> av.VideoFrame:
    """A gradient in 53x37 of the format, or a skip of formats that libswscale only reads."""
    y, x = np.mgrid[0:37, 0:53]
    rgb = np.stack((y * 6, x * 4, (x + y) * 2), axis=-1).astype(np.uint8)
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=name, threads=1)


def readable(name: str) -> bool:
    try:
        picture(name)
    except (ValueError, OSError):
        return False
    return True


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(COARSE) and readable(name)])
def test_every_format_shows_the_same_picture_once_planar(name: str) -> None:
    original = picture(name)
    frame = from_av(original)
    source, target = VideoFormat(name), frame.layout
    assert target.bits >= max(min(part.bits, 16) for part in source.components)
    assert target.alpha == (any(part.is_alpha for part in source.components) or source.has_palette)
    shown = to_av(frame).reformat(format="rgb24", threads=1).to_ndarray()
    wanted = original.reformat(format="rgb24", threads=1).to_ndarray()
    if not any(mark in name for mark in COARSE):
        assert np.abs(shown.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("name", ["nv12", "uyvy422", "p010le", "rgb24"])
@pytest.mark.parametrize("code", [0, 3, 8, 9, 10, 14])
def test_no_colour_tag_moves_a_sample_or_stops_the_conversion(name: str, code: int) -> None:
    plain, tagged = picture(name), picture(name)
    tag(plain, Color())
    tag(tagged, Color(code, code, code, 2))
    frame = from_av(tagged)
    assert frame.color == Color(code, code, code, 2)
    assert all((a == b).all() for a, b in zip(from_av(plain).planes, frame.planes, strict=True))


def test_surfaces_in_other_memory_are_refused() -> None:
    with pytest.raises(InputError, match="Pixel format 'cuda' cannot be read into memory"):
        planar_name(VideoFormat("cuda"))


@pytest.mark.parametrize("name", ["yuv420p", "yuva444p10le", "gray12le", "gbrap", "yuv422p16le"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (17, 16), (853, 479)])
def test_frames_survive_the_way_there_and_back(name: str, width: int, height: int) -> None:
    layout, random = pixel_format(name), np.random.default_rng(1)
    sizes = [layout.plane_size(index, width, height) for index in range(layout.planes)]
    planes = tuple(random.integers(0, layout.peak + 1, size, layout.dtype) for size in sizes)
    frame = Frame(planes, name, 7, Fraction(1, 90), 3, Color(9, 9, 16, 2))
    back = from_av(to_av(frame))
    assert (back.format, back.pts, back.time_base, back.duration, back.color) == (
        name,
        7,
        Fraction(1, 90),
        3,
        frame.color,
    )
    for before, after in zip(planes, back.planes, strict=True):
        np.testing.assert_array_equal(before, after)


def test_pictures_stored_upside_down() -> None:
    """Vertically flipped planes have a negative line size."""
    graph = av.filter.Graph()
    original = picture("yuv420p")
    source = graph.add("buffer", video_size="53x37", pix_fmt="yuv420p", time_base="1/25")
    graph.link_nodes(source, graph.add("vflip"), graph.add("buffersink")).configure()
    original.pts = 0
    graph.vpush(original)
    flipped = graph.vpull()
    assert flipped.planes[0].line_size < 0
    for up, down in zip(from_av(original).planes, from_av(flipped).planes, strict=True):
        np.testing.assert_array_equal(up[::-1], down)
