"""Registration against its peers: shifts, tiles, other models, flow, a real burst.

    python bench/registration.py [--picture FILE] [--burst FOLDER] [--count 60] [--slow 12] [--only shifts,tiles,...]

FILE: any picture, or scipy/misc/face.dat of scipy's wheels before 1.10 (the raccoon that the published figures of this
protocol are for); default: astronaut of scikit-image. FOLDER: JPEG or PNG frames of a burst, for the closure of
triangles, which needs no truth. Errors are 2-D: the root of the mean of squared distances in pixels of the small
pictures. Times are CPU milliseconds of one thread, the median over pairs. Peers are measured where they are installed
(scikit-image, opencv-contrib-python-headless, SimpleITK, pystackreg, imreg_dft); --slow: pairs for those that take
half a second. Prints markdown.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np

import registration_peers
from registration_pairs import Array, Pair, about_middle, flowing, pairs, picture, warped
from subpixel.errors import InputError
from subpixel.register import Motion, register
from subpixel.register.motion import grid

Shift = Callable[[Array, Array], tuple[float, float]]

cv2.setNumThreads(1)


def own(method: str) -> Shift:
    """A method of this package; nothing found is NaN."""

    def find(reference: Array, moving: Array) -> tuple[float, float]:
        try:
            return register(reference, moving, method=method).shift  # type: ignore[arg-type]
        except InputError:
            return np.nan, np.nan

    return find


OWN = {f"subpixel {m}": own(m) for m in ("gradient", "phase", "foroosh", "peak")}
NOISES = (0, 2, 5, 10, 20)
SLOW = {"SimpleITK", "pystackreg"}  # names of peers begin so


def methods() -> dict[str, Shift]:
    """This package's methods and the peers that are installed, by name."""
    return {**OWN, **registration_peers.installed()}


def scores(find: Shift, chosen: Iterable[Pair]) -> tuple[float, float]:
    """(2-D RMSE in pixels, median CPU milliseconds) over pairs."""
    squares, times = [], []
    for reference, moving, (dx, dy) in chosen:
        began = time.process_time()
        x, y = find(reference.copy(), moving.copy())
        times.append(time.process_time() - began)
        squares.append((x - dx) ** 2 + (y - dy) ** 2 if np.isfinite(x + y) else dx**2 + dy**2)  # none found: no shift
    return float(np.sqrt(np.mean(squares))), 1000 * float(np.median(times))


def table(heads: list[str], rows: Iterable[list[str]]) -> None:
    """Prints a markdown table, row by row."""
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def shifts(args: argparse.Namespace) -> None:
    """One picture, three noises: every method."""
    sharp = picture(args.picture)
    factor = 4 if min(sharp.shape) >= 700 else 2
    sets = {s: list(pairs(sharp, count=args.count, sigma=s, factor=factor)) for s in NOISES}
    smooth = list(pairs(sharp, count=args.count, sigma=2, factor=factor, antialiased=True))

    def rows() -> Iterator[list[str]]:
        for name, find in methods().items():
            count = args.slow if name.split()[0] in SLOW else args.count
            found = [scores(find, s[:count]) for s in (*sets.values(), smooth)]
            yield [name, *(f"{rmse:.4f}" for rmse, _ in found), f"{found[1][1]:.1f}"]

    print(f"\n## Shifts of up to 3 pixels, {args.picture}, {factor} times smaller")
    table(["method", *(f"sigma {s}" for s in NOISES), "sigma 2, antialiased", "CPU ms"], rows())


def others(args: argparse.Namespace) -> None:
    """Other pictures, one noise."""
    names = ("astronaut", "coffee", "camera")
    sets = {n: list(pairs(picture(n), count=args.count * 2 // 3, sigma=2, factor=2)) for n in names}

    def rows() -> Iterator[list[str]]:
        for name, find in methods().items():
            count = args.slow if name.split()[0] in SLOW else args.count
            yield [name, *(f"{scores(find, chosen[:count])[0]:.4f}" for chosen in sets.values())]

    print("\n## Other pictures, twice smaller, sigma 2")
    table(["method", *names], rows())


def tiles(args: argparse.Namespace) -> None:
    """Tiles of 64 x 64 spread over the picture, their whole pixels known."""
    sharp = picture(args.picture)
    factor = 4 if min(sharp.shape) >= 700 else 2
    rng = np.random.default_rng(0)
    cut: dict[int, list[Pair]] = {2: [], 10: []}
    for sigma, chosen in cut.items():
        for reference, moving, (dx, dy) in pairs(sharp, count=args.count, sigma=sigma, factor=factor, reach=0.7):
            for _ in range(3):
                y, x = (int(rng.integers(0, side - 63)) for side in reference.shape)
                chosen.append((reference[y : y + 64, x : x + 64], moving[y : y + 64, x : x + 64], (dx, dy)))

    def rows() -> Iterator[list[str]]:
        for name, find in methods().items():
            count = 3 * args.slow if name.split()[0] in SLOW else 3 * args.count
            found = [scores(find, chosen[:count]) for chosen in cut.values()]
            yield [name, *(f"{rmse:.4f}" for rmse, _ in found), f"{found[0][1]:.1f}"]

    print(f"\n## Tiles of 64 x 64 of {args.picture}, shifts of up to 0.7 pixels")
    table(["method", *(f"sigma {sigma}" for sigma in cut), "CPU ms"], rows())


MOTIONS = [
    ("euclidean", {"turn": 1.5, "dx": 3, "dy": -2}),
    ("euclidean", {"turn": 35, "dx": 5, "dy": 8}),
    ("similarity", {"turn": 20, "zoom": 1.2, "dx": 4, "dy": 3}),
    ("affine", {"turn": 3, "zoom": 1.02, "dx": 4, "dy": 3, "shear": 0.01}),
    ("affine", {"turn": 40, "zoom": 1.1, "dx": 4, "dy": 3, "shear": 0.05}),
    ("homography", {"turn": 2, "zoom": 1.01, "dx": 4, "dy": 3, "tilt": (1e-5, -2e-5)}),
    ("homography", {"turn": 60, "zoom": 0.9, "dx": 4, "dy": 3, "tilt": (5e-4, -3e-4)}),
]


def models(_: argparse.Namespace) -> None:
    """Models with a matrix, on two pictures."""

    def rows() -> Iterator[list[str]]:
        for model, motion in MOTIONS:
            errors, predicted, times = [], [], []
            peers: dict[str, list[float]] = {name: [] for name in registration_peers.PARAMETRIC}
            for name in ("astronaut", "coffee"):
                sharp = picture(name)
                matrix = about_middle((sharp.shape[0] // 2, sharp.shape[1] // 2), **motion)
                reference, moving = warped(sharp, matrix, sigma=2)
                began = time.process_time()
                found = register(reference, moving, model)  # type: ignore[arg-type]
                times.append(time.process_time() - began)
                errors.append(distance(found, matrix, reference.shape))
                predicted.append(found.rmse)
                for peer, find in registration_peers.PARAMETRIC.items():
                    other = find(reference, moving, model)
                    error = np.inf if other is None else distance(Motion(matrix=other), matrix, reference.shape)
                    peers[peer].append(error)
            said = " ".join(f"{k} {v}" for k, v in motion.items())
            figures = [f"{np.mean(errors):.4f}", f"{np.mean(predicted):.4f}"]
            figures += ["fails" if np.mean(p) > 5 else f"{np.mean(p):.4f}" for p in peers.values()]
            yield [f"{model}: {said}", *figures, f"{1000 * np.mean(times):.0f}"]

    print("\n## Models: error over what is seen in both, sigma 2, mean of astronaut and coffee")
    table(["motion", "subpixel", "predicted", *registration_peers.PARAMETRIC, "CPU ms"], rows())


def distance(motion: Motion, matrix: Array, shape: tuple[int, ...]) -> float:
    """RMS distance between a motion and the true matrix, over what is seen in both pictures."""
    where = grid(*shape[:2])
    true = Motion(matrix=matrix).points(where)
    inside = ((true >= 0) & (true <= np.array(shape[1::-1]) - 1)).all(1)
    return float(np.sqrt(np.square(motion.points(where) - true)[inside].sum(1).mean()))


def flows(_: argparse.Namespace) -> None:
    """Dense flow through waves: 16 pixels at the border left out."""

    def rows() -> Iterator[list[str]]:
        for kind, sigma in itertools.product(("slow waves", "seeing"), (0, 2, 5)):
            results: dict[str, list[Array]] = {"subpixel": [], **{n: [] for n in registration_peers.FLOWS}}
            predicted, times = [], []
            for name in ("astronaut", "coffee"):
                reference, moving, truth = flowing(picture(name), kind, sigma)
                began = time.process_time()
                found = register(reference, moving, "flow")
                times.append(time.process_time() - began)
                predicted.append(found.rmse)
                flow_of = {n: find(reference, moving) for n, find in registration_peers.FLOWS.items()}
                for n, flow in {"subpixel": found.flow, **flow_of}.items():
                    results[n].append(np.hypot(*np.moveaxis(flow - truth, 2, 0))[16:-16, 16:-16].ravel())
            said = [np.concatenate(errors) for errors in results.values()]
            figures = [f"{np.sqrt(np.mean(e**2)):.3f} ({np.median(e):.3f})" for e in said]
            yield [f"{kind}, sigma {sigma}", *figures, f"{np.mean(predicted):.3f}", f"{1000 * np.mean(times):.0f}"]

    print("\n## Flow: error (median), mean of astronaut and coffee")
    table(["motion", "subpixel", *registration_peers.FLOWS, "predicted", "CPU ms"], rows())


def calibration(args: argparse.Namespace) -> None:
    """Predicted against actual errors over pictures, noises and sizes."""
    rng = np.random.default_rng(1)

    def rows() -> Iterator[list[str]]:
        for size, sigma in itertools.product((64, 128, 256), (1, 5, 20)):
            actual, predicted = [], []
            for index in range(max(args.count // 2, 4)):
                sharp = picture(("astronaut", "coffee", "camera", "chelsea")[index % 4])
                top, left = (int(rng.integers(0, max(side - 2 * size, 1))) for side in sharp.shape)
                part = sharp[top : top + 2 * size + 32, left : left + 2 * size + 32]
                for reference, moving, (dx, dy) in pairs(part, count=1, sigma=sigma, factor=2, seed=index):
                    try:
                        found = register(reference, moving)
                    except InputError:
                        continue
                    predicted.append(found.rmse)
                    actual.append(np.hypot(found.shift[0] - dx, found.shift[1] - dy))
            ratio = np.sqrt(np.mean(np.square(np.divide(actual, predicted))))
            yield [f"{size}, sigma {sigma}", *(f"{np.sqrt(np.mean(np.square(v))):.4f}" for v in (actual, predicted)),
                   f"{ratio:.2f}"]  # fmt: skip

    print("\n## Confidence: actual and predicted error; root mean square of their ratios")
    table(["side, noise", "actual", "predicted", "ratio"], rows())


def closure(args: argparse.Namespace) -> None:
    """Tiles of 128 x 128 of a burst: the way from frame a to b to c against the way from a to c."""
    frames = [cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in sorted(args.burst.glob("*.[jp][pn]g"))]
    places = [(y, x) for y in range(0, frames[0].shape[0] - 127, 128) for x in range(0, frames[0].shape[1] - 127, 128)]
    triples = [(a, a + 1, a + 2) for a in range(len(frames) - 2)]

    def rows() -> Iterator[list[str]]:
        for name, find in methods().items():
            if name.split()[0] == "SimpleITK":
                continue
            errors = []
            for (a, b, c), (y, x) in itertools.product(triples, places):
                ways = [_tile(find, frames[i], frames[j], y, x) for i, j in ((a, b), (b, c), (a, c))]
                errors.append(float(np.hypot(*(ways[0] + ways[1] - ways[2]))))
            found = np.sort(np.nan_to_num(errors, nan=np.inf))
            kept = found[: int(0.9 * len(found))]
            yield [name, f"{np.median(found):.4f}", f"{np.sqrt(np.mean(kept**2)):.4f}"]

    print(
        f"\n## Closure of triangles, {len(frames)} frames, {len(places)} tiles of 128 x 128, {len(triples)} triangles"
    )
    table(["method", "median", "RMS of the best 90 %"], rows())


def _tile(find: Shift, reference: Array, moving: Array, y: int, x: int) -> Array:
    cut = (slice(y, y + 128), slice(x, x + 128))
    return np.array(find(reference[cut].copy(), moving[cut].copy()))


PARTS = (shifts, others, tiles, models, flows, calibration)


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", default="astronaut")
    parser.add_argument("--burst", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--slow", type=int, default=12)
    parser.add_argument("--only", default="", help="names of tables, separated by commas")
    args = parser.parse_args()
    missing = [n for n in ("skimage", "SimpleITK", "pystackreg", "imreg_dft") if importlib.util.find_spec(n) is None]
    if missing:
        print(f"Not installed, so not measured: {', '.join(missing)}.")
    wanted = args.only.split(",") if args.only else [part.__name__ for part in PARTS] + ["closure"] * bool(args.burst)
    for part in (*PARTS, closure):
        if part.__name__ in wanted:
            part(args)


if __name__ == "__main__":
    main()
