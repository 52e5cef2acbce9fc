"""Lucky imaging against PlanetarySystemStacker: made-up seeing whose truth is known, and films of one's own.

    python bench/lucky.py [--picture FILE] [--pss PYTHON] [--data FOLDER] [--frames 100]
    python bench/lucky.py --draw docs/lucky

Made-up seeing: 100 frames of 640x480, bent by 1.2 pixels along each axis (smooth over 40 pixels), blurred by 0.8 + |N|
pixels in clouds, moved by up to 6 pixels, noise of 6/255; 8-bit SER. PSNR inside a border of 24 pixels, after the best
shift, gain and offset: of the stack as it is, and after the best of many Wiener filters (Gaussian blurs and noise
levels, the same for all). The truth is a made-up Moon, or the middle of a PICTURE of at least 688x528 pixels.

Films of a FOLDER: every other frame is stacked on its own, and the two stacks compared by Fourier ring correlation:
the first frequency where it is below 1/7, and its mean from 0.05 to 0.25 cycles per pixel.

PYTHON has planetary-system-stacker, see bench/pss.py. CPU seconds of one thread, from file to stack. --draw makes the
pictures of docs/astronomer.md instead.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from subpixel import pictures
from subpixel.multiframe import sharpen, skies
from subpixel.multiframe.chart import chart
from subpixel.multiframe.glance import luminance
from subpixel.multiframe.lucky import Options, Stack, lucky
from subpixel.multiframe.sequences import open_recording
from subpixel.multiframe.ser import write_ser

Array = npt.NDArray[Any]
BORDER = 24
BLURS = (0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4)
LEVELS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


def matched(stack: Array, truth: Array) -> Array:
    """The truth on the grid of a stack, by the shift that explains its blurred self best."""
    inner = slice(BORDER, -BORDER), slice(BORDER, -BORDER)
    smooth = cv2.GaussianBlur(truth, (0, 0), 2).astype(np.float32)
    mine = cv2.GaussianBlur(stack, (0, 0), 2).astype(np.float32)
    likeness = cv2.matchTemplate(smooth, np.ascontiguousarray(mine[inner]), cv2.TM_CCOEFF_NORMED)
    top, left = np.unravel_index(likeness.argmax(), likeness.shape)
    y, x = np.mgrid[: stack.shape[0], : stack.shape[1]].astype(float)
    y, x, shift = y[inner] + top - BORDER, x[inner] + left - BORDER, np.zeros(2)
    splines = [ndimage.spline_filter(plane.astype(float)) for plane in (smooth, truth)]
    for _ in range(8):
        seen = ndimage.map_coordinates(splines[0], [y + shift[1], x + shift[0]], prefilter=False, mode="nearest")
        down, across = np.gradient(seen)
        rows = np.stack([p.ravel() for p in (across, down, seen, np.ones_like(seen))])
        fit = np.linalg.solve(rows @ rows.T, rows @ mine[inner].ravel().astype(float))
        shift += fit[:2] / fit[2]
    return np.asarray(
        ndimage.map_coordinates(splines[1], [y + shift[1], x + shift[0]], prefilter=False, mode="nearest")
    )


def psnr(stack: Array, truth: Array) -> float:
    """dB with a peak of 1, after the best gain and offset of the stack without its border."""
    mine = stack[BORDER:-BORDER, BORDER:-BORDER].ravel().astype(float)
    gain, offset = np.polyfit(mine, truth.ravel(), 1)
    return float(-10 * np.log10(np.mean((gain * mine + offset - truth.ravel()) ** 2)))


def best_wiener(stack: Array, truth: Array) -> float:
    """The PSNR after the Wiener filter that suits best, among Gaussian blurs and noise-to-signal ratios that grow with
    the square of the frequency."""
    padded = np.pad(stack, 32, mode="symmetric")
    spectrum = np.fft.rfft2(padded)
    square = np.fft.fftfreq(padded.shape[0])[:, None] ** 2 + np.fft.rfftfreq(padded.shape[1]) ** 2
    best = psnr(stack, truth)
    for blur, level in itertools.product(BLURS, LEVELS):
        left = np.exp(-2 * np.pi**2 * blur**2 * square)
        result = np.fft.irfft2(spectrum * left / (left**2 + 100 * level * square), padded.shape)[32:-32, 32:-32]
        best = max(best, psnr(result, truth))
    return best


def stacked(film: Path, **options: Any) -> tuple[Stack, float]:
    before = time.process_time()
    result = lucky(open_recording(film), Options(**options))
    return result, time.process_time() - before


def peer(python: str, film: Path, mode: str, percent: int, drizzle: str = "Off") -> tuple[Array | None, float]:
    """PlanetarySystemStacker's stack as luminance, None where it fails, and its CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.npy"
        command = [python, str(Path(__file__).with_name("pss.py")), str(film), mode, str(percent), drizzle, str(out)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"PlanetarySystemStacker fails on {film.name}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
            return None, 0.0
        picture = np.load(out).astype(np.float32)
        if drizzle != "Off":
            factor = int(drizzle[0])
            picture = cv2.resize(picture, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
        return luminance(np.asarray(picture)), float(done.stdout.split()[-1])


def row(name: str, stack: Array, truth: Array, seconds: float, own: Array | None = None) -> str:
    reference = matched(stack, truth)
    auto = "" if own is None else f"{psnr(own, reference):.2f}"
    cells = (name, f"{psnr(stack, reference):.2f}", f"{best_wiener(stack, reference):.2f}", auto, f"{seconds:.1f}")
    return f"| {' | '.join(cells)} |"


def simple_rows(film: Path, truth: Array) -> Iterator[str]:
    """The sharpest frame, and the mean of all of them aligned as a whole."""
    result, _ = stacked(film, keep=1.0)
    frames = {index: luminance(picture) for index, picture in open_recording(film).read()}
    best = max(result.verdicts, key=lambda verdict: verdict.sharpness).index
    yield row("sharpest frame", frames[best], truth, 0)
    total = np.zeros_like(frames[best])
    for verdict in result.verdicts:
        move = np.array([[1, 0, verdict.shift[0]], [0, 1, verdict.shift[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        total += cv2.warpAffine(frames[verdict.index], move, total.shape[::-1], flags=flags, borderMode=2)
    yield row("mean of all, moved as a whole", total / len(frames), truth, 0)


def made_up(picture: Path | None, python: str | None, count: int) -> None:
    size = 480 + 2 * skies.MARGIN, 640 + 2 * skies.MARGIN
    truth = skies.moon(*size)
    if picture is not None:
        whole = luminance(pictures.load(picture).data)
        top, left = (whole.shape[0] - size[0]) // 2, (whole.shape[1] - size[1]) // 2
        truth = np.ascontiguousarray(whole[top : top + size[0], left : left + size[1]])
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.ser"
        write_ser(film, (np.rint(255 * frame).astype(np.uint8) for frame in skies.through_air(truth, count)))
        subject = picture.stem if picture else "made-up Moon"
        print(f"\n| {count} frames, {subject} | as it is | best Wiener | own | CPU s |")
        print("|---|---|---|---|---|")
        for line in simple_rows(film, truth):
            print(line)
        runs = [(10, "Off"), (20, "Off"), (50, "Off"), (20, "2x")] if python else []
        for percent, drizzle in runs:
            stack, seconds = peer(python or "", film, "surface", percent, drizzle)
            name = f"PlanetarySystemStacker {percent} %" + (" drizzle 2x" if drizzle != "Off" else "")
            if stack is not None:
                print(row(name, stack / stack.max(), truth, seconds))
        for keep in (0.1, 0.25, 0.5):
            result, seconds = stacked(film, keep=keep)
            blur = sharpen.estimate_blur(result.picture, noise=result.left)
            own = sharpen.wiener(result.picture, blur, noise=result.left)
            print(row(f"subpixel lucky {keep:.0%}", result.picture, truth, seconds, own), flush=True)


def agreement(one: Array, other: Array) -> tuple[float, float]:
    """(first frequency below 1/7, mean from .05 to .25) of the Fourier ring correlation of two stacks of one scene."""
    margin = 60
    core = np.ascontiguousarray(one[margin:-margin, margin:-margin], np.float32)
    likeness = cv2.matchTemplate(np.asarray(other, np.float32), core, cv2.TM_CCOEFF_NORMED)
    top, left = np.unravel_index(likeness.argmax(), likeness.shape)
    pair = core, other[top : top + core.shape[0], left : left + core.shape[1]]
    window = np.outer(*(np.hanning(side) for side in core.shape))
    a, b = (np.fft.fft2((part - part.mean()) * window) for part in pair)
    radii = np.hypot(np.fft.fftfreq(core.shape[0])[:, None], np.fft.fftfreq(core.shape[1]))
    ring = np.minimum((radii * 256).astype(int), 128).ravel()
    cross, mine, theirs = (np.bincount(ring, p.ravel())[:128] for p in ((a * b.conj()).real, abs(a) ** 2, abs(b) ** 2))
    correlation, frequency = cross / np.sqrt(mine * theirs), (np.arange(128) + 0.5) / 256
    below = np.flatnonzero(correlation < 1 / 7)
    middle = correlation[(frequency > 0.05) & (frequency < 0.25)].mean()
    return float(frequency[below[0]] if len(below) else 0.5), float(middle)


def halves(film: Path, folder: Path) -> list[Path]:
    """Every other frame of a film's luminance as a SER file of 8 bits, and the others."""
    paths = [folder / f"{film.stem}-{half}.ser" for half in (0, 1)]
    for half, path in enumerate(paths):
        frames = (picture for index, picture in open_recording(film).read() if index % 2 == half)
        write_ser(path, (np.rint(255 * np.clip(luminance(picture), 0, 1)).astype(np.uint8) for picture in frames))
    return paths


def films(data: Path, python: str | None) -> None:
    print(
        "\n| film | mode | stacked by | correlation < 1/7 at | mean .05-.25 | CPU s a half |\n|---|---|---|---|---|---|"
    )
    for film in sorted(path for path in data.iterdir() if path.suffix in (".avi", ".mp4", ".ser")):
        with tempfile.TemporaryDirectory() as folder:
            pair = halves(film, Path(folder))
            runs = [stacked(path) for path in pair]
            mode = runs[0][0].mode
            rows = [("subpixel lucky", [result.picture for result, _ in runs], runs[0][1])]
            if python:
                peers = [peer(python, path, mode, 10) for path in pair]
                if all(stack is not None for stack, _ in peers):
                    rows.append(("PlanetarySystemStacker 10 %", [s for s, _ in peers if s is not None], peers[0][1]))
            for name, (one, other), seconds in rows:
                cut, middle = agreement(one, other)
                print(f"| {film.stem} | {mode} | {name} | {cut:.3f} | {middle:.3f} | {seconds:.1f} |", flush=True)


def drawn(folder: Path) -> None:
    """A middling frame, the stack, the stack sharpened, and the truth, side by side: of a Moon and of a planet."""
    folder.mkdir(exist_ok=True)
    truths = {"moon": skies.moon(288, 368, seed=4), "planet": skies.planet(240, 280)}
    for name, truth in truths.items():
        with tempfile.TemporaryDirectory() as place:
            film = Path(place) / "film.ser"
            frames = (np.rint(255 * frame).astype(np.uint8) for frame in skies.through_air(truth, 100))
            write_ser(film, frames, colour="RGB" if truth.ndim == 3 else "mono")
            result, _ = stacked(film)
            typical = sorted(result.verdicts, key=lambda verdict: verdict.sharpness)[50].index
            ((_, frame),) = open_recording(film).read({typical})
        fall = sharpen.LIMB if name == "planet" else sharpen.EDGES
        blur = sharpen.estimate_blur(result.picture, noise=result.left, fall=fall)
        sharp = sharpen.wiener(result.picture, blur, noise=result.left)
        if name == "moon":
            pictures.save(folder / "sharpness.png", chart(result.verdicts, 0.25), bits=8, overwrite=True)
        panels = [middle(picture, 168, 184) for picture in (frame, result.picture, sharp, truth)]
        row = cv2.resize(np.concatenate(panels, 1), None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC)
        pictures.save(folder / f"{name}.png", np.clip(row, 0, 1), bits=8, overwrite=True)


def middle(picture: Array, height: int, width: int) -> Array:
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--pss", metavar="PYTHON")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--draw", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    if given.draw:
        drawn(given.draw)
        return
    made_up(given.picture, given.pss, given.frames)
    if given.data:
        films(given.data, given.pss)


if __name__ == "__main__":
    main()
