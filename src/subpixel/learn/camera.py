"""A synthetic camera: flat layers seen along paths of homographies, with motion blur, without aliasing.

A picture is rendered with twice the samples along both axes and made smaller by a Lanczos filter; the layers have one
to two samples for each of the picture's, so nothing is enlarged beyond what they hold, and nothing folds back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from subpixel import resample
from subpixel.frames import Frame

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Rng = np.random.Generator

SHUTTER = 8  # moments of a frame's time at which the paths are known
_OVER = 2  # samples rendered for each of the picture's, along both axes


@dataclasses.dataclass(frozen=True)
class Layer:
    """A flat picture and how the camera sees it.

    planes: Y (h, w), U and V (h/2, w/2), 8-bit code values as float32, already times the opacity; opacity: for luma
    (h, w) and for chroma (h/2, w/2), 0..1, or None for a layer that fills the view, which is mirrored at its edges.
    path: (frames, SHUTTER, 3, 3), from places in the view (pixels from its centre, the third coordinate 1) to places in
    the layer (samples of luma from its upper left corner).
    """

    planes: Sequence[Tensor]
    opacity: tuple[Tensor, Tensor] | None
    path: Float64


def render(layers: Sequence[Layer], width: int, height: int, shutter: int = 1) -> Iterator[Frame]:
    """The frames of a view of width x height pixels (even) on layers, the farthest first; 4:2:0, 8 bits, limited range.

    shutter: over how many of a frame's SHUTTER moments the light is gathered; 1 for no motion blur.
    """
    x, y = (((np.arange(side * _OVER) + 0.5) / _OVER - side / 2).astype(np.float32) for side in (width, height))
    for t in range(len(layers[0].path)):
        moments = {tuple(layer.path[t, k].tobytes() for layer in layers): k for k in range(max(1, shutter))}
        views = [
            _view(layers, t, k, x, y[:, None]) for k in sorted(moments.values())
        ]  # where nothing moves, one is enough
        sizes = ((width, height), (width // 2, height // 2), (width // 2, height // 2))
        planes: list[npt.NDArray[np.uint8]] = []
        for seen, (wide, tall) in zip(zip(*views, strict=True), sizes, strict=True):
            mean = torch.stack(seen).mean(0).numpy()
            small = resample.resize_real(mean, wide, tall, kernel="lanczos3")
            planes.append(np.clip(np.rint(small), 16, 240 if planes else 235).astype(np.uint8))
        yield Frame(tuple(planes), pts=t)


def _view(layers: Sequence[Layer], t: int, k: int, x: Float32, y: Float32) -> list[Tensor]:
    """Y, U, V with _OVER times the samples, at one moment; x, y: places in the view."""
    out: list[Tensor] = []
    for layer in layers:
        # Written out: a matrix product's last bits depend on how many threads compute it.
        u, v, w = (row[0] * x + row[1] * y + row[2] for row in layer.path[t, k].astype(np.float32))
        tall, wide = layer.planes[0].shape
        grid = torch.from_numpy(np.stack([u / w * (2 / np.float32(wide)), v / w * (2 / np.float32(tall))], -1) - 1)
        half = F.avg_pool2d(grid.permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0)
        seen = [_look(plane, where, layer) for plane, where in zip(layer.planes, (grid, half, half), strict=True)]
        if layer.opacity is None:
            out = seen
            continue
        luma, chroma = (_look(plane, where, layer) for plane, where in zip(layer.opacity, (grid, half), strict=True))
        out = [below * (1 - over) + mine for below, over, mine in zip(out, (luma, chroma, chroma), seen, strict=True)]
    return out


def _look(plane: Tensor, grid: Tensor, layer: Layer) -> Tensor:
    """A plane (H, W) at grid (h, w, 2), x and y from -1 to 1, by bicubic interpolation."""
    beyond = "reflection" if layer.opacity is None else "zeros"
    return F.grid_sample(plane[None, None], grid[None], mode="bicubic", padding_mode=beyond, align_corners=False)[0, 0]


@dataclasses.dataclass(frozen=True)
class Motion:
    """What a camera does, each (frames * SHUTTER,): x, y in pixels of the view, log zoom, roll in radians, tilts."""

    x: Float64
    y: Float64
    zoom: Float64
    roll: Float64
    tilt_x: Float64
    tilt_y: Float64

    def path(self, center: tuple[float, float], density: float, view: tuple[int, int], depth: float = 1.0) -> Float64:
        """(frames, SHUTTER, 3, 3) for a layer of `density` samples a pixel, whose place `center` is in the middle.

        depth: how much faster than the camera's own motion the layer passes by; near layers pass faster.
        """
        size = density * np.exp(-self.zoom * depth)
        cos, sin = np.cos(self.roll) * size, np.sin(self.roll) * size
        matrix = np.zeros((len(self.x), 3, 3))
        matrix[:, 0, 0], matrix[:, 0, 1] = cos, -sin
        matrix[:, 1, 0], matrix[:, 1, 1] = sin, cos
        matrix[:, 2, 0], matrix[:, 2, 1], matrix[:, 2, 2] = self.tilt_x / view[0], self.tilt_y / view[1], 1
        shift = np.stack([center[0] + self.x * depth * density, center[1] + self.y * depth * density])
        # x' = (A p + shift * w) / w with w = tilt . p + 1: the point in the middle of the view stays where it is.
        matrix[:, :2] += shift.T[:, :, None] * matrix[:, 2:]
        return matrix.reshape(-1, SHUTTER, 3, 3)


def wander(rng: Rng, frames: int, *, speed: float, shake: float, turn: float, rest: float) -> Motion:
    """A seeded motion of a camera held by hand.

    speed: typical pixels a frame; shake: the same for the jitter of the hand; turn: how much of zoom, roll and tilt,
    1 is usual; rest: chance that the camera comes to a full stop for a part of the time.
    """
    moments = frames * SHUTTER
    usual = np.array([speed, 0.6 * speed, 0.004 * turn, 0.003 * turn, 0.006 * turn, 0.006 * turn]) / SHUTTER
    hand = np.array([shake, shake, 0.001 * turn, 0.002 * turn, 0, 0]) / SHUTTER
    velocity = rng.normal(0, 1, 6) * usual + _smooth(rng, moments, 12 * SHUTTER) * usual
    velocity += _smooth(rng, moments, 2 * SHUTTER) * hand
    if rng.random() < rest:
        length = int(rng.integers(moments // 4, moments * 3 // 4))
        first = int(rng.integers(0, moments - length))
        velocity[first : first + length] = 0
    track = np.cumsum(velocity, axis=0)
    return Motion(*(track - track.mean(axis=0)).T)


def steady(frames: int, x: float = 0.0, y: float = 0.0) -> Motion:
    """No motion but a constant one of x, y pixels a frame."""
    time, none = np.arange(frames * SHUTTER) / SHUTTER, np.zeros(frames * SHUTTER)
    return Motion(x * time, y * time, none, none, none, none)


def _smooth(rng: Rng, moments: int, length: int) -> Float64:
    """(moments, 6) noise of standard deviation 1 whose values are alike over `length` moments."""
    window = np.hanning(length + 2)[1:-1]
    noise = rng.normal(0, 1, (moments + length - 1, 6))
    smooth: Float64 = np.apply_along_axis(np.convolve, 0, noise, window / np.sqrt((window**2).sum()), "valid")
    return smooth


def handheld(canvas: Sequence[Tensor], rng: Rng, *, width: int, height: int, frames: int) -> Iterator[Frame]:
    """The plain camera that the first networks learnt from: drift, shake, little zoom and roll; one in four is still.

    canvas: Y (H, W), U and V (H/2, W/2), code values. No motion blur and no filter: sampled by bicubic interpolation.
    """
    tall, wide = canvas[0].shape
    motion = _handheld_path(rng, frames, still=rng.random() < 0.25)
    middle = np.array([wide, tall]) / 2 - motion[:, :2].mean(axis=0)
    y, x = np.mgrid[0:height, 0:width] - np.array([height / 2 - 0.5, width / 2 - 0.5])[:, None, None]
    for t, (dx, dy, zoom, angle) in enumerate(motion):
        c, s = np.cos(angle) * np.exp(zoom), np.sin(angle) * np.exp(zoom)
        u, v = c * x - s * y + middle[0] + dx + 0.5, s * x + c * y + middle[1] + dy + 0.5
        full = np.stack([u / wide * 2 - 1, v / tall * 2 - 1])
        half = full.reshape(2, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
        yield Frame(tuple(_sampled(p, grid) for p, grid in zip(canvas, (full, half, half), strict=True)), pts=t)


def _handheld_path(rng: Rng, frames: int, still: bool) -> Float64:
    """(frames, 4) smooth hand-held motion: x, y in pixels, log zoom, rotation in radians."""
    speed = rng.normal(0, [3.0, 2.0, 0.002, 0.001]) * (not still)
    shake = rng.normal(0, [0.8, 0.8, 0.0005, 0.0005], (frames + 8, 4)) * (not still)
    smooth = np.apply_along_axis(np.convolve, 0, shake, np.hanning(11)[1:-1] / 2, "valid")
    path: Float64 = np.arange(frames)[:, None] * speed + np.cumsum(smooth, axis=0)[:frames]
    return path


def _sampled(canvas: Tensor, grid: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    where = torch.from_numpy(grid).permute(1, 2, 0)[None].float()
    seen = F.grid_sample(canvas[None, None], where, mode="bicubic", padding_mode="reflection", align_corners=False)
    return seen[0, 0].clamp(0, 255).round().to(torch.uint8).numpy()
