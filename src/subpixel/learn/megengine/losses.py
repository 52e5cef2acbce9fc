"""The main loss; the twin of learn.losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import megengine as mge
import megengine.functional as F
import numpy as np
from megengine import Tensor

from subpixel import color
from subpixel.learn.megengine.layers import bicubic_kernel, enlarge

WEIGHT_U, WEIGHT_V = 1.04, 0.79  # as in learn.losses


def charbonnier(error: Tensor) -> Tensor:
    """Smooth L1, sqrt(e^2 + 1e-6) (Charbonnier et al., ICIP 1994); errors of samples in [0, 1]."""
    return F.sqrt(error * error + 1e-6)


def squared(error: Tensor) -> Tensor:
    """e^2: what PSNR measures."""
    return error * error


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"charbonnier": charbonnier, "l1": F.abs, "mse": squared}


def picture_loss(kind: str, space: str, made: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean loss of pictures against others: luma (N, T, 1, H, W), chroma (N, T, 2, H/2, W/2), samples / 255."""
    loss = LOSSES[kind]
    if space == "rgb":
        return loss(to_rgb(*made) - to_rgb(*wanted)).mean()
    luma, chroma = (loss(ours - theirs) for ours, theirs in zip(made, wanted, strict=True))
    per_plane = chroma.mean((0, 1, 3, 4))
    return luma.mean() + WEIGHT_U * per_plane[0] + WEIGHT_V * per_plane[1]


def to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """(n, 3, H, W) RGB of 0 to 1 from limited-range BT.601 code values / 255; as learn.losses.to_rgb."""
    luma, chroma = (p.reshape(-1, *p.shape[-3:]) for p in (luma, chroma))
    yuv = F.concat([luma, F.pixel_shuffle(enlarge(chroma, bicubic_kernel(2, 2)), 2)], 1)
    table = color.decoding().astype(np.float32)
    weights, constant = table[:, 1:].reshape(3, 3, 1, 1), table[:, :1].reshape(1, 3, 1, 1) / np.float32(255)
    return F.clip(F.conv2d(yuv, mge.tensor(weights), mge.tensor(constant)), 0, 1)
