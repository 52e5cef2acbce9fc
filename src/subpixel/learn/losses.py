"""Losses in the space the score is taken in: each plane weighted by what it does to the RGB error."""

from __future__ import annotations

import torch
from torch import Tensor

# Squared RGB error caused by a unit error of Y, U, V through the BT.601 limited matrix, per luma sample,
# relative to Y: (2.017^2 + 0.392^2) / (3 * 1.164^2) and (1.596^2 + 0.813^2) / (3 * 1.164^2).
WEIGHT_U, WEIGHT_V = 1.04, 0.79


def charbonnier(error: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Smooth L1, sqrt(e^2 + epsilon^2) (Charbonnier et al., ICIP 1994); errors of samples in [0, 1]."""
    return torch.sqrt(error * error + epsilon * epsilon)


def squared(error: Tensor) -> Tensor:
    """e^2: what PSNR measures."""
    return error * error


LOSSES = {"charbonnier": charbonnier, "mse": squared}


def frame_loss(kind: str, luma_error: Tensor, chroma_error: Tensor) -> Tensor:
    """Mean loss of one batch of frames; errors (N, 1, H, W) and (N, 2, H/2, W/2) in [-1, 1]."""
    loss = LOSSES[kind]
    chroma = loss(chroma_error).mean(dim=(0, 2, 3))
    return loss(luma_error).mean() + WEIGHT_U * chroma[0] + WEIGHT_V * chroma[1]
