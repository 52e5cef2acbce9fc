"""Pictures for the pages: enlarged pixels in a grid, and line charts. Drawn by Pillow with the font it carries."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Array = npt.NDArray[Any]
Colour = tuple[int, int, int]

INK, PALE, GRID = (30, 30, 30), (120, 120, 120), (225, 225, 225)
GAP, LINE, SMALL = 10, 17, 13  # pixels between parts, of a line of text, of its letters
FINE = 3  # curves are drawn that much larger and shrunk, which smooths them


@dataclasses.dataclass(frozen=True)
class Curve:
    """y over x; label: "" for none. Points are dots without a line."""

    label: str
    x: Array
    y: Array
    colour: Colour
    points: bool = False
    width: float = 1.8


@dataclasses.dataclass(frozen=True)
class Axes:
    """Title, ranges and ticks of a chart."""

    title: str
    x: tuple[float, float]
    y: tuple[float, float]
    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    x_label: str = ""
    width: int = 300
    height: int = 260


def font(size: int = SMALL) -> Any:
    """Pillow's own scalable font: the same letters on every machine."""
    return ImageFont.load_default(size)


def pixels(values: Array, zoom: int = 1) -> Image.Image:
    """(h, w) gray of 0 to 1 or (h, w, 3) uint8 as a picture whose samples are zoom x zoom squares."""
    gray = values.ndim == 2
    codes = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8) if gray else values
    image = Image.fromarray(np.ascontiguousarray(codes.repeat(zoom, 0).repeat(zoom, 1)))
    return image.convert("RGB")


def titled(image: Image.Image, title: str) -> Image.Image:
    """The picture under one or more lines of text."""
    lines = title.split("\n")
    width = max(image.width, *(int(font().getlength(text)) + 2 for text in lines))
    out = Image.new("RGB", (width, image.height + LINE * len(lines) + 2), "white")
    draw = ImageDraw.Draw(out)
    for k, text in enumerate(lines):
        draw.text((0, k * LINE), text, font=font(), fill=INK)
    out.paste(image, (0, LINE * len(lines) + 2))
    return out


def row(images: Sequence[Image.Image]) -> Image.Image:
    """Side by side, tops level."""
    out = Image.new("RGB", (sum(i.width + GAP for i in images) - GAP, max(i.height for i in images)), "white")
    left = 0
    for image in images:
        out.paste(image, (left, 0))
        left += image.width + GAP
    return out


def column(images: Sequence[Image.Image]) -> Image.Image:
    """One above the other, left sides level."""
    out = Image.new("RGB", (max(i.width for i in images), sum(i.height + GAP for i in images) - GAP), "white")
    top = 0
    for image in images:
        out.paste(image, (0, top))
        top += image.height + GAP
    return out


def chart(axes: Axes, curves: Sequence[Curve]) -> Image.Image:
    """Lines and dots over labelled axes; a legend of the labelled ones on the right."""
    left, top, bottom = 34, LINE + 6, 2 * LINE + 4
    key = max([0, *(int(font().getlength(c.label)) + 30 for c in curves if c.label)])
    size = (left + axes.width + 8 + key, top + axes.height + bottom)

    def place(x: Array | float, y: Array | float) -> tuple[Any, Any]:
        across = (np.asarray(x) - axes.x[0]) / (axes.x[1] - axes.x[0])
        up = (np.asarray(y) - axes.y[0]) / (axes.y[1] - axes.y[0])
        return left + across * axes.width, top + (1 - up) * axes.height

    fine = Image.new("RGB", (size[0] * FINE, size[1] * FINE), "white")
    _lines(ImageDraw.Draw(fine), axes, curves, place)
    out = fine.resize(size, Image.Resampling.BOX)
    draw = ImageDraw.Draw(out)
    draw.text((left, 0), axes.title, font=font(), fill=INK)
    for value in axes.x_ticks:
        draw.text((place(value, 0)[0], top + axes.height + 4), f"{value:g}", font=font(), fill=PALE, anchor="mt")
    for value in axes.y_ticks:
        draw.text((left - 5, place(0, value)[1]), f"{value:g}", font=font(), fill=PALE, anchor="rm")
    draw.text((left + axes.width / 2, size[1] - 2), axes.x_label, font=font(), fill=INK, anchor="mb")
    for k, curve in enumerate(c for c in curves if c.label):
        y, x = top + 8 + k * LINE, left + axes.width + 12
        draw.rectangle((x, y - 2, x + 14, y), fill=curve.colour)
        draw.text((x + 19, y), curve.label, font=font(), fill=INK, anchor="lm")
    return out


def _lines(draw: ImageDraw.ImageDraw, axes: Axes, curves: Sequence[Curve], place: Any) -> None:
    """The grid, the curves and the dots, FINE times too large."""
    for value in axes.x_ticks:
        x = place(value, 0)[0] * FINE
        draw.line((x, place(0, axes.y[0])[1] * FINE, x, place(0, axes.y[1])[1] * FINE), fill=GRID, width=FINE)
    for value in axes.y_ticks:
        y = place(0, value)[1] * FINE
        draw.line((place(axes.x[0], 0)[0] * FINE, y, place(axes.x[1], 0)[0] * FINE, y), fill=GRID, width=FINE)
    for curve in curves:
        x, y = place(curve.x, np.clip(curve.y, *axes.y))
        spots = [(float(a) * FINE, float(b) * FINE) for a, b in zip(x, y, strict=True)]
        if curve.points:
            for a, b in spots:
                draw.ellipse((a - 3 * FINE, b - 3 * FINE, a + 3 * FINE, b + 3 * FINE), fill=curve.colour)
        else:
            draw.line(spots, fill=curve.colour, width=round(curve.width * FINE), joint="curve")


def save(image: Image.Image, path: Path) -> None:
    """A PNG with a white margin."""
    out = Image.new("RGB", (image.width + 2 * GAP, image.height + 2 * GAP), "white")
    out.paste(image, (GAP, GAP))
    path.parent.mkdir(parents=True, exist_ok=True)
    out.save(path, optimize=True)
