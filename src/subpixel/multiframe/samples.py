"""A burst's samples: what each frame counted, how much that is worth, and where it lies on the fine grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from subpixel.multiframe.noise import Noise, variance
from subpixel.multiframe.normal import Normal
from subpixel.multiframe.raw import Mosaic
from subpixel.pictures import Picture
from subpixel.register import Motion

Float = npt.NDArray[np.float32]
Frame = Picture | Mosaic

EDGE = 0.51  # fine pixels from the outermost nodes from which a sample has all of its own
GUIDE = 2  # pixels of a frame that one of its guide averages along each axis: a Bayer quad
_STEP = 8  # pixels between the places where a motion is followed where it need not be followed closely


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


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One frame of a burst, and how it relates to the reference.

    motion: from the reference to the frame; back: its inverse. gain: how much brighter than the reference it was
    exposed. kept: (ceil(height / 2), ceil(width / 2)) 0 to 1, what each quad of it is worth, or None where all count.
    """

    frame: Frame
    motion: Motion
    back: Motion
    gain: float = 1.0
    kept: Float | None = None


def channels(frame: Frame) -> int:
    """3 for colours, 1 for grey."""
    return 1 if isinstance(frame, Picture) and frame.samples.ndim == 2 else 3


def colours(frame: Frame) -> npt.NDArray[np.int64]:
    """(n, n) of which channel the pixels of a mosaic saw; -1 where each pixel saw all."""
    return frame.pattern if isinstance(frame, Mosaic) else np.full((1, 1), -1)


def balance(frame: Frame) -> Float:
    """(3,) gains of red, green and blue that make white things grey; 1 for what is developed."""
    return np.asarray(frame.camera.balance if isinstance(frame, Mosaic) else (1, 1, 1), np.float32)


def planes(frame: Frame) -> list[Float]:
    """The samples of each colour as pictures (h, w), those of a mosaic apart by their places in it."""
    data, period = frame.data, len(colours(frame))
    if data.ndim == 3:
        return [data[..., channel] for channel in range(3)]
    return [data[y::period, x::period] for y in range(period) for x in range(period)]


def guide(frame: Frame) -> Float:
    """(ceil(height / 2), ceil(width / 2), channels): balanced colours at half the size, without aliasing to speak of.

    The quads of a mosaic with a larger pattern than Bayer's are averaged over what they hold of a colour.
    """
    data = frame.data
    if isinstance(frame, Mosaic):
        data = _spread(data, frame)
    height, width = data.shape[:2]
    data = np.pad(data, ((0, height % 2), (0, width % 2), *((0, 0),) * (data.ndim - 2)), mode="edge")
    small = (data[::2, ::2] + data[1::2, ::2] + data[::2, 1::2] + data[1::2, 1::2]) / 4
    small = cv2.GaussianBlur(small, (0, 0), 1.0)
    return small if small.ndim == 3 else small[..., None]


def _spread(data: Float, frame: Mosaic) -> Float:
    """(height, width, 3) balanced colours, each the mean of the samples of it nearby."""
    pattern = colours(frame)
    tiled = np.tile(pattern, (-(-data.shape[0] // len(pattern)), -(-data.shape[1] // len(pattern))))
    tiled = tiled[: data.shape[0], : data.shape[1]]
    side = len(pattern) + 1 if len(pattern) > 2 else 3
    planes = []
    for channel, gain in enumerate(balance(frame)):
        mask = (tiled == channel).astype(np.float32)
        window = np.convolve(np.ones(side - 1), [0.5, 0.5]).astype(np.float32)
        total = cv2.sepFilter2D(data * mask, -1, window, window, borderType=cv2.BORDER_REFLECT_101)
        count = cv2.sepFilter2D(mask, -1, window, window, borderType=cv2.BORDER_REFLECT_101)
        planes.append(gain * total / np.maximum(count, 1e-3))
    return np.stack(planes, -1)


def aligned_guide(reference: Float, source: Source) -> tuple[Float, npt.NDArray[np.bool_]]:
    """(h, w, channels): the reference's guide where the frame's guide pixels lie; (h, w): whether it reaches there."""
    height, width = reference.shape[:2]
    y, x = np.mgrid[0 : height + _STEP : _STEP, 0 : width + _STEP : _STEP]
    centre = GUIDE * np.stack([x.ravel(), y.ravel()], 1) + (GUIDE - 1) / 2
    there = ((source.back.points(centre) - (GUIDE - 1) / 2) / GUIDE).reshape(*y.shape, 2).astype(np.float32)
    # Linear between those places: node k lies at _STEP * k, so the finer grid begins at its centre, not at its edge.
    rows, columns = np.arange(height, dtype=np.float32) / _STEP, np.arange(width, dtype=np.float32) / _STEP
    at_x, at_y = np.meshgrid(columns, rows)
    place = cv2.remap(there, at_x, at_y, cv2.INTER_LINEAR)
    aligned = cv2.remap(reference, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = (place > -0.75).all(-1) & (place[..., 0] < width - 0.25) & (place[..., 1] < height - 0.25)
    return aligned.reshape(reference.shape), seen


def deposit(normal: Normal, source: Source, piece: Piece, noise: Noise, unit: float) -> None:
    """Adds the samples of a frame that lie well inside a piece; a sample of the variance `unit` has the weight 1."""
    frame, motion, scale = source.frame, source.motion, normal.optics.scale
    box = _box(source, piece, scale)
    if box is None:
        return
    top, _, left, _ = box
    values = frame.part(*box)
    kept = np.ones(values.shape[:2], np.float32) if source.kept is None else _enlarged(source.kept, box)
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
    signal = cv2.blur(values, (3, 3), borderType=cv2.BORDER_REFLECT_101)
    if signal.ndim == 3:
        signal = signal.mean(-1)
    return values * factor, kept * np.float32(unit) / (factor**2 * variance(signal, noise))


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


def _places(source: Source, box: tuple[int, int, int, int], scale: float) -> npt.NDArray[np.float64]:
    """(height, width, 2): x, y on the fine grid of the pixels of a box of the frame."""
    top, bottom, left, right = box
    y, x = np.mgrid[top:bottom, left:right]
    there = source.back.points(np.stack([x.ravel(), y.ravel()], 1))
    return _fine_places(there, scale).reshape(bottom - top, right - left, 2)


def _fine_places(places: npt.NDArray[np.float64], scale: float) -> npt.NDArray[np.float64]:
    return (places + 0.5) * scale - 0.5


def _box(source: Source, piece: Piece, scale: float) -> tuple[int, int, int, int] | None:
    """Rows and columns of the frame that may fall into a piece; the first of both begin its pattern."""
    if min(piece.shape) <= 0:
        return None
    rows = np.linspace(piece.top, piece.bottom - 1, max(2, piece.shape[0] // _STEP))
    columns = np.linspace(piece.left, piece.right - 1, max(2, piece.shape[1] // _STEP))
    y, x = np.meshgrid(rows, columns, indexing="ij")
    there = source.motion.points((np.stack([x.ravel(), y.ravel()], 1) + 0.5) / scale - 0.5)
    height, width = source.frame.size
    period = len(colours(source.frame))
    low, high = np.floor(there.min(0)).astype(int) - 2, np.ceil(there.max(0)).astype(int) + 3
    left, top = (max(0, int(v)) // period * period for v in low)
    right, bottom = min(width, int(high[0])), min(height, int(high[1]))
    return (top, bottom, left, right) if bottom - top >= period and right - left >= period else None


def _enlarged(kept: Float, box: tuple[int, int, int, int]) -> Float:
    top, bottom, left, right = box
    part = kept[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2].astype(np.float32)
    part = part.repeat(2, 0).repeat(2, 1)
    return part[top % 2 : top % 2 + bottom - top, left % 2 : left % 2 + right - left]


def predicted(nodes: Float, normal: Normal, source: Source, piece: Piece) -> Iterator[tuple[Float, Float]]:
    """(samples, what the nodes of a piece predict for them), each (n,), in the frame's own units but for its gain, of
    the samples of a frame within a piece that are kept.

    nodes: (channels, height, width), the picture as the camera blurs it (`Solver.seen_by_camera`).
    """
    box = _box(source, piece, normal.optics.scale)
    if box is None:
        return
    values = source.frame.part(*box)
    place = _places(source, box, normal.optics.scale) - np.array([piece.left, piece.top])
    kept = np.ones(values.shape[:2], np.float32) if source.kept is None else _enlarged(source.kept, box)
    pattern = colours(source.frame)
    period = len(pattern)
    height, width = normal.shape[1:]
    gains = balance(source.frame)
    for y in range(period):
        for x in range(period):
            at, worth = place[y::period, x::period], kept[y::period, x::period]
            inside = (at > EDGE).all(-1) & (at < (width - 1 - EDGE, height - 1 - EDGE)).all(-1) & (worth > 0.5)
            for c in range(len(nodes)) if pattern[y, x] < 0 else [int(pattern[y, x])]:
                seen = values[y::period, x::period]
                seen = seen[..., c] if seen.ndim == 3 else seen
                expected = normal.at(nodes[c], at[inside][:, 1], at[inside][:, 0])
                yield seen[inside] / np.float32(source.gain), expected / gains[c]
