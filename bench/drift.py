"""Whether a network drifts on a shot in which nothing moves: recurrent ones may, seconds after all seemed well.

    python bench/drift.py CLIP... [--models fast,best] [--frames 300] [--out bench/results]

The first frame of each clip is held for 300 frames, degraded by the challenge's command, restored, and scored
against itself. Drift is the PSNR of the last 50 frames less that of frames 10 to 60. It is measured twice: on what the
encoder makes of the still film (it refines the picture as time goes on, and starts afresh after 250 frames: Lanczos
shows how much of the drift is that), and on one of those degraded frames, held itself, where whatever changes is the
network's doing. Exits with 1 where a network loses more than 0.05 dB of the first or moves by more in the second.
"""

import argparse
import itertools
import sys
from pathlib import Path

import clips
from subpixel import metrics, restore, video
from subpixel.degrade import degrade_frames
from subpixel.frames import Frame

ALLOWED = 0.05  # dB
EARLY, LAST = (10, 60), 50


def still(path: Path, frames: int, half: bool) -> list[Frame]:
    """The first frame of a video or picture, again and again."""
    first = clips.validation_frame(next(iter(video.read(path, codec_info=False))), half)
    return [first.replace(pts=index) for index in range(frames)]


def drift(model: str, low: list[Frame], sharp: Frame) -> tuple[float, float]:
    """RGB PSNR in dB of the early and of the last frames."""
    truth = itertools.repeat(sharp, len(low))
    scores = [tally for _, tally in metrics.tallies(restore(low, model=model), truth, with_ssim=False)]
    early, last = (sum(part, metrics.Tally()) for part in (scores[slice(*EARLY)], scores[-LAST:]))
    return early.rgb.psnr, last.rgb.psnr


def main() -> None:
    """Command line of this file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("clips", type=Path, nargs="+")
    options.add_argument("--models", default="lanczos,fast")
    options.add_argument("--frames", type=int, default=300)
    options.add_argument("--full", action="store_true", help="the frame as it is, not half as large")
    options.add_argument("--out", type=Path, default=Path("bench/results"))
    given = options.parse_args()
    if given.frames < EARLY[1] + LAST:
        options.error(f"--frames must be at least {EARLY[1] + LAST}")
    lines = ["| clip | input | model | frames 10 to 60 | last 50 | drift |", "|---|---|---|---|---|---|"]
    worst = 0.0
    for path in given.clips:
        sharp = still(path, given.frames, not given.full)
        encoded = list(degrade_frames(sharp))
        held = [encoded[EARLY[0]].replace(pts=frame.pts) for frame in encoded]
        inputs = {"encoded": encoded, "held": held}
        for (name, low), model in itertools.product(inputs.items(), given.models.split(",")):
            early, last = drift(model, low, sharp[0])
            moved = last - early
            worst = max(worst, -moved, moved if name == "held" else 0)
            lines.append(f"| {path.stem} | {name} | {model} | {early:.3f} | {last:.3f} | {moved:+.3f} |")
            print(lines[-1], flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "drift.md").write_text("\n".join(lines) + "\n")
    sys.exit(f"A model drifted by {worst:.3f} dB, more than {ALLOWED}." if worst > ALLOWED else 0)


if __name__ == "__main__":
    main()
