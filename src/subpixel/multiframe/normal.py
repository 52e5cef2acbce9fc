"""The normal equations of many samples at any places: memory by the picture's size, however many frames there are.

A sample at (u, v) is a weighted sum of 3 x 3 nodes of a fine grid (`optics.Optics`). Its weighted square adds, to the
quadratic form in the nodes, only products of nodes at most 2 apart along each axis: 13 planes hold the symmetric
matrix. Multiplying by it takes the same time for two frames as for two hundred.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from subpixel.multiframe.optics import WIDTH, Optics

Float = npt.NDArray[Any]  # float32
Index = Any  # what a NumPy array is indexed with

# Offsets of the second node from the first one, half of the 5 x 5: the others follow from symmetry.
OFFSETS = [(dy, dx) for dy in range(WIDTH) for dx in range(1 - WIDTH, WIDTH) if (dy, dx) >= (0, 0)]
REACH = WIDTH - 1
_ROWS = 128  # of one step of the product, so that its operands stay in the cache


class Normal:
    """The matrix and the right-hand side for a picture of `channels` planes (height, width).

    shared: all channels are sampled at the same places with the same weights, so that one matrix serves them.
    """

    def __init__(self, optics: Optics, height: int, width: int, channels: int, *, shared: bool) -> None:
        self.optics = optics
        self.shape = channels, height, width
        self.planes = np.zeros((1 if shared else channels, len(OFFSETS), height, width), np.float32)
        self.rhs = np.zeros(self.shape, np.float32)

    def density(self) -> float:
        """Mean weight of the samples per fine pixel and channel."""
        return float(self.weight().mean(dtype=np.float64)) / len(self.planes)

    def weight(self) -> Float:
        """(height, width): weight of the samples around each fine pixel, all channels together."""
        # The weights of a sample's nodes have the sum 1, so all entries of its rows add up to its weight.
        total = 2 * self.planes.sum((0, 1)) - self.planes[:, 0].sum(0)
        return np.asarray(total, np.float32)

    def add_lattice(self, channel: int, values: Float, weights: Float, top: float, left: float, step: int) -> None:
        """Samples (h, w[, channels]) at the fine positions (top + step * i, left + step * j), all in the picture."""
        row, column = round(top), round(left)
        down, across = self.optics.weights(np.array([top - row, left - column])).T
        rows, columns = ((size - 1) * step + 1 for size in weights.shape)

        def place(plane: Float, a: int, b: int) -> tuple[Float, Index]:
            y, x = row + a - 1, column + b - 1
            return plane, (slice(y, y + rows, step), slice(x, x + columns, step))

        self._add(channel, values, weights, down, across, place)

    def add_points(self, channel: int, values: Float, weights: Float, y: Float, x: Float) -> None:
        """Samples (n[, channels]) with weights (n,) at the fine positions y, x (n,), all in the picture.

        Where several of one call are nearest to the same node, the last of them counts.
        """
        row, column = np.rint(y), np.rint(x)
        down, across = self.optics.weights(y - row), self.optics.weights(x - column)
        width = self.shape[2]
        index = (row.astype(np.int64) - 1) * width + column.astype(np.int64) - 1

        def place(plane: Float, a: int, b: int) -> tuple[Float, Index]:
            return plane.reshape(-1)[a * width + b :], index

        self._add(channel, values, weights, down, across, place)

    def _add(self, channel: int, values: Float, weights: Float, down: Float, across: Float, place: Any) -> None:
        shared = len(self.planes) < self.shape[0]
        planes = self.planes[0 if shared else channel]
        targets = self.rhs if shared else self.rhs[channel : channel + 1]
        weighted = np.moveaxis(values * weights[..., None], -1, 0) if values.ndim > weights.ndim else [values * weights]
        for a in range(WIDTH):
            for b in range(WIDTH):
                first = down[a] * across[b]
                for target, value in zip(targets, weighted, strict=True):
                    array, index = place(target, a, b)
                    array[index] += value * first
                scaled = weights * first
                for plane, (dy, dx) in zip(planes, OFFSETS, strict=True):
                    if a + dy < WIDTH and 0 <= b + dx < WIDTH:
                        array, index = place(plane, a, b)
                        array[index] += scaled * (down[a + dy] * across[b + dx])

    def at(self, nodes: Float, y: Float, x: Float) -> Float:
        """(n,) samples of one channel's nodes (height, width) at the fine positions y, x (n,), all in the picture."""
        row, column = np.rint(y), np.rint(x)
        down, across = self.optics.weights(y - row), self.optics.weights(x - column)
        index = (row.astype(np.int64) - 1) * self.shape[2] + column.astype(np.int64) - 1
        flat = nodes.reshape(-1)
        out = np.zeros(len(index), np.float32)
        for a in range(WIDTH):
            for b in range(WIDTH):
                out += down[a] * across[b] * flat[index + (a * self.shape[2] + b)]
        return out

    def product(self, nodes: Float) -> Float:
        """The matrix times nodes (channels, height, width)."""
        channels, height, width = self.shape
        out = np.zeros((channels, height + 2 * REACH, width + 2 * REACH), np.float32)
        padded = np.zeros((height + 2 * REACH, width + 2 * REACH), np.float32)
        for channel in range(channels):
            padded[REACH:-REACH, REACH:-REACH] = nodes[channel]
            _multiply(self.planes[channel if len(self.planes) > 1 else 0], padded, out[channel])
        return out[:, REACH:-REACH, REACH:-REACH]


def _multiply(planes: Float, nodes: Float, out: Float) -> None:
    """Adds the product of one channel; nodes and out have a margin of REACH."""
    height, width = planes.shape[1:]
    inner = slice(REACH, REACH + width)
    for start in range(0, height, _ROWS):
        stop = min(start + _ROWS, height)
        rows = slice(start + REACH, stop + REACH)
        for plane, (dy, dx) in zip(planes, OFFSETS, strict=True):
            there = slice(start + REACH + dy, stop + REACH + dy), slice(REACH + dx, REACH + dx + width)
            cv2.accumulateProduct(plane[start:stop], nodes[there], out[rows, inner])
            if (dy, dx) != (0, 0):
                cv2.accumulateProduct(plane[start:stop], nodes[rows, inner], out[there])
