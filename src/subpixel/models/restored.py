"""What a network returns for a clip while it is trained."""

from __future__ import annotations

import dataclasses

from torch import Tensor


@dataclasses.dataclass
class Restored:
    """T frames restored, and what the losses beside the main one need.

    luma (N, T, 1, sH, sW), chroma (N, T, 2, sH/2, sW/2), state: to be handed on to the next window.
    auxiliary: (luma, chroma) of heads that only training has. flows: (flow (N, 2, H/2, W/2), x and y in cells of the
    half grid, index of the frame it samples, index of the frame that this explains).
    """

    luma: Tensor
    chroma: Tensor
    state: Tensor
    auxiliary: list[tuple[Tensor, Tensor]] = dataclasses.field(default_factory=list)
    flows: list[tuple[Tensor, int, int]] = dataclasses.field(default_factory=list)
