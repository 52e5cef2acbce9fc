"""Recipe: how a network is trained, as frozen dataclasses that a TOML file fills."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from subpixel.errors import UsageError

LOSSES = ("charbonnier", "l1", "mse", "cobi")
SPACES = ("planes", "rgb")
PRECISIONS = ("auto", "fp32", "bf16")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One part of a run: `steps` optimiser steps with a warm-up and a cosine of their own.

    Each sees `batch` crops of crop x crop LR pixels over `frames` frames. 1 to `windows` successive steps follow each
    other in time and hand the hidden state on; a share `long` of these sequences lasts `long_frames` frames instead.
    loss: charbonnier, l1, mse or cobi, taken on the planes or in rgb (space). align: warp the target onto what the
    input shows before the loss is taken. auxiliary, warp, distil: weights of the loss of the auxiliary heads, of the
    photometric loss of the flows, of the distance from the teacher's output.
    drop_state, drop_codec: chance, for each step, to forget the hidden state and to hide what the codec told.
    clip: largest norm of the gradient. frozen: layers whose names begin so are not changed.
    """

    steps: int
    batch: int = 8
    frames: int = 7
    crop: int = 64
    windows: int = 3
    long: float = 0.0
    long_frames: int = 100
    loss: str = "charbonnier"
    space: str = "planes"
    align: bool = False
    rate: float = 1e-3
    final_rate: float = 1e-7
    warmup: int = 200
    auxiliary: float = 0.0
    warp: float = 0.0
    distil: float = 0.0
    drop_state: float = 0.05
    drop_codec: float = 0.05
    clip: float = 0.5
    frozen: str = ""

    def learning_rate(self, step: int) -> float:
        """Of the stage's step 0, 1, ...: linear warm-up, then half a cosine (Loshchilov & Hutter, ICLR 2017)."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        phase = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.final_rate + (self.rate - self.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, phase)))


@dataclasses.dataclass(frozen=True)
class Validation:
    """What is restored and scored while training.

    clips: a store, or a folder of films; nothing is validated without. every: steps between two validations.
    first: how many frames of each clip, 0 for all.
    """

    clips: str = ""
    every: int = 2000
    first: int = 0


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One training run, whole.

    network, options: the name in MODELS and its options. store: folders of training pairs. out: the run's folder.
    init: a run or a network whose weights to start from. teacher: the same, to distil from. average: decay of the
    moving average of the weights, which is what gets validated and exported. report: steps between two lines of the
    log. device: auto, cpu, cuda or cuda:N. precision: fp32 or bf16; auto is bf16 on a GPU. compile: let torch compile
    the network's step on a GPU.
    """

    network: str
    options: Any
    stages: tuple[Stage, ...]
    store: tuple[str, ...] = ()
    validation: Validation = Validation()
    out: str = ""
    init: str = ""
    teacher: str = ""
    seed: int = 0
    average: float = 0.999
    report: int = 100
    device: str = "auto"
    precision: str = "auto"
    compile: bool = True

    @property
    def steps(self) -> int:
        """Of all stages together."""
        return sum(stage.steps for stage in self.stages)

    def at(self, step: int) -> tuple[int, int]:
        """(index of the stage, step within it) of a step of the run; after the last one the end of the last stage."""
        for index, stage in enumerate(self.stages):
            if step < stage.steps:
                return index, step
            step -= stage.steps
        return len(self.stages) - 1, self.stages[-1].steps


# Lowest and highest value of a key; whole numbers that are not here (a network's options) are at least 1.
_RANGES: dict[str, tuple[float, float]] = {
    "steps": (1, 10**9), "batch": (1, 4096), "frames": (1, 1000), "crop": (8, 4096), "windows": (1, 1000),
    "long": (0, 1), "long_frames": (1, 10000), "rate": (1e-12, 1000), "final_rate": (0, 1000), "warmup": (0, 10**9),
    "auxiliary": (0, 1000), "warp": (0, 1000), "distil": (0, 1000), "drop_state": (0, 1), "drop_codec": (0, 1),
    "clip": (1e-9, 1e9), "every": (1, 10**9), "report": (1, 10**9), "first": (0, 10**9),
    "seed": (0, 2**63 - 1), "average": (0, 1), "scale": (2, 4),
}  # fmt: skip
_CHOICES = {"loss": LOSSES, "space": SPACES, "precision": PRECISIONS}
_KINDS = {"int": "a whole number", "float": "a number", "str": "text in quotes", "bool": "true or false"}
_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def load(path: str | Path, networks: Mapping[str, type] | None = None) -> Recipe:
    """The recipe of a TOML file; raises UsageError for a file, key or value that cannot be used.

    networks: the options class of every network by name; those of MODELS by default.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"The recipe {str(path)!r} cannot be read: {error}.") from error
    return parse(table, str(path), networks)


def parse(table: Mapping[str, Any], origin: str, networks: Mapping[str, type] | None = None) -> Recipe:
    """A recipe from the tables of a TOML file; `origin` names it in messages. As `load`."""
    table = dict(table)
    for key, kind, form in (("network", Mapping, "[network]"), ("stages", list, "[[stages]]")):
        if not table.get(key) or not isinstance(table[key], kind):
            raise UsageError(f"{origin}: {key} must be given as {form}, not {table.get(key)!r}.")
    stages = tuple(_filled(Stage, s, f"{origin}, stage {n}", "steps") for n, s in enumerate(table.pop("stages"), 1))
    network, options = _network(dict(table.pop("network")), f"{origin}, [network]", networks)
    validation = table.pop("validation", {})
    if not isinstance(validation, Mapping):
        raise UsageError(f"{origin}: validation must be given as [validation], not {validation!r}.")
    if isinstance(table.get("store"), str):
        table["store"] = [table["store"]]
    fixed = {
        "network": network,
        "options": options,
        "stages": stages,
        "validation": _filled(Validation, validation, f"{origin}, [validation]"),
    }
    recipe: Recipe = _filled(Recipe, table, origin, **fixed)
    _check_stages(recipe, origin)
    return recipe


def dump(recipe: Recipe) -> str:
    """The recipe as TOML with every default spelt out, as `load` reads it."""
    tables = [("", recipe), ("[network]", recipe.options), ("[validation]", recipe.validation)]
    tables += [("[[stages]]", stage) for stage in recipe.stages]
    parts = []
    for title, table in tables:
        lines = [title] if title else []
        lines += [f"name = {json.dumps(recipe.network)}"] if title == "[network]" else []
        fields = {f.name: getattr(table, f.name) for f in dataclasses.fields(table)}
        apart = ("network", "options", "stages", "validation") if table is recipe else ()
        # JSON writes text, numbers, lists and truth as TOML does; an empty list of stores is left out.
        lines += [f"{k} = {json.dumps(v)}" for k, v in fields.items() if k not in apart and v != ()]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def continues(before: Recipe, now: Recipe, step: int) -> list[str]:
    """What hinders `now` from continuing, at `step`, a run that was made by `before`: sentences, none if nothing does.

    Paths, device and validation may change, and so may stages that have not begun.
    """
    index, _ = before.at(step)
    if len(now.stages) <= index:
        return [f"stage {index + 1} had begun and is gone"]
    kept, asked = (_lasting(recipe, index) for recipe in (before, now))
    return [f"{k} was {v!r} and is now {asked.get(k)!r}" for k, v in kept.items() if asked.get(k) != v]


def _lasting(recipe: Recipe, last: int) -> dict[str, Any]:
    """What must not change once the stage of index `last` has begun, by name."""
    found = {"network": recipe.network, "seed": recipe.seed, "average": recipe.average}
    found |= {f"{key} of the network": value for key, value in dataclasses.asdict(recipe.options).items()}
    for n, stage in enumerate(recipe.stages[: last + 1], 1):
        found |= {f"{key} of stage {n}": value for key, value in dataclasses.asdict(stage).items()}
    return found


def _network(table: dict[str, Any], origin: str, networks: Mapping[str, type] | None) -> tuple[str, Any]:
    """Name and options of a network."""
    if networks is None:
        from subpixel.models import MODELS  # brings torch, which reading a recipe for another framework can do without

        networks = {name: options for name, (_, options) in MODELS.items()}
    name = table.pop("name", None)
    if not isinstance(name, str) or name not in networks:
        raise UsageError(f"{origin}: name must be one of {', '.join(networks)}, not {name!r}.")
    return name, _filled(networks[name], table, origin)


def _filled(cls: Any, table: Any, origin: str, *needed: str, **fixed: Any) -> Any:
    """A dataclass from a table: every key known, of its type and in its range."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{origin} must be a table of keys and values, not {table!r}.")
    fields = {f.name: str(f.type) for f in dataclasses.fields(cls) if f.name not in fixed}
    for key, value in table.items():
        if key not in fields:
            raise UsageError(f"{origin}: {key} = {value!r} is an unknown key; the keys are {', '.join(fields)}.")
        _check(key, value, fields[key], origin)
    for key in needed:
        if key not in table:
            raise UsageError(f"{origin}: {key} is missing; add {key} = ...")
    given = {k: tuple(v) if isinstance(v, list) else float(v) if fields[k] == "float" else v for k, v in table.items()}
    try:
        return cls(**given, **fixed)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{origin}: {error}.") from error


def _check(key: str, value: Any, declared: str, origin: str) -> None:
    """Raise UsageError unless the value is of the declared type and possible."""
    parts, kind = [value], declared
    if declared.startswith("tuple["):
        kind = declared.removeprefix("tuple[").split(",")[0].rstrip("]")
        parts = value if isinstance(value, list) and value else [None]
    many = "a list of one or more, each " if declared.startswith("tuple[") else ""
    for part in parts:
        if not isinstance(part, _TYPES[kind]) or (isinstance(part, bool) and kind != "bool"):
            raise UsageError(f"{origin}: {key} must be {many}{_KINDS[kind]}, not {value!r}.")
    lowest, highest = _RANGES.get(key, (1, 10**6))
    if kind in ("int", "float") and not lowest <= value <= highest:
        raise UsageError(f"{origin}: {key} must be from {lowest:g} to {highest:g}, not {value!r}.")
    if key in _CHOICES and value not in _CHOICES[key]:
        raise UsageError(f"{origin}: {key} must be one of {', '.join(_CHOICES[key])}, not {value!r}.")


def check_teacher(recipe: Recipe) -> None:
    """Raise UsageError where a stage distils from nothing, or a teacher is there for no stage."""
    distils = any(stage.distil for stage in recipe.stages)
    if distils and not recipe.teacher:
        raise UsageError("A stage distils, but there is no teacher; add teacher = a run or a network, or --teacher.")
    if recipe.teacher and not distils:
        raise UsageError(f"No stage learns from the teacher {recipe.teacher!r}; add distil = 0.3 to one, or drop it.")


def _check_stages(recipe: Recipe, origin: str) -> None:
    """Raise UsageError for values that do not fit each other."""
    for n, stage in enumerate(recipe.stages, 1):
        if stage.crop % 8:
            raise UsageError(f"{origin}, stage {n}: crop must be a multiple of 8, not {stage.crop}.")
        if stage.loss == "cobi" and stage.space != "planes":
            raise UsageError(f'{origin}, stage {n}: loss = "cobi" compares patches of luma; set space = "planes".')
        if stage.warmup >= stage.steps and stage.warmup:
            raise UsageError(
                f"{origin}, stage {n}: warmup must be less than steps ({stage.steps}), not {stage.warmup}."
            )
