"""subpixel register: what it prints and writes, and what it says of bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from moved import about_middle, moved, photograph, shifted
from subpixel import pictures
from subpixel.cli import app
from subpixel.errors import DiskError, InputError, SubpixelError, UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a.png; b.png, the same 2.5 to the right and 1.25 up; c.png, turned; small.png, flat.png."""
    place = tmp_path_factory.mktemp("register")
    sharp = photograph()[:320, :384]
    a, b = shifted(sharp, 2.5, -1.25)
    _, c = moved(sharp, about_middle((160, 192), turn=4))
    for name, samples in {"a": a, "b": b, "c": c, "small": a[:100], "flat": a * 0 + 9}.items():
        pictures.save(place / f"{name}.png", samples, bits=8)
    return place


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["register", *map(str, arguments)])


def refused(*arguments: object) -> SubpixelError:
    error = run(*arguments).exception
    assert isinstance(error, SubpixelError)
    return error


def test_shifts_are_printed_for_every_picture(folder: Path) -> None:
    done = run(folder / "a.png", folder / "b.png", folder / "a.png")
    one, two = done.stdout.splitlines()
    assert one.startswith(f"{folder / 'b.png'}: x +2.")
    assert ", y -1.2" in one
    assert "predicted error 0.00" in one
    assert "seen in both" in one
    assert "x +0.0000, y +0.0000 pixels" in two.replace("-0.0000", "+0.0000")


def test_json_has_the_matrix_and_the_error(folder: Path) -> None:
    done = run(folder / "a.png", folder / "c.png", "--model", "euclidean", "--json")
    (found,) = json.loads(done.stdout)["pictures"]
    assert found["model"] == "euclidean"
    assert np.rad2deg(np.arctan2(found["matrix"][1][0], found["matrix"][0][0])) == pytest.approx(4, abs=0.01)
    assert 0 < found["rmse"] < 0.01
    assert found["warning"] == ""
    assert "pixels, turned by +" in run(folder / "a.png", folder / "c.png", "--model", "euclidean").stdout


def test_a_flow_and_gain_are_told(folder: Path) -> None:
    done = run(folder / "a.png", folder / "b.png", "--model", "flow", "--photometric", "--json")
    (found,) = json.loads(done.stdout)["pictures"]
    assert found["shift"] == pytest.approx([2.5, -1.25], abs=0.1)
    assert found["farthest"] > 2.5
    assert found["gain"] == pytest.approx(1, abs=0.02)
    words = run(folder / "a.png", folder / "b.png", "--model", "flow", "--photometric").stdout
    assert "in the mean" in words
    assert "gain " in words


def test_pictures_of_different_depths_are_compared_as_shares_of_white(folder: Path, tmp_path: Path) -> None:
    b = pictures.load(folder / "b.png").data
    pictures.save(tmp_path / "b16.png", b, bits=16)
    pictures.save(tmp_path / "float.tif", b, bits=32)
    done = run(folder / "a.png", folder / "b.png", tmp_path / "b16.png", tmp_path / "float.tif", "--json")
    plain, *others = (row["shift"] for row in json.loads(done.stdout)["pictures"])
    assert all(shift == pytest.approx(plain, abs=1e-3) for shift in others)


def test_the_moving_picture_is_written_on_the_references_grid(folder: Path, tmp_path: Path) -> None:
    out, plot = tmp_path / "b on a.tif", tmp_path / "plot.png"
    run(folder / "a.png", folder / "b.png", "-o", out, "--plot", plot)
    reference, aligned = (pictures.load(p).data for p in (folder / "a.png", out))
    inner = (slice(8, -8),) * 2
    assert np.abs(reference - aligned)[inner].mean() < 0.02
    shown = pictures.load(plot).data
    assert shown.shape == (160, 192 * 2 + 4)
    before, after = shown[8:-8, 8:184], shown[8:-8, 204:380]
    assert after.std() < 0.5 * before.std()
    error = refused(folder / "a.png", folder / "b.png", "-o", out)
    assert isinstance(error, DiskError)
    assert run(folder / "a.png", folder / "b.png", "-o", out, "-y").exit_code == 0


def test_a_mask_is_a_picture(folder: Path, tmp_path: Path) -> None:
    white = np.zeros((160, 192), np.uint8)
    white[:, :96] = 255
    pictures.save(tmp_path / "mask.png", white, bits=8)
    done = run(folder / "a.png", folder / "b.png", "--mask", tmp_path / "mask.png", "--json")
    assert json.loads(done.stdout)["pictures"][0]["shift"] == pytest.approx([2.5, -1.25], abs=0.02)


def test_uncertainty_is_warned_of(folder: Path) -> None:
    done = run(folder / "a.png", folder / "b.png", "--method", "peak")
    error = float(done.stdout.split("predicted error ")[1].split()[0])
    assert ("The predicted error of this motion is" in done.stderr) == (error > 0.1)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("a.png",), InputError, "gives 1 picture; at least 2"),
        (("a.png", "small.png"), InputError, "192x100 grey"),
        (("a.png", "flat.png"), InputError, "flat.png: The moving picture is featureless: all its samples are 9"),
        (("a.png", "none.png"), InputError, "none.png' cannot be read"),
        (("a.png", "b.png", "c.png", "-o", "out.png"), UsageError, "take one moving picture, not 2"),
        (("a.png", "b.png", "--plot", "out.gif"), UsageError, "names no picture that can be written"),
        (("a.png", "b.png", "--model", "flow", "--method", "phase"), UsageError, "finds a shift only"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    folder: Path, arguments: tuple[str, ...], kind: type[SubpixelError], message: str
) -> None:
    before = sorted(folder.iterdir())
    options = {"-o", "--plot", "--model", "--method", "flow", "phase"}
    error = refused(*(a if a in options else folder / a for a in arguments))
    assert isinstance(error, kind)
    assert message in str(error)
    assert sorted(folder.iterdir()) == before
