"""Align and fuse: film enlarged in real time, each frame built upon the one before.

What is known of the shot is a large picture. It is warped to where the new frame sees it (motion found on the small
frames), trusted where it shrinks to what the new frame shows, corrected so that it does everywhere, and smoothed along
its edges: a Kalman filter in the manner of Elad and Feuer (IEEE Trans. Image Processing 8, 1999) whose gain is
back-projection (Irani and Peleg, CVGIP 53, 1991). Motion: dense inverse search (Kroeger et al., ECCV 2016).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError
from subpixel.frames import Frame, PixelFormat, Plane
from subpixel.multiframe.decimation import Decimation
from subpixel.upsample import diffuse, diffusion_tensor

if TYPE_CHECKING:
    from subpixel.multiframe.warp_engine import WarpEngine

Float32 = npt.NDArray[np.float32]

NAME = "align-fuse"  # as --model takes it
WARM_UP = 12  # frames before a piece of a shot after which hardly anything shows that it is one
SMALLEST = 12  # pixels: motion is looked for in pictures no smaller
FRESH = 8  # back-projections of a shot's first frame
TOLERANCE = 5.0  # misfit in code values of 8 bits at which trust in what was is 1 / e, without noise and texture
TEXTURE = 0.05  # of the variance among neighbours, which is aliased where the frames are: added to its square
SMOOTHING = 0.6  # Gaussian over which the misfit is averaged, in small pixels
MOMENTUM = 0.8  # Polyak (1964), as in `upsample.edge`
SPREAD = 0.4  # Gaussian over which edge directions are averaged, in small pixels
ROUNDING = 1 / 12  # variance of rounding to code values
DRIFT = 1.0  # variance that aligning adds with each frame
PLANES = 26  # large float32 luma planes that there is room for, measured


@dataclasses.dataclass(slots=True)
class _Shot:
    """What is known of one plane: the large picture, what it shrinks to, and 1 / variance of that; all of 8 bits."""

    large: Float32
    small: Float32
    known: Float32


class AlignFuse:
    """Frames enlarged one after the other, each fused with what was seen of the shot before; see the module.

    scale: 1 to 4. kernel: how the small frames came about, see `Decimation`; swscale's bicubic by default, as films are
    shrunk by. back_projections: for each frame, 1 to 16; 2 to 4 are worth their time. noise: standard deviation of the
    frames' noise in code values of 8 bits, None to estimate it for each frame (what compression changes is no noise: it
    is much the same in the frames that follow). warp_engine: limits of the hardware that would warp, None for none.
    Raises UsageError for other values, and where the extra `multiframe` is missing.
    """

    def __init__(
        self,
        scale: int = 4,
        *,
        kernel: str | float = "bicubic",
        back_projections: int = 2,
        noise: float | None = None,
        warp_engine: WarpEngine | None = None,
    ) -> None:
        from subpixel.pictures import require  # loads codecs, which no other model needs

        require()
        import cv2

        if not 1 <= back_projections <= 16:
            raise UsageError(f"{back_projections} back-projections are not possible; choose 1 to 16.")
        if noise is not None and not 0 <= noise <= 128:
            raise UsageError(f"Noise of {noise:g} code values is not possible; choose 0 to 128.")
        self.decimation = Decimation(scale, kernel)
        self.back_projections, self.noise, self.warp_engine = back_projections, noise, warp_engine
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(0)
        self._flow.setPatchStride(3)
        self._shots: list[_Shot] = []

    def forget(self) -> None:
        """Start afresh: the next frame is the first of its shot."""
        self._shots = []

    def memory(self, width: int, height: int, tile: int = 0) -> int:  # noqa: ARG002
        """An upper guess at the bytes it takes for pictures of this size."""
        return 4 * PLANES * width * height * self.decimation.scale**2

    def __call__(self, frame: Frame) -> Frame:
        """The frame `scale` times as large, of the same format; quantisers and motion vectors are dropped."""
        scale, layout = self.decimation.scale, frame.layout
        lows = [plane.astype(np.float32) / np.float32(1 << (layout.bits - 8)) for plane in frame.planes]
        width, height = frame.width * scale, frame.height * scale
        with _one_thread():
            noise = _estimated(lows[0]) if self.noise is None else self.noise**2
            flow, misfit = self._motion(lows[0]) if self._shots else (None, noise)
            noise = ROUNDING + (min(noise, misfit) if self.noise is None else noise)
            self._shots = [
                self._fused(low, noise, None if flow is None else (self._shots[i], _flow_for(flow, low)))
                for i, low in enumerate(lows)
            ]
        sizes = [layout.plane_size(i, width, height) for i in range(layout.planes)]
        planes = tuple(_rounded(shot.large[:h, :w], layout) for shot, (h, w) in zip(self._shots, sizes, strict=True))
        return frame.replace(planes=planes, qp=None, motion=None)

    def _fused(self, low: Float32, noise: float, past: tuple[_Shot, Float32] | None) -> _Shot:
        """What is known of a plane after its frame (h, w) of this noise; past: the shot before, and motion from it."""
        large, small, steps = self.decimation.enlarge(low), low, FRESH
        known = np.full(low.shape, 1 / noise, np.float32)
        if past is not None:
            shot, flow = past
            warped = self._warped(shot.large, flow)
            misfit = low - self.decimation.shrink(warped)
            trust = _trust(misfit, low, noise)
            before = trust * _remapped(shot.known / (1 + np.float32(DRIFT) * shot.known), flow)
            gain = 1 / (1 + np.float32(noise) * before)
            small = low - trust * (1 - gain) * misfit
            known, steps = before + known, self.back_projections
            warped -= large
            warped *= _resized(trust, large)
            large += warped
        return _Shot(self._sharpened(large, small, steps), small, known)

    def _sharpened(self, picture: Float32, small: Float32, steps: int) -> Float32:
        """The picture smoothed along its edges and corrected to shrink to `small`, several times."""
        import cv2

        before = picture = picture + self.decimation.project(small - self.decimation.shrink(picture))
        tensor = _tensor(picture, self.decimation.scale) if min(picture.shape) > 4 else None
        for _ in range(steps):
            ahead = np.asarray(cv2.addWeighted(picture, 1 + MOMENTUM, before, -MOMENTUM, 0), np.float32)
            if tensor is not None:
                diffuse(ahead, tensor)
            ahead += self.decimation.project(small - self.decimation.shrink(ahead))
            np.clip(ahead, 0, 255.99, out=ahead)
            picture, before = ahead, picture
        return picture

    def _motion(self, low: Float32) -> tuple[Float32, float]:
        """Where the shot's guiding plane shows what the new frame shows, and the variance of the difference.

        (h, w, 2), (dx, dy) in small pixels, 0 where that fits as well. The variance is the median over the picture.
        """
        import cv2

        small = self._shots[0].small
        flow = np.zeros((*low.shape, 2), np.float32)
        still = moved = cv2.blur(np.square(low - small), (5, 5))
        if min(low.shape) >= SMALLEST:
            self._flow.calc(_bytes(low), _bytes(small), flow)
            moved = cv2.blur(np.square(low - _remapped(small, flow)), (5, 5))
            flow[still <= moved * np.float32(1.2)] = 0
        return flow, float(np.median(moved))

    def _warped(self, large: Float32, flow: Float32) -> Float32:
        """The large picture as the new frame would see it."""
        import cv2

        if self.warp_engine is not None:
            return self.warp_engine.warp(large, self.warp_engine.mesh(flow, large.shape))
        return _remapped(large, flow, self.decimation.scale, cv2.INTER_CUBIC)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV's flow depends on the number of its threads, and films must not."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _trust(misfit: Float32, low: Float32, noise: float) -> Float32:
    """(h, w): 1 where the warped picture shrinks to the new frame `low`, 0 where it shows something else."""
    import cv2

    mean = cv2.blur(low, (3, 3))
    texture = np.maximum(cv2.blur(np.square(low), (3, 3)) - np.square(mean), 0)
    tolerance = np.float32(TEXTURE) * texture + np.float32(TOLERANCE**2 + 8 * noise)
    trust: Float32 = np.exp(-np.square(_blurred(misfit, SMOOTHING)) / tolerance)
    return trust


def _estimated(low: Float32) -> float:
    """Variance of noise: of a high-pass filter's answer where the picture has least of its own (Immerkaer, 1996)."""
    import cv2

    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
    energy = cv2.blur(np.square(cv2.filter2D(low, -1, mask)), (8, 8))[4:-4:8, 4:-4:8]
    return float(np.quantile(energy, 0.1)) if energy.size else 0.0


def _remapped(plane: Float32, flow: Float32, scale: int = 1, kernel: int = 1) -> Float32:
    """A plane (h, w) at every (x + dx, y + dy), of a flow `scale` times as coarse; kernel: OpenCV's, 1 is linear."""
    import cv2

    height, width = plane.shape
    dx, dy = (_resized(np.ascontiguousarray(flow[..., k]) * np.float32(scale), plane) for k in (0, 1))
    dx += np.arange(width, dtype=np.float32)
    dy += np.arange(height, dtype=np.float32)[:, None]
    return np.asarray(cv2.remap(plane, dx, dy, kernel, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _flow_for(flow: Float32, low: Float32) -> Float32:
    """The guiding plane's motion on the grid of another plane, in its pixels."""
    import cv2

    if flow.shape[:2] == low.shape:
        return flow
    height, width = low.shape
    ratio = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    return np.asarray(cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) * ratio, np.float32)


def _resized(plane: Float32, like: Float32) -> Float32:
    """A map on the grid of another picture, linearly."""
    import cv2

    if plane.shape == like.shape:
        return plane
    return np.asarray(cv2.resize(plane, like.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _tensor(picture: Float32, scale: int) -> tuple[Float32, Float32, Float32]:
    """`diffusion_tensor` of the picture halved, which is as good and six times as fast.

    Halving takes part of the slopes away; they are counted as 0.7 of what they are between neighbours of the half. The
    fewer samples a frame leaves open, the less is left to smoothing: all at scale 4, a fifth at 2, nothing at 1.
    """
    import cv2

    height, width = picture.shape
    half = cv2.resize(picture, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    found = diffusion_tensor(np.asarray(half * np.float32(0.7)), SPREAD * scale / 2, blur=_blurred)
    weight = np.float32((scale**2 - 1) / 15)
    return tuple(_resized(weight * part, picture[1:, 1:]) for part in found)  # type: ignore[return-value]


def _blurred(plane: Float32, sigma: float) -> Float32:
    import cv2

    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


def _bytes(low: Float32) -> npt.NDArray[np.uint8]:
    codes: npt.NDArray[np.uint8] = np.clip(np.rint(low), 0, 255).astype(np.uint8)
    return codes


def _rounded(picture: Float32, layout: PixelFormat) -> Plane:
    samples: Plane = np.clip(np.rint(picture * np.float32(1 << (layout.bits - 8))), 0, layout.peak).astype(layout.dtype)
    return samples
