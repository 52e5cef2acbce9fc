"""Starts for large motions: matched features, or spectra in polar coordinates where there are too few of them.

SIFT (Lowe, IJCV 60, 2004) with RANSAC; the Fourier-Mellin transform (Reddy & Chatterji, IEEE Trans. Image Processing 5,
1996), which finds a turn, an enlargement and a shift.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from subpixel.register import peaks
from subpixel.register.groups import rescaled, simplified
from subpixel.register.motion import Array, Float32, Float64, Model
from subpixel.register.planes import reduced

LONGEST = 1200  # pixels of the longer side that features are looked for in
ENOUGH = 8  # matches that agree


def starts(reference: Float32, moving: Float32, model: Model, mask: Array | None = None) -> Iterator[Float64]:
    """Matrices (3, 3) of a model that may take the reference to the moving picture, planes (H, W), the likelier first.

    mask: (H, W) bool, the pixels of the reference to use.
    """
    step = max(1, round(max(reference.shape) / LONGEST))
    small, other = reduced(reference, step), reduced(moving, step)
    part = None if mask is None else reduced(mask.astype(np.float32), step) > 0.5
    matched = matches(small, other, model, part)
    if matched is not None:
        yield simplified(rescaled(matched, step), model, *reference.shape)
    step = max(1, round(max(reference.shape) / 256))
    for found in turned(reduced(reference, step), reduced(moving, step)):
        yield simplified(rescaled(found, step), model, *reference.shape)


def matches(reference: Float32, moving: Float32, model: Model, mask: Array | None = None) -> Float64 | None:
    """The matrix (3, 3) on which matched features of two planes agree; None where fewer than 8 do."""
    import cv2

    sift = cv2.SIFT_create(nfeatures=3000, contrastThreshold=0.02)  # type: ignore[attr-defined]
    part = None if mask is None else mask.astype(np.uint8)
    points, marks = sift.detectAndCompute(bytes_of(reference), part)
    others, their_marks = sift.detectAndCompute(bytes_of(moving), None)
    if min(len(points), len(others)) < ENOUGH:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(marks, their_marks, k=2)
    good = [best for best, second in pairs if best.distance < 0.8 * second.distance]
    if len(good) < ENOUGH:
        return None
    here = np.array([points[match.queryIdx].pt for match in good], np.float32)
    there = np.array([others[match.trainIdx].pt for match in good], np.float32)
    cv2.setRNGSeed(0)
    if model == "homography":
        matrix, agree = cv2.findHomography(here, there, cv2.RANSAC, 3.0)
    else:
        fit = cv2.estimateAffine2D if model == "affine" else cv2.estimateAffinePartial2D
        matrix, agree = fit(here, there, ransacReprojThreshold=3.0)
        matrix = None if matrix is None else np.vstack([matrix, [0, 0, 1]])
    if matrix is None or int(agree.sum()) < ENOUGH or not np.isfinite(matrix).all():
        return None
    return np.asarray(matrix, np.float64)


def bytes_of(plane: Float32) -> Array:
    """A plane (H, W) as uint8, its darkest and brightest hundredth clipped."""
    low, high = np.percentile(plane, (1, 99))
    return np.asarray(np.clip((plane - low) * (255 / max(high - low, 1e-12)), 0, 255), np.uint8)


def turned(reference: Float32, moving: Float32) -> Iterator[Float64]:
    """Matrices (3, 3) of similarities by the Fourier-Mellin transform; a turn by half a circle more is as likely."""
    import cv2

    mine, theirs = (_polar(plane) for plane in (reference, moving))
    angles, radii = mine.shape
    for right, lower in peaks.tops(peaks.surface(peaks.spectrum(mine, theirs), mine.shape)):
        # A spectrum turns with its picture, and shrinks where the picture grows.
        angle, zoom = lower * 180 / angles, float((min(reference.shape) / 2) ** (-right / radii))
        if not 0.4 < zoom < 2.5:
            continue
        height, width = reference.shape
        for more in (0, 180):
            turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -(angle + more), zoom)
            matrix = np.vstack([turn, [0, 0, 1]])
            back = cv2.warpAffine(moving, turn, (width, height), flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR)
            # What is seen at x in the turned-back picture is at the matrix times x in the moving one.
            dx, dy = next(
                peaks.tops(peaks.surface(peaks.spectrum(reference, np.asarray(back, np.float32)), back.shape))
            )
            yield np.asarray(matrix @ np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1.0]]), np.float64)


def _polar(plane: Float32) -> Float32:
    """(360, 256): magnitudes of a plane's spectrum, by angle over half a circle and logarithm of radius."""
    import cv2

    size = min(plane.shape)
    top, left = (plane.shape[0] - size) // 2, (plane.shape[1] - size) // 2
    square = plane[top : top + size, left : left + size]
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2((square - square.mean()) * peaks.hann(size, size))))
    level = np.log1p(spectrum).astype(np.float32)
    angle = np.arange(360, dtype=np.float32)[:, None] * np.float32(np.pi / 360)
    radius = (size / 2) ** (np.arange(256, dtype=np.float32) / 256)
    middle = size // 2
    x = np.asarray(middle + radius * np.cos(angle), np.float32)
    y = np.asarray(middle + radius * np.sin(angle), np.float32)
    polar = cv2.remap(level, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(polar - polar.mean(0), np.float32)  # the fall with frequency is every picture's
