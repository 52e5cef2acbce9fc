"""Motions as groups of matrices: what each parameter does to positions.

A step is a point of the group's Lie algebra, so that turned pictures stay turned pictures, without distortion (Baker &
Matthews, IJCV 56, 2004; Benhimane & Malis, IROS 2004).
"""

from __future__ import annotations

import math

import numpy as np

from subpixel.register.motion import Array, Float32, Float64, Model

GENERATORS = np.zeros((8, 3, 3))
GENERATORS[0, 0, 2] = GENERATORS[1, 1, 2] = 1  # to the right, down
GENERATORS[2, 0, 1], GENERATORS[2, 1, 0] = -1, 1  # turned
GENERATORS[3, 0, 0] = GENERATORS[3, 1, 1] = 1  # enlarged
GENERATORS[4, 0, 0], GENERATORS[4, 1, 1] = 1, -1  # stretched
GENERATORS[5, 0, 1] = GENERATORS[5, 1, 0] = 1  # sheared
GENERATORS[6, 2, 0] = GENERATORS[7, 2, 1] = 1  # in perspective

PARAMETERS = {"shift": 2, "euclidean": 3, "similarity": 4, "affine": 6, "homography": 8}


def normal(height: int, width: int) -> Float64:
    """(3, 3): from pixels to coordinates whose origin is the picture's middle and whose unit half its diagonal."""
    unit = math.hypot(height, width) / 2
    return np.array([[1, 0, (1 - width) / 2], [0, 1, (1 - height) / 2], [0, 0, unit]]) / unit


def exponential(model: Model, scale: Float64, step: Float64) -> Float64:
    """(3, 3): what a step (K,) in normal coordinates does to positions in pixels."""
    algebra = np.tensordot(step, GENERATORS[: PARAMETERS[model]], 1)
    result = term = np.eye(3)
    for n in range(1, 13):
        term = term @ algebra / n
        result = result + term
    return np.asarray(np.linalg.inv(scale) @ result @ scale, np.float64)


def _speeds(model: Model, x: Array, y: Array) -> list[tuple[Array, Array]]:
    """How positions (x, y) in normal coordinates move with each parameter."""
    moved = [(g[0, 0] * x + g[0, 1] * y + g[0, 2], g[1, 0] * x + g[1, 1] * y + g[1, 2]) for g in GENERATORS]
    depth = [g[2, 0] * x + g[2, 1] * y for g in GENERATORS]
    return [(dx - x * z, dy - y * z) for (dx, dy), z in zip(moved, depth, strict=True)][: PARAMETERS[model]]


def design(model: Model, slopes: tuple[Float32, Float32], scale: Float64) -> Float32:
    """(K, H W): how the samples of a plane with these slopes (H, W) change with each parameter."""
    height, width = slopes[0].shape
    x = ((np.arange(width) * scale[0, 0]) + scale[0, 2]).astype(np.float32)
    y = ((np.arange(height) * scale[1, 1]) + scale[1, 2]).astype(np.float32)[:, None]
    unit = np.float32(1 / scale[0, 0])
    rows = [(slopes[0] * (dx * unit) + slopes[1] * (dy * unit)).ravel() for dx, dy in _speeds(model, x, y)]
    return np.stack(rows).astype(np.float32, copy=False)


def fields(model: Model, scale: Float64, height: int, width: int) -> Float64:
    """(K, 2, 256): pixels by which 16 x 16 positions all over the picture move with each parameter."""
    y, x = np.mgrid[:16, :16]
    y, x = ((n.ravel() + 0.5) * side / 16 - 0.5 for n, side in ((y, height), (x, width)))
    x, y = x * scale[0, 0] + scale[0, 2], y * scale[1, 1] + scale[1, 2]
    ways = [np.stack(np.broadcast_arrays(dx + 0 * x, dy + 0 * y)) for dx, dy in _speeds(model, x, y)]
    return np.asarray(np.stack(ways) / scale[0, 0], np.float64)


def rescaled(matrix: Float64, factor: float) -> Float64:
    """A motion's matrix for pictures `factor` times as wide and high; pictures keep their outer edges."""
    offset = 0.5 * factor - 0.5
    finer = np.array([[factor, 0, offset], [0, factor, offset], [0, 0, 1.0]])
    changed = finer @ matrix @ np.linalg.inv(finer)
    return np.asarray(changed / changed[2, 2], np.float64)


def simplified(matrix: Float64, model: Model, height: int, width: int) -> Float64:
    """The motion of a model that does to the picture's middle what a matrix does there, as far as the model can."""
    if model == "homography":
        return np.asarray(matrix / matrix[2, 2], np.float64)
    middle = np.array([(width - 1) / 2, (height - 1) / 2, 1])
    x, y, z = matrix @ middle
    there = np.array([x, y]) / z
    linear = (matrix[:2, :2] - np.outer(there, matrix[2, :2])) / z
    if model == "shift":
        linear = np.eye(2)
    elif model in ("euclidean", "similarity"):
        u, s, v = np.linalg.svd(linear)
        turn = u @ np.diag([1, np.sign(np.linalg.det(u @ v))]) @ v
        linear = turn * (s.mean() if model == "similarity" else 1)
    simple = np.eye(3)
    simple[:2, :2], simple[:2, 2] = linear, there - linear @ middle[:2]
    return simple
