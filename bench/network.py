"""The network alone: milliseconds a frame by engine and number of threads, and what surrounds it.

    python bench/network.py [--model fast] [--rounds 5]

For 480x270 -> 1920x1080 and 180x144 -> 720x576. "network": one step of the engine, wall clock and CPU time, the median
and the least, each engine in processes of its own, in turn. "restore": the same with what is done around it to planes
of 8 bits. "base": bicubic enlargement of all planes by `upsample.bicubic`, the picture that the network improves.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from subpixel import engines, upsample, weights
from subpixel.frames import Frame
from subpixel.restore import Network

SIZES = [(480, 270), (180, 144)]


def inputs(network: weights.Weights, width: int, height: int) -> list[engines.Float32]:
    """Noise in the shapes of one step."""
    rng, half = np.random.default_rng(0), (height // 2, width // 2)
    channels = int(network.card["options"]["channels"])
    shapes = [(1, 3, height, width), (1, 2, *half), (1, 1, *half), (1, channels, *half)]
    return [rng.random(shape, dtype=np.float32) for shape in shapes]


def works(
    network: weights.Weights, engine: str, threads: int, width: int, height: int
) -> dict[str, Callable[[], object]]:
    """What is measured for one engine, by the name of its row."""
    feed = inputs(network, width, height)
    rng = np.random.default_rng(0)
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    frame = Frame(tuple(rng.integers(16, 236, shape, dtype=np.uint8) for shape in shapes))
    if engine == "none":
        return {"base, bicubic": lambda: upsample.bicubic(frame, network.scale)}
    step = engines.load(network, engine, width=width, height=height, threads=threads)
    whole = Network(network, engine, threads)
    count = "1 thread" if threads == 1 else f"{threads} threads"
    return {
        f"network, {engine}, {count}": lambda: step(*feed),
        f"restore, {engine}, {count}": lambda: whole(frame, frame, frame),
    }


def measure(work: Callable[[], object], times: int) -> list[tuple[float, float]]:
    """(wall, CPU) milliseconds of each call after a first one that is not counted."""
    taken = []
    for _ in range(times + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        taken.append((1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)))
    return taken[1:]


def child(model: str, engine: str, threads: int) -> None:
    """Measure one engine and print its figures as JSON; engines disturb each other within one process."""
    network = weights.load(model, 4)
    for width, height in SIZES:
        for name, work in works(network, engine, threads, width, height).items():
            print(json.dumps([f"{width}x{height}", name, measure(work, 10)]), flush=True)


def main() -> None:
    """Command line of this file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", default="fast")
    options.add_argument("--rounds", type=int, default=5, help="processes per engine, each measures ten frames")
    options.add_argument("--child", nargs=2, metavar=("ENGINE", "THREADS"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        child(given.model, given.child[0], int(given.child[1]))
        return
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(given.rounds):
        for engine, threads in [*itertools.product(engines.available(), "12"), ("none", "1")]:
            command = [sys.executable, __file__, "--model", given.model, "--child", engine, threads]
            for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
                size, name, pairs = json.loads(line)
                taken.setdefault((size, name), []).extend(pairs)
    print("| input | what | ms, median | ms, least | core-ms, median | core-ms, least |\n|---|---|---|---|---|---|")
    for (size, name), pairs in sorted(taken.items(), reverse=True):
        walls, cpus = zip(*pairs, strict=True)
        figures = (statistics.median(walls), min(walls), statistics.median(cpus), min(cpus))
        print(f"| {size} | {name} | " + " | ".join(f"{value:.1f}" for value in figures) + " |")


if __name__ == "__main__":
    main()
