"""A recurrent network applied to frames: planes to arrays and back, and what it remembers of a shot.

Knows frames, networks and tiles, never files or codecs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from subpixel import color, engines, ensemble, priors, resample
from subpixel.engines import Engine
from subpixel.errors import WeightsError
from subpixel.frames import Frame, Plane
from subpixel.tiles import Tiler
from subpixel.weights import Weights

if TYPE_CHECKING:
    import torch

Float32 = npt.NDArray[np.float32]

MAPS = {"qp": priors.quantiser, "kinds": priors.kinds, "motion": priors.motion}
WARM_UP = 8  # frames run before a piece of a shot, where the card names no other number
LOOK_AHEAD = 8  # frames run backward after a window, the same
WINDOW = 24  # most frames restored after one backward pass
LATER_BYTES = 192 << 20  # most memory for what that pass leaves behind
# Measured: what a network takes at rest, what torch does, and what each network does for an LR pixel of a tile.
NETWORK_BYTES, TORCH_BYTES = 45 << 20, 190 << 20
BYTES_PER_PIXEL = {"fast": 800, "best": 2200, "frvsr": 4200}


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """A frame with its neighbours in time, itself at a shot's ends. last: the shot ends with it."""

    previous: Frame
    frame: Frame
    following: Frame
    last: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class _Low:
    """A frame as the network takes it: luma (H, W), chroma (2, H/2, W/2), codec's maps (C, H/2, W/2); work: as YUV."""

    frame: Frame
    work: Frame
    y: Float32
    uv: Float32
    codec: Float32


class Network:
    """A recurrent network with its memory of the shot, for pictures of one size after the other.

    network: shipped weights, or a torch module as `models` defines them, which runs where it is and in the mode it is
    in. tile: see `Tiler`. turned: restore every frame in all eight positions and give the mean. A network of two
    directions is run by `backward` over a window of frames first.
    """

    def __init__(
        self, network: Weights | torch.nn.Module, engine: Engine, *, tile: int = 0, turned: bool = False
    ) -> None:
        self.network, self.engine = network, engine
        self.card = network.card if isinstance(network, Weights) else _described(network)
        self.scale = int(self.card["scale"])
        self.tiler = Tiler(tile, halo=int(self.card["halo"]), align=int(self.card.get("align", 2)))
        self.turns = ensemble.TURNS if turned else (ensemble.UPRIGHT,)
        self.states: list[Float32] = []
        self._steps: dict[tuple[str, int, int], engines.Step] = {}
        self._low: list[_Low] = []

    @property
    def warm_up(self) -> int:
        """Frames to run before a piece of a shot."""
        return int(self.card.get("warm_up", WARM_UP))

    @property
    def look_ahead(self) -> int:
        """Frames to run backward after a window; 0 for a network of one direction."""
        return int(self.card.get("look_ahead", LOOK_AHEAD)) if self.card["later"] else 0

    def window(self, width: int, height: int) -> int:
        """How many frames of this size are restored after one backward pass; 1 for a network of one direction."""
        if not self.card["later"]:
            return 1
        return max(4, min(LATER_BYTES // self._bytes("later", width, height), WINDOW))

    def memory(self, width: int, height: int, tile: int = 0) -> int:
        """An upper guess at the bytes it takes for pictures of this size in tiles of this side."""
        tiler = Tiler(tile, halo=self.tiler.halo, align=self.tiler.align)
        most = max(BYTES_PER_PIXEL.values())
        total = NETWORK_BYTES + (TORCH_BYTES if self.engine.name == "torch" else 0)
        total += BYTES_PER_PIXEL.get(self.card["network"], most) * tiler.largest(height, width)
        if self.card["later"]:
            total += self._bytes("later", width, height) * (self.window(width, height) + self.look_ahead)
        if len(self.turns) > 1:
            total += self._bytes("state", width, height) + 6 * self.scale**2 * width * height * len(self.turns)
        return total

    def _bytes(self, kind: str, width: int, height: int) -> int:
        """Of one frame's "state" or "later" in all positions."""
        channels, divisor = (int(n) for n in self.card[kind])
        return 4 * channels * (width // divisor + 1) * (height // divisor + 1) * len(self.turns)

    def forget(self) -> None:
        """Start afresh: the next frame is the first of its shot."""
        self.states = []

    def backward(self, moments: Sequence[Moment], count: int) -> list[list[Float32]]:
        """What each of the first `count` frames is told of its future, by position; nothing for one direction."""
        if not self.card["later"]:
            return [[] for _ in moments[:count]]
        told: list[list[Float32]] = []
        laters: list[Float32] = []
        for index in range(len(moments) - 1, -1, -1):
            views = [self._view(moments[index], turn) for turn in self.turns]
            laters = laters or [self._zeros("later", y) for y, _, _ in views]
            laters = [self._run("back", [*view, later])[0] for view, later in zip(views, laters, strict=True)]
            if index < count:
                told.append(laters)
        return told[::-1]

    def forward(self, moment: Moment, told: Sequence[Float32] = ()) -> Frame:
        """The restored frame; told: its entry of what `backward` gave."""
        views = [self._view(moment, turn) for turn in self.turns]
        self.states = self.states or [self._zeros("state", y) for y, _, _ in views]
        lumas, chromas = [], []
        for k, turn in enumerate(self.turns):
            luma, chroma, self.states[k] = self._run("step", [*views[k], self.states[k], *told[k : k + 1]])
            lumas.append(turn.back(luma[0, 0]))
            chromas.append(turn.back(chroma[0]))
        low = self._lowered(moment.frame)
        return self._assemble(low, ensemble.mean(lumas), ensemble.mean(chromas))

    def _zeros(self, kind: str, y: Float32) -> Float32:
        channels, divisor = self.card[kind]
        return np.zeros((1, channels, y.shape[2] // divisor, y.shape[3] // divisor), np.float32)

    def _view(self, moment: Moment, turn: ensemble.Turn) -> tuple[Float32, Float32, Float32]:
        """y (1, 3, H, W), uv (1, 2, H/2, W/2), codec (1, C, H/2, W/2), turned."""
        before, low, after = (self._lowered(f) for f in (moment.previous, moment.frame, moment.following))
        y, uv, codec = np.stack([before.y, low.y, after.y])[None], low.uv[None], low.codec[None]
        if turn == ensemble.UPRIGHT:
            return y, uv, codec
        parts, first = [], 0
        for name in self.card["codec"]:
            part = codec[:, first : first + engines.MAPS[name]]
            parts.append(turn.vectors(part) if name == "motion" else turn(part))
            first += engines.MAPS[name]
        codec = np.concatenate(parts, 1) if parts else turn(codec)
        return np.ascontiguousarray(turn(y)), np.ascontiguousarray(turn(uv)), np.ascontiguousarray(codec)

    def _lowered(self, frame: Frame) -> _Low:
        """The frame's arrays, with even sides; those of the last few are kept."""
        for low in self._low:
            if low.frame is frame:
                return low
        work = color.to_yuv(frame) if frame.layout.rgb else frame
        y = _even(color.normalise(work.planes[0], work, chroma=False))
        maps = [MAPS[name](frame) for name in self.card["codec"]]
        half = (y.shape[0] // 2, y.shape[1] // 2)
        codec = np.concatenate(maps) if maps else np.empty((0, *half), np.float32)
        low = _Low(frame, work, y, _chroma(work, half), codec)
        self._low = [low, *self._low[:3]]
        return low

    def _run(self, part: str, arrays: Iterable[Float32]) -> tuple[Float32, ...]:
        found = self.tiler(lambda *parts: self._step(part, parts), list(arrays))
        if not engines.finite(found):
            name, engine = self.card.get("name", self.card["network"]), self.engine.name
            raise WeightsError(
                f"The network {name} gave values that are not numbers with the engine {engine}; "
                f"try --engine {'torch' if engine == 'onnxruntime' else 'onnxruntime'}, and report the clip."
            )
        return found

    def _step(self, part: str, arrays: Sequence[Float32]) -> tuple[Float32, ...]:
        """Run one part on one tile by a step made for its size."""
        height, width = arrays[0].shape[2:]
        if (part, height, width) not in self._steps:
            made = engines.load(self.network, self.engine, width=width, height=height, part=part)
            self._steps[part, height, width] = made
        return self._steps[part, height, width](*arrays)

    def _assemble(self, low: _Low, luma: Float32, chroma: Float32) -> Frame:
        """The restored frame as its source: planes rounded to its depth and range, cropped to its size."""
        work, frame = low.work, low.frame
        width, height = frame.width * self.scale, frame.height * self.scale
        planes: list[Plane] = [color.quantise(luma[:height, :width], work, chroma=False)]
        for index in range(1, work.layout.planes):
            tall, wide = work.layout.plane_size(index, width, height)
            if index < 3 and (work.layout.chroma_x, work.layout.chroma_y) == (1, 1):
                planes.append(color.quantise(chroma[index - 1, :tall, :wide], work, chroma=True))
            else:
                planes.append(resample.resize(work.planes[index], wide, tall, kernel="bicubic"))
        restored = work.replace(planes=tuple(planes), qp=None, motion=None)
        return color.from_yuv(restored, frame.format) if frame.layout.rgb else restored


def _described(network: torch.nn.Module) -> dict[str, Any]:
    from subpixel.models import describe

    return describe(network)


def _chroma(work: Frame, half: tuple[int, int]) -> Float32:
    """(2, H/2, W/2) of a YUV or gray frame; neutral where it has no colour."""
    if work.layout.planes < 3:
        return np.full((2, *half), 128 / 255, np.float32)
    small = (-(-work.height // 2), -(-work.width // 2))
    planes = [
        p if p.shape == small else resample.resize(p, small[1], small[0], kernel="area") for p in work.planes[1:3]
    ]
    return np.stack([color.normalise(p, work, chroma=True) for p in planes])


def _even(plane: Float32) -> Float32:
    """The plane with its last row and column repeated where a side is odd."""
    return np.pad(plane, [(0, side & 1) for side in plane.shape], mode="edge")
