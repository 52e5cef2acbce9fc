"""Dense flow: a coarse search, then local Gauss-Newton with a Gaussian window on blurred pictures.

The start is DIS (Kroeger, Timofte, Dai & Van Gool, ECCV 2016); the refinement Lucas & Kanade (IJCAI 1981) at every
pixel, as precise as the noise within its window allows.
"""

from __future__ import annotations

import math

import numpy as np

from subpixel.register import sampling
from subpixel.register.features import bytes_of
from subpixel.register.gradient import BLUR, MARGIN, Fit, How, likeness, tukey
from subpixel.register.motion import Float32, Float64
from subpixel.register.planes import blurred, gradients

WINDOW = 5.0  # pixels, standard deviation of the window around each pixel
STEPS = 8
CORRELATED = 10.0  # pixels over which residuals of blurred pictures are one: measured, see bench/registration.py


def search(reference: Float32, moving: Float32, start: Float64) -> Float32:
    """A flow (H, W, 2) by DIS between two planes, begun at a matrix."""
    import cv2

    height, width = reference.shape
    x, y = sampling.positions(start, reference.shape)
    begin = np.stack([x - np.arange(width), y - np.arange(height)[:, None]], 2).astype(np.float32)
    seeker = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    seeker.setFinestScale(1)
    mine, theirs = bytes_of(reference), bytes_of(moving)
    across, down = (np.ascontiguousarray(plane, np.float32) for plane in (x, y))
    seen = cv2.remap(theirs, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(begin + seeker.calc(mine, seen, None), np.float32)


def refine(reference: Float32, moving: Float32, flow: Float32, how: How) -> Fit:
    """The flow between two planes (H, W) from one that is right to about two pixels."""
    smooth, spline = blurred(reference, BLUR), sampling.Spline(blurred(moving, BLUR))
    across, down = gradients(smooth)
    height, width = reference.shape
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    gain, bias = 1.0, 0.0
    for step in range(STEPS):
        seen, inside = spline.at(x + flow[..., 0], y + flow[..., 1], MARGIN)
        weights = inside if how.mask is None else inside * how.mask.ravel()
        if how.photometric:
            gain, bias = levels(smooth, seen, weights)
        error = gain * smooth + bias - seen
        if how.robust:
            weights = tukey(error.ravel(), weights)
        plane = weights.reshape(height, width)
        tensor, floor = _tensor(across, down, plane)
        found = _solved(tensor, floor, [blurred(plane * slope * error, WINDOW) for slope in (across, down)])
        flow = flow + np.clip(found / gain, -1, 1)
        if step < STEPS - 1:
            flow = _smoothed(flow, tensor, floor)
    error = gain * smooth + bias - seen
    rmse = _predicted(across, down, error, plane, tensor, floor) / gain
    return Fit(np.eye(3), rmse, gain, bias, likeness(smooth, seen, weights), flow.astype(np.float32))


def levels(reference: Float32, moving: Float32, weights: Float32) -> tuple[float, float]:
    """Gain and bias of moving = gain * reference + bias for two planes (H, W), weights (H W,), without outliers."""
    a, b = reference.ravel(), moving.ravel()
    gain, bias = 1.0, float(np.average(b - a, weights=weights))
    for _ in range(5):
        kept = tukey(gain * a + bias - b, weights)
        total = max(float(kept.sum()), 1e-12)
        mean_a, mean_b = float(kept @ a) / total, float(kept @ b) / total
        spread = float(kept @ np.square(a - mean_a))
        gain = float((kept * (a - mean_a)) @ (b - mean_b)) / spread if spread > 0 else 1.0
        gain = max(gain, 1e-3)
        bias = mean_b - gain * mean_a
    return gain, bias


def _tensor(across: Float32, down: Float32, weights: Float32) -> tuple[tuple[Float32, Float32, Float32], float]:
    """The structure tensor (xx, xy, yy) in the window of each pixel, and what stands for no structure."""
    xx, xy, yy = (blurred(weights * product, WINDOW) for product in (across * across, across * down, down * down))
    return (xx, xy, yy), 1e-3 * float((xx + yy).mean()) + 1e-20


def _solved(tensor: tuple[Float32, Float32, Float32], floor: float, sides: list[Float32]) -> Float32:
    """(H, W, 2): the step of each pixel; nearly none where its window shows nothing."""
    xx, xy, yy = tensor[0] + floor, tensor[1], tensor[2] + floor
    determinant = xx * yy - xy * xy
    dx, dy = yy * sides[0] - xy * sides[1], xx * sides[1] - xy * sides[0]
    return np.stack([dx / determinant, dy / determinant], 2)


def _smoothed(flow: Float32, tensor: tuple[Float32, Float32, Float32], floor: float) -> Float32:
    """A flow whose pixels without structure follow their neighbours with structure."""
    xx, xy, yy = tensor
    weakest = (xx + yy) / 2 - np.sqrt(np.square(xx - yy) / 4 + xy * xy) + 0.01 * floor
    total = blurred(weakest, WINDOW / 2)
    return np.stack([blurred(weakest * flow[..., axis], WINDOW / 2) / total for axis in (0, 1)], 2)


def _predicted(
    across: Float32, down: Float32, error: Float32, weights: Float32, tensor: tuple[Float32, ...], floor: float
) -> float:
    """The 2-D RMSE over the picture from the scatter of the residuals within each window."""
    xx, xy, yy = tensor[0] + floor, tensor[1], tensor[2] + floor
    energy = weights * np.square(error)
    share = CORRELATED / (4 * math.pi * WINDOW**2)
    narrow = WINDOW / math.sqrt(2)
    sxx, sxy, syy = (
        share * blurred(energy * product, narrow) for product in (across * across, across * down, down * down)
    )
    determinant = np.square(xx * yy - xy * xy)
    var_x = (yy * yy * sxx - 2 * yy * xy * sxy + xy * xy * syy) / determinant
    var_y = (xx * xx * syy - 2 * xx * xy * sxy + xy * xy * sxx) / determinant
    return math.sqrt(max(float((var_x + var_y).mean()), 0.0))
