"""Networks for torch, one file each. MODELS is the whole list; adding a network is adding a line."""

from pathlib import Path
from typing import Any

import torch

from subpixel.models.fast import Fast, FastOptions

MODELS = {"fast": (Fast, FastOptions)}


def network(path: Path, card: dict[str, Any]) -> Fast:
    """The torch network held by an exported ONNX file, as its card describes it, in its fused form."""
    import onnx

    kind, options = MODELS[card["network"]]
    net = kind(options(**card["options"])).fuse()
    tensors = {
        t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in onnx.load(path).graph.initializer
    }
    own = net.state_dict()
    net.load_state_dict({name: tensors[f"net.{name}"] for name in own})
    return net
