"""All that changes while training, and the one file it is kept in, so that a run cut at any moment goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from subpixel import models, weights
from subpixel.errors import DiskError, InputError, UsageError, WeightsError
from subpixel.learn import recipe as recipes
from subpixel.learn.recipe import Recipe

STATE, BEST, RECIPE = "state.safetensors", "best.safetensors", "recipe.toml"


@dataclasses.dataclass
class Run:
    """All that changes while training; saved and loaded whole.

    step: optimiser steps done, of all stages. rng: as it was before it drew the sequence in work, of which `window`
    windows are done and `carry` (by name: the network's state, the teacher's) is handed on. best: the highest
    validation so far, in dB.
    """

    net: nn.Module
    average: dict[str, Tensor]
    adam: torch.optim.Adam
    rng: np.random.Generator
    step: int = 0
    window: int = 0
    carry: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    best: float = -math.inf


def build(recipe: Recipe) -> nn.Module:
    """The recipe's network with its seeded weights."""
    kind, _ = models.MODELS[recipe.network]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net: nn.Module = kind(recipe.options)
    return net


def averaged(recipe: Recipe, run: Run) -> nn.Module:
    """A copy of the network with the averaged weights, in the form for inference."""
    net: Any = build(recipe)
    for name, parameter in net.named_parameters():
        parameter.data.copy_(run.average[name])
    fused: nn.Module = net.fuse().eval()
    return fused.to(next(run.net.parameters()).device)


def trained(folder: Path) -> Any:
    """The network of a run, with its averaged weights, by the recipe in its folder; see `load_weights`."""
    net = build(recipes.load(folder / RECIPE))
    load_weights(net, folder)
    return net


def start(recipe: Recipe, device: torch.device) -> Run:
    """A fresh run: seeded weights, or those of the run or network that the recipe names in `init`."""
    net: Any = build(recipe)
    if recipe.init and not Path(recipe.init).exists():
        begun, taken = models.trainable(exported(recipe.init, net.options.scale, "run or network to start from"))
        _fill(net, {name: value for name, value in begun.named_parameters() if name in taken}, recipe.init)
    elif recipe.init:
        load_weights(net, Path(recipe.init))
    net.to(device)
    average = {k: v.detach().clone() for k, v in net.named_parameters()}
    return Run(net, average, optimiser(net), np.random.default_rng(recipe.seed))


def optimiser(net: nn.Module) -> torch.optim.Adam:
    """Adam (Kingma & Ba, ICLR 2015) with a short second memory; its rate is set at every step."""
    return torch.optim.Adam(net.parameters(), betas=(0.9, 0.99))


def begin_stage(run: Run) -> None:
    """Start a further stage: from the averaged weights, with a fresh optimiser."""
    for name, parameter in run.net.named_parameters():
        parameter.data.copy_(run.average[name])
    run.adam = optimiser(run.net)


def save(run: Run, folder: Path) -> None:
    """Write the state so that a cut at any moment leaves the old or the new one."""
    tensors = {f"net.{k}": v.detach() for k, v in run.net.named_parameters()}
    tensors |= {f"average.{k}": v for k, v in run.average.items()}
    tensors |= {f"carry.{k}": v for k, v in run.carry.items()}
    for name, parameter in run.net.named_parameters():
        slot = run.adam.state.get(parameter, {})
        tensors |= {f"adam.{name}.{k}": torch.as_tensor(v) for k, v in slot.items()}
    facts = {
        "step": str(run.step),
        "window": str(run.window),
        "best": repr(run.best),
        "rng": json.dumps(run.rng.bit_generator.state),
    }
    write(folder / STATE, tensors, facts)


def save_best(run: Run, folder: Path) -> None:
    """Keep the averaged weights as they are now as the best there have been."""
    facts = {"step": str(run.step), "psnr": repr(run.best)}
    write(folder / BEST, {f"average.{k}": v for k, v in run.average.items()}, facts)


@contextlib.contextmanager
def writing(what: str, option: str) -> Iterator[None]:
    """Raise DiskError where `what` cannot be written; `option` names another place."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise DiskError(
            f"{what} cannot be written ({error}); make room, or choose another place by {option}."
        ) from error


def write(path: Path, tensors: Mapping[str, Tensor], facts: dict[str, str]) -> None:
    """A safetensors file that is complete or not there at all, whatever happens meanwhile."""
    part = path.with_suffix(".part")
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part, facts)
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    if hasattr(os, "O_DIRECTORY"):  # the name too must outlast a power cut, where folders can be synchronised
        folder = os.open(path.parent, os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, facts) of a file by `write`; raises InputError where it cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            facts = dict(file.metadata() or {})
        return load_file(path), facts
    except (OSError, SafetensorError) as error:
        raise InputError(f"The training state {path} cannot be read ({error}); remove it to start afresh.") from error


def load(run: Run, folder: Path) -> None:
    """Continue from the state in `folder`; raises InputError where it is of another network."""
    tensors, facts = read(folder / STATE)
    run.step, run.window = int(facts["step"]), int(facts.get("window", 0))
    run.best = float(facts.get("best", "-inf"))
    run.rng.bit_generator.state = json.loads(facts["rng"])
    run.carry = {}
    for name, parameter in run.net.named_parameters():
        if f"net.{name}" not in tensors or tensors[f"net.{name}"].shape != parameter.shape:
            raise InputError(f"The training state {folder / STATE} is of another network: {name} does not fit.")
        parameter.data.copy_(tensors[f"net.{name}"])
        run.average[name].copy_(tensors[f"average.{name}"])
        slot = _below(tensors, f"adam.{name}.")
        if slot:
            # Adam keeps its count of steps on the CPU, wherever the parameters are.
            run.adam.state[parameter] = {k: v if k == "step" else v.to(parameter.device) for k, v in slot.items()}
    device = next(run.net.parameters()).device
    run.carry = {k: v.to(device) for k, v in _below(tensors, "carry.").items()}


def load_weights(net: nn.Module, folder: Path) -> None:
    """Put a run's averaged weights into `net`: the best validated ones, or where none were validated the last.

    Layers of another shape (for another scale) keep what they have. Raises WeightsError where there are no weights, or
    none that fit.
    """
    path = next((folder / name for name in (BEST, STATE) if (folder / name).exists()), None)
    if path is None:
        raise WeightsError(f"{folder} holds no trained network; name the folder of a run.")
    _fill(net, _below(read(path)[0], "average."), path)


def exported(model: str, scale: int, role: str) -> Any:
    """The network of this name, or of an `.onnx` file, in its fused form; `role` says in errors what it is to be."""
    found = weights.load(model, scale)
    if "network" not in found.card:
        raise UsageError(f"{model} cannot be the {role}: it is a community network, and its layers are not known here.")
    return models.network(found.path, found.card)


def _fill(net: nn.Module, values: Mapping[str, Tensor], source: str | Path) -> None:
    own: dict[str, Any] = dict(net.named_parameters())
    fitting = 0
    for name, value in values.items():
        parameter = own.get(name)
        if parameter is not None and parameter.shape == value.shape:
            parameter.data.copy_(value)
            fitting += 1
    if not fitting:
        raise WeightsError(f"{source} holds another kind of network; none of its layers fits.")


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
