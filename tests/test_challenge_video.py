"""Videos of strangers: those within the rules give the samples that `color.to_rgb` gives, the others are refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import ffmpeg
from subpixel import color, video
from subpixel.challenge.problems import CODES
from subpixel.errors import Refused
from subpixel.video.untrusted import film, load_all

SIZE, FRAMES = (64, 48), 12
SOURCE = f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate=25"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1")
BFRAMES = ("-c:v", "libx264", "-preset", "medium", "-bf", "3", "-threads", "1")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:pools=none")
SOUND = ("-f", "lavfi", "-i", "sine=duration=0.4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


def make(
    folder: Path, name: str, *options: str, frames: int = FRAMES, source: str = SOURCE, more: tuple[str, ...] = ()
) -> Path:
    path = folder / name
    if not path.exists():
        ffmpeg("-f", "lavfi", "-i", source, *more, "-frames:v", frames, *(options or X264), path)
    return path


def shown(path: Path, frames: int = FRAMES) -> list[np.ndarray]:
    with path.open("rb") as file:
        return list(film(file, *SIZE, frames))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("b-frames.mp4", BFRAMES),
        ("b-frames.mkv", BFRAMES),
        ("moving.mov", X264),
        ("hevc.mkv", X265),
        ("ten.mkv", ("-c:v", "ffv1", "-pix_fmt", "yuv420p10le")),
        ("rgb.mkv", ("-c:v", "ffv1", "-pix_fmt", "bgr0")),
        ("full.mp4", (*X264, "-vf", "scale=out_range=full", "-color_range", "pc")),
        ("709.mp4", (*X264, "-pix_fmt", "yuv444p", "-colorspace", "bt709", "-color_primaries", "bt709")),
        ("interlaced.mp4", (*X264, "-flags", "+ildct+ilme", "-x264opts", "tff=1")),
        ("gap.mkv", (*X264, "-vf", "setpts=PTS+gte(N\\,6)*3/TB", "-vsync", "passthrough")),
        ("wide.mp4", (*X264, "-vf", "setsar=32/27")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_films_within_the_rules_are_read_as_everywhere(folder: Path, name: str, options: tuple[str, ...]) -> None:
    path = make(folder, name, *options)
    expected = [color.to_rgb(frame) for frame in video.read(path, deinterlace="off", codec_info=False)]
    assert len(expected) == FRAMES
    assert all((ours == theirs).all() for ours, theirs in zip(shown(path), expected, strict=True))


def raw(folder: Path, name: str, size: str, *options: str) -> bytes:
    return make(folder, name, *X264, *options, source=f"testsrc2=size={size}:rate=25", frames=6).read_bytes()


def resized(folder: Path) -> Path:
    """H.264 whose size changes after six pictures."""
    joined, path = folder / "joined.h264", folder / "resized.mkv"
    joined.write_bytes(raw(folder, "a.h264", "64x48") + raw(folder, "b.h264", "32x64"))
    ffmpeg("-r", "25", "-i", joined, "-c", "copy", path)
    return path


def broken(folder: Path) -> Path:
    """With a stretch of one picture overwritten."""
    data = bytearray(make(folder, "whole.mp4", *X264, "-g", "1").read_bytes())
    middle = data.index(b"mdat") + 4000
    data[middle : middle + 600] = bytes(range(200)) * 3
    path = folder / "broken.mp4"
    path.write_bytes(data)
    return path


def text(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content)
    return path


ATTACKS = {
    "playlist": (lambda f: text(f, "p.mp4", "#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"), "container", "neither MP4 nor"),
    "list of files": (lambda f: text(f, "l.mkv", "ffconcat version 1.0\nfile /etc/passwd\n"), "container", "neither"),
    "session description": (lambda f: text(f, "s.mp4", "v=0\no=- 0 0 IN IP4 127.0.0.1\n"), "container", "neither"),
    "nothing": (lambda f: text(f, "n.mp4", ""), "container", "neither MP4 nor Matroska"),
    "AVI": (lambda f: make(f, "x.avi"), "container", "neither MP4 nor Matroska"),
    "only a header": (lambda f: text(f, "h.mp4", "\0\0\0\x20ftypisom" + "x" * 99), "damaged", "cannot be decoded"),
    "other codec": (lambda f: make(f, "x.mp4", "-c:v", "mpeg4"), "codec", "coded by mpeg4; write one of h264"),
    "VP9": (lambda f: make(f, "9.mkv", "-c:v", "libvpx-vp9", "-cpu-used", "8"), "codec", "coded by vp9"),
    "sound": (lambda f: make(f, "s2.mp4", *X264, more=SOUND), "streams", "2 streams"),
    "two streams": (
        lambda f: make(f, "two.mkv", "-map", "0:v", "-map", "0:v", *X264), "streams", r"2 streams \(video, video\)",
    ),
    "only sound": (lambda f: make(f, "a.mp4", "-map", "1:a", more=SOUND), "streams", "1 streams .audio."),
    "attachment": (
        lambda f: make(
            f, "att.mkv", *X264, "-attach", str(text(f, "font.ttf", "x")), "-metadata:s:t", "mimetype=font/ttf"
        ), "streams", "2 streams",
    ),
    "one picture more": (lambda f: make(f, "13.mp4", frames=13), "frame_count", "more pictures than the 12"),
    "one picture less": (lambda f: make(f, "11.mp4", frames=11), "frame_count", "has 11 pictures; the clip has 12"),
    "ten thousand pictures": (
        lambda f: make(f, "long.mp4", *X264, frames=10000, source="color=size=64x48"), "frame_count", "more pictures",
    ),
    "other size": (lambda f: make(f, "w.mp4", source="testsrc2=size=66x48:rate=25"), "picture_size", "is 66x48"),
    "huge size": (lambda f: make(f, "8k.mp4", frames=1, source="color=size=4096x4096"), None, ""),
    "size that changes": (resized, "picture_size", "Picture 7 is 32x64; the clip is 64x48"),
    "turned": (lambda f: turned(f), "rotation", "asks to be turned"),
    "damaged picture": (broken, "damaged", ""),
    "cut off": (lambda f: cut(f, "whole.mp4", 0.6), None, ""),
    "cut off Matroska": (lambda f: cut(f, "b-frames.mkv", 0.6), None, ""),
    "gray": (lambda f: make(f, "gray.mkv", "-c:v", "ffv1", "-pix_fmt", "gray"), "colour", "stored as gray"),
    "opacity": (lambda f: make(f, "alpha.mkv", "-c:v", "ffv1", "-pix_fmt", "yuva420p"), "colour", "without opacity"),
    "HDR": (
        lambda f: make(f, "hdr.mp4", *X264, "-color_trc", "smpte2084", "-colorspace", "bt2020nc"), "colour", "as HDR",
    ),
    "unknown matrix": (
        lambda f: make(f, "ycgco.mkv", *X264, "-colorspace", "ycgco"), "colour", "matrix 8",
    ),
    "encrypted": (
        lambda f: make(
            f, "locked.mp4", *X264, "-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0" * 31 + "1",
            "-encryption_kid", "0" * 32,
        ), None, "",
    ),
}  # fmt: skip


def turned(folder: Path) -> Path:
    path = folder / "turned.mp4"
    ffmpeg("-i", make(folder, "upright.mp4"), "-c", "copy", "-metadata:s:v", "rotate=90", path)
    return path


def cut(folder: Path, name: str, share: float) -> Path:
    data = make(folder, name, *BFRAMES).read_bytes()
    path = folder / f"cut-{name}"
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(folder: Path, name: str) -> None:
    maker, code, words = ATTACKS[name]
    with pytest.raises(Refused, match=words or None) as caught:
        shown(maker(folder))
    assert caught.value.code in CODES
    assert code in (None, caught.value.code)


def test_every_part_of_the_decoder_can_be_loaded_beforehand() -> None:
    load_all()
    load_all()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_of_bytes_decodes_or_is_refused(folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["b-frames.mp4", "b-frames.mkv"]))
    changed = bytearray(make(folder, name, *BFRAMES).read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert len(list(film(io.BytesIO(bytes(changed)), *SIZE, FRAMES))) == FRAMES
    except Refused as refused:
        code = refused.code
    else:
        code = "damaged"
    assert code in CODES
