"""How long `subpixel --help` takes, and which imports take it.

python bench/startup.py [--rounds 11] [--limit 0.3]
"""

import argparse
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path


def seconds(command: list[str]) -> float:
    """Wall-clock seconds of one run."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def slowest_imports(count: int = 8) -> list[tuple[int, str]]:
    """(microseconds, module) of the imports that cost most by themselves."""
    code = "import sys; sys.argv = ['subpixel', '--help']; from subpixel.cli import main; main()"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=False)
    rows = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if "|" in line]
    costs = [(int(own), module.strip()) for own, _, module in rows if own.strip().isdigit()]
    return sorted(costs, reverse=True)[:count]


def main() -> None:
    """Print the table; exit 1 where the median is over the limit."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=11)
    options.add_argument("--limit", type=float, default=0.3, help="seconds")
    given = options.parse_args()
    command = [str(Path(sysconfig.get_path("scripts")) / "subpixel"), "--help"]
    bare = [sys.executable, "-c", "pass"]
    times = [(seconds(command), seconds(bare)) for _ in range(given.rounds)]
    median, python = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"subpixel --help: median {median:.3f} s of {given.rounds} rounds, of which Python itself {python:.3f} s")
    for cost, module in slowest_imports():
        print(f"{cost / 1000:8.1f} ms  {module}")
    if median > given.limit:
        raise SystemExit(f"{median:.3f} s is over the limit of {given.limit} s")


if __name__ == "__main__":
    main()
