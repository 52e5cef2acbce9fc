"""`restore` for Frames and for plain arrays of RGB pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from subpixel.color import from_rgb, to_rgb
from subpixel.errors import InputError
from subpixel.frames import Frame
from subpixel.restore import restore as restore_frames

if TYPE_CHECKING:
    import torch

    from subpixel.multiframe.warp_engine import WarpEngine

RGB = npt.NDArray[np.uint8]


@overload
def restore(
    frames: Iterable[Frame],
    *,
    model: str | torch.nn.Module = ...,
    scale: int = ...,
    engine: str = ...,
    device: str = ...,
    precision: str = ...,
    threads: int = ...,
    tile: int = ...,
    ensemble: bool = ...,
    warp_engine: WarpEngine | None = ...,
) -> Iterator[Frame]: ...
@overload
def restore(
    frames: Iterable[RGB] | RGB,
    *,
    model: str | torch.nn.Module = ...,
    scale: int = ...,
    engine: str = ...,
    device: str = ...,
    precision: str = ...,
    threads: int = ...,
    tile: int = ...,
    ensemble: bool = ...,
    warp_engine: WarpEngine | None = ...,
) -> Iterator[RGB]: ...
def restore(
    frames: Iterable[Frame] | Iterable[RGB],
    *,
    model: str | torch.nn.Module = "fast",
    scale: int = 4,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    tile: int = 0,
    ensemble: bool = False,
    warp_engine: WarpEngine | None = None,
) -> Iterator[Frame] | Iterator[RGB]:
    """Restore and enlarge a sequence of pictures, each given back as soon as it is done.

    frames: Frames, or 8-bit RGB pictures: a (time, height, width, 3) uint8 array or any iterable of
    (height, width, 3) uint8 arrays, full range 0-255. Gives Frames for Frames and arrays
    (scale * height, scale * width, 3) uint8 for arrays, as many as came in. Pictures of one film belong in
    one call: the network remembers what came before. The options are explained in `subpixel.restore.restore`.
    Raises InputError for arrays of another shape or type, UsageError and WeightsError as it does.
    """
    options = {name: value for name, value in locals().items() if name != "frames"}
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        return iter(())
    everything = itertools.chain([first], pictures)
    if isinstance(first, Frame):
        return restore_frames(everything, **options)  # type: ignore[arg-type]
    restored = restore_frames((_frame(picture, index) for index, picture in enumerate(everything)), **options)
    return (to_rgb(frame) for frame in restored)


def _frame(picture: object, index: int) -> Frame:
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
        what = f"{picture.shape} {picture.dtype}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise InputError(f"Picture {index} must be a (height, width, 3) uint8 array, not {what}.")
    return from_rgb(picture, format="gbrp").replace(pts=index, time_base=Fraction(1, 25))
