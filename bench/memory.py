"""Whether memory stays flat: peak resident memory of a long film against a short one, at 1080p output.

    python bench/memory.py [--minutes 10] [--rate 24] [--model fast] [--limit 700]

Both inputs are the sample clip at 480x270, repeated: 10 seconds, and --minutes minutes, at --rate frames/s.
Exits with 1 where the long one takes over 5 % more than the short one, or more than --limit megabytes.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import speed

SAMPLE = Path(__file__).parent.parent / "samples" / "bunny-original.webm"


def make(folder: Path, seconds: float, rate: float) -> Path:
    """The sample's first 10 s at 480x270, repeated without encoding again to `seconds`."""
    short, wanted = folder / "short.mkv", folder / f"{seconds:g}.mkv"
    shrink = ["-t", "10", "-an", "-sn", "-vf", f"fps={rate:g},scale=480:270"]
    shrink += ["-c:v", "libx264", "-preset", "slow", "-crf", "21"]
    run = ["ffmpeg", "-v", "error", "-y"]
    subprocess.run([*run, "-i", str(SAMPLE), *shrink, str(short)], check=True)
    loop = ["-stream_loop", "-1", "-i", str(short), "-c", "copy", "-t", str(seconds), str(wanted)]
    subprocess.run([*run, *loop], check=True)
    return wanted


def main() -> None:
    """Command line of this file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--rate", type=float, default=24, help="frames/s; fewer take less time")
    options.add_argument("--model", default="fast")
    options.add_argument("--limit", type=float, default=700, help="megabytes")
    given = options.parse_args()
    command = [speed.SUBPIXEL, "upscale", "{low}", "-o", "{out}", "--model", given.model, "-y", "--progress", "none"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peaks = []
        for seconds in (10.0, 60 * given.minutes):
            run = speed.measure(speed.Method("", command, 0), make(folder, seconds, given.rate), folder / "out.mkv")
            peaks.append(run.megabytes)
            print(f"{seconds:6.0f} s of film: peak {run.megabytes:.0f} MB, {run.seconds:.0f} s", flush=True)
    if peaks[1] > 1.05 * peaks[0] or peaks[1] > given.limit:
        sys.exit(
            f"The long film takes {peaks[1]:.0f} MB, the short one {peaks[0]:.0f} MB; the limit is {given.limit:g} MB."
        )


if __name__ == "__main__":
    main()
