"""Every picture and every figure of docs/losses.md, a quarter of an hour of one core.

python bench/losses.py [--quick] [--seed 0] [--pictures docs/losses] [--out bench/results]

What a loss does to a sample, a word and a network that must guess (ambiguity.py), then what it does to the project's
own network on pairs made by the real command from the sample clip and from drifting letters. Writes the pictures, and
OUT/losses.md with the tables. --quick makes the same files in seconds, from next to no training.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import ambiguity
import figures
from subpixel import color, metrics, resample, upsample, video
from subpixel.degrade import Recipe
from subpixel.frames import Frame
from subpixel.learn import clips, losses
from subpixel.learn.store import Store
from subpixel.models.fast import Fast, FastOptions
from subpixel.restore import restore

SAMPLE = Path(__file__).parent.parent / "samples" / "bunny-original.webm"
CUT = 93  # frames of the sample's first shot, which is held out; the second one is trained on
SIZE = 640, 352  # of the sharp frames

losses.LOSSES["charbonnier 0.1"] = functools.partial(losses.charbonnier, epsilon=0.1)


@dataclasses.dataclass(frozen=True)
class Setting:
    """How much is done: optimiser steps, batch, crop (LR pixels), frames of a clip to train on and to score."""

    steps: int = 1600
    batch: int = 4
    crop: int = 32
    frames: int = 96
    scored: int = 24


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run: losses and their shares of the steps, in which space, the share of pairs whose target lies
    4 pixels beside its place, what share of the steps, and which seed in addition to the page's."""

    stages: tuple[tuple[str, float], ...]
    space: str = "planes"
    astray: float = 0.0
    length: float = 1.0
    seed: int = 0


def single(kind: str, **options: Any) -> Run:
    """A run with one loss from beginning to end."""
    return Run(((kind, 1.0),), **options)


SHORT = 0.25  # of the steps of a long run
LATE_L1 = (("mse", 0.25), ("l1", 0.75))
RUNS = {
    "L2, short": single("mse", length=SHORT),
    "L2, short, another seed": single("mse", length=SHORT, seed=1),
    "L2 in RGB, short": single("mse", space="rgb", length=SHORT),
    "Charbonnier 0.1, short": single("charbonnier 0.1", length=SHORT),
    "Charbonnier 0.001, short": single("charbonnier", length=SHORT),
    "Charbonnier 0.001, last quarter L2, short": Run((("charbonnier", 0.75), ("mse", 0.25)), length=SHORT),
    "L1, short": single("l1", length=SHORT),
    "L2": single("mse"),
    "L1": single("l1"),
    "first quarter L2, then L1": Run(LATE_L1),
    "L2, astray": single("mse", astray=0.3),
    "first quarter L2, then L1, astray": Run(LATE_L1, astray=0.3),
}
SHOWN = ("L2", "L1", "first quarter L2, then L1")
ASTRAY = ("L2, astray", "first quarter L2, then L1, astray")


def film(first: int, count: int) -> list[Frame]:
    """Frames of the sample clip, halved by area and cropped to SIZE."""
    width, height = SIZE
    chosen = itertools.islice(video.read(SAMPLE, codec_info=False), first, first + count)
    small = (resample.resize_frame(f, f.width // 2, f.height // 2, kernel="area") for f in chosen)
    sides = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    return [
        f.replace(
            planes=tuple(np.ascontiguousarray(p[:h, :w]) for p, (h, w) in zip(f.planes, sides, strict=True)), qp=None
        )
        for f in small
    ]


def letters(seed: int, count: int) -> list[Frame]:
    """A page of letters that drifts by a quarter and a half pixel a frame."""
    width, height = SIZE
    canvas = ambiguity.page(seed, width + count, smallest=28)
    chroma = np.full((height // 2, width // 2), 128, np.uint8)
    planes = (np.rint(40 + 180 * ambiguity.seen(canvas, 40 + t, 2 * t, height, width)) for t in range(count))
    return [Frame((plane.astype(np.uint8), chroma, chroma), pts=t) for t, plane in enumerate(planes)]


def train(store: Store, run: Run, setting: Setting, seed: int) -> Fast:
    """The project's network, smaller, trained from its seeded start by Adam; the rate falls as half a cosine."""
    torch.manual_seed(seed + run.seed)
    rng = np.random.default_rng(seed + run.seed)
    net = Fast(FastOptions(channels=24, blocks=3))
    steps = max(1, round(setting.steps * run.length))
    adam = torch.optim.Adam(net.parameters(), lr=2e-3, betas=(0.9, 0.99))
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    ends = np.cumsum([share * steps for _, share in run.stages])
    for step in range(steps):
        kind = run.stages[int(np.searchsorted(ends, step, side="right").clip(max=len(ends) - 1))][0]
        (pair,) = store.sample(rng, batch=setting.batch, frames=4, crop=setting.crop, windows=1)
        wanted = astray(pair.target_y, pair.target_uv, run.astray, rng)
        channels, divisor = net.state
        state = torch.zeros(setting.batch, channels, setting.crop // divisor, setting.crop // divisor)
        made = net(pair.y, pair.uv, pair.codec(net.codec), state)
        adam.zero_grad()
        loss = losses.picture_loss(kind, run.space, (made.luma, made.chroma), wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        rate.step()
    return net.fuse().eval()


def astray(luma: Tensor, chroma: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The targets, a share of the sequences moved by 4 pixels each way; the same numbers are drawn for every share."""
    lumas, chromas = [], []
    for k in range(len(luma)):
        wrong = rng.random() < share
        down, across = (int(v) * 2 * wrong for v in rng.choice((-1, 1), 2))
        lumas.append(moved(luma[k], 2 * down, 2 * across))
        chromas.append(moved(chroma[k], down, across))
    return torch.stack(lumas), torch.stack(chromas)


def moved(planes: Tensor, down: int, across: int) -> Tensor:
    """(T, C, h, w) seen that many samples further down and to the right; the border repeats."""
    height, width = planes.shape[-2:]
    wide = F.pad(planes, (4, 4, 4, 4), mode="replicate")
    return wide[..., 4 + down : 4 + down + height, 4 + across : 4 + across + width]


@dataclasses.dataclass(frozen=True)
class Score:
    """Of one clip: sums of the pinned metric, mean absolute RGB error and flicker (RMS of the change of the error in
    Y from frame to frame) in code values, gradient energy of Y over the original's."""

    rgb: metrics.SquaredError
    absolute: float
    flicker: float
    sharpness: float


def score(made: list[Frame], sharp: list[Frame]) -> Score:
    """Restored frames against the originals."""
    total = sum((t for _, t in metrics.tallies(made, sharp, with_ssim=False)), metrics.Tally())
    pairs = list(zip(made, sharp, strict=True))
    absolute = np.mean([np.abs(color.to_rgb(a).astype(np.int16) - color.to_rgb(b)).mean() for a, b in pairs])
    ours, theirs = (
        sum(ambiguity.gradient_energy(torch.from_numpy(pair[k].planes[0]).float()) for pair in pairs) for k in (0, 1)
    )
    return Score(total.rgb, float(absolute), total.temporal.mse**0.5, ours / theirs)


@dataclasses.dataclass
class Real:
    """Scores by method and clip, and one restored frame each, by method and clip."""

    scores: dict[str, dict[str, Score]]
    pictures: dict[str, dict[str, Frame]]


def real(seed: int, setting: Setting, work: Path) -> Real:
    """Train by every loss on a shot and a page of letters, score on another shot and another page."""
    for name, sharp in (("film", film(CUT, setting.frames)), ("letters", letters(seed + 10, setting.frames))):
        clips.write_clip(work / "train" / name, sharp, Recipe(), {"source": name})
    held = {"film": film(0, setting.scored), "letters": letters(seed + 11, setting.scored)}
    for name, sharp in held.items():
        clips.write_clip(work / "held" / name, sharp, Recipe(), {"source": name})
    store, test = Store(work / "train"), Store(work / "held")
    lows = {clip.name: test.frames(clip)[1] for clip in test.clips}
    middle = setting.scored // 2
    out = Real({}, {"original": {name: sharp[middle] for name, sharp in held.items()}})

    def note(name: str, made: dict[str, list[Frame]]) -> None:
        out.scores[name] = {clip: score(frames, held[clip]) for clip, frames in made.items()}
        out.pictures[name] = {clip: frames[middle] for clip, frames in made.items()}

    note("Lanczos", {clip: [upsample.METHODS["lanczos"](f, 4) for f in low] for clip, low in lows.items()})
    for name, run in RUNS.items():
        began = time.process_time()
        net = train(store, run, setting, seed)
        note(name, {clip: list(restore(low, model=net, threads=1)) for clip, low in lows.items()})
        print(f"{name}: {time.process_time() - began:.0f} s", flush=True)
    return out


def crops(made: Real, columns: tuple[str, ...]) -> Any:
    """A piece of each clip by each method, twice as large."""
    lines = []
    for clip, (top, left) in (("film", (145, 440)), ("letters", (62, 290))):
        tiles = []
        for name in columns:
            rgb = color.to_rgb(made.pictures[name][clip])[top : top + 72, left : left + 96]
            tiles.append(figures.titled(figures.pixels(rgb, 2), name))
        lines.append(figures.row(tiles))
    return figures.column(lines)


def table(head: str, rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, "|---" * head.count(" | ") + "|---|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def sample_table(rows: dict[str, ambiguity.Sample]) -> str:
    """One sample: formula against descent, the edge, the skewed target."""
    head = (
        "| loss | edge: squared error | PSNR | absolute error | log-normal: by descent | by search | descent off by |"
    )
    lines = [
        [name, f"{r.squared:.4f}", f"{-10 * np.log10(r.squared):.2f} dB", f"{r.absolute:.4f}", f"{r.skewed:.4f}",
         f"{r.searched:.4f}", f"{r.apart:.0e}"]
        for name, r in rows.items()
    ]  # fmt: skip
    return table(head, lines)


def quality_row(q: ambiguity.Quality) -> list[str]:
    """The cells of a Quality."""
    return [f"{q.psnr:.2f}", f"{q.absolute:.1f}", f"{q.sharpness:.2f}"]


def letters_tables(made: ambiguity.Letters) -> str:
    """Networks on letters by Adam, two seeds each, and by plain descent."""
    lines = []
    for (kind, name), both in made.rows.items():
        cells = [" / ".join(pair) for pair in zip(*map(quality_row, both), strict=True)]
        lines.append([kind, name, *cells])
    first = table("| input | loss | PSNR (dB) | absolute error | sharpness |", lines)
    lines = [[name, *(f"{made.plain[name, rate].psnr:.2f}" for rate in ambiguity.RATES)] for name in ("L2", "L1")]
    head = "| loss | " + " | ".join(f"rate {rate:g}" for rate in ambiguity.RATES) + " |"
    return first + "\n" + table(head, lines)


def real_table(made: Real) -> str:
    """The project's network: pooled, then clip by clip."""
    lines = []
    for name, by_clip in made.scores.items():
        pooled = sum((s.rgb for s in by_clip.values()), metrics.SquaredError())
        cells = [f"{pooled.psnr:.2f}"]
        for s in by_clip.values():
            cells += [f"{s.rgb.psnr:.2f}", f"{s.absolute:.2f}", f"{s.sharpness:.2f}", f"{s.flicker:.2f}"]
        lines.append([name, *cells])
    names = list(next(iter(made.scores.values())))
    head = "| trained by | pooled RGB PSNR | " + " | ".join(
        f"{clip}: RGB PSNR | absolute | sharpness | flicker" for clip in names
    )
    return table(head + " |", lines)


def main() -> None:
    """Command line of this file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--pictures", type=Path, default=Path("docs/losses"))
    options.add_argument("--out", type=Path, default=Path("bench/results"))
    given = options.parse_args()
    torch.set_num_threads(1)
    chart, samples = ambiguity.one_sample()
    figures.save(chart, given.pictures / "sample.png")
    word = ambiguity.one_word(given.seed, **({"count": 15, "steps": 20} if given.quick else {}))
    figures.save(word.image, given.pictures / "word.png")
    short = {"steps": 3, "plain_steps": 2, "tests": 5} if given.quick else {}
    nets = ambiguity.letters(given.seed, **short)
    figures.save(nets.image, given.pictures / "letters.png")
    setting = Setting(steps=4, batch=1, crop=16, frames=6, scored=3) if given.quick else Setting()
    with tempfile.TemporaryDirectory() as work:
        made = real(given.seed, setting, Path(work))
    figures.save(crops(made, ("Lanczos", *SHOWN, "original")), given.pictures / "real.png")
    figures.save(crops(made, (*ASTRAY, "original")), given.pictures / "astray.png")
    word_table = table(
        "| loss | PSNR | absolute error | sharpness |", [[name, *quality_row(q)] for name, q in word.rows.items()]
    )
    text = "\n".join([sample_table(samples), word_table, letters_tables(nets), real_table(made)])
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "losses.md").write_text(text)
    print("\n" + text)


if __name__ == "__main__":
    main()
