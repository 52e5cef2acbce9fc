"""A Bayer mosaic as colours, by linear filters (Malvar, He & Cutler, ICASSP 2004).

Linear, so that noise stays noise: fifty such pictures averaged are better than what any clever choice of edges makes
of each of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError

Float = npt.NDArray[np.float32]

PATTERNS = ("RGGB", "GRBG", "GBRG", "BGGR")

# What is missing where: green at red or blue; red at green in a red row; red at green in a blue row; red at blue.
_GREEN = np.array([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]) / 8
_ROW = np.array([[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]) / 8
_CROSS = np.array([[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]) / 8


def demosaic(mosaic: Float, pattern: str) -> Float:
    """(height, width) to RGB (height, width, 3) in the same units; `pattern` names the first two rows' first two
    samples, such as RGGB. Raises UsageError for a pattern that is not one of PATTERNS."""
    import cv2

    if pattern not in PATTERNS:
        raise UsageError(f"There is no Bayer pattern {pattern!r}; choose {', '.join(PATTERNS)}.")
    mosaic = np.asarray(mosaic, np.float32)

    def filtered(kernel: npt.NDArray[np.float64]) -> Float:
        return np.asarray(cv2.filter2D(mosaic, -1, kernel.astype(np.float32), borderType=cv2.BORDER_REFLECT_101))

    green, row, column, cross = (filtered(kernel) for kernel in (_GREEN, _ROW, _ROW.T, _CROSS))
    out = np.empty((*mosaic.shape, 3), np.float32)
    for place, colour in enumerate(pattern):
        at = np.s_[place // 2 :: 2, place % 2 :: 2]
        beside = pattern[place ^ 1]  # the colour with which it shares the row
        if colour == "G":
            out[*at, 1] = mosaic[at]
            out[*at, "RGB".index(beside)] = row[at]
            out[*at, 2 - "RGB".index(beside)] = column[at]
        else:
            own = "RGB".index(colour)
            out[*at, own], out[*at, 1], out[*at, 2 - own] = mosaic[at], green[at], cross[at]
    return out
