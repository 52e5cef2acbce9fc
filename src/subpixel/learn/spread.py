"""The same function on many things: in this process, in several, or on a Ray cluster."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import torch

from subpixel.errors import MemoryLimitError, UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    function: Callable[[Item], Result], items: Sequence[Item], *, jobs: int = 1, ray: bool = False
) -> Iterator[tuple[Item, Result]]:
    """(item, function(item)) for every item, as they are done; function and items must be picklable.

    jobs: processes; 1 for this one. ray: on the cluster that RAY_ADDRESS names, or on one of `jobs` processes started
    here. The first error ends it and is raised. Raises MemoryLimitError where a process was killed, UsageError where
    Ray is not installed.
    """
    if ray:
        yield from _on_ray(function, items, jobs)
    elif jobs == 1 or not items:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # more would wait for each other by spinning
        try:
            for item in items:
                yield item, function(item)
        finally:
            torch.set_num_threads(threads)
    else:
        with ProcessPoolExecutor(min(jobs, len(items)), _context(), _begin) as pool:
            waiting = {pool.submit(function, item): item for item in items}
            try:
                for done in as_completed(waiting):
                    yield waiting[done], done.result()
            except BrokenProcessPool as error:
                raise MemoryLimitError(
                    "A process was killed, most likely for want of memory; use fewer with --jobs."
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)


def _context() -> Any:
    """How processes start: not as forks of this one, whose threads of codecs and torch they would lose, but as forks of
    one that has only loaded what they need; on Windows, afresh."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["subpixel.learn.clips"])
    return context


def _begin() -> None:
    """One thread for each process, which ends with its parent even if that was killed."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _on_ray(function: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Iterator[tuple[Item, Result]]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
    try:
        import ray
    except ImportError as error:
        raise UsageError("Ray is not installed; pip install 'subpixel[cluster]', or leave --ray out.") from error
    if not ray.is_initialized():
        own = None if "RAY_ADDRESS" in os.environ else jobs
        ray.init(num_cpus=own, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    remote: Any = ray.remote(_call)
    waiting: dict[Any, Item] = {remote.remote(function, item): item for item in items}
    try:
        while waiting:
            done, _ = ray.wait(list(waiting))
            yield waiting.pop(done[0]), ray.get(done[0])
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    finally:
        for task in waiting:
            ray.cancel(task)


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    """What Ray runs: it takes plain functions only."""
    torch.set_num_threads(1)
    return function(item)
