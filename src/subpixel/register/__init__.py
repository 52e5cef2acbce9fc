"""Registration: where what one picture shows is found in another, to a few thousandths of a pixel.

Positions are (x, y) in pixels, x to the right, y downwards, pixel centres at integers. A motion takes a position in the
reference to the one in the moving picture: register(a, b).shift == (2, 0) means that b shows everything 2 pixels
further to the right.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from subpixel.errors import UsageError
from subpixel.register import gradient, peaks, planes
from subpixel.register.motion import MODELS, Array, Model, Motion
from subpixel.register.sampling import shift_picture, warp

__all__ = ["LOW_CONFIDENCE", "METHODS", "MODELS", "Method", "Model", "Motion", "register", "register_many"]
__all__ += ["shift_picture", "warp"]

Method = Literal["gradient", "peak", "foroosh", "phase", "feature", "neural"]

METHODS: tuple[Method, ...] = ("gradient", "peak", "foroosh", "phase", "feature", "neural")
LOW_CONFIDENCE = 0.1  # pixels of predicted error from which a motion carries a warning


def register(
    reference: Array,
    moving: Array,
    model: Model = "shift",
    method: Method = "gradient",
    *,
    start: Motion | None = None,
    photometric: bool = False,
    robust: bool = False,
    mask: Array | None = None,
) -> Motion:
    """The motion from the reference to the moving picture, see Motion for axes and sign.

    Pictures are (H, W) or (H, W, 3), of one size and any real type; they are not changed.
    """
    if model not in MODELS:
        raise UsageError(f"There is no model {model!r}; choose {', '.join(MODELS)}.")
    if method not in METHODS:
        raise UsageError(f"There is no method {method!r}; choose {', '.join(METHODS)}.")
    planes.same_size(reference, moving)
    mine, theirs = planes.luma(reference, "reference"), planes.luma(moving, "moving picture")
    if start is None:
        rough: tuple[float, float] = peaks.whole(peaks.surface(peaks.spectrum(mine, theirs), mine.shape))
    else:
        rough = start.shift
    fit = gradient.shift(mine, theirs, rough, photometric=photometric, robust=robust, mask=mask)
    return Motion("shift", fit.matrix, None, fit.rmse, fit.gain, fit.bias)


def register_many(
    reference: Array,
    frames: Iterable[Array],
    model: Model = "shift",
    method: Method = "gradient",
    *,
    photometric: bool = False,
    robust: bool = False,
    mask: Array | None = None,
) -> list[Motion]:
    """The motions from the reference to each of the frames, as `register` finds them."""
    return [
        register(reference, frame, model, method, photometric=photometric, robust=robust, mask=mask) for frame in frames
    ]
