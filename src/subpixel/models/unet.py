"""unet: a U-Net on the bilinear enlargement of one frame, after the baseline of Megvii's 2020 video contest.

Its own code was never published; participants' first versions show bilinear enlargement, one frame, LeakyReLU 0.2 and
sides padded to be even. Sizes are ours. U-Net: Ronneberger et al., MICCAI 2015.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from subpixel.models.restored import Restored


@dataclasses.dataclass(frozen=True)
class UNetOptions:
    """Shape of a `unet`; channels: at the enlarged picture's size, twice as many at each half of it."""

    scale: int = 4
    channels: int = 16


class UNet(nn.Module):
    """Restoration of single frames on the enlarged picture's grid; neither memory nor the codec's maps.

    Every picture side of an even scale can be halved twice, of scale 3 once: so deep is the network.
    """

    codec: tuple[str, ...] = ()
    state = (1, 2)  # handed on as it came
    later = None
    align = 2

    def __init__(self, options: UNetOptions = UNetOptions()) -> None:
        super().__init__()
        self.options = options
        c, levels = options.channels, 1 if options.scale % 2 else 2
        self.enter = nn.Conv2d(3, c, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(c << k, c << k + 1, 3, padding=1) for k in range(levels))
        self.up = nn.ModuleList(nn.Conv2d(c << k + 1, c << k + 2, 3, padding=1) for k in range(levels))
        self.merge = nn.ModuleList(nn.Conv2d(c << k + 1, c << k, 3, padding=1) for k in range(levels))
        self.leave = nn.Conv2d(c, 3, 3, padding=1)

    @property
    def halo(self) -> int:
        """LR pixels around a tile that its result depends on, bilinear neighbours included, made even."""
        levels = len(self.down)
        reach = 4 << levels  # enlarged pixels: down and up at each size, merge, enter, leave, and whole cells of a size
        return (-(-reach * 2 // self.options.scale) + 3) // 2 * 2

    def fuse(self) -> UNet:
        """Itself: nothing is branched."""
        return self

    def step(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG002
        """Restore one frame: y (N, 3, H, W), of which the middle one is used, uv (N, 2, H/2, W/2)."""
        scale = float(self.options.scale)
        luma = F.interpolate(y[:, 1:2], scale_factor=scale, mode="bilinear", align_corners=False)
        chroma = F.interpolate(uv, scale_factor=2 * scale, mode="bilinear", align_corners=False)
        picture = torch.cat([luma, chroma], 1)
        picture = picture + self.leave(self.features(picture - 0.5))
        return picture[:, :1], F.avg_pool2d(picture[:, 1:], 2), state

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, sH, sW) -> (N, channels, sH, sW): down and up again, joined at each size."""
        x = F.leaky_relu(self.enter(x), 0.2)
        skips = []
        for conv in self.down:
            skips.append(x)
            x = F.leaky_relu(conv(F.avg_pool2d(x, 2)), 0.2)
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            x = torch.cat([F.pixel_shuffle(F.leaky_relu(up(x), 0.2), 2), skips.pop()], 1)
            x = F.leaky_relu(merge(x), 0.2)
        return x

    def forward(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> Restored:
        """Restore T frames: y (N, T+2, H, W), uv (N, T, 2, H/2, W/2), codec (N, T, 0, H/2, W/2)."""
        steps = [self.step(y[:, t : t + 3], uv[:, t], codec[:, t], state) for t in range(uv.shape[1])]
        return Restored(torch.stack([s[0] for s in steps], 1), torch.stack([s[1] for s in steps], 1), state)
