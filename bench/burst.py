"""Burst fusion against its peers, one table a command.

    python bench/burst.py bayer     [--picture FILE]              Bayer x2, against demosaicing chains and drizzle
    python bench/burst.py synthetic [--pictures FOLDER] [--count 50]   SyntheticBurst protocol x4, gain over bilinear
    python bench/burst.py real      --burst FOLDER [--plot FILE]  Fourier ring correlation of halves of a real burst
    python bench/burst.py memory    [--size 4000x3000] [--count 14]    peak memory and time of a large RAW burst

FILE: any picture, or scipy/misc/face.dat of scipy's wheels before 1.10 (the raccoon); default: astronaut of
scikit-image. FOLDER: photographs; default: pictures of scikit-image, whose crops repeat. Peers need colour-demosaicing
and drizzle. PSNR in dB, in brackets after the Wiener filter that is best for it, which only someone who has the scene
could choose; times are CPU seconds of one thread. Prints markdown.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np

from burst_data import RGGB, Array, bayer, mosaic, picture, synthetic_burst, write_dng
from subpixel import pictures as files
from subpixel.errors import InputError
from subpixel.multiframe.fuse import fuse
from subpixel.multiframe.guides import view
from subpixel.multiframe.raw import Camera, Mosaic
from subpixel.register import Motion, register, shift_picture

cv2.setNumThreads(1)


def mosaics(frames: list[Array], camera: Camera | None = None) -> list[Mosaic]:
    """The frames as RAW frames, black 0 and white 1."""
    black = np.zeros((2, 2), np.float32)
    return [Mosaic(f, RGGB, black, 1.0, camera or Camera(), name=f"frame {k}") for k, f in enumerate(frames)]


def psnr(found: Array, scene: Array, border: int) -> float:
    """Of values 0 to 1 without a border, in dB."""
    cut = np.s_[border:-border, border:-border]
    return float(-10 * np.log10(np.mean((np.clip(found, 0, 1)[cut] - scene[cut]) ** 2)))


def sharpened(found: Array, scene: Array) -> float:
    """PSNR after the best of a grid of Wiener filters against a Gaussian blur."""
    height, width = found.shape[:2]
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))[..., None]
    spectrum = np.fft.rfft2(found, axes=(0, 1))
    best = 0.0
    for sigma in (0.4, 0.7, 1.0, 1.3):
        blur = np.exp(-2 * (np.pi * f * sigma) ** 2)
        for noise in (0.001, 0.01, 0.05, 0.2):
            restored = np.fft.irfft2(spectrum * blur * (1 + noise) / (blur**2 + noise), (height, width), axes=(0, 1))
            best = max(best, psnr(restored, scene, 16))
    return best


def single(frames: list[Array]) -> Array:
    """The first frame, demosaicked by Menon et al. 2007, enlarged."""
    from colour_demosaicing import demosaicing_CFA_Bayer_Menon2007 as menon

    rgb = menon(frames[0].astype(float), "RGGB").astype(np.float32)
    return cv2.resize(rgb, None, fx=2, fy=2, interpolation=cv2.INTER_LANCZOS4)


def shifts_of(frames: list[Array]) -> list[tuple[float, float]]:
    """As `register` finds them."""
    seen = [view(m) for m in mosaics(frames)]
    return [(0.0, 0.0), *(register(seen[0], other).shift for other in seen[1:])]


def averaged(frames: list[Array]) -> Array:
    """Demosaic each, enlarge, align, average."""
    from colour_demosaicing import demosaicing_CFA_Bayer_Menon2007 as menon

    total = 0
    for frame, (dx, dy) in zip(frames, shifts_of(frames), strict=True):
        rgb = menon(frame.astype(float), "RGGB").astype(np.float32)
        large = cv2.resize(rgb, None, fx=2, fy=2, interpolation=cv2.INTER_LANCZOS4)
        total = total + np.dstack(
            [shift_picture(np.ascontiguousarray(c), -2 * dx, -2 * dy) for c in np.moveaxis(large, 2, 0)]
        )
    return total / len(frames)


def drizzled(frames: list[Array]) -> Array:
    """Each colour's samples dropped on the fine grid as squares of 0.7 pixels; holes filled from their surroundings."""
    from drizzle.resample import Drizzle

    height, width = frames[0].shape
    shape = (2 * height, 2 * width)
    out = []
    moves = shifts_of(frames)
    for places in ([(0, 0)], [(0, 1), (1, 0)], [(1, 1)]):
        drizzle = Drizzle(kernel="square", out_shape=shape, fillval=0.0)
        for frame, (dx, dy) in zip(frames, moves, strict=True):
            weight = np.zeros_like(frame)
            for y, x in places:
                weight[y::2, x::2] = 1
            v, u = np.mgrid[:height, :width].astype(float)
            where = np.dstack([(u - dx + 0.5) * 2 - 0.5, (v - dy + 0.5) * 2 - 0.5])
            drizzle.add_image(frame, exptime=1.0, pixmap=where, pixfrac=0.7, weight_map=weight)
        count = (drizzle.out_wht > 0).astype(np.float32)
        filled = cv2.GaussianBlur(drizzle.out_img * count, (0, 0), 2) / np.maximum(
            cv2.GaussianBlur(count, (0, 0), 2), 1e-6
        )
        out.append(np.where(count > 0, drizzle.out_img, filled))
    return np.dstack(out)


def table_bayer(options: argparse.Namespace) -> Iterator[str]:
    sharp = picture(options.picture)
    side = min(528, *(int(s) // 4 * 4 - 16 for s in sharp.shape[:2]))
    cases = [(14, 2, 0.0), (14, 5, 0.0), (6, 2, 0.0), (14, 2, 0.4)]
    bursts = [bayer(sharp, count=n, sigma=s, lens=lens, side=side) for n, s, lens in cases]
    yield (
        "| Bayer x2 | "
        + " | ".join(f"{n} frames, sigma {s}{f', lens {lens}' if lens else ''}" for n, s, lens in cases)
        + " | CPU s |"
    )
    yield "|---" * (len(cases) + 2) + "|"
    own: dict[str, Callable[[list[Array], float, float], Array]] = {
        "fuse, all estimated": lambda f, *_: fuse(mosaics(f)).picture,
        "fuse, lens given": lambda f, _, lens: fuse(mosaics(f), psf=lens).picture,
        "fuse, lens and noise given, static": lambda f, sigma, lens: (
            fuse(mosaics(f), psf=lens, noise=(0, (sigma / 255) ** 2), robust=False).picture
        ),
    }
    peers: dict[str, Callable[[list[Array], float, float], Array]] = {
        "one frame: Menon, Lanczos": lambda f, *_: single(f),
        "Menon, enlarge, align, average": lambda f, *_: averaged(f),
        "Bayer drizzle, pixfrac 0.7": lambda f, *_: drizzled(f),
    }
    for name, method in {**peers, **own}.items():
        cells, seconds = [], 0.0
        for (scene, frames, _), (_, sigma, lens) in zip(bursts, cases, strict=True):
            start = time.process_time()
            found = method(frames, sigma, lens)
            seconds = seconds or time.process_time() - start
            cells.append(
                f"{psnr(found, scene, 16):.2f}" + (f" ({sharpened(found, scene):.2f})" if name in peers else "")
            )
        yield f"| {name} | {' | '.join(cells)} | {seconds:.2f} |"


def _pictures(folder: Path | None) -> list[Array]:
    """Photographs, made so small that their pixels are sharp; at least 440 pixels high and wide."""
    if folder is None:
        found = [picture(name) for name in ("astronaut", "immunohistochemistry", "retina")]
    else:
        names = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".png"))
        found = [p for p in (files.load(name).samples for name in names) if p.ndim == 3]
    small = [
        cv2.resize(p, None, fx=f, fy=f, interpolation=cv2.INTER_AREA) if (f := 700 / min(p.shape[:2])) < 1 else p
        for p in found
    ]
    return [p for p in small if min(p.shape[:2]) >= 440]


def table_synthetic(options: argparse.Namespace) -> Iterator[str]:
    given = _pictures(options.pictures)
    rows: dict[str, list[float]] = {}
    seconds, off, refused = [], [], []
    for k in range(options.count):
        scene, frames, noise, gains, motions = synthetic_burst(given[k % len(given)], k)
        camera = Camera(tuple(float(g) for g in gains / gains.min()))
        balance = np.asarray(camera.balance)

        def score(name: str, found: Array, scene: Array = scene) -> None:
            rows.setdefault(name, []).append(psnr(np.rint(np.clip(found, 0, 1) * 16383) / 16383, scene, 40))

        common = {"scale": 4, "psf": 0.0, "fill": 0.5, "model": "euclidean"}
        start = time.process_time()
        try:
            found = fuse(mosaics(frames, camera), noise=noise, robust=False, **common)
        except InputError as error:
            refused.append(f"burst {k}: {error}")
            continue
        seconds.append(time.process_time() - start)
        score("fuse, noise given, static", found.picture / balance)
        quads = np.dstack(
            [frames[0][::2, ::2], (frames[0][::2, 1::2] + frames[0][1::2, ::2]) / 2, frames[0][1::2, 1::2]]
        )
        score("first frame, bilinear", cv2.resize(quads, (384, 384), interpolation=cv2.INTER_LINEAR))
        corners = np.array([(0, 0), (95, 0), (0, 95), (95, 95), (47.5, 47.5)])
        true = [Motion("euclidean", m).scaled(0.25) for m in motions]
        off += [
            np.sqrt(((a.points(corners) - b.points(corners)) ** 2).sum(1).mean())
            for a, b in zip(found.motions[1:], true[1:], strict=True)
        ]
        if options.more:
            score("fuse, all estimated", fuse(mosaics(frames, camera), **common).picture / balance)
            score(
                "fuse, true motions",
                fuse(mosaics(frames, camera), noise=noise, robust=False, motions=true, **common).picture / balance,
            )
    base = np.array(rows["first frame, bilinear"])
    yield f"| SyntheticBurst x4, {len(base)} bursts | PSNR | gain over bilinear |"
    yield "|---|---|---|"
    for name, values in rows.items():
        yield f"| {name} | {np.mean(values):.2f} | {np.mean(np.array(values) - base):+.2f} |"
    yield from (f"\nRefused: {sentence}" for sentence in refused)
    error = f"{np.sqrt(np.mean(np.square(off))):.3f} pixels RMS, median {np.median(off):.3f}"
    yield f"\nMotion error {error}; {np.mean(seconds):.2f} CPU s a burst."


def ring_correlation(one: Array, other: Array, tile: int = 256) -> tuple[Array, Array]:
    """(frequencies in cycles per pixel, correlation) of two pictures (H, W), by Hann-windowed tiles (van Heel 1987)."""
    window = np.outer(np.hanning(tile), np.hanning(tile))
    f = np.hypot(np.fft.fftfreq(tile)[:, None], np.fft.fftfreq(tile))
    ring = np.minimum((f * tile).astype(int), tile // 2)
    cross, mine, theirs = (np.zeros(tile // 2 + 1) for _ in range(3))
    for top in range(0, one.shape[0] - tile + 1, tile // 2):
        for left in range(0, one.shape[1] - tile + 1, tile // 2):
            a, b = (p[top : top + tile, left : left + tile] for p in (one, other))
            a, b = (np.fft.fft2((p - p.mean()) * window) for p in (a, b))
            cross += np.bincount(ring.ravel(), (a * b.conj()).real.ravel(), tile // 2 + 1)
            mine += np.bincount(ring.ravel(), (np.abs(a) ** 2).ravel(), tile // 2 + 1)
            theirs += np.bincount(ring.ravel(), (np.abs(b) ** 2).ravel(), tile // 2 + 1)
    return np.arange(tile // 2 + 1) / tile, cross / np.sqrt(mine * theirs)


def cutoff(frequency: Array, correlation: Array, threshold: float = 1 / 7) -> float:
    """The lowest frequency from which the smoothed correlation is below the threshold."""
    smooth = np.convolve(correlation, np.ones(5) / 5, mode="same")
    below = np.nonzero(smooth[3:-3] < threshold)[0]
    return float(frequency[3 + below[0]]) if len(below) else float(frequency[-1])


def table_real(options: argparse.Namespace) -> Iterator[str]:
    frames = [p.samples for p in files.sequence(options.burst)]
    height, width = frames[0].shape[:2]
    size = min(512, height, width) // 2 * 2
    top, left = (height - size) // 2, (width - size) // 2
    parts = [np.ascontiguousarray(f[top : top + size, left : left + size]) for f in frames]
    motions = [Motion("shift"), *(register(parts[0], p, "homography") for p in parts[1:])]
    halves = [list(range(0, len(parts), 2)), list(range(1, len(parts), 2))]
    made: dict[str, list[Array]] = {"two single frames, Lanczos x2": [_placed(parts[k], motions[k]) for k in (0, 1)]}
    made["two halves, aligned and averaged x2"] = [
        np.mean([_placed(parts[k], motions[k]) for k in half], 0) for half in halves
    ]
    for psf in ("auto", 0.0):
        made[f"two halves, fuse x2, lens {psf}"] = [
            fuse([parts[k] for k in half], motions=[motions[k] for k in half], robust=False, psf=psf).picture.mean(-1)
            for half in halves
        ]
    curves: dict[str, tuple[Array, Array]] = {}
    yield "| halves of a real burst | cut-off at 1/7, cycles per pixel | mean correlation 0.2-0.5 | 0.5-0.8 |"
    yield "|---|---|---|---|"
    for name, (one, other) in made.items():
        f, correlation = ring_correlation(one[32:-32, 32:-32], other[32:-32, 32:-32])
        bands = [correlation[(2 * f >= low) & (2 * f < high)].mean() for low, high in ((0.2, 0.5), (0.5, 0.8))]
        yield f"| {name} | {2 * cutoff(f, correlation):.3f} | {bands[0]:.3f} | {bands[1]:.3f} |"
        curves[name] = (2 * f, correlation)
    if options.plot:
        cv2.imwrite(str(options.plot), plot(curves))


def plot(curves: dict[str, tuple[Array, Array]]) -> Array:
    """Correlations over frequency, cycles per pixel of a frame."""
    canvas = np.full((300, 640, 3), 255, np.uint8)

    def place(x: float, y: float) -> tuple[int, int]:
        return round(60 + 540 * x), round(235 - 190 * y)

    def write(text: str, at: tuple[int, int], colour: tuple[int, int, int] = (60, 60, 60)) -> None:
        cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)

    write("correlation of two halves, over cycles per pixel of a frame", (60, 22))
    for y in (0, 1 / 7, 0.5, 1):
        cv2.line(canvas, place(0, y), place(1, y), (215, 215, 215), 1)
        write("1/7" if 0 < y < 0.5 else f"{y:g}", (24, place(0, y)[1] + 5))
    for x in (0, 0.2, 0.4, 0.6, 0.8, 1):
        write(f"{x:g}", (place(x, 0)[0] - 8, 290))
    for k, (name, (frequency, correlation)) in enumerate(curves.items()):
        colour = ((150, 150, 150), (60, 150, 60), (170, 90, 20), (40, 60, 200))[k]
        line = np.array([place(x, y) for x, y in zip(frequency, np.clip(correlation, -0.2, 1), strict=True)])
        cv2.polylines(canvas, [line], False, colour, 2, cv2.LINE_AA)
        write(name, (72, 120 + 20 * k), colour)
    return canvas


def _placed(frame: Array, motion: Motion) -> Array:
    """The grey frame twice as large on the reference's grid."""
    from subpixel.register import warp

    grey = frame.mean(-1).astype(np.float32) / 255
    large = cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_LANCZOS4)
    return warp(large, motion.scaled(2), fill=0)[0]


def table_memory(options: argparse.Namespace) -> Iterator[str]:
    width, height = map(int, options.size.split("x"))
    rng = np.random.default_rng(0)
    tile = cv2.resize(picture(options.picture)[:400, :400], (800, 800), interpolation=cv2.INTER_CUBIC)
    tile = mosaic(np.concatenate([tile, tile[:, ::-1]], 1)).astype(np.uint16) * 200
    light = np.tile(tile, (height // 800 + 2, width // 1600 + 2))[: height + 16, : width + 16]
    with tempfile.TemporaryDirectory() as folder:
        for k in range(options.count):
            dy, dx = (2 * rng.integers(0, 8, 2)).tolist()
            samples = light[dy : dy + height, dx : dx + width]
            write_dng(Path(folder, f"{k:02}.dng"), samples + rng.integers(0, 700, samples.shape, dtype=np.uint16))
        output = Path(folder, "fused.png")
        subprocess.run(
            [sys.executable, "-m", "subpixel", "burst", folder, "-o", output], check=True, stdout=subprocess.DEVNULL
        )
        made = "x".join(map(str, files.load(output).size[::-1]))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield "| burst of DNG files | output | peak memory, GB | CPU s |"
    yield "|---|---|---|---|"
    seconds = used.ru_utime + used.ru_stime
    yield f"| {options.count} x {options.size} | {made} | {used.ru_maxrss * 1024 / 1e9:.2f} | {seconds:.0f} |"


TABLES = {"bayer": table_bayer, "synthetic": table_synthetic, "real": table_real, "memory": table_memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--picture", default="astronaut")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--burst", type=Path)
    parser.add_argument("--count", type=int)
    parser.add_argument("--size", default="4000x3000")
    parser.add_argument("--more", action="store_true", help="synthetic: also with all estimated, and with true motions")
    parser.add_argument("--plot", type=Path, help="real: a PNG of the curves")
    options = parser.parse_args()
    options.count = options.count or (14 if options.table == "memory" else 50)
    for line in TABLES[options.table](options):
        print(line, flush=True)


if __name__ == "__main__":
    main()
