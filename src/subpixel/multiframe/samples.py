"""A burst's samples: what each frame counted, how much that is worth, and where it lies on the fine grid."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from subpixel.multiframe.guides import GUIDE, Box, Frame, Source, balance, colours, enlarged
from subpixel.multiframe.noise import Noise, variance
from subpixel.multiframe.normal import Normal
from subpixel.multiframe.raw import Mosaic

Float = npt.NDArray[Any]  # float32

FAINTEST = 0.1  # part of a middle tone's variance that every sample is taken to have: motions and lens are not exact
EDGE = 0.51  # fine pixels from the outermost nodes from which a sample has all of its own
_STEP = 16  # fine pixels between the places where a motion is followed to find what it covers


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """Rows top to bottom - 1 and columns left to right - 1 of the fine grid, which may reach beyond the picture."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    def grown(self, margin: int) -> Piece:
        """With so many more pixels on every side."""
        return Piece(self.top - margin, self.bottom + margin, self.left - margin, self.right + margin)


def deposit(normal: Normal, source: Source, piece: Piece, noise: Noise, unit: float) -> None:
    """Adds the samples of a frame that lie well inside a piece; a sample of the variance `unit` has the weight 1."""
    frame, motion, scale = source.frame, source.motion, normal.optics.scale
    box = _box(source, piece, scale)
    if box is None:
        return
    top, _, left, _ = box
    values = frame.part(*box)
    kept = enlarged(source.kept, box)
    lattice = motion.model == "shift" and float(scale).is_integer()
    place = None if lattice else _places(source, box, scale) - np.array([piece.left, piece.top])
    pattern = colours(frame)
    period = len(pattern)
    for y in range(period):
        for x in range(period):
            channel = int(pattern[(top + y) % period, (left + x) % period])
            mine, worth = values[y::period, x::period], kept[y::period, x::period]
            mine, worth = _weighed(mine, worth, frame, channel, source.gain, noise, unit)
            if place is not None:
                _deposit_points(normal, channel, mine, worth, place[y::period, x::period])
            else:
                dx, dy = motion.shift
                where = _fine(top + y - dy, scale) - piece.top, _fine(left + x - dx, scale) - piece.left
                _deposit_lattice(normal, channel, mine, worth, where, round(period * scale))


def _weighed(
    values: Float, kept: Float, frame: Frame, channel: int, gain: float, noise: Noise, unit: float
) -> tuple[Float, Float]:
    """Samples as the reference would have them, balanced, and their weights."""
    if gain > 1.02:  # what this frame lost in white, the darker reference has
        peak = values if values.ndim == 2 else values.max(-1)
        kept = np.where(peak > 0.98, 0, kept)
    factor = np.float32((balance(frame)[channel] if channel >= 0 else 1) / gain)
    signal = cv2.blur(values, (9, 9), borderType=cv2.BORDER_REFLECT_101)  # so wide that no sample sets its own weight
    if signal.ndim == 3:
        signal = signal.mean(-1)
    doubt = np.maximum(variance(signal, noise), np.float32(FAINTEST * unit))
    return values * factor, kept * np.float32(unit) / (factor**2 * doubt)


def _deposit_points(
    normal: Normal, channel: int, values: Float, weights: Float, place: npt.NDArray[np.float64]
) -> None:
    height, width = normal.shape[1:]
    x, y = place[..., 0], place[..., 1]
    inside = (y > EDGE) & (y < height - 1 - EDGE) & (x > EDGE) & (x < width - 1 - EDGE) & (weights > 0)
    normal.add_points(max(channel, 0), values[inside], weights[inside], y[inside], x[inside])


def _deposit_lattice(
    normal: Normal, channel: int, values: Float, weights: Float, where: tuple[float, float], step: int
) -> None:
    cut, starts = [], []
    for first, count, size in zip(where, values.shape[:2], normal.shape[1:], strict=True):
        skip = max(0, int(np.ceil((EDGE - first) / step)))
        last = min(count - 1, int(np.floor((size - 1 - EDGE - first) / step)))
        if last < skip:
            return
        cut.append(slice(skip, last + 1))
        starts.append(first + skip * step)
    normal.add_lattice(max(channel, 0), values[cut[0], cut[1]], weights[cut[0], cut[1]], starts[0], starts[1], step)


def _fine(position: float, scale: float) -> float:
    """A position of the reference's grid on the fine grid: pictures keep their outer edges."""
    return (position + 0.5) * scale - 0.5


def _places(source: Source, box: Box, scale: float) -> npt.NDArray[np.float64]:
    """(height, width, 2): x, y on the fine grid of the pixels of a box of the frame."""
    top, bottom, left, right = box
    y, x = np.mgrid[top:bottom, left:right]
    there = source.back.points(np.stack([x.ravel(), y.ravel()], 1))
    return _fine_places(there, scale).reshape(bottom - top, right - left, 2)


def _fine_places(places: npt.NDArray[np.float64], scale: float) -> npt.NDArray[np.float64]:
    return (places + 0.5) * scale - 0.5


def _box(source: Source, piece: Piece, scale: float) -> Box | None:
    """Rows and columns of the frame that may fall into a piece; the first of both begin its pattern and a quad."""
    if min(piece.shape) <= 0:
        return None
    rows = np.linspace(piece.top, piece.bottom - 1, max(2, piece.shape[0] // _STEP))
    columns = np.linspace(piece.left, piece.right - 1, max(2, piece.shape[1] // _STEP))
    y, x = np.meshgrid(rows, columns, indexing="ij")
    there = source.motion.points((np.stack([x.ravel(), y.ravel()], 1) + 0.5) / scale - 0.5)
    height, width = source.frame.size
    period = np.lcm(len(colours(source.frame)), GUIDE)
    low, high = np.floor(there.min(0)).astype(int) - 2, np.ceil(there.max(0)).astype(int) + 3
    left, top = (max(0, int(v)) // period * period for v in low)
    right, bottom = min(width, int(high[0])), min(height, int(high[1]))
    return (top, bottom, left, right) if bottom - top >= period and right - left >= period else None


def predicted(nodes: Float, normal: Normal, source: Source, piece: Piece) -> tuple[Box, Float, Float] | None:
    """(box, samples, what the nodes of a piece predict for them) of a frame's pixels in and around a piece.

    Samples and predictions are (h, w) of a mosaic or (h, w, channels), in the frame's own units but for its gain;
    predictions are NaN outside the piece. nodes: (channels, height, width), see `Solver.seen_by_camera`.
    """
    box = _box(source, piece, normal.optics.scale)
    if box is None:
        return None
    seen = source.frame.part(*box) / np.float32(source.gain)
    seen = seen if isinstance(source.frame, Mosaic) or seen.ndim == 3 else seen[..., None]
    place = _places(source, box, normal.optics.scale) - np.array([piece.left, piece.top])
    height, width = normal.shape[1:]
    inside = (place > EDGE).all(-1) & (place < (width - 1 - EDGE, height - 1 - EDGE)).all(-1)
    expected = np.full(seen.shape, np.nan, np.float32)
    pattern, gains = colours(source.frame), balance(source.frame)
    period = len(pattern)
    for y in range(period):
        for x in range(period):
            at, here = place[y::period, x::period], inside[y::period, x::period]
            for c in range(len(nodes)) if pattern[y, x] < 0 else [int(pattern[y, x])]:
                out = expected[y::period, x::period] if expected.ndim == 2 else expected[..., c]
                out[here] = normal.at(nodes[c], at[here][:, 1], at[here][:, 0]) / gains[c]
    return box, seen, expected
