"""unet: the twin of models.unet, the contest's baseline."""

from __future__ import annotations

import dataclasses
from typing import Any

import megengine.functional as F
from megengine import Tensor

from subpixel.learn.megengine.layers import Conv, Network


@dataclasses.dataclass(frozen=True)
class UNetOptions:
    """As models.unet.UNetOptions."""

    scale: int = 4
    channels: int = 16


class UNet(Network):
    """A U-Net on the bilinear enlargement of one frame; shapes as models.unet.UNet."""

    def __init__(self, options: UNetOptions = UNetOptions()) -> None:
        super().__init__()
        self.options = options
        c, levels = options.channels, 1 if options.scale % 2 else 2
        self.enter = Conv(3, c)
        self.down: Any = [Conv(c << k, c << k + 1) for k in range(levels)]
        self.up: Any = [Conv(c << k + 1, c << k + 2) for k in range(levels)]
        self.merge: Any = [Conv(c << k + 1, c << k) for k in range(levels)]
        self.leave = Conv(c, 3)

    def step(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG002
        """Restore one frame: y (N, 3, H, W), of which the middle one is used, uv (N, 2, H/2, W/2)."""
        picture = F.concat([enlarge(y[:, 1:2], self.options.scale), enlarge(uv, 2 * self.options.scale)], 1)
        picture = picture + self.leave(self.features(picture - 0.5))
        return picture[:, :1], F.avg_pool2d(picture, 2)[:, 1:], state

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, sH, sW) -> (N, channels, sH, sW): down and up again, joined at each size."""
        x = F.leaky_relu(self.enter(x), 0.2)
        skips = []
        for conv in self.down:
            skips.append(x)
            x = F.leaky_relu(conv(F.avg_pool2d(x, 2)), 0.2)
        for up, merge in zip(self.up[::-1], self.merge[::-1], strict=True):
            x = F.concat([F.pixel_shuffle(F.leaky_relu(up(x), 0.2), 2), skips.pop()], 1)
            x = F.leaky_relu(merge(x), 0.2)
        return x


def enlarge(planes: Tensor, scale: int) -> Tensor:
    """Bilinear enlargement (co-centred) of (N, P, H, W)."""
    return F.vision.interpolate(planes, scale_factor=float(scale), mode="bilinear", align_corners=False)
