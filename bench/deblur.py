"""Deblurring of hand-held films against Fourier burst accumulation as it was published, and simpler ways.

    python bench/deblur.py [PICTURE...] [--seeds 2] [--targets 0,3,7,11] [--local]
    python bench/deblur.py --draw docs/deblur

PICTURE: photographs of at least 600 x 470 pixels, or scipy/misc/face.dat of scipy's wheels before 1.10 (a raccoon);
default: astronaut and coffee of scikit-image, mirrored at their edges. 12 frames of 512 x 384 RGB; each exposure is a
random walk of |N(0, 9)| pixels, noise 2 / 255, 8 bits; a window of 3 frames on either side. With --local the camera
turns too, and a disc passes before the scene. PSNR in decibels of RGB without a border of 16 pixels, as it is and after
a global alignment to subpixels with the truth (a blur has no place), means over targets, seeds and pictures. CPU
seconds a frame, one thread. Prints markdown.

"FBA as published": Delbracio and Sapiro's weights (p 11) on tiles of 128 pixels, frames aligned by TV-L1 flow at a
third of the size with a check there and back (1 pixel), as Anger and Meinhardt-Llopis's implementation does (IPOL 7,
2017); written anew from the papers, with scikit-image's flow. --fba PROGRAM runs theirs in its place.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np

import figures
from pixelshift import scene
from subpixel.multiframe.deblur import helped
from subpixel.multiframe.exposures import Scene, Thing, disturbed, shaken
from subpixel.register import register, shift_picture

cv2.setNumThreads(1)
Array = Any
Method = Callable[[list[Array], int], Array]

SIZE = (384, 512)
WINDOW = 3
BORDER = 16


def psnr(picture: Array, truth: Array, where: Array | None = None) -> float:
    squares = np.square(picture - truth)[BORDER:-BORDER, BORDER:-BORDER]
    return float(
        -10 * np.log10(squares.mean() if where is None else squares[where[BORDER:-BORDER, BORDER:-BORDER]].mean())
    )


def realigned(picture: Array, truth: Array) -> Array:
    """The picture where the truth is: the common shift that a blur leaves is no error."""
    dx, dy = register(truth, picture, robust=True).shift
    return shift_picture(picture, -dx, -dy)


def itself(frames: list[Array], index: int) -> Array:
    return frames[index]


def sharpest(frames: list[Array], index: int) -> Array:
    """The neighbour with the most gradient, aligned."""
    smooth = [cv2.GaussianBlur(f.mean(2), (0, 0), 1.0) for f in frames]
    best = int(np.argmax([sum(float(np.square(g).mean()) for g in np.gradient(s)) for s in smooth]))
    dx, dy = register(frames[index], frames[best]).shift
    return shift_picture(frames[best], -dx, -dy)


def published(frames: list[Array], index: int) -> Array:
    stack = [f if k == index else flowed(frames[index], f) for k, f in enumerate(frames)]
    return accumulated(np.stack(stack))


def shifted(frames: list[Array], index: int) -> Array:
    """The published weights after a registration to thousandths of a pixel."""
    stack = []
    for number, frame in enumerate(frames):
        dx, dy = (0.0, 0.0) if number == index else register(frames[index], frame).shift
        stack.append(shift_picture(frame, -dx, -dy))
    return accumulated(np.stack(stack))


def flowed(reference: Array, frame: Array, down: int = 3, most: float = 1.0) -> Array:
    """A frame on the reference's grid by TV-L1 flow; the reference's samples where the flow back disagrees."""
    from skimage.registration import optical_flow_tvl1

    height, width = reference.shape[:2]
    small = (width // down, height // down)
    blur = 0.6 * np.sqrt(down**2 - 1)
    a, b = (
        cv2.resize(cv2.GaussianBlur(p.mean(2), (0, 0), blur), small, interpolation=cv2.INTER_AREA)
        for p in (reference, frame)
    )

    def flow(one: Array, other: Array) -> Array:
        found = np.stack(optical_flow_tvl1(one, other)[::-1], -1).astype(np.float32)
        factor = np.float32([width / small[0], height / small[1]])
        return cv2.resize(found, (width, height), interpolation=cv2.INTER_CUBIC) * factor

    there, back = flow(a, b), flow(b, a)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + there[..., 0], y + there[..., 1]
    returned = cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(1e3, 1e3))
    lost = (np.hypot(*np.moveaxis(returned + there, 2, 0)) > most).astype(np.float32)
    share = np.maximum(cv2.GaussianBlur(lost, (0, 0), 2), lost)[..., None]
    seen = cv2.remap(frame, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return seen * (1 - share) + reference * share


def accumulated(stack: Array, tile: int = 128, power: float = 11) -> Array:
    """Fourier burst accumulation of (N, H, W, C) on tiles that overlap by half, under a Hann window."""
    height, width = stack.shape[1:3]
    step = tile // 2
    padded = np.pad(stack, ((0, 0), (step, tile), (step, tile), (0, 0)), mode="reflect")
    line = np.hanning(tile + 1)[:tile]
    window = np.outer(line, line)[..., None]
    out = np.zeros(padded.shape[1:])
    for top in range(0, height + step, step):
        for left in range(0, width + step, step):
            spectra = np.fft.fft2(padded[:, top : top + tile, left : left + tile], axes=(1, 2))
            amplitude = np.fft.fftshift(np.abs(spectra).mean(3), axes=(1, 2)).astype(np.float32)
            smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), tile / 50) for plane in amplitude])
            weights = np.fft.ifftshift((smooth / smooth.max(0)) ** power, axes=(1, 2))
            made = np.fft.ifft2((spectra * (weights / weights.sum(0))[..., None]).sum(0), axes=(0, 1)).real
            out[top : top + tile, left : left + tile] += made * window
    return out[step : step + height, step : step + width].astype(np.float32)


def program(path: str) -> Method:
    """The authors' own program, called for each window: M W p downsampling register iterations inputs... outputs."""

    def run(frames: list[Array], index: int) -> Array:
        with tempfile.TemporaryDirectory() as folder:
            names = [f"{folder}/{number}.png" for number in range(len(frames))]
            for name, frame in zip(names, frames, strict=True):
                cv2.imwrite(name, np.rint(frame[..., ::-1] * 255))
            command = [
                path,
                str(WINDOW),
                "128",
                "11",
                "3",
                "1",
                "1",
                *names,
                f"{folder}/r%d_%d.png",
                f"{folder}/o%d.tiff",
            ]
            subprocess.run(command, check=True, capture_output=True)
            return cv2.imread(f"{folder}/o{index}.tiff", cv2.IMREAD_UNCHANGED)[..., ::-1] / np.float32(255)

    return run


def own(frames: list[Array], index: int) -> Array:
    made = helped(frames, index)
    return frames[index] if made is None else made


def films(picture: Array, local: bool, seed: int) -> tuple[list[Array], list[Array], list[Array | None]]:
    """(frames, truths, where a disc is or None) of one film."""
    there = Scene(picture)
    if not local:
        frames, truths = shaken(there, SIZE, seed=seed)
        return frames, truths, [None] * len(frames)
    disc = Thing(scene(None, "coffee").astype(np.float32), 60, (150, 180), (3, 0))
    frames, truths, places = disturbed(there, SIZE, disc, seed=seed)
    return frames, truths, list(places)


def drawn(folder: Path) -> None:
    """The picture of docs/deblur.md: a frame of a film, by other ways and by this, and the truth."""
    frames, truths, _ = films(scene(None, "astronaut"), False, 0)
    target, inner = 3, np.s_[60:230, 150:320]
    ways = {"a frame": itself, "sharpest neighbour": sharpest, "FBA as published": published, "subpixel deblur": own}
    made = {name: method(frames[: target + WINDOW + 1], target) for name, method in ways.items()} | {
        "truth": truths[target]
    }
    shown = [(name, (255 * np.clip(picture[inner], 0, 1)).astype(np.uint8)) for name, picture in made.items()]
    figures.save(
        figures.row([figures.titled(figures.pixels(piece), name) for name, piece in shown]), folder / "shaken.png"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="*", type=Path, metavar="PICTURE")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--targets", default="0,3,7,11")
    parser.add_argument("--local", action="store_true")
    parser.add_argument("--fba", metavar="PROGRAM")
    parser.add_argument("--draw", type=Path, metavar="FOLDER")
    chosen = parser.parse_args()
    if chosen.draw:
        drawn(chosen.draw)
        return
    methods: dict[str, Method] = {
        "the frame itself": itself,
        "sharpest neighbour, aligned": sharpest,
        "FBA as published": program(chosen.fba) if chosen.fba else published,
        "FBA weights, subpixel registration": shifted,
        "**subpixel deblur**": own,
    }
    pictures = [scene(path) for path in chosen.pictures] or [scene(None, name) for name in ("astronaut", "coffee")]
    scores: dict[str, list[list[float]]] = {name: [] for name in methods}
    for picture in pictures:
        for seed in range(chosen.seeds):
            frames, truths, places = films(picture, chosen.local, seed)
            for target in map(int, chosen.targets.split(",")):
                first = max(0, target - WINDOW)
                window = frames[first : target + WINDOW + 1]
                for name, method in methods.items():
                    start = time.process_time()
                    made = method(window, target - first)
                    seconds = time.process_time() - start
                    aligned, where = realigned(made, truths[target]), places[target]
                    disc = float("nan") if where is None else psnr(aligned, truths[target], where)
                    scores[name].append([psnr(made, truths[target]), psnr(aligned, truths[target]), disc, seconds])
    print("| | PSNR | aligned | on the disc | s/frame |\n|---|---|---|---|---|")
    for name, rows in scores.items():
        plain, aligned, disc, seconds = np.mean(rows, 0)
        print(f"| {name} | {plain:.2f} | {aligned:.2f} | {'' if np.isnan(disc) else f'{disc:.2f}'} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
