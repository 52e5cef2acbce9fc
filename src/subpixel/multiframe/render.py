"""A tele picture as a coarser sensor would have seen it, and the homography under which that is what it did see.

What is compared is always sampled alike, so aliasing is no error but information; and the slopes are those of the fine
picture, averaged as the samples are. So no blur is needed, and the error comes near what the noise allows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError
from subpixel.multiframe import tone
from subpixel.register import Motion, register, warp

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_ROUNDS = 8
_STILL = 0.003  # HR pixels that the corners move in the last round
_CLIPPED, _BLACK = 0.985, 0.004  # beyond, a sample may have been brighter or darker than it could say
_BLOCK = 16  # LR pixels: errors of samples that far apart are taken for independent
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601


def luma(picture: Float32) -> Float32:
    """(H, W) of (H, W, 3), BT.601."""
    return np.asarray(picture @ _WEIGHTS, np.float32)


def shrunk(picture: Array, scale: int) -> Float32:
    """Means of scale x scale samples, as a sensor takes them; (scale H, scale W[, C])."""
    height, width = picture.shape[0] // scale, picture.shape[1] // scale
    blocks = picture.reshape(height, scale, width, scale, *picture.shape[2:])
    return np.asarray(blocks.mean((1, 3), dtype=np.float32))


def rendered(picture: Float32, motion: Motion, size: tuple[int, int], scale: int) -> tuple[Float32, Array]:
    """The fine picture (scale height, scale width[, 3]) for a grid of size (height, width), and where low sees it all.

    motion: from the fine grid to the picture. What is not in the picture is 0.
    """
    height, width = size
    fine, valid = warp(picture, motion, shape=(height * scale, width * scale), kernel="cubic", fill=0.0)
    return fine, np.asarray(valid.reshape(height, scale, width, scale).all((1, 3)))


def comparable(low: Float32, valid: Array) -> Array:
    """(H, W): the valid samples of low (H, W, 3) that say how bright things were, and so do their neighbours."""
    from scipy.ndimage import binary_erosion

    unclipped = (low.max(-1) < _CLIPPED) & (luma(low) > _BLACK)
    return np.asarray(binary_erosion(valid & unclipped, iterations=2))


def refine(picture: Float32, low: Float32, motion: Motion, scale: int) -> Motion:
    """The homography from the fine grid to a picture (h, w, 3), from one that is right to two pixels of low (H, W, 3).

    Gauss-Newton with Cauchy weights; brightness and colours are fitted anew for each step. rmse is that of positions in
    pixels of the fine grid, predicted from the scatter of what blocks of the picture ask for. Raises InputError where
    the pictures do not determine it.
    """
    height, width = low.shape[:2]
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) * scale - 0.5
    mine = luma(low)
    motion = _begun(picture, mine, motion, scale)
    for _ in range(_ROUNDS):
        fine, valid = rendered(picture, motion, (height, width), scale)
        where = comparable(low, valid)
        seen = shrunk(fine, scale)
        step, rmse = _step(luma(fine), seen, mine, where, scale)
        before = motion.points(corners)
        matrix = motion.matrix @ step
        motion = Motion("homography", matrix / matrix[2, 2], rmse=rmse)
        if np.abs(motion.points(corners) - before).max() < _STILL:
            break
    return motion


def _begun(picture: Float32, mine: Float32, motion: Motion, scale: int) -> Motion:
    """What a first registration of blurred pictures adds: right to a fraction of a pixel of low."""
    fine, valid = rendered(luma(picture), motion, (mine.shape[0], mine.shape[1]), scale)
    seen = shrunk(fine, scale)
    step = register(
        mine, seen, "homography", photometric=True, robust=True, mask=valid, start=Motion("homography")
    ).scaled(scale)
    matrix = motion.matrix @ step.matrix
    return Motion("homography", matrix / matrix[2, 2])


def _step(fine: Float32, seen: Float32, low: Float32, where: Array, scale: int) -> tuple[Float64, float]:
    """(3, 3) to be applied before the motion, and its predicted RMS error in pixels of the fine grid.

    fine: luma on the fine grid; seen: the colours, shrunk; low: luma. The tone is solved for together with the step: a
    change of zoom looks a little like vignetting.
    """
    height, width = low.shape
    toned = tone.match(seen, low[..., None], where).apply(seen)[..., 0]
    slopes = [shrunk(np.asarray(plane, np.float32), scale) for plane in np.gradient(fine)]
    gain = float(np.polyfit(shrunk(fine, scale)[where], toned[where], 1)[0])
    unit = math.hypot(height, width) * scale / 2
    y, x = (((np.arange(n) + 0.5) * scale - n * scale / 2) / unit for n in (height, width))
    x, y = (np.broadcast_to(a, (height, width)) for a in (x, y[:, None]))
    ways = _ways(x, y)
    columns = [unit * gain * (slopes[1] * dx + slopes[0] * dy) for dx, dy in ways] + tone.terms(seen)
    design = np.stack(columns).astype(np.float64)
    error = (low - toned).astype(np.float64)
    scatter = 1.4826 * float(np.median(np.abs(error[where]))) + 1e-6
    weighed = design * (where / (1 + (error / (2.4 * scatter)) ** 2))
    gram = np.tensordot(weighed, design, ((1, 2), (1, 2)))
    size = np.sqrt(np.diag(gram)) + 1e-12
    gram /= np.outer(size, size)
    if np.linalg.cond(gram[:8, :8]) > 1e8:
        raise InputError("too little texture in the common part to tell how the pictures lie")
    inverse = np.linalg.pinv(gram, rcond=1e-9, hermitian=True) / np.outer(size, size)
    solution = inverse @ (weighed * low).sum((1, 2))
    left = low - np.tensordot(solution, design, 1)
    covariance = _covariance(weighed * left, inverse)[:8, :8]
    fields = np.stack([np.stack(way)[:, ::8, ::8].reshape(2, -1) for way in ways])
    variance = np.einsum("kcn,kl,lcn->n", fields, covariance, fields).mean() * unit**2
    inner = np.array([[1, 0, 0.5 - width * scale / 2], [0, 1, 0.5 - height * scale / 2], [0, 0, unit]]) / unit
    return np.linalg.inv(inner) @ _matrix(solution[:8]) @ inner, math.sqrt(max(variance, 0.0))


def _ways(x: Array, y: Array) -> list[tuple[Array, Array]]:
    """(dx, dy) by which positions move with each entry of `_matrix`, about the identity."""
    none, one = np.zeros_like(x), np.ones_like(x)
    affine = [(one, none), (x, none), (y, none), (none, one), (none, x), (none, y)]
    return [*affine, (-x * x, -x * y), (-x * y, -y * y)]


def _matrix(step: Float64) -> Float64:
    a, b, c, d, e, f, g, h = step
    return np.array([[1 + b, c, a], [e, 1 + f, d], [g, h, 1.0]])


def _covariance(scores: Float64, inverse: Float64) -> Float64:
    """The covariance of a least-squares solution whose errors are alike within blocks (White, Econometrica 48, 1980).

    scores: (K, H, W), what each sample adds to the gradient; inverse: (K, K) of the normal matrix.
    """
    rows, columns = (max(1, side // _BLOCK) for side in scores.shape[1:])
    whole = scores[:, : rows * _BLOCK, : columns * _BLOCK]
    sums = whole.reshape(-1, rows, _BLOCK, columns, _BLOCK).sum((2, 4)).reshape(len(scores), -1)
    return np.asarray(inverse @ (sums @ sums.T) @ inverse)
