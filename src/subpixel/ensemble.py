"""The eight ways a square lies on itself, for pictures and the codec's motion vectors (Timofte et al., CVPR 2016)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Turn:
    """Rows and columns exchanged or not, then the rows turned upside down or not, then the columns."""

    transposed: bool = False
    down: bool = False
    across: bool = False

    def __call__(self, planes: Float32) -> Float32:
        """Planes (..., h, w), turned: a view."""
        if self.transposed:
            planes = planes.swapaxes(-1, -2)
        return planes[..., :: -1 if self.down else 1, :: -1 if self.across else 1]

    def back(self, planes: Float32) -> Float32:
        """What was turned as it was before: a view."""
        planes = planes[..., :: -1 if self.down else 1, :: -1 if self.across else 1]
        return planes.swapaxes(-1, -2) if self.transposed else planes

    def vectors(self, planes: Float32) -> Float32:
        """Maps of vectors (..., 2 * n, h, w), x and y in turn: places and directions turned."""
        planes = self(planes).copy()
        if self.transposed:
            planes = planes[..., [k ^ 1 for k in range(planes.shape[-3])], :, :]
        planes[..., 0::2, :, :] *= -1 if self.across else 1
        planes[..., 1::2, :, :] *= -1 if self.down else 1
        return planes


UPRIGHT = Turn()
TURNS = tuple(Turn(*flags) for flags in itertools.product((False, True), repeat=3))


def mean(arrays: Sequence[Float32]) -> Float32:
    """Of arrays of one shape; of one alone it is that very array."""
    if len(arrays) == 1:
        return arrays[0]
    total: Float32 = np.sum(arrays, axis=0, dtype=np.float32)
    return total / np.float32(len(arrays))
