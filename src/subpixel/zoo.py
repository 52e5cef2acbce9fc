"""Community networks for single pictures, from .safetensors files, by spandrel (extra `zoo`).

They take and give RGB and see one frame at a time; what they can do is known to them alone.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import types
from typing import Any

import numpy as np

from subpixel import color, engines, ensemble
from subpixel.errors import UsageError, WeightsError
from subpixel.frames import Frame
from subpixel.tiles import Tiler

HALO = 32  # LR pixels of margin around a tile; convolutional networks are hardly moved by what lies farther away
PIXELS = 320 * 320  # of a tile with its margins: large networks take 10 kB for each

# Measured: what torch takes at rest, and a large network (ESRGAN) for each LR pixel of a tile.
TORCH_BYTES, BYTES_PER_PIXEL = 400 << 20, 12_000


class Network:
    """A community network for frames of any format, which come back in that format; see `restore` for the arguments."""

    def __init__(self, path: str, scale: int, engine: engines.Engine, *, tile: int = 0, turned: bool = False) -> None:
        self.path, self.engine = path, engine
        net = load(path)
        if net.scale != scale:
            raise WeightsError(f"{path} enlarges by {net.scale}, not by {scale}; use --scale {net.scale}.")
        net.to(engine.device)
        align = int(np.lcm(2, max(1, net.size_requirements.multiple_of)))
        self.step = engines.by_torch(net, engine)
        self.tiler = Tiler(tile, halo=HALO, align=align, pixels=PIXELS)
        self.turns = ensemble.TURNS if turned else (ensemble.UPRIGHT,)

    def memory(self, width: int, height: int, tile: int = 0) -> int:
        """An upper guess at the bytes it takes for pictures of this size in tiles of this side."""
        tiler = Tiler(tile, halo=HALO, align=self.tiler.align, pixels=PIXELS)
        return TORCH_BYTES + BYTES_PER_PIXEL * tiler.largest(height, width)

    def __call__(self, frame: Frame) -> Frame:
        """The frame enlarged. Raises WeightsError for values that are not numbers."""
        rgb = color.to_unit(frame)[None]
        found = [turn.back(self.tiler(self.step, [np.ascontiguousarray(turn(rgb))])[0][0]) for turn in self.turns]
        if not engines.finite(found):
            raise WeightsError(f"The network {self.path} gave values that are not numbers; try --precision fp32.")
        return color.from_unit(ensemble.mean(found), frame)


@functools.lru_cache(maxsize=1)
def load(path: str) -> Any:
    """spandrel's descriptor of the network in a .safetensors file.

    Raises UsageError where spandrel is not installed, WeightsError for a file that holds no network it knows for
    enlarging or restoring RGB pictures.
    """
    spandrel = _spandrel()
    try:
        net = spandrel.ModelLoader().load_from_file(path)
    except Exception as error:  # spandrel, safetensors and torch each raise their own kinds
        kind = type(error).__name__
        raise WeightsError(f"{path} holds no network that spandrel knows ({kind}); choose another file.") from error
    if net.purpose not in ("SR", "Restoration") or (net.input_channels, net.output_channels) != (3, 3):
        raise WeightsError(
            f"{path} is a {net.architecture.name} network for {net.purpose} with {net.input_channels} channels in and "
            f"{net.output_channels} out; only networks that enlarge or restore RGB pictures can be used."
        )
    return net.eval()


def _spandrel() -> Any:
    """The package. It needs torchvision for two helpers of networks that `load` refuses anyway (faces, holes).

    torchvision fits one build of torch only. Where it is missing or of another build, empty names take its place while
    spandrel is loaded.
    """
    if importlib.util.find_spec("spandrel") is None:
        raise UsageError("Community networks need spandrel; install it with: pip install 'subpixel[zoo]'")
    try:
        import spandrel
    except (ImportError, RuntimeError):
        names = [".".join(("torchvision", "transforms", "functional")[:n]) for n in (1, 2, 3)]
        for name in names:
            sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[names[-1]]).update(InterpolationMode=None, rotate=None, normalize=None)
        try:
            import spandrel
        finally:
            for name in names:
                del sys.modules[name]
    return spandrel
