"""Pixel shift against plain interleaving, on made-up shots whose truth is known.

    python bench/pixelshift.py [PICTURE...] [--size 160x224] [--seeds 2]
    python bench/pixelshift.py --draw docs/pixelshift

PICTURE: photographs, or scipy/misc/face.dat of scipy's wheels before 1.10; default: astronaut and coffee of
scikit-image. Each is taken for a scene four times as fine as the sensor; shots are RGGB mosaics or RGB pictures with
noise of 2 / 255, at the places of a stage with a Gaussian error. RGB PSNR in decibels, without a border of 12 pixels,
means over pictures and seeds. "one shot": Malvar's demosaicing, enlarged by OpenCV's cubic where need be;
"interleaved": every sample where the stage should have taken it, compared on its own grid. Prints markdown; CPU seconds
of one thread.
"""

from __future__ import annotations

import argparse
import bz2
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np

import figures
from subpixel.multiframe.demosaic import demosaic
from subpixel.multiframe.exposures import BAYER, Scene, interleaved, shifted, unmoved
from subpixel.multiframe.pixelshift import GRIDS, Grid, Shifted, pixelshift
from subpixel.multiframe.raw import Mosaic

cv2.setNumThreads(1)
Array = Any

BORDER = 12
FACE = (768, 1024, 3)


def scene(path: Path | None, name: str = "") -> Array:
    """RGB (H, W, 3) of 0 to 1."""
    if path is None:
        from skimage import data

        return getattr(data, name)() / 255
    if path.name == "face.dat":
        return np.frombuffer(bz2.decompress(path.read_bytes()), np.uint8).reshape(FACE) / 255
    return cv2.imread(str(path))[..., ::-1] / 255


def psnr(picture: Array, truth: Array) -> float:
    inner = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    return float(-10 * np.log10(np.mean(np.square(np.clip(picture, 0, 1)[inner] - truth[inner]))))


def sharp(picture: Array, size: tuple[int, int], over: int = 4) -> Array:
    """The picture so large that a sensor of this size with a margin of 8 pixels sees no mirror image."""
    need = [over * (side + 16) for side in size]
    factor = max(n / have for n, have in zip(need, picture.shape[:2], strict=True))
    if factor > 1:
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return picture[: need[0] + 8, : need[1] + 8]


def one_shot(shot: Array, scale: int) -> Array:
    rgb = demosaic(shot, "RGGB") if shot.ndim == 2 else shot
    return rgb if scale == 1 else cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def combine(shots: list[Array]) -> tuple[Shifted, float]:
    frames = [
        Mosaic(shot, BAYER.astype(np.int64), np.zeros((2, 2), np.float32), 1.0, name=f"shot {number}")
        if shot.ndim == 2
        else shot
        for number, shot in enumerate(shots)
    ]
    start = time.process_time()
    return pixelshift(frames), time.process_time() - start


def trial(
    picture: Array, size: tuple[int, int], grid: Grid, mosaic: bool, error: float, gain: float, seed: int
) -> list[float]:
    """PSNR of one shot, interleaved, fused; error of the shifts; share of a static scene taken for moved; seconds."""
    rng = np.random.default_rng(seed)
    places = grid.places[rng.permutation(len(grid.places))]
    true = places + rng.normal(0, error, places.shape)
    true, nominal = true - true[0], places - places[0]
    gains = 1 + gain * rng.standard_normal((len(places), 3))
    gains[0] = 1
    there = Scene(picture)
    shots = shifted([there] * len(places), size, true, mosaic=mosaic, gains=gains, seed=seed)
    truth = unmoved(there, size, scale=grid.scale)
    found, seconds = combine(shots)
    plain = psnr(interleaved(shots, nominal, grid.scale), unmoved(there, size, scale=grid.scale, corner=False))
    off = float(np.sqrt(np.square(found.used - true).sum(1).mean()))
    kept = 1 - float(np.mean(found.fused.kept[1:]))
    return [psnr(one_shot(shots[0], grid.scale), truth), plain, psnr(found.fused.picture, truth), off, kept, seconds]


def moving(picture: Array, thing: Array, size: tuple[int, int], seed: int) -> list[float]:
    """PSNR where a thing passes: one shot, interleaved, fused; and of all the picture."""
    grid = GRIDS["mosaic", 4][0]
    scenes, side = [], 60
    for number in range(4):
        full = picture.copy()
        full[300 : 300 + side, 400 + 24 * number : 400 + 24 * number + side] = thing[150 : 150 + side, 200 : 200 + side]
        scenes.append(Scene(full))
    true = grid.places + np.random.default_rng(seed).normal(0, 0.05, grid.places.shape)
    shots = shifted(scenes, size, true - true[0], seed=seed)
    truth = unmoved(scenes[0], size)
    found, _ = combine(shots)
    pictures = [one_shot(shots[0], 1), interleaved(shots, grid.places, 1), found.fused.picture]
    box = np.s_[300 // 4 - 8 : 300 // 4 + 7, 400 // 4 - 8 : 400 // 4 + 25]
    within = [float(-10 * np.log10(np.mean(np.square(np.clip(p, 0, 1)[box] - truth[box])))) for p in pictures]
    return [*within, *(psnr(p, truth) for p in pictures)]


def drawn(folder: Path, size: tuple[int, int] = (112, 112)) -> None:
    """The picture of docs/pixelshift.md: 4 mosaics, a stage error of 0.1 pixels."""
    there = Scene(sharp(scene(None, "astronaut"), size))
    grid = GRIDS["mosaic", 4][0]
    true = grid.places + np.random.default_rng(0).normal(0, 0.1, grid.places.shape)
    shots = shifted([there] * 4, size, true - true[0])
    made = {
        "one shot": one_shot(shots[0], 1),
        "interleaved": interleaved(shots, grid.places, 1),
        "subpixel pixelshift": combine(shots)[0].fused.picture,
        "truth": unmoved(there, size),
    }
    shown = [(name, (255 * np.clip(picture, 0, 1)).astype(np.uint8)) for name, picture in made.items()]
    row = figures.row([figures.titled(figures.pixels(piece, 2), name) for name, piece in shown])
    figures.save(row, folder / "mosaics.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="*", type=Path, metavar="PICTURE")
    parser.add_argument("--size", default="160x224", help="rows x columns of the sensor")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--draw", type=Path, metavar="FOLDER")
    chosen = parser.parse_args()
    if chosen.draw:
        drawn(chosen.draw)
        return
    size = tuple(int(side) for side in chosen.size.split("x"))
    pictures = [scene(path) for path in chosen.pictures] or [scene(None, name) for name in ("astronaut", "coffee")]
    pictures = [sharp(picture, size) for picture in pictures]
    print("| shots | error | gains | one shot | interleaved | fused | gain dB | shifts off px | taken for moved | s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (kind, count), grids in GRIDS.items():
        for error, gain in ((0.0, 0.0), (0.1, 0.0), (0.1, 0.02)) if count == 4 else ((0.1, 0.0),):
            step = error * grids[0].step  # of what the stage does
            rows = [
                trial(picture, size, grids[0], kind == "mosaic", step, gain, seed)
                for picture in pictures
                for seed in range(chosen.seeds)
            ]
            one, plain, fused, off, moved, seconds = np.mean(rows, 0)
            print(
                f"| {count} {kind}s, {grids[0].step:g} px, x{grids[0].scale} | {step:g} px | {gain:.0%} | {one:.2f} | "
                f"{plain:.2f} | **{fused:.2f}** | {fused - plain:+.2f} | {off:.4f} | {moved:.2%} | {seconds:.1f} |",
                flush=True,
            )
    rows = [moving(picture, scene(None, "coffee"), size, seed) for picture in pictures for seed in range(chosen.seeds)]
    print("\nA thing passes, 6 pixels a shot (4 mosaics, stage error 0.05 px):\n")
    print("| | one shot | interleaved | fused |\n|---|---|---|---|")
    mean = np.mean(rows, 0)
    print("| where it passes | " + " | ".join(f"{value:.2f}" for value in mean[:3]) + " |")
    print("| all of the picture | " + " | ".join(f"{value:.2f}" for value in mean[3:]) + " |")


if __name__ == "__main__":
    main()
