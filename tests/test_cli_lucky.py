"""subpixel lucky: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from subpixel.cli import app
from subpixel.errors import DiskError, InputError, UsageError
from subpixel.multiframe import skies
from subpixel.multiframe.ser import write_ser


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "moon.ser"
    truth = skies.moon(96 + 2 * skies.MARGIN, 128 + 2 * skies.MARGIN, seed=2)
    write_ser(path, (np.rint(255 * frame).astype(np.uint8) for frame in skies.through_air(truth, 12)))
    return path


def run(*arguments: object) -> str:
    """What the command prints; its errors are raised."""
    result = CliRunner().invoke(app, ["lucky", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_writes_a_picture_and_says_what_it_kept(film: Path, tmp_path: Path) -> None:
    said = run(film, "-o", tmp_path / "out.tif", "--keep", "50%", "--plot", tmp_path / "plot.png")
    picture = tifffile.imread(tmp_path / "out.tif")
    assert picture.dtype == np.uint16
    height, width = picture.shape
    assert 80 <= height <= 96
    plot = cv2.imread(str(tmp_path / "plot.png"))
    assert plot is not None
    assert plot.shape == (600, 960, 3)
    for part in ("12 frames of 128x96; surface mode", "at each place the best 50%", "is the sharpest", "the air moved"):
        assert part in said
    assert f"wrote {tmp_path / 'out.tif'}, {width}x{height}" in said


def test_json_knows_every_frame(film: Path, tmp_path: Path) -> None:
    facts = json.loads(run(film, "-o", tmp_path / "a.png", "--sharpen", "wiener", "--scale", "2", "--json"))
    assert facts["schema_version"] == 1
    assert [verdict["frame"] for verdict in facts["verdicts"]] == list(range(12))
    assert facts["blur"] > 0.5
    assert sum(entry["frames"] for entry in facts["left_out"]) == sum(bool(v["why"]) for v in facts["verdicts"])
    picture = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.shape == tuple(facts["size"][::-1])
    assert picture.shape[1] > 200


def test_a_blur_can_be_given(film: Path, tmp_path: Path) -> None:
    assert "sharpened (rl) against a blur of 1.20 px" in run(
        film, "-o", tmp_path / "a.png", "--sharpen", "rl", "--blur", "1.2"
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (("--keep", "0%"), UsageError, "--keep takes a share of the frames .*; not '0%'"),
        (("--keep", "20"), UsageError, "such as 25%; not '20'"),
        (("--blur", "2"), UsageError, "add --sharpen wiener or --sharpen rl"),
        (("--blur", "much", "--sharpen", "rl"), UsageError, "--blur takes auto or a number of pixels, not 'much'"),
        (("--scale", "7"), UsageError, "scale is from 1 to 4; not 7"),
        (("--plot", "plot.gif"), UsageError, "end it in .png"),
    ],
)
def test_requests_without_sense(
    film: Path, tmp_path: Path, options: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(film, "-o", tmp_path / "a.png", *options)
    assert not list(tmp_path.iterdir())


def test_nothing_is_replaced_or_left_behind(film: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"mine")
    with pytest.raises(DiskError, match="exists already"):
        run(film, "-o", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == b"mine"
    run(film, "-o", tmp_path / "a.png", "-y")
    cut = tmp_path / "cut.ser"
    cut.write_bytes(film.read_bytes()[:-100])
    with pytest.raises(InputError, match="is cut off: its header promises 12 frames, the file holds 11"):
        run(cut, "-o", tmp_path / "b.png", "--plot", tmp_path / "c.png")
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "cut.ser"}


def test_warnings_go_to_standard_error(tmp_path: Path, film: Path) -> None:
    frames = [np.zeros((40, 50), np.uint8)] * 3 + [np.full((40, 50), 9, np.uint8)]
    write_ser(tmp_path / "dark.ser", frames)
    with pytest.raises(InputError, match="4 of one brightness everywhere"):
        run(tmp_path / "dark.ser", "-o", tmp_path / "a.png")
    result = CliRunner().invoke(app, ["lucky", str(film), "-o", str(tmp_path / "a.png"), "--keep", "10%"])
    assert "warning: Each place is the mean of 3 frames only" in result.stderr
    assert "warning:" not in result.stdout


def test_made_up_skies_are_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jupiter.ser"
    options = ["--planet", "--frames", "8", "--size", "120x100", "--bits", "12"]
    monkeypatch.setattr("sys.argv", ["skies", str(path), *options])
    skies._main()
    said = run(path, "-o", tmp_path / "a.png", "--keep", "100%")
    assert "SER, 12 bits, RGB, 8 frames of 120x100, 0.2 s; planet mode" in said
    assert "off green, moved onto it" in said
