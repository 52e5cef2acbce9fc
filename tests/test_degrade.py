"""Degrading against the ffmpeg binary's own command, sample for sample."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from skimage.filters import gaussian

from conftest import MakeClip, ffmpeg
from subpixel.degrade import Recipe, clips, degrade, degrade_frames, fitted, shrink
from subpixel.errors import DiskError, InputError, UsageError, VerificationError
from subpixel.frames import Frame
from subpixel.video import probe, read

SCALE = "scale=iw/4:ih/4"
SIZE = "192x128"


def samples(frames: Iterable[Frame]) -> bytes:
    """The planes one after the other, as `ffmpeg -f rawvideo` writes them."""
    return b"".join(plane.tobytes() for frame in frames for plane in frame.planes)


def raw(path: Path, *options: str) -> bytes:
    """The samples of a clip as the ffmpeg binary decodes them."""
    return ffmpeg("-i", path, *options, "-f", "rawvideo", "-")


def build(path: Path) -> str:
    found = re.search(rb"x264 - core (\d+)", path.read_bytes())
    assert found is not None
    return found[1].decode()


@pytest.fixture(scope="module")
def sharp(make_clip: MakeClip) -> Path:
    return make_clip("sharp.mp4", size="480x272", frames=70, picture="mandelbrot")


@pytest.fixture(scope="module")
def folder(make_clip: MakeClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a.mp4, sub/b.avi and notes.txt."""
    place = tmp_path_factory.mktemp("folder")
    (place / "sub").mkdir()
    shutil.copy(make_clip("a.mp4", size=SIZE, frames=6), place / "a.mp4")
    shutil.copy(make_clip("b.avi", size=SIZE, frames=4), place / "sub" / "b.avi")
    (place / "notes.txt").write_text("nothing")
    return place


@pytest.mark.parametrize(
    ("name", "codec"),
    [("yuv420p", "libx264"), ("yuvj420p", "libx264"), ("yuv422p", "libx264"), ("yuv420p10le", "libx264"),
     ("yuv444p10le", "libx264"), ("yuv420p12le", "ffv1"), ("gbrp", "ffv1")],
)  # fmt: skip
@pytest.mark.parametrize("kernel", ["bicubic", "bilinear", "area", "lanczos", "neighbor"])
def test_small_frames_are_ffmpegs(name: str, codec: str, kernel: str, make_clip: MakeClip) -> None:
    """Before encoding, and across versions of FFmpeg: bit for bit."""
    clip = make_clip(f"{name}.mkv", "-pix_fmt", name, size=SIZE, frames=3, codec=("-c:v", codec))
    flags = "" if kernel == "bicubic" else f":flags={kernel}"
    assert samples(shrink(read(clip), Recipe(kernel=kernel))) == raw(clip, "-vf", SCALE + flags, "-pix_fmt", name)


def test_degraded_frames_are_those_of_the_command(sharp: Path, tmp_path: Path) -> None:
    """Exactly, where the builds of x264 agree, and cores 164 and 165 do; else the frames before encoding agree.

    The command runs with our number of threads, on which x264's output depends, and without AVX-512, whose code in
    x264 depends on what was in memory before.
    """
    theirs, ours = tmp_path / "theirs.mp4", tmp_path / "ours.mp4"
    encoding = Recipe().encoding(68)
    ffmpeg(
        "-i", sharp, "-vf", SCALE, "-c:v", "libx264", "-preset", "slow", "-crf", "21", "-threads", encoding.threads,
        "-x264-params", encoding.options().get("x264-params", "threads=auto"), theirs,
    )  # fmt: skip
    report = degrade(sharp, ours)
    assert report.clips[0].encoder == f"x264 - core {build(ours)}"
    assert samples(shrink(read(sharp))) == raw(sharp, "-vf", SCALE)
    mine, other = (np.frombuffer(raw(path), np.uint8).astype(int) for path in (ours, theirs))
    assert mine.size == other.size
    exact = build(ours) == build(theirs) or {build(ours), build(theirs)} == {"164", "165"}
    assert np.abs(mine - other).mean() <= (0 if exact else 1)


def test_in_memory_and_in_a_file_are_the_same(sharp: Path, tmp_path: Path) -> None:
    clip = degrade(sharp, tmp_path / "small.mp4").clips[0]
    assert samples(degrade_frames(read(sharp))) == samples(read(tmp_path / "small.mp4"))
    assert clip.frames_sha256 == hashlib.sha256(raw(tmp_path / "small.mp4")).hexdigest()


@pytest.mark.parametrize(
    ("changes", "suffix"),
    [({"codec": "x265", "preset": "fast"}, "mkv"), ({"codec": "svtav1", "preset": "9"}, "webm"),
     ({"codec": "vp9", "qp": 40}, "webm"), ({"bitrate": 60_000}, "mkv"), ({"codec": "none"}, "mkv"),
     ({"codec": "x265", "preset": "fast", "qp": 35}, "mp4"),
     ({"codec": "svtav1", "preset": "9", "bitrate": 60_000}, "mp4")],
)  # fmt: skip
def test_every_codec_in_memory_and_in_a_file(
    changes: dict[str, object], suffix: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    source, recipe = make_clip(size="384x256", frames=12), Recipe().changed(**changes)
    clip = degrade(source, tmp_path / f"small.{suffix}", recipe).clips[0]
    assert (clip.frames, clip.size) == (12, (96, 64))
    assert samples(degrade_frames(read(source), recipe)) == samples(read(tmp_path / f"small.{suffix}"))


def test_without_a_codec_nothing_is_lost(sharp: Path, tmp_path: Path) -> None:
    degrade(sharp, tmp_path / "small.mkv", Recipe(codec="none"))
    assert raw(tmp_path / "small.mkv") == raw(sharp, "-vf", SCALE)


def test_ten_bits_stay_ten_bits(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip("ten.mkv", "-pix_fmt", "yuv420p10le", size=SIZE, frames=5)
    assert degrade(source, tmp_path / "small.mkv").clips[0].format == "yuv420p10le"


def test_times_and_other_streams_are_kept(rich_clip: Path, tmp_path: Path) -> None:
    clip = degrade(rich_clip, tmp_path / "small.mkv", Recipe(scale=2)).clips[0]
    before, after = list(read(rich_clip)), list(read(tmp_path / "small.mkv"))
    assert [f.seconds for f in after] == [f.seconds for f in before]
    assert {(f.width, f.height, f.color, f.sar) for f in after} == {(80, 48, before[0].color, before[0].sar)}
    info = probe(tmp_path / "small.mkv")
    assert [s.kind for s in info.streams] == ["video", "audio", "audio", "subtitle", "attachment"]
    assert [chapter.title for chapter in info.chapters] == ["First", "Second"]
    assert len(clip.kept) == 4
    silent = degrade(rich_clip, tmp_path / "silent.mkv", Recipe(scale=2), audio=False).clips[0]
    assert len(silent.kept) == 2
    assert "audio" not in {s.kind for s in probe(tmp_path / "silent.mkv").streams}


@pytest.mark.parametrize(
    ("size", "name", "by", "crop"),
    [("854x480", "yuv420p", "8", "848x480"), ("853x479", "yuv444p", "4", "852x476"),
     ("854x478", "yuv422p", "8x4", "848x476")],
)  # fmt: skip
def test_sizes_that_cannot_be_divided(
    size: str, name: str, by: str, crop: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    source = make_clip("odd.mkv", "-pix_fmt", name, size=size, frames=2, picture="testsrc", codec=("-c:v", "ffv1"))
    sentence = rf"^{size} \({name}\) is not divisible by {by}: crop to {crop} with --crop-to-fit\.$"
    for make in (lambda: degrade(source, tmp_path / "no.mkv"), lambda: list(degrade_frames(read(source)))):
        with pytest.raises(UsageError, match=sentence):
            make()
    assert os.listdir(tmp_path) == []
    clip = degrade(source, tmp_path / "fit.mkv", Recipe(codec="none"), crop_to_fit=True).clips[0]
    width, height = crop.split("x")
    assert clip.crop == (int(width), int(height))
    assert raw(tmp_path / "fit.mkv") == raw(source, "-vf", f"crop={width}:{height}:0:0,{SCALE}")


def test_pictures_too_small_to_divide() -> None:
    tiny = Frame((np.zeros((6, 30), np.uint8),), "gray")
    assert fitted(tiny) == (28, 4)
    with pytest.raises(UsageError, match=r"^30x6 is too small to be made 8 times smaller\.$"):
        fitted(tiny, Recipe(scale=8))


def textured(count: int, name: str = "gray") -> Iterator[Frame]:
    random = np.random.default_rng(0)
    for _ in range(count):
        planes = [random.integers(40, 200, (64, 64), np.uint8) for _ in range(3)]
        yield Frame((*planes[: 1 if name == "gray" else 3],), name)


def test_noise_has_its_size_and_its_seed() -> None:
    flat = [Frame((np.full((256, 256), 120, np.uint8),), "gray")] * 3
    noisy = list(shrink(flat, Recipe(scale=1, noise=5, seed=7)))
    assert np.std(noisy[0].planes[0]) == pytest.approx(5, rel=0.02)
    assert np.mean(noisy[0].planes[0]) == pytest.approx(120, abs=0.1)
    assert samples(noisy) == samples(shrink(flat, Recipe(scale=1, noise=5, seed=7)))
    assert samples(noisy[:1]) != samples(noisy[1:2])
    assert samples(noisy) != samples(shrink(flat, Recipe(scale=1, noise=5, seed=8)))


def test_noise_is_as_strong_at_ten_bits() -> None:
    flat = [Frame((np.full((256, 256), 500, np.uint16),), "gray10le")]
    (noisy,) = shrink(flat, Recipe(scale=1, noise=5))
    assert np.std(noisy.planes[0]) == pytest.approx(20, rel=0.02)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_blur_is_a_gaussian(sigma: float) -> None:
    (frame,) = textured(1)
    (blurred,) = shrink([frame], Recipe(scale=1, blur=sigma))
    expected = gaussian(frame.planes[0].astype(float), sigma, mode="nearest", truncate=6)
    assert np.abs(blurred.planes[0] - expected).max() <= 1


def test_blur_is_as_wide_on_small_chroma_planes() -> None:
    luma, chroma = np.zeros((64, 64), np.uint8), np.zeros((32, 32), np.uint8)
    luma[32:, :] = chroma[16:, :] = 200
    (blurred,) = shrink([Frame((luma, chroma, chroma))], Recipe(scale=1, blur=2))
    assert np.abs(blurred.planes[0][::2, 0].astype(int) - blurred.planes[1][:, 0]).max() <= 25


def test_a_folder_and_its_manifest(folder: Path, tmp_path: Path) -> None:
    report = degrade(folder, tmp_path / "out", Recipe(preset="ultrafast"), recursive=True)
    assert [clip.frames for clip in report.clips] == [6, 4]
    assert (tmp_path / "out" / "a.mp4").exists()
    assert (tmp_path / "out" / "sub" / "b.mkv").exists()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest == json.loads(json.dumps(report.as_dict()))
    assert Recipe.parse(manifest["recipe"]) == Recipe(preset="ultrafast")
    assert manifest["versions"].keys() >= {"subpixel", "av", "numpy", "libavcodec"}
    for clip in manifest["clips"]:
        assert clip["sha256"] == hashlib.sha256(Path(clip["output"]).read_bytes()).hexdigest()
        assert clip["source_sha256"] == hashlib.sha256(Path(clip["source"]).read_bytes()).hexdigest()
        assert (clip["size"], clip["source_size"]) == ([48, 32], [192, 128])
    again = degrade(folder, tmp_path / "again", Recipe(preset="ultrafast"), recursive=True)
    assert [c.frames_sha256 for c in again.clips] == [c.frames_sha256 for c in report.clips]


def test_folders_in_folders_only_when_asked(folder: Path, tmp_path: Path) -> None:
    report = degrade(folder, tmp_path / "out", Recipe(preset="ultrafast"))
    assert [Path(clip.output).name for clip in report.clips] == ["a.mp4"]
    with pytest.raises(InputError, match="holds no videos; --recursive searches its folders too"):
        degrade([folder / "a.mp4", tmp_path], tmp_path / "out2")


def test_a_folder_of_images_is_one_clip(sharp: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    ffmpeg("-i", sharp, "-frames:v", "3", tmp_path / "images" / "%03d.png")
    clip = degrade(tmp_path / "images", tmp_path / "small.mkv").clips[0]
    assert (clip.frames, clip.size, clip.format) == (3, (120, 68), "yuv444p")


def test_what_fails_is_named_and_the_rest_is_done(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video at all" * 100)
    report = degrade([bad, folder / "a.mp4"], tmp_path / "out", Recipe(preset="ultrafast"))
    assert [clip.frames for clip in report.clips] == [6]
    assert "it is no video of a known kind" in report.failed[str(bad)]
    assert f"failed: {bad}: " in str(report)
    assert sorted(os.listdir(tmp_path / "out")) == ["a.mp4", "manifest.json"]


def test_two_clips_of_one_name(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a.mp4 and .*a.mp4 would both become .*a.mp4; rename one of them\."):
        degrade([folder / "a.mp4", folder], tmp_path)


def test_outputs_are_not_overwritten(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.mp4"
    output.write_text("precious")
    with pytest.raises(DiskError, match=r"a.mp4 exists; choose another output or overwrite it with -y\."):
        degrade(folder / "a.mp4", output)
    assert output.read_text() == "precious"
    assert degrade(folder / "a.mp4", output, overwrite=True).clips[0].frames == 6
    with pytest.raises(UsageError, match="is the source itself; choose another output"):
        degrade(output, output, overwrite=True)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("small.webm", "'small.webm' cannot hold what codec x264 makes; end it in .mkv."),
     ("small.txt", "does not say which container to write")],
)  # fmt: skip
def test_containers_are_checked_first(name: str, sentence: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence):
        degrade(folder / "a.mp4", tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_lost_frame_is_noticed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(source: Path, **_options: object) -> Iterator[Frame]:
        frames = list(read(source, codec_info=False))
        yield from frames[: None if source == folder / "a.mp4" else -1]

    monkeypatch.setattr(clips, "read", forgetful)
    with pytest.raises(VerificationError, match=r"small.mp4 decodes to 5 frames, but its source has 6\."):
        degrade(folder / "a.mp4", tmp_path / "small.mp4")
    assert os.listdir(tmp_path) == []


def test_progress_counts_the_frames(folder: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    source = folder / "a.mp4"
    degrade(source, tmp_path / "small.mp4", progress=lambda *facts: told.append(facts))
    assert told == [(str(source), done, 6) for done in range(1, 7)]
