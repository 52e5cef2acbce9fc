"""How a sharp picture became a small one, and the two ways back that a linear filter has."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError
from subpixel.resample import taps

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

REACH = 4  # small samples on each side that a large one is computed from
PICTURE = (0.97, 1e-3)  # correlation of neighbouring large samples of a picture, and the small samples' noise
UNKNOWN = (0.01, 3e-2)  # the same of what several frames have left unknown, which is almost white


@dataclasses.dataclass(frozen=True)
class Decimation:
    """A symmetric filter along rows and columns, then every `scale`-th sample of each; the pictures' centres coincide.

    scale: 1 to 4. kernel: "bicubic" as swscale shrinks by default, "area" (the mean of scale x scale samples, as
    a sensor without gaps), or the standard deviation of a Gaussian in large samples. Raises UsageError for others.
    """

    scale: int
    kernel: str | float = "bicubic"

    def __post_init__(self) -> None:
        if self.scale not in (1, 2, 3, 4):
            raise UsageError(f"Scale {self.scale} is not possible; choose 1, 2, 3 or 4.")
        if isinstance(self.kernel, str) and self.kernel not in ("bicubic", "area"):
            raise UsageError(f"There is no decimation {self.kernel!r}; choose bicubic, area or a Gaussian's sigma.")
        if not isinstance(self.kernel, str) and not 0 < self.kernel <= 4 * self.scale:
            raise UsageError(f"A Gaussian of sigma {self.kernel:g} is not possible; choose more than 0, in pixels.")

    def shrink(self, picture: Float32) -> Float32:
        """(h * scale, w * scale) to (h, w), the border repeated."""
        import cv2

        kernel = _filter(self)
        if len(kernel) == 1:
            return picture
        start = (len(kernel) - self.scale) // 2
        rows = cv2.filter2D(picture, -1, kernel[:, None], anchor=(0, start), borderType=cv2.BORDER_REPLICATE)
        rows = np.ascontiguousarray(rows[:: self.scale])
        both = cv2.filter2D(rows, -1, kernel[None], anchor=(start, 0), borderType=cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(both[:, :: self.scale])

    def enlarge(self, low: Float32) -> Float32:
        """(h, w) to (h * scale, w * scale): what pictures that shrink to `low` look like on average (Wiener's filter).

        Pictures are taken for a first-order Markov process along rows and columns, whose spectrum falls as 1 / f^2.
        """
        return self._apply(low, *_bank(self, *PICTURE))

    def project(self, low: Float32) -> Float32:
        """The smallest change, as its sum of squares, that shrinks to `low` (nearly): (h, w) to (h * s, w * s)."""
        return self._apply(low, *_bank(self, *UNKNOWN))

    def _apply(self, low: Float32, first: tuple[int, ...], bank: Float32) -> Float32:
        """Every phase of the large grid by its own filter, along rows and then columns."""
        import cv2

        (h, w), s = low.shape, self.scale
        wide = np.empty((h, w * s), np.float32)
        for phase, (start, weights) in enumerate(zip(first, bank, strict=True)):
            wide[:, phase::s] = cv2.filter2D(
                low, -1, weights[None], anchor=(-start, 0), borderType=cv2.BORDER_REPLICATE
            )
        large = np.empty((h * s, w * s), np.float32)
        for phase, (start, weights) in enumerate(zip(first, bank, strict=True)):
            large[phase::s] = cv2.filter2D(
                wide, -1, weights[:, None], anchor=(0, -start), borderType=cv2.BORDER_REPLICATE
            )
        return large


@functools.cache
def _filter(decimation: Decimation) -> Float32:
    """The taps of sum 1, as many more or fewer than scale as leave the centre in the middle of scale samples."""
    s, kernel = decimation.scale, decimation.kernel
    if isinstance(kernel, str):
        positions, weights = taps(64 * s, 64, kernel)
        row, offsets = weights[32], positions[32] + np.arange(weights.shape[1]) - (32 * s + (s - 1) / 2)
        half = math.floor(np.abs(offsets[row != 0]).max() * 2 + 0.5)
        around = np.arange(-half, half + 1, 2) / 2
        found = np.array([row[np.isclose(offsets, place)].sum() for place in around])
    else:
        half = 2 * math.ceil(3.2 * kernel) + s % 2 - 1
        around = np.arange(-half, half + 1, 2) / 2
        found = np.exp(-0.5 * np.square(around / kernel))
    return np.asarray(found / found.sum(), np.float32)


@functools.cache
def _bank(decimation: Decimation, correlation: float, noise: float) -> tuple[tuple[int, ...], Float32]:
    """For each phase of a large sample its first small one and the weights (2 * REACH,) of those, which sum to 1."""
    s, kernel = decimation.scale, _filter(decimation).astype(np.float64)
    inner = np.arange(len(kernel)) - (len(kernel) - 1) / 2
    first, bank = [], []
    for phase in range(s):
        place = phase - (s - 1) / 2
        start = 1 - REACH if place > 0 else -REACH
        seen = (np.arange(start, start + 2 * REACH)[:, None] * s + inner).ravel()
        shrink = np.kron(np.eye(2 * REACH), kernel)
        among = shrink @ correlation ** np.abs(seen[:, None] - seen) @ shrink.T
        weights = np.linalg.solve(among + noise * np.eye(2 * REACH), shrink @ correlation ** np.abs(seen - place))
        first.append(start)
        bank.append(weights / weights.sum())
    return tuple(first), np.array(bank, np.float32)
