"""fast: the twin of models.fast."""

from __future__ import annotations

import dataclasses
from typing import Any

import megengine.functional as F
import megengine.module as M
from megengine import Tensor

from subpixel.learn.megengine.layers import Conv, Network, RepConv, bicubic_kernel, enlarge, fused, unshuffle


@dataclasses.dataclass(frozen=True)
class FastOptions:
    """As models.fast.FastOptions."""

    scale: int = 4
    channels: int = 32
    blocks: int = 4
    detail: int = 12
    unshuffle: int = 2
    recurrent: bool = True
    qp: bool = True
    look_ahead: bool = True
    kinds: bool = False
    motion: bool = False

    def __post_init__(self) -> None:
        if self.motion:
            raise ValueError("motion = true is not to be had with MegEngine; set motion = false")


class Fast(Network):
    """Recurrent restoration and enlargement of 4:2:0 video, one frame of look-ahead; shapes as models.fast.Fast."""

    def __init__(self, options: FastOptions = FastOptions()) -> None:
        super().__init__()
        o = self.options = options
        self.codec = tuple(name for name in ("qp", "kinds") if getattr(o, name))
        self.state = (o.channels, o.unshuffle)
        grid = o.unshuffle**2
        inputs = (2 + o.look_ahead) * grid + 2 + o.qp + 3 * o.kinds + o.channels * o.recurrent
        self.head: Any = RepConv(inputs, o.channels)
        self.blocks: Any = [RepConv(o.channels, o.channels) for _ in range(o.blocks)]
        self.to_detail: Any = RepConv(o.channels, o.detail * grid)
        self.to_luma = Conv(o.detail + 1, o.scale**2)
        self.to_chroma = Conv(o.channels, 2 * (o.scale * o.unshuffle // 2) ** 2)
        for parameter in (*self.to_luma.parameters(), *self.to_chroma.parameters()):
            M.init.normal_(parameter, std=1e-3)
        self.base = bicubic_kernel(o.scale, 1), bicubic_kernel(o.scale, 2)

    def fuse(self) -> Fast:
        """Turn every branched layer into the one convolution it amounts to, in place; it computes the same."""
        self.head, self.to_detail = fused(self.head), fused(self.to_detail)
        self.blocks = [fused(block) for block in self.blocks]
        return self

    def step(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Restore one frame: y (N, 3, H, W), uv and codec (N, C, H/2, W/2), state (N, channels, H/u, W/u)."""
        o, (base_y, base_uv) = self.options, self.base
        side = F.concat([uv - 0.5, codec], 1) if self.codec else uv - 0.5
        if o.unshuffle == 1:
            side = F.repeat(F.repeat(side, 2, 2), 2, 3)
        x = [unshuffle(y[:, : 2 + o.look_ahead] - 0.5, o.unshuffle), side, *([state] if o.recurrent else [])]
        features = F.relu(self.head(F.concat(x, 1)))
        for block in self.blocks:
            features = F.relu(block(features))
        detail = F.pixel_shuffle(F.relu(self.to_detail(features)), o.unshuffle)
        luma = self.to_luma(F.concat([detail, y[:, 1:2] - 0.5], 1))
        luma = F.pixel_shuffle(luma + enlarge(y[:, 1:2], base_y), o.scale)
        chroma = F.pixel_shuffle(self.to_chroma(features), o.scale * o.unshuffle // 2)
        return luma, chroma + F.pixel_shuffle(enlarge(uv, base_uv), o.scale), features
