"""video.filters: the scaler against the ffmpeg binary, sample for sample."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from conftest import MakeClip, ffmpeg
from subpixel.errors import UsageError
from subpixel.frames import Color
from subpixel.video import read, rescale


def scaled(path: Path, size: str, flags: str | None) -> bytes:
    """Samples by the command; without flags, its default."""
    setting = f"scale={size}" + (f":flags={flags}" if flags else "")
    return ffmpeg("-i", path, "-vf", setting, "-f", "rawvideo", "-")


@pytest.mark.parametrize(
    ("size", "pix_fmt"),
    [("40:24", "yuv420p"), ("320:192", "yuv420p"), ("53:31", "yuv444p"), ("40:24", "yuv422p10le"), ("40:24", "gray")],
)
@pytest.mark.parametrize("flags", [None, "bicubic+accurate_rnd", "lanczos", "area"])
def test_samples_are_the_commands(make_clip: MakeClip, size: str, pix_fmt: str, flags: str | None) -> None:
    clip = make_clip("s.mkv", "-pix_fmt", pix_fmt, codec=("-c:v", "ffv1"), frames=2)
    width, height = map(int, size.split(":"))
    frames = list(rescale(read(clip), width, height, **({"flags": flags} if flags else {})))
    assert b"".join(p.tobytes() for f in frames for p in f.planes) == scaled(clip, size, flags)


@pytest.mark.parametrize("range_", ["tv", "pc"])
def test_colour_tags_are_kept_and_move_no_sample(make_clip: MakeClip, range_: str) -> None:
    tags = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", range_)
    clip = make_clip("t.mkv", *tags, frames=2)
    frames = list(rescale(read(clip), 40, 24))
    assert (frames[0].color.matrix, frames[0].color.range) == (1, {"tv": 1, "pc": 2}[range_])
    assert b"".join(p.tobytes() for f in frames for p in f.planes) == scaled(clip, "40:24", None)


def test_what_the_codec_said_is_dropped_and_the_shape_kept(rich_clip: Path) -> None:
    before = next(read(rich_clip))
    (after,) = rescale([before], 40, 48)
    assert (after.pts, after.time_base, after.kind) == (before.pts, before.time_base, before.kind)
    assert (after.qp, after.motion) == (None, None)
    assert after.sar * Fraction(40, 48) == before.sar * Fraction(160, 96)


@pytest.mark.parametrize("matrix", range(15))
def test_any_tag_is_let_through(sample_clip: Path, matrix: int) -> None:
    plain, tagged = next(read(sample_clip)), next(read(sample_clip)).replace(color=Color(matrix, matrix, matrix, 2))
    (wanted,), (got,) = rescale([plain], 40, 24), rescale([tagged], 40, 24)
    assert got.color == tagged.color
    assert all((a == b).all() for a, b in zip(wanted.planes, got.planes, strict=True))


@pytest.mark.parametrize(
    ("width", "flags", "sentence"),
    [(40, "cubic", "libswscale has no flags 'cubic'"), (-5, "area", "cannot be scaled to -5x24; use sizes of 1")],
)
def test_impossible_scalings(sample_clip: Path, width: int, flags: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        next(rescale(read(sample_clip), width, 24, flags=flags))
