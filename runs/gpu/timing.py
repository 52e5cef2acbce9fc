"""What the torch engine takes for a frame of some networks: time of a step, memory, distance from fp32.

python runs/gpu/timing.py RUN|RECIPE.toml... -o OUT.json [--sizes 480x270,960x540] [--seconds 2]

Through `engines.load`, as `subpixel upscale` does: arrays in, arrays out, transfers included. Random pictures. A CPU
runs fp32 alone, at a size that takes no time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from subpixel import engines, models
from subpixel.learn import recipe as recipes
from subpixel.learn import state

WARM_UP, LONGEST = 5, 100  # calls before timing, and most calls timed


def timed(net: Any, part: str, precision: str, size: tuple[int, int], seconds: float) -> tuple[dict[str, Any], Any]:
    """Median and fastest seconds of a call of `part`, memory it took, and what it gave."""
    width, height = size
    device = next(net.parameters()).device
    engine = engines.Engine("torch", str(device), precision)
    step = engines.load(net, engine, width=width, height=height, part=part)
    rng = np.random.default_rng(0)
    shapes = engines.shapes(models.describe(net), width=width, height=height, part=part)
    arrays = [rng.random(shape, np.float32) for shape in shapes.values()]
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(WARM_UP):
        given = step(*arrays)
    times: list[float] = []
    while len(times) < 3 or (len(times) < LONGEST and sum(times) < seconds):
        began = time.perf_counter()
        step(*arrays)
        times.append(time.perf_counter() - began)
    row = {"part": part, "precision": precision, "size": f"{width}x{height}", "calls": len(times)}
    row |= {"median_ms": round(1e3 * statistics.median(times), 3), "fastest_ms": round(1e3 * min(times), 3)}
    if cuda:
        row["peak_memory_mb"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return row, given


def rows(run: Path, sizes: list[tuple[int, int]], seconds: float, device: str) -> list[dict[str, Any]]:
    """Every part, size and precision of the network of a run, or of a recipe without training."""
    made: Any = state.trained(run) if run.is_dir() else state.build(recipes.load(run))
    net = made.fuse().eval().to(device, memory_format=torch.channels_last)
    parts = ["step", "back"] if net.later else ["step"]
    found = []
    for size in sizes:
        for part in parts:
            exact = None
            for precision in engines.PRECISIONS if device != "cpu" else ("fp32",):
                row, given = timed(net, part, precision, size, seconds)
                exact = given if exact is None else exact
                # Luma in code values of 255; what the backward pass hands on has no unit.
                row["largest_difference"] = round(255 * float(np.abs(given[0] - exact[0]).max()), 3)
                found.append({"network": run.stem, **row})
                print(json.dumps(found[-1]), flush=True)
    return found


def main() -> None:
    """Command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--sizes", default="480x270,960x540")
    parser.add_argument("--seconds", type=float, default=2, help="for each row")
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    named = given.sizes if device == "cuda" else "32x32"
    sizes = [tuple(int(n) for n in size.split("x")) for size in named.split(",")]
    about = {"device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "torch": torch.__version__}
    found = [row for run in given.runs for row in rows(run, sizes, given.seconds if device == "cuda" else 0, device)]
    given.output.write_text(json.dumps(about | {"rows": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
