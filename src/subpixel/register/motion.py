"""Motion: where what one picture shows is found in another, how sure that is, and how motions combine."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Model = Literal["shift", "euclidean", "similarity", "affine", "homography", "flow"]

MODELS: tuple[Model, ...] = ("shift", "euclidean", "similarity", "affine", "homography", "flow")


@dataclasses.dataclass(frozen=True, eq=False)
class Motion:
    """Where what the reference shows is found in the moving picture.

    Positions are (x, y), x to the right and y downwards, in pixels; the centre of the first pixel is (0, 0).
    model: one of MODELS. matrix: (3, 3) float64, maps a reference position (x, y, 1) to the position in the moving
    picture where the same thing is seen: a shift of (dx, dy) means that it is seen at (x + dx, y + dy). flow: None, or
    with model "flow" (H, W, 2) float32: (dx, dy) for each pixel of the reference; the matrix is then the identity.
    rmse: predicted error of positions in pixels, the root of the mean of squared distances over the picture.
    gain, bias: moving = gain * reference + bias in sample values; 1 and 0 where they were not asked for.
    overlap: the share of the reference that is seen in the moving picture, 0 to 1.
    warning: a sentence where rmse is too large to be relied on, else "".
    """

    model: Model = "shift"
    matrix: Float64 = dataclasses.field(default_factory=lambda: np.eye(3))
    flow: Float32 | None = None
    rmse: float = 0.0
    gain: float = 1.0
    bias: float = 0.0
    overlap: float = 1.0
    warning: str = ""

    @property
    def shift(self) -> tuple[float, float]:
        """(dx, dy) in pixels: the translation of a matrix, which is where it takes (0, 0); the mean of a flow."""
        if self.flow is not None:
            dx, dy = self.flow.reshape(-1, 2).mean(0, dtype=np.float64)
            return float(dx), float(dy)
        return float(self.matrix[0, 2] / self.matrix[2, 2]), float(self.matrix[1, 2] / self.matrix[2, 2])

    def points(self, xy: Array) -> Float64:
        """Positions (N, 2) in the moving picture of positions (N, 2) in the reference; a flow holds to its border."""
        xy = np.asarray(xy, np.float64)
        if self.flow is not None:
            return xy + bilinear(self.flow, xy)
        homogeneous = np.column_stack([xy, np.ones(len(xy))]) @ self.matrix.T
        return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:], np.float64)

    def inverse(self) -> Motion:
        """The motion from the moving picture to the reference.

        A flow is inverted by fixed-point iteration, which finds it where neighbours keep their order.
        """
        changes: dict[str, Any] = {"gain": 1 / self.gain, "bias": -self.bias / self.gain}
        if self.flow is None:
            matrix = np.linalg.inv(self.matrix)
            return dataclasses.replace(self, matrix=matrix / matrix[2, 2], **changes)
        height, width = self.flow.shape[:2]
        start = grid(height, width)
        back = -self.flow.reshape(-1, 2).astype(np.float64)
        for _ in range(20):
            back = -bilinear(self.flow, start + back)
        return dataclasses.replace(self, flow=back.reshape(height, width, 2).astype(np.float32), **changes)

    def then(self, other: Motion) -> Motion:
        """The motion from a to c, this one being from a to b and `other` from b to c; errors add as squares."""
        changes: dict[str, Any] = {
            "gain": self.gain * other.gain,
            "bias": other.gain * self.bias + other.bias,
            "rmse": math.hypot(self.rmse, other.rmse),
            "overlap": self.overlap * other.overlap,
            "warning": " ".join(filter(None, (self.warning, other.warning))),
        }
        flow = self.flow if self.flow is not None else other.flow
        if flow is None:
            matrix = other.matrix @ self.matrix
            model = max(self.model, other.model, key=MODELS.index)
            return dataclasses.replace(self, model=model, matrix=matrix / matrix[2, 2], **changes)
        height, width = flow.shape[:2]
        start = grid(height, width)
        whole = (other.points(self.points(start)) - start).reshape(height, width, 2).astype(np.float32)
        return dataclasses.replace(self, model="flow", matrix=np.eye(3), flow=whole, **changes)

    def scaled(self, factor: float) -> Motion:
        """The same motion between pictures `factor` times as wide and high.

        Pictures keep their outer edges: what was at p is at (p + 0.5) * factor - 0.5. Raises UsageError for a factor
        that is not above 0.
        """
        if not 0 < factor < math.inf:
            raise UsageError(f"A motion cannot be scaled by {factor}; use a factor above 0.")
        offset = 0.5 * factor - 0.5
        finer = np.array([[factor, 0, offset], [0, factor, offset], [0, 0, 1.0]])
        if self.flow is None:
            matrix = finer @ self.matrix @ np.linalg.inv(finer)
            return dataclasses.replace(self, matrix=matrix / matrix[2, 2], rmse=self.rmse * factor)
        height, width = (max(1, round(side * factor)) for side in self.flow.shape[:2])
        flow = factor * bilinear(self.flow, (grid(height, width) - offset) / factor).reshape(height, width, 2)
        return dataclasses.replace(self, flow=flow.astype(np.float32), rmse=self.rmse * factor)


def grid(height: int, width: int) -> Float64:
    """(height * width, 2): the positions (x, y) of all pixels, row by row."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x.ravel(), y.ravel()], 1).astype(np.float64)


def bilinear(plane: Array, xy: Array) -> Float64:
    """(N, C): an array (H, W, C) at positions (N, 2) by linear interpolation; the border is repeated."""
    height, width = plane.shape[:2]
    x, y = np.clip(xy[:, 0], 0, width - 1), np.clip(xy[:, 1], 0, height - 1)
    left, top = np.minimum(x.astype(int), max(width - 2, 0)), np.minimum(y.astype(int), max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (x - left)[:, None], (y - top)[:, None]
    above = plane[top, left] * (1 - across) + plane[top, right] * across
    below = plane[bottom, left] * (1 - across) + plane[bottom, right] * across
    return np.asarray(above * (1 - down) + below * down, np.float64)
