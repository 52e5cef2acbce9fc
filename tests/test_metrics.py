"""The pinned metric against numpy, scikit-image and ffmpeg's psnr filter; its sums, sentences and JSON."""

from __future__ import annotations

import json
import math
import re
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from conftest import MakeClip, ffmpeg
from subpixel import color, resample, video
from subpixel.errors import InputError, UsageError
from subpixel.frames import FULL, Color, Frame
from subpixel.metrics import SquaredError, Tally, consistency, psnr, score, ssim, tallies

Bytes = npt.NDArray[np.uint8]
random = np.random.default_rng(1)
pairs = arrays.array_shapes(min_dims=1, max_dims=3, max_side=20).flatmap(
    lambda shape: st.tuples(arrays.arrays(np.uint8, shape), arrays.arrays(np.uint8, shape))
)


def picture(height: int = 60, width: int = 90) -> Bytes:
    return random.integers(0, 256, (height, width), dtype=np.uint8)


def frame(luma: Bytes, **facts: object) -> Frame:
    return Frame((luma,), "gray").replace(**facts)


def lossless(name: str) -> tuple[str, ...]:
    return ("-c:v", "ffv1") if name.endswith("mkv") else ("-c:v", "rawvideo")


# ---- squared error


@given(pairs)
def test_squared_error_is_the_plain_sum(pair: tuple[Bytes, Bytes]) -> None:
    a, b = pair
    assert SquaredError.of(a, b) == SquaredError(int(((a.astype(int) - b.astype(int)) ** 2).sum()), a.size)
    assert SquaredError.of(a, b) == SquaredError.of(b, a)
    assert SquaredError.of(a, a).sse == 0


@given(pairs, st.integers(0, 400))
def test_squared_error_adds_up_and_knows_no_order(pair: tuple[Bytes, Bytes], cut: int) -> None:
    a, b = (array.reshape(-1) for array in pair)
    assert SquaredError.of(a[:cut], b[:cut]) + SquaredError.of(a[cut:], b[cut:]) == SquaredError.of(a, b)
    order = np.random.default_rng(cut).permutation(a.size)
    assert SquaredError.of(a[order], b[order]) == SquaredError.of(a, b)


@pytest.mark.parametrize(("kind", "low", "high"), [(np.uint8, 0, 255), (np.uint16, 0, 65535), (np.int16, -255, 255)])
def test_squared_error_is_exact_at_the_extremes(kind: type, low: int, high: int) -> None:
    n = 3 * 8192 + 5
    error = SquaredError.of(np.full(n, low, kind), np.full(n, high, kind))
    assert error == SquaredError((high - low) ** 2 * n, n)


def test_sums_stay_exact_beyond_any_float() -> None:
    film = SquaredError(10**30 + 1, 10**28) + SquaredError(1, 3)
    assert film == SquaredError(10**30 + 2, 10**28 + 3)
    assert film.psnr == pytest.approx(10 * math.log10(Fraction(255**2 * film.n, film.sse)), abs=1e-12)


def test_psnr_is_that_of_numpy_and_scikit_image() -> None:
    a, b = picture(), picture()
    expected = 10 * np.log10(255.0**2 / np.mean((a.astype(np.float64) - b) ** 2))
    assert SquaredError.of(a, b).psnr == pytest.approx(expected, abs=1e-12)
    assert SquaredError.of(a, b).psnr == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=1e-12)


def test_psnr_of_nothing_and_of_identical_samples() -> None:
    assert psnr(0, 10) == math.inf
    assert math.isnan(psnr(0, 0))
    assert math.isnan(SquaredError().mse)


def test_squared_error_refuses_unequal_shapes() -> None:
    with pytest.raises(UsageError, match=r"shapes \(2, 3\) and \(3, 2\) cannot be compared"):
        SquaredError.of(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))


# ---- SSIM


def scikit(a: Bytes, b: Bytes, peak: int = 255) -> float:
    return float(
        structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=peak)
    )


@pytest.mark.parametrize("size", [(11, 11), (11, 300), (43, 42), (75, 141), (200, 11)])
def test_ssim_is_scikit_images(size: tuple[int, int]) -> None:
    a = np.cumsum(picture(*size) % 7, axis=1).astype(np.uint8)
    b = np.clip(a + random.normal(0, 12, size), 0, 255).astype(np.uint8)
    assert ssim(a, b) == pytest.approx(scikit(a, b), abs=2e-6)


@pytest.mark.parametrize(("one", "other"), [(255, 255), (255, 250), (0, 1), (16, 235)])
def test_ssim_of_flat_pictures_is_scikit_images(one: int, other: int) -> None:
    a, b = np.full((40, 50), one, np.uint8), np.full((40, 50), other, np.uint8)
    assert ssim(a, b) == pytest.approx(scikit(a, b), abs=2e-6)


def test_ssim_at_ten_bits_and_of_too_small_pictures() -> None:
    a = random.integers(0, 1024, (30, 40), dtype=np.uint16)
    b = a // 2
    assert ssim(a, b, 1023) == pytest.approx(scikit(a, b, 1023), abs=2e-6)
    assert ssim(a, a, 1023) == pytest.approx(1, abs=1e-6)
    assert math.isnan(ssim(picture(10, 50), picture(10, 50)))
    with pytest.raises(UsageError, match="two planes of one size"):
        ssim(picture(20, 20), picture(20, 21))


# ---- frames


def test_tallies_hold_the_pinned_metric_by_frame_type() -> None:
    truth = [frame(picture()) for _ in range(4)]
    ours = [f.replace(planes=(f.planes[0] ^ np.uint8(3),)) for f in truth]
    low = [frame(picture(15, 22), kind=kind) for kind in "IPBB"]
    found = list(tallies(ours, truth, low))
    assert [kind for kind, _ in found] == ["I", "P", "B", "B"]
    total = sum((tally for _, tally in found), Tally())
    sides = [np.stack([color.to_rgb(f) for f in side]).astype(np.float64) for side in (ours, truth)]
    assert total.rgb == SquaredError(int(((sides[0] - sides[1]) ** 2).sum()), 4 * 60 * 90 * 3)
    assert total.frame_psnr == pytest.approx(sum(tally.rgb.psnr for _, tally in found))
    assert (total.frames, total.windows, total.luma_from) == (4, 4, "planes")


@pytest.mark.parametrize(("errors", "temporal"), [([5, 5, 5], 0), ([4, -4, 4], 64)])
def test_temporal_error_sees_flicker_and_not_a_constant_error(errors: list[int], temporal: int) -> None:
    truth = [frame(np.full((20, 20), 100 + 10 * i, np.uint8)) for i in range(3)]
    ours = [
        f.replace(planes=((f.planes[0] + np.int16(error)).astype(np.uint8),))
        for f, error in zip(truth, errors, strict=True)
    ]
    total = sum((tally for _, tally in tallies(ours, truth)), Tally())
    assert total.temporal == SquaredError(temporal * 2 * 400, 2 * 400)


def test_consistency_is_zero_for_what_the_input_was_shrunk_from() -> None:
    high = frame(picture(64, 96))
    low = resample.resize_frame(high, 24, 16)
    assert consistency(high, low) == SquaredError(0, 24 * 16)
    brighter = low.replace(planes=(low.planes[0] // 2 + 3,))
    darker = low.replace(planes=(low.planes[0] // 2,))
    assert consistency(brighter, darker) == SquaredError(9 * 24 * 16, 24 * 16)
    with pytest.raises(InputError, match=r"The input \(96x64\) is larger than the restored picture \(24x16\)"):
        consistency(low, high)


def test_luma_of_ten_bits_is_rounded_to_eight() -> None:
    deep = Frame((np.full((12, 12), 402, np.uint16),), "gray10le")
    (_, tally), *_ = tallies([deep], [frame(np.full((12, 12), 101, np.uint8))])
    assert tally.luma.sse == 0


def test_luma_of_another_range_comes_from_rgb() -> None:
    limited, full = (
        frame(np.full((12, 12), 235, np.uint8)),
        frame(np.full((12, 12), 255, np.uint8), color=Color(range=FULL)),
    )
    (_, tally), *_ = tallies([limited], [full])
    assert (tally.luma_from, tally.luma.sse, tally.rgb.sse) == ("rgb", 0, 0)


def test_unequal_sizes_are_refused_with_both_sizes() -> None:
    with pytest.raises(InputError, match=r"restored picture is 90x60, the reference 92x60.*crop one of them"):
        list(tallies([frame(picture())], [frame(picture(60, 92))]))


def test_memory_does_not_grow_with_the_film() -> None:
    def film(length: int) -> Iterator[Frame]:
        return (frame(np.full((200, 300), i % 256, np.uint8)) for i in range(length))

    peaks = []
    for length in (4, 60):
        tracemalloc.start()
        sum((tally for _, tally in tallies(film(length), film(length))), Tally())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


# ---- files


def test_luma_psnr_is_that_of_ffmpegs_filter(make_clip: MakeClip, tmp_path: Path) -> None:
    truth, ours = make_clip("truth.mkv", codec=lossless("mkv")), make_clip("ours.mp4")
    stats = tmp_path / "stats"
    ffmpeg("-i", ours, "-i", truth, "-lavfi", f"psnr=stats_file={stats}", "-f", "null", "-")
    theirs = [float(mse) for mse in re.findall(r"mse_y:([\d.]+)", stats.read_text())]
    total = score(ours, truth).pooled.total
    assert len(theirs) == total.frames == 24
    assert total.luma.mse == pytest.approx(np.mean(theirs), abs=0.005)  # two digits are written
    frames = [
        SquaredError.of(a.planes[0], b.planes[0]).mse for a, b in zip(video.read(ours), video.read(truth), strict=True)
    ]
    assert frames == pytest.approx(theirs, abs=0.00501)


def test_pictures_score_like_the_video_they_were_written_from(sample_clip: Path, tmp_path: Path) -> None:
    video.write_images(tmp_path / "pictures", video.read(sample_clip))
    result = score(sample_clip, tmp_path / "pictures")
    assert result.pooled.total.rgb == SquaredError(0, 24 * 160 * 96 * 3)
    facts = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert facts["pooled"]["psnr_rgb"] == "inf"
    assert float(facts["pooled"]["mean_frame_psnr_rgb"]) == math.inf
    assert facts["pooled"]["luma_from"] == "rgb"
    assert facts["pooled"]["consistency_rms_y"] is None


def test_folders_are_matched_by_name_and_pooled_exactly(make_clip: MakeClip, tmp_path: Path) -> None:
    films = {"a": make_clip("a.mkv", codec=lossless("mkv")), "b": make_clip("b.mkv", frames=7, codec=lossless("mkv"))}
    ours, truth = tmp_path / "ours", tmp_path / "truth"
    for side in (ours, truth):
        side.mkdir()
    for name, film in films.items():
        (truth / film.name).symlink_to(film)
        ffmpeg("-i", film, "-c:v", "libx264", "-crf", 30, ours / f"{name}.mp4")
    (ours / "manifest.json").write_text("{}")
    result = score(ours, truth, low=ours, with_ssim=False)
    single = [score(ours / f"{name}.mp4", film) for name, film in films.items()]
    assert [clip.name for clip in result.clips] == ["a", "b"]
    assert [clip.total.rgb for clip in result.clips] == [other.pooled.total.rgb for other in single]
    assert result.pooled.total.rgb == single[0].pooled.total.rgb + single[1].pooled.total.rgb
    assert sum(tally.frames for tally in result.pooled.by_type.values()) == result.pooled.total.frames == 31
    assert list(result.pooled.by_type) == ["I", "P", "B"]
    (truth / "c.mkv").symlink_to(films["a"])
    with pytest.raises(InputError, match="ours has no clip named c; every folder needs the same names"):
        score(ours, truth)
    (truth / "a.mp4").symlink_to(ours / "a.mp4")
    with pytest.raises(InputError, match=r"Two clips in .*truth differ only in their suffix"):
        score(ours, truth)


@pytest.mark.parametrize(("cut", "place"), [(("-vf", "trim=start_frame=1,setpts=PTS-STARTPTS"), "first"), ((), "last")])
def test_one_frame_too_many_is_named_and_never_cut(make_clip: MakeClip, cut: tuple[str, ...], place: str) -> None:
    truth = make_clip("whole.mkv", codec=lossless("mkv"))
    short = make_clip("short.mkv", *cut, frames=23, codec=lossless("mkv"))
    with pytest.raises(InputError) as caught:
        score(short, truth)
    assert "short: The numbers of frames differ: 23 in the restored video, 24 in the reference." in str(caught.value)
    assert f"They match best without the {place} frame of the reference (inf dB against" in str(caught.value)


def test_many_frames_too_few_are_only_counted(make_clip: MakeClip) -> None:
    with pytest.raises(InputError, match=r"20 in the restored video, 24 in the reference, 22 in the input\.$"):
        score(make_clip("x.mp4", frames=20), make_clip("y.mp4"), low=make_clip("z.mp4", frames=22))


def test_different_colour_tags_are_noted(make_clip: MakeClip) -> None:
    tagged = make_clip("tagged.mp4", "-colorspace", "bt709")
    note, *others = score(make_clip("plain.mp4"), tagged, with_ssim=False).notes
    assert note.startswith("plain: the restored video is bt601 limited, the reference bt709 limited;")
    assert not others
