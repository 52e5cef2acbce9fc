"""A motion for the eye."""

from __future__ import annotations

import numpy as np

from subpixel.register.motion import Array, Float32, Motion
from subpixel.register.planes import LUMA
from subpixel.register.sampling import warp


def differences(reference: Array, moving: Array, motion: Motion) -> Float32:
    """Moving minus reference before registration (left) and after (right): float32 (H, 2 W + 4), 0.5 where equal.

    Pictures (H, W) or (H, W, 3) of one scale; contrast is such that the largest hundredth of the differences before
    reaches black or white. What is not seen in both is black.
    """
    mine, theirs = (np.asarray(p, np.float32) @ LUMA if np.ndim(p) == 3 else np.asarray(p) for p in (reference, moving))
    seen, valid = warp(theirs, motion, fill=0)
    before, after = theirs - mine, seen - (motion.gain * mine + motion.bias)
    full = float(np.quantile(np.abs(before), 0.99)) or 1.0
    panels = [np.clip(0.5 + difference / (2 * full), 0, 1) for difference in (before, after)]
    panels[1][~valid] = 0
    return np.concatenate([panels[0], np.ones((len(mine), 4)), panels[1]], 1).astype(np.float32)
