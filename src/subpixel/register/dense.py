"""Dense flow: a coarse search, then Gauss-Newton for a mesh that bends little.

The start is DIS (Kroeger, Timofte, Dai & Van Gool, ECCV 2016). The refinement is a free-form deformation, a flow of
cubic B-splines (Rueckert et al., IEEE Trans. Medical Imaging 18, 1999), fitted to blurred pictures under a prior of its
Laplacian, so that a turn or a zoom costs nothing; noise tells how much a bend costs. Strong bends cost less than their
square, so that things may move apart.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from subpixel.register import sampling
from subpixel.register.features import bytes_of
from subpixel.register.gradient import BLUR, MARGIN, Fit, How, likeness, tukey
from subpixel.register.motion import Float32, Float64
from subpixel.register.planes import blurred, gradients

MESH = 6  # pixels between the nodes
BEND = 0.07  # 1 / pixel: the Laplacian that a flow is expected to have, until it is known
BENDS = (0.01, 0.1)
SPREAD = 7.0  # bends come in stretches of so many pixels, root of their area: to a prior of pixels they look larger
STEPS = 8
ROUNDS = 40  # of conjugate gradients in each step
CORRELATED = 4.0  # pixels over which residuals of blurred pictures are as one
MISFIT = 1.9  # actual over predicted errors, measured by bench/registration.py: smoothing errs too, not noise alone
LEAST_NOISE = 1e-6  # of pictures of unit contrast
ENOUGH = 2e-3  # pixels, root of the mean square: a smaller step is the last one


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
    mesh = Mesh(height, width)
    nodes = mesh.fitted(flow)
    gain, bias, bend = 1.0, 0.0, BEND
    for _ in range(STEPS):
        flow = mesh.flow(nodes)
        seen, inside = spline.at(x + flow[0], y + flow[1], MARGIN)
        weights = inside if how.mask is None else inside * how.mask.ravel()
        if how.photometric:
            gain, bias = levels(smooth, seen, weights)
        error = gain * smooth + bias - seen
        if how.robust:
            weights = tukey(error.ravel(), weights)
        plane = weights.reshape(height, width)
        noise = CORRELATED * float(1.4826 * np.median(np.abs(error[plane > 0]))) ** 2 + LEAST_NOISE
        tensor = plane * gain**2 * np.stack([across * across, across * down, down * down])
        step = mesh.step(nodes, tensor, np.stack([plane * gain * s * error for s in (across, down)]), noise, bend)
        nodes = nodes + np.clip(step, -1, 1)
        bend = mesh.bend(nodes)
        if float(np.mean(np.square(step))) < ENOUGH**2:
            break
    alike = likeness(smooth, seen, weights)
    rmse = _predicted(tensor, noise, bend) / max(alike, 0.01)
    found = np.ascontiguousarray(np.moveaxis(mesh.flow(nodes), 0, 2))
    contrast = float(seen[plane > 0].std() / smooth[plane > 0].std()) if plane.any() else 1.0
    return Fit(np.eye(3), rmse, gain, bias, alike, found, contrast=contrast)


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


class Mesh:
    """Cubic B-splines with MESH pixels between their nodes, over a picture (height, width) and one node beyond."""

    def __init__(self, height: int, width: int) -> None:
        self.down, self.across = _splines(height), _splines(width)

    def flow(self, nodes: Float32) -> Float32:
        """(2, H, W) of nodes (2, h, w)."""
        return np.stack([self.down @ (self.across @ plane.T).T for plane in nodes]).astype(np.float32, copy=False)

    def gathered(self, planes: Float32) -> Float32:
        """(2, h, w) of planes (2, H, W): the transpose of `flow`."""
        return np.stack([self.down.T @ (self.across.T @ p.T).T for p in planes]).astype(np.float32, copy=False)

    def fitted(self, flow: Float32) -> Float32:
        """Nodes (2, h, w) whose flow comes near one of (H, W, 2)."""
        planes = np.ascontiguousarray(np.moveaxis(flow, 2, 0))
        diagonal = np.maximum(self.gathered(np.ones_like(planes)), 1e-3)

        def apply(nodes: Float32) -> Float32:
            return self.gathered(self.flow(nodes)) + np.float32(1e-3 * MESH**2) * _laplacian(_laplacian(nodes))

        return conjugate(apply, self.gathered(planes), diagonal)

    def bend(self, nodes: Float32) -> float:
        """The Laplacian (1 / pixel) to expect of a flow, by that of most of its nodes."""
        found = np.hypot(*_laplacian(nodes)) / MESH**2
        return float(np.clip(SPREAD * np.median(found), *BENDS))

    def step(self, nodes: Float32, tensor: Float32, sides: Float32, noise: float, usual: float) -> Float32:
        """What least squares adds to the nodes: tensor and sides of each pixel, and the Laplacian of the whole.

        noise: the variance of a residual, times the pixels over which it is one; usual: the Laplacian to expect.
        """
        xx, xy, yy = tensor
        bend = _laplacian(nodes) / MESH**2
        # A node stands for MESH x MESH pixels.
        weight = 1 / np.sqrt(1 + np.square(bend).sum(0) / np.float32(5 * usual) ** 2)
        stiff = np.asarray(noise / usual**2 * MESH**2 * weight, np.float32)

        def apply(change: Float32) -> Float32:
            d = self.flow(change)
            data = self.gathered(np.stack([xx * d[0] + xy * d[1], xy * d[0] + yy * d[1]]))
            return np.asarray(data + _laplacian(stiff * _laplacian(change)) / MESH**4, np.float32)

        squares = np.asarray(0.23 * self.gathered(np.stack([xx, yy])) + 20 / MESH**4 * stiff, np.float32)
        right = self.gathered(sides) - _laplacian(np.asarray(stiff * bend, np.float32)) / MESH**2
        return conjugate(apply, np.asarray(right, np.float32), squares)


@functools.lru_cache(maxsize=8)
def _splines(size: int) -> Any:
    """A sparse matrix (size, nodes): the values of the cubic B-splines at the pixels of a row."""
    from scipy import sparse

    place = np.arange(size) / MESH
    first = np.floor(place).astype(int)
    t = place - first
    values = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    columns = first + np.arange(4)[:, None]
    rows = np.broadcast_to(np.arange(size), columns.shape)
    return sparse.csr_matrix((values.ravel().astype(np.float32), (rows.ravel(), columns.ravel())))


def _laplacian(planes: Float32) -> Float32:
    """Of planes (2, h, w); the border is repeated, so that the operator is its own transpose."""
    import cv2

    return np.stack([cv2.Laplacian(plane, cv2.CV_32F, borderType=cv2.BORDER_REPLICATE) for plane in planes])


def conjugate(apply: Callable[[Float32], Float32], right: Float32, diagonal: Float32) -> Float32:
    """The solution of a positive system by conjugate gradients, its diagonal as preconditioner."""
    solution = np.zeros_like(right)
    rest = right.copy()
    eased = rest / diagonal
    way = eased.copy()
    power = float(np.vdot(rest, eased))
    enough = 1e-6 * power
    for _ in range(ROUNDS):
        if power <= enough:
            break
        image = apply(way)
        length = np.float32(power / max(float(np.vdot(way, image)), 1e-30))
        solution += length * way
        rest -= length * image
        eased = rest / diagonal
        before, power = power, float(np.vdot(rest, eased))
        way = eased + np.float32(power / before) * way
    return solution


def _predicted(tensor: Float32, noise: float, bend: float) -> float:
    """The 2-D RMSE over the picture: that of the posterior, averaged over pixels.

    The Green's function of m + s times the squared Laplacian is 1 / (8 sqrt(m s)) at 0; m is an eigenvalue of the
    tensor (3, H, W), s the noise over the square of the bend to expect; the variance is the noise times that.
    """
    xx, xy, yy = (blurred(plane, MESH) for plane in tensor)
    middle, apart = (xx + yy) / 2, np.sqrt(np.square(xx - yy) / 4 + xy * xy)
    floor = 1e-3 * float(middle.mean()) + 1e-20
    variance = [math.sqrt(noise) * bend / (8 * np.sqrt(np.maximum(m, floor))) for m in (middle + apart, middle - apart)]
    return MISFIT * math.sqrt(float((variance[0] + variance[1]).mean()))
