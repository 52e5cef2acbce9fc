"""Enlarging without learning: bicubic, Lanczos, edge-preserving, and back-projection."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError
from subpixel.frames import Frame, PixelFormat, Plane
from subpixel.resample import Kernel, resize_frame, resize_real

Float32 = npt.NDArray[np.float32]

# Of `edge`, chosen on photographs and film, both clean and after x264.
_STEPS = 16
_RENEW = 4  # steps between two looks at the edges' directions
_RATE = 0.3  # time step; with this momentum 0.34 is where it becomes unstable
_MOMENTUM = 0.8
_CONTRAST = 10.0  # slope, in 8-bit code values, above which a picture is an edge
_SPREAD = 0.4  # Gaussian over which directions are averaged, in input pixels


def bicubic(frame: Frame, scale: int) -> Frame:
    """Every plane enlarged by Keys' cubic with a = -0.6, as swscale's default; scale 1 to 4, 1 is the identity."""
    return _enlarge(frame, scale, "bicubic")


def lanczos(frame: Frame, scale: int, *, lobes: int = 4) -> Frame:
    """Every plane enlarged by a windowed sinc of 3 or 4 lobes (Duchon 1979); scale 1 to 4, 1 is the identity."""
    if lobes not in (3, 4):
        raise UsageError(f"Lanczos has 3 or 4 lobes here, not {lobes}.")
    return _enlarge(frame, scale, "lanczos3" if lobes == 3 else "lanczos4")


def edge(frame: Frame, scale: int) -> Frame:
    """Edge-preserving enlargement of every plane; scale 1 to 4, 1 is the identity.

    The diffusion-projection of Roussos and Maragos (Int. J. Computer Vision 84, 2009): the Lanczos picture is
    smoothed along edges by the tensor of its local structure (Weickert 1999), across them only where it is flat,
    and after every step projected back onto the pictures that shrink to the input; momentum (Polyak 1964) saves
    half of the steps. Jagged edges become smooth and sharp, and codec noise beside them is reduced.
    """
    start = lanczos(frame, scale)
    if scale == 1:
        return start
    planes = zip(frame.planes, start.planes, strict=True)
    return start.replace(planes=tuple(_edge_plane(low, high, frame.layout, scale) for low, high in planes))


def back_project(high: Frame, low: Frame, *, iterations: int = 10) -> Frame:
    """`high` changed as little as needed so that shrinking it by `resample.resize` bicubic gives `low`.

    Iterative back-projection (Irani and Peleg, CVGIP 53, 1991): the difference between `low` and the shrunk `high`
    is enlarged and added, `iterations` times, in float32, and values no code has are clipped. Ten leave less than half
    a code value rms of it, rounding included. Raises UsageError where the formats differ or `high` is the smaller one.
    """
    if high.format != low.format or high.width < low.width or high.height < low.height:
        raise UsageError(f"Back-projection wants a larger frame of one format: {high!r} does not fit {low!r}.")
    planes = []
    for picture, given in zip(high.planes, low.planes, strict=True):
        real, want = picture.astype(np.float32), given.astype(np.float32)
        for _ in range(iterations):
            _project(real, want, high.layout.peak)
        planes.append(_round(real, high.layout))
    return high.replace(planes=tuple(planes))


def _edge_plane(low: Plane, high: Plane, layout: PixelFormat, scale: int) -> Plane:
    unit = np.float32(1 << (layout.bits - 8))  # contrast is judged on the 8-bit scale
    want, picture = low.astype(np.float32) / unit, high.astype(np.float32) / unit
    peak = layout.peak / float(unit)
    _project(picture, want, peak)
    before = picture
    for step in range(_STEPS):
        ahead = picture - before
        ahead *= _MOMENTUM
        ahead += picture
        if step % _RENEW == 0:
            tensor = diffusion_tensor(ahead, _SPREAD * scale)
        diffuse(ahead, tensor)
        _project(ahead, want, peak)
        picture, before = ahead, picture
    return _round(picture * unit, layout)


def _project(picture: Float32, want: Float32, peak: float) -> None:
    """Add, enlarged, what `want` has more than the shrunk picture; clip to 0..peak; in place."""
    (height, width), (h, w) = picture.shape, want.shape
    picture += resize_real(want - resize_real(picture, w, h), width, height)
    np.clip(picture, 0, peak, out=picture)


def _round(picture: Float32, layout: PixelFormat) -> Plane:
    samples: Plane = np.clip(np.rint(picture), 0, layout.peak).astype(np.dtype(layout.dtype))
    return samples


def _slopes(picture: Float32) -> tuple[Float32, Float32]:
    """Differences along the two diagonals of each square of four pixels: (h - 1, w - 1), Roberts' cross."""
    return picture[1:, 1:] - picture[:-1, :-1], picture[:-1, 1:] - picture[1:, :-1]


def diffusion_tensor(
    picture: Float32, spread: float, *, blur: Callable[[Float32, float], Float32] | None = None
) -> tuple[Float32, Float32, Float32]:
    """What `diffuse` smooths a picture (h, w) of 0 to 255 by: 1 along edges, 1 / (1 + slope^2 / K^2)^2 across (K = 10).

    Returned as (pp, pq, qq), each (h - 1, w - 1), in the diagonal axes of Roberts' cross, times half a time step. The
    edge's direction is that of the structure tensor averaged by a Gaussian of `spread` pixels (`blur(picture, spread)`,
    where that is faster).
    """
    p, q = _slopes(picture)
    pp, pq, qq = ((blur or _blur)(product, spread) for product in (p * p, p * q, q * q))
    difference, energy = pp - qq, pp + qq
    length = np.sqrt(difference * difference + 4 * pq * pq) + np.float32(1e-6)
    across = 1 / np.square(1 + energy / np.float32(2 * _CONTRAST**2))
    half = np.float32(_RATE / 4)
    mean, turn = (across + 1) * half, (across - 1) * half / length
    return mean + turn * difference, 2 * turn * pq, mean - turn * difference


def diffuse(picture: Float32, tensor: tuple[Float32, Float32, Float32]) -> None:
    """One explicit step of d picture / dt = div(tensor grad picture), nothing flowing over the border; in place.

    The longest step that is stable together with a back-projection and a momentum of 0.8.
    """
    p, q = _slopes(picture)
    pp, pq, qq = tensor
    down = pp * p
    down += pq * q
    p *= pq
    q *= qq
    p += q
    picture[:-1, :-1] += down
    picture[1:, 1:] -= down
    picture[1:, :-1] += p
    picture[:-1, 1:] -= p


def _blur(picture: Float32, spread: float) -> Float32:
    """Gaussian filter, the border repeated."""
    reach = math.ceil(2 * spread)
    weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / spread)).astype(np.float32)
    weights /= weights.sum()
    for axis in (0, 1):
        padded = np.pad(picture, [(reach * (axis == i), reach * (axis == i)) for i in (0, 1)], "edge")
        views = np.lib.stride_tricks.sliding_window_view(padded, len(weights), axis=axis)
        picture = views @ weights
    return picture


def _enlarge(frame: Frame, scale: int, kernel: Kernel) -> Frame:
    if scale not in (1, 2, 3, 4):
        raise UsageError(f"A frame can be enlarged 1, 2, 3 or 4 times, not {scale}.")
    return frame if scale == 1 else resize_frame(frame, scale * frame.width, scale * frame.height, kernel=kernel)


METHODS: dict[str, Callable[[Frame, int], Frame]] = {"bicubic": bicubic, "lanczos": lanczos, "edge": edge}
