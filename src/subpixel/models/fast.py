"""fast: a recurrent network small enough for real time on an ordinary CPU.

It works on the half-resolution grid of a 4:2:0 picture, where luma unshuffled by two and the chroma
planes meet, and adds what it has learnt to the plain bicubic enlargement. Facts and sources:
- features below the picture's resolution: RT4KSR (Zamfir et al.) and bicubic++ (Bilecen & Ayazoglu), CVPRW 2023;
- blocks that are three branches in training and one convolution afterwards: RepVGG (Ding et al., CVPR 2021);
- the hidden state handed from frame to frame without warping: RLSP (Fuoli et al., ICCVW 2019).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from subpixel.models.flow import plausible, warp
from subpixel.models.restored import Restored

Float64 = np.ndarray[Any, np.dtype[np.float64]]

CELLS = 16.0  # motion maps are in cells of the half grid / 16
BICUBIC_A = -0.6  # libswscale's bicubic; the base picture must be the one the degradation's inverse expects


@dataclasses.dataclass(frozen=True)
class FastOptions:
    """Shape of a `fast` network.

    unshuffle: 2 works on the half grid, 1 on the picture's own. recurrent: hand the hidden state on. look_ahead: see
    the next frame. qp, kinds: read the codec's quantiser map, the frame's type. motion: move the hidden state along the
    codec's vectors (half grid alone).
    """

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
        if self.unshuffle not in (1, 2) or (self.unshuffle == 1 and self.scale % 2):
            raise ValueError(f"unshuffle must be 2, or 1 for an even scale, not {self.unshuffle}")
        if self.motion and self.unshuffle != 2:
            raise ValueError("motion = true needs unshuffle = 2, the grid of the codec's vectors")


class RepConv(nn.Module):
    """3x3 convolution trained as the sum of a 3x3, a 1x1 and (same width) an identity branch.

    The three kernels are added before the one convolution, so training costs no more than inference.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.point = nn.Parameter(torch.randn(outputs, inputs) * inputs**-0.5 * 0.3)
        self.identity = inputs == outputs

    def kernel(self) -> Tensor:
        """(outputs, inputs, 3, 3): the three branches fused into one kernel."""
        point = self.point + torch.eye(len(self.point)) if self.identity else self.point
        return self.conv.weight + F.pad(point[:, :, None, None], (1, 1, 1, 1))

    def take_over(self, kernel: Tensor, bias: Tensor) -> None:
        """Compute what a fused convolution of this kernel and bias does; its spare input channels are dropped."""
        inputs = self.point.shape[1]
        self.point.data.zero_()
        self.conv.weight.data.copy_(kernel[:, :inputs])
        self.conv.weight.data.sub_(self.kernel().detach() - self.conv.weight.detach())
        self.conv.bias.data.copy_(bias)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, inputs, H, W) by the fused kernel."""
        return F.conv2d(x, self.kernel(), self.conv.bias, padding=1)


def cubic(distance: Float64, a: float = BICUBIC_A) -> Float64:
    """Keys' cubic convolution kernel (IEEE Trans. ASSP 29, 1981) at the given distances, in samples."""
    d = np.abs(distance)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def bicubic_kernel(scale: int, planes: int) -> Tensor:
    """(planes * scale^2, planes, 5, 5): convolution which, pixel-shuffled, is bicubic enlargement (co-centred)."""
    centre = (np.arange(scale) + 0.5) / scale - 0.5
    rows = cubic(np.arange(-2, 3)[None] - centre[:, None])
    phases = np.einsum("iy,jx->ijyx", rows, rows).reshape(scale * scale, 5, 5)
    kernel = np.zeros((planes, scale * scale, planes, 5, 5))
    for plane in range(planes):
        kernel[plane, :, plane] = phases
    return torch.from_numpy(kernel.reshape(planes * scale**2, planes, 5, 5)).float()


class Fast(nn.Module):
    """Recurrent restoration and enlargement of 4:2:0 video, one frame of look-ahead.

    step: y (N, 3, H, W) luma of frames t-1, t, t+1; uv (N, 2, H/2, W/2); codec (N, C, H/2, W/2), the maps named by
    `codec`; state (N, *state) hidden state. Samples are limited-range code values / 255. H, W even.
    Returns luma (N, 1, sH, sW), chroma (N, 2, sH/2, sW/2), the next hidden state.
    """

    later = None

    base_y: Tensor
    base_uv: Tensor

    def __init__(self, options: FastOptions = FastOptions()) -> None:
        super().__init__()
        o = self.options = options
        grid = o.unshuffle**2
        inputs = (2 + o.look_ahead) * grid + 2 + o.qp + 3 * o.kinds + o.channels * o.recurrent
        self.head: RepConv | nn.Conv2d = RepConv(inputs, o.channels)
        self.blocks = nn.ModuleList(RepConv(o.channels, o.channels) for _ in range(o.blocks))
        self.to_detail: RepConv | nn.Conv2d = RepConv(o.channels, o.detail * grid)
        self.to_luma = nn.Conv2d(o.detail + 1, o.scale**2, 3, padding=1)
        chroma_scale = o.scale if o.unshuffle == 2 else o.scale // 2
        self.to_chroma = nn.Conv2d(o.channels, 2 * chroma_scale**2, 3, padding=1)
        for layer in (self.to_luma, self.to_chroma):
            for parameter in layer.parameters():
                nn.init.normal_(parameter, std=1e-3)
        self.register_buffer("base_y", bicubic_kernel(o.scale, 1), persistent=False)
        self.register_buffer("base_uv", bicubic_kernel(o.scale, 2), persistent=False)

    def fuse(self) -> Fast:
        """Make the network what inference engines are fastest with, in place; it computes the same.

        Every branched layer becomes the one convolution it amounts to, and layers that read an odd number of channels
        read some of them again with zero weights: onnxruntime has a quick way for multiples of 16 alone.
        """
        self.head, self.to_detail = widened(fused(self.head)), fused(self.to_detail)
        self.blocks = nn.ModuleList(fused(block) for block in self.blocks)
        self.to_luma = widened(self.to_luma)
        return self

    @property
    def codec(self) -> tuple[str, ...]:
        """Names of the codec's maps it reads."""
        return tuple(name for name in ("qp", "kinds", "motion") if getattr(self.options, name))

    @property
    def state(self) -> tuple[int, int]:
        """Channels of the hidden state, and how much coarser than the picture its grid is."""
        return self.options.channels, self.options.unshuffle

    @property
    def halo(self) -> int:
        """LR pixels around a tile that its result depends on, made even; with `motion`, of up to 16 pixels."""
        layers = 2 + self.options.blocks  # head, blocks, then detail or chroma, on its grid; last one on the full
        return (layers * self.options.unshuffle + 3) // 2 * 2 + 16 * self.options.motion

    @property
    def align(self) -> int:
        """LR pixels that a tile's upper left corner must be a multiple of."""
        return 2

    def step(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Restore one frame; see the class for shapes."""
        o = self.options
        if o.motion:
            codec, vectors = codec[:, :-4], codec[:, -4:-2] * CELLS
            luma = F.avg_pool2d(y, 2)
            state = warp(state, plausible(luma[:, 1:2], luma[:, :1], vectors)).to(state.dtype)
        side = torch.cat([uv - 0.5, codec], 1)
        if o.unshuffle == 1:
            side = F.interpolate(side, scale_factor=2.0, mode="nearest")
        x = [F.pixel_unshuffle(y[:, : 2 + o.look_ahead] - 0.5, o.unshuffle), side] + ([state] if o.recurrent else [])
        features = torch.relu(read(self.head, x))
        for block in self.blocks:
            features = torch.relu(block(features))
        detail = F.pixel_shuffle(torch.relu(self.to_detail(features)), o.unshuffle)
        luma = read(self.to_luma, [detail, y[:, 1:2] - 0.5])
        chroma = self.to_chroma(features)
        luma = F.pixel_shuffle(luma + enlarge(y[:, 1:2], self.base_y), o.scale)
        if o.unshuffle == 1:
            chroma = F.pixel_shuffle(chroma, o.scale // 2) + F.pixel_shuffle(enlarge(uv, self.base_uv), o.scale)
        else:
            chroma = F.pixel_shuffle(chroma + enlarge(uv, self.base_uv), o.scale)
        return luma, chroma, features

    def forward(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> Restored:
        """Restore T consecutive frames: y (N, T+2, H, W), uv (N, T, 2, H/2, W/2), codec (N, T, C, H/2, W/2)."""
        lumas, chromas = [], []
        for t in range(uv.shape[1]):
            luma, chroma, state = self.step(y[:, t : t + 3], uv[:, t], codec[:, t], state)
            lumas.append(luma)
            chromas.append(chroma)
        return Restored(torch.stack(lumas, 1), torch.stack(chromas, 1), state)


def fused(layer: nn.Module) -> nn.Conv2d:
    """The plain convolution that does what a RepConv does."""
    if not isinstance(layer, RepConv):
        raise TypeError(f"Only a RepConv can be fused, not {type(layer).__name__}; fuse a network once.")
    conv = nn.Conv2d(layer.conv.in_channels, layer.conv.out_channels, 3, padding=1)
    conv.load_state_dict({"weight": layer.kernel().detach(), "bias": layer.conv.state_dict()["bias"]})
    return conv


def widened(layer: nn.Conv2d, multiple: int = 16) -> nn.Conv2d:
    """The same convolution with zero weights for further input channels, up to a multiple."""
    extra = -layer.in_channels % multiple
    wide = nn.Conv2d(layer.in_channels + extra, layer.out_channels, 3, padding=1)
    weight = F.pad(layer.weight.detach(), (0, 0, 0, 0, 0, extra))
    wide.load_state_dict({"weight": weight, "bias": layer.state_dict()["bias"]})
    return wide


def read(layer: nn.Module, inputs: list[Tensor]) -> Tensor:
    """Apply a layer to the inputs side by side; a widened one gets the last channel again where it has zero weights."""
    wanted = layer.in_channels if isinstance(layer, nn.Conv2d) else sum(i.shape[1] for i in inputs)
    spare = int(wanted) - sum(i.shape[1] for i in inputs)
    return layer(torch.cat(inputs + [inputs[-1][:, -1:]] * spare, 1))  # type: ignore[no-any-return]


def enlarge(planes: Tensor, kernel: Tensor) -> Tensor:
    """Bicubic enlargement before the pixel shuffle: (N, P, H, W) -> (N, P * s^2, H, W), edges repeated."""
    # The picture itself, not a correction to it: half precision would round it by half a code value.
    with torch.autocast(planes.device.type, enabled=False):
        return F.conv2d(F.pad(planes.float(), (2, 2, 2, 2), mode="replicate"), kernel.float())
