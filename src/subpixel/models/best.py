"""best: the last picture moved, the codec's hints and, if asked, both directions: where quality matters more than time.

Residual blocks on the full LR grid add to the bicubic enlargement. Facts and sources:
- backward, then forward recurrence: BasicVSR (Chan et al., CVPR 2021); here the backward pass sees a window only;
- features aligned by a learned flow and offsets per group: BasicVSR++ (CVPR 2022), CDA-VSR (CVPR 2026, 1x1 kernels);
- frame type, quantiser and motion vectors as inputs: CAVSR (Wang et al., CVPR 2023);
- the enlarged picture of the frame before, moved on the fine grid, where no detail is lost to interpolation: FRVSR
  (Sajjadi et al., CVPR 2018);
- pictures that the codec kept well (I, P) stay at hand while worse ones (B) are restored: the peak-quality frames of
  the NTIRE 2022 winner, here as a second state, carried along the flow and renewed by every I and P frame.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from subpixel.models.fast import CELLS, bicubic_kernel, enlarge
from subpixel.models.flow import Flow, double, warp, warp_groups
from subpixel.models.restored import Restored

Picture = tuple[Tensor, Tensor]  # luma, chroma


@dataclasses.dataclass(frozen=True)
class BestOptions:
    """Shape of a `best` network.

    channels: of its features; blocks, back_blocks: residual blocks of the forward and backward pass; groups: of
    features warped by flows of their own. qp, kinds, motion: which of the codec's hints it reads. recall: hand on the
    features of the frame before; key: keep those of the last I or P frame. backward: look ahead by a backward pass.
    """

    scale: int = 4
    channels: int = 32
    blocks: int = 6
    back_blocks: int = 2
    groups: int = 4
    flow_channels: int = 24
    qp: bool = True
    kinds: bool = True
    motion: bool = True
    recall: bool = True
    key: bool = True
    backward: bool = True

    def __post_init__(self) -> None:
        if self.channels % self.groups:
            raise ValueError(f"channels must be a multiple of groups ({self.groups}), not {self.channels}")


class Residual(nn.Module):
    """x + conv(relu(conv(x))), begun near the identity (Lim et al., EDSR, CVPRW 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, channels, 3, padding=1)
        self.two = nn.Conv2d(channels, channels, 3, padding=1)
        self.two.weight.data.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return x + self.two(torch.relu(self.one(x)))  # type: ignore[no-any-return]


class Heads(nn.Module):
    """Features (N, C, H, W) to residuals: luma (N, s^2, H, W), chroma (N, 2 s^2, H/2, W/2), not yet shuffled."""

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.to_luma = nn.Conv2d(channels, scale**2, 3, padding=1)
        self.to_chroma = nn.Conv2d(channels, 2 * scale**2, 3, padding=1, stride=2)
        for layer in (self.to_luma, self.to_chroma):
            nn.init.normal_(layer.weight, std=1e-3)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Picture:
        """See the class; nearly zero at first."""
        return self.to_luma(features), self.to_chroma(features)


class Best(nn.Module):
    """Bidirectional recurrent restoration of 4:2:0 video; shapes as for `Fast`.

    `back` runs from the last frame to the first and gives what each frame is told of its future (N, *later);
    `step` runs from the first to the last. The state holds the enlarged luma of the frame before (space to depth) and,
    as `recall` and `key` ask, features of earlier frames, all on the LR grid.
    """

    base_y: Tensor
    base_uv: Tensor

    def __init__(self, options: BestOptions = BestOptions()) -> None:
        super().__init__()
        o = self.options = options
        seen = 3 + 2 + o.qp + 3 * o.kinds
        carries = o.recall or o.key or o.backward
        self.flow = Flow(o.flow_channels, o.groups * carries)
        if o.backward:
            self.into_back = nn.Conv2d(seen + o.channels, o.channels, 3, padding=1)
            self.back_blocks = nn.Sequential(*(Residual(o.channels) for _ in range(o.back_blocks)))
            self.back_heads = Heads(o.channels, o.scale)
        told = (o.recall + o.key + o.backward) * o.channels + o.scale**2
        self.into = nn.Conv2d(seen + told, o.channels, 3, padding=1)
        self.blocks = nn.Sequential(*(Residual(o.channels) for _ in range(o.blocks)))
        self.heads = Heads(o.channels, o.scale)
        self.register_buffer("base_y", bicubic_kernel(o.scale, 1), persistent=False)
        self.register_buffer("base_uv", bicubic_kernel(o.scale, 2), persistent=False)

    @property
    def codec(self) -> tuple[str, ...]:
        """Names of the codec's maps it reads."""
        return tuple(name for name in ("qp", "kinds", "motion") if getattr(self.options, name))

    @property
    def state(self) -> tuple[int, int]:
        """Channels of the state, on the LR grid."""
        o = self.options
        return o.scale**2 + o.channels * (o.recall + o.key), 1

    @property
    def later(self) -> tuple[int, int] | None:
        """Channels of what a frame is told of its future, on the LR grid."""
        return (self.options.channels, 1) if self.options.backward else None

    @property
    def halo(self) -> int:
        """LR pixels around a tile that its result depends on, for motion of up to 16 LR pixels a frame."""
        cells = 3 * 4 + 3 * 2 + 3  # the flow's three levels
        return 2 * cells + 16 + 2 * max(self.options.blocks, self.options.back_blocks) + 4

    @property
    def align(self) -> int:
        """LR pixels that a tile's upper left corner must be a multiple of: the flow's coarsest cells."""
        return 2 << Flow.LEVELS

    def fuse(self) -> Best:
        """The form for inference, in place: heads of the backward pass dropped."""
        if self.options.backward:
            del self.back_heads
        return self

    def _seen(self, y: Tensor, uv: Tensor, codec: Tensor) -> Tensor:
        """All inputs on the LR grid: luma of three frames, chroma, quantisers, types."""
        still = codec[:, : codec.shape[1] - 4 * self.options.motion]
        side = F.interpolate(torch.cat([uv - 0.5, still], 1), scale_factor=2.0, mode="nearest")
        return torch.cat([y - 0.5, side], 1)

    def _warped(self, y: Tensor, codec: Tensor, planes: Tensor, there: int) -> tuple[Tensor, Tensor]:
        """Features of frame t - 1 (there 0) or t + 1 (there 2) as frame t sees them, and the flow on the half grid."""
        vectors = None
        if self.options.motion:
            vectors = (codec[:, -2:] if there else codec[:, -4:-2]) * CELLS
        here, other = (F.pixel_unshuffle(y[:, t : t + 1] - 0.5, 2) for t in (1, there))
        flow, flows = self.flow(here, other, vectors)
        if planes.shape[1]:
            planes = warp_groups(planes, double(flows, planes)).to(planes.dtype)
        return planes, flow

    def back(self, y: Tensor, uv: Tensor, codec: Tensor, later: Tensor) -> Tensor:
        """What the frame before is told, from this frame and what it is told itself; see the class."""
        return self._back(y, uv, codec, later)[0]

    def _back(self, y: Tensor, uv: Tensor, codec: Tensor, later: Tensor) -> tuple[Tensor, Tensor]:
        later, flow = self._warped(y, codec, later, 2)
        features = torch.relu(self.into_back(torch.cat([self._seen(y, uv, codec), later], 1)))
        return self.back_blocks(features), flow

    def step(
        self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor, later: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Restore one frame; `later` is what `back` gave for this very frame."""
        (luma, chroma), state, _ = self._step(y, uv, codec, state, later)
        return luma, chroma, state

    def _step(
        self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor, later: Tensor | None
    ) -> tuple[Picture, Tensor, Tensor]:
        """The picture, the next state, the flow to the frame before."""
        o = self.options
        luma, past = torch.split(state, [o.scale**2, o.channels * (o.recall + o.key)], 1)
        past, flow = self._warped(y, codec, past, 0)
        told = ([] if later is None else [later]) + [self._moved(luma, flow).to(y.dtype)]
        features = self.blocks(torch.relu(self.into(torch.cat([self._seen(y, uv, codec), past, *told], 1))))
        luma, chroma = self._enlarged(self.heads(features), y, uv)
        # The first frame's past is zeros, so that what is fed back must be zero in the mean as well.
        following = [F.pixel_unshuffle(luma - 0.5, o.scale)] + [features] * o.recall
        if o.key:
            poor = codec[:, o.qp + 2 : o.qp + 3] if o.kinds else torch.zeros_like(uv[:, :1])  # ones on B frames
            poor = F.interpolate(poor, scale_factor=2.0, mode="nearest")
            following.append(poor * past[:, -o.channels :] + (1 - poor) * features)
        return (luma, chroma), torch.cat(following, 1), flow

    def _moved(self, luma: Tensor, flow: Tensor) -> Tensor:
        """Enlarged luma (N, s^2, H, W), space to depth, warped on its own grid by a flow on the half grid."""
        scale = self.options.scale
        fine = F.interpolate(flow * 2 * scale, scale_factor=2.0 * scale, mode="bilinear", align_corners=False)
        return F.pixel_unshuffle(warp(F.pixel_shuffle(luma, scale), fine), scale)

    def _enlarged(self, more: Picture, y: Tensor, uv: Tensor) -> Picture:
        """What heads give, added to the bicubic enlargement: luma (N, 1, sH, sW), chroma (N, 2, sH/2, sW/2)."""
        base = enlarge(y[:, 1:2], self.base_y), enlarge(uv, self.base_uv)
        luma, chroma = (F.pixel_shuffle(m + b, self.options.scale) for m, b in zip(more, base, strict=True))
        return luma, chroma

    def forward(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> Restored:
        """Restore T consecutive frames: y (N, T+2, H, W), uv (N, T, 2, H/2, W/2), codec (N, T, C, H/2, W/2)."""
        count = uv.shape[1]
        flows: list[tuple[Tensor, int, int]] = []
        laters: list[Tensor | None] = [None] * count
        if self.options.backward:
            later = state.new_zeros(len(y), self.options.channels, *y.shape[-2:])
            for t in reversed(range(count)):
                later, flow = self._back(y[:, t : t + 3], uv[:, t], codec[:, t], later)
                laters[t] = later
                flows += [(flow, t + 1, t)] if t + 1 < count else []
        pictures = []
        for t in range(count):
            picture, state, flow = self._step(y[:, t : t + 3], uv[:, t], codec[:, t], state, laters[t])
            pictures.append(picture)
            flows += [(flow, t - 1, t)] if t else []
        # While training: what the backward pass alone would make of the picture, so that it learns early.
        early = [
            self._enlarged(self.back_heads(later), y[:, t : t + 3], uv[:, t])
            for t, later in enumerate(laters)
            if self.training and later is not None
        ]
        return Restored(*clip(pictures), state, [clip(early)] if early else [], flows)


def clip(pictures: list[Picture]) -> Picture:
    """T pictures as one clip: luma (N, T, 1, H, W), chroma (N, T, 2, H/2, W/2)."""
    luma, chroma = zip(*pictures, strict=True)
    return torch.stack(luma, 1), torch.stack(chroma, 1)
