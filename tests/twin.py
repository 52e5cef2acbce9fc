"""MegEngine's side of test_learn_megengine.py, run by the Python of its own environment: twin.py FUNCTION FOLDER."""

import dataclasses
import json
import sys
from pathlib import Path

import megengine as mge
import numpy as np
from megengine.autodiff import GradManager
from safetensors.numpy import load_file

from subpixel.learn.megengine import state, train


def forward(folder: Path) -> None:
    """For every case, one step of a network with the weights and inputs in its files."""
    for case in json.loads((folder / "cases.json").read_text()):
        kind, make = state.NETWORKS[case["network"]]
        net = kind(make(**case["options"]))
        assert vars(make()) == case["defaults"]
        tensors = load_file(folder / f"{case['file']}.safetensors")
        assert state.put(net, tensors) == len(tensors) == len(list(net.named_parameters()))
        feed = np.load(folder / f"{case['file']}.npz")
        inputs = [mge.tensor(feed[name]) for name in ("y", "uv", "codec", "state")]
        plain, fused = net.step(*inputs), net.fuse().step(*inputs)
        made = {f"{name}{k}": t.numpy() for name, ts in (("plain", plain), ("fused", fused)) for k, t in enumerate(ts)}
        np.savez(folder / f"{case['file']}.made.npz", **made)


def curve(folder: Path) -> None:
    """Train by the recipe, from the weights in init; the losses of every step, and the state."""
    asked = state.recipes.load(folder / "recipe.toml", state.OPTIONS)
    asked = dataclasses.replace(asked, init=str(folder / "init"))
    stores, teacher = train.equip(asked)
    run = state.start(asked)
    gradients = GradManager().attach(run.net.parameters())
    steps = [train.take_step(run, gradients, w, asked.average, teacher) for w in train.windows(run, asked, stores)]
    (folder / "losses.json").write_text(json.dumps(steps))
    (folder / "ours").mkdir()
    state.save(run, folder / "ours")


def again(folder: Path) -> None:
    """Read the state that torch wrote and write it again."""
    run = state.start(state.recipes.load(folder / "recipe.toml", state.OPTIONS))
    state.load(run, folder / "theirs")
    (folder / "back").mkdir()
    state.save(run, folder / "back")


if __name__ == "__main__":
    {"forward": forward, "curve": curve, "again": again}[sys.argv[1]](Path(sys.argv[2]))
