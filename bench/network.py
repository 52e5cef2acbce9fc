"""The network alone: milliseconds a frame by engine and number of threads, and what surrounds it.

    python bench/network.py [--models fast,best] [--engines onnxruntime,torch] [--device cuda] [--rounds 5]

For 480x270 -> 1920x1080 and 180x144 -> 720x576. "network": one step of the engine, and for a network of two directions
its backward step, wall clock and CPU time, the median and the least, each engine in processes of its own, in turn.
"restore": both with what is done around them to planes of 8 bits. "base": bicubic enlargement of all planes by
`upsample.bicubic`, the picture that the networks improve. A model that is not shipped and has no file (frvsr) is run
by torch with random weights, which take the same time.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from subpixel import engines, upsample, weights
from subpixel.frames import Frame
from subpixel.recurrent import Moment, Network

SIZES = [(480, 270), (180, 144)]


def network(model: str) -> Any:
    """The shipped network, the one in a file, or a torch module that has learnt nothing."""
    if model.endswith(".onnx") or model in {w.name for w in weights.shipped()}:
        return weights.load(model, 4)
    from subpixel.models import MODELS

    return MODELS[model][0]().fuse().eval()


def works(model: str, engine: engines.Engine, width: int, height: int) -> dict[str, Callable[[], object]]:
    """What is measured for one network and engine, by the name of its row."""
    rng = np.random.default_rng(0)
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    frame = Frame(tuple(rng.integers(16, 236, shape, dtype=np.uint8) for shape in shapes))
    net = network(model)
    if not isinstance(net, weights.Weights):
        net = net.to(engine.device)
    whole = Network(net, engine)
    row = f"{model}, {{}}, {engine}, {engine.threads} thread{'s' * (engine.threads > 1)}"
    found: dict[str, Callable[[], object]] = {}
    for part in ("step", "back") if whole.card["later"] else ("step",):
        sizes = engines.shapes(whole.card, width=width, height=height, part=part)
        feed = [rng.random(shape, dtype=np.float32) for shape in sizes.values()]
        step = engines.load(net, engine, width=width, height=height, part=part)
        found[row.format(f"network {part}")] = lambda step=step, feed=feed: step(*feed)  # type: ignore[misc]

    def restored() -> Frame:
        moment = Moment(frame, frame, frame)
        return whole.forward(moment, whole.backward([moment], 1)[0])

    return {**found, row.format("restore"): restored}


def measure(work: Callable[[], object], times: int) -> list[tuple[float, float]]:
    """(wall, CPU) milliseconds of each call after a first one that is not counted."""
    taken = []
    for _ in range(times + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        taken.append((1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)))
    return taken[1:]


def base(width: int, height: int) -> dict[str, Callable[[], object]]:
    """The bicubic picture alone."""
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    frame = Frame(tuple(np.full(shape, 90, np.uint8) for shape in shapes))
    return {"base, bicubic": lambda: upsample.bicubic(frame, 4)}


def child(model: str, name: str, threads: int, device: str, precision: str) -> None:
    """Measure one network by one engine and print the figures as JSON; engines disturb each other in one process."""
    for width, height in SIZES:
        if name == "none":
            rows = base(width, height)
        else:
            engine = engines.choose(name, device=device, precision=precision, threads=threads)
            rows = works(model, engine, width, height)
        for row, work in rows.items():
            print(json.dumps([f"{width}x{height}", row, measure(work, 10)]), flush=True)


def main() -> None:
    """Command line of this file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", default="fast")
    options.add_argument("--engines", default=",".join(engines.available()))
    options.add_argument("--device", default="cpu")
    options.add_argument("--precision", default="auto")
    options.add_argument("--rounds", type=int, default=5, help="processes per engine, each measures ten frames")
    options.add_argument("--child", nargs=3, metavar=("MODEL", "ENGINE", "THREADS"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        model, engine, threads = given.child
        child(model, engine, int(threads), given.device, given.precision)
        return
    todo = [("", "none", "1")]
    for model in given.models.split(","):
        known = engines.available() if isinstance(network(model), weights.Weights) else ["torch"]
        todo += itertools.product([model], [e for e in given.engines.split(",") if e in known], "12")
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(given.rounds):
        for words in todo:
            command = [sys.executable, __file__, "--device", given.device, "--precision", given.precision]
            command += ["--child", *words]
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
