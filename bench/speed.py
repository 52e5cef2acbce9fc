"""How fast: one table from one run, subpixel and its peers in turn on the same frames.

    python bench/speed.py [--source VIDEO] [--peers FOLDER] [--frames 96] [--rounds 3] [--out bench/results]

For 480x270 -> 1920x1080 and 180x144 -> 720x576. The reference is VIDEO (default: the sample clip's original) brought to
the large size, the input its degraded version. Each method restores the file in a process of its own, so that seconds
hold everything: start-up, decoding, network, encoding by x264 crf 16 veryfast. The floor is the ffmpeg program with
nothing but Lanczos and that encoder. Slow peers do --slow-frames frames only; frames/s says how each fares.
Rounds are interleaved, so that a disturbance of the machine hits all methods; the table holds medians.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import clips
import peers
from subpixel import engines, metrics, video
from subpixel.frames import Frame
from subpixel.resample import resize_frame

SIZES = [(1920, 1080), (720, 576)]
SUBPIXEL = str(Path(sysconfig.get_path("scripts")) / "subpixel")
FLOOR = "ffmpeg lanczos"


@dataclasses.dataclass(frozen=True)
class Method:
    """One row: a command that restores `low` to `out`, and on how many frames."""

    name: str
    command: list[str]
    frames: int


@dataclasses.dataclass(frozen=True)
class Run:
    """One run: wall-clock and CPU seconds, peak resident megabytes, what subpixel says of its stages."""

    seconds: float
    cpu: float
    megabytes: float
    stages: dict[str, float]


def references(source: Path, width: int, height: int, frames: int) -> Iterator[Frame]:
    """Frames of the source, cropped to the aspect wanted and brought to width x height."""
    for frame in islice(clips.middle(source, frames), frames):
        wide = min(frame.width, round(frame.height * width / height)) // 16 * 16
        tall = min(frame.height, round(frame.width * height / width)) // 16 * 16
        yield resize_frame(clips.crop(frame, wide, tall), width, height)


def methods(pair: clips.Pair, given: argparse.Namespace) -> list[Method]:
    """All rows for one size; "{low}" and "{out}" stand for the files."""
    rows = [Method(FLOOR, floor(), pair.frames)]
    for model in given.models.split(","):
        names = engines.available() if model not in ("bicubic", "lanczos", "edge") else ["auto"]
        for engine in names:
            command = [SUBPIXEL, "upscale", "{low}", "-o", "{out}", "--model", model, "--engine", engine]
            label = f"subpixel {model}" + ("" if engine == "auto" else f", {engine}")
            rows.append(Method(label, [*command, "-y", "--json", "--progress", "none"], pair.frames))
    if given.peers:
        for name in given.peer_names.split(","):
            frames = min(pair.frames, given.slow_frames) if name in peers.SLOW else pair.frames
            here = str(Path(peers.__file__))
            command = [sys.executable, here, str(given.peers), name, "{low}", "{out}", "--frames", str(frames)]
            rows.append(Method(name, command, frames))
    return rows


def floor() -> list[str]:
    """The least that any such tool must do: decode, enlarge by Lanczos, encode."""
    scale = ["-vf", "scale=4*iw:4*ih:flags=lanczos"]
    return [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-i",
        "{low}",
        *scale,
        *["-c:v", "libx264", "-crf", "16", "-preset", "veryfast"],
        "{out}",
    ]


# A process counts the memory of the one it was forked from as its own peak, so a small one stands between.
LAUNCH = """
import json, os, sys, time
start = time.perf_counter()
_, status, usage = os.wait4(os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ), 0)
seconds = time.perf_counter() - start
print(json.dumps([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]), file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measure(method: Method, low: Path, out: Path) -> Run:
    """Run the command once."""
    command = [part.format(low=low, out=out) for part in method.command]
    done = subprocess.run([sys.executable, "-c", LAUNCH, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    seconds, cpu, megabytes = json.loads(done.stderr.splitlines()[-1])
    stages = json.loads(done.stdout)["outputs"][0]["stages"] if done.stdout.startswith("{") else {}
    return Run(seconds, cpu, megabytes, stages)


def quality(pair: clips.Pair, out: Path, frames: int, work: Path) -> float:
    """RGB PSNR of a restored file on the frames it has."""
    reference = pair.reference
    if frames < pair.frames:
        reference = work / f"{pair.name}.{frames}.mkv"
        clips.write(islice(video.read(pair.reference), frames), reference, None)
    return metrics.score(out, reference, with_ssim=False).pooled.total.rgb.psnr


def rows(pair: clips.Pair, given: argparse.Namespace, work: Path) -> list[dict[str, object]]:
    """All methods on one pair, interleaved over the rounds."""
    runs: dict[str, list[Run]] = {}
    table = methods(pair, given)
    for number in range(given.rounds):
        for method in table:
            out = work / f"{method.name}.mkv"
            runs.setdefault(method.name, []).append(measure(method, pair.low, out))
            print(f"round {number + 1}, {pair.name}, {method.name}: {runs[method.name][-1].seconds:.1f} s", flush=True)
    return [row(pair, method, runs[method.name], work) for method in table]


def row(pair: clips.Pair, method: Method, runs: list[Run], work: Path) -> dict[str, object]:
    """Medians over the rounds, and the quality of the last one."""
    seconds, cpu, memory = (statistics.median(getattr(run, f) for run in runs) for f in ("seconds", "cpu", "megabytes"))
    return {
        "size": pair.name,
        "method": method.name,
        "frames": method.frames,
        "seconds": round(seconds, 2),
        "fps": round(method.frames / seconds, 2),
        "cpu_ms": round(1000 * cpu / method.frames, 1),
        "megabytes": round(memory),
        "psnr": round(quality(pair, work / f"{method.name}.mkv", method.frames, work), 3),
        "stages_ms": {name: round(1000 * s / method.frames, 1) for name, s in runs[-1].stages.items()},
    }


def markdown(table: list[dict[str, object]], machine: str) -> str:
    """The table, times relative to the floor, and what subpixel's stages were busy with."""
    keys = ["size", "method", "frames", "seconds", "fps", "x floor", "cpu_ms", "megabytes", "psnr", "stages_ms"]
    titles = "input -> output, method, frames, s, frames/s, x floor, CPU ms/frame, peak MB, RGB PSNR, ms/frame by stage"
    lines = [machine, "", "| " + titles.replace(", ", " | ") + " |", "|---" * len(keys) + "|"]
    base = {entry["size"]: float(str(entry["fps"])) for entry in table if entry["method"] == FLOOR}
    for entry in table:
        stages = entry["stages_ms"]
        assert isinstance(stages, dict)
        shown = entry | {
            "x floor": f"{base[entry['size']] / float(str(entry['fps'])):.2f}",
            "stages_ms": ", ".join(f"{name} {value}" for name, value in stages.items()),
        }
        lines.append("| " + " | ".join(str(shown[key]) for key in keys) + " |")
    return "\n".join(lines) + "\n"


def arguments() -> argparse.Namespace:
    """The command line, parsed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sample = Path(__file__).parent.parent / "samples" / "bunny-original.webm"
    options.add_argument("--source", type=Path, default=sample)
    options.add_argument("--peers", type=Path, help="folder of their published files, see bench/peers.py")
    options.add_argument("--peer-names", default=",".join(peers.NAMES))
    options.add_argument("--models", default="fast,bicubic,lanczos")
    options.add_argument("--frames", type=int, default=96)
    options.add_argument("--slow-frames", type=int, default=4)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--out", type=Path, default=Path("bench/results"))
    return options.parse_args()


def main() -> None:
    """Command line of this file."""
    given = arguments()
    table: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for width, height in SIZES:
            name = f"{width // 4}x{height // 4} -> {width}x{height}"
            frames = references(given.source, width, height, given.frames)
            pair = clips.make_pair(name, frames, video.probe(given.source).video.rate, work)
            table += rows(pair, given, work)
    machine = (
        f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, {given.rounds} rounds"
    )
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "speed.json").write_text(json.dumps({"machine": machine, "rows": table}, indent=1))
    (given.out / "speed.md").write_text(markdown(table, machine))
    print("\n" + markdown(table, machine))


if __name__ == "__main__":
    main()
