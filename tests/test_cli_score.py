"""The commands score and compare as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from conftest import MakeClip
from subpixel.cli import score as commands
from subpixel.errors import InputError, UsageError

app = typer.Typer()
app.command()(commands.score)
app.command()(commands.compare)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "120"}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def pair(make_clip: MakeClip) -> tuple[Path, Path]:
    return make_clip("ours.mp4", frames=6), make_clip("truth.mkv", frames=6, codec=("-c:v", "ffv1"))


def test_score_prints_a_table(pair: tuple[Path, Path]) -> None:
    head, ours, *types = run("score", *pair, "--input", pair[0]).splitlines()
    assert head.split() == ["frames", "PSNR", "RGB", "mean", "PSNR", "Y", "SSIM", "Y", "temporal", "consistency"]
    name, frames, *numbers = ours.split()
    assert (name, frames, len(numbers)) == ("ours", "6", 6)
    assert 20 < float(numbers[0]) < 60
    assert [line.split()[0] for line in types] == ["I", "P", "B"]


def test_score_prints_one_json_object(pair: tuple[Path, Path]) -> None:
    facts = json.loads(run("score", *pair, "--json", "--no-ssim"))
    assert facts["schema_version"] == 1
    assert facts["pooled"]["frames"] == 6
    assert facts["pooled"]["n_rgb"] == 6 * 160 * 96 * 3
    assert facts["pooled"]["ssim_y"] is None
    assert json.loads(run("score", pair[1], pair[1], "--json"))["clips"][0]["psnr_rgb"] == "inf"


def test_score_pools_folders(pair: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("a.mkv", "b.mkv"):
        (tmp_path / name).symlink_to(pair[1])
    lines = run("score", tmp_path, tmp_path, "--no-ssim").splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [["a", "6", "inf"], ["b", "6", "inf"], ["pooled", "12", "inf"]]


def test_missing_inputs_are_refused(pair: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match=r"gone\.mp4' cannot be read: there is no such file"):
        run("score", "gone.mp4", pair[1])


def test_compare_writes_the_page_once(pair: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    said = run("compare", *pair, "-o", page, "--frames", 2, "--crop", "32x20+8+4", "--size", "1M")
    assert said.startswith(f"{page}: 0.")
    assert '"crop":{"width":32,"height":20,"x":8,"y":4}' in page.read_text()
    with pytest.raises(UsageError, match=r"report\.html exists; add -y to replace it"):
        run("compare", *pair, "-o", page)
    run("compare", *pair, "-o", page, "-y", "--frames", 1)


def test_compare_explains_a_crop_it_cannot_read(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"'32x20' is not a crop; write width, height, left and top as 640x360\+100\+50"
    ):
        run("compare", *pair, "-o", tmp_path / "page.html", "--crop", "32x20")
