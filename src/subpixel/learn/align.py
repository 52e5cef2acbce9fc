"""Targets moved onto what the input shows, for pairs that were found rather than made and do not quite lie together.

The pictures' flow is found by the local least squares of Lucas & Kanade (IJCAI 1981), iterated, and the target is
warped by it before the loss is taken, as in Zhang et al., "Learning RAW-to-sRGB Mappings with Inaccurately Aligned
Supervision", ICCV 2021, who use a network's flow.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from subpixel.models.fast import bicubic_kernel, enlarge

ROUNDS = 6  # linearisations; each one sees the target warped by what is known
WINDOW = 3.0  # standard deviation, in LR pixels, of the neighbourhood that moves as one
LARGEST = 1.5  # LR pixels; what seems to move further is taken for something else than a shift
_NOISE = 2e-3**2  # squared gradient that noise alone may show: where there is no more, nothing moves


def aligned(luma: Tensor, chroma: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """Targets (luma (N, T, 1, sH, sW), chroma (N, T, 2, sH/2, sW/2)) as seen where `low` (N, T, 1, H, W) sees them.

    Code values / 255. What comes from beyond the border repeats it. Nothing here has a gradient.
    """
    with torch.no_grad():
        flow = residual_flow(luma.flatten(0, 1), low.flatten(0, 1))
        moved = sample(luma.flatten(0, 1), flow), sample(chroma.flatten(0, 1), F.avg_pool2d(flow, 2) / 2)
    return moved[0].view_as(luma), moved[1].view_as(chroma)


def residual_flow(target: Tensor, low: Tensor) -> Tensor:
    """(N, 2, sH, sW), x and y in target pixels: what `low` (N, 1, H, W) shows at p is in `target` at p + flow(p)."""
    scale = target.shape[-1] // low.shape[-1]
    kernel = bicubic_kernel(scale, 1).to(low.device)
    here = _smooth(F.pixel_shuffle(enlarge(low, kernel), scale), scale / 2)
    there = _smooth(F.pixel_shuffle(enlarge(F.avg_pool2d(target, scale), kernel), scale), scale / 2)
    flow = torch.zeros_like(here).repeat(1, 2, 1, 1)
    for _ in range(ROUNDS):
        seen = sample(there, flow)
        right, down = ((seen.roll(-1, axis) - seen.roll(1, axis)) / 2 for axis in (-1, -2))
        error = here - seen
        products = torch.cat([right * right, down * down, right * down, right * error, down * error], 1)
        xx, yy, xy, xe, ye = _smooth(F.avg_pool2d(products, scale), WINDOW).unbind(1)
        xx, yy = xx + _NOISE, yy + _NOISE
        step = torch.stack([yy * xe - xy * ye, xx * ye - xy * xe], 1) / (xx * yy - xy * xy)[:, None]
        step = F.interpolate(step, scale_factor=float(scale), mode="bilinear", align_corners=False)
        flow = (flow + step).clamp(-LARGEST * scale, LARGEST * scale)
    return flow


def sample(planes: Tensor, flow: Tensor) -> Tensor:
    """Planes (N, C, H, W) at p + flow(p), by cubic convolution; flow (N, 2, H, W), x and y; the border is repeated."""
    height, width = planes.shape[-2:]
    x = torch.arange(width, device=planes.device) + flow[:, 0]
    y = torch.arange(height, device=planes.device)[:, None] + flow[:, 1]
    where = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    return F.grid_sample(planes, where, mode="bicubic", padding_mode="border", align_corners=False)


def _smooth(planes: Tensor, deviation: float) -> Tensor:
    """Planes (N, C, H, W) under a Gaussian of this standard deviation in samples; the border is repeated."""
    reach = math.ceil(2.5 * deviation)
    offsets = torch.arange(-reach, reach + 1, dtype=planes.dtype, device=planes.device)
    weights = torch.exp(-0.5 * (offsets / deviation) ** 2)
    weights = (weights / weights.sum()).expand(planes.shape[1], 1, 1, -1)
    padded = F.pad(planes, [reach] * 4, mode="replicate")
    across = F.conv2d(padded, weights, groups=planes.shape[1])
    return F.conv2d(across, weights.mT, groups=planes.shape[1])
