"""A recipe with fewer steps, or so small that a CPU does it in seconds.

python runs/gpu/shorter.py RECIPE.toml -o OUT.toml [--share 0.1] [--toy] [--no-compile]
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from subpixel.learn import recipe as recipes
from subpixel.learn.recipe import Recipe, Stage, Validation

# Of whatever of these a network's options have.
TOY = {"channels": 8, "blocks": 1, "back_blocks": 1, "flow_channels": 4}


def shorter(recipe: Recipe, share: float) -> Recipe:
    """The same recipe with that share of every stage's steps and of its warm-up, and validations as much closer."""

    def part(steps: int) -> int:
        return max(1, round(steps * share))

    stages = (dataclasses.replace(s, steps=part(s.steps), warmup=int(s.warmup * share)) for s in recipe.stages)
    seen = dataclasses.replace(recipe.validation, every=part(recipe.validation.every))
    return dataclasses.replace(recipe, stages=tuple(stages), validation=seen)


def toy(recipe: Recipe, steps: int = 12) -> Recipe:
    """The same stages with a small network on small crops."""

    def small(s: Stage) -> Stage:
        return dataclasses.replace(s, steps=steps, batch=2, frames=2, crop=16, windows=2, warmup=2, long_frames=4)

    options = {k: v for k, v in TOY.items() if k in {f.name for f in dataclasses.fields(recipe.options)}}
    return dataclasses.replace(
        recipe,
        options=dataclasses.replace(recipe.options, **options),
        stages=tuple(small(s) for s in recipe.stages),
        validation=Validation(recipe.validation.clips, every=steps, first=2),
    )


def main() -> None:
    """Command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--no-compile", action="store_true", help="where there is no C compiler")
    given = parser.parse_args()
    recipe = shorter(recipes.load(given.recipe), given.share)
    recipe = dataclasses.replace(recipe, compile=recipe.compile and not given.no_compile)
    given.output.write_text(recipes.dump(toy(recipe) if given.toy else recipe), encoding="utf-8")


if __name__ == "__main__":
    main()
