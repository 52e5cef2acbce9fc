"""Encoding chunks, against the ffmpeg binary's decoders and ffprobe."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from conftest import ffmpeg
from subpixel.color import to_rgb
from subpixel.errors import DiskError, UsageError
from subpixel.frames import Color, Frame, Plane, pixel_format
from subpixel.video import Encoding, Writer, assemble, read, write_images
from subpixel.video.formats import choose, convert
from test_video_mux import ffprobe

LOSSLESS = Encoding("h264", extra=(("qp", "0"),))
FFV1 = Encoding("ffv1")


def moving(count: int, width: int, height: int, name: str = "yuv420p", color: Color = Color()) -> list[Frame]:
    """Smooth waves with some noise, in any format."""
    layout, random = pixel_format(name), np.random.default_rng(width * height)

    def plane(index: int, frame: int) -> Plane:
        rows, columns = layout.plane_size(index, width, height)
        y, x = np.mgrid[:rows, :columns]
        wave = np.sin((x + 3 * frame + index) / 9) + np.cos((y - frame) / 7) + random.normal(0, 0.1, x.shape)
        return np.clip((wave + 2.5) / 5 * layout.peak, 0, layout.peak).astype(layout.dtype)

    return [Frame(tuple(plane(p, i) for p in range(layout.planes)), name, pts=i, color=color) for i in range(count)]


def written(path: Path, frames: list[Frame], encoding: Encoding, rate: Fraction | None = None) -> Writer:
    with Writer(path, encoding, rate=rate) as writer:
        for frame in frames:
            writer.write(frame)
    return writer


def decoded(path: Path, name: str) -> bytes:
    """Raw frames from the ffmpeg binary, unconverted as long as `name` is the stream's own format."""
    return ffmpeg("-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", name, "-")


def raw(frames: list[Frame]) -> bytes:
    return b"".join(plane.tobytes() for frame in frames for plane in frame.planes)


LOSSLESS_FORMATS = ["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray10le"]


@pytest.mark.parametrize("name", LOSSLESS_FORMATS)
def test_h264_holds_these_formats_as_they_are(tmp_path: Path, name: str) -> None:
    frames = moving(4, 48, 32, name)
    assert written(tmp_path / "chunk.mkv", frames, LOSSLESS).notes == ()
    if name.startswith("gray"):  # FFmpeg decodes it to 4:2:0 with grey chroma
        back = read(tmp_path / "chunk.mkv")
        assert b"".join(frame.planes[0].tobytes() for frame in back) == raw(frames)
    else:
        assert decoded(tmp_path / "chunk.mkv", name) == raw(frames)


@pytest.mark.parametrize(
    "name",
    ["yuv420p", "yuv444p9le", "yuv422p12le", "yuv444p16le", "gray12le", "yuva420p", "yuva444p10le", "gbrp",
     "gbrp10le", "gbrap12le", "gbrp16le"],
)  # fmt: skip
def test_ffv1_holds_every_format_with_opacity(tmp_path: Path, name: str) -> None:
    frames = moving(2, 33, 17, name)
    assert written(tmp_path / "chunk.mkv", frames, FFV1).notes == ()
    assert decoded(tmp_path / "chunk.mkv", name) == raw(frames)


def test_ffv1_holds_eight_bit_rgb_with_opacity(tmp_path: Path) -> None:
    frames = moving(2, 33, 17, "gbrap")
    written(tmp_path / "chunk.mkv", frames, FFV1)
    bgra = [np.stack([frame.planes[i] for i in (1, 0, 2, 3)], axis=-1) for frame in frames]
    assert decoded(tmp_path / "chunk.mkv", "bgra") == np.stack(bgra).tobytes()


def test_a_ten_bit_ramp_keeps_its_codes(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(1024, dtype=np.uint16), (64, 1))
    frame = Frame((ramp, ramp[:32, ::2] // 2 + 256, ramp[:32, ::2] // 2 + 256), "yuv420p10le")
    for encoding, least in ((FFV1, 1024), (Encoding("h264", crf=1), 900), (Encoding("hevc", crf=1), 900)):
        written(tmp_path / "ramp.mkv", [frame], encoding)
        luma = np.frombuffer(decoded(tmp_path / "ramp.mkv", "yuv420p10le"), np.uint16)[: ramp.size]
        assert len(np.unique(luma)) >= least


@pytest.mark.parametrize(
    ("codec", "name"),
    [("h264", "yuv420p"), ("h264", "yuv420p10le"), ("hevc", "yuv420p"), ("hevc", "yuv444p12le"), ("hevc", "gbrp"),
     ("av1", "yuv420p"), ("av1", "yuv420p10le")],
)  # fmt: skip
def test_lossy_codecs_come_close(tmp_path: Path, codec: str, name: str) -> None:
    frames = moving(5, 96, 64, name)
    assert written(tmp_path / "chunk.mkv", frames, Encoding(codec)).notes == ()
    dtype, peak = frames[0].layout.dtype, frames[0].layout.peak
    errors = (
        np.frombuffer(decoded(tmp_path / "chunk.mkv", name), dtype) / peak - np.frombuffer(raw(frames), dtype) / peak
    )
    assert len(errors) == sum(plane.size for frame in frames for plane in frame.planes)
    assert np.sqrt(np.mean(errors**2)) < 0.03


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (7, 7), (16, 17), (17, 15), (853, 479)])
def test_odd_sizes_keep_every_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = moving(2, *size)
    odd = size[0] % 2 or size[1] % 2
    notes = written(tmp_path / "chunk.mkv", frames, LOSSLESS).notes
    assert bool(notes) == bool(odd)
    assert not odd or "is stored as yuv4" in notes[0]
    back = list(read(tmp_path / "chunk.mkv"))
    for old, new in zip(frames, back, strict=True):
        np.testing.assert_array_equal(new.planes[0], old.planes[0])
        np.testing.assert_array_equal(to_rgb(new), to_rgb(old))
    assert written(tmp_path / "ffv1.mkv", frames, FFV1).notes == ()
    assert decoded(tmp_path / "ffv1.mkv", "yuv420p") == raw(frames)


def test_what_a_codec_cannot_hold_is_dropped_and_said(tmp_path: Path) -> None:
    notes = written(tmp_path / "a.mkv", moving(2, 32, 32, "yuva420p"), LOSSLESS).notes
    assert notes == ("Opacity is dropped: yuv420p has none.",)
    assert decoded(tmp_path / "a.mkv", "yuv420p") == raw([f.replace(planes=f.planes[:3], format="yuv420p")
                                                          for f in moving(2, 32, 32, "yuva420p")])  # fmt: skip
    notes = written(tmp_path / "b.mkv", moving(2, 32, 32, "yuv444p12le"), LOSSLESS).notes
    assert notes == ("yuv444p12le is stored as yuv444p10le.",)
    notes = written(tmp_path / "c.mkv", moving(2, 32, 32, "yuv444p"), Encoding("av1")).notes
    assert notes == ("yuv444p is stored as yuv420p: chroma is resampled, luma is kept.",)


def test_rgb_becomes_yuv_for_h264(tmp_path: Path) -> None:
    frames = moving(2, 32, 32, "gbrp", Color(matrix=0, range=2))
    notes = written(tmp_path / "rgb.mkv", frames, LOSSLESS).notes
    assert notes == ("RGB (gbrp) is stored as YUV (yuv444p).",)
    for old, new in zip(frames, read(tmp_path / "rgb.mkv"), strict=True):
        assert np.abs(to_rgb(new).astype(int) - to_rgb(old)).max() <= 2


def test_depth_is_rounded_by_range() -> None:
    luma = np.array([[0, 64, 512, 940, 1023]], np.uint16)
    limited = convert(Frame((luma,), "gray10le"), pixel_format("gray"))
    full = convert(Frame((luma,), "gray10le", color=Color(range=2)), pixel_format("gray"))
    assert limited.planes[0].tolist() == [[0, 16, 128, 235, 255]]
    assert full.planes[0].tolist() == [[0, 16, 128, 234, 255]]
    wide = convert(Frame((luma[:, :4].astype(np.uint8),), "gray"), pixel_format("gray12le"))
    assert wide.planes[0].tolist() == [[0, 1024, 0, 2752]]


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1"])
@pytest.mark.parametrize("color", [Color(1, 1, 1, 1), Color(9, 9, 16, 1), Color(5, 5, 6, 2), Color()])
def test_colour_tags_are_written(tmp_path: Path, codec: str, color: Color) -> None:
    written(tmp_path / "chunk.mkv", moving(1, 64, 64, "yuv420p", color), Encoding(codec))
    frame = next(read(tmp_path / "chunk.mkv"))
    found = frame.color
    assert (found.matrix, found.primaries, found.transfer) == (color.matrix, color.primaries, color.transfer)
    assert found.range == color.range or (color.range == 0 and found.range == 1)


def test_sar_and_rate_are_written(tmp_path: Path) -> None:
    frames = [frame.replace(sar=Fraction(32, 27)) for frame in moving(2, 64, 64)]
    written(tmp_path / "chunk.mkv", frames, Encoding(), Fraction(24000, 1001))
    assert ffprobe(tmp_path / "chunk.mkv", "-show_streams")["streams"][0]["sample_aspect_ratio"] == "32:27"


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9", "ffv1"])
def test_chunks_are_closed_and_join(tmp_path: Path, codec: str) -> None:
    """Each chunk decodes alone to what it gives in the joined file."""
    frames = moving(14, 64, 64)
    encoding = Encoding(codec, extra=(("threads", "1"),) if codec == "h264" else ())
    chunks = [tmp_path / f"{i}.mkv" for i in range(2)]
    written(chunks[0], frames[:9], encoding)
    written(chunks[1], frames[9:], encoding)
    assemble(tmp_path / "all.mkv", None, chunks, list(range(14)), [1] * 14, Fraction(1, 25))
    alone = b"".join(decoded(chunk, "yuv420p") for chunk in chunks)
    assert decoded(tmp_path / "all.mkv", "yuv420p") == alone
    flags = [p["flags"] for p in ffprobe(tmp_path / "all.mkv", "-show_packets")["packets"]]
    assert flags[0][0] == flags[9][0] == "K"


def test_options_reach_the_encoder(tmp_path: Path) -> None:
    frames = moving(8, 64, 64)
    sizes = []
    for encoding in (Encoding(), Encoding(crf=40), Encoding(crf=40, extra=(("g", "1"),))):
        written(tmp_path / "chunk.mkv", frames, encoding)
        sizes.append((tmp_path / "chunk.mkv").stat().st_size)
        keys = sum("K" in p["flags"] for p in ffprobe(tmp_path / "chunk.mkv", "-show_packets")["packets"])
    assert sizes[1] < sizes[0]
    assert keys == 8
    written(tmp_path / "chunk.mkv", frames, Encoding(pix_fmt="yuv420p10"))
    assert next(read(tmp_path / "chunk.mkv")).format == "yuv420p10le"
    assert Encoding("hevc", extra=(("x265-params", "aq-mode=2"),)).options()["x265-params"].endswith(":aq-mode=2")


def test_wrong_wishes_are_explained(tmp_path: Path) -> None:
    frame = moving(1, 64, 64)[0]
    for encoding, words in [
        (Encoding(extra=(("nonsense", "1"),)), "libx264 has no option nonsense"),
        (Encoding(preset="quick"), "libx264 refuses 64x64 yuv420p with .*preset=quick"),
        (Encoding(pix_fmt="gbrp"), "libx264 cannot hold 64x64 as gbrp; choose one of gray, gray10le, yuv420p"),
    ]:
        with pytest.raises(UsageError, match=words), Writer(tmp_path / "chunk.mkv", encoding) as writer:
            writer.write(frame)
        assert not (tmp_path / "chunk.mkv").exists()
    with pytest.raises(UsageError, match="There is no codec 'divx'; choose one of h264"):
        Encoding("divx")
    with pytest.raises(UsageError, match="ffv1 is lossless and takes neither a crf"):
        Encoding("ffv1", crf=20)
    with pytest.raises(UsageError, match="libx265 cannot hold 48x48: it starts at 64x64; use h264 or ffv1"):
        choose(moving(1, 48, 48)[0], "libx265")
    with pytest.raises(UsageError, match=r"853x479 as yuv420p; choose one of .*yuv444p"):
        choose(moving(1, 853, 479)[0], "libx264", "yuv420p")
    with pytest.raises(UsageError, match=r"No frame was written to .*chunk.mkv"), Writer(tmp_path / "chunk.mkv", FFV1):
        pass
    with pytest.raises(UsageError, match=r"cannot follow .*one chunk holds one size and one format"):
        written(tmp_path / "chunk.mkv", [frame, *moving(1, 32, 64)], FFV1)
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def small_files(size: int) -> Iterator[None]:
    """The kernel refuses to let a file of this process grow beyond `size`, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [100, 40_000, 2_000_000])
def test_a_full_disk(tmp_path: Path, limit: int) -> None:
    frames = moving(12, 640, 480)
    path = tmp_path / "chunk.mkv"
    with (
        pytest.raises(DiskError, match=r"Cannot write .*chunk.mkv: .* MB free in .*Free some space"),
        small_files(limit),
    ):
        written(path, frames, FFV1)
    assert not path.exists()
    written(path, frames, FFV1)
    for name in ("out.mp4", "out.mkv"):
        with pytest.raises(DiskError, match=f"{name}: .* MB free in .*Free some space"), small_files(limit):
            assemble(tmp_path / name, None, [path], list(range(12)), [1] * 12, Fraction(1, 25))
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(DiskError, match=r"000001.png: .* MB free in"), small_files(100):
        write_images(tmp_path / "images", frames)
    assert list((tmp_path / "images").iterdir()) == []


@contextlib.contextmanager
def forbidden_folder() -> Iterator[Path]:
    """A folder that this process may not write to; root steps down to nobody for the time."""
    folder = Path(tempfile.mkdtemp())
    user = os.geteuid()
    folder.chmod(0o555)
    if user == 0:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(user)
        shutil.rmtree(folder)


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    frames = moving(2, 64, 64)
    with (
        forbidden_folder() as folder,
        pytest.raises(DiskError, match=r"chunk.mkv: Permission denied .* MB free .*Choose a folder you may write to"),
    ):
        written(folder / "chunk.mkv", frames, FFV1)
    with pytest.raises(DiskError, match=r"missing/chunk.mkv: No such file or directory"):
        written(tmp_path / "missing" / "chunk.mkv", frames, FFV1)


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_an_encoder_does_not_go_before_everything_else(tmp_path: Path, codec: str) -> None:
    """SVT-AV1 makes a whole process real-time where it may, as root; two cores are busy with nothing else then."""
    with Writer(tmp_path / "a.mkv", Encoding(codec)) as writer:
        for frame in moving(4, 64, 64):
            writer.write(frame)
        policies = {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}
    assert policies == {os.SCHED_OTHER}
