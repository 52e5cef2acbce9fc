"""video.probe against what ffprobe says and what the clips were made with."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from conftest import MakeClip, ffmpeg
from subpixel.frames import Color
from subpixel.video import Chapter, MasteringDisplay, StreamInfo, probe


def test_plain_clip(sample_clip: Path) -> None:
    info = probe(sample_clip)
    video = info.video
    assert (info.path, info.start, info.duration) == (str(sample_clip), 0.0, 0.96)
    assert (video.width, video.height, video.format, video.codec) == (160, 96, "yuv420p", "h264")
    assert (video.rate, video.frames, video.time_base, video.start) == (Fraction(25), 24, Fraction(1, 12800), 0)
    assert (video.duration, video.crf, video.color, video.interlaced) == (0.96, 21.0, Color(), False)


def test_everything_beside_the_picture(rich_clip: Path) -> None:
    info = probe(rich_clip)
    assert info.video.sar == Fraction(32, 27)
    assert info.video.color == Color(1, 1, 1, 1)
    assert info.video.frames is None
    assert [(s.kind, s.codec, s.language, s.title) for s in info.streams] == [
        ("video", "h264", None, None),
        ("audio", "aac", "eng", None),
        ("audio", "aac", "deu", "Deutsch"),
        ("subtitle", "subrip", "fra", None),
        ("attachment", "application/x-truetype-font", None, "font.ttf"),
    ]
    assert info.streams[1] == StreamInfo(1, "audio", "aac", "eng", None, ("default",))
    assert info.chapters == (Chapter(0.0, 0.5, "First"), Chapter(0.5, 1.0, "Second"))
    assert info.metadata["title"] == "Rich clip"


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.ts", "x.avi", "x.nut", "x.flv"])
def test_agrees_with_ffprobe(make_clip: MakeClip, name: str) -> None:
    clip = make_clip(name, rate="30000/1001")
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", clip]
    (stream,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]
    video = probe(clip).video
    assert (video.width, video.height, video.coded_format) == (stream["width"], stream["height"], stream["pix_fmt"])
    assert str(video.time_base) == stream["time_base"]
    assert video.start == stream["start_pts"]
    assert video.frames == (int(stream["nb_frames"]) if "nb_frames" in stream else None)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_hdr10(make_clip: MakeClip, suffix: str) -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    params = f"log-level=none:master-display={display}:max-cll=1000,400"
    tags = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
    codec = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", *tags, "-x265-params", params)
    clip = make_clip("hdr.mp4", codec=codec, frames=3)
    other = clip.with_suffix(f".copy.{suffix}")
    ffmpeg("-i", clip, "-c", "copy", "-y", other)
    video = probe(other).video
    assert (video.format, video.color) == ("yuv420p10le", Color(9, 9, 16, 1))
    assert video.content_light == (1000, 400)
    assert video.mastering == MasteringDisplay(
        red=(Fraction("0.68"), Fraction("0.32")),
        green=(Fraction("0.265"), Fraction("0.69")),
        blue=(Fraction("0.15"), Fraction("0.06")),
        white=(Fraction("0.3127"), Fraction("0.329")),
        min_luminance=Fraction("0.005"),
        max_luminance=Fraction(1000),
    )
    assert video.crf == 28.0


def test_rotation_is_told_and_not_applied(sample_clip: Path, tmp_path: Path) -> None:
    ffmpeg("-i", sample_clip, "-c", "copy", "-metadata:s:v", "rotate=90", tmp_path / "r.mp4")
    video = probe(tmp_path / "r.mp4").video
    assert (video.width, video.height, video.rotation) == (160, 96, 90)
    assert video.matrix == (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)


def test_a_late_start_and_interlaced_flags(make_clip: MakeClip) -> None:
    codec = ("-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-pix_fmt", "yuv420p")
    clip = make_clip("late.ts", "-vf", "setfield=tff", "-output_ts_offset", 10, codec=codec, frames=5)
    info = probe(clip)
    assert info.start == pytest.approx(11.4, abs=0.1)  # the muxer adds its own delay
    assert info.video.interlaced


def test_a_folder_of_images_is_a_film(sample_clip: Path, tmp_path: Path) -> None:
    ffmpeg("-i", sample_clip, "-frames:v", 3, tmp_path / "%d.png")
    info = probe(tmp_path, rate=Fraction(30))
    assert (info.container, info.duration, info.video.frames, info.video.rate) == ("images", 0.1, 3, Fraction(30))
    assert (info.video.width, info.video.height, info.video.format) == (160, 96, "gbrp")


def test_metadata_in_no_encoding_is_survived(sample_clip: Path, tmp_path: Path) -> None:
    ffmpeg("-i", sample_clip, "-c", "copy", "-metadata", "title=ABCDEFGH", tmp_path / "m.mkv")
    data = (tmp_path / "m.mkv").read_bytes()
    assert b"ABCDEFGH" in data
    (tmp_path / "m.mkv").write_bytes(data.replace(b"ABCDEFGH", b"\xff\xfeCDEF\x80\xc3"))
    assert "CDEF" in probe(tmp_path / "m.mkv").metadata["title"]
