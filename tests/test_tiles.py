"""Pictures in tiles: geometry, grids, and memory that runs out."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subpixel import tiles
from subpixel.errors import MemoryLimitError
from subpixel.tiles import Float32, Tiler, spans


@given(st.integers(1, 700), st.integers(1, 12), st.integers(0, 90), st.sampled_from([2, 8, 16]))
def test_parts_cover_a_side_once_and_see_their_margins(length: int, count: int, halo: int, align: int) -> None:
    found = spans(length, count, halo, align)
    assert [found[0][2], found[-1][3]] == [0, length]
    assert all(a[3] == b[2] for a, b in pairwise(found))
    for first, end, top, bottom in found:
        assert first <= max(0, top - halo)
        assert end >= min(length, bottom + halo)
        assert first % align == 0
        assert end <= length
    if align == 2 and length % 2 == 0:
        assert len({end - first for first, end, *_ in found}) == 1, "one compiled network serves all"


def blurred(y: Float32, half: Float32) -> tuple[Float32, Float32]:
    """Something that sees 6 pixels far: a box of 13 rows and columns of y, enlarged twice, and twice the other one."""
    padded = np.pad(y, [(0, 0), (0, 0), (6, 6), (6, 6)], mode="edge").astype(np.float64)
    sums = np.lib.stride_tricks.sliding_window_view(padded, (13, 13), axis=(-2, -1)).sum((-1, -2))
    return np.repeat(np.repeat(sums, 2, -1), 2, -2).astype(np.float32), half * 2


@pytest.mark.parametrize(("height", "width"), [(200, 70), (70, 200), (130, 134), (64, 64)])
def test_tiles_give_what_the_whole_gives_on_every_grid(height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.random((1, 2, height, width), np.float32), rng.random((1, 5, height // 2, width // 2), np.float32)]
    sizes: list[tuple[int, ...]] = []

    def step(*parts: Float32) -> tuple[Float32, ...]:
        sizes.append(parts[0].shape[2:])
        return blurred(*parts)

    whole = blurred(*arrays)
    for one, other in zip(whole, Tiler(32, halo=6)(step, arrays), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(sizes) > 3
    assert max(map(max, sizes)) <= 32 + 12
    assert len(set(sizes)) == 1


def test_a_picture_that_fits_is_done_whole() -> None:
    tiler = Tiler(halo=14)
    assert tiler.divide(544, 960) == ([(0, 544, 0, 544)], [(0, 960, 0, 960)])
    rows, columns = tiler.divide(1088, 1920)
    assert len(rows) * len(columns) > 3
    assert tiler.largest(1088, 1920) <= tiles.PIXELS


def test_memory_that_runs_out_makes_tiles_smaller() -> None:
    y = np.random.default_rng(0).random((1, 1, 200, 260), np.float32)
    done: list[int] = []

    def greedy(*parts: Float32) -> tuple[Float32, ...]:
        if parts[0].size > 9000:
            raise MemoryError("no room")
        done.append(parts[0].size)
        return blurred(*parts)

    tiler = Tiler(halo=6)
    half = y[..., ::2, ::2].copy()
    for _ in range(2):
        for one, other in zip(blurred(y, half), tiler(greedy, [y, half]), strict=True):
            np.testing.assert_array_equal(one, other)
    assert max(done) <= 9000
    assert len(done) == 2 * len(done[: len(done) // 2]), "what was learnt is kept"


def test_memory_that_is_not_there_is_a_sentence() -> None:
    def never(*_: Float32) -> tuple[Float32, ...]:
        raise MemoryError("4 kB asked for")

    with pytest.raises(MemoryLimitError, match=r"not enough memory for tiles of 32 pixels .*another model .*4 kB"):
        Tiler(halo=6)(never, [np.zeros((1, 1, 500, 400), np.float32)])
