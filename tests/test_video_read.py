"""video.read against the ffmpeg binary: samples, times, what the codec said, and every way to fail."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from conftest import MakeClip, ffmpeg
from subpixel.frames import Frame
from subpixel.video import field_order, probe, read


def raw(frames: list[Frame]) -> bytes:
    return b"".join(plane.tobytes() for frame in frames for plane in frame.planes)


def decoded(path: Path, *filters: object, pix_fmt: str | None = None) -> bytes:
    """The file's samples as the ffmpeg binary gives them."""
    chosen = ("-pix_fmt", pix_fmt) if pix_fmt else ()
    return ffmpeg("-i", f"file:{path}", *filters, "-fps_mode", "passthrough", *chosen, "-f", "rawvideo", "-")


def ffprobe(path: Path, entries: str) -> list[dict[str, object]]:
    command = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        entries,
        "-of",
        "json",
        f"file:{path}",
    ]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["frames"]


def remux(path: Path, name: str, *options: object) -> Path:
    target = path.with_name(name)
    ffmpeg("-i", path, "-c", "copy", *options, target)
    return target


def test_frames_are_the_decoders(sample_clip: Path) -> None:
    frames = list(read(sample_clip))
    assert raw(frames) == decoded(sample_clip)
    wanted = ffprobe(sample_clip, "frame=pts,pict_type,duration,pkt_duration")
    assert [frame.pts for frame in frames] == [entry["pts"] for entry in wanted]
    assert [frame.kind for frame in frames] == [entry["pict_type"] for entry in wanted]
    assert {frame.duration for frame in frames} == {512}
    assert {frame.time_base for frame in frames} == {Fraction(1, 12800)}


def test_planes_are_views_nobody_can_write(sample_clip: Path) -> None:
    frame = next(read(sample_clip))
    with pytest.raises(ValueError, match="read-only"):
        frame.planes[0][0, 0] = 0


@pytest.mark.parametrize(
    "pix_fmt",
    [
        *("yuv420p", "yuv422p", "yuv444p", "yuva420p", "yuva444p", "gray", "yuv420p10le", "yuv422p10le", "yuv444p12le"),
        *("yuv420p16le", "yuva444p10le", "gray10le", "gray12le", "gbrp", "gbrap", "gbrp10le", "gbrp12le"),
    ],
)
def test_planar_formats_are_kept(make_clip: MakeClip, pix_fmt: str) -> None:
    packed = {"gbrp": "bgr0", "gbrap": "bgra"}.get(pix_fmt, pix_fmt)
    clip = make_clip("f.mkv", "-pix_fmt", packed, size="39x21", frames=2, codec=("-c:v", "ffv1"))
    frames = list(read(clip))
    assert frames[0].format == pix_fmt
    assert raw(frames) == decoded(clip, pix_fmt=pix_fmt)


@pytest.mark.parametrize(
    ("stored", "carried"),
    [
        ("nv12", "yuv420p"),
        ("yuyv422", "yuv422p"),
        ("yuv420p10be", "yuv420p10le"),
        ("gray16be", "gray16le"),
        ("rgb24", "gbrp"),
        ("bgr0", "gbrp"),
        ("rgba", "gbrap"),
        ("rgb48be", "gbrp16le"),
        ("rgba64le", "gbrap16le"),
    ],
)
def test_other_formats_become_the_nearest_planar_one(make_clip: MakeClip, stored: str, carried: str) -> None:
    clip = make_clip("r.nut", "-pix_fmt", stored, size="38x22", frames=2, codec=("-c:v", "rawvideo"))
    frames = list(read(clip))
    assert frames[0].format == carried
    assert raw(frames) == decoded(clip, pix_fmt=carried)


def test_full_range_jpeg_keeps_its_samples_and_says_so(make_clip: MakeClip) -> None:
    clip = make_clip("j.avi", "-pix_fmt", "yuvj420p", codec=("-c:v", "mjpeg"), frames=3)
    frames = list(read(clip))
    assert (frames[0].format, frames[0].color.range) == ("yuv420p", 2)
    assert raw(frames) == decoded(clip, pix_fmt="yuvj420p")


def test_palettes_carry_opacity(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=32x20", "-frames:v", 1, "-pix_fmt", "pal8", tmp_path / "p.png")
    (frame,) = read(tmp_path / "p.png")
    assert frame.format == "gbrap"
    rgba = np.frombuffer(decoded(tmp_path / "p.png", pix_fmt="rgba"), np.uint8).reshape(20, 32, 4)
    np.testing.assert_array_equal(np.stack(frame.planes, axis=-1), rgba[..., [1, 2, 0, 3]])


@pytest.mark.parametrize("size", [f"{w}x{h}" for w, h in [(1, 1), (1, 2), (2, 1), (3, 3), (7, 5), (16, 17), (17, 16)]])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
def test_small_and_odd_sizes(make_clip: MakeClip, size: str, pix_fmt: str) -> None:
    options = ("-vf", f"scale={size.replace('x', ':')}", "-pix_fmt", pix_fmt)
    clip = make_clip("s.mkv", *options, size="32x32", frames=2, codec=("-c:v", "ffv1"))
    frames = list(read(clip))
    assert (frames[0].width, frames[0].height) == tuple(map(int, size.split("x")))
    assert raw(frames) == decoded(clip)


def test_odd_h264_keeps_its_cropping_and_covers_it_with_qp(make_clip: MakeClip) -> None:
    clip = make_clip("odd.mp4", "-pix_fmt", "yuv444p", size="853x479", frames=2)
    frames = list(read(clip))
    assert raw(frames) == decoded(clip)
    assert frames[0].qp is not None
    assert frames[0].qp.shape == (30, 54)


@pytest.mark.parametrize(("pix_fmt", "told"), [("yuv420p", 27), ("yuv420p10le", 27 + 12)])
def test_qp_is_what_the_encoder_was_told(make_clip: MakeClip, pix_fmt: str, told: int) -> None:
    """x264 counts QP up by 6 for each bit above 8, as H.264 does inside; frames carry the 8-bit scale."""
    codec = ("-c:v", "libx264", "-qp", str(told), "-pix_fmt", pix_fmt, "-x264-params", "ipratio=1:pbratio=1:aq-mode=0")
    for frame in read(make_clip("qp.mkv", codec=codec, frames=8)):
        assert frame.qp is not None
        assert frame.qp.dtype == np.int16
        assert (frame.qp == 27).all()


def test_codec_info_does_not_depend_on_threads(make_clip: MakeClip) -> None:
    clip = make_clip("qp.mp4", size="320x240", frames=40)
    for one, many in zip(read(clip, threads=1), read(clip, threads=8), strict=True):
        np.testing.assert_array_equal(one.qp, many.qp)
        assert (one.motion is None) == (many.motion is None)
        if one.motion is not None and many.motion is not None:
            assert all((one.motion[name] == many.motion[name]).all() for name in one.motion.dtype.names)


def test_motion_tells_how_a_picture_moves(make_clip: MakeClip) -> None:
    pan = ("-vf", "loop=-1:1,crop=160:96:4*n:40", "-bf", "0", "-refs", "1", "-pix_fmt", "yuv420p")
    frames = list(read(make_clip("pan.mp4", *pan, picture="testsrc2", size="640x480", frames=6)))
    motion = frames[3].motion
    assert frames[0].motion is None
    assert motion is not None
    x = motion["motion_x"] / motion["motion_scale"]
    assert np.median(x[x != 0]) == 4  # flat blocks need not move
    assert set(motion["source"]) == {-1}


def test_codec_info_can_be_left_out(sample_clip: Path) -> None:
    frames = list(read(sample_clip, codec_info=False))
    assert raw(frames) == decoded(sample_clip)
    assert all(frame.qp is None and frame.motion is None for frame in frames)


# Time


@pytest.mark.parametrize("rate", ["24000/1001", "25", "30000/1001", "60000/1001"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_constant_rates(make_clip: MakeClip, rate: str, suffix: str) -> None:
    clip = make_clip(f"c.{suffix}", rate=rate, frames=12)
    wanted = [entry["best_effort_timestamp"] for entry in ffprobe(clip, "frame=best_effort_timestamp")]
    assert [frame.pts for frame in read(clip)] == wanted


def test_variable_rate(make_clip: MakeClip) -> None:
    times = [0, 40, 90, 200, 233, 300, 555]
    cases = "+".join(f"eq(N,{i})*{t}" for i, t in enumerate(times))
    clip = make_clip("v.mkv", "-vf", f"settb=1/1000,setpts='{cases}'", "-fps_mode", "passthrough",
                     "-enc_time_base", "1/1000", frames=7)  # fmt: skip
    assert [frame.pts for frame in read(clip)] == times


def test_gap_is_kept(make_clip: MakeClip) -> None:
    clip = make_clip("g.mp4", "-vf", "select='lt(n,10)+gt(n,29)'", "-fps_mode", "vfr", frames=20)
    pts = [frame.pts for frame in read(clip)]
    assert pts[9:11] == [9 * 512, 30 * 512]


def test_edit_list_hides_what_it_hides(make_clip: MakeClip) -> None:
    clip = make_clip("e.mp4", "-g", 12, frames=40)
    ffmpeg("-ss", 0.7, "-i", clip, "-c", "copy", clip.with_name("edit.mp4"))
    frames = list(read(clip.with_name("edit.mp4")))
    assert frames[0].pts == 0
    assert raw(frames) == raw(list(read(clip))[18:])


def test_negative_start_is_kept(make_clip: MakeClip) -> None:
    clip = remux(make_clip("n.mp4", frames=10), "n.asf", "-avoid_negative_ts", "disabled", "-output_ts_offset", -0.3)
    seconds = [frame.seconds for frame in read(clip)]
    assert seconds[0] == pytest.approx(-0.3)
    assert np.diff(seconds) == pytest.approx(0.04)


@pytest.mark.parametrize("name", ["m.avi", "m.h264"])
def test_missing_times_are_filled_evenly(make_clip: MakeClip, name: str) -> None:
    clip = remux(make_clip("m.mp4", frames=20), name)
    frames = list(read(clip))
    assert len(frames) == 20
    assert np.diff([frame.seconds for frame in frames]) == pytest.approx(0.04)


@pytest.mark.parametrize("name", ["t.mp4", "t.mkv", "t.ts", "t.avi", "t.nut", "t.h264", "t.flv"])
@pytest.mark.parametrize(("start", "end"), [(0, 0.4), (1.3, 1.5), (1.04, None), (None, 0.2), (9, None)])
def test_start_and_end_cut_the_same_frames_out(
    make_clip: MakeClip, name: str, start: float | None, end: float | None
) -> None:
    clip = remux(make_clip("t0.mp4", "-g", 30, frames=50), name, "-y")
    whole = list(read(clip))
    origin = (whole[0].seconds or 0) if name in ("t.nut",) else probe(clip).start
    first, last = start or 0, 1e9 if end is None else end
    wanted = [frame for frame in whole if first - 1e-9 <= (frame.seconds or 0) - origin < last - 1e-9]
    got = list(read(clip, start=start, end=end))
    assert [frame.pts for frame in got] == [frame.pts for frame in wanted]
    assert raw(got) == raw(wanted)


# Interlacing


@pytest.fixture(scope="module")
def woven(make_clip: MakeClip) -> Path:
    """720x576, each frame two moments, flagged top field first."""
    codec = ("-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-top", "1", "-q:v", "3", "-pix_fmt", "yuv420p")
    return make_clip(
        "w.mkv", "-vf", "gblur=1,tinterlace=interleave_top", size="720x576", rate="50", frames=12, codec=codec
    )


def test_interlaced_is_found_and_deinterlaced_as_bwdif_does(woven: Path) -> None:
    assert field_order(woven) == "tff"
    assert all(frame.interlaced for frame in read(woven, deinterlace="off"))
    frames = list(read(woven))
    assert not any(frame.interlaced for frame in frames)
    assert [frame.pts for frame in frames] == [frame.pts for frame in read(woven, deinterlace="off")]
    theirs = decoded(woven, "-vf", "bwdif=send_frame:tff:all")
    one = len(raw(frames[:1]))
    assert raw(frames[1:]) == theirs[one:]  # the first has no predecessor, which versions of bwdif treat differently


def test_interlaced_without_flags_is_found_in_the_pictures(make_clip: MakeClip) -> None:
    clip = make_clip("u.mkv", "-vf", "gblur=1,tinterlace=interleave_bottom,setfield=prog", size="720x576", rate="50",
                     frames=12, codec=("-c:v", "ffv1"))  # fmt: skip
    assert not any(frame.interlaced for frame in read(clip, deinterlace="off"))
    assert field_order(clip) == "bff"


def test_progressive_pictures_under_interlaced_flags_stay_as_they_are(make_clip: MakeClip) -> None:
    codec = ("-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-q:v", "2", "-pix_fmt", "yuv420p")
    clip = make_clip("p.mkv", "-vf", "gblur=2,setfield=tff", size="720x576", frames=20, picture="testsrc", codec=codec)
    assert field_order(clip) == "progressive"
    assert raw(list(read(clip))) == decoded(clip)


def test_small_test_patterns_are_not_taken_for_interlaced(sample_clip: Path) -> None:
    assert field_order(sample_clip) == "progressive"


# Sources


@pytest.mark.parametrize(
    "name", ["a b.mp4", "quote'\".mp4", "new\nline.mp4", "кино.mp4", "映画.mp4", "-dash.mp4", "a%03d.mp4", "a:b|c.mp4"]
)
def test_odd_paths(sample_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(sample_clip.read_bytes())
    assert len(list(read(name))) == 24
    assert probe(Path(name)).video.frames == 24


def test_a_folder_of_images_is_read_in_natural_order(sample_clip: Path, tmp_path: Path) -> None:
    ffmpeg("-i", sample_clip, "-start_number", 1, tmp_path / "frame%d.png")
    (tmp_path / "notes.txt").write_text("not an image")
    frames = list(read(tmp_path, rate=Fraction(30)))
    rgb = np.frombuffer(decoded(sample_clip, pix_fmt="rgb24"), np.uint8).reshape(24, 96, 160, 3)
    np.testing.assert_array_equal([np.stack(frame.planes, axis=-1) for frame in frames], rgb[..., [1, 2, 0]])
    assert [(frame.pts, frame.time_base) for frame in frames] == [(i, Fraction(1, 30)) for i in range(24)]
    assert raw(list(read(tmp_path, start=0.2, end=0.4))) == raw(frames[5:10])


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.webp", "a.ppm"])
def test_a_single_image_is_one_frame(sample_clip: Path, tmp_path: Path, name: str) -> None:
    ffmpeg("-i", sample_clip, "-frames:v", 1, tmp_path / name)
    path = (tmp_path / name).rename(tmp_path / f"%03d{name}")  # a name, not a pattern
    (frame,) = read(path)
    assert (frame.width, frame.height) == (160, 96)


@pytest.mark.parametrize("container", ["yuv4mpegpipe", "nut"])
def test_standard_input(make_clip: MakeClip, container: str) -> None:
    clip = make_clip("in.mkv", frames=5)
    stream = ffmpeg("-i", clip, "-f", container, "-c:v", "rawvideo" if container == "nut" else "wrapped_avframe", "-")
    code = (
        "import sys, hashlib; from subpixel.video import read\n"
        "digest = hashlib.sha256()\n"
        "for frame in read('-', start=0.04):\n"
        "    for plane in frame.planes: digest.update(plane.tobytes())\n"
        "print(digest.hexdigest(), frame.pts * frame.time_base)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=stream, capture_output=True, check=True)
    assert done.stdout.decode().split() == [hashlib.sha256(raw(list(read(clip))[1:])).hexdigest(), "4/25"]
    assert done.stderr == b""


def test_tags_can_be_replaced(sample_clip: Path) -> None:
    frame = next(read(sample_clip, input_matrix="bt709", input_range="full"))
    assert (frame.color.matrix, frame.color.range, frame.color.primaries) == (1, 2, 2)


def test_closing_the_iterator_closes_the_file(sample_clip: Path) -> None:
    def opened() -> bool:
        return any(os.path.realpath(link) == os.path.realpath(sample_clip) for link in Path("/proc/self/fd").iterdir())

    frames = read(sample_clip)
    kept = next(frames)
    assert opened()
    frames.close()
    assert not opened()
    assert kept.planes[0].any()
