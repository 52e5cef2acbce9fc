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
ZOO = ".safetensors"  # how the files of community networks end


@dataclasses.dataclass(frozen=True)
class Weights:
    """One network: where it is and what its card says.

    card: name, scale, sha256; what `models.describe` says: options (of the network's class), halo and align of tiles,
    codec, state, later; training, quality and licence facts. A bidirectional network has a second file, for its
    backward pass: back (file, sha256). warm_up, look_ahead, where the usual number is not enough: frames that must be
    run before a piece of a shot, and after it for the backward pass, until nothing shows that it is a piece.
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

    def file(self, part: str = "step") -> Path:
        """The file that holds this part of the network: "step" or "back"."""
        return self.path if part == "step" else self.path.with_name(self.card["back"]["file"])


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
    """The weights, if their files are there and are the ones the card describes; else WeightsError."""
    missing = [key for key in ("halo", "codec", "state", "later") if key not in weights.card]
    if missing:
        raise WeightsError(f"The card of {weights.path} does not say {', '.join(missing)}; export the network again.")
    parts = [("step", weights.card.get("sha256"))]
    if weights.card["later"]:
        parts.append(("back", weights.card.get("back", {}).get("sha256")))
    for part, wanted in parts:
        path = weights.file(part)
        digest = _digest(path)
        if digest != wanted:
            raise WeightsError(
                f"The network file {path} is not the one its card describes: SHA-256 {digest[:12]}... instead of "
                f"{str(wanted)[:12]}...; install subpixel again."
            )
    return weights


def _digest(path: Path) -> str:
    if not path.is_file():
        raise WeightsError(f"The network file {path} is missing; name another, or install subpixel again.")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def load(model: str, scale: int) -> Weights:
    """The network named `model` (or the path of an .onnx file with its card beside it) for this scale, checked.

    Of a community network, the path of a .safetensors file, only name and hash are known here: see zoo.py.
    """
    if model.endswith(".onnx"):
        weights = read_card(Path(model).with_suffix(".json"))
        if weights.scale != scale:
            raise WeightsError(f"{model} enlarges by {weights.scale}, not by {scale}; use --scale {weights.scale}.")
        return check(weights)
    if model.endswith(ZOO):
        path = Path(model)
        return Weights(path, {"name": path.stem, "scale": scale, "sha256": _digest(path)})
    if Path(model).suffix:
        raise WeightsError(
            f"{model!r} cannot be used as a network: only .safetensors, and .onnx files with their .json card can, "
            "because loading pickled weights (.pth, .ckpt) may run a stranger's code; convert it first."
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
