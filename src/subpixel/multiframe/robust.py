"""Which samples of a frame show what the reference shows, so that what moved leaves no ghosts.

Both are compared as small, smooth pictures in which aliasing is gone. What differs by more than noise and a little
misplacement explains is left out, with a margin; there the picture is made of fewer frames, at last of the reference
alone (after Wronski et al., Handheld Multi-Frame Super-Resolution, 2019).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from subpixel.multiframe.noise import Noise, variance
from subpixel.multiframe.samples import Source, aligned_guide, balance, guide

Float = npt.NDArray[np.float32]

SLACK = 0.15  # pixels of a guide by which edges may be misplaced: what registration and aliasing leave
FULL, NONE = 12.0, 30.0  # squared differences in variances: up to the first all counts, from the second on nothing
MARGIN = 5  # pixels of a guide: side of the square that one differing pixel takes with it
_AVERAGED = 12.0  # samples of a colour of a quad that a guide's blur averages, about


def agreement(reference: Float, source: Source, noise: Noise) -> Float:
    """(h, w) 0 to 1: how much each pixel of a frame's guide is like the reference's; 0 where it sees none of it.

    reference: the guide (h, w, channels) of the reference. noise: of the frames' samples.
    """
    frame = guide(source.frame)
    there, seen = aligned_guide(reference, source)
    gains = balance(source.frame)[: frame.shape[2]]
    difference = frame / np.float32(source.gain) - there
    spread = np.stack(
        [gain**2 * variance(np.maximum(there[..., c], 0) / gain, noise) / _AVERAGED for c, gain in enumerate(gains)],
        -1,
    )
    spread = spread * np.float32(1 + 1 / source.gain)
    slack = np.stack([_steepest(there[..., c]) for c in range(there.shape[2])], -1)
    excess = (difference**2 / (spread + (SLACK * slack) ** 2 + np.float32(1e-6))).max(-1)
    good = np.clip((NONE - excess) / (NONE - FULL), 0, 1)
    good = cv2.erode(good, np.ones((MARGIN, MARGIN), np.uint8))
    return np.where(seen, cv2.blur(good, (3, 3)), 0).astype(np.float32)


def _steepest(plane: Float) -> Float:
    """The largest change to the next pixel in each 5 x 5 neighbourhood."""
    dx, dy = cv2.Scharr(plane, -1, 1, 0, scale=1 / 32), cv2.Scharr(plane, -1, 0, 1, scale=1 / 32)
    return cv2.dilate(cv2.magnitude(dx, dy), np.ones((5, 5), np.uint8))
