"""Recipes: what is allowed, what a file may say, which options the encoder gets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subpixel.degrade import Recipe
from subpixel.degrade.recipe import CODECS, KERNELS
from subpixel.errors import UsageError

SHIPPED = ["av1", "clean", "contest", "hevc", "noisy", "vp9", "web"]


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    fields: dict[str, Any] = {
        "scale": draw(st.integers(1, 16)),
        "kernel": draw(st.sampled_from(KERNELS)),
        "codec": draw(st.sampled_from([*CODECS, "none"])),
        "threads": draw(st.none() | st.integers(1, 64)),
        "noise": draw(st.floats(0, 255)),
        "blur": draw(st.floats(0, 100)),
        "seed": draw(st.integers(0, 2**63 - 1)),
    }
    if fields["codec"] != "none":
        codec = CODECS[fields["codec"]]
        fields["preset"] = draw(st.none() | st.sampled_from(codec.presets))
        rates = {
            "crf": st.floats(codec.lowest, codec.highest),
            "qp": st.integers(codec.lowest, codec.highest),
            "bitrate": st.integers(1000, 10**9),
        }
        rate = draw(st.sampled_from([None, *rates]))
        fields |= {} if rate is None else {rate: draw(rates[rate])}
    return Recipe(**fields)


def toml(recipe: Recipe) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in recipe.as_dict().items())


@given(recipe=recipes())
def test_a_recipe_survives_toml_and_json(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("recipe") / "mine.toml"
    path.write_text(toml(recipe), encoding="utf-8")
    assert Recipe.load(path) == recipe
    assert Recipe.parse(json.loads(json.dumps(recipe.as_dict()))) == recipe
    assert dataclasses.replace(recipe) == recipe


@given(recipe=recipes(), height=st.integers(2, 2000))
def test_every_recipe_is_an_encoding(recipe: Recipe, height: int) -> None:
    encoding = recipe.encoding(height)
    assert encoding.threads == 0 if recipe.codec == "none" else 1 <= encoding.threads <= 64
    assert encoding.options()


def test_the_default_is_the_contest() -> None:
    assert Recipe() == Recipe.load("contest")
    assert Recipe() == Recipe(4, "bicubic", "x264", crf=21.0, preset="slow", noise=0, blur=0)
    options = Recipe().encoding(270).options()
    options.pop("x264-params", None)
    assert options == {"crf": "21", "preset": "slow"}


def test_threads_are_those_of_ffmpeg_on_two_cores() -> None:
    assert [Recipe().encoding(height).threads for height in (36, 64, 90, 120, 270)] == [1, 2, 3, 3, 3]
    assert Recipe(threads=8).encoding(36).threads == 8


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_load(name: str) -> None:
    assert Recipe.load(name).scale in (2, 4)


def test_no_recipe_ships_untested() -> None:
    with pytest.raises(UsageError, match=", ".join(SHIPPED)):
        Recipe.load("no such recipe")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"scale": 0}, "scale must be from 1 to 16, not 0."),
        ({"scale": 2.5}, "scale must be a whole number, not 2.5."),
        ({"scale": True}, "scale must be a whole number, not True."),
        ({"kernel": "cubic"}, "kernel must be one of bicubic, bilinear, area, lanczos, neighbor, not 'cubic'."),
        ({"codec": "h264"}, "codec must be one of x264, x265, svtav1, vp9, none, not 'h264'."),
        ({"crf": "21"}, "crf must be a number, not '21'."),
        ({"crf": 52}, "crf of x264 must be from 0 to 51, not 52."),
        ({"crf": float("nan")}, "crf of x264 must be from 0 to 51, not nan."),
        ({"codec": "svtav1", "qp": 0}, "qp of svtav1 must be from 1 to 63, not 0."),
        ({"crf": 20, "qp": 20}, "crf and qp exclude each other; give one of crf, qp, bitrate."),
        ({"bitrate": 10}, "bitrate must be from 1000 to 1000000000, not 10."),
        ({"preset": "slowest"}, "preset of x264 must be one of ultrafast, .*, not 'slowest'."),
        ({"codec": "svtav1", "preset": "slow"}, "preset of svtav1 must be one of 0, 1, .*, not 'slow'."),
        ({"preset": 5}, "preset must be text in quotes, not 5."),
        ({"codec": "none", "crf": 3}, "Codec none loses nothing and takes no crf; leave it out."),
        ({"codec": "none", "preset": "slow"}, "Codec none loses nothing and takes no preset; leave it out."),
        ({"noise": -1}, "noise must be from 0 to 255, not -1."),
        ({"noise": float("inf")}, "noise must be from 0 to 255, not inf."),
        ({"blur": 1000}, "blur must be from 0 to 100, not 1000."),
        ({"threads": 0}, "threads must be from 1 to 64, not 0."),
        ({"seed": -1}, "seed must be from 0 to .*, not -1."),
    ],
)
def test_values_are_checked(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=f"^{sentence}$"):
        Recipe(**fields)


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("sclae = 4\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"mine.toml' has an unknown key 'sclae'; the keys are scale, kernel, codec"):
        Recipe.load(path)


def test_a_value_of_a_file_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("scale = 40\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"mine.toml': scale must be from 1 to 16, not 40\."):
        Recipe.load(path)


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("scale: 4\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"mine.toml' cannot be read: Expected '='"):
        Recipe.load(path)
    with pytest.raises(UsageError, match=r"other.toml' cannot be read: .*No such file"):
        Recipe.load(tmp_path / "other.toml")


def test_changing_the_codec_brings_its_own_settings() -> None:
    changed = Recipe(crf=18, preset="fast", noise=2).changed(codec="x265")
    assert (changed.crf, changed.preset, changed.noise) == (24, "slow", 2)
    assert Recipe().changed(codec="none").crf is None


def test_changing_the_rate_replaces_the_old_one() -> None:
    assert Recipe().changed(qp=30).as_dict().keys() >= {"qp", "preset"}
    assert Recipe(qp=30).changed(bitrate=50_000).qp is None
    assert Recipe(qp=30).changed(preset="fast").qp == 30
    with pytest.raises(UsageError, match="exclude each other"):
        Recipe().changed(crf=20, qp=30)
