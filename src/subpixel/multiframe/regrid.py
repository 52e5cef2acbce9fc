"""Frames of one scene on the grid of one of them, by the simplest motion that explains them, and where none does.

Frames may be blurred differently: they are compared as far as the blurrier one shows anything.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError
from subpixel.multiframe import noise as noises
from subpixel.register import Model, Motion, register, shift_picture, warp

Float = npt.NDArray[np.float32]

MODELS: tuple[Model, ...] = ("shift", "flow")
STRAY = 0.2  # pixels left over, root mean square, from which the next model is tried
COARSE, PART = 4.0, 32.0  # sigmas, in pixels, of the blur and of the windows in which that is measured
WORTH = 0.8  # of what a simpler motion leaves over: what a more flexible one must stay below to be taken
LEVELS = (1.0, 2.0, 4.0)  # sigmas, in pixels of half the size, at which a frame may be blurrier than the other
WINDOW = 3.0  # sigma of the neighbourhood in which frames must agree, in the same
UNLIKE = 0.2  # of the local contrast's square: a larger difference is a thing that moved
CERTAIN = 5.0  # variances of the noise that a squared difference must exceed
SOFT = 0.7  # sigma of a blur before sharpness is measured, and what it leaves of white noise in squared gradients
GRAIN = (1 - math.exp(-1 / (4 * SOFT**2))) / (math.pi * SOFT**2)


@dataclasses.dataclass(frozen=True, eq=False)
class Aligned:
    """One frame as the reference's camera would have seen it.

    picture: (H, W, C), with the reference's brightness, and the reference's samples where the two do not agree.
    motion: from the reference to the frame. gain: how much brighter the frame was.
    stray: pixels, root mean square, by which things still lie elsewhere. moved: share of the picture, 0 to 1, that is
    the reference's own because something moved there or was not seen.
    """

    picture: Float
    motion: Motion
    gain: float
    stray: float
    moved: float


def align(reference: Float, frame: Float, noise: noises.Noise) -> Aligned:
    """A frame (H, W, C) on the grid of the reference (H, W, C).

    A flow is tried where a shift leaves something over. noise: (a, b) of variance =
    a * signal + b of the samples. Raises InputError where the two have nothing in common.
    """
    mine, theirs = luma(reference), luma(frame)
    best: tuple[float, Motion, float, Float, npt.NDArray[np.bool_]] | None = None
    for model in MODELS:
        try:
            motion = _motion(mine, theirs, model)
        except InputError:
            if best is None and model == MODELS[-1]:
                raise
            continue
        seen, valid = _warped(frame, motion)
        gain = _gain(mine, luma(seen), valid)
        seen = seen / np.float32(gain)
        left = stray(mine, luma(seen), valid)
        if best is None or left < WORTH * best[0]:
            best = left, motion, gain, seen, valid
        if left < STRAY:
            break
    assert best is not None
    left, motion, gain, seen, valid = best
    grain = noise[0] / frame.shape[2], noise[1] / frame.shape[2]
    trust = agreement(mine, luma(seen), valid, grain)
    return Aligned(reference + trust[..., None] * (seen - reference), motion, gain, left, float(1 - trust.mean()))


def luma(picture: Float) -> Float:
    """(H, W): the mean of the channels of (H, W, C)."""
    channels = picture.shape[2]
    return np.asarray(picture @ np.full(channels, 1 / channels, np.float32), np.float32)


def _motion(mine: Float, theirs: Float, model: Model) -> Motion:
    """A motion of this model; a flow is sought at half the size, as precise as it needs to be for local motion."""
    if model != "flow":
        return register(mine, theirs, model, photometric=True)
    height, width = mine.shape
    small = register(_halved(mine), _halved(theirs), "flow", photometric=True, robust=True)
    assert small.flow is not None
    import cv2

    flow = 2 * cv2.resize(
        small.flow, (2 * small.flow.shape[1], 2 * small.flow.shape[0]), interpolation=cv2.INTER_LINEAR
    )
    flow = np.pad(flow, ((0, height - len(flow)), (0, width - flow.shape[1]), (0, 0)), mode="edge")
    return dataclasses.replace(small, flow=flow.astype(np.float32), rmse=2 * small.rmse)


def _warped(frame: Float, motion: Motion) -> tuple[Float, npt.NDArray[np.bool_]]:
    """The frame on the reference's grid, and where it is known; samples elsewhere are those nearby."""
    height, width = frame.shape[:2]
    if motion.model == "shift":
        dx, dy = motion.shift
        seen = shift_picture(frame, -dx, -dy).reshape(frame.shape)
        x, y = np.arange(width) + dx, np.arange(height)[:, None] + dy
        return seen, (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    seen, valid = warp(frame, motion, kernel="cubic", fill=0.0)
    return seen, valid


def stray(reference: Float, seen: Float, valid: npt.NDArray[np.bool_]) -> float:
    """Pixels, root mean square, by which parts of a picture (H, W) still lie elsewhere than the reference's do.

    One Gauss-Newton step in each window, counted by its detail. What is common to all windows is taken out: an uneven
    blur displaces a whole picture. The worst tenth, where things move by themselves, is left out.
    """
    import cv2

    inside = cv2.erode(valid.astype(np.uint8), np.ones((25, 25), np.uint8), borderValue=0)[::4, ::4].astype(np.float32)
    mine, theirs = (_blurred(plane, COARSE)[::4, ::4] for plane in (reference, seen))
    across, down = (inside * cv2.Scharr(mine, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1)))
    slopes = np.stack([across.ravel(), down.ravel()], 1).astype(np.float64)
    error = inside * (mine - theirs)
    common = np.linalg.lstsq(slopes, error.ravel(), rcond=None)[0]
    error -= (slopes @ common).reshape(error.shape).astype(np.float32)
    xx, xy, yy, x, y = (
        _blurred(product, PART / 4)[::2, ::2]
        for product in (across * across, across * down, down * down, across * error, down * error)
    )
    floor = 1e-2 * float((xx + yy).mean()) + 1e-12
    steps = np.square((yy + floor) * x - xy * y) + np.square((xx + floor) * y - xy * x)
    square = (steps / np.square((xx + floor) * (yy + floor) - xy * xy)).ravel()
    order = np.argsort(square)
    square, weight = square[order], np.minimum(xx, yy).ravel()[order].astype(np.float64) + 1e-20
    most = max(1, int(np.searchsorted(np.cumsum(weight), 0.9 * weight.sum())))
    return float(4 * np.sqrt(np.average(square[:most], weights=weight[:most])))


def _gain(reference: Float, seen: Float, valid: npt.NDArray[np.bool_]) -> float:
    """How much brighter a picture (H, W) is: the median over blocks, which what moves does not change."""
    import cv2

    size = (max(1, reference.shape[1] // 16), max(1, reference.shape[0] // 16))
    count, mine, theirs = (
        cv2.resize(np.where(valid, plane, 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for plane in (np.ones_like(reference), reference, seen)
    )
    usable = (count > 0.5) & (mine > 0.02 * count) & (mine < 0.95 * count) & (theirs < 0.95 * count)
    if usable.sum() < 4:
        return 1.0
    return float(np.median(theirs[usable] / mine[usable]))


def agreement(reference: Float, seen: Float, valid: npt.NDArray[np.bool_], noise: noises.Noise) -> Float:
    """(H, W): 1 where a picture (H, W) shows what the reference does, however blurred either is, 0 where not.

    At each place the two must be alike at one of the `LEVELS` by which one may be blurrier than the other, measured
    against the local contrast and the noise, (a, b) of these planes.
    """
    import cv2

    height, width = reference.shape
    mine, theirs = ([_blurred(_halved(plane), sigma) for sigma in LEVELS] for plane in (reference, seen))
    pairs = [(mine[0], other) for other in theirs] + [(other, theirs[0]) for other in mine[1:]]
    misfit = np.min([_blurred(np.square(a - b), WINDOW) for a, b in pairs], axis=0)
    contrast = np.minimum(_scatter(mine[0]), _scatter(theirs[0]))
    grain = 2 * noises.variance(mine[0], noise) / (4 * 4 * np.pi * LEVELS[0] ** 2)
    trust = np.clip(2 - misfit / (UNLIKE * contrast + CERTAIN * grain), 0, 1).astype(np.float32)
    trust = _blurred(np.asarray(cv2.erode(trust, np.ones((5, 5), np.uint8)), np.float32), 2.0)
    whole = cv2.resize(trust, (width, height), interpolation=cv2.INTER_LINEAR)
    inside = cv2.erode(valid.astype(np.float32), np.ones((3, 3), np.uint8), borderValue=0)
    return np.asarray(whole * inside, np.float32)


def _scatter(plane: Float) -> Float:
    """(H, W): the variance in the neighbourhood of each pixel."""
    return np.asarray(np.maximum(_blurred(plane * plane, WINDOW) - _blurred(plane, WINDOW) ** 2, 0), np.float32)


def _blurred(plane: Float, sigma: float) -> Float:
    import cv2

    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


def _halved(plane: Float) -> Float:
    import cv2

    height, width = plane.shape
    even = plane[: height // 2 * 2, : width // 2 * 2]
    return np.asarray(cv2.resize(even, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.float32)


def sharpness(pictures: Sequence[Float], noise: noises.Noise) -> list[float]:
    """Mean squared gradient of each picture (H, W, C), without what noise adds to it; the largest is the sharpest."""
    found = []
    for picture in pictures:
        plane = _blurred(luma(picture), SOFT)
        energy = np.square(plane[1:] - plane[:-1]).mean() + np.square(plane[:, 1:] - plane[:, :-1]).mean()
        grain = float(noises.variance(plane, noise).mean()) / picture.shape[2]
        found.append(float(energy) - GRAIN * grain)
    return found
