"""Registration by interpolation: Gauss-Newton on blurred pictures, the moving one resampled without loss.

Inverse-compositional form of Lucas & Kanade (Baker & Matthews, IJCV 56, 2004). The blur keeps what is aliased from
being matched; what is left of the error comes near the Cramer-Rao bound.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from subpixel.register import sampling
from subpixel.register.motion import Array, Float32, Float64
from subpixel.register.planes import blurred, gradients

BLUR = 1.3  # pixels: less is better for noise, more for aliasing
MARGIN = 6  # pixels at the border that blur and interpolation make up
ENOUGH = 2e-5  # pixels: a smaller step is the last one
STEPS = 20
BLOCKS = 8  # the picture is cut into 8 x 8 blocks to see how much the sums over them differ


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """What Gauss-Newton found: matrix (3, 3) from reference to moving, predicted 2-D RMSE in pixels, gain and bias of
    samples, and how alike the aligned gradients are, -1 to 1."""

    matrix: Float64
    rmse: float
    gain: float = 1.0
    bias: float = 0.0
    likeness: float = 1.0


def shift(
    reference: Float32,
    moving: Float32,
    start: tuple[float, float],
    *,
    photometric: bool = False,
    robust: bool = False,
    mask: Array | None = None,
    blur: float = BLUR,
) -> Fit:
    """The shift between two planes (H, W) from a start that is right to about two pixels."""
    smooth, other = blurred(reference, blur), blurred(moving, blur)
    across, down = gradients(smooth)
    dx, dy = start
    gain, bias = 1.0, 0.0
    cut = None
    for _ in range(STEPS):
        if cut is None or max(abs(dx - cut[0]), abs(dy - cut[1])) > 1.5:
            cut = (round(dx), round(dy))
            here, there = overlap(reference.shape, cut)
            inner = (slice(MARGIN, -MARGIN),) * 2
            mine, theirs = smooth[here][inner], np.ascontiguousarray(other[there])
            rows = [across[here][inner], down[here][inner]]
            if photometric:
                rows += [mine, np.ones_like(mine)]
            design = np.stack([row.ravel() for row in rows])
            chosen = None if mask is None else mask[here][inner].ravel().astype(np.float32)
        seen = sampling.sampled(theirs, dx - cut[0], dy - cut[1])[inner]
        error = (gain * mine + bias - seen).ravel() if photometric else (mine - seen).ravel()
        weights = tukey(error, chosen) if robust else chosen
        weighed = design if weights is None else design * weights
        gram = (weighed @ design.T).astype(np.float64)
        step = np.linalg.lstsq(gram, (weighed @ error).astype(np.float64), rcond=None)[0]
        dx, dy = dx + step[0] / gain, dy + step[1] / gain
        if photometric:
            gain, bias = gain - step[2], bias - step[3]
        if math.hypot(step[0], step[1]) < ENOUGH:
            break
    covariance = sandwich(weighed, error, gram, mine.shape) / gain**2
    matrix = np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1.0]])
    return Fit(matrix, math.sqrt(max(covariance[0, 0] + covariance[1, 1], 0.0)), gain, bias)


def overlap(shape: tuple[int, ...], offset: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the reference and the moving picture, `offset` (dx, dy) whole pixels apart, show the same."""
    (height, width), (dx, dy) = shape, offset
    here = slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx))
    there = slice(max(0, dy), height - max(0, -dy)), slice(max(0, dx), width - max(0, -dx))
    return here, there


def tukey(error: Float32, chosen: Float32 | None = None) -> Float32:
    """Biweights (Tukey) of residuals (N,), their scale from the median; 0 beyond 4.7 standard deviations."""
    among = error if chosen is None else error[chosen > 0]
    scale = 1.4826 * float(np.median(np.abs(among))) + np.finfo(np.float32).tiny
    weights = np.square(np.clip(1 - np.square(error / (4.685 * scale)), 0, None))
    return np.asarray(weights if chosen is None else weights * chosen, np.float32)


def sandwich(design: Float32, error: Float32, gram: Float64, shape: tuple[int, int]) -> Float64:
    """The covariance (K, K) of a least-squares solution whose residuals are correlated in unknown ways.

    gram^-1 S gram^-1 with S from the scatter of what blocks of the picture ask for (White, Econometrica 48, 1980, in
    its clustered form): noise, aliasing and things that move all show in it. design (K, N), error (N,), N = H W.
    """
    scores = (design * error).reshape(-1, *shape)
    height, width = (max(1, side // BLOCKS) for side in shape)
    rows, columns = shape[0] // height, shape[1] // width
    blocks = scores[:, : rows * height, : columns * width].reshape(-1, rows, height, columns, width)
    sums = blocks.sum((2, 4), dtype=np.float64).reshape(len(scores), -1)
    inverse = np.linalg.pinv(gram)
    return np.asarray(inverse @ (sums @ sums.T) @ inverse)
