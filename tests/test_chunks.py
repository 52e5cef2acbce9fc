import itertools
import threading
import time
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subpixel import chunks
from subpixel.chunks import LONGEST, SHORTEST, Place, ahead, places, restored, timed
from subpixel.errors import SubpixelError

lengths_of_shots = st.lists(st.integers(1, 400), min_size=1, max_size=6)


def film_of(shots: list[int]) -> list[Any]:
    """Stand-ins for frames that know their shot and number."""
    return [SimpleNamespace(shot=s, number=n) for n, s in enumerate(s for s, n in enumerate(shots) for _ in range(n))]


@pytest.fixture(autouse=True)
def cuts_between_shots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "is_cut", lambda a, b: a.shot != b.shot)


def divided(shots: list[int], after: int = 1) -> list[list[Place]]:
    film = places(film_of(shots), after)
    return [list(group) for _, group in itertools.groupby(film, key=lambda place: place.chunk)]


@given(lengths_of_shots)
def test_chunks_hold_every_frame_once_and_end_at_cuts_if_they_can(shots: list[int]) -> None:
    found = divided(shots)
    assert [place.frame.number for chunk in found for place in chunk] == list(range(sum(shots)))
    assert [chunk[0].chunk for chunk in found] == list(range(len(found)))
    for chunk, following in itertools.pairwise(found):
        assert len(chunk) == LONGEST or (len(chunk) >= SHORTEST and following[0].cut)
        # No cut was passed over that could have ended it.
        assert not any(place.cut for place in chunk[SHORTEST:])
    assert len(found[-1]) <= LONGEST


@given(lengths_of_shots, st.integers(0, 12))
def test_only_the_last_frame_of_a_chunk_sees_what_follows_of_its_shot(shots: list[int], after: int) -> None:
    film = film_of(shots)
    assert [len(chunk) for chunk in divided(shots, after)] == [len(chunk) for chunk in divided(shots)]
    for chunk in divided(shots, after):
        end = chunk[-1].frame.number + 1
        rest = film[end : end + after]
        assert list(chunk[-1].following) == [frame for frame in rest if frame.shot == chunk[-1].frame.shot]
        assert all(place.following == () for place in chunk[:-1])


@pytest.mark.parametrize("after", [0, 1, 9])
def test_a_film_is_read_no_farther_than_needed(after: int) -> None:
    taken: list[Any] = []
    film = places((taken.append(f) or f for f in film_of([300])), after)  # type: ignore[func-returns-value]
    for number in range(200):
        next(film)
        assert len(taken) == number + 1 + max(1, after)


def test_no_frames_no_chunks() -> None:
    assert list(places([])) == []


class Recorder:
    """Gives back what it gets, one frame late as a network that looks ahead, and remembers it."""

    def __init__(self) -> None:
        self.seen: list[tuple[list[int], int]] = []

    def __call__(self, frames: Iterable[Any], warmup: int) -> Iterator[Any]:
        numbers: list[int] = []
        self.seen.append((numbers, warmup))
        waiting = None
        for index, frame in enumerate(frames):
            numbers.append(frame.number)
            if waiting is not None and index > warmup:
                yield waiting
            waiting = frame
        if waiting is not None:
            yield waiting


def test_a_chunk_inside_a_shot_is_warmed_up_and_looks_ahead() -> None:
    network = Recorder()
    found = list(restored(places(film_of([300, 60]), 5), network, before=8))
    assert [frame.number for _, frame in found] == [*range(360)]
    assert [chunk for chunk, _ in found] == [0] * 240 + [1] * 60 + [2] * 60
    assert network.seen[0][0][:241] == [*range(241)]
    assert network.seen[1:] == [([*range(232, 300)], 8), ([*range(300, 360)], 0)]


@given(lengths_of_shots, st.sets(st.integers(0, 8)))
def test_a_chunk_does_not_depend_on_which_others_are_done(shots: list[int], done: set[int]) -> None:
    film = list(places(film_of(shots)))
    network, again = Recorder(), Recorder()
    everything = [(chunk, frame.number) for chunk, frame in restored(film, network)]
    missing = [(chunk, frame.number) for chunk, frame in restored(film, again, done)]
    assert everything == [(place.chunk, place.frame.number) for place in film]
    assert missing == [item for item in everything if item[0] not in done]
    assert again.seen == [seen for number, seen in enumerate(network.seen) if number not in done]


def test_a_network_that_swallows_frames_is_found_out() -> None:
    def lossy(frames: Iterable[Any], warmup: int) -> Iterator[Any]:
        return itertools.islice(iter(list(frames)), warmup, 50)

    with pytest.raises(SubpixelError, match="returned 10 frames too few in chunk 0"):
        list(restored(places(film_of([60])), lossy))


def test_running_ahead_keeps_the_order_and_the_bound() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    items = ahead(source(), 3)
    assert next(items) == 0
    time.sleep(0.3)
    assert made == [0, 1, 2, 3, 4]  # three wait, one is in hand
    assert list(items) == [*range(1, 20)]


def test_errors_of_the_thread_arrive_after_the_items_before_them() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    items = ahead(source(), 4)
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_closing_stops_the_thread() -> None:
    before = threading.active_count()
    items = ahead(itertools.count(), 2)
    next(items)
    assert threading.active_count() == before + 1
    items.close()
    assert threading.active_count() == before


def test_time_is_counted_per_stage() -> None:
    spent: dict[str, float] = {}

    def slow() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.05)
            yield number

    assert list(timed(slow(), spent, "slow")) == [0, 1, 2]
    assert 0.15 <= spent["slow"] < 2
