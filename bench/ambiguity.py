"""What a loss makes of a target that the input does not determine: one sample, one word, one small network.

The first two parts of docs/losses.md; bench/losses.py runs them.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import string
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor, nn

import figures
from subpixel.learn import losses

Array = npt.NDArray[Any]
Loss = Callable[[Tensor], Tensor]

FINE = 4  # drawings are made that much larger, so that they can be seen at quarters of a pixel


def root(error: Tensor) -> Tensor:
    """|e| ^ 1/2, rounded off at 0 so that it has a gradient there; not convex."""
    return (error * error + 1e-6) ** 0.25


LOSSES: dict[str, Loss] = {
    "L2": losses.squared,
    "Charbonnier 0.1": functools.partial(losses.charbonnier, epsilon=0.1),
    "Charbonnier 0.001": losses.charbonnier,
    "L1": torch.abs,
    "L0.5": root,
}
COLOURS: dict[str, figures.Colour] = {
    "L2": (31, 119, 180),
    "Charbonnier 0.1": (44, 160, 44),
    "Charbonnier 0.001": (188, 140, 20),
    "L1": (214, 39, 40),
    "L0.5": (148, 60, 189),
    "truth": (0, 0, 0),
}


@dataclasses.dataclass(frozen=True)
class Quality:
    """Of estimates against truths: decibels for samples of 0 to 1, mean absolute error in code values of 255,
    gradient energy over that of the truths."""

    psnr: float
    absolute: float
    sharpness: float


def quality(made: Tensor, truths: Tensor) -> Quality:
    """Pooled over all pictures (..., h, w); `made` may be one picture for all truths."""
    error = made - truths
    energy = gradient_energy(made.expand_as(truths)) / gradient_energy(truths)
    return Quality(-10 * float(torch.log10((error**2).mean())), 255 * float(error.abs().mean()), energy)


def gradient_energy(pictures: Tensor) -> float:
    """Mean squared difference of neighbours, across and down, of (..., h, w)."""
    return float((pictures.diff(dim=-1) ** 2).mean() + (pictures.diff(dim=-2) ** 2).mean())


def descend(loss: Loss, targets: Tensor, start: Tensor, weights: Tensor | float = 1.0, steps: int = 600) -> Tensor:
    """The estimate (...) that Adam finds for targets (n, ...): all targets in every step, a falling rate."""
    estimate = start.clone().requires_grad_()
    adam = torch.optim.Adam([estimate], lr=0.03)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        adam.zero_grad()
        (loss(estimate - targets) * weights).sum().backward()  # type: ignore[no-untyped-call]
        adam.step()
        rate.step()
    return estimate.detach()


# --- one sample ---------------------------------------------------------------------------------------------------


def two_valued(name: str, white: Array) -> Array:
    """Best estimate of a sample that is 1 with probability `white` and else 0, without any descent.

    L2: the mean. L1 and L0.5: the likelier value. Charbonnier: the root of its derivative, by bisection.
    """
    if name == "L2":
        return white
    if not name.startswith("Charbonnier"):
        return np.where(white > 0.5, 1.0, 0.0)
    epsilon = float(name.split()[1])
    low, high = np.zeros_like(white), np.ones_like(white)
    for _ in range(60):
        x = (low + high) / 2
        slope = (1 - white) * x / np.hypot(x, epsilon) - white * (1 - x) / np.hypot(1 - x, epsilon)
        low, high = np.where(slope < 0, x, low), np.where(slope < 0, high, x)
    return low


def found_two_valued(name: str, white: Array) -> Array:
    """The same by descent, from 0.02 and from 0.98, the better end of the two."""
    q = torch.from_numpy(white)
    targets, weights = torch.tensor([0.0, 1.0]).double()[:, None], torch.stack([1 - q, q])
    ends = [descend(LOSSES[name], targets, torch.full_like(q, s), weights) for s in (0.02, 0.98)]
    costs = [(LOSSES[name](x - targets) * weights).sum(0) for x in ends]
    best: Array = torch.where(costs[0] <= costs[1], ends[0], ends[1]).numpy()
    return best


def skewed(samples: int = 2000) -> Tensor:
    """Equally likely quantiles of a log-normal of median 0.2 and shape 0.8: its mean is 0.275, its mode 0.105."""
    ranks = (torch.arange(samples).double() + 0.5) / samples
    return 0.2 * torch.exp(0.8 * torch.special.ndtri(ranks))


@dataclasses.dataclass(frozen=True)
class Sample:
    """Of one loss: how far descent ends from the formula at most; squared and absolute error per sample of an edge
    that may be anywhere; the estimate for a log-normal target by descent, and by trying every value."""

    apart: float
    squared: float
    absolute: float
    skewed: float
    searched: float


def one_sample() -> tuple[Image.Image, dict[str, Sample]]:
    """The chart of both experiments on one sample, and their figures."""
    white, some = np.linspace(0, 1, 401), (np.arange(50) + 0.5) / 50
    values, ticks = skewed(), (0, 0.25, 0.5, 0.75, 1)
    costs, answers, rows = [], [], {}
    for name, loss in LOSSES.items():
        grid = torch.linspace(0, 1, 1001).double()
        cost = 0.7 * loss(grid) + 0.3 * loss(grid - 1)
        costs.append(
            figures.Curve("", grid.numpy(), ((cost - cost.min()) / (cost.max() - cost.min())).numpy(), COLOURS[name])
        )
        found = found_two_valued(name, some)
        answers.append(figures.Curve(name, white, two_valued(name, white), COLOURS[name]))
        answers.append(figures.Curve("", some[2::5], found[2::5], COLOURS[name], points=True))
        errors = [float(((1 - some) * found**p + some * (1 - found) ** p).mean()) for p in (2, 1)]
        fine = torch.linspace(0, 0.5, 2501).double()
        searched = float(fine[torch.stack([loss(x - values).mean() for x in fine]).argmin()])
        start = torch.tensor(searched + 0.05).double()
        descended = float(descend(loss, values, start, 1 / len(values)))
        apart = float(np.abs(found - two_valued(name, some)).max())
        rows[name] = Sample(apart, *errors, descended, searched)
    left = figures.Axes("expected loss where 1 comes 3 times in 10", (0, 1), (0, 1), ticks, (), "estimate")
    right = figures.Axes("best estimate (dots: by descent)", (0, 1), (0, 1), ticks, ticks, "probability of 1")
    return figures.row([figures.chart(left, costs), figures.chart(right, answers)]), rows


# --- one word, of which the input does not say where it is -----------------------------------------------------------


def drawing(width: int, height: int, *, margin: int = 4) -> Array:
    """A word, a bar and a hairline, black on white, FINE times (width, height) and a margin around; 0 to 1."""
    image = Image.new("L", ((width + 2 * margin) * FINE, (height + 2 * margin) * FINE), 255)
    draw = ImageDraw.Draw(image)
    at = margin * FINE
    draw.text(
        (at + 4 * FINE, at + 2 * FINE), "Phase", font=figures.font(30 * FINE), fill=0, stroke_width=3, stroke_fill=0
    )
    for left, width in ((98, 14), (122, 1)):
        x, y = at + left * FINE, at + 10 * FINE
        draw.rectangle((x, y, x + width * FINE - 1, y + 27 * FINE - 1), fill=0)
    return np.asarray(image, np.float32) / 255


def seen(canvas: Array, top: int, left: int, height: int, width: int) -> Array:
    """(height, width): the canvas (FINE samples a pixel) from an offset in its samples, each pixel the mean."""
    part = canvas[top : top + height * FINE, left : left + width * FINE]
    small: Array = part.reshape(height, FINE, width, FINE).mean(axis=(1, 3))
    return small


def shifted_words(count: int, rng: np.random.Generator, *, width: int = 132, height: int = 40) -> Tensor:
    """(count, height, width): the drawing moved by up to 2 pixels each way at random; the first one is not moved."""
    canvas = drawing(width, height)
    shifts = np.concatenate([np.zeros((1, 2), np.int64), rng.integers(-2 * FINE, 2 * FINE + 1, (count - 1, 2))])
    return torch.from_numpy(np.stack([seen(canvas, *(4 * FINE + shift), height, width) for shift in shifts]))


@dataclasses.dataclass(frozen=True)
class Word:
    """What each loss made of the word, how good that is, and how far it is from the mean or median of the truths."""

    image: Image.Image
    rows: dict[str, Quality]
    apart: dict[str, float]


def one_word(seed: int, *, count: int = 151, steps: int = 250) -> Word:
    """A free picture for one input, fitted to many truths that lie up to 2 pixels beside each other."""
    truths = shifted_words(count, np.random.default_rng(seed))
    made: dict[str, Tensor] = {}
    for name, loss in LOSSES.items():
        start = made["L1"] if name == "L0.5" else torch.full_like(truths[0], 0.5)
        made[name] = descend(loss, truths, start, 1 / count, steps)
    formula = {"L2": truths.mean(0), "L1": truths.quantile(0.5, dim=0)}
    apart = {name: float((made[name] - exact).abs().max()) for name, exact in formula.items()}
    low = F.avg_pool2d(truths[:1], 4)[0]
    tiles = [("what the input says: 1/4 of the size", figures.pixels(low.numpy(), 12))]
    likely = (("one possible truth", truths[1]), ("another, as likely", truths[2]))
    tiles += [(title, figures.pixels(picture.numpy(), 3)) for title, picture in (*likely, *made.items())]
    titled = [figures.titled(picture, title) for title, picture in tiles]
    pairs = [figures.row(titled[k : k + 2]) for k in range(0, len(titled), 2)]
    image = figures.column([*pairs, profile({"truth": truths[0], **made}, 22, 92, 130)])
    return Word(image, {name: quality(picture, truths) for name, picture in made.items()}, apart)


def profile(pictures: dict[str, Tensor], line: int, left: int, right: int) -> Image.Image:
    """A chart of one row of samples, from column left to right."""
    at = np.arange(left, right)
    curves = [figures.Curve(n, at, p[line, left:right].numpy(), COLOURS[n]) for n, p in pictures.items()]
    title, ticks = "one row through the bar and the hairline", range(-(-left // 10) * 10, right, 10)
    axes = figures.Axes(title, (left, right - 1), (0, 1), list(ticks), (0, 0.5, 1), "pixel", 600, 170)
    return figures.chart(axes, curves)


# --- a network, whose input has lost where edges are ------------------------------------------------------------------


def page(seed: int, side: int = 512, smallest: int = 14) -> Array:
    """Letters of `smallest` to three times as many pixels, strewn black on white, FINE * side square; 0 to 1."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", (side * FINE, side * FINE), 255)
    draw = ImageDraw.Draw(image)
    for _ in range(side * side // (3 * smallest**2)):
        x, y = (int(v) for v in rng.integers(-smallest * FINE, side * FINE, 2))
        size, letter = int(rng.integers(smallest, 3 * smallest)) * FINE, str(rng.choice(list(string.ascii_letters)))
        box = draw.textbbox((x, y), letter, font=figures.font(size))
        draw.rectangle(box, fill=255)
        draw.text((x, y), letter, font=figures.font(size), fill=0, stroke_width=int(rng.integers(0, 5)))
    return np.asarray(image, np.float32) / 255


def views(canvas: Array, rng: np.random.Generator, count: int, side: int = 64) -> Tensor:
    """(count, 1, side, side) of the canvas at random places, to a quarter of a pixel."""
    places = rng.integers(0, len(canvas) - side * FINE + 1, (count, 2))
    return torch.from_numpy(np.stack([seen(canvas, *place, side, side) for place in places]))[:, None]


def decimated(sharp: Tensor) -> Tensor:
    """Every fourth sample and nothing of those between: an edge between two of them may be anywhere."""
    return sharp[..., 1::4, 1::4]


def averaged(sharp: Tensor) -> Tensor:
    """Means of 4 x 4: the gray of a sample on an edge tells where the edge is."""
    return F.avg_pool2d(sharp, 4)


class Enlarger(nn.Module):
    """Four convolutions and a pixel shuffle, added to the bilinear picture: (N, 1, h, w) to (N, 1, 4h, 4w)."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        sizes = (1, channels, channels, channels, 16)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(sizes))

    def forward(self, low: Tensor) -> Tensor:
        """Enlarge by four."""
        x = 1 - low
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return F.pixel_shuffle(self.layers[-1](x), 4) + F.interpolate(low, scale_factor=4, mode="bilinear")


def fit(
    loss: Loss, shrink: Loss, canvas: Array, seed: int, steps: int, *, rate: float = 4e-3, adam: bool = True
) -> Any:
    """A network trained on random views, by Adam or by gradient descent with momentum 0.9; cosine rate."""
    torch.manual_seed(seed)
    rng, net = np.random.default_rng(seed), Enlarger()
    descent: torch.optim.Optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    if not adam:
        descent = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(descent, steps)
    for _ in range(steps):
        sharp = views(canvas, rng, 16)
        descent.zero_grad()
        loss(net(shrink(sharp)) - sharp).mean().backward()  # type: ignore[no-untyped-call]
        descent.step()
        schedule.step()
    return net.eval()


@dataclasses.dataclass(frozen=True)
class Letters:
    """What networks made of letters: by input and loss, for one seed or two; by loss and rate without Adam."""

    image: Image.Image
    rows: dict[tuple[str, str], list[Quality]]
    plain: dict[tuple[str, float], Quality]


INPUTS: dict[str, Loss] = {"every fourth sample": decimated, "means of 4 x 4": averaged}
RATES = (0.3, 1.0, 3.0, 10.0)  # of plain gradient descent


def letters(seed: int, *, steps: int = 600, plain_steps: int = 600, tests: int = 100) -> Letters:
    """Train on one page of letters, score on another, away from the borders of the views."""
    canvas = page(seed)
    sharp = views(page(seed + 1), np.random.default_rng(seed), tests)
    inner = (..., slice(8, -8), slice(8, -8))
    rows: dict[tuple[str, str], list[Quality]] = {}
    plain: dict[tuple[str, float], Quality] = {}
    shown: dict[str, list[tuple[str, Tensor]]] = {}

    def made(loss: Loss, shrink: Loss, *args: Any, **options: Any) -> Tensor:
        net = fit(loss, shrink, canvas, *args, **options)
        with torch.inference_mode():
            pictures: Tensor = net(shrink(sharp))
        return pictures

    for kind, shrink in INPUTS.items():
        repeated = shrink(sharp).repeat_interleave(4, -1).repeat_interleave(4, -2)
        shown[kind] = [(kind, repeated), ("truth", sharp)]
        for name in ("L2", "Charbonnier 0.1", "Charbonnier 0.001", "L1"):
            seeds = (seed, seed + 1) if name in ("L2", "L1") else (seed,)
            pictures = [made(LOSSES[name], shrink, one, steps) for one in seeds]
            rows[kind, name] = [quality(p[inner], sharp[inner]) for p in pictures]
            shown[kind].append((name, pictures[0]))
    for name in ("L2", "L1"):
        for rate in RATES:
            pictures_plain = made(LOSSES[name], averaged, seed, plain_steps, rate=rate, adam=False)
            plain[name, rate] = quality(pictures_plain[inner], sharp[inner])
    return Letters(shown_letters(shown, (2, 4)), rows, plain)


def shown_letters(shown: dict[str, list[tuple[str, Tensor]]], which: tuple[int, ...]) -> Image.Image:
    """Some of the test views: a row for each input and view, a column for each loss."""
    lines = []
    for pictures in shown.values():
        for k in which:
            tiles = [
                (t, figures.pixels(p[k, 0, 8:-8, 8:-8].numpy(), 3)) for t, p in pictures if t != "Charbonnier 0.001"
            ]
            lines.append(figures.row([figures.titled(tile, title) for title, tile in tiles]))
    return figures.column(lines)
