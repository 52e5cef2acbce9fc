"""tOF: how far motion in a restored film is from motion in its reference; flicker and swimming textures raise it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError
from subpixel.frames import Frame
from subpixel.metrics.tally import in_step, lumas

Bytes = npt.NDArray[np.uint8]

CUT = 2  # frames left out at each end
BORDER, MULTIPLE = 16, 32  # pixels: less than the picture at least, and sides of what is compared


def tof(restored: Iterable[Frame], reference: Iterable[Frame]) -> float:
    """Mean distance, in pixels, between the optical flows of successive frames of two films: lower is better.

    Chu et al., "Learning temporal coherence via self-supervision for GAN-based video generation" (TecoGAN), ACM Trans.
    Graphics 39, 2020, as its authors compute it, but on Y at 8 bits: Farneback's flow (pyramid 0.5 of 3 levels, window
    15, 3 iterations, 5 pixels, sigma 1.2), without the first and last two frames, in the middle of the picture, whose
    sides are multiples of 32 and at least 16 less than the whole. Raises InputError for fewer than six frames, pictures
    smaller than 48 pixels and films that do not fit together, UsageError where the extra `multiframe` is missing.
    """
    from subpixel.pictures import require  # loads codecs, which scores of frames need not

    require()
    errors: list[float] = []
    before: tuple[Bytes, Bytes] | None = None
    for ours, truth in in_step({"the restored video": restored, "the reference": reference}):
        small = min(truth.width, truth.height)
        if (ours.width, ours.height) != (truth.width, truth.height) or small < MULTIPLE + BORDER:
            raise InputError(
                f"Motion in pictures of {ours.width}x{ours.height} and {truth.width}x{truth.height} do not compare; "
                f"they must be of one size, and {MULTIPLE + BORDER} pixels wide and high at least."
            )
        pair = lumas(ours, truth)[:2]
        if before is not None:
            difference = _flow(before[0], pair[0]) - _flow(before[1], pair[1])
            errors.append(float(np.linalg.norm(_middle(difference), axis=-1).mean()))
        before = pair
    if len(errors) < 2 * CUT + 1:
        raise InputError(
            f"tOF leaves {2 * CUT} frames out and compares the others, so it needs {2 * CUT + 2} at least."
        )
    return float(np.mean(errors[CUT:-CUT]))


def _flow(before: Bytes, after: Bytes) -> npt.NDArray[np.float32]:
    import cv2

    start = np.zeros((*before.shape, 2), np.float32)
    return np.asarray(cv2.calcOpticalFlowFarneback(before, after, start, 0.5, 3, 15, 3, 5, 1.2, 0), np.float32)


def _middle(flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    height, width = ((side - BORDER) // MULTIPLE * MULTIPLE for side in flow.shape[:2])
    top, left = (flow.shape[0] - height) // 2, (flow.shape[1] - width) // 2
    return flow[top : top + height, left : left + width]
