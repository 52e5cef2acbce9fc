"""Networks for torch, one file each. MODELS is the whole list; adding a network is adding a line."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from subpixel.models.best import Best, BestOptions
from subpixel.models.fast import Fast, FastOptions, RepConv
from subpixel.models.frvsr import Frvsr, FrvsrOptions
from subpixel.models.unet import UNet, UNetOptions

MODELS: dict[str, tuple[Any, Any]] = {
    "fast": (Fast, FastOptions),
    "best": (Best, BestOptions),
    "frvsr": (Frvsr, FrvsrOptions),
    "unet": (UNet, UNetOptions),
}


def describe(net: nn.Module) -> dict[str, Any]:
    """What a card says of a network: class, size, what it reads and remembers, what a tile of it needs.

    codec: names of the codec's maps; state, later: [channels, divisor of the LR size] or None; halo: LR pixels of
    margin; align: LR pixels that the upper left corner of a tile must be a multiple of.
    """
    name = next(name for name, (kind, _) in MODELS.items() if isinstance(net, kind))
    facts: Any = net
    return {
        "network": name,
        "scale": facts.options.scale,
        "parameters": sum(p.numel() for p in net.parameters()),
        "halo": facts.halo,
        "align": facts.align,
        "codec": list(facts.codec),
        "state": list(facts.state),
        "later": list(facts.later) if facts.later else None,
        "options": dataclasses.asdict(facts.options),
    }


def network(path: Path, card: dict[str, Any]) -> Any:
    """The torch network held by an exported ONNX file (two for a bidirectional one), in its fused form."""
    import onnx

    kind, options = MODELS[card["network"]]
    net = kind(options(**card["options"])).fuse()
    files = [path] + ([path.with_name(card["back"]["file"])] if card.get("back") else [])
    tensors = {
        t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy())
        for file in files
        for t in onnx.load(file).graph.initializer
    }
    own = net.state_dict()
    net.load_state_dict({name: tensors[f"net.{name}"] for name in own})
    return net


def trainable(fused: Any) -> tuple[Any, set[str]]:
    """(the network in the form it is trained in, computing what its fused form does; names of what was taken over).

    What inference does without, the auxiliary heads of `best`, is begun afresh.
    """
    net = type(fused)(fused.options)
    known: dict[str, torch.Tensor] = fused.state_dict()
    taken = set()
    for name, module in net.named_modules():
        if isinstance(module, RepConv):
            module.take_over(known[f"{name}.weight"], known[f"{name}.bias"])
            taken |= {f"{name}.{part}" for part, _ in module.named_parameters()}
    for name, parameter in net.named_parameters():
        if name not in taken and name in known:
            parameter.data.copy_(known[name][:, : parameter.shape[1]] if parameter.dim() > 1 else known[name])
            taken.add(name)
    return net, taken
