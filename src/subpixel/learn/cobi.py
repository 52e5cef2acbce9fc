"""Contextual bilateral loss: each patch is held against the best one near its place, so that small shifts cost little.

CoBi of Zhang, Chen, Ng & Koltun, "Zoom to Learn, Learn to Zoom", CVPR 2019: the mean over the made picture's places i
of min_j D(p_i, q_j) + w D'(i, j). Here j runs over the window around i alone, and features are the luma patches
themselves instead of a network's, so that nothing was learnt anywhere before.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 5  # samples of a patch's side
WINDOW = 15  # samples of the side of the window that is searched
SPATIAL = 0.1  # what a match in the window's corner costs
_FLAT = 0.02**2  # variance below which a patch counts as flat: noise of 5 code values


def cobi(made: Tensor, wanted: Tensor, *, window: int = WINDOW, spatial: float = SPATIAL) -> Tensor:
    """Mean CoBi of pictures (N, 1, H, W) of samples in [0, 1], against others that may lie a few samples beside them.

    The distance of two patches is |p - q|^2 / (|p~|^2 + |q~|^2 + flat), p~ without its mean: 1 - cosine for patches of
    equal mean and contrast, and more where these differ. The distance of two places is their squared distance over that
    of the window's corner. The gradient goes to `made` only, through the best match: a minimum's gradient is that of
    the place where it lies. Time is O(N H W window^2), memory O(N H W), for one offset is looked at at a time.
    """
    height, width = made.shape[-2:]
    place = best_places(made.detach(), wanted.detach(), window=window, spatial=spatial)
    rim = PATCH // 2
    patches, candidates = (F.unfold(F.pad(x, [rim] * 4, mode="replicate"), PATCH) for x in (made, wanted))
    index = place.view(len(place), 1, -1).expand(-1, PATCH * PATCH, -1)
    error = _distance(patches, candidates.detach().gather(2, index))
    row, column = torch.arange(height, device=made.device)[:, None], torch.arange(width, device=made.device)
    far = (place // width - row) ** 2 + (place % width - column) ** 2
    return error.mean() + spatial * far.to(error.dtype).mean() / (2 * (window // 2) ** 2)


def best_places(made: Tensor, wanted: Tensor, *, window: int = WINDOW, spatial: float = SPATIAL) -> Tensor:
    """(N, H, W) int64: of each patch of `made` the best place in `wanted`, as row * W + column; see `cobi`."""
    count, _, height, width = made.shape
    reach, rim = window // 2, PATCH // 2
    ours = F.pad(made, [rim] * 4, mode="replicate")
    theirs = F.pad(wanted, [rim + reach] * 4, mode="replicate")
    mean, power = _means(ours)
    means, powers = _means(theirs)
    row, column = torch.arange(height, device=made.device)[:, None], torch.arange(width, device=made.device)
    best = made.new_full((count, height, width), torch.inf)
    place = torch.zeros(best.shape, dtype=torch.int64, device=made.device)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            y, x = reach + down, reach + right
            product = F.avg_pool2d(ours * theirs[..., y : y + ours.shape[-2], x : x + ours.shape[-1]], PATCH, 1)
            mean_there, power_there = (m[..., y : y + height, x : x + width] for m in (means, powers))
            squared = power + power_there - 2 * product
            variance = power + power_there - mean**2 - mean_there**2
            cost = (squared / (variance + _FLAT))[:, 0] + spatial * (down**2 + right**2) / (2 * reach**2)
            there = (row + down) * width + column + right
            inside = (row + down >= 0) & (row + down < height) & (column + right >= 0) & (column + right < width)
            better = (cost < best) & inside
            best = torch.where(better, cost, best)
            place = torch.where(better, there, place)
    return place


def _means(padded: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and mean square of the patch around each sample that has a whole one."""
    return F.avg_pool2d(padded, PATCH, 1), F.avg_pool2d(padded * padded, PATCH, 1)


def _distance(p: Tensor, q: Tensor) -> Tensor:
    """Of patches (N, samples, places)."""
    variance = p.var(1, correction=0) + q.var(1, correction=0)
    return ((p - q) ** 2).mean(1) / (variance + _FLAT)
