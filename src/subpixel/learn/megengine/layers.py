"""Layers that the networks are made of, named and filled as their torch twins."""

from __future__ import annotations

from typing import Any

import megengine as mge
import megengine.functional as F
import megengine.module as M
import numpy as np
from megengine import Parameter, Tensor
from megengine.autodiff import Function

BICUBIC_A = -0.6  # libswscale's bicubic


class Convolve(Function):
    """A convolution of stride 1 whose weight and bias gradients are one matrix product each per picture.

    MegEngine's own weight gradient is several times slower on a CPU, and its own bias gradient, a sum over several
    axes, now and then comes out wrong or infinite there. The products stay two-dimensional: a batched one
    crashes in the backward pass where its input takes no gradient. Inputs must be contiguous.
    """

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """x (N, C, H, W), weight (O, C, k, k), bias (1, O, 1, 1)."""
        self.x, self.weight = x, weight
        return F.conv2d(x, weight, bias, padding=self.padding)

    def backward(self, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of x, weight and bias, from that of the result (N, O, h, w)."""
        outputs, inputs, k, _ = self.weight.shape
        batch, _, height, width = dy.shape
        edge = (self.padding, self.padding)
        padded = F.nn.pad(self.x, ((0, 0), (0, 0), edge, edge))
        ones = F.ones((height * width, 1))
        dw: Any = 0.0
        db: Any = 0.0
        for picture, gradient in ((padded[n], dy[n]) for n in range(batch)):
            shifted = [picture[:, i : i + height, j : j + width] for i in range(k) for j in range(k)]
            columns = F.stack([s.reshape(inputs, -1) for s in shifted], 1).reshape(inputs * k * k, -1)
            gradient = gradient.reshape(outputs, -1)
            dw = dw + F.matmul(gradient, columns, transpose_b=True)
            db = db + F.matmul(gradient, ones)
        dx = F.conv_transpose2d(dy, self.weight, padding=self.padding)
        return dx, dw.reshape(self.weight.shape), db.reshape(1, outputs, 1, 1)


def convolve(x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
    """x (N, C, H, W) by weight (O, C, k, k), plus bias (1, O, 1, 1)."""
    if x.device.physical_name.startswith("gpu"):
        return F.conv2d(x, weight, bias, padding=padding)
    made: Tensor = Convolve(padding)(x, weight, bias)
    return made


class Conv(M.Conv2d):
    """3x3 convolution, edges padded by zeros."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def reset_parameters(self) -> None:
        """Start as torch does: MegEngine's own start, of three times the variance, makes deep recurrences explode."""
        bound = (9 * self.in_channels) ** -0.5
        for parameter in (self.weight, self.bias):
            M.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, inputs, H, W)."""
        return convolve(x, self.weight, self.bias, 1)


class Network(M.Module):
    """A network that restores frame by frame.

    codec: names of the codec's maps that it reads; state: channels of its hidden state, and how much coarser than the
    picture that state's grid is.
    """

    codec: tuple[str, ...] = ()
    state = (1, 2)

    def step(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One frame: luma (N, 1, sH, sW), chroma (N, 2, sH/2, sW/2), the next state; arguments as in `forward`."""
        raise NotImplementedError

    def fuse(self) -> Network:
        """Itself, in the form for inference, changed in place."""
        return self

    def forward(self, y: Tensor, uv: Tensor, codec: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """T frames: y (N, T+2, H, W), uv (N, T, 2, H/2, W/2), codec (N, T, C, H/2, W/2), state (N, c, H/u, W/u).

        Returns luma (N, T, 1, sH, sW), chroma (N, T, 2, sH/2, sW/2) and the state to hand on.
        """
        lumas, chromas = [], []
        for t in range(uv.shape[1]):
            luma, chroma, state = self.step(y[:, t : t + 3], uv[:, t], codec[:, t], state)
            lumas.append(luma)
            chromas.append(chroma)
        return F.stack(lumas, 1), F.stack(chromas, 1), state


class RepConv(M.Module):
    """3x3 convolution trained as the sum of a 3x3, a 1x1 and (same width) an identity branch; as models.fast."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Conv(inputs, outputs)
        self.point = Parameter(mge.random.normal(0, inputs**-0.5 * 0.3, size=(outputs, inputs)))
        self.identity = inputs == outputs

    def kernel(self) -> Tensor:
        """(outputs, inputs, 3, 3): the three branches fused into one kernel."""
        point = self.point + F.eye(self.point.shape[0]) if self.identity else self.point
        return self.conv.weight + F.nn.pad(F.expand_dims(point, [2, 3]), ((0, 0), (0, 0), (1, 1), (1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, inputs, H, W) by the fused kernel."""
        return convolve(x, self.kernel(), self.conv.bias, 1)


def fused(layer: RepConv) -> Conv:
    """The plain convolution that does what a RepConv does."""
    conv = Conv(layer.conv.in_channels, layer.conv.out_channels)
    conv.weight[...] = layer.kernel()
    conv.bias[...] = layer.conv.bias
    return conv


def unshuffle(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N, C * factor^2, H / factor, W / factor): the inverse of pixel_shuffle."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // factor, factor, w // factor, factor).transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(n, c * factor**2, h // factor, w // factor)


def bicubic_kernel(scale: int, planes: int) -> Tensor:
    """(planes * scale^2, planes, 5, 5): convolution which, pixel-shuffled, is bicubic enlargement (co-centred)."""
    d = np.abs(np.arange(-2, 3)[None] - ((np.arange(scale) + 0.5) / scale - 0.5)[:, None])
    near = (BICUBIC_A + 2) * d**3 - (BICUBIC_A + 3) * d**2 + 1  # Keys, IEEE Trans. ASSP 29, 1981
    far = BICUBIC_A * (d**3 - 5 * d**2 + 8 * d - 4)
    rows: Any = np.where(d <= 1, near, np.where(d < 2, far, 0))
    phases = np.einsum("iy,jx->ijyx", rows, rows).reshape(scale * scale, 5, 5)
    kernel = np.einsum("pq,nyx->pnqyx", np.eye(planes), phases)
    return mge.tensor(kernel.reshape(planes * scale**2, planes, 5, 5).astype(np.float32))


def enlarge(planes: Tensor, kernel: Tensor) -> Tensor:
    """Bicubic enlargement before the pixel shuffle: (N, P, H, W) -> (N, P * s^2, H, W), edges repeated."""
    return F.conv2d(F.nn.pad(planes, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="replicate"), kernel)
