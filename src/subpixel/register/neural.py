"""A flow by the motion network inside `best`: what learnt to restore films, looking at two pictures."""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import numpy as np

from subpixel import weights
from subpixel.errors import UsageError
from subpixel.register import sampling
from subpixel.register.features import bytes_of
from subpixel.register.motion import Array, Float32, Float64, bilinear, grid


def search(reference: Float32, moving: Float32, start: Float64) -> Float32:
    """A flow (H, W, 2) in pixels between two planes, begun at a matrix, by the motion network inside `best`.

    See models/flow.py. What it was trained for is features, and it finds less than half of a motion: a start, no more.
    Raises UsageError where torch or onnx is not installed.
    """
    import cv2

    for package in ("torch", "onnx"):
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"A flow by the network needs {package}; install it with: pip install 'subpixel[train]'")
    height, width = reference.shape
    mine, theirs = bytes_of(reference), bytes_of(moving)
    here = np.moveaxis(np.mgrid[:height, :width].astype(np.float32)[::-1], 0, 2)
    there = np.stack(sampling.positions(start, reference.shape), 2).astype(np.float32)
    seen = cv2.remap(theirs, there[..., 0], there[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return there - here + _flow(mine, np.asarray(seen))


def _flow(reference: Array, moving: Array) -> Float32:
    """What the network sees between two planes of bytes (H, W): (H, W, 2) pixels."""
    import torch

    height, width = reference.shape
    padded = [np.pad(p, ((0, height % 2), (0, width % 2)), mode="edge") for p in (reference, moving)]
    planes = [torch.from_numpy(p.astype(np.float32))[None, None] / 255 - 0.5 for p in padded]
    with torch.no_grad():
        cells, _ = _flow_network()(*(torch.nn.functional.pixel_unshuffle(p, 2) for p in planes), None)
    where = (grid(height, width) - 0.5) / 2  # cells are 2 x 2 pixels
    return 2 * bilinear(np.moveaxis(cells[0].numpy(), 0, 2), where).reshape(height, width, 2).astype(np.float32)


@functools.cache
def _flow_network() -> Any:
    """The part of `best` that finds motion."""
    from subpixel import models

    best = weights.load("best", 4)
    return models.network(best.path, best.card).flow.eval()
