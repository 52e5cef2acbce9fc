"""The frames of a burst as small, smooth pictures of one kind, which can be compared."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from subpixel.multiframe.raw import Mosaic
from subpixel.pictures import Picture
from subpixel.register import Motion

Float = npt.NDArray[Any]  # float32
Frame = Picture | Mosaic
Box = tuple[int, int, int, int]  # top, bottom, left, right: rows and columns of a frame, the ends not included

GUIDE = 2  # pixels of a frame that one of its guide averages along each axis: a Bayer quad
_STEP = 8  # pixels between the places where a motion is followed where it need not be followed closely


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

    @property
    def share(self) -> float:
        """The share of the frame that counts."""
        return 1.0 if self.kept is None else float(self.kept.mean(dtype=np.float64))

    def keeping(self, kept: Float) -> Source:
        """The same frame with other parts of it kept."""
        return dataclasses.replace(self, kept=kept)


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
    small = cv2.GaussianBlur(halved(data), (0, 0), 1.0)
    return small if small.ndim == 3 else small[..., None]


def view(frame: Frame) -> Float:
    """The frame as it is registered, (height, width) or (height, width, 3).

    The colours of a mosaic are mixed, by a filter that is blind to the mosaic itself.
    """
    if isinstance(frame, Mosaic) and len(frame.pattern) == 2:
        mix = np.array([0.25, 0.5, 0.25], np.float32)
        mixed: Float = cv2.sepFilter2D(frame.data, -1, mix, mix, borderType=cv2.BORDER_REFLECT_101)
        return mixed
    if isinstance(frame, Mosaic):
        mean: Float = cv2.resize(guide(frame).mean(-1), frame.size[::-1], interpolation=cv2.INTER_LINEAR)
        return mean
    return frame.data


def halved(picture: Float) -> Float:
    """(ceil(height / 2), ceil(width / 2), ...): means of 2 x 2 pixels; the last row or column may stand alone."""
    height, width = picture.shape[:2]
    even = np.pad(picture, ((0, height % 2), (0, width % 2), *((0, 0),) * (picture.ndim - 2)), mode="edge")
    means: Float = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / np.float32(4)
    return means


def enlarged(kept: Float | None, box: Box) -> Float:
    """(height, width) of a box (top, bottom, left, right) of a frame, from what is kept of its quads."""
    top, bottom, left, right = box
    if kept is None:
        return np.ones((bottom - top, right - left), np.float32)
    part = kept[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2].astype(np.float32)
    part = part.repeat(2, 0).repeat(2, 1)
    cut: Float = part[top % 2 : top % 2 + bottom - top, left % 2 : left % 2 + right - left]
    return cut


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
