"""Sharp frames become small, compressed ones, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain

import numpy as np
import numpy.typing as npt

from subpixel.degrade.recipe import Recipe
from subpixel.errors import UsageError
from subpixel.frames import Frame, PixelFormat, Plane
from subpixel.video.codec import roundtrip
from subpixel.video.filters import rescale


def degrade_frames(
    frames: Iterable[Frame], recipe: Recipe = Recipe(), *, rate: Fraction | None = None
) -> Iterator[Frame]:
    """Each frame made small, encoded and decoded again, with the codec's kind, qp and motion.

    rate: frames per second for the encoder's rate control; None takes it from the frames. Memory does not grow
    with the clip. Raises UsageError for frames whose size is not divisible, see `fitted`.
    """
    small = shrink(frames, recipe)
    for first in small:
        if recipe.codec == "none":
            yield from chain([first], small)
        else:
            yield from roundtrip(chain([first], small), recipe.encoding(first.height), rate=rate)


def shrink(frames: Iterable[Frame], recipe: Recipe = Recipe()) -> Iterator[Frame]:
    """Each frame blurred and made noisy if the recipe says so, and 1 / scale as wide and high, before any codec.

    Samples are those of `ffmpeg -vf scale=iw/SCALE:ih/SCALE:flags=KERNEL`, bit for bit; pixel format, times and
    colour tags stay. Raises UsageError for frames whose size is not divisible, see `fitted`.
    """
    frames = iter(frames)
    for first in frames:
        if fitted(first, recipe) != (first.width, first.height):
            raise UsageError(misfit(first, recipe))
        size = first.width // recipe.scale, first.height // recipe.scale
        yield from rescale(_softened(chain([first], frames), recipe), *size, flags=recipe.kernel)


def fitted(frame: Frame, recipe: Recipe = Recipe()) -> tuple[int, int]:
    """Largest (width, height) within the frame's that can be made exactly 1 / scale as large.

    Both are multiples of the scale, or twice the scale where chroma is subsampled, so that the small picture has
    whole chroma samples. Raises UsageError if nothing is left.
    """
    step_x, step_y = _steps(frame.layout, recipe.scale)
    width, height = frame.width - frame.width % step_x, frame.height - frame.height % step_y
    if not width or not height:
        raise UsageError(f"{frame.width}x{frame.height} is too small to be made {recipe.scale} times smaller.")
    return width, height


def crop(frames: Iterable[Frame], width: int, height: int) -> Iterator[Frame]:
    """The upper left width x height samples of each frame, which keeps the source's grid of blocks and chroma."""
    for frame in frames:
        sizes = (frame.layout.plane_size(index, width, height) for index in range(len(frame.planes)))
        planes = (plane[:rows, :columns] for plane, (rows, columns) in zip(frame.planes, sizes, strict=True))
        yield frame.replace(planes=tuple(planes), qp=None, motion=None)


def misfit(frame: Frame, recipe: Recipe) -> str:
    """The sentence that says why a frame's size cannot be divided and what to crop."""
    width, height = fitted(frame, recipe)
    step_x, step_y = _steps(frame.layout, recipe.scale)
    by = step_x if step_x == step_y else f"{step_x}x{step_y}"
    return (
        f"{frame.width}x{frame.height} ({frame.format}) is not divisible by {by}: "
        f"crop to {width}x{height} with --crop-to-fit."
    )


def _steps(layout: PixelFormat, scale: int) -> tuple[int, int]:
    return scale << layout.chroma_x, scale << layout.chroma_y


def _softened(frames: Iterable[Frame], recipe: Recipe) -> Iterator[Frame]:
    """Blur, then noise, on every plane but opacity; the noise of frame i depends on the seed and i alone."""
    for index, frame in enumerate(frames):
        if recipe.blur == 0 and recipe.noise == 0:
            yield frame
            continue
        random = np.random.Generator(np.random.PCG64([recipe.seed, index]))
        colors = len(frame.planes) - frame.layout.alpha
        soft = [_soften(plane, frame, recipe, random) for plane in frame.planes[:colors]]
        yield frame.replace(planes=(*soft, *frame.planes[colors:]), qp=None, motion=None)


def _soften(plane: Plane, frame: Frame, recipe: Recipe, random: np.random.Generator) -> Plane:
    samples = plane.astype(np.float32)
    if recipe.blur:
        for axis in (0, 1):  # sigma in luma samples: smaller on a plane with fewer of them
            samples = _blur(samples, recipe.blur * plane.shape[axis] / frame.planes[0].shape[axis], axis)
    if recipe.noise:
        samples += random.normal(0, recipe.noise * 2.0 ** (frame.layout.bits - 8), plane.shape).astype(np.float32)
    levels = np.clip(np.rint(samples), 0, frame.layout.peak)
    return levels.astype(np.uint8) if frame.layout.bits == 8 else levels.astype(np.uint16)


def _blur(samples: npt.NDArray[np.float32], sigma: float, axis: int) -> npt.NDArray[np.float32]:
    """Convolution with a sampled Gaussian of three sigmas to either side; the border samples are repeated."""
    radius = max(1, int(np.ceil(3 * sigma)))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    margin = [(radius, radius) if k == axis else (0, 0) for k in range(2)]
    padded = np.pad(samples, margin, mode="edge")
    length = samples.shape[axis]
    shifted = (np.take(padded, range(k, k + length), axis) * np.float32(tap) for k, tap in enumerate(taps))
    return sum(shifted, np.zeros_like(samples))
