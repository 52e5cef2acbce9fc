"""Recipes: what a file may say, and what is said about a file that may not."""

import dataclasses
from pathlib import Path

import pytest

from subpixel.errors import UsageError
from subpixel.learn import recipe as recipes
from subpixel.learn.recipe import Recipe, Stage
from subpixel.models.fast import FastOptions

ROOT = Path(__file__).parent.parent

SMALL = {"network": {"name": "fast", "channels": 8}, "stages": [{"steps": 500}, {"steps": 700, "loss": "mse"}]}


def changed(**keys: object) -> dict[str, object]:
    return {**SMALL, **keys}


def stage(**keys: object) -> dict[str, object]:
    return changed(stages=[{"steps": 500, **keys}])


def test_a_recipe_is_what_its_file_says(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(
        'store = "pairs"\nseed = 3\n[network]\nname = "fast"\nchannels = 16\n[validation]\nclips = "v"\nevery = 50\n'
        '[[stages]]\nsteps = 300\nrate = 1\n[[stages]]\nsteps = 9\nwarmup = 0\nloss = "l1"\nspace = "rgb"\n'
    )
    found = recipes.load(path)
    assert (found.network, found.options, found.store, found.seed) == ("fast", FastOptions(channels=16), ("pairs",), 3)
    assert (found.validation.clips, found.validation.every) == ("v", 50)
    assert found.stages == (Stage(300, rate=1.0), Stage(9, warmup=0, loss="l1", space="rgb"))
    assert isinstance(found.stages[0].rate, float)
    assert [found.at(s) for s in (0, 299, 300, 308, 309)] == [(0, 0), (0, 299), (1, 0), (1, 8), (1, 9)]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (changed(ratee=1), r"r\.toml: ratee = 1 is an unknown key; the keys are store, out"),
        (stage(lose="mse"), r"r\.toml, stage 1: lose = 'mse' is an unknown key; the keys are steps, batch"),
        (changed(network={"name": "fast", "widht": 4}), r"r\.toml, \[network\]: widht = 4 is an unknown key"),
        (changed(validation={"evry": 4}), r"r\.toml, \[validation\]: evry = 4 is an unknown key"),
        (stage(batch="8"), r"r\.toml, stage 1: batch must be a whole number, not '8'"),
        (stage(batch=8.0), r"stage 1: batch must be a whole number, not 8\.0"),
        (stage(batch=True), r"stage 1: batch must be a whole number, not True"),
        (stage(rate="fast"), r"stage 1: rate must be a number, not 'fast'"),
        (changed(compile="yes"), r"r\.toml: compile must be true or false, not 'yes'"),
        (changed(store=["a", 3]), r"r\.toml: store must be a list of one or more, each text in quotes, not \['a', 3\]"),
        (changed(store=[]), r"r\.toml: store must be a list of one or more, each text in quotes, not \[\]"),
        (stage(batch=0), r"stage 1: batch must be from 1 to 4096, not 0"),
        (stage(drop_state=1.5), r"stage 1: drop_state must be from 0 to 1, not 1\.5"),
        (stage(rate=float("nan")), r"stage 1: rate must be from 1e-12 to 1000, not nan"),
        (stage(crop=20), r"stage 1: crop must be a multiple of 8, not 20"),
        (stage(warmup=500), r"stage 1: warmup must be less than steps \(500\), not 500"),
        (stage(loss="huber"), r"stage 1: loss must be one of charbonnier, l1, mse, cobi, not 'huber'"),
        (stage(space="lab"), r"stage 1: space must be one of planes, rgb, not 'lab'"),
        (changed(precision="fp8"), r"precision must be one of auto, fp32, bf16, not 'fp8'"),
        (changed(network={"name": "fat"}), r"\[network\]: name must be one of fast, .*, not 'fat'"),
        (changed(network={"name": "fast", "channels": 0}), r"\[network\]: channels must be from 1 to 1e\+06, not 0"),
        (changed(network={"name": "fast", "scale": 5}), r"\[network\]: scale must be from 2 to 4, not 5"),
        (changed(network="fast"), r"network must be given as \[network\], not 'fast'"),
        (changed(stages=[]), r"stages must be given as \[\[stages\]\], not \[\]"),
        (changed(stages=[3]), r"stage 1 must be a table of keys and values, not 3"),
        (changed(stages=[{"batch": 2}]), r"stage 1: steps is missing; add steps = \.\.\."),
        (
            changed(network={"name": "fast", "unshuffle": 3}),
            r"\[network\]: unshuffle must be 2, or 1 for an even scale",
        ),
        (changed(network={"name": "fast", "unshuffle": 1, "scale": 3}), r"unshuffle must be 2, or 1 for an even scale"),
        (changed(network={"name": "best", "groups": 3}), r"channels must be a multiple of groups \(3\), not 32"),
        (changed(validation="v"), r"validation must be given as \[validation\], not 'v'"),
    ],
)
def test_what_cannot_be_used_is_named(table: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        recipes.parse(table, "r.toml")


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"The recipe '.*none\.toml' cannot be read: .*No such file"):
        recipes.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("steps = = 3")
    with pytest.raises(UsageError, match=r"bad\.toml' cannot be read: .*line 1"):
        recipes.load(tmp_path / "bad.toml")


def test_what_is_written_down_reads_back_alike(tmp_path: Path) -> None:
    recipe = recipes.parse(changed(store=["a b", 'quo"te'], out="ü", average=0.9999, compile=False), "r.toml")
    (tmp_path / "r.toml").write_text(recipes.dump(recipe), encoding="utf-8")
    assert recipes.load(tmp_path / "r.toml") == recipe


def test_what_may_change_when_a_run_goes_on() -> None:
    """Paths and stages to come may; what made the run what it is may not."""
    before: Recipe = recipes.parse(SMALL, "r.toml")
    moved = dataclasses.replace(before, store=("b",), out="c", device="cpu")
    longer = dataclasses.replace(before, stages=(*before.stages, Stage(10, warmup=0)))
    later = dataclasses.replace(before, stages=(before.stages[0], Stage(900)))
    assert [recipes.continues(before, now, step=100) for now in (moved, longer, later)] == [[], [], []]
    assert recipes.continues(before, later, step=500) == [
        "steps of stage 2 was 700 and is now 900",
        "loss of stage 2 was 'mse' and is now 'charbonnier'",
    ]
    wider = dataclasses.replace(before, options=FastOptions(channels=9), seed=1)
    assert recipes.continues(before, wider, step=0) == [
        "seed was 0 and is now 1",
        "channels of the network was 8 and is now 9",
    ]


def test_the_rate_rises_then_falls() -> None:
    s = Stage(1000, warmup=100)
    rates = [s.learning_rate(n) for n in (0, 99, 100, 550, 1000)]
    assert rates[0] == pytest.approx(s.rate / 100)
    assert rates[1] == pytest.approx(s.rate) == rates[2]
    assert rates[3] == pytest.approx(s.rate / 2, rel=1e-3)
    assert rates[4] == pytest.approx(s.final_rate)


def test_a_stage_distils_from_a_teacher_and_a_teacher_has_a_stage() -> None:
    with pytest.raises(UsageError, match="A stage distils, but there is no teacher; add teacher = "):
        recipes.check_teacher(recipes.parse(stage(distil=0.3), "r.toml"))
    with pytest.raises(UsageError, match=r"No stage learns from the teacher 'best'; add distil = 0\.3 to one"):
        recipes.check_teacher(recipes.parse(changed(teacher="best"), "r.toml"))


@pytest.mark.parametrize("path", sorted((ROOT / "runs").rglob("*.toml")), ids=lambda p: p.stem)
def test_shipped_recipes_are_recipes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if "[[stages]]" in text:
        assert recipes.load(path).steps > 0
