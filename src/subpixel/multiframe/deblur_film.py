"""Films deblurred: every frame of a shot with the help of those just before and after it."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from subpixel import color
from subpixel.errors import UsageError
from subpixel.frames import Frame

Float = npt.NDArray[np.float32]

NAME = "deblur"  # as --model takes it
WINDOW = 3  # frames before and after each that help it


class Deblur:
    """The frames of a shot in order, sharp: Fourier burst accumulation in a sliding window, see `deblur`.

    Raises UsageError where OpenCV or SciPy is missing.
    """

    def __init__(self) -> None:
        try:
            import cv2  # noqa: F401
            import scipy  # noqa: F401
        except ImportError:
            raise UsageError(
                f"{NAME} needs OpenCV and SciPy; install them with: pip install 'subpixel[multiframe]'"
            ) from None

    def memory(self, width: int, height: int, tile: int = 0) -> int:  # noqa: ARG002
        """An upper guess at the bytes it takes for pictures of this size."""
        return 4 * 3 * (4 * WINDOW + 8) * width * height

    def __call__(self, shot: Iterable[Frame]) -> Iterator[Frame]:
        """Each frame of the same size, format and time; quantisers and motion vectors are dropped."""
        held: collections.deque[tuple[Frame, Float]] = collections.deque(maxlen=2 * WINDOW + 1)
        waiting = 0  # frames held that are not sharp yet
        for frame in shot:
            held.append((frame, np.ascontiguousarray(np.moveaxis(color.to_unit(frame), 0, 2))))
            waiting += 1
            if waiting > WINDOW:
                yield _sharp(held, len(held) - waiting)
                waiting -= 1
        for index in range(len(held) - waiting, len(held)):
            yield _sharp(held, index)


def _sharp(held: Sequence[tuple[Frame, Float]], index: int) -> Frame:
    """One of the frames held, with the help of those at most WINDOW from it; as it is if none can help."""
    from subpixel.multiframe.deblur import SMALLEST, helped

    frame = held[index][0].replace(qp=None, motion=None)
    if min(frame.width, frame.height) < SMALLEST:
        return frame
    first = max(0, index - WINDOW)
    around = [held[number][1] for number in range(first, min(len(held), index + WINDOW + 1))]
    picture = helped(around, index - first)
    return frame if picture is None else color.from_unit(np.moveaxis(picture, 2, 0), frame)
