"""Finding, checking and refusing network files."""

import json
import shutil
from pathlib import Path

import pytest

from subpixel import weights
from subpixel.errors import WeightsError


def test_every_shipped_network_is_the_one_its_card_describes() -> None:
    shipped = weights.shipped()
    assert ("fast", 4) in [(w.name, w.scale) for w in shipped]
    for one in shipped:
        weights.check(one)
        assert one.card["parameters"] > 1000
        assert one.card["training"]["steps"] > 0


def test_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(WeightsError, match=r"no network 'slow'; there are: best, fast\."):
        weights.load("slow", 4)


def test_unknown_scale_lists_what_there_is() -> None:
    with pytest.raises(WeightsError, match="for scale 4, not 7; use that, or --model lanczos"):
        weights.load("fast", 7)


def copied(folder: Path) -> Path:
    source = weights.load("fast", 4)
    shutil.copy(source.path.with_suffix(".json"), folder / "mine.json")
    shutil.copy(source.path, folder / source.path.name)
    return folder / "mine.onnx"


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = copied(tmp_path)
    assert weights.load(str(path), 4).card == weights.load("fast", 4).card
    with pytest.raises(WeightsError, match="enlarges by 4, not by 2; use --scale 4"):
        weights.load(str(path), 2)


def test_altered_file_is_refused(tmp_path: Path) -> None:
    path = copied(tmp_path)
    network = tmp_path / weights.load("fast", 4).path.name
    network.write_bytes(network.read_bytes()[:-1] + b"!")
    with pytest.raises(WeightsError, match="is not the one its card describes: SHA-256"):
        weights.load(str(path), 4)


def test_missing_file_is_named(tmp_path: Path) -> None:
    path = copied(tmp_path)
    (tmp_path / weights.load("fast", 4).path.name).unlink()
    with pytest.raises(WeightsError, match=r"fast-x4\.onnx is missing"):
        weights.load(str(path), 4)


@pytest.mark.parametrize("card", ["", "[]", "{}", json.dumps({"name": "a", "scale": "x", "file": "b"})])
def test_a_card_that_is_none(tmp_path: Path, card: str) -> None:
    (tmp_path / "bad.json").write_text(card)
    with pytest.raises(WeightsError, match=r"The card .*bad\.json cannot be read"):
        weights.load(str(tmp_path / "bad.onnx"), 4)


@pytest.mark.parametrize("name", ["model.pth", "a/b.ckpt", "net.pt"])
def test_pickles_and_other_files_are_refused(name: str) -> None:
    with pytest.raises(WeightsError, match=r"only \.safetensors, and \.onnx files with their \.json card can, because"):
        weights.load(name, 4)
