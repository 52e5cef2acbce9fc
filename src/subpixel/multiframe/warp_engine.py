"""A warp as an image signal processor's engine does it: a coarse mesh, fixed-point positions, a table of taps."""

from __future__ import annotations

import dataclasses
import functools
import re

import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError
from subpixel.register.sampling import KERNELS

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]

PRECISIONS = (32, 64, 128, 256)
ENGINE_KERNELS = ("linear", "cubic")


@dataclasses.dataclass(frozen=True)
class WarpEngine:
    """The limits of an engine.

    grid: pixels of the output between nodes of the mesh, 16 to 64; positions between them are interpolated linearly.
    precision: positions are multiples of 1 / precision of a pixel: 32, 64, 128 or 256. kernel: "linear", or "cubic"
    (Keys, IEEE Trans. ASSP 29, 1981, a = -0.5). Raises UsageError for others.
    """

    grid: int = 32
    precision: int = 128
    kernel: str = "cubic"

    def __post_init__(self) -> None:
        if not 16 <= self.grid <= 64:
            raise UsageError(f"A mesh of {self.grid} pixels is not a warp engine's; choose a grid of 16 to 64.")
        if self.precision not in PRECISIONS:
            raise UsageError(
                f"A precision of 1/{self.precision} pixel is not possible; choose 1/32, 1/64, 1/128, 1/256."
            )
        if self.kernel not in ENGINE_KERNELS:
            raise UsageError(f"A warp engine has no kernel {self.kernel!r}; choose linear or cubic.")

    def __str__(self) -> str:
        return f"grid={self.grid},precision=1/{self.precision},kernel={self.kernel}"

    def mesh(self, flow: Float32, shape: tuple[int, int]) -> Float32:
        """The flow of small pixels as displacements (H, W, 2) of large ones, as the mesh can say it.

        flow: (h, w, 2), (dx, dy): what is at small (x, y) is found at (x + dx, y + dy) in the picture to be warped.
        shape: (H, W) of that picture. A node says the mean of the flow as far as halfway to its neighbours.
        """
        import cv2

        height, width = shape
        scale = width / flow.shape[1]
        side = max(1, round(self.grid / scale))
        mean = cv2.blur(flow, (side, side), borderType=cv2.BORDER_REPLICATE)
        columns, rows = (_nodes(size, self.grid) for size in (width, height))
        x, y = np.meshgrid((columns + 0.5) / scale - 0.5, (rows + 0.5) / scale - 0.5)
        at = cv2.remap(
            mean, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        nodes = np.round(np.asarray(at) * np.float32(scale * self.precision)) / np.float32(self.precision)
        across, down = _between(width, self.grid), _between(height, self.grid)
        return np.stack([down @ nodes[..., k] @ across.T for k in (0, 1)], axis=-1)

    def warp(self, picture: Float32, offsets: Float32) -> Float32:
        """float32 (H, W) sampled at every (x + dx, y + dy) of the offsets (H, W, 2), rounded to the precision.

        The border is repeated.
        """
        import cv2

        (height, width), n = picture.shape, self.precision
        limits = np.array([width, height]) * n
        steps = np.clip(np.round(offsets * np.float32(n)), -limits, limits).astype(np.int32)
        table = _table(self)
        across, down = table[:, steps[..., 0] % n], table[:, steps[..., 1] % n]
        first = 1 - len(table) // 2
        x = (steps[..., 0] // n + np.arange(first, first + width)).astype(np.float32)
        y = (steps[..., 1] // n + np.arange(first, first + height)[:, None]).astype(np.float32)
        out = np.zeros_like(picture)
        for j in range(len(table)):
            line = np.zeros_like(picture)
            rows = y + np.float32(j)
            for i in range(len(table)):
                columns = x + np.float32(i)
                near = cv2.remap(picture, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
                line += near * across[i]
            out += line * down[j]
        return out


def parse(text: str) -> WarpEngine:
    """The engine of "grid=32,precision=1/128,kernel=cubic", parts of it, or "default".

    Raises UsageError for anything else.
    """
    if text == "default":
        return WarpEngine()
    values: dict[str, int | str] = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or name not in ("grid", "precision", "kernel") or name in values:
            raise UsageError(
                f"{part.strip()!r} says nothing about a warp engine; write --warp-engine "
                "grid=16..64,precision=1/32..1/256,kernel=linear|cubic, each once or not at all, or default."
            )
        values[name] = value if name == "kernel" else _number(name, value)
    return WarpEngine(**values)  # type: ignore[arg-type]


def _number(name: str, value: str) -> int:
    pattern = r"(?:1/)?(\d{1,6})" if name == "precision" else r"(\d{1,6})"
    found = re.fullmatch(pattern, value)
    if found is None:
        example = "1/128" if name == "precision" else "32"
        raise UsageError(f"The warp engine's {name} cannot be {value!r}; write {name}={example}.")
    return int(found[1])


def _nodes(size: int, grid: int) -> npt.NDArray[np.int64]:
    """Positions of the nodes: from 0 to the first one at or behind the last pixel."""
    return np.arange(-(-(size - 1) // grid) + 1) * grid


@functools.lru_cache(maxsize=8)
def _between(size: int, grid: int) -> Float32:
    """(size, nodes): how much of each node a pixel takes."""
    where = np.arange(size)[:, None] / grid - np.arange(len(_nodes(size, grid)))
    return np.asarray(np.clip(1 - np.abs(where), 0, None), np.float32)


@functools.cache
def _table(engine: WarpEngine) -> Float32:
    """(taps, precision): the weights, which sum to 1, of the samples around a position for each fraction of a pixel."""
    kernel, reach = KERNELS[engine.kernel]
    fractions = np.arange(engine.precision) / engine.precision
    weights = kernel(np.arange(1 - reach, reach + 1)[:, None] - fractions)
    return np.asarray(weights / weights.sum(axis=0), np.float32)
