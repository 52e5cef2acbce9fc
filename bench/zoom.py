"""What losses make of zoom pairs that do not quite lie together: every figure and the picture of docs/zoom.md.

python bench/zoom.py [--photos FOLDER] [--steps 3000] [--seed 0] [--pictures docs/zoom] [--quick]

Makes pairs of photographs (zoom_pairs.py) in which the wide lens sees things displaced by a smooth random parallax,
lays them onto each other by `subpixel pairs --no-warp`, and trains one small network by several recipes on what that
leaves. Scored on two other photographs: Y PSNR against what the wide lens saw, after a shift that aligns the two;
energy of the gradient over the truth's. Photographs: of a folder, the last two of which are scored, or those that
scikit-image carries.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

import figures
import zoom_pairs
from subpixel.learn import recipe as recipes
from subpixel.learn import state, zoom
from subpixel.learn.clips import write_pair
from subpixel.learn.train import train
from subpixel.multiframe import pairs
from subpixel.register import register, warp

Array = npt.NDArray[Any]
SCALE = 2
CROP = 64
KNOTS = 160  # tele pixels between the knots of the parallax
NETWORK = {
    "name": "fast",
    "scale": SCALE,
    "channels": 24,
    "blocks": 3,
    "recurrent": False,
    "look_ahead": False,
    "qp": False,
}
BASE = {"batch": 6, "frames": 1, "windows": 1, "crop": 24, "rate": 2e-3, "final_rate": 1e-5, "warmup": 0}


@dataclasses.dataclass(frozen=True)
class Way:
    """How a network is trained: (share of the steps, keys of the stage) one after the other; on which store."""

    stages: tuple[tuple[float, dict[str, Any]], ...]
    store: str = "homography"


# L1 alone hardly leaves the plain enlargement in so few steps (losses.md): every way starts by L2.
L2, L1, COBI = {"loss": "mse"}, {"loss": "l1"}, {"loss": "cobi", "rate": 1e-3}
ALIGN = {"align": True}
WAYS = {
    "L1": Way(((0.3, L2), (0.7, L1))),
    "warp + L1": Way(((0.3, L2 | ALIGN), (0.7, L1 | ALIGN))),
    "L1, then CoBi": Way(((0.3, L2), (0.3, L1), (0.4, COBI))),
    "warp + L1, then CoBi": Way(((0.3, L2 | ALIGN), (0.3, L1 | ALIGN), (0.4, COBI))),
    "L1 on pairs warped by tiles": Way(((0.3, L2), (0.7, L1)), "warped"),
    "L1 on pairs without parallax": Way(((0.3, L2), (0.7, L1)), "still"),
}


@dataclasses.dataclass(frozen=True)
class Score:
    """PSNR in dB after a shift, the length of that shift in pixels, gradient energy over the truth's."""

    psnr: float
    shift: float
    sharpness: float


def displaced(rng: np.random.Generator, height: int, width: int, pixels: float) -> Array:
    """(height, width, 2): a smooth random flow whose components have this RMS."""
    knots = rng.normal(0, pixels, (height // KNOTS + 2, width // KNOTS + 2, 2))
    flow = cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC)
    return flow * pixels / flow.std()


def stores(photos: list[Array], folder: Path, seed: int, pixels: float) -> dict[str, Path]:
    """Pairs of these photographs, two of each, as three stores: by homography alone, by tiles too, without parallax.

    All of the common parts, also what `subpixel pairs` would leave out because parallax has displaced it.
    """
    for name, (amount, follow) in {
        "homography": (pixels, False),
        "warped": (pixels, True),
        "still": (0, False),
    }.items():
        rng = np.random.default_rng(seed)
        for k, photo in enumerate(photos * 2):
            flow = displaced(rng, *photo.shape[:2], pixels)
            made = zoom_pairs.make(photo, rng, flow if amount else None, SCALE)
            found = pairs.align(made.tele, made.wide, scale=SCALE, follow=follow)
            print(f"{name} {k}: parallax {found.parallax:.2f} px, {found.psnr:.1f} dB", flush=True)
            sides = (found.sharp, SCALE), (found.low, 1)
            for n, (top, left) in enumerate(
                itertools.product(*(zoom.starts(side, CROP) for side in found.low.shape[:2]))
            ):
                cuts = [p[top * s : (top + CROP) * s, left * s : (left + CROP) * s] for p, s in sides]
                sharp, low = map(zoom.frame, cuts)
                facts = {"source": str(k), "scene": str(k), "scale": SCALE, "crf": 0.0}
                write_pair(folder / name / f"{k}.{n}", [sharp], [low], facts)
    return {path.name: path for path in folder.iterdir()}


def trained(way: Way, folders: dict[str, Path], out: Path, steps: int, seed: int) -> Any:
    """The network that a way makes."""
    stages = [BASE | {"steps": max(1, round(share * steps))} | keys for share, keys in way.stages]
    table = {"store": str(folders[way.store]), "network": NETWORK, "stages": stages, "seed": seed, "device": "cpu"}
    recipe = recipes.parse(table | {"report": steps}, "bench/zoom.py")
    return state.averaged(recipe, train(recipe, out)).eval()


def restored(net: Any, low: Array) -> Array:
    """(sH, sW) luma of 0 to 1 from RGB (H, W, 3)."""
    frame = zoom.frame(low)
    y, u, v = (torch.from_numpy(p).float()[None, None] / 255 for p in frame.planes)
    empty = torch.zeros(1, 1, 0, *u.shape[-2:])
    channels, divisor = net.state
    carried = torch.zeros(1, channels, y.shape[-2] // divisor, y.shape[-1] // divisor)
    with torch.no_grad():
        made = net(torch.cat([y, y, y], 1), torch.cat([u, v], 1)[:, None], empty, carried)
    return made.luma[0, 0, 0].numpy()


def score(made: Array, truth: Array) -> Score:
    """Of luma (H, W) against luma."""
    motion = register(truth, made, "shift")
    seen, valid = warp(made, motion)
    inner = valid.copy()
    inner[:12], inner[-12:], inner[:, :12], inner[:, -12:] = False, False, False, False
    error = float(((seen - truth)[inner] ** 2).mean())
    energy = [sum(float((np.diff(p[12:-12, 12:-12], axis=a) ** 2).mean()) for a in (0, 1)) for p in (made, truth)]
    return Score(-10 * np.log10(error), float(np.hypot(*motion.shift)), energy[0] / energy[1])


def tests(photos: list[Array], seed: int) -> list[tuple[Array, Array]]:
    """(wide RGB, luma of what its lens saw on the fine grid) of unseen photographs."""
    rng = np.random.default_rng([seed, 1])
    found = []
    for photo in photos:
        made = zoom_pairs.make(photo, rng, None, SCALE)
        height, width = (n // 2 * 2 for n in made.wide.shape[:2])
        fine = made.fine[: height * SCALE, : width * SCALE].astype(np.float32)
        found.append((made.wide[:height, :width], zoom.frame(fine).planes[0].astype(np.float32) / 255))
    return found


def crop(picture: Array, place: tuple[int, int]) -> Any:
    """A piece of a picture, twice as large."""
    top, left = place
    return figures.pixels((picture[top : top + 110, left : left + 110] - 16 / 255) * 255 / 219, 2)


def main() -> None:
    """Command line of this file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photos", type=Path)
    options.add_argument("--steps", type=int, default=3000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--parallax", type=float, default=1.5, help="RMS of either component, tele pixels")
    options.add_argument("--pictures", type=Path, default=Path("docs/zoom"))
    options.add_argument("--quick", action="store_true", help="in seconds, from next to no training")
    given = options.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    photos = zoom_pairs.photographs(given.photos)
    photos = photos[-3:] if given.quick else photos
    unseen, seen = photos[-2:], photos[:-2]
    steps = 4 if given.quick else given.steps
    asked = tests(unseen, given.seed)
    pictures: dict[str, list[Array]] = {"truth": [truth for _, truth in asked]}
    lines = []

    def note(name: str, made: list[Array], seconds: float) -> None:
        pictures[name] = made
        scores = [score(one, truth) for one, (_, truth) in zip(made, asked, strict=True)]
        means = [np.mean([getattr(s, key) for s in scores]) for key in ("psnr", "sharpness", "shift")]
        lines.append(f"| {name} | {means[0]:.2f} | {means[1]:.2f} | {means[2]:.2f} | {seconds:.0f} |")
        print(lines[-1], flush=True)

    with tempfile.TemporaryDirectory() as work:
        folders = stores(seen, Path(work) / "stores", given.seed, given.parallax)
        untrained = state.build(recipes.parse({"network": NETWORK, "stages": [{"steps": 1, "warmup": 0}]}, "")).eval()
        note("bicubic", [restored(untrained, low) for low, _ in asked], 0)
        for name, way in WAYS.items():
            began = time.process_time()
            net = trained(way, folders, Path(work) / f"run {name}", steps, given.seed)
            note(name, [restored(net, low) for low, _ in asked], time.process_time() - began)
    print("| trained by | aligned Y PSNR (dB) | sharpness | shift (px) | CPU s |\n|---|---|---|---|---|")
    print("\n".join(lines))
    shown = ("bicubic", "L1", "warp + L1", "L1, then CoBi", "truth")
    rows = [
        figures.row([figures.titled(crop(pictures[name][k], place), name) for name in shown])
        for k, place in enumerate(((110, 200), (90, 150)))
        if k < len(asked)
    ]
    figures.save(figures.column(rows), given.pictures / "losses.png")


if __name__ == "__main__":
    main()
