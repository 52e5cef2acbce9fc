"""What `align-fuse` gains over one frame, with and without compression, under a warp engine's limits, and how fast.

    python bench/align_fuse.py FOLDER [--frames 16] [--only uncompressed,engines,offline,compressed,time]

uncompressed  Every clip of FOLDER, halved by the mean of 2x2 samples so that detail is there, and two photographs of
              scikit-image panned by a camera; its Y is shrunk four times by a Gaussian of sigma 1.6 before every fourth
              sample (the protocol "BD" of Vid4, sampled in the middle of 4x4 samples), by area and by bicubic; rounded.
              Y PSNR of all frames but two at each end, 8 pixels of border left out; tOF as `subpixel.metrics.tof`.
engines       The same by area, warped under the limits of several engines.
offline       A panned photograph, noise sigma 2, against `subpixel.multiframe.fuse` of the same 14 frames, which knows
              all of them at once: the share of its gain over Lanczos that the chain reaches, and of its time a picture.
compressed    The clips as they are and halved, degraded by the challenge's command, against other models: RGB PSNR.
time          CPU time for a 4:2:0 frame, 180x144 to 720x576, on one thread: the median of frames, and the fastest.
picture       No table: what docs/camera.md shows, written to --picture.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import skimage.data

import clips
from subpixel import metrics, upsample, video
from subpixel.frames import Frame
from subpixel.multiframe.align_fuse import AlignFuse
from subpixel.multiframe.decimation import Decimation
from subpixel.multiframe.fuse import fuse
from subpixel.multiframe.warp_engine import WarpEngine, parse
from subpixel.restore import restore

DECIMATIONS: tuple[str | float, ...] = (1.6, "area", "bicubic")
ENGINES = ("grid=16,precision=1/256", "grid=16,precision=1/32", "default", "grid=64", "grid=32,kernel=linear")
PHOTOGRAPHS = ("astronaut", "coffee")


def gray(plane: np.ndarray) -> Frame:
    """A frame of luma alone, rounded to 8 bits."""
    return Frame((np.clip(np.rint(plane), 0, 255).astype(np.uint8),), "gray")


def panned(name: str, frames: int, size: tuple[int, int] = (480, 352)) -> list[Frame]:
    """A photograph seen by a camera that moves by fractions of a small pixel and turns a little."""
    photo = cv2.cvtColor(getattr(skimage.data, name)(), cv2.COLOR_RGB2GRAY).astype(np.float32)
    views = (np.array([[1, 0.002 * t, 6 + 1.3 * t], [-0.002 * t, 1, 20 + 0.9 * t]], np.float32) for t in range(frames))
    how = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    return [gray(cv2.warpAffine(photo, view, size, flags=how)) for view in views]


def sharp(folder: Path, frames: int) -> Iterator[tuple[str, list[Frame]]]:
    """(name, frames of luma) of every clip and photograph."""
    for source in films(folder):
        halved = (clips.validation_frame(frame, True) for frame in clips.middle(source, frames))
        yield source.stem, [gray(frame.planes[0]) for frame in halved]
    for name in PHOTOGRAPHS:
        yield f"{name}, panned", panned(name, frames)


def films(folder: Path) -> list[Path]:
    """The videos of a folder."""
    return sorted(p for p in folder.iterdir() if p.suffix in {".mp4", ".webm", ".mkv", ".mov"})


def shrunk(frames: list[Frame], decimation: Decimation) -> list[Frame]:
    """Every frame as a small one, rounded."""
    return [gray(decimation.shrink(frame.planes[0].astype(np.float32))) for frame in frames]


def fused(
    low: list[Frame], kernel: str | float, engine: WarpEngine | None = None, *, alone: bool = False
) -> list[Frame]:
    """The frames by align-fuse, or each of them for itself."""
    model, out = AlignFuse(4, kernel=kernel, warp_engine=engine), []
    for frame in low:
        if alone:
            model.forget()
        out.append(model(frame))
    return out


def decibels(found: list[Frame], truth: list[Frame]) -> float:
    """Y PSNR without two frames at each end and eight pixels at each side."""
    inner = np.s_[8:-8, 8:-8]
    pairs = list(zip(found, truth, strict=True))[2:-2]
    errors = (metrics.SquaredError.of(a.planes[0][inner], b.planes[0][inner]) for a, b in pairs)
    return sum(errors, metrics.SquaredError()).psnr


def uncompressed(folder: Path, frames: int) -> None:
    """Table of PSNR and tOF by decimation."""
    print("| decimation | clip | bicubic | Lanczos | one frame | align-fuse | its gain | tOF bicubic | align-fuse |")
    print("|---" * 9 + "|")
    for kernel in DECIMATIONS:
        name = f"Gaussian {kernel}" if isinstance(kernel, float) else kernel
        rows = [_compared(truth, kernel, name, clip) for clip, truth in sharp(folder, frames)]
        _row(name, "mean of the clips", np.mean(rows[: -len(PHOTOGRAPHS)], axis=0))
        _row(name, "mean of all", np.mean(rows, axis=0))


def _compared(truth: list[Frame], kernel: str | float, name: str, clip: str) -> list[float]:
    low = shrunk(truth, Decimation(4, kernel))
    plain, best = [upsample.bicubic(f, 4) for f in low], fused(low, kernel)
    others = [[upsample.lanczos(f, 4) for f in low], fused(low, kernel, alone=True)]
    found = [decibels(frames, truth) for frames in (plain, *others, best)]
    row = [*found, metrics.tof(plain, truth), metrics.tof(best, truth)]
    _row(name, clip, np.array(row))
    return row


def _row(name: str, clip: str, row: np.ndarray) -> None:
    plain, windowed, one, best, before, after = row
    cells = f"{plain:.2f} | {windowed:.2f} | {one:.2f} | {best:.2f} | {best - plain:+.2f}"
    print(f"| {name} | {clip} | {cells} | {before:.3f} | {after:.3f} ({after / before:.2f}) |", flush=True)


def engines(folder: Path, frames: int) -> None:
    """Table of PSNR under the limits of warp engines."""
    print("| engine | mean Y PSNR | panned photographs alone |\n|---|---|---|")
    data = [(truth, shrunk(truth, Decimation(4, "area"))) for _, truth in sharp(folder, frames)]
    for text in ("none", *ENGINES):
        engine = None if text == "none" else parse(text)
        found = [decibels(fused(low, "area", engine), truth) for truth, low in data]
        print(f"| {engine or text} | {np.mean(found):.2f} | {np.mean(found[-len(PHOTOGRAPHS) :]):.2f} |", flush=True)


def offline(frames: int = 14, sigma: float = 2.0) -> None:
    """Table of the chain's share of what all frames at once give."""
    print("| photograph | scale | Lanczos | one frame | chain | chain, default engine | offline MAP | share | time |")
    print("|---" * 9 + "|")
    rng = np.random.default_rng(0)
    for name, scale in ((name, scale) for name in PHOTOGRAPHS for scale in (2, 4)):
        truth = panned(name, frames)
        clean = shrunk(truth, Decimation(scale, "area"))
        low = [gray(frame.planes[0] + rng.normal(0, sigma, frame.planes[0].shape)) for frame in clean]
        start = time.process_time()
        whole = fuse([frame.planes[0] for frame in low], scale=scale, reference=frames - 1).picture
        offline_time = time.process_time() - start
        model, mesh = AlignFuse(scale, kernel="area"), AlignFuse(scale, kernel="area", warp_engine=parse("default"))
        start = time.process_time()
        chain = [model(frame) for frame in low][-1]
        chain_time = time.process_time() - start
        model.forget()
        made = (upsample.lanczos(low[-1], scale), model(low[-1]), chain, [mesh(f) for f in low][-1], gray(whole * 255))
        found = [decibels([frame] * 5, [truth[-1]] * 5) for frame in made]
        share = (found[2] - found[0]) / (found[4] - found[0])
        cells = " | ".join(f"{value:.2f}" for value in found)
        print(f"| {name} | {scale} | {cells} | {share:.0%} | {chain_time / frames / offline_time:.1%} |", flush=True)


def compressed(folder: Path, frames: int, models: list[str]) -> None:
    """Table of RGB PSNR after the challenge's command, pooled over all samples."""
    total = dict.fromkeys(models, metrics.SquaredError())
    print("| clip | " + " | ".join(models) + " |\n" + "|---" * (len(models) + 1) + "|")
    with tempfile.TemporaryDirectory() as work:
        for source, half in ((source, half) for source in films(folder) for half in (False, True)):
            name = f"{source.stem} {'half' if half else 'full'}"
            picked = (clips.validation_frame(f, half) for f in clips.middle(source, frames))
            pair = clips.make_pair(name, picked, video.probe(source).video.rate or Fraction(25), Path(work))
            cells = []
            for model in models:
                low = islice(video.read(pair.low), frames)
                found = metrics.tallies(restore(low, model=model), video.read(pair.reference), with_ssim=False)
                one = sum((tally.rgb for _, tally in found), metrics.SquaredError())
                total[model] += one
                cells.append(f"{one.psnr:.2f}")
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    base = total[models[0]].psnr
    print("| pooled | " + " | ".join(f"{t.psnr:.3f} ({t.psnr - base:+.3f})" for t in total.values()) + " |")


def clock() -> None:
    """CPU time of a frame."""
    print("| back-projections | 4:2:0, median (fastest) | luma alone | default warp engine |\n|---|---|---|---|")
    truth = panned("astronaut", 24, (720, 576))
    luma = [cv2.resize(frame.planes[0], (180, 144), interpolation=cv2.INTER_AREA) for frame in truth]
    chroma = [cv2.resize(y, (90, 72), interpolation=cv2.INTER_AREA) for y in luma]
    film = [Frame((y, c, c)) for y, c in zip(luma, chroma, strict=True)]
    for count in (1, 2, 3, 4):
        plain, mesh = (AlignFuse(4, back_projections=count, warp_engine=e) for e in (None, parse("default")))
        cells = [_clocked(plain, film), _clocked(plain, [Frame((y,), "gray") for y in luma]), _clocked(mesh, film)]
        print(f"| {count} | " + " | ".join(cells) + " |", flush=True)


def _clocked(model: AlignFuse, film: list[Frame]) -> str:
    model.forget()
    spent = []
    for frame in film:
        start = time.process_time()
        model(frame)
        spent.append(1e3 * (time.process_time() - start))
    return f"{np.median(spent[4:]):.1f} ms ({min(spent[4:]):.1f})"


def picture(path: Path, frames: int = 14) -> None:
    """The end of a panned photograph: bicubic, one frame, align-fuse, the truth, side by side and twice as large."""
    truth = panned("astronaut", frames)
    low = shrunk(truth, Decimation(4, "area"))
    last = [upsample.bicubic(low[-1], 4), fused(low[-1:], "area")[0], fused(low, "area")[-1], truth[-1]]
    parts = [frame.planes[0][40:200, 150:310] for frame in last]
    shown = np.hstack([cv2.resize(part, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST) for part in parts])
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), shown)


def main() -> None:
    """Command line of this file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--frames", type=int, default=16)
    options.add_argument("--models", default="lanczos,bicubic,edge,align-fuse,fast")
    options.add_argument("--picture", type=Path, default=Path("docs/camera/panned.png"))
    options.add_argument("--only", default="uncompressed,engines,offline,compressed,time")
    given = options.parse_args()
    cv2.setNumThreads(1)
    wanted = given.only.split(",")
    tables = {
        "uncompressed": lambda: uncompressed(given.folder, given.frames),
        "engines": lambda: engines(given.folder, given.frames),
        "offline": offline,
        "compressed": lambda: compressed(given.folder, given.frames, given.models.split(",")),
        "time": clock,
        "picture": lambda: picture(given.picture),
    }
    for name in wanted:
        print(f"\n{name}\n")
        tables[name]()


if __name__ == "__main__":
    main()
