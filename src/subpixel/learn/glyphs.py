"""Letters as strokes, drawn with smooth edges at any size: titles that roll through training clips, labels of sheets.

A glyph is a list of strokes on a grid of 5 x 9 points, x 0 to 4, y 0 (cap height) to 6 (baseline) and 8 (descender);
each point is two digits. A stroke that begins with ~ is a curve near its points (corners cut twice, Chaikin 1974).
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

_STROKES = {
    "A": "06 20 46/14 34", "B": "00 06/~00 40 43 03/~03 43 46 06", "C": "~41 40 00 06 46 45",
    "D": "00 06/~00 40 46 06", "E": "40 00 06 46/03 33", "F": "40 00 06/03 33", "G": "~41 40 00 06 46 43/43 23",
    "H": "00 06/40 46/03 43", "I": "20 26", "J": "~30 36 06 04", "K": "00 06/40 03 46", "L": "00 06 46",
    "M": "06 00 23 40 46", "N": "06 00 46 40", "O": "~20 00 06 46 40 20", "P": "06 00/~00 40 43 03",
    "Q": "~20 00 06 46 40 20/34 46", "R": "06 00/~00 40 43 03/23 46", "S": "~41 40 00 03 43 46 06 05",
    "T": "00 40/20 26", "U": "~00 06 46 40", "V": "00 26 40", "W": "00 16 22 36 40", "X": "00 46/40 06",
    "Y": "00 23 40/23 26", "Z": "00 40 06 46", "a": "~42 02 06 46/42 46", "b": "00 06/~02 42 46 06",
    "c": "~42 02 06 46", "d": "40 46/~42 02 06 46", "e": "04 44/~44 42 02 06 46", "f": "~40 20 26/12 32",
    "g": "~42 02 06 46/~42 48 08", "h": "00 06/~03 02 42 46", "i": "22 26/20 20", "j": "~22 28 08/20 20",
    "k": "00 06/42 04 46", "l": "20 26", "m": "02 06/~03 02 22 26/~23 22 42 46", "n": "02 06/~03 02 42 46",
    "o": "~22 02 06 46 42 22", "p": "02 08/~02 42 46 06", "q": "42 48/~42 02 06 46", "r": "02 06/~04 02 42",
    "s": "~42 02 04 44 46 06", "t": "20 26 36/12 32", "u": "~02 06 46 42/42 46", "v": "02 26 42",
    "w": "02 16 23 36 42", "x": "02 46/42 06", "y": "02 26/42 08", "z": "02 42 06 46",
    "0": "~20 00 06 46 40 20/41 05", "1": "11 20 26", "2": "~01 00 40 42 06/06 46", "3": "~00 40 43 13/~13 43 46 06",
    "4": "30 04 44/30 36", "5": "40 00 02/~02 42 46 06", "6": "~40 00 06 46 43 03", "7": "00 40 16",
    "8": "~20 00 03 43 40 20/~23 03 06 46 43 23", "9": "~43 03 00 40 46 06", ".": "26 26", ",": "26 17", "-": "13 33",
    ":": "23 23/26 26", "!": "20 24/26 26", "?": "~01 00 40 43 23 24/26 26", "/": "40 06", "_": "06 46",
    "+": "13 33/22 24", "=": "12 32/14 34", "%": "40 06/10 10/36 36", "(": "~30 10 16 36", ")": "~10 30 36 16",
    " ": "",
}  # fmt: skip
_SPACE = 3.0  # grid steps a blank moves on
_GAP = 1.6  # between two letters
_TALL = 10.0  # rows of the grid with a margin of one above and below


def draw(text: str, height: float, *, weight: float = 0.9, slant: float = 0.0) -> Float32:
    """Coverage 0..1 (rows, columns) of one line of text whose capitals are `height` pixels high.

    weight: thickness of the strokes in sixths of that height; slant: columns per row that the letters lean.
    Letters that are not known become question marks.
    """
    unit = height / 6
    strokes, width = _placed(text, slant)
    distance = np.full((round(_TALL * unit), round((width + 2) * unit)), np.inf, np.float32)
    for stroke in strokes:
        points = (stroke + 1) * unit
        for start, end in itertools.pairwise(points):
            _near(distance, start, end, weight * unit / 2 + 1)
    # A pixel is covered as far as its centre lies inside the edge of the stroke, half a pixel more or less.
    covered: Float32 = np.clip(weight * unit / 2 + 0.5 - distance, 0, 1)
    return covered


def _placed(text: str, slant: float) -> tuple[list[Points], float]:
    """Strokes of a line in grid steps, and its width."""
    strokes, x = [], 0.0
    for letter in text:
        if letter == " ":
            x += _SPACE
            continue
        parts = [_points(part) for part in _STROKES.get(letter, _STROKES["?"]).split("/")]
        columns = np.concatenate(parts)[:, 0]
        left, right = float(columns.min()), float(columns.max())
        strokes += [part + [x - left, 0] + part[:, 1:] * [-slant, 0] + [6 * slant, 0] for part in parts]
        x += right - left + _GAP
    return strokes, x - _GAP + abs(slant) * 6


def _points(stroke: str) -> Points:
    """(n, 2) points of a stroke; two equal ones for a dot."""
    points = np.array([[float(point[0]), float(point[1])] for point in stroke.lstrip("~").split()])
    for _ in range(2 if stroke.startswith("~") else 0):
        quarter, far = points[:-1] * 0.75 + points[1:] * 0.25, points[:-1] * 0.25 + points[1:] * 0.75
        points = np.concatenate([points[:1], np.stack([quarter, far], 1).reshape(-1, 2), points[-1:]])
    return points


def _near(distance: Float32, start: Points, end: Points, reach: float) -> None:
    """Lower the distances (in pixels) of the pixels around a straight piece, as far as `reach`."""
    low, high = np.floor(np.minimum(start, end) - reach), np.ceil(np.maximum(start, end) + reach)
    left, top = (max(0, int(side)) for side in low)
    right, bottom = (max(0, int(side)) for side in high)
    part = distance[top:bottom, left:right]
    rows, columns = part.shape
    x, y = np.arange(columns) + left + 0.5 - start[0], np.arange(rows)[:, None] + top + 0.5 - start[1]
    along = end - start
    reached = np.clip((x * along[0] + y * along[1]) / max(float(along @ along), 1e-9), 0, 1)
    np.minimum(part, np.hypot(x - reached * along[0], y - reached * along[1]), out=part, casting="unsafe")
