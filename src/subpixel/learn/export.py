"""A finished run as the package ships it: one ONNX file with fused layers and a JSON card, checked against torch.

python -m subpixel.learn.export RUN NAME [--folder src/subpixel/weights]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from subpixel import engines, weights
from subpixel.errors import VerificationError
from subpixel.learn.train import load_weights
from subpixel.models.fast import Fast, FastOptions

AXES = {
    "y": {2: "height", 3: "width"},
    **{name: {2: "half_height", 3: "half_width"} for name in ("uv", "qp", "state")},
}


class Step(nn.Module):
    """One step of a network with positional tensors, as the exporter traces it."""

    def __init__(self, net: Fast) -> None:
        super().__init__()
        self.net = net

    def forward(self, y: Tensor, uv: Tensor, qp: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As the network's `step`."""
        return self.net.step(y, uv, qp, state)


def inputs(net: Fast, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random inputs of one step for an LR picture of this size."""
    make = torch.Generator().manual_seed(seed)
    half = (height // 2, width // 2)
    shapes = ((3, height, width), (2, *half), (1, *half), (net.options.channels, *half))
    y, uv, qp, state = (torch.rand(1, *shape, generator=make) for shape in shapes)
    return y, uv, qp, state


def halo(net: Fast) -> int:
    """LR pixels around a tile that its result depends on, one of margin, made even."""
    layers = 2 + net.options.blocks  # head, blocks, then detail or chroma, on the half grid; last one on the full
    return (layers * net.options.unshuffle + 3) // 2 * 2


def export(run: Path, name: str, folder: Path, about: dict[str, Any]) -> weights.Weights:
    """Write NAME-xS.onnx and its card from a run's averaged weights; VerificationError if torch disagrees."""
    trained = json.loads((run / "options.json").read_text())
    trained["init"] = Path(trained["init"]).name  # a path of the machine it was trained on tells nobody anything
    shape = FastOptions(**{k: trained[k] for k in ("scale", "channels", "blocks", "unshuffle", "recurrent", "qp")})
    net = Fast(shape)
    load_weights(net, run)
    net = net.fuse().eval()
    path = folder / f"{name}-x{shape.scale}.onnx"
    with warnings.catch_warnings():
        # The exporter that needs no further package is called legacy by torch; its output is checked below.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Step(net),
            inputs(net, 64, 96),
            path,
            input_names=["y", "uv", "qp", "state"],
            output_names=["luma", "chroma", "next"],
            dynamic_axes=AXES,
            opset_version=17,
            dynamo=False,
        )
    onnx.checker.check_model(onnx.load(path))
    card = {
        "name": name,
        "scale": shape.scale,
        "network": "fast",
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "parameters": sum(p.numel() for p in net.parameters()),
        "halo": halo(net),
        "options": {k: getattr(shape, k) for k in FastOptions.__dataclass_fields__},
        "training": trained,
        "licence": "Apache-2.0",
        **about,
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    made = weights.check(weights.read_card(path.with_suffix(".json")))
    agree(net, made)
    return made


def agree(net: Fast, made: weights.Weights, tolerance: float = 1e-4) -> None:
    """Raise VerificationError unless the exported file gives what torch gives, within tolerance (samples in [0, 1])."""
    feed = inputs(net, 48, 80, seed=1)
    step = engines.load(made, "onnxruntime", width=80, height=48)
    with torch.inference_mode():
        for mine, theirs in zip(net.step(*feed), step(*(t.numpy() for t in feed)), strict=True):
            worst = float(np.abs(mine.numpy() - theirs).max())
            if not worst <= tolerance:
                raise VerificationError(f"{made.path} differs from the trained network by {worst:.2g}; do not ship it.")


def main(arguments: list[str] | None = None) -> None:
    """Command line of `export`; --about FILE adds measured facts (JSON) to the card."""
    parser = argparse.ArgumentParser(description=export.__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--folder", type=Path, default=weights.FOLDER)
    parser.add_argument("--about", type=Path)
    args = parser.parse_args(arguments)
    about = json.loads(args.about.read_text()) if args.about else {}
    made = export(args.run, args.name, args.folder, about)
    print(f"{made.path}: {made.card['parameters']} parameters, {made.path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
