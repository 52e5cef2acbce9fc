"""The command degrade: flags on top of a recipe, what it prints, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from conftest import MakeClip
from subpixel.cli import app
from subpixel.degrade import Recipe
from subpixel.errors import BatchError, UsageError
from subpixel.video import probe


@pytest.fixture(scope="module")
def clip(make_clip: MakeClip) -> Path:
    return make_clip("clip.mp4", size="192x128", frames=4)


def run(*arguments: object) -> str:
    """Standard output; what the command raises is raised here."""
    done = CliRunner().invoke(app, ["degrade", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def recipe_of(clip: Path, place: Path, *options: object) -> Recipe:
    report = json.loads(run(clip, "-o", place / "out.mkv", "-y", "--json", *options))
    return Recipe.parse(report["recipe"])


def test_without_options_it_is_the_contest(clip: Path, tmp_path: Path) -> None:
    printed = run(clip, "-o", tmp_path / "small.mp4")
    assert printed.startswith(f"{tmp_path / 'small.mp4'}: 4 frames, 48x32 yuv420p by x264 - core ")
    assert probe(tmp_path / "small.mp4").video.crf == 21


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ("--scale 2 --kernel area --crf 30 --preset fast --threads 1",
         {"scale": 2, "kernel": "area", "crf": 30, "preset": "fast", "threads": 1}),
        ("--qp 25 --noise 3 --blur 0.5 --seed 9", {"qp": 25, "noise": 3, "blur": 0.5, "seed": 9}),
        ("--bitrate 80k -s 1", {"bitrate": 80_000, "scale": 1}),
        ("--bitrate 1.5M", {"bitrate": 1_500_000}),
        ("--codec none", {"codec": "none"}),
    ],
)  # fmt: skip
def test_options_change_the_recipe(options: str, changes: dict[str, Any], clip: Path, tmp_path: Path) -> None:
    assert recipe_of(clip, tmp_path, *options.split()) == Recipe().changed(**changes)


def test_recipes_by_file_and_by_name(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('scale = 2\npreset = "ultrafast"\n')
    assert recipe_of(clip, tmp_path, "--recipe", tmp_path / "mine.toml") == Recipe(scale=2, preset="ultrafast")
    assert recipe_of(clip, tmp_path, "--recipe", "noisy", "--crf", "9") == Recipe.load("noisy").changed(crf=9)


def test_json_is_one_object(clip: Path, tmp_path: Path) -> None:
    report = json.loads(run(clip, "-o", tmp_path / "small.mp4", "--json"))
    assert report.keys() == {"schema_version", "recipe", "versions", "clips", "failed"}
    assert report["clips"][0]["frames"] == 4


def test_several_go_to_a_folder(clip: Path, make_clip: MakeClip, tmp_path: Path) -> None:
    other = make_clip("other.mp4", size="194x128", frames=2)
    with pytest.raises(BatchError, match=rf"^1 of 2 films failed, the others are in {tmp_path}/out\.$"):
        run(clip, other, "-o", tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [Path(done["output"]).name for done in manifest["clips"]] == ["clip.mp4"]
    assert "not divisible by 8: crop to 192x128 with --crop-to-fit" in manifest["failed"][str(other)]
    assert "the upper left 192x128 of it" in run(clip, other, "-o", tmp_path / "out", "--crop-to-fit", "-y")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--bitrate", "fast"], r"^'fast' is not a bit rate; write 800k or 1.5M\.$"),
        (["--crf", "20", "--qp", "20"], r"^crf and qp exclude each other; give one of crf, qp, bitrate\.$"),
        (["--codec", "divx"], r"^codec must be one of x264, x265, svtav1, vp9, none, not 'divx'\.$"),
        (["--recipe", "contset"], r"^There is no recipe 'contset'; name a \.toml file or one of av1, .*contest"),
    ],
)
def test_what_cannot_be_done(options: list[str], sentence: str, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence):
        run(clip, "-o", tmp_path / "small.mp4", *options)
    assert list(tmp_path.iterdir()) == []


def test_exit_codes(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "there.mp4").write_text("precious")
    for name, output, code in (
        (clip, "there.mp4", 7),
        (tmp_path / "nothing.mp4", "small.mp4", 4),
        (clip, "small.webm", 2),
    ):
        command = [sys.executable, "-m", "subpixel", "degrade", name, "-o", tmp_path / output]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith("error: ")
        assert done.stderr.endswith(".\n")
