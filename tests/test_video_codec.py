"""The round trip through a codec in memory: the frames of a file, in order, with little in memory."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from subpixel.errors import UsageError, VerificationError
from subpixel.frames import Color, Frame
from subpixel.video import read
from subpixel.video.codec import roundtrip
from subpixel.video.write import Encoding, Writer

ENCODINGS = [
    Encoding("h264", 21, "slow", threads=3),
    Encoding("hevc", 24, "fast", threads=2),
    Encoding("av1", 32, "8", threads=2),
    Encoding("vp9", 32, threads=2),
    Encoding("ffv1"),
]


def moving(count: int, width: int = 64, height: int = 64) -> Iterator[Frame]:
    """A soft pattern that moves two pixels a frame, with a little grain."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width]
    for index in range(count):
        luma = 128 + 60 * np.sin((x + 2 * index) / 5) * np.cos(y / 7) + random.normal(0, 2, (height, width))
        chroma = np.full((height // 2, width // 2), 100 + index % 50, np.uint8)
        yield Frame(
            (luma.astype(np.uint8), chroma, chroma), pts=1000 + 512 * index, time_base=Fraction(1, 12800), duration=512
        )


def same(frames: list[Frame], others: list[Frame]) -> bool:
    return len(frames) == len(others) and all(
        np.array_equal(p, q)
        for f, g in zip(frames, others, strict=True)
        for p, q in zip(f.planes, g.planes, strict=True)
    )


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.codec)
def test_equals_the_file(encoding: Encoding, tmp_path: Path) -> None:
    with Writer(tmp_path / "clip.mkv", encoding, rate=Fraction(25)) as writer:
        for frame in moving(20):
            writer.write(frame)
    assert same(list(roundtrip(moving(20), encoding)), list(read(tmp_path / "clip.mkv")))


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.codec)
def test_gives_the_same_frames_each_time(encoding: Encoding) -> None:
    """x264's AVX-512 code does not, from about fifty frames on, unless it is left out."""
    count = 75 if encoding.codec == "h264" else 12
    first = list(roundtrip(moving(count), encoding))
    assert all(same(first, list(roundtrip(moving(count), encoding))) for _ in range(2))


def test_what_the_codec_said_and_what_the_source_said() -> None:
    color = Color(1, 1, 1, 1)
    sharp = [f.replace(color=color, sar=Fraction(16, 11)) for f in moving(30)]
    coded = list(roundtrip(sharp, ENCODINGS[0]))
    assert [f.pts for f in coded] == [1000 + 512 * i for i in range(30)]
    assert {(f.time_base, f.duration, f.color, f.sar) for f in coded} == {
        (Fraction(1, 12800), 512, color, Fraction(16, 11))
    }
    assert {f.kind for f in coded} >= {"I", "P", "B"}
    assert all(f.qp is not None and f.qp.shape == (4, 4) for f in coded)
    assert any(f.motion is not None and len(f.motion) for f in coded)
    error = np.mean([(f.planes[0].astype(int) - g.planes[0]) ** 2 for f, g in zip(sharp, coded, strict=True)])
    assert 0 < error < 30


def test_lossless_is_lossless() -> None:
    assert same(list(roundtrip(moving(5), Encoding("ffv1"))), list(moving(5)))


def test_memory_holds_the_look_ahead_alone() -> None:
    given = 0

    def counted() -> Iterator[Frame]:
        nonlocal given
        for frame in moving(300):
            given += 1
            yield frame

    waiting = [given - got for got, _ in enumerate(roundtrip(counted(), ENCODINGS[0]), 1)]
    assert len(waiting) == 300
    assert max(waiting) < 80


def test_times_may_be_missing_or_run_backwards() -> None:
    """Neither changes what the encoder does with the samples; both come back as they were."""
    frames = list(moving(8))
    plain = list(roundtrip(frames, ENCODINGS[0]))
    timeless = [f.replace(pts=None, duration=0) for f in frames]
    backwards = [f.replace(pts=-(f.pts or 0)) for f in frames]
    for changed in (timeless, backwards):
        coded = list(roundtrip(changed, ENCODINGS[0]))
        assert [f.pts for f in coded] == [f.pts for f in changed]
        assert same(coded, plain)


def test_no_frames() -> None:
    assert list(roundtrip(iter(()), ENCODINGS[0])) == []


def test_one_frame_of_another_format() -> None:
    gray = Frame((np.full((64, 64), 77, np.uint8),), "gray")
    (coded,) = roundtrip([gray], ENCODINGS[0])
    assert coded.planes[0].shape == (64, 64)
    assert abs(int(coded.planes[0][5, 5]) - 77) <= 1


def test_options_that_the_encoder_refuses() -> None:
    with pytest.raises(UsageError, match=r"libx264 refuses 64x64 yuv420p with .*preset=bogus"):
        list(roundtrip(moving(1), Encoding("h264", preset="bogus")))


def test_lost_frames_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subpixel.video.codec._decoded", lambda *_: iter(()))
    with pytest.raises(VerificationError, match=r"libx264 gave 3 frames too few back; try another preset\."):
        list(roundtrip(moving(3), ENCODINGS[0]))
