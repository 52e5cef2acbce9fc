"""The film as a row of chunks that do not depend on each other, and work that runs ahead in threads.

Knows frames and networks, no files. A chunk starts at a scene cut once the one before has 48 frames,
and after 240 frames at the latest. One that starts inside a shot is restored from a fresh state with
some frames before it as warm-up and sees some after its last, as many as its model asks for: so its frames
are the same whoever restores it and whenever.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import queue
import threading
import time
from collections.abc import Callable, Container, Generator, Iterable, Iterator
from typing import TypeVar

from subpixel.errors import SubpixelError
from subpixel.frames import Frame
from subpixel.restore import is_cut

T = TypeVar("T")

SHORTEST = 48
LONGEST = 240

Restore = Callable[[Iterable[Frame], int], Iterator[Frame]]


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A frame and where it stands.

    chunk: its number; cut: a shot starts with this frame; following: the next frames of the shot, given to the
    last frame of a chunk.
    """

    frame: Frame
    chunk: int
    cut: bool
    following: tuple[Frame, ...] = ()


def places(frames: Iterable[Frame], after: int = 1) -> Iterator[Place]:
    """Divide a film into chunks while it is being read; `after` frames of the shot follow a chunk, so many are held."""
    chunk = length = 0
    source = _with_cuts(frames)
    held: collections.deque[tuple[Frame, bool]] = collections.deque()
    while True:
        held.extend(itertools.islice(source, max(1, after) + 1 - len(held)))  # one at least shows whether a cut comes
        if not held:
            return
        frame, cut = held.popleft()
        length += 1
        next_cut = not held or held[0][1]
        last = length >= LONGEST or (next_cut and length >= SHORTEST)
        shot = itertools.takewhile(lambda item: not item[1], held)
        yield Place(frame, chunk, cut, tuple(f for f, _ in itertools.islice(shot, after)) if last else ())
        if last:
            chunk, length = chunk + 1, 0


def _with_cuts(frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
    """Every frame, and whether a shot starts with it."""
    before: Frame | None = None
    for frame in frames:
        yield frame, before is None or is_cut(before, frame)
        before = frame


def restored(
    film: Iterable[Place], restore: Restore, done: Container[int] = (), *, before: int = 0
) -> Iterator[tuple[int, Frame]]:
    """(chunk, restored frame) for every frame of the film but those of the chunks already done.

    restore: called once per chunk with its frames and how many of the first only warm up; before: how many do, of a
    chunk that starts inside a shot.
    """
    recent: collections.deque[Frame] = collections.deque(maxlen=before)
    for chunk, group in itertools.groupby(film, key=lambda place: place.chunk):
        if chunk in done:
            recent.extend(place.frame for place in group)
            continue
        first = next(group)
        warm = [] if first.cut else list(recent)
        owed: collections.deque[Frame] = collections.deque()
        for frame in restore(_fed(warm, itertools.chain([first], group), recent, owed), len(warm)):
            if not owed:  # frames that the last ones were allowed to look ahead at
                break
            owed.popleft()
            yield chunk, frame
        if owed:
            raise SubpixelError(f"The network returned {len(owed)} frames too few in chunk {chunk}.")


def _fed(
    warm: list[Frame], group: Iterable[Place], recent: collections.deque[Frame], owed: collections.deque[Frame]
) -> Iterator[Frame]:
    """The frames a chunk's restoration sees; those that it must give back are noted in `owed`."""
    yield from warm
    following: tuple[Frame, ...] = ()
    for place in group:
        recent.append(place.frame)
        owed.append(place.frame)
        following = place.following
        yield place.frame
    yield from following


def timed(items: Iterable[T], spent: dict[str, float], name: str) -> Generator[T]:
    """Pass the items on and add the seconds that each took to come to spent[name]."""
    source = iter(items)
    end = object()
    while True:
        start = time.perf_counter()
        item = next(source, end)
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
        if item is end:
            return
        yield item  # type: ignore[misc]


@dataclasses.dataclass(frozen=True, slots=True)
class _End:
    """What a thread leaves behind: its error, if it had one."""

    error: BaseException | None


def ahead(items: Iterable[T], depth: int) -> Generator[T]:
    """Run an iterator in a thread of its own, at most `depth` items ahead of its reader.

    Its errors are raised here; closing this generator stops the thread after the item in work.
    """
    ready: queue.Queue[T | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: T | _End) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def run() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    break
        except BaseException as caught:
            error = caught
        put(_End(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        thread.join(timeout=10)  # a source that never answers again, such as a silent pipe, must not hold us
