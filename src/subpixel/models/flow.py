"""Motion for networks: a small coarse-to-fine flow network and warping, on whatever grid they are given.

SPyNet (Ranjan & Black, CVPR 2017) made small: every level corrects what the coarser one found by looking at one
picture and the other one warped. Learnt together with the network that uses it.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def warp(planes: Tensor, flow: Tensor) -> Tensor:
    """Planes (N, C, H, W) sampled at p + flow(p); flow (N, 2, H, W), x and y in samples; the border is repeated."""
    height, width = planes.shape[-2:]
    x = torch.arange(width, device=planes.device, dtype=torch.float32)
    y = torch.arange(height, device=planes.device, dtype=torch.float32)
    # Single precision: half a mantissa cannot tell apart positions of a wide picture.
    flow = flow.float()
    across = (x + flow[:, 0]) * (2 / max(width - 1, 1)) - 1
    down = (y[:, None] + flow[:, 1]) * (2 / max(height - 1, 1)) - 1
    where = torch.stack([across, down], -1)
    return F.grid_sample(planes.float(), where, mode="bilinear", padding_mode="border", align_corners=True)


def warp_groups(planes: Tensor, flows: Tensor) -> Tensor:
    """Each of G groups of planes (N, C, H, W) warped by its own flow; flows (N, G * 2, H, W).

    A deformable convolution of kernel 1 (Dai et al., ICCV 2017) without its weights.
    """
    count, channels, height, width = planes.shape
    groups = flows.shape[1] // 2
    parts = planes.reshape(count * groups, channels // groups, height, width)
    return warp(parts, flows.reshape(count * groups, 2, height, width)).reshape(count, channels, height, width)


def double(flow: Tensor, like: Tensor) -> Tensor:
    """A flow on a grid twice as fine, cropped to the size of `like`, its vectors doubled."""
    fine = F.interpolate(flow, scale_factor=2.0, mode="bilinear", align_corners=False) * 2
    return fine[..., : like.shape[-2], : like.shape[-1]]


def halved(planes: Tensor) -> Tensor:
    """Means of 2 x 2 samples; an odd last row or column stands for itself."""
    return F.avg_pool2d(planes, 2, ceil_mode=True, count_include_pad=False)


def convolutions(*channels: int) -> nn.Sequential:
    """3x3 convolutions with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(channels):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def plausible(here: Tensor, there: Tensor, vectors: Tensor) -> Tensor:
    """The codec's vectors (N, 2, h, w) shortened to the fraction that explains `here` (N, 1, h, w) best from `there`.

    The codec tells where a block came from but not how many frames ago; up to four with three B frames in a row.
    """
    fractions = (0.0, 1 / 4, 1 / 3, 1 / 2, 1.0)
    errors = [torch.abs(warp(there, vectors * f) - here.float()) for f in fractions]
    near = [F.avg_pool2d(e, 5, stride=1, padding=2, count_include_pad=False) for e in errors]
    # One code value of mean difference makes a fraction seven times less likely.
    weights = torch.softmax(torch.stack(near) * -500.0, 0)
    return vectors * torch.stack([weight * f for weight, f in zip(weights, fractions, strict=True)]).sum(0)


class Flow(nn.Module):
    """Flow from one picture to another, and further offsets for groups of features to be warped.

    Pictures (N, 4, h, w): luma unshuffled by two; vectors (N, 2, h, w): the codec's, in cells, or None. Returns the
    flow (N, 2, h, w) in cells, and (N, groups * 2, h, w): the flow of each group, which begins as the same.
    """

    LEVELS = 2  # coarser than the grid itself: displacements of about 8 cells beyond the start can be found

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.coarse = nn.ModuleList(convolutions(4, channels, channels, 2) for _ in range(self.LEVELS))
        self.fine = convolutions(10, channels, channels, 2 + 2 * groups)
        for network in (*self.coarse, self.fine):
            last = network[-1]
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)

    def forward(self, here: Tensor, there: Tensor, vectors: Tensor | None) -> tuple[Tensor, Tensor]:
        """Where what is `here` is found `there`; see the class for shapes."""
        mine, theirs = [here.mean(1, keepdim=True)], [there.mean(1, keepdim=True)]
        for _ in range(self.LEVELS):
            mine.append(halved(mine[-1]))
            theirs.append(halved(theirs[-1]))
        if vectors is None:
            flow = torch.zeros_like(mine[-1]).repeat(1, 2, 1, 1)
        else:
            flow = halved(plausible(mine[1], theirs[1], halved(vectors.float()) / 2)) / 2
        for level in range(self.LEVELS, 0, -1):
            seen = warp(theirs[level], flow)
            flow = flow + self.coarse[level - 1](torch.cat([mine[level], seen, flow / 8], 1)).float()
            flow = double(flow, mine[level - 1])
        found = self.fine(torch.cat([here, warp(there, flow), flow / 8], 1)).float()
        flow = flow + found[:, :2]
        return flow, flow.repeat(1, self.groups, 1, 1) + found[:, 2:]
