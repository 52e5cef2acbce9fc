"""frvsr: Frame-Recurrent Video Super-Resolution (Sajjadi, Vemulapalli & Brown, CVPR 2018), the reference to beat.

As published: a flow network FNet looks at two LR frames; its flow, enlarged, warps the previous HR estimate; that
is rearranged to LR size (space to depth) and read by SRNet together with the frame. Departures, forced by 4:2:0 video:
luma is what is fed back, chroma has a head of its own; both are added to the bicubic enlargement; the last layers are
pixel shuffles instead of transposed convolutions.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from subpixel.models.best import Residual
from subpixel.models.fast import bicubic_kernel, enlarge
from subpixel.models.flow import warp
from subpixel.models.restored import Restored


@dataclasses.dataclass(frozen=True)
class FrvsrOptions:
    """Shape of an `frvsr` network: blocks and channels of SRNet, first width of FNet; the paper's by default."""

    scale: int = 4
    blocks: int = 10
    channels: int = 128
    flow_channels: int = 32


class FNet(nn.Module):
    """Flow from one LR frame to another: three halvings, three doublings, tanh; at most REACH pixels."""

    REACH = 24.0

    def __init__(self, c: int) -> None:
        super().__init__()
        widths = [(2, c), (c, 2 * c), (2 * c, 4 * c), (4 * c, 8 * c), (8 * c, 4 * c), (4 * c, 2 * c)]
        self.pairs = nn.ModuleList(
            nn.ModuleList((nn.Conv2d(a, b, 3, padding=1), nn.Conv2d(b, b, 3, padding=1))) for a, b in widths
        )
        self.one, self.two = nn.Conv2d(2 * c, c, 3, padding=1), nn.Conv2d(c, 2, 3, padding=1)

    def forward(self, here: Tensor, there: Tensor) -> Tensor:
        """(N, 1, H, W) twice to (N, 2, H, W): what is `here` at p is found `there` at p + flow, in LR pixels."""
        x = torch.cat([here, there], 1)
        sizes: list[Tensor] = []
        for level, pair in enumerate(self.pairs):
            for layer in pair:  # type: ignore[attr-defined]
                x = F.leaky_relu(layer(x), 0.2)
            if level < 3:
                sizes.append(x)
                x = F.max_pool2d(x, 2, ceil_mode=True)
            else:
                like = sizes.pop()
                x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
                x = x[..., : like.shape[-2], : like.shape[-1]]
        return torch.tanh(self.two(F.leaky_relu(self.one(x), 0.2))) * self.REACH


class Frvsr(nn.Module):
    """Frame-recurrent restoration of 4:2:0 video; shapes as for `Fast`; the state is the last luma, space to depth."""

    base_y: Tensor
    base_uv: Tensor
    later = None
    codec = ()
    align = 8

    def __init__(self, options: FrvsrOptions = FrvsrOptions()) -> None:
        super().__init__()
        o = self.options = options
        self.fnet = FNet(o.flow_channels)
        self.into = nn.Conv2d(3 + o.scale**2, o.channels, 3, padding=1)
        self.blocks = nn.Sequential(*(Residual(o.channels) for _ in range(o.blocks)))
        self.to_luma = nn.Conv2d(o.channels, o.scale**2, 3, padding=1)
        self.to_chroma = nn.Conv2d(o.channels, 2 * o.scale**2, 3, padding=1, stride=2)
        for layer in (self.to_luma, self.to_chroma):
            nn.init.normal_(layer.weight, std=1e-3)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.register_buffer("base_y", bicubic_kernel(o.scale, 1), persistent=False)
        self.register_buffer("base_uv", bicubic_kernel(o.scale, 2), persistent=False)

    @property
    def state(self) -> tuple[int, int]:
        """Channels of the state, on the LR grid."""
        return self.options.scale**2, 1

    @property
    def halo(self) -> int:
        """LR pixels around a tile that its result depends on, for motion of up to 8 LR pixels a frame."""
        return 2 + 4 + 8 + 16 + 8 + 4 + 4 + 8 + 8 + 2 * self.options.blocks + 4

    def fuse(self) -> Frvsr:
        """Nothing is to be fused."""
        return self

    def step(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Restore one frame; codec (N, 0, H/2, W/2)."""
        return self._step(y, uv, codec, state)[:3]

    def _step(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scale = self.options.scale
        here = y[:, 1:2]
        flow = self.fnet(here - 0.5, y[:, :1] - 0.5).float()
        fine = F.interpolate(flow * scale, scale_factor=float(scale), mode="bilinear", align_corners=False)
        past = F.pixel_unshuffle(warp(F.pixel_shuffle(state, scale), fine), scale)
        side = F.interpolate(torch.cat([uv - 0.5, codec], 1), scale_factor=2.0, mode="nearest")
        features = torch.relu(self.into(torch.cat([here - 0.5, side, past.to(here.dtype)], 1)))
        features = self.blocks(features)
        luma = self.to_luma(features) + enlarge(here, self.base_y)
        chroma = self.to_chroma(features) + enlarge(uv, self.base_uv)
        # The first frame's past is zeros, as published, so that what is fed back must be zero in the mean as well.
        return F.pixel_shuffle(luma, scale), F.pixel_shuffle(chroma, scale), luma - 0.5, flow

    def forward(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> Restored:
        """Restore T consecutive frames: y (N, T+2, H, W), uv (N, T, 2, H/2, W/2); codec (N, T, 0, H/2, W/2)."""
        lumas, chromas, flows = [], [], []
        for t in range(uv.shape[1]):
            luma, chroma, state, flow = self._step(y[:, t : t + 3], uv[:, t], codec[:, t], state)
            lumas.append(luma)
            chromas.append(chroma)
            if t:
                flows.append((F.avg_pool2d(flow, 2) / 2, t - 1, t))
        return Restored(torch.stack(lumas, 1), torch.stack(chromas, 1), state, flows=flows)
