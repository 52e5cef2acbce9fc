"""Trained networks on disk: an ONNX file and a JSON card beside it, found by name and scale, checked by SHA-256."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from subpixel.errors import WeightsError

FOLDER = Path(__file__).parent / "weights"


@dataclasses.dataclass(frozen=True)
class Weights:
    """One network: where it is and what its card says.

    card: name, scale, sha256, options (of the network's class), halo (LR pixels a tile needs around it), training,
    quality and licence facts.
    """

    path: Path
    card: dict[str, Any]

    @property
    def name(self) -> str:
        """Name as given to --model."""
        return str(self.card["name"])

    @property
    def scale(self) -> int:
        """Enlargement factor."""
        return int(self.card["scale"])


def read_card(path: Path) -> Weights:
    """The network whose card is `path`; raises WeightsError for a card that is not one."""
    try:
        card = json.loads(path.read_text())
        return Weights(path.with_name(card["file"]), {**card, "scale": int(card["scale"]), "name": str(card["name"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"The card {path} cannot be read ({error!r}); install subpixel again.") from error


def shipped() -> list[Weights]:
    """Every network in the package, by name and scale."""
    return [read_card(path) for path in sorted(FOLDER.glob("*.json"))]


def check(weights: Weights) -> Weights:
    """The weights, if the file is there and is the one its card describes; else WeightsError."""
    if not weights.path.is_file():
        raise WeightsError(f"The network file {weights.path} is missing; install subpixel again.")
    digest = hashlib.sha256(weights.path.read_bytes()).hexdigest()
    if digest != weights.card.get("sha256"):
        raise WeightsError(
            f"The network file {weights.path} is not the one its card describes: SHA-256 {digest[:12]}... instead of "
            f"{str(weights.card.get('sha256'))[:12]}...; install subpixel again."
        )
    return weights


@functools.cache
def load(model: str, scale: int) -> Weights:
    """The network named `model` (or the path of an .onnx file with its card beside it) for this scale, checked."""
    if model.endswith(".onnx"):
        weights = read_card(Path(model).with_suffix(".json"))
        if weights.scale != scale:
            raise WeightsError(f"{model} enlarges by {weights.scale}, not by {scale}; use --scale {weights.scale}.")
        return check(weights)
    if Path(model).suffix:
        raise WeightsError(
            f"{model!r} cannot be used as a network: only .onnx files with their .json card can, because loading "
            "pickled weights (.pth, .ckpt) may run a stranger's code; export it to ONNX first."
        )
    known = shipped()
    scales = [w.scale for w in known if w.name == model]
    if not scales:
        names = sorted({w.name for w in known})
        raise WeightsError(f"There is no network {model!r}; there are: {', '.join(names) or 'none'}.")
    if scale not in scales:
        raise WeightsError(
            f"{model} is trained for scale {', '.join(map(str, sorted(scales)))}, not {scale}; use that, "
            "or --model lanczos for any scale from 1 to 4."
        )
    return check(next(w for w in known if w.name == model and w.scale == scale))
