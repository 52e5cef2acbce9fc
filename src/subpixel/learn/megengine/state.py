"""All that changes while training, in the files of learn.state: either framework continues what the other began."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import megengine as mge
import numpy as np
import numpy.typing as npt
from megengine import optimizer
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from subpixel.errors import InputError, WeightsError
from subpixel.learn import recipe as recipes
from subpixel.learn.megengine.fast import Fast, FastOptions
from subpixel.learn.megengine.layers import Network
from subpixel.learn.megengine.unet import UNet, UNetOptions
from subpixel.learn.recipe import Recipe

Array = npt.NDArray[Any]

NETWORKS: dict[str, tuple[Any, Any]] = {"fast": (Fast, FastOptions), "unet": (UNet, UNetOptions)}
OPTIONS = {name: options for name, (_, options) in NETWORKS.items()}
STATE, BEST, RECIPE = "state.safetensors", "best.safetensors", "recipe.toml"


@dataclasses.dataclass
class Run:
    """As learn.state.Run; rng is as it was before it drew the sequence in work."""

    net: Network
    average: dict[str, Array]
    adam: optimizer.Adam
    rng: np.random.Generator
    step: int = 0
    window: int = 0
    carry: dict[str, Array] = dataclasses.field(default_factory=dict)
    best: float = -math.inf


def build(recipe: Recipe) -> Network:
    """The recipe's network with its seeded weights."""
    mge.random.seed(recipe.seed)
    kind, _ = NETWORKS[recipe.network]
    net: Network = kind(recipe.options)
    return net


def trained(folder: Path) -> Network:
    """The network of a run, with its averaged weights, by the recipe in its folder."""
    net = build(recipes.load(folder / RECIPE, OPTIONS))
    load_weights(net, folder)
    return net


def start(recipe: Recipe) -> Run:
    """A fresh run: seeded weights, or those of the run that the recipe names in `init`."""
    net = build(recipe)
    if recipe.init:
        load_weights(net, Path(recipe.init))
    return Run(net, weights(net), fresh_adam(net), np.random.default_rng(recipe.seed))


def fresh_adam(net: Network) -> optimizer.Adam:
    """Adam (Kingma & Ba, ICLR 2015) with a short second memory; its rate is set at every step."""
    return optimizer.Adam(net.parameters(), lr=0.0, betas=(0.9, 0.99))


def begin_stage(run: Run) -> None:
    """Start a further stage: from the averaged weights, with a fresh optimiser."""
    put(run.net, run.average)
    run.adam = fresh_adam(run.net)


def weights(net: Network) -> dict[str, Array]:
    """A copy of the parameters by torch's names, in torch's shapes: a bias is (1, C, 1, 1) here and (C,) there."""
    named = {name: np.array(parameter.numpy()) for name, parameter in net.named_parameters()}
    return {name: value.reshape(-1) if name.endswith("bias") else value for name, value in named.items()}


def put(net: Network, tensors: Mapping[str, Array]) -> int:
    """Fill the parameters that have a tensor of their shape; returns how many."""
    own = weights(net)
    fitting = {name: value for name, value in tensors.items() if name in own and value.shape == own[name].shape}
    for name, parameter in net.named_parameters():
        if name in fitting:
            parameter[...] = mge.tensor(fitting[name].reshape(parameter.shape))
    return len(fitting)


def save(run: Run, folder: Path) -> None:
    """Write the state so that a cut at any moment leaves the old or the new one."""
    own = weights(run.net)
    tensors = {f"net.{k}": v for k, v in own.items()}
    tensors |= {f"average.{k}": v for k, v in run.average.items()}
    tensors |= {f"carry.{k}": v for k, v in run.carry.items()}
    memory = run.adam.state_dict()["state"]
    for index, (name, value) in enumerate(own.items()):
        slots = {k: v for k, v in memory[index].items() if memory[index]["step"]}
        tensors |= {f"adam.{name}.{k}": v.reshape(() if k == "step" else value.shape) for k, v in slots.items()}
    facts = {
        "step": str(run.step),
        "window": str(run.window),
        "best": repr(run.best),
        "rng": json.dumps(run.rng.bit_generator.state),
        "framework": f"MegEngine {mge.__version__}",
    }
    part = folder / "state.part"
    save_file({k: np.asarray(v, np.float32, order="C") for k, v in tensors.items()}, part, facts)
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    os.replace(part, folder / STATE)


def load(run: Run, folder: Path) -> None:
    """Continue from the state in `folder`; raises InputError where it is of another network."""
    tensors, facts = read(folder / STATE)
    run.step, run.window = int(facts["step"]), int(facts.get("window", 0))
    run.best = float(facts.get("best", "-inf"))
    run.rng.bit_generator.state = json.loads(facts["rng"])
    if put(run.net, below(tensors, "net.")) != len(run.average):
        raise InputError(f"The training state {folder / STATE} is of another network.")
    run.average = below(tensors, "average.")
    run.carry = below(tensors, "carry.")
    state = run.adam.state_dict()
    for index, name in enumerate(weights(run.net)):
        for slot, value in below(tensors, f"adam.{name}.").items():
            state["state"][index][slot] = value.reshape(state["state"][index][slot].shape)
    run.adam.load_state_dict(state)


def load_weights(net: Network, folder: Path) -> None:
    """Put a run's averaged weights into `net`: the best validated ones, or where none were validated the last."""
    path = next((folder / name for name in (BEST, STATE) if (folder / name).exists()), None)
    if path is None:
        raise WeightsError(f"{folder} holds no trained network; name the folder of a run.")
    if not put(net, below(read(path)[0], "average.")):
        raise WeightsError(f"{path} holds another kind of network; none of its layers fits.")


def read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """(tensors, facts) of a state's file; raises InputError where it cannot be read."""
    try:
        with safe_open(path, "np") as file:
            facts = dict(file.metadata() or {})
        return load_file(path), facts
    except (OSError, SafetensorError) as error:
        raise InputError(f"The training state {path} cannot be read ({error}); remove it to start afresh.") from error


def below(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The tensors whose names begin so, by the rest of their names."""
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
