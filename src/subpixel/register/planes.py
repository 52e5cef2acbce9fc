"""What registration asks of its pictures, and the planes it works on."""

from __future__ import annotations

import numpy as np

from subpixel.errors import InputError
from subpixel.register.motion import Array, Float32

SMALLEST = 16  # pixels of the shorter side
CLIPPED = 0.98  # share of samples at the largest value from which a picture counts as saturated
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601

# Sixth-order central difference of a sampled signal.
DERIVATIVE = np.array([-1, 9, -45, 0, 45, -9, 1], np.float32) / 60


def luma(picture: Array, name: str, mask: Array | None = None) -> Float32:
    """A picture (H, W) or (H, W, 3) of any real type as one plane (H, W) of float32, a copy in its own sample values.

    Samples where the mask (H, W) is false may be anything. Raises InputError, which calls the picture `name`, for one
    that cannot be registered whatever the other is.
    """
    array = np.asarray(picture)
    if array.dtype.kind not in "buif":
        raise InputError(f"The {name} holds {array.dtype}; a picture holds integers or floating-point numbers.")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise InputError(f"The {name} has the shape {array.shape}; a picture is (height, width) or (height, width, 3).")
    if min(array.shape[:2]) < SMALLEST:
        size = f"{array.shape[1]}x{array.shape[0]}"
        raise InputError(f"The {name} is {size} pixels; to be registered it must have {SMALLEST} on each side.")
    plane = array.astype(np.float32)
    if plane.ndim == 3:
        plane = plane @ LUMA
    _check_samples(plane if mask is None else plane[mask], array, name)
    return plane if mask is None else np.where(mask | np.isfinite(plane), plane, plane[mask].mean())


def _check_samples(plane: Float32, array: Array, name: str) -> None:
    low, high = float(plane.min()), float(plane.max())
    if not np.isfinite(low + high):
        missing = int((~np.isfinite(plane)).sum())
        raise InputError(f"The {name} has {missing} samples that are no numbers (NaN or infinite); fill or mask them.")
    top = float(np.iinfo(array.dtype).max) if array.dtype.kind in "ui" else high
    if high == top and (high > low or array.dtype.kind in "ui"):
        clipped = float((plane >= top).mean())
        if clipped >= CLIPPED:
            raise InputError(
                f"The {name} is saturated: {100 * clipped:.0f} % of its samples have the largest value, {top:g}; "
                "use a shorter exposure."
            )
    if high == low:
        raise InputError(f"The {name} is featureless: all its samples are {low:g}.")


def checked_mask(mask: Array | None, reference: Array) -> Array | None:
    """A mask as (H, W) bool; raises InputError for one of another size, or with too little in it."""
    if mask is None:
        return None
    chosen = np.asarray(mask) != 0
    if chosen.shape != np.shape(reference)[:2]:
        raise InputError(f"The mask has the shape {chosen.shape}; it must be that of the reference.")
    if chosen.sum() < SMALLEST**2:
        raise InputError(f"The mask leaves {chosen.sum()} pixels of the reference; {SMALLEST**2} are needed.")
    return np.asarray(chosen)


def same_size(reference: Array, moving: Array) -> None:
    """Raises InputError for pictures of different sizes."""
    if min(np.ndim(reference), np.ndim(moving)) >= 2 and np.shape(reference)[:2] != np.shape(moving)[:2]:
        sizes = [f"{np.shape(picture)[1]}x{np.shape(picture)[0]}" for picture in (reference, moving)]
        raise InputError(f"The reference is {sizes[0]} pixels and the moving picture {sizes[1]}; they must be equal.")


def blurred(plane: Float32, sigma: float) -> Float32:
    """A plane (H, W) under a Gaussian of `sigma` pixels; the border is mirrored."""
    import cv2

    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32)


def gradients(plane: Float32) -> tuple[Float32, Float32]:
    """(d/dx, d/dy) of a plane (H, W), each (H, W); the border is mirrored."""
    import cv2

    one = np.ones(1, np.float32)
    along_x = cv2.sepFilter2D(plane, cv2.CV_32F, DERIVATIVE, one)
    return np.asarray(along_x, np.float32), np.asarray(cv2.sepFilter2D(plane, cv2.CV_32F, one, DERIVATIVE), np.float32)


def reduced(plane: Float32, step: int) -> Float32:
    """A plane `step` times smaller, by means of step x step samples; what is left over at the end is dropped."""
    if step == 1:
        return plane
    height, width = (side // step for side in plane.shape)
    import cv2

    cropped = plane[: height * step, : width * step]
    return np.asarray(cv2.resize(cropped, (width, height), interpolation=cv2.INTER_AREA), np.float32)
