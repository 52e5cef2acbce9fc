"""What the codec told about a frame, as maps on the grid of its chroma samples: inputs of the networks.

The half grid has ceil(height / 2) x ceil(width / 2) cells. A macroblock of H.264 covers 8 x 8 of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from subpixel.frames import Frame

Float32 = npt.NDArray[np.float32]

CELL = 4  # luma samples: the smallest block that H.264 gives a motion vector of its own
KINDS = "IPB"


def quantiser(frame: Frame) -> Float32:
    """(1, h/2, w/2): each macroblock's quantiser / 51; zeros where the codec did not tell."""
    height, width = half(frame)
    if frame.qp is None:
        return np.zeros((1, height, width), np.float32)
    grid = np.repeat(np.repeat(frame.qp.astype(np.float32), 8, 0), 8, 1)[:height, :width]
    return np.ascontiguousarray(np.clip(grid, 0, 51)[None] / np.float32(51))


def kinds(frame: Frame) -> Float32:
    """(3, h/2, w/2): ones in the plane of the frame's type (I, P, B); zeros everywhere where it is unknown."""
    height, width = half(frame)
    planes = [np.full((height, width), frame.kind == kind, np.float32) for kind in KINDS]
    return np.stack(planes)


def vectors(frame: Frame) -> npt.NDArray[np.int16]:
    """(4, ceil(h/4), ceil(w/4)): the codec's motion, x and y to a past picture, x and y to a future one.

    In quarters of a luma sample: what is at p now was at p + vector there. The codec does not say how far away in time
    that picture was. Zero where a block has no vector. 16 bits hold every vector that H.264 allows.
    """
    rows, columns = -(-frame.height // CELL), -(-frame.width // CELL)
    field = np.zeros((4, rows, columns), np.int16)
    if frame.motion is None:
        return field
    m = frame.motion
    for future in (False, True):
        for w, h in {(int(w), int(h)) for w, h in zip(m["w"], m["h"], strict=True)}:
            part = m[(m["w"] == w) & (m["h"] == h) & ((m["source"] > 0) == future)]
            top, left = (part["dst_y"] - h // 2) // CELL, (part["dst_x"] - w // 2) // CELL
            value = np.stack([part["motion_x"], part["motion_y"]]) * 4 // np.maximum(part["motion_scale"], 1)
            for y in range(h // CELL):
                for x in range(w // CELL):
                    inside = (top + y >= 0) & (top + y < rows) & (left + x >= 0) & (left + x < columns)
                    field[2 * future : 2 * future + 2, (top + y)[inside], (left + x)[inside]] = value[:, inside]
    return field


def motion(frame: Frame) -> Float32:
    """(4, h/2, w/2): `vectors` on the half grid, in cells of that grid / 16."""
    height, width = half(frame)
    return spread(vectors(frame))[:, :height, :width]


def spread(field: npt.NDArray[np.int16]) -> Float32:
    """`vectors` (..., rows, columns) on the half grid (..., 2 * rows, 2 * columns), in its cells / 16."""
    return np.repeat(np.repeat(field.astype(np.float32) / (8 * 16), 2, -2), 2, -1)


def half(frame: Frame) -> tuple[int, int]:
    """(rows, columns) of the half grid."""
    return -(-frame.height // 2), -(-frame.width // 2)
