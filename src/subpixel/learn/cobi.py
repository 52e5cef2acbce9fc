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
    height, width = made.shape[-2:]
    reach, rim = window // 2, PATCH // 2
    ours, theirs = (F.pad(x, [rim] * 4, mode="replicate")[:, 0] for x in (made, wanted))
    (power, variance), (powers, variances) = _moments(ours), _moments(theirs)
    best = made.new_full((len(made), height, width), torch.inf)
    place = torch.zeros(best.shape, dtype=torch.int64, device=made.device)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            rows, columns = _overlap(height, down), _overlap(width, right)
            here = (..., rows, columns)
            there = (..., _moved(rows, down), _moved(columns, right))
            product = ours[..., _wider(rows), _wider(columns)] * theirs[..., _wider(there[1]), _wider(there[2])]
            squared = power[here] + powers[there] - 2 * _mean(product)
            cost = squared / (variance[here] + variances[there] + _FLAT)
            cost += spatial * (down**2 + right**2) / (2 * reach**2)
            better = cost < best[here]
            best[here] = torch.minimum(cost, best[here])
            place[here].masked_fill_(better, down * width + right)
    return place + torch.arange(height * width, device=made.device).view(height, width)


def _overlap(size: int, offset: int) -> slice:
    """The indices that stay within `size` when the offset is added."""
    return slice(max(0, -offset), size - max(0, offset))


def _moved(part: slice, offset: int) -> slice:
    return slice(part.start + offset, part.stop + offset)


def _wider(part: slice) -> slice:
    """The same part of a padded plane with the rim that its patches need."""
    return slice(part.start, part.stop + PATCH - 1)


def _mean(padded: Tensor) -> Tensor:
    """Means of the patches around the samples that have whole ones; sums of slices are faster than pooling."""
    rows = padded[..., : 1 - PATCH, :].clone()
    for k in range(1, PATCH):
        rows += padded[..., k : padded.shape[-2] - PATCH + 1 + k, :]
    sums = rows[..., : 1 - PATCH].clone()
    for k in range(1, PATCH):
        sums += rows[..., k : rows.shape[-1] - PATCH + 1 + k]
    return sums / PATCH**2


def _moments(padded: Tensor) -> tuple[Tensor, Tensor]:
    """Mean square and variance of the patch around each sample that has a whole one."""
    power = _mean(padded * padded)
    return power, power - _mean(padded) ** 2


def _distance(p: Tensor, q: Tensor) -> Tensor:
    """Of patches (N, samples, places)."""
    variance = p.var(1, correction=0) + q.var(1, correction=0)
    return ((p - q) ** 2).mean(1) / (variance + _FLAT)
