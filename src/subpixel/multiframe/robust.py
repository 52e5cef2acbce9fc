"""Which samples of a frame show what the reference shows, so that what moved leaves no ghosts.

Twice: first both are compared as small, smooth pictures, and what differs by more than noise, aliasing and a little
misplacement explain is left out (after Wronski et al., Handheld Multi-Frame Super-Resolution, 2019). Then the samples
are compared with the picture that was made of them, which knows what aliasing did. There the picture is made of fewer
frames, at last of the reference alone.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from subpixel.multiframe.guides import Frame, Source, aligned_guide, balance, guide, halved, view
from subpixel.multiframe.noise import Noise, variance

Float = npt.NDArray[Any]  # float32

SLACK = 0.05  # pixels of a guide by which edges may be misplaced
ALIASED = 0.12  # share of the variance of fine detail that passes a guide's filters as something else
FULL, NONE = 12.0, 30.0  # squared differences in variances: up to the first all counts, from the second on nothing
STRANGE, WRONG = 2.0, 3.5  # the same for the mean of the squares of many samples that a picture does not explain
NEAR = 4.0  # STRANGE, for the few samples of 3 x 3 quads
MISPLACED = 0.1  # pixels by which samples may be misplaced
MARGIN = 5  # pixels of a guide: side of the square that one differing pixel takes with it
_AVERAGED = 12.0  # samples of a colour of a quad that a guide's blur averages, about


def landmarks(frame: Frame) -> Float:
    """(h, w, channels + 1) what `agreement` compares with: a reference's guide, and the variance of its fine detail."""
    grey = view(frame)
    grey = grey if grey.ndim == 2 else grey.mean(-1)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), 2.0)
    texture = cv2.GaussianBlur(halved(detail * detail), (0, 0), 2.0)
    return np.dstack([guide(frame), texture]).astype(np.float32)


def agreement(reference: Float, source: Source, noise: Noise) -> Float:
    """(h, w) 0 to 1: how much each pixel of a frame's guide is like the reference's; 0 where it sees none of it.

    reference: its `landmarks`. noise: of the frames' samples.
    """
    frame = guide(source.frame)
    seen, inside = aligned_guide(reference, source)
    texture, there = seen[..., -1:], seen[..., :-1]
    gains = balance(source.frame)[: frame.shape[2]]
    doubt = gains**2 * variance(np.maximum(there, 0) / gains, noise) / _AVERAGED * np.float32(1 + 1 / source.gain)
    slack = np.dstack([_steepest(plane) for plane in np.moveaxis(there, -1, 0)])
    doubt += ALIASED * texture + (SLACK * slack) ** 2 + np.float32(1e-6)
    excess = ((frame / np.float32(source.gain) - there) ** 2 / doubt).max(-1)
    return np.where(inside, _passed(excess, FULL, NONE), 0).astype(np.float32)


def explained(seen: Float, expected: Float, source: Source, noise: Noise) -> Float:
    """(h, w) 0 to 1 for the quads of a box of a frame: how well a picture explains its samples.

    seen, expected: as `samples.predicted` gives them.
    """
    doubt = variance(expected * source.gain, noise) / np.float32(source.gain) ** 2
    doubt += np.float32(MISPLACED**2) * _slopes(expected)
    squares = (seen - expected) ** 2 / doubt
    known = np.isfinite(squares)
    squares, counts = np.where(known, squares, 0).astype(np.float32), known.astype(np.float32)
    if squares.ndim == 3:
        squares, counts = squares.sum(-1), counts.sum(-1)
    squares, counts = 4 * halved(squares), 4 * halved(counts)
    near, around = (_mean(squares, counts, side) for side in (3, 2 * MARGIN + 1))
    return _passed(np.maximum(around, near * np.float32(STRANGE / NEAR)), STRANGE, WRONG)


def _slopes(expected: Float) -> Float:
    """The squared change a pixel at each sample, among those of its colour; 0 beside what is not known."""
    squares = np.zeros_like(expected)
    for axis in (0, 1):
        lines, steps = np.moveaxis(expected, axis, 0), np.moveaxis(squares, axis, 0)
        steps[2:-2] += np.nan_to_num((lines[4:] - lines[:-4]) / 4) ** 2
    return squares


def _mean(squares: Float, counts: Float, side: int) -> Float:
    """The mean of the squares in squares of so many quads; 1 where there are none."""
    total, number = (cv2.boxFilter(plane, -1, (side, side), normalize=False) for plane in (squares, counts))
    return np.where(number > 0, total / np.maximum(number, 1), 1)


def _passed(excess: Float, full: float, none: float) -> Float:
    """1 where the excess is below `full`, 0 where it is above `none`, and around."""
    good = np.clip((none - excess) / (none - full), 0, 1).astype(np.float32)
    return cv2.blur(cv2.erode(good, np.ones((MARGIN, MARGIN), np.uint8)), (3, 3))


def _steepest(plane: Float) -> Float:
    """The largest change to the next pixel in each 5 x 5 neighbourhood."""
    plane = np.ascontiguousarray(plane)
    dx, dy = cv2.Scharr(plane, -1, 1, 0, scale=1 / 32), cv2.Scharr(plane, -1, 0, 1, scale=1 / 32)
    return cv2.dilate(cv2.magnitude(dx, dy), np.ones((5, 5), np.uint8))
