"""python -m subpixel.learn.megengine RECIPE.toml: `subpixel train` by MegEngine; `subpixel export` exports the run."""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from pathlib import Path

from subpixel.errors import SubpixelError, UsageError
from subpixel.learn import recipe as recipes
from subpixel.learn.lock import alone
from subpixel.learn.megengine.state import OPTIONS
from subpixel.learn.megengine.train import train
from subpixel.stop import stoppable


def main(arguments: list[str] | None = None) -> None:
    """Train by a recipe, some of whose paths are replaced by options."""
    parser = argparse.ArgumentParser(prog="python -m subpixel.learn.megengine", description=train.__doc__)
    parser.add_argument("recipe", type=Path)
    for name in ("out", "init", "teacher"):
        parser.add_argument(f"--{name}", metavar="RUN")
    parser.add_argument("--store", action="append", metavar="STORE")
    parser.add_argument("--seconds", type=float, default=math.inf, help="save and stop after so many")
    parser.add_argument("--save-seconds", type=float, default=60, help="most work that a kill may cost")
    given = parser.parse_args(arguments)
    try:
        recipe = recipes.load(given.recipe, OPTIONS)
        paths = {name: getattr(given, name) for name in ("out", "init", "teacher") if getattr(given, name)}
        paths |= {"store": tuple(given.store)} if given.store else {}
        recipe = dataclasses.replace(recipe, **paths)
        if not recipe.out:
            raise UsageError(f"{given.recipe} does not say where the run goes; add out = a folder, or --out.")
        out = Path(recipe.out)
        with alone(out, "training"), stoppable(f"the state of at most {given.save_seconds:g} s ago is kept") as stop:
            train(recipe, out, seconds=given.seconds, save_seconds=given.save_seconds, stop=stop)
    except SubpixelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
