"""best: two directions, learned motion and the codec's hints, where quality matters more than time.

`fast` is its first stage; what it adds is learnt on top. All of it lives on the half grid. Facts and sources:
- backward, then forward recurrence: BasicVSR (Chan et al., CVPR 2021); here the backward pass sees a window only;
- features aligned by a learned flow and offsets per group: BasicVSR++ (CVPR 2022), CDA-VSR (CVPR 2026, 1x1 kernels);
- frame type, quantiser and motion vectors as inputs: CAVSR (Wang et al., CVPR 2023);
- pictures that the codec kept well (I, P) stay at hand while worse ones (B) are restored: the peak-quality frames of
  the NTIRE 2022 winner, here as a second state, carried along the flow and renewed by every I and P frame.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from subpixel.models.fast import CELLS, Fast, FastOptions
from subpixel.models.flow import Flow, warp_groups
from subpixel.models.restored import Restored

Picture = tuple[Tensor, Tensor]  # luma, chroma


@dataclasses.dataclass(frozen=True)
class BestOptions:
    """Shape of a `best` network.

    channels: of its features; blocks, back_blocks: residual blocks of the forward and backward pass; groups: of
    features warped by flows of their own. first_*: shape of the first stage. qp, kinds, motion: which of the codec's
    hints it reads; key: keep the state of the last I or P frame. backward: look ahead by a backward pass.
    """

    scale: int = 4
    channels: int = 48
    blocks: int = 5
    back_blocks: int = 3
    groups: int = 4
    flow_channels: int = 24
    first_channels: int = 32
    first_blocks: int = 4
    qp: bool = True
    kinds: bool = True
    motion: bool = True
    key: bool = True
    backward: bool = True


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
    """Features on the half grid to residuals of luma and chroma; nearly zero at first."""

    def __init__(self, channels: int, scale: int, detail: int = 12) -> None:
        super().__init__()
        self.scale = scale
        self.to_detail = nn.Conv2d(channels, detail * 4, 3, padding=1)
        self.to_luma = nn.Conv2d(detail + 1, scale**2, 3, padding=1)
        self.to_chroma = nn.Conv2d(channels, 2 * scale**2, 3, padding=1)
        for layer in (self.to_luma, self.to_chroma):
            nn.init.normal_(layer.weight, std=1e-3)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """features (N, C, H/2, W/2), y (N, 1, H, W) to luma (N, 1, sH, sW), chroma (N, 2, sH/2, sW/2)."""
        detail = F.pixel_shuffle(torch.relu(self.to_detail(features)), 2)
        luma = F.pixel_shuffle(self.to_luma(torch.cat([detail, y - 0.5], 1)), self.scale)
        return luma, F.pixel_shuffle(self.to_chroma(features), self.scale)


class Best(nn.Module):
    """Bidirectional recurrent restoration of 4:2:0 video; shapes as for `Fast`.

    `back` runs from the last frame to the first and gives what each frame is told of its future (N, *later);
    `step` runs from the first to the last. The state holds the first stage's state, the features of the frame before
    and, with `key`, those of the last I or P frame, all on the half grid.
    """

    def __init__(self, options: BestOptions = BestOptions()) -> None:
        super().__init__()
        o = self.options = options
        self.first = Fast(FastOptions(o.scale, o.first_channels, o.first_blocks, qp=o.qp))
        seen = 3 * 4 + 2 + o.qp + 3 * o.kinds + 4 * o.motion
        self.flow = Flow(o.flow_channels, o.groups)
        if o.backward:
            self.into_back = nn.Conv2d(seen + o.channels, o.channels, 3, padding=1)
            self.back_blocks = nn.Sequential(*(Residual(o.channels) for _ in range(o.back_blocks)))
            self.back_heads = Heads(o.channels, o.scale)
        features = (1 + o.key + o.backward) * o.channels
        self.into = nn.Conv2d(seen + o.first_channels + features, o.channels, 3, padding=1)
        self.blocks = nn.Sequential(*(Residual(o.channels) for _ in range(o.blocks)))
        self.heads = Heads(o.channels, o.scale)

    @property
    def codec(self) -> tuple[str, ...]:
        """Names of the codec's maps it reads."""
        return tuple(name for name in ("qp", "kinds", "motion") if getattr(self.options, name))

    @property
    def state(self) -> tuple[int, int]:
        """Channels of the state, on the half grid."""
        return self.options.first_channels + self.options.channels * (1 + self.options.key), 2

    @property
    def later(self) -> tuple[int, int] | None:
        """Channels of what a frame is told of its future, on the half grid."""
        return (self.options.channels, 2) if self.options.backward else None

    @property
    def halo(self) -> int:
        """LR pixels around a tile that its result depends on, for motion of up to 16 LR pixels a frame."""
        cells = 3 * 4 + 3 * 2 + 3 + 8 + 2 + 2 * max(self.options.blocks, self.options.back_blocks) + 2
        return 2 * cells

    @property
    def align(self) -> int:
        """LR pixels that a tile's upper left corner must be a multiple of: the flow's coarsest cells."""
        return 2 << Flow.LEVELS

    def fuse(self) -> Best:
        """The form for inference, in place: branches of the first stage fused, heads of the backward pass dropped."""
        self.first.fuse()
        if self.options.backward:
            del self.back_heads
        return self

    def _seen(self, y: Tensor, uv: Tensor, codec: Tensor) -> tuple[Tensor, Tensor]:
        """All inputs on the half grid, and luma of the three frames unshuffled (N, 12, H/2, W/2)."""
        luma = F.pixel_unshuffle(y - 0.5, 2)
        return torch.cat([luma, uv - 0.5, codec], 1), luma

    def _vectors(self, codec: Tensor, future: bool) -> Tensor | None:
        """The codec's vectors to the past or the future in cells, if the network reads them."""
        if not self.options.motion:
            return None
        return codec[:, -2:] * CELLS if future else codec[:, -4:-2] * CELLS

    def back(self, y: Tensor, uv: Tensor, codec: Tensor, later: Tensor) -> Tensor:
        """What the frame before is told, from this frame and what it is told itself; see the class."""
        return self._back(y, uv, codec, later)[0]

    def _back(self, y: Tensor, uv: Tensor, codec: Tensor, later: Tensor) -> tuple[Tensor, Tensor]:
        seen, luma = self._seen(y, uv, codec)
        flow, flows = self.flow(luma[:, 4:8], luma[:, 8:12], self._vectors(codec, future=True))
        features = torch.relu(self.into_back(torch.cat([seen, warp_groups(later, flows).to(seen.dtype)], 1)))
        return self.back_blocks(features), flow

    def step(
        self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor, later: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Restore one frame; `later` is what `back` gave for this very frame."""
        base, more, state, _ = self._step(y, uv, codec, state, later)
        return base[0] + more[0], base[1] + more[1], state

    def _step(
        self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor, later: Tensor | None
    ) -> tuple[Picture, Picture, Tensor, Tensor]:
        """The first stage's picture, what is added to it, the next state, the flow to the frame before."""
        o = self.options
        seen, luma = self._seen(y, uv, codec)
        own, past = state[:, : o.first_channels], state[:, o.first_channels :]
        luma_base, chroma_base, own = self.first.step(y, uv, codec[:, : int(o.qp)], own)
        flow, flows = self.flow(luma[:, 4:8], luma[:, 0:4], self._vectors(codec, future=False))
        past = warp_groups(past, flows).to(seen.dtype)
        told = [] if later is None else [later]
        features = self.blocks(torch.relu(self.into(torch.cat([seen, own, past, *told], 1))))
        following = [own, features]
        if o.key:
            poor = codec[:, o.qp + 2 : o.qp + 3] if o.kinds else torch.zeros_like(uv[:, :1])  # ones on B frames
            following.append(poor * past[:, o.channels :] + (1 - poor) * features)
        return (luma_base, chroma_base), self.heads(features, y[:, 1:2]), torch.cat(following, 1), flow

    def forward(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> Restored:
        """Restore T consecutive frames: y (N, T+2, H, W), uv (N, T, 2, H/2, W/2), codec (N, T, C, H/2, W/2)."""
        count = uv.shape[1]
        flows: list[tuple[Tensor, int, int]] = []
        laters: list[Tensor | None] = [None] * count
        if self.options.backward:
            later = state.new_zeros(len(y), self.options.channels, *uv.shape[-2:])
            for t in reversed(range(count)):
                later, flow = self._back(y[:, t : t + 3], uv[:, t], codec[:, t], later)
                laters[t] = later
                flows += [(flow, t + 1, t)] if t + 1 < count else []
        bases, mores = [], []
        for t in range(count):
            base, more, state, flow = self._step(y[:, t : t + 3], uv[:, t], codec[:, t], state, laters[t])
            bases.append(base)
            mores.append(more)
            flows += [(flow, t - 1, t)] if t else []
        base, more = clip(bases), clip(mores)
        # While training: what the backward pass alone would add to the picture, so that it learns early.
        early = [
            self.back_heads(later, y[:, t + 1 : t + 2])
            for t, later in enumerate(laters)
            if self.training and later is not None
        ]
        auxiliary = [
            (base[0].detach() + told[0], base[1].detach() + told[1]) for told in ([clip(early)] if early else [])
        ]
        return Restored(base[0] + more[0], base[1] + more[1], state, auxiliary, flows)


def clip(pictures: list[Picture]) -> Picture:
    """T pictures as one clip: luma (N, T, 1, H, W), chroma (N, T, 2, H/2, W/2)."""
    luma, chroma = zip(*pictures, strict=True)
    return torch.stack(luma, 1), torch.stack(chroma, 1)
