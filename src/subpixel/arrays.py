"""`restore` for Frames and for plain arrays of RGB pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import overload

import numpy as np
import numpy.typing as npt

from subpixel.color import from_rgb, to_rgb
from subpixel.errors import InputError
from subpixel.frames import Frame
from subpixel.restore import restore as restore_frames

RGB = npt.NDArray[np.uint8]


@overload
def restore(
    frames: Iterable[Frame], *, model: str = ..., scale: int = ..., engine: str = ..., threads: int = ...
) -> Iterator[Frame]: ...
@overload
def restore(
    frames: Iterable[RGB] | RGB, *, model: str = ..., scale: int = ..., engine: str = ..., threads: int = ...
) -> Iterator[RGB]: ...
def restore(
    frames: Iterable[Frame] | Iterable[RGB],
    *,
    model: str = "fast",
    scale: int = 4,
    engine: str = "auto",
    threads: int = 0,
) -> Iterator[Frame] | Iterator[RGB]:
    """Restore and enlarge a sequence of pictures, each given back as soon as it is done.

    frames: Frames, or 8-bit RGB pictures: a (time, height, width, 3) uint8 array or any iterable of
    (height, width, 3) uint8 arrays, full range 0-255. Gives Frames for Frames and arrays
    (scale * height, scale * width, 3) uint8 for arrays, as many as came in. Pictures of one film belong in
    one call: the network remembers what came before. Raises InputError for arrays of another shape or type,
    UsageError and WeightsError as `subpixel.restore` does for Frames.
    """
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        return iter(())
    everything = itertools.chain([first], pictures)
    options = {"model": model, "scale": scale, "engine": engine, "threads": threads}
    if isinstance(first, Frame):
        return restore_frames(everything, **options)  # type: ignore[arg-type]
    restored = restore_frames((_frame(picture, index) for index, picture in enumerate(everything)), **options)  # type: ignore[arg-type]
    return (to_rgb(frame) for frame in restored)


def _frame(picture: object, index: int) -> Frame:
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
        what = f"{picture.shape} {picture.dtype}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise InputError(f"Picture {index} must be a (height, width, 3) uint8 array, not {what}.")
    return from_rgb(picture, format="gbrp").replace(pts=index, time_base=Fraction(1, 25))
