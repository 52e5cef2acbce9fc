"""A run as the package ships it: ONNX files with fused layers and a JSON card, checked against torch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from subpixel import engines, models, weights
from subpixel.errors import UsageError, VerificationError
from subpixel.learn import recipe as recipes
from subpixel.learn import state

OUTPUTS = {"step": ("luma", "chroma", "next"), "back": ("next",)}
OPSET = 17
TOLERANCE = 1e-4  # largest difference of a sample in [0, 1] between torch and the exported file


class Part(nn.Module):
    """One function of a network, "step" or "back", with positional tensors, as the exporter traces it."""

    def __init__(self, net: nn.Module, part: str) -> None:
        super().__init__()
        self.net, self.part = net, part

    def forward(self, *tensors: Tensor) -> Any:
        """As the network's own function."""
        return getattr(self.net, self.part)(*tensors)


def export(run: Path, name: str, folder: Path, about: Mapping[str, Any]) -> weights.Weights:
    """Write NAME-xS.onnx (of a bidirectional network also NAME-xS.back.onnx) and the card of a run's network.

    The weights are the best validated ones, see `state.load_weights`; `about` is added to the card.
    Raises UsageError for a name that is none, DiskError where the folder cannot be written, VerificationError where a
    file computes something else than torch does.
    """
    if not name or Path(name).name != name:
        raise UsageError(f"{name!r} is no name of a network; give one without folders, which --folder is for.")
    net: Any = state.trained(run)
    net = net.fuse().eval()
    facts = models.describe(net)
    path = folder / f"{name}-x{facts['scale']}.onnx"
    with state.writing(f"The network {path}", "--folder"):
        folder.mkdir(parents=True, exist_ok=True)
        card = {"name": name, **facts, "file": path.name, "sha256": write(net, "step", path)}
        if facts["later"]:
            back = path.with_suffix(".back.onnx")
            card["back"] = {"file": back.name, "sha256": write(net, "back", back)}
        card |= {"training": training(run), "licence": "Apache-2.0", **about}
        path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    made = weights.check(weights.read_card(path.with_suffix(".json")))
    for part in ("step", "back") if facts["later"] else ("step",):
        agree(net, made, part)
    return made


def write(net: nn.Module, part: str, path: Path) -> str:
    """Write one function of the network as ONNX for tiles of any size; returns the file's SHA-256."""
    feed = inputs(net, 96, 64, part)
    half = {2: "half_height", 3: "half_width"}
    full = {2: "height", 3: "width"}
    axes = {name: full if tensor.shape[-2:] == feed["y"].shape[-2:] else half for name, tensor in feed.items()}
    with warnings.catch_warnings():
        # The exporter that needs no further package is called legacy by torch; its output is checked below.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Part(net, part),
            tuple(feed.values()),
            path,
            input_names=list(feed),
            output_names=list(OUTPUTS[part]),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(onnx.load(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def inputs(net: nn.Module, width: int, height: int, part: str, seed: int = 0) -> dict[str, Tensor]:
    """Random inputs, by name, of one function of the network for an LR tile of this size."""
    make = torch.Generator().manual_seed(seed)
    shapes = engines.shapes(models.describe(net), width=width, height=height, part=part)
    return {name: torch.rand(shape, generator=make) for name, shape in shapes.items()}


def training(run: Path) -> dict[str, Any]:
    """What the card says of how the network was trained; no paths, which tell nobody anything."""
    recipe = recipes.load(run / state.RECIPE)
    best = (run / state.BEST).exists()
    _, facts = state.read(run / (state.BEST if best else state.STATE))
    named = {key: Path(getattr(recipe, key)).name for key in ("init", "teacher") if getattr(recipe, key)}
    named |= {key: facts[key] for key in ("framework",) if key in facts}
    about = {"steps": int(facts["step"]), "seed": recipe.seed, "average": recipe.average, **named}
    return {**about, "stages": [dataclasses.asdict(stage) for stage in recipe.stages]}


def agree(net: nn.Module, made: weights.Weights, part: str) -> None:
    """Raise VerificationError unless the exported file gives what torch gives, within TOLERANCE."""
    feed = inputs(net, 80, 48, part, seed=1)
    step = engines.load(made, "onnxruntime", width=80, height=48, part=part)
    with torch.inference_mode():
        wanted = Part(net, part)(*feed.values())
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for mine, theirs in zip(wanted, step(*(t.numpy() for t in feed.values())), strict=True):
        worst = float(np.abs(mine.numpy() - theirs).max())
        if not worst <= TOLERANCE:
            raise VerificationError(
                f"{made.path} differs from the trained network by {worst:.2g} in its {part}; do not ship it."
            )
