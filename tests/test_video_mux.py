"""Joining chunks with the other streams: times, streams, tags, against the ffprobe and ffmpeg binaries."""

from __future__ import annotations

import itertools
import json
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import X264, MakeClip, ffmpeg
from subpixel.errors import DiskError, InputError, UsageError, VerificationError
from subpixel.frames import Frame
from subpixel.video import Assembly, Encoding, Writer, assemble, container_of, read, verify

LOSSLESS = Encoding("h264", extra=(("qp", "0"),))


def ffprobe(path: Path, *arguments: str) -> Any:
    command = ["ffprobe", "-v", "error", "-of", "json", *arguments, f"file:{path}"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def times(path: Path, stream: str = "v:0") -> list[tuple[Fraction, bool]]:
    """Seconds of each packet, in order of presentation, and whether it is decoded only to be thrown away."""
    found = ffprobe(path, "-show_packets", "-show_streams", "-select_streams", stream)
    unit = Fraction(found["streams"][0]["time_base"])
    return sorted((packet["pts"] * unit, "D" in packet["flags"]) for packet in found["packets"])


def encoded(frames: list[Frame], folder: Path, encoding: Encoding = LOSSLESS, size: int = 10) -> list[Path]:
    """The frames in chunks of `size`."""
    chunks = []
    for begin in range(0, len(frames), size):
        chunks.append(folder / f"{begin:05}.mkv")
        with Writer(chunks[-1], encoding) as writer:
            for frame in frames[begin : begin + size]:
                writer.write(frame)
    return chunks


def identity(source: Path, dst: Path, encoding: Encoding = LOSSLESS, **options: Any) -> Assembly:
    """Decode, encode in chunks, join, verify."""
    cut = {key: options[key] for key in ("start", "end") if key in options}
    frames = list(read(source, deinterlace="off", **cut))
    pts = [frame.pts for frame in frames]
    assert None not in pts
    durations = [frame.duration for frame in frames]
    unit = frames[0].time_base
    chunks = encoded(frames, dst.parent, encoding)
    assembly = assemble(dst, source, chunks, pts, durations, unit, **options)  # type: ignore[arg-type]
    verify(dst, pts, unit, assembly, decode=True)  # type: ignore[arg-type]
    return assembly


def with_sound(path: Path, *options: object, seconds: float = 1, pictures: float = 1) -> Path:
    """Test picture and a tone, AAC."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size=64x48:rate=25:duration={pictures}",
           "-f", "lavfi", "-i", f"sine=frequency=300:duration={seconds}", *X264, "-c:a", "aac", *options,
           path)  # fmt: skip
    return path


def kinds(path: Path) -> list[tuple[str, str]]:
    return [(s["codec_type"], s.get("codec_name", "")) for s in ffprobe(path, "-show_streams")["streams"]]


@pytest.mark.parametrize(
    ("rate", "suffix"),
    [*itertools.product(("24000/1001", "25", "30000/1001", "60000/1001"), ("mp4", "mkv")), ("25", "mov")],
)
def test_constant_rates_are_kept(make_clip: MakeClip, tmp_path: Path, rate: str, suffix: str) -> None:
    source = make_clip(f"cfr.{suffix}", rate=rate, frames=15)
    dst = tmp_path / f"out.{suffix}"
    identity(source, dst)
    assert times(dst) == times(source)
    before, after = (ffprobe(path, "-show_streams")["streams"][0] for path in (source, dst))
    assert after["avg_frame_rate"] == before["avg_frame_rate"]


def test_mp4_keeps_the_time_base(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip("base.mp4", "-video_track_timescale", 90000, rate="30000/1001")
    identity(source, tmp_path / "out.mp4")
    assert ffprobe(tmp_path / "out.mp4", "-show_streams")["streams"][0]["time_base"] == "1/90000"


@pytest.mark.parametrize(("origin", "suffix"), [("mp4", "mp4"), ("mkv", "mkv"), ("mkv", "mp4"), ("mp4", "mkv")])
def test_variable_rate_and_gaps_are_kept(make_clip: MakeClip, tmp_path: Path, origin: str, suffix: str) -> None:
    wild = "setpts='(N*40+if(gt(N,7),1333,0)+mod(N,3)*7+mod(N*N,5))/1000/TB'"
    source = make_clip(f"vfr.{origin}", "-vf", f"settb=1/1000,{wild}", "-fps_mode", "passthrough",
                       "-enc_time_base", "1/1000", frames=20)  # fmt: skip
    identity(source, tmp_path / f"out.{suffix}")
    assert times(tmp_path / f"out.{suffix}") == times(source)
    steps = np.diff([float(time) for time, _ in times(source)])
    assert len({round(step, 3) for step in steps}) > 4


@settings(max_examples=12, deadline=None)
@given(
    steps=st.lists(st.integers(1, 5000), min_size=1, max_size=40),
    begin=st.integers(0, 100_000),
    unit=st.sampled_from([Fraction(1, 90000), Fraction(1, 1000), Fraction(1001, 30000), Fraction(1, 25)]),
    size=st.integers(1, 40),
)
def test_any_growing_times_are_exact_in_mp4(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], begin: int, unit: Fraction, size: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    frames = [Frame((np.full((16, 16), i * 5, np.uint8),) * 3, "yuv444p") for i in range(len(steps))]
    pts = [begin + sum(steps[:i]) for i in range(len(steps))]
    chunks = encoded(frames, folder, Encoding(), size)
    verify(folder / "out.mp4", pts, unit, assemble(folder / "out.mp4", None, chunks, pts, steps, unit), decode=True)
    assert [time for time, _ in times(folder / "out.mp4")] == [time * unit for time in pts]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_times_below_zero_move_everything(tmp_path: Path, suffix: str) -> None:
    source, dst = with_sound(tmp_path / "source.mp4", pictures=0.4), tmp_path / f"out.{suffix}"
    frames = list(read(source))
    unit, pts = frames[0].time_base, [(frame.pts or 0) - 3000 for frame in frames]
    assembly = assemble(dst, source, encoded(frames, tmp_path), pts, [512] * 10, unit)
    verify(dst, pts, unit, assembly, decode=True)
    assert assembly.shift == 3000 * unit
    assert "All times are moved by +0.234375 s: the file begins at 0." in assembly.notes
    assert times(dst)[0][0] == 0
    assert float(times(dst, "a:0")[5][0] - times(source, "a:0")[5][0]) == pytest.approx(0.234375, abs=1e-3)


def test_transport_streams_begin_at_zero(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "clock.ts", "-muxdelay", 20)
    assembly = identity(source, tmp_path / "out.mp4")
    before, after = times(source), times(tmp_path / "out.mp4")
    assert assembly.shift < -10
    assert 0 <= min(after[0][0], times(tmp_path / "out.mp4", "a:0")[0][0]) < 0.05
    assert [t - after[0][0] for t, _ in after] == [t - before[0][0] for t, _ in before]


def test_late_pictures_and_edit_lists_are_kept(make_clip: MakeClip, tmp_path: Path) -> None:
    late = make_clip("late.mp4", "-af", "aresample", "-output_ts_offset", 0.52)
    cut = tmp_path / "cut.mp4"
    ffmpeg("-ss", 0.3, "-i", make_clip("long.mp4", frames=50), "-c", "copy", cut)  # an edit list hides 7 frames
    for source in (late, cut):
        dst = tmp_path / f"out-{source.name}"
        identity(source, dst)
        shown = [time for time, hidden in times(source) if not hidden]
        assert [time for time, hidden in times(dst) if not hidden] == shown
    assert times(late)[0][0] > 0.5


def audio(path: Path) -> np.ndarray[Any, Any]:
    """Samples of the first track as its container wants it played."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


@pytest.mark.parametrize(("origin", "suffix"), [("mp4", "mp4"), ("mkv", "mkv"), ("mkv", "mp4"), ("mp4", "mkv")])
@pytest.mark.parametrize("seconds", [0.4, 2.5])
def test_sound_shorter_or_longer_than_the_pictures_loses_nothing(
    tmp_path: Path, origin: str, suffix: str, seconds: float
) -> None:
    source = with_sound(tmp_path / f"sound.{origin}", seconds=seconds)
    dst = tmp_path / f"out.{suffix}"
    identity(source, dst)
    frames = ffprobe(dst, "-count_frames", "-show_streams", "-select_streams", "v")["streams"][0]["nb_read_frames"]
    assert int(frames) == 25
    before, after = audio(source), audio(dst)
    assert len(after) >= len(before) >= seconds * 44100 - 64
    np.testing.assert_array_equal(after[: len(before)], before)
    assert times(dst)[0] == times(source)[0]


def test_odd_paths(make_clip: MakeClip, tmp_path: Path) -> None:
    folder = tmp_path / "a b:c'd\n Фильм 映画"
    folder.mkdir()
    dst = folder / "-out %03d.mkv"
    identity(make_clip("plain.mp4"), dst)
    assert len(list(read(dst))) == 24


def test_chunks_must_belong_together(make_clip: MakeClip, tmp_path: Path) -> None:
    frames = list(read(make_clip("plain.mp4")))
    chunks = encoded(frames[:10], tmp_path, Encoding())
    chunks += encoded(frames[10:12], tmp_path / "..", Encoding(extra=(("bf", "0"),)))
    dst = tmp_path / "out.mp4"
    with pytest.raises(VerificationError, match="was encoded with another extradata than the first chunk"):
        assemble(dst, None, chunks, list(range(12)), [1] * 12, Fraction(1, 25))
    with pytest.raises(VerificationError, match="hold 10 pictures, but there are times for 12"):
        assemble(dst, None, chunks[:1], list(range(12)), [1] * 12, Fraction(1, 25))
    with pytest.raises(VerificationError, match="more pictures than there are times"):
        assemble(dst, None, chunks[:1], list(range(8)), [1] * 8, Fraction(1, 25))
    with pytest.raises(InputError, match="Picture 2 is at time 1, not after picture 1 at 1"):
        assemble(dst, None, chunks[:1], [0, 1, 1, *range(3, 10)], [1] * 10, Fraction(1, 25))
    with pytest.raises(UsageError, match=r"end it in one of .mp4"):
        container_of("film.avi")
    assert not dst.exists()


def test_a_codec_that_the_container_does_not_know(make_clip: MakeClip, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"webm cannot hold h264 video; write .mkv"):
        identity(make_clip("plain.mp4"), tmp_path / "out.webm")
    assert not (tmp_path / "out.webm").exists()


def test_a_folder_that_is_missing(make_clip: MakeClip, tmp_path: Path) -> None:
    frames = list(read(make_clip("plain.mp4")))
    chunks = encoded(frames, tmp_path)
    dst = tmp_path / "missing" / "out.mp4"
    with pytest.raises(DiskError, match=r"missing/out.mp4: No such file or directory"):
        assemble(dst, None, chunks, list(range(24)), [1] * 24, Fraction(1, 25))


def test_verify_names_what_differs(tmp_path: Path) -> None:
    clip = with_sound(tmp_path / "sound.mp4", pictures=0.96)
    frames = list(read(clip))
    pts = [frame.pts for frame in frames if frame.pts is not None]
    unit = frames[0].time_base
    sound = Assembly(kept=("audio 1: aac",), packets=(len(times(clip, "a:0")),))
    verify(clip, pts, unit, sound, decode=True)
    with pytest.raises(VerificationError, match="holds 24 pictures instead of 25"):
        verify(clip, [*pts, 99999], unit, sound)
    with pytest.raises(VerificationError, match=r"shows picture 3 at 0.120000 s instead of 0.120078 s"):
        verify(clip, [*pts[:3], pts[3] + 1, *pts[4:]], unit, sound)
    with pytest.raises(VerificationError, match="holds 1 streams of kind audio instead of 0"):
        verify(clip, pts, unit)
    with pytest.raises(VerificationError, match=r"holds .* packets of 'audio 1: aac' instead of 7"):
        verify(clip, pts, unit, Assembly(kept=("audio 1: aac",), packets=(7,)))
