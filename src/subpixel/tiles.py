"""Pictures too large for the memory, done in tiles whose margins cover what the network sees.

Knows arrays only. All arrays of a picture lie on grids that divide or multiply its own evenly: their size tells which.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from subpixel.errors import MemoryLimitError

Float32 = npt.NDArray[np.float32]
Span = tuple[int, int, int, int]  # along one side: first and end of what is read, first and end of what is kept of it

PIXELS = 960 * 544  # of a tile with its margins: bounds a small network's memory to about 400 MB
SMALLEST = 32  # pixels of a tile's side without margins


def spans(length: int, count: int, halo: int, align: int) -> list[Span]:
    """A side of `length` pixels in `count` parts or fewer, each read with `halo` more pixels on either end.

    All parts have one size if `align` lets them, so that one compiled network serves them all; what is read begins at
    multiples of `align`.
    """
    halo += halo & 1
    part = -(-length // (count * align)) * align
    size = part + 2 * halo + (align if align > 2 else 0)
    if size >= length:
        return [(0, length, 0, length)]
    found = []
    for top in range(0, length, part):
        last = top - halo + size >= length
        first = (length - size if last else max(0, top - halo)) // align * align
        found.append((first, length if last else first + size, top, min(top + part, length)))
    return found


class Tiler:
    """Runs steps on whole pictures if they fit, else on tiles, and on smaller ones once memory has run out.

    side: most pixels of a tile's side without margins, 0 for what makes at most `pixels` with them; halo, align: as
    `spans` takes them.
    """

    def __init__(self, side: int = 0, *, halo: int = 0, align: int = 2, pixels: int = PIXELS) -> None:
        self.side, self.halo, self.align = side, halo, align
        self.pixels = pixels if side == 0 else 1 << 62

    def divide(self, height: int, width: int) -> tuple[list[Span], list[Span]]:
        """(rows, columns) of the tiles of a picture."""
        side = self.side or max(height, width)
        counts = [-(-height // side), -(-width // side)]
        while True:
            rows, columns = (spans(n, c, self.halo, self.align) for n, c in zip((height, width), counts, strict=True))
            tall, wide = (max(end - first for first, end, *_ in part) for part in (rows, columns))
            longer = int(wide > tall)
            if tall * wide <= self.pixels or (height, width)[longer] // counts[longer] <= SMALLEST:
                return rows, columns
            counts[longer] += 1

    def largest(self, height: int, width: int) -> int:
        """Pixels of the largest tile of a picture, with its margins."""
        rows, columns = self.divide(height, width)
        return max(end - first for first, end, *_ in rows) * max(end - first for first, end, *_ in columns)

    def __call__(self, step: Callable[..., tuple[Float32, ...]], arrays: Sequence[Float32]) -> tuple[Float32, ...]:
        """What `step` gives for arrays (..., h, w) on grids of one picture, the first one's being the picture's own.

        Raises MemoryLimitError where the memory does not suffice for the smallest tile.
        """
        height, width = arrays[0].shape[-2:]
        while True:
            rows, columns = self.divide(height, width)
            try:
                return tiled(step, arrays, rows, columns)
            except MemoryError as error:
                self.pixels = self.largest(height, width) * 2 // 3
                if self.divide(height, width) == (rows, columns):
                    raise MemoryLimitError(
                        f"There is not enough memory for tiles of {SMALLEST} pixels and their margins; end other "
                        f"programs, or choose another model or device. ({error})"
                    ) from error


def tiled(
    step: Callable[..., tuple[Float32, ...]], arrays: Sequence[Float32], rows: list[Span], columns: list[Span]
) -> tuple[Float32, ...]:
    """Run `step` on every tile and put the kept parts of what it gives together."""
    if len(rows) == len(columns) == 1:
        return step(*arrays)
    height, width = arrays[0].shape[-2:]
    whole: list[Float32] = []
    for row, column in itertools.product(rows, columns):
        parts = step(*_cut(arrays, row, column, height))
        ratios = [Fraction(p.shape[-2], row[1] - row[0]) for p in parts]
        if not whole:
            whole = [
                np.empty((*p.shape[:-2], int(height * r), int(width * r)), np.float32)
                for p, r in zip(parts, ratios, strict=True)
            ]
        for target, source, ratio in zip(whole, parts, ratios, strict=True):
            (up, across), inside = _kept(row, column, ratio, 0), _kept(row, column, ratio, 1)
            target[..., up, across] = source[..., inside[0], inside[1]]
    return tuple(whole)


def _cut(arrays: Sequence[Float32], row: Span, column: Span, height: int) -> Iterator[Float32]:
    """What is read of each array for one tile."""
    for array in arrays:
        divisor = height // array.shape[-2]
        (top, bottom), (left, right) = ([n // divisor for n in side[:2]] for side in (row, column))
        yield np.ascontiguousarray(array[..., top:bottom, left:right])


def _kept(row: Span, column: Span, ratio: Fraction, of_tile: int) -> list[slice]:
    """Rows and columns, in the whole or in the tile, of what is kept on a grid `ratio` times as fine as the picture."""
    sides = ((side[2] - of_tile * side[0], side[3] - of_tile * side[0]) for side in (row, column))
    return [slice(int(first * ratio), int(end * ratio)) for first, end in sides]
