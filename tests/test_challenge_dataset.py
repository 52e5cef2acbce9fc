"""From videos to a contest, from restored clips to a hand-in, by functions and by the command."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from conftest import MakeClip
from hostile import RULES, manifest, pictures
from subpixel import color, video
from subpixel.challenge.dataset import Options, build
from subpixel.challenge.manifest import Manifest
from subpixel.challenge.pack import pack
from subpixel.challenge.score import judge
from subpixel.cli import app
from subpixel.degrade import degrade
from subpixel.errors import DiskError, InputError, SubpixelError, UsageError
from subpixel.metrics import score
from subpixel.video.image import encode_image


def run(*arguments: object) -> str:
    """Standard output of `subpixel challenge`; what the command raises is raised here."""
    done = CliRunner().invoke(app, ["challenge", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def films(make_clip: MakeClip) -> list[Path]:
    return [
        make_clip("walrus.mp4", "-metadata", "title=Secret", frames=6),
        make_clip("ostrich.mkv", frames=6, picture="testsrc"),
    ]


@pytest.fixture(scope="module")
def contest(films: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "contest"
    printed = run("dataset", *films, "-o", folder, "--baseline", "bicubic", "--seed", 1)
    assert printed.startswith(f"{folder}/public: for everyone; 1 test clip of 6 frames, round preliminary")
    return folder


def test_a_contest_holds_what_it_needs_and_gives_nothing_away(contest: Path, films: list[Path], tmp_path: Path) -> None:
    (clip,) = Manifest.load(contest / "public").clips
    sources = dict(line.split("\t") for line in (contest / "truth" / "sources.txt").read_text().splitlines())
    source = Path(sources[clip.name])
    low = contest / "public" / clip.file
    assert {Path(path) for path in sources.values()} == set(films)
    assert (clip.name, clip.frames, clip.size) == ("01", 6, "160x96")
    assert clip.sha256 == hashlib.sha256(low.read_bytes()).hexdigest()
    truth = np.fromfile(contest / "truth" / "01.rgb", np.uint8).reshape(6, 96, 160, 3)
    assert all((color.to_rgb(f) == t).all() for f, t in zip(video.read(source, codec_info=False), truth, strict=True))
    degrade(source, tmp_path / "low.mp4")
    assert all(
        (ours.planes[0] == theirs.planes[0]).all()
        for ours, theirs in zip(video.read(low), video.read(tmp_path / "low.mp4"), strict=True)
    )
    public = [path for path in (contest / "public").rglob("*") if path.is_file()]
    hidden = source.stem.encode(), b"Secret"
    assert not [path for path in public if "train" not in path.parts and any(w in path.read_bytes() for w in hidden)]
    other = next(path for path in films if path != source)
    assert (contest / "public" / "train" / "hr" / f"00{other.suffix}").read_bytes() == other.read_bytes()
    assert (contest / "truth").stat().st_mode & 0o077 == 0


def test_the_baseline_is_a_valid_answer(contest: Path, tmp_path: Path) -> None:
    data, answer = contest / "public", contest / "public" / "baseline.tar"
    assert run("validate", answer, "--data", data) == f"{answer} is valid: 1 clip, 6 frames.\n"
    report = json.loads(
        run("score", answer, "--data", data, "--truth", contest / "truth", "--json", "-o", tmp_path / "r")
    )
    assert json.loads((tmp_path / "r").read_text()) == report
    assert report["valid"]
    assert 15 < report["psnr"] < 40
    assert report["n"] == 6 * 96 * 160 * 3


def test_frames_packed_by_the_command_score_as_the_score_command_says(contest: Path, tmp_path: Path) -> None:
    data = contest / "public"
    source = Path((contest / "truth" / "sources.txt").read_text().splitlines()[1].split("\t")[1])
    soft = [color.to_rgb(frame) // 2 * 2 for frame in video.read(source, codec_info=False)]
    (tmp_path / "mine" / "01").mkdir(parents=True)
    for number, picture in enumerate(soft):  # from nought, and not in the order of the alphabet
        (tmp_path / "mine" / "01" / f"frame{number + 8}.png").write_bytes(encode_image(picture))
    printed = run("pack", tmp_path / "mine", "-o", tmp_path / "a.tar", "--data", data)
    assert "now run `subpixel challenge validate" in printed
    expected = score(tmp_path / "mine" / "01", source, with_ssim=False).pooled.total.rgb
    printed = run("score", tmp_path / "a.tar", "--data", data, "--truth", contest / "truth")
    assert printed.splitlines()[1] == f"PSNR {expected.psnr:.4f} dB (sse {expected.sse}, n {expected.n})"
    again = tmp_path / "b.tar"
    run("pack", tmp_path / "mine", "-o", again, "--data", data)
    assert again.read_bytes() == (tmp_path / "a.tar").read_bytes()
    with pytest.raises(DiskError, match=r"a.tar exists; choose another output or overwrite it with -y"):
        run("pack", tmp_path / "mine", "-o", tmp_path / "a.tar", "--data", data)


def test_what_is_wrong_is_printed_and_ends_with_an_error(contest: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"\x1f\x8b" + bytes(600))
    done = CliRunner().invoke(
        app, ["challenge", "validate", str(tmp_path / "a.tar"), "--data", str(contest / "public")]
    )
    assert done.stdout == "compressed: The file is gzip, not tar; hand in the bare tar, which is not compressed.\n"
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == f"{tmp_path / 'a.tar'} is not valid: 1 problem."


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (Options(test=3), UsageError, "3 test clips cannot be taken from 2 videos"),
        (Options(round="third"), UsageError, "has no round 'third'"),
        (Options(rules="mine"), UsageError, "There are no rules 'mine'"),
    ],
)
def test_options_that_make_no_sense_leave_nothing_behind(
    films: list[Path], tmp_path: Path, options: Options, error: type[SubpixelError], words: str
) -> None:
    with pytest.raises(error, match=words):
        build(films, tmp_path / "contest", options)
    assert list(tmp_path.iterdir()) == []


def test_sources_that_cannot_be_used_leave_nothing_behind(
    films: list[Path], make_clip: MakeClip, tmp_path: Path
) -> None:
    odd = make_clip("odd.mp4", size="90x50", frames=3)
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"no film" * 99)
    link, copy = tmp_path / "link.mp4", tmp_path / "copy.mp4"
    link.symlink_to(films[0])
    copy.write_bytes(films[0].read_bytes())
    for sources, error, words in (
        ([films[0], films[0]], UsageError, "named twice"),
        ([films[0], link], UsageError, f"named twice, as {films[0]} and {link}; a clip must not"),
        ([films[0], copy], UsageError, f"named twice, as {films[0]} and {copy}; a clip must not"),
        ([odd], UsageError, "not divisible by 8: crop to 88x48 with --crop-to-fit"),
        ([junk], InputError, "cannot be read"),
        ([tmp_path / "empty"], InputError, "holds no videos"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(error, match=words):
            build(sources, tmp_path / "contest")
    with pytest.raises(DiskError, match="exists; choose another folder"):
        build(films, tmp_path / "empty")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.mp4", "empty", "junk.mp4", "link.mp4"]


def test_odd_sizes_are_cropped_on_both_sides(make_clip: MakeClip, tmp_path: Path) -> None:
    sources = [make_clip(f"odd{number}.mp4", size="90x50", frames=3, rate=f"{24 + number}") for number in (0, 1)]
    made = build(sources, tmp_path / "contest", Options(crop_to_fit=True, baseline=""))
    assert made.clips[0].size == "88x48"
    (sharp,) = (tmp_path / "contest" / "public" / "train" / "hr").iterdir()
    shown = list(video.read(sharp))
    assert (shown[0].width, shown[0].height, shown[0].pts) == (88, 48, 0)
    assert len(shown) == 3


# ---- packing


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_what_is_packed_is_valid(
    tmp_path_factory: pytest.TempPathFactory, count: int, width: int, height: int, first: int
) -> None:
    folder = tmp_path_factory.mktemp("answer")
    (folder / "a-1").mkdir()
    for number, picture in enumerate(pictures(count, first, width, height)):
        (folder / "a-1" / f"{first + number}.png").write_bytes(encode_image(picture))
    asked = manifest("a-1", frames=count, width=width, height=height)
    pack(folder, asked, RULES, folder / "a.tar")
    assert judge(folder / "a.tar", asked, RULES).problems == ()


def test_incomplete_answers_are_not_packed(tmp_path: Path) -> None:
    asked = manifest("90")
    with pytest.raises(InputError, match=r"holds no answer for clip 90; it needs 90.mp4, .mkv or a folder"):
        pack(tmp_path, asked, RULES, tmp_path / "a.tar")
    (tmp_path / "90").mkdir()
    (tmp_path / "90" / "1.png").write_bytes(b"x")
    with pytest.raises(InputError, match="holds 1 PNG files; clip 90 has 3 frames"):
        pack(tmp_path, asked, RULES, tmp_path / "a.tar")
    (tmp_path / "90" / "one.png").write_bytes(b"x")
    with pytest.raises(InputError, match="has no number in its name"):
        pack(tmp_path, asked, RULES, tmp_path / "a.tar")
    (tmp_path / "90.mp4").write_bytes(b"x")
    with pytest.raises(InputError, match=r"holds 90.mp4 and 90 for clip 90"):
        pack(tmp_path, asked, RULES, tmp_path / "a.tar")
    assert not (tmp_path / "a.tar").exists()
