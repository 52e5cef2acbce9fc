"""A store made of zoom pairs: what `clips check` says of it, what is trained on it, what is rejected and named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data

from subpixel import pictures
from subpixel.cli import main
from subpixel.errors import DiskError, InputError, UsageError
from subpixel.learn import recipe as recipes
from subpixel.learn import zoom
from subpixel.learn.check import check
from subpixel.learn.store import Store
from subpixel.learn.train import train
from zoomed import zoomed


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tele/a.png, wide/a.png that fit; coffee.png that shows something else."""
    folder = tmp_path_factory.mktemp("photos")
    made = zoomed()
    for side in ("tele", "wide"):
        (folder / side).mkdir()
        pictures.save(folder / side / "a.png", getattr(made, side), bits=8)
    pictures.save(folder / "coffee.png", skimage.data.coffee()[::4, ::4], bits=8)
    return folder


@pytest.fixture(scope="module")
def built(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[zoom.Outcome]]:
    store = tmp_path_factory.mktemp("zoom") / "store"
    given = [*zoom.couples([photos / "tele", photos / "wide"]), (photos / "coffee.png", photos / "wide" / "a.png")]
    return store, zoom.build(given, store, crop=40)


def test_what_fits_is_cut_into_clips_and_the_rest_is_named(built: tuple[Path, list[zoom.Outcome]]) -> None:
    store, (good, bad) = built
    assert (good.tele, good.wide, good.reason, good.clips) == ("a.png", "a.png", "", 4)
    assert good.zoom == pytest.approx(4.03, abs=0.02)
    assert good.error < 0.05
    assert good.alike == 1
    assert (bad.tele, bad.clips) == ("coffee.png", 0)
    assert bad.reason.startswith("no part in common")
    said = json.loads((store / zoom.REPORT).read_text())
    assert [pair["reason"] for pair in said] == [good.reason, bad.reason]


def test_the_store_is_one_that_passes_its_check(built: tuple[Path, list[zoom.Outcome]]) -> None:
    store, _ = built
    assert check(store) == []
    opened = Store(store)
    assert opened.scale == 4
    assert {tuple(clip.arrays["hr_y"].shape) for clip in opened.clips} == {(1, 160, 160)}
    facts = opened.clips[0].facts
    assert (facts["source"], facts["wide"], facts["treatment"], facts["crf"]) == ("a.png", "a.png", "zoom", 0)


def test_it_is_trained_on_by_every_loss(built: tuple[Path, list[zoom.Outcome]], tmp_path: Path) -> None:
    stage = {"steps": 3, "batch": 1, "frames": 1, "windows": 1, "crop": 16, "warmup": 0}
    network = {"name": "fast", "channels": 8, "blocks": 1, "recurrent": False, "look_ahead": False, "qp": False}
    ways = [{"loss": "l1", "align": True}, {"loss": "cobi"}]
    table = {"store": str(built[0]), "network": network, "stages": [stage | way for way in ways], "report": 1}
    run = train(recipes.parse(table, "r.toml"), tmp_path)
    assert run.step == 6
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["main"]) for line in lines)


def test_low_confidence_is_a_warning() -> None:
    unsure = zoom.Outcome("a.png", "b.png", clips=3, error=0.47)
    assert unsure.warning == "a.png, b.png: how they lie is sure to 0.47 HR pixels only."
    assert zoom.Outcome("a.png", "b.png", clips=3, error=0.3).warning == ""


def test_names_without_counterpart(photos: Path, tmp_path: Path) -> None:
    lone = tmp_path / "lone"
    lone.mkdir()
    (lone / "b.png").write_bytes((photos / "coffee.png").read_bytes())
    with pytest.raises(UsageError, match="a, b is in one of the two folders only; give both pictures the same name"):
        zoom.couples([photos / "tele", lone])
    with pytest.raises(UsageError, match=r"Give TELE WIDE \[TELE WIDE \.\.\.\], or two folders"):
        zoom.couples([photos / "coffee.png"])


def test_nothing_is_written_where_no_pair_is_kept(photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with pytest.raises(InputError, match=r"No pair was kept\. coffee\.png, a\.png: no part in common"):
        zoom.build([(photos / "coffee.png", photos / "wide" / "a.png")], store)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"bad\.png.* is no PNG, TIFF or JPEG picture"):
        zoom.build([(tmp_path / "bad.png", photos / "wide" / "a.png")], store)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.png"]


def test_too_large_crops_leave_nothing(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no 200x200 pixels of the common \d+x\d+ fit throughout"):
        zoom.build(zoom.couples([photos / "tele", photos / "wide"]), tmp_path / "store", crop=200)


def test_an_existing_folder_is_kept(photos: Path, tmp_path: Path) -> None:
    couples = zoom.couples([photos / "tele", photos / "wide"])
    for overwrite in (False, True):  # it holds no store, so -y does not help either
        with pytest.raises(DiskError, match="exists already; add -y to replace a store, or choose another folder"):
            zoom.build(couples, tmp_path, overwrite=overwrite)


def test_the_command_reports_and_ends_with_3_where_some_failed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    couple, other = [photos / "tele" / "a.png", photos / "wide" / "a.png"], [photos / "coffee.png"]
    arguments: list[Any] = ["subpixel", "pairs", *couple, *other, couple[1], "-o", store, "--crop", "40", "--no-warp"]
    monkeypatch.setattr("sys.argv", list(map(str, arguments)))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    said = capsys.readouterr()
    assert "a.png, a.png: zoom 4.0" in said.out
    assert "rejected: coffee.png, a.png: no part in common" in said.err
    assert "error: 1 of 2 pairs were rejected; the clips of the others are in" in said.err
    assert check(store) == []
