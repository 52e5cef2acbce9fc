"""Registration: where what one picture shows is found in another, to a few thousandths of a pixel.

Positions are (x, y) in pixels, x to the right, y downwards, pixel centres at integers. A motion takes a position in the
reference to the one in the moving picture: register(a, b).shift == (2, 0) means that b shows everything 2 pixels
further to the right. Needs the extra `multiframe`.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np

from subpixel.errors import InputError, UsageError
from subpixel.register import dense, features, gradient, neural, peaks, planes
from subpixel.register.gradient import Fit, How
from subpixel.register.groups import simplified
from subpixel.register.motion import MODELS, Array, Float32, Float64, Model, Motion, grid
from subpixel.register.sampling import shift_picture, warp

__all__ = ["LOW_CONFIDENCE", "METHODS", "MODELS", "Method", "Model", "Motion", "register", "register_many"]
__all__ += ["shift_picture", "warp"]

Method = Literal["gradient", "peak", "foroosh", "phase", "feature", "neural"]

METHODS: tuple[Method, ...] = ("gradient", "peak", "foroosh", "phase", "feature", "neural")
LOW_CONFIDENCE = 0.1  # pixels of predicted error from which a motion carries a warning
RIVAL = 0.9  # share of the likeness at which another alignment is as good
FAR_CONTRAST = (0.1, 10.0)  # where no motion is found, that is the likelier reason
CONTRAST = (0.7, 1.4)  # of the moving picture over the reference, beyond which gain must be asked for
CHANCE = 8.0  # over the root of the number of pixels: the correlation that strangers may reach by chance
LOST = 2.0  # pixels of predicted error from which there is no motion to speak of

PEAKS: dict[str, Callable[[Float32, Float32], tuple[float, float]]] = {
    "peak": peaks.parabola,
    "foroosh": peaks.foroosh,
    "phase": peaks.zoomed,
}


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
    """The motion from the reference to the moving picture; see Motion for axes and sign.

    Pictures are (H, W) or (H, W, 3), of one size and any real type; they are not changed. model: "shift", "euclidean"
    (a turn too), "similarity" (and an enlargement), "affine", "homography" (a plane seen from elsewhere) or "flow"
    (each pixel for itself). method: "gradient" is Gauss-Newton on interpolated pictures, the most precise; "peak" (a
    parabola), "foroosh" and "phase" take a shift from the top of a correlation; "feature" starts Gauss-Newton from
    matched features; "neural" begins a flow at what the motion network inside `best` finds.
    start: a motion to begin at, right to some pixels. photometric: estimate gain and bias too. robust: things that move
    otherwise do not count (Tukey's biweight). mask: (H, W), true where the reference's pixels count.

    Raises UsageError for an unknown or impossible model or method, and InputError for pictures that differ in size,
    hold NaN, show nothing, are saturated or have nothing in common. A motion whose predicted error is above
    LOW_CONFIDENCE says so in `warning`, as does one of pictures that repeat themselves, or that differ in contrast
    where `photometric` is false.
    """
    _check_request(model, method, start)
    planes.same_size(reference, moving)
    mask = planes.checked_mask(mask, reference)
    how = How(photometric, robust, mask)
    mine, theirs = planes.luma(reference, "reference", mask), planes.luma(moving, "moving picture")
    # Numbers near 1 are what single precision holds best, and a gain near 1 is where a fit of it can begin.
    unit, contrast = (float(plane.std(dtype=np.float64)) or 1.0 for plane in (mine, theirs))
    scale = contrast if photometric else unit
    fit = _fit(mine / unit, theirs / scale, model, method, start, how)
    fit = dataclasses.replace(fit, gain=fit.gain * scale / unit, bias=fit.bias * scale)
    other_scale = ""
    if not photometric and not FAR_CONTRAST[0] < contrast / unit < FAR_CONTRAST[1]:
        other_scale = (
            f" The moving picture has {contrast / unit:.2g} times the contrast of the reference: bring both to one "
            "scale of samples, or ask for gain and bias."
        )
    if fit.likeness < 0:
        raise InputError(
            f"The two pictures have nothing in common, or too little: no position of one shows the other.{other_scale}"
        )
    if fit.likeness < max(CHANCE / math.sqrt(mine.size), 0.05) or (fit.likeness < 0.4 and not fit.rmse < LOST):
        raise InputError(
            f"The two pictures have nothing in common: their gradients correlate by {fit.likeness:.2f} at best; "
            f"use pictures that overlap, or give a start.{other_scale}"
        )
    if not fit.rmse < LOST:
        raise InputError(
            f"The pictures show too little to be registered: the predicted error is {fit.rmse:.2g} pixels; "
            f"use pictures with more detail, or a simpler model.{other_scale}"
        )
    return _motion(fit, model, mine.shape, photometric=photometric)


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
    """The motions from the reference to each of the frames, one after the other, as `register` finds them.

    Raises what `register` does, with the number of the frame, from 0, in front.
    """
    motions = []
    for index, frame in enumerate(frames):
        try:
            found = register(reference, frame, model, method, photometric=photometric, robust=robust, mask=mask)
        except InputError as error:
            raise InputError(f"Frame {index}: {error}") from error
        motions.append(found)
    return motions


def _check_request(model: Model, method: Method, start: Motion | None) -> None:
    if model not in MODELS:
        raise UsageError(f"There is no model {model!r}; choose {', '.join(MODELS)}.")
    if method not in METHODS:
        raise UsageError(f"There is no method {method!r}; choose {', '.join(METHODS)}.")
    if method in PEAKS and model != "shift":
        raise UsageError(f"The method {method!r} finds a shift only, no {model}; use gradient or feature.")
    if method == "neural" and model != "flow":
        raise UsageError(f"The method 'neural' finds a flow only, no {model}; use gradient.")
    if start is not None and start.flow is not None and model != "flow":
        raise UsageError(f"A flow cannot start the model {model!r}; give a motion with a matrix.")


def _fit(reference: Float32, moving: Float32, model: Model, method: Method, start: Motion | None, how: How) -> Fit:
    """The fit of a model by a method, for planes (H, W) of about unit contrast."""
    if method in PEAKS:
        dx, dy = PEAKS[method](reference, moving)
        there = np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1.0]])
        return _judged(gradient.shift(reference, moving, there, how), there)
    if model == "flow":
        return _flow(reference, moving, method, start, how)
    if start is not None:
        return _descent(reference, moving, simplified(start.matrix, model, *reference.shape), model, how)
    best = gradient.LOST
    starts = _starts(reference, moving, model, method, how)
    for count, there in enumerate(starts):
        fit = _descent(reference, moving, there, model, how)
        if count == 0 or fit.likeness > best.likeness:
            best = fit
        if best.settled:
            break
    return dataclasses.replace(best, rival=_rival(reference, moving, best, model, how))


def _rival(reference: Float32, moving: Float32, best: Fit, model: Model, how: How) -> tuple[float, float] | None:
    """Another shift that aligns the pictures as well as the best fit, where what they show repeats itself."""
    step = gradient.coarsest(reference.shape)
    for dx, dy in peaks.repeats(planes.reduced(reference, step)):
        there = best.matrix @ np.array([[1, 0, dx * step], [0, 1, dy * step], [0, 0, 1.0]])
        fit = _descent(reference, moving, there, model, how)
        apart = np.abs(fit.matrix[:2, 2] - best.matrix[:2, 2]).max()
        if fit.likeness > RIVAL * best.likeness and apart > 1:
            return float(fit.matrix[0, 2]), float(fit.matrix[1, 2])
    return None


def _starts(reference: Float32, moving: Float32, model: Model, method: Method, how: How) -> Iterator[Float64]:
    """Where to begin, the likeliest first."""
    filled = reference if how.mask is None else np.where(how.mask, reference, reference[how.mask].mean())
    shifts = peaks.starts(filled, moving, gradient.coarsest(reference.shape))
    matched = features.starts(filled, moving, model, how.mask)
    if method == "feature":
        return itertools.chain(matched, shifts)
    return shifts if model == "shift" else itertools.chain(itertools.islice(shifts, 1), matched, shifts)


def _descent(reference: Float32, moving: Float32, there: Float64, model: Model, how: How) -> Fit:
    if model == "shift":
        return gradient.shift(reference, moving, there, how)
    return gradient.parametric(reference, moving, there, model, how)


def _flow(reference: Float32, moving: Float32, method: Method, start: Motion | None, how: How) -> Fit:
    """A flow from another one, or from the affine motion that explains most."""
    if start is not None and start.flow is not None:
        return dense.refine(reference, moving, start.flow, how)
    search = neural.search if method == "neural" else dense.search
    begin: Method = "gradient" if method == "neural" else method
    whole = _fit(reference, moving, "affine", begin, start, dataclasses.replace(how, robust=True))
    return dense.refine(reference, moving, search(reference, moving, whole.matrix), how)


def _judged(fit: Fit, matrix: Float64) -> Fit:
    """Another matrix with the error that Gauss-Newton sees in it: its distance from the better one, and that one's."""
    distance = math.dist(fit.matrix[:2, 2], matrix[:2, 2])
    return dataclasses.replace(fit, matrix=matrix, rmse=math.hypot(fit.rmse, distance))


def _motion(fit: Fit, model: Model, shape: tuple[int, ...], *, photometric: bool) -> Motion:
    """What was found, in sample values, with its overlap and a warning where it is not to be trusted."""
    height, width = shape
    motion = Motion(model, fit.matrix, fit.flow, fit.rmse, fit.gain, fit.bias)
    warnings = []
    if fit.rmse > LOW_CONFIDENCE:
        warnings.append(f"The predicted error of this motion is {fit.rmse:.2g} pixels.")
    if fit.rival is not None:
        x, y = fit.rival
        warnings.append(f"What the pictures show repeats itself: a shift of ({x:.2f}, {y:.2f}) pixels fits as well.")
    if not photometric and not CONTRAST[0] < fit.contrast < CONTRAST[1]:
        warnings.append(
            f"The moving picture has {fit.contrast:.2g} times the contrast of the reference, which misleads; "
            "ask for gain and bias."
        )
    return dataclasses.replace(motion, overlap=_overlap(motion, height, width), warning=" ".join(warnings))


def _overlap(motion: Motion, height: int, width: int) -> float:
    """The share of the reference that is seen in the moving picture."""
    if motion.model == "shift":
        across, down = (max(0.0, 1 - abs(d) / side) for d, side in zip(motion.shift, (width, height), strict=True))
        return across * down
    size = np.array([width, height])
    there = motion.points((grid(64, 64) + 0.5) * size / 64 - 0.5)
    return float(((there > -0.5) & (there < size - 0.5)).all(1).mean())
