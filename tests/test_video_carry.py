"""What of the source besides its pictures reaches the file, against the ffprobe and ffmpeg binaries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import X264, MakeClip, ffmpeg
from subpixel.video import Assembly, Encoding, Keep, probe
from test_video_mux import audio, ffprobe, identity, kinds, times

TEXT = "1\n00:00:00,100 --> 00:00:00,600\n<i>Hello</i> there\n\n2\n00:00:00,700 --> 00:00:00,900\nBye\n"


def test_everything_of_a_rich_matroska_is_kept(rich_clip: Path, tmp_path: Path) -> None:
    dst = tmp_path / "out.mkv"
    assembly = identity(rich_clip, dst)
    assert assembly.dropped == ()
    assert [name.split(":")[0] for name in assembly.kept] == ["audio 1", "audio 2", "subtitle 1", "attachment 1"]
    for stream in ("a:0", "a:1", "s:0"):
        assert times(dst, stream) == times(rich_clip, stream)
        np.testing.assert_array_equal(audio(dst), audio(rich_clip))
    assert times(dst, "a:1")[0][0] > 0.1
    before, after = (ffprobe(p, "-show_chapters", "-show_streams", "-show_format") for p in (rich_clip, dst))
    assert after["chapters"] == before["chapters"]
    for old, new in zip(before["streams"], after["streams"], strict=True):
        assert (old["codec_name"], old["codec_type"]) == (new["codec_name"], new["codec_type"])
        for key in ("language", "title", "filename", "mimetype"):
            assert old["tags"].get(key) == new["tags"].get(key)
        assert old["disposition"] == new["disposition"]
    tags = {key.lower(): value for key, value in after["format"]["tags"].items()}
    assert (tags["title"], tags["comment"]) == ("Rich clip", "made for tests")
    video = after["streams"][0]
    assert (video["sample_aspect_ratio"], video["color_space"], video["color_range"]) == ("32:27", "bt709", "tv")
    ffmpeg("-dump_attachment:t:0", tmp_path / "font.ttf", "-i", dst, "-f", "null", "-")
    assert (tmp_path / "font.ttf").read_bytes() == bytes(range(256))


def test_mp4_drops_what_it_cannot_hold_and_says_so(rich_clip: Path, tmp_path: Path) -> None:
    assembly = identity(rich_clip, tmp_path / "out.mp4")
    assert assembly.dropped == (("attachment 1: font.ttf", "mp4 cannot hold attachments; write .mkv"),)
    assert any("stored as mov_text" in note for note in assembly.notes)
    after = ffprobe(tmp_path / "out.mp4", "-show_chapters", "-show_streams")
    names = [s["codec_name"] for s in after["streams"] if s["codec_type"] in ("video", "audio", "subtitle")]
    assert names == ["h264", "aac", "aac", "mov_text"]
    assert [c["tags"]["title"] for c in after["chapters"]] == ["First", "Second"]
    assert after["streams"][0]["sample_aspect_ratio"] == "32:27"
    assert float(times(tmp_path / "out.mp4", "a:1")[0][0]) == pytest.approx(
        float(times(rich_clip, "a:1")[0][0]), abs=1e-3
    )


def test_unwanted_streams_are_left_out(rich_clip: Path, tmp_path: Path) -> None:
    nothing = Keep(audio=False, subtitles=False, chapters=False, attachments=False, metadata=False)
    assembly = identity(rich_clip, tmp_path / "out.mkv", keep=nothing)
    assert assembly == Assembly()
    found = ffprobe(tmp_path / "out.mkv", "-show_chapters", "-show_format")
    assert found["chapters"] == []
    assert found["format"]["nb_streams"] == 1
    assert "title" not in found["format"]["tags"]


def test_titles_and_chapters_survive_mp4_twice(rich_clip: Path, tmp_path: Path) -> None:
    for source, name in ((rich_clip, "a.mp4"), (tmp_path / "a.mp4", "b.mp4"), (tmp_path / "b.mp4", "c.mkv")):
        assembly = identity(source, tmp_path / name)
        assert all("attachment" in stream for stream, _ in assembly.dropped)
    found = ffprobe(tmp_path / "c.mkv", "-show_chapters", "-show_streams")
    assert found["streams"][2]["tags"]["title"] == "Deutsch"
    assert [c["tags"]["title"] for c in found["chapters"]] == ["First", "Second"]


def test_what_is_never_carried_is_reported(tmp_path: Path) -> None:
    source = tmp_path / "clock.mov"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=0.4", *X264, "-timecode", "01:00:00:00", source)
    assert identity(source, tmp_path / "out.mov").dropped == ()  # written anew from the tag
    assert ffprobe(tmp_path / "out.mov", "-show_streams")["streams"][1]["tags"]["timecode"] == "01:00:00:00"
    assert identity(source, tmp_path / "out.mkv").dropped == ()
    assert ffprobe(tmp_path / "out.mkv", "-show_streams")["streams"][0]["tags"]["TIMECODE"] == "01:00:00:00"


def subtitle_text(path: Path) -> str:
    return ffmpeg("-i", path, "-map", "0:s:0", "-f", "srt", "-").decode().replace("\r", "").strip()


def test_text_subtitles_change_with_the_container_and_keep_their_style(tmp_path: Path) -> None:
    (tmp_path / "words.srt").write_text(TEXT)
    first = tmp_path / "first.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1", "-i", tmp_path / "words.srt", *X264,
           "-c:s", "srt", first)  # fmt: skip
    expected = subtitle_text(first)
    assert "<i>Hello</i> there" in expected
    second, third = tmp_path / "second.mp4", tmp_path / "third.mkv"
    identity(first, second)
    identity(second, third)
    assert (kinds(second)[1], kinds(third)[1]) == (("subtitle", "mov_text"), ("subtitle", "subrip"))
    assert subtitle_text(second) == subtitle_text(third) == expected


def pgs(path: Path) -> None:
    """A Presentation Graphics stream with one empty screen: composition, window and end segments."""
    composition = bytes.fromhex("0040003010000080000000")
    segments = [(0x16, composition), (0x17, bytes.fromhex("010000000000000000000001")[:10]), (0x80, b"")]
    data = b""
    for kind, body in segments:
        data += b"PG" + (9000).to_bytes(4, "big") + bytes(4) + bytes([kind]) + len(body).to_bytes(2, "big") + body
    path.write_bytes(data)


def test_ass_and_pgs_stay_in_matroska_and_are_reported_for_mp4(tmp_path: Path) -> None:
    (tmp_path / "words.srt").write_text(TEXT)
    pgs(tmp_path / "screen.sup")
    source = tmp_path / "both.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1", "-i", tmp_path / "words.srt",
           "-i", tmp_path / "screen.sup", "-map", 0, "-map", 1, "-map", 2, *X264, "-c:s:0", "ass", "-c:s:1", "copy",
           source)  # fmt: skip
    assert identity(source, tmp_path / "out.mkv").dropped == ()
    assert kinds(tmp_path / "out.mkv") == kinds(source)
    assert times(tmp_path / "out.mkv", "s:1") == times(source, "s:1")
    assembly = identity(source, tmp_path / "out.mp4")
    reason = "mp4 cannot hold it; write .mkv"
    assert assembly.dropped == (("subtitle 1: ass", reason), ("subtitle 2: hdmv_pgs_subtitle", reason))


@pytest.mark.parametrize(
    ("origin", "suffix", "picture"),
    [("mp4", "mp4", "jpg"), ("mkv", "mkv", "png"), ("mkv", "mp4", "png"), ("mp4", "mkv", "jpg")],
)
def test_cover_pictures_are_kept(make_clip: MakeClip, tmp_path: Path, picture: str, origin: str, suffix: str) -> None:
    cover = tmp_path / f"cover.{picture}"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=32x32", "-frames:v", 1, "-update", 1, cover)
    source = tmp_path / f"source.{origin}"
    attach = ("-attach", cover, "-metadata:s:t", f"mimetype=image/{picture.replace('jpg', 'jpeg')}")
    mapped = ("-i", cover, "-map", 0, "-map", 1, "-disposition:v:1", "attached_pic")
    ffmpeg("-i", make_clip("plain.mp4"), *(attach if origin == "mkv" else mapped), "-c", "copy", source)
    dst = tmp_path / f"out.{suffix}"
    assembly = identity(source, dst)
    assert [name.split(":")[0] for name in assembly.kept] == ["cover 1"]
    found = ffprobe(dst, "-show_streams")["streams"]
    assert [s["disposition"]["attached_pic"] for s in found] == [0, 1]
    image = ffmpeg("-i", dst, "-map", "0:v:1", "-c", "copy", "-f", "image2pipe", "-")
    assert image == cover.read_bytes()


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("degrees", [90, 180])
def test_rotation_is_kept(make_clip: MakeClip, tmp_path: Path, degrees: int, suffix: str) -> None:
    source = tmp_path / "turned.mp4"
    ffmpeg("-i", make_clip("plain.mp4"), "-c", "copy", "-metadata:s:v", f"rotate={degrees}", source)
    identity(source, tmp_path / f"out.{suffix}")
    assert probe(tmp_path / f"out.{suffix}").video.rotation == probe(source).video.rotation != 0
    if suffix == "mp4":
        rotations = [
            ffprobe(p, "-show_streams")["streams"][0]["side_data_list"] for p in (source, tmp_path / "out.mp4")
        ]
        assert rotations[0] == rotations[1]


HDR = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params",
       "log-level=error:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
       ":max-cll=1000,400:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited")  # fmt: skip


@pytest.mark.parametrize(("codec", "suffix"), [("hevc", "mp4"), ("hevc", "mkv"), ("ffv1", "mkv"), ("av1", "mp4")])
def test_hdr10_data_is_kept(make_clip: MakeClip, tmp_path: Path, codec: str, suffix: str) -> None:
    source = make_clip("hdr.mkv", codec=HDR, frames=3)
    dst = tmp_path / f"out.{suffix}"
    identity(source, dst, Encoding(codec))
    before, after = probe(source).video, probe(dst).video
    assert before.mastering is not None
    assert after.content_light == before.content_light == (1000, 400)
    assert after.mastering is not None
    for name in ("red", "green", "blue", "white"):
        assert getattr(after.mastering, name) == pytest.approx(getattr(before.mastering, name), abs=1e-4)
    assert float(after.mastering.max_luminance) == 1000
    assert float(after.mastering.min_luminance) == pytest.approx(0.005)
    assert after.color == before.color
    assert after.format == "yuv420p10le"
    sides = ffprobe(dst, "-show_streams")["streams"][0]["side_data_list"]
    assert {"Mastering display metadata", "Content light level metadata"} <= {s["side_data_type"] for s in sides}


@pytest.mark.parametrize(("codec", "suffix"), [("h264", "mp4"), ("h264", "mkv"), ("av1", "mkv"), ("ffv1", "mkv")])
@pytest.mark.parametrize("sar", ["32/27", "64/45"])
def test_sample_aspect_ratio_is_kept(make_clip: MakeClip, tmp_path: Path, codec: str, suffix: str, sar: str) -> None:
    source = make_clip("anamorphic.mp4", "-vf", f"setsar={sar}", frames=3)
    identity(source, tmp_path / f"out.{suffix}", Encoding(codec))
    found = ffprobe(tmp_path / f"out.{suffix}", "-show_streams")["streams"][0]
    assert found["sample_aspect_ratio"] == sar.replace("/", ":")
    ffmpeg("-ss", 0.08, "-i", tmp_path / f"out.{suffix}", "-frames:v", 1, "-f", "null", "-")


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_sample_is_cut_from_all_streams(rich_clip: Path, tmp_path: Path, suffix: str) -> None:
    dst = tmp_path / f"out.{suffix}"
    assembly = identity(rich_clip, dst, start=0.4, end=0.8)
    begin = -assembly.shift
    assert 0.4 <= begin < 0.44
    video, sound, words = (times(dst, stream) for stream in ("v:0", "a:0", "s:0"))
    assert (video[0][0], len(video)) == (0, 10)
    assert 0 <= sound[0][0] < 0.025
    assert 0.8 - begin - 0.025 <= sound[-1][0] < 0.8 - begin
    assert float(words[0][0]) == 0
    said = [float(time) for time, _ in words]
    assert any(abs(time - float(times(rich_clip, "s:0")[1][0] - begin)) < 2e-3 for time in said)
    chapters = ffprobe(dst, "-show_chapters")["chapters"]
    assert [c["tags"]["title"] for c in chapters] == ["First", "Second"]
    middle = float(ffprobe(rich_clip, "-show_chapters")["chapters"][1]["start_time"]) - float(begin)
    assert [float(c["start_time"]) for c in chapters] == pytest.approx([0, middle], abs=2e-3)
