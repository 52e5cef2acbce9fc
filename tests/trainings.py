"""Small runs for tests of the trainer."""

import json
from pathlib import Path
from typing import Any

import torch

from subpixel.learn import recipe as recipes
from subpixel.learn.recipe import Recipe
from subpixel.learn.team import Team

ALONE = Team(0, 1, torch.device("cpu"))
TINY = {"batch": 2, "frames": 2, "crop": 16, "warmup": 2}


def recipe(store: Path, *stages: dict[str, Any], network: dict[str, Any] | None = None, **keys: Any) -> Recipe:
    table = {
        "store": str(store),
        "network": network or {"name": "fast", "channels": 8, "blocks": 1},
        "stages": [{**TINY, **stage} for stage in stages],
    }
    return recipes.parse({**table, **keys}, "r.toml")


def log(run: Path, event: str = "train") -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]
