"""Losses in the space the score is taken in: planes weighted by what they do to the RGB error, or RGB itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from subpixel import color
from subpixel.learn.cobi import cobi
from subpixel.models.fast import bicubic_kernel, enlarge
from subpixel.models.flow import warp

# Squared RGB error caused by a unit error of Y, U, V through the BT.601 limited matrix, per luma sample,
# relative to Y: (2.017^2 + 0.392^2) / (3 * 1.164^2) and (1.596^2 + 0.813^2) / (3 * 1.164^2).
WEIGHT_U, WEIGHT_V = 1.04, 0.79


def charbonnier(error: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Smooth L1, sqrt(e^2 + epsilon^2) (Charbonnier et al., ICIP 1994); errors of samples in [0, 1]."""
    return torch.sqrt(error * error + epsilon * epsilon)


def squared(error: Tensor) -> Tensor:
    """e^2: what PSNR measures."""
    return error * error


Pictures = tuple[Tensor, Tensor]  # luma, chroma

LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"charbonnier": charbonnier, "l1": torch.abs, "mse": squared}


def picture_loss(kind: str, space: str, made: Pictures, wanted: Pictures) -> Tensor:
    """Mean loss of pictures against others: luma (N, T, 1, H, W), chroma (N, T, 2, H/2, W/2), code values / 255.

    kind: a key of LOSSES, or "cobi": contextual bilateral for luma, Charbonnier for chroma. space: "planes" (each by
    its weight in the RGB error) or "rgb".
    """
    # Frame by frame: what fits the processor's cache takes two thirds of the time.
    frames = zip(*(planes.unbind(1) for planes in (*made, *wanted)), strict=True)
    return torch.stack([_loss(kind, space, (a, b), (c, d)) for a, b, c, d in frames]).mean()


def _loss(kind: str, space: str, made: Pictures, wanted: Pictures) -> Tensor:
    loss = LOSSES.get(kind, charbonnier)
    if space == "rgb":
        return loss(to_rgb(*made) - to_rgb(*wanted)).mean()
    luma, chroma = (ours.float() - theirs.float() for ours, theirs in zip(made, wanted, strict=True))
    per_plane = loss(chroma).mean(dim=(0, 2, 3))
    of_luma = cobi(made[0].float(), wanted[0].float()) if kind == "cobi" else loss(luma).mean()
    return of_luma + WEIGHT_U * per_plane[0] + WEIGHT_V * per_plane[1]


def to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """(N, 3, H, W) RGB of 0 to 1 from limited-range BT.601 code values / 255, as `color.to_rgb` but not rounded.

    luma (N, 1, H, W), chroma (N, 2, H/2, W/2). Chroma is enlarged bicubically; what exceeds the range is cut off, for
    the score does so too.
    """
    luma, chroma = luma.float(), chroma.float()
    chroma = F.pixel_shuffle(enlarge(chroma, bicubic_kernel(2, 2).to(chroma.device)), 2).clamp(0, 1)
    yuv = torch.cat([luma, chroma], 1)
    table = torch.from_numpy(color.decoding()).float().to(luma.device)
    return F.conv2d(yuv, table[:, 1:, None, None], table[:, 0] / 255).clamp(0, 1)


def warp_loss(flows: list[tuple[Tensor, int, int]], clean: Tensor) -> Tensor:
    """Photometric Charbonnier of clean frames (N, T, 1, H, W) warped onto each other on the grid of the flows.

    flows: (flow (N, 2, h, w), x and y in cells, frame it samples, frame it explains), as in `Restored`. What a flow
    takes from beyond the border is not held against it. Zero without flows.
    """
    terms = []
    for flow, source, explained in flows:
        factor = clean.shape[-1] // flow.shape[-1]
        there, here = (F.avg_pool2d(clean[:, t].float(), factor) for t in (source, explained))
        seen = warp(there, flow)
        terms.append((charbonnier(seen - here) * inside(flow)).mean())
    return torch.stack(terms).mean() if terms else clean.new_zeros(())


def inside(flow: Tensor) -> Tensor:
    """(N, 1, h, w) ones where p + flow(p) lies within the picture; flow (N, 2, h, w), x and y in samples."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device) + flow[:, 0]
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).float()[:, None]
