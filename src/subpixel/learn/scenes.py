"""Photographs become moving pictures: what stands before the synthetic camera, and how it moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from subpixel import color, resample, video
from subpixel.errors import InputError
from subpixel.frames import Frame
from subpixel.learn import camera, glyphs
from subpixel.learn.camera import Layer, Rng

FRAMES = 30
WIDTH, HEIGHT = 768, 448
_SMALLEST = 192  # pixels of the shorter side of a view
_LETTERS = ("bcdfghklmnprstvwz", "aeiouy")

Planes = Sequence[Tensor]  # Y (h, w), U and V (h/2, w/2): code values, float32


def photo_frames(path: Path, rng: Rng, motion: str, *, unit: int = 16, frames: int = FRAMES) -> list[Frame]:
    """A photograph under one of MOTIONS as limited-range 4:2:0 frames, sides multiples of `unit`.

    At most 768x448, less where the photograph is small. Raises InputError for one that is too small for any.
    """
    photo = next(iter(video.read(path, codec_info=False, deinterlace="off")))
    # Shrinking first hides the camera's own compression and keeps every later enlargement below the sharp limit.
    width, height = (
        min(most, int(side * 0.8 / 1.5)) // unit * unit for most, side in ((WIDTH, photo.width), (HEIGHT, photo.height))
    )
    if motion == "handheld":  # as the shipped networks saw it, whatever the size of the photograph
        width, height = (most // unit * unit for most in (WIDTH, HEIGHT))
    elif min(width, height) < _SMALLEST:
        raise InputError(
            f"{path} has {photo.width}x{photo.height} pixels, too few to move a camera over; leave it out."
        )
    canvas = _canvas(photo, max(1.5 * width / photo.width, 1.5 * height / photo.height, 0.3))
    return list(MOTIONS[motion](canvas, rng, width, height, frames))


def _canvas(photo: Frame, factor: float) -> Planes:
    """The photograph `factor` times as large (0.8 at most), as planes of code values, 4:2:0, limited range."""
    work = color.to_yuv(photo) if photo.layout.rgb else photo
    factor = min(0.8, factor)
    wide, tall = (int(side * factor) // 2 * 2 for side in (photo.width, photo.height))
    planes = []
    for index, (w, h) in enumerate(((wide, tall), (wide // 2, tall // 2), (wide // 2, tall // 2))):
        if index < work.layout.planes:
            small = resample.resize(work.planes[index], w, h, kernel="area", bits=work.layout.bits)
            planes.append(torch.from_numpy(color.normalise(small, work, chroma=index > 0)) * 255)
        else:
            planes.append(torch.full((h, w), 128.0))
    return planes


def _handheld(canvas: Planes, rng: Rng, width: int, height: int, frames: int) -> Iterator[Frame]:
    yield from camera.handheld(canvas, rng, width=width, height=height, frames=frames)


def _flight(canvas: Planes, rng: Rng, width: int, height: int, frames: int) -> Iterator[Frame]:
    """The whole homography: drift, jitter, zoom, roll, tilt; stops now and then; motion blur in two of five."""
    speed = float(np.exp(rng.uniform(np.log(0.3), np.log(8.0))))
    motion = camera.wander(rng, frames, speed=speed, shake=rng.uniform(0, 1.5), turn=rng.uniform(0, 2), rest=0.4)
    path = motion.path(_center(canvas, rng.uniform(-0.1, 0.1, 2)), 1.25, (width, height))
    return camera.render([Layer(canvas, None, path)], width, height, _shutter(rng))


def _parallax(canvas: Planes, rng: Rng, width: int, height: int, frames: int) -> Iterator[Frame]:
    """The photograph behind two of its own parts, mirrored and cut to blobs, which pass by faster."""
    speed = float(np.exp(rng.uniform(np.log(0.5), np.log(4.0))))
    motion = camera.wander(rng, frames, speed=speed, shake=rng.uniform(0, 1), turn=0.3, rest=0.3)
    layers = [Layer(canvas, None, motion.path(_center(canvas), 1.25, (width, height)))]
    for depth in (rng.uniform(1.3, 2), rng.uniform(2, 3)):
        flipped = [plane.flip(-1) for plane in canvas]
        where = _center(canvas, rng.uniform(-0.1, 0.1, 2))
        layers.append(_over(flipped, _blobs(rng, canvas[0].shape), motion.path(where, 1.25, (width, height), depth)))
    return camera.render(layers, width, height, _shutter(rng))


def _titles(canvas: Planes, rng: Rng, width: int, height: int, frames: int) -> Iterator[Frame]:
    """Rolling, crawling or standing text and shapes over the photograph, or over a plain colour."""
    kind = str(rng.choice(["roll", "crawl", "stand"], p=[0.45, 0.3, 0.25]))
    behind = camera.wander(rng, frames, speed=1.5 * rng.random(), shake=0.3, turn=0.3, rest=0.7)
    if rng.random() < 0.3:
        canvas = [torch.full_like(plane, value) for plane, value in zip(canvas, _tint(rng), strict=True)]
    layers = [Layer(canvas, None, behind.path(_center(canvas), 1.25, (width, height)))]
    layers.append(_shapes(rng, width, height, frames))
    speed = float(rng.choice([0.5, 1, 1.5, 2, 3, 4])) if rng.random() < 0.5 else float(rng.uniform(0.3, 5))
    travel = {"roll": camera.steady(frames, y=speed), "crawl": camera.steady(frames, x=2 * speed)}
    layers.append(_text(rng, width, height, travel.get(kind, camera.steady(frames)), crawl=kind == "crawl"))
    return camera.render(layers, width, height)


def _still(canvas: Planes, rng: Rng, width: int, height: int, frames: int) -> Iterator[Frame]:
    """Nothing moves."""
    center = _center(canvas, rng.uniform(-0.1, 0.1, 2))
    path = camera.steady(frames).path(center, 1.25, (width, height))
    return camera.render([Layer(canvas, None, path)], width, height)


MOTIONS: dict[str, Callable[[Planes, Rng, int, int, int], Iterator[Frame]]] = {
    "handheld": _handheld,
    "flight": _flight,
    "parallax": _parallax,
    "titles": _titles,
    "still": _still,
}


def _center(canvas: Planes, shift: object = 0.0) -> tuple[float, float]:
    """The middle of a canvas, moved by a share of its size."""
    tall, wide = canvas[0].shape
    x, y = (0.5 + np.broadcast_to(np.asarray(shift, float), 2)) * (wide, tall)
    return float(x), float(y)


def _shutter(rng: Rng) -> int:
    """Moments of motion blur: none for three in five."""
    return int(rng.integers(3, camera.SHUTTER - 1)) if rng.random() < 0.4 else 1


def _tint(rng: Rng) -> tuple[float, float, float]:
    return float(rng.uniform(16, 235)), float(rng.normal(128, 20)), float(rng.normal(128, 20))


def _over(planes: Planes, opacity: Tensor, path: camera.Float64) -> Layer:
    """A layer that is opaque where `opacity` (h, w) is 1."""
    chroma = F.avg_pool2d(opacity[None], 2)[0]
    covers = (opacity, chroma, chroma)
    return Layer([plane * cover for plane, cover in zip(planes, covers, strict=True)], (opacity, chroma), path)


def _blobs(rng: Rng, shape: tuple[int, ...] | torch.Size) -> Tensor:
    """(h, w) opacity: about a third is covered by round shapes with edges of one sample."""
    seed = torch.from_numpy(rng.normal(0, 1, (1, 1, 5, 8))).float()
    field = F.interpolate(seed, tuple(shape), mode="bicubic", align_corners=False)[0, 0]
    down, right = torch.gradient(field)
    return ((field - field.quantile(0.67)) / torch.hypot(down, right).clamp_min(1e-5) + 0.5).clamp(0, 1)


def _text(rng: Rng, width: int, height: int, motion: camera.Motion, *, crawl: bool) -> Layer:
    """Lines of made-up words in one style, with two samples a pixel."""
    wide, tall = (2 * side + 2 * int(track[-1] + 1) for side, track in ((width, motion.x), (height, motion.y)))
    size = float(rng.uniform(14, 60)) * (2 if rng.random() < 0.3 else 1)
    style = {"weight": float(rng.uniform(0.6, 1.6)), "slant": float(rng.choice([0.0, 0.0, 0.2]))}
    coverage = torch.zeros(tall, wide)
    top = int(rng.integers(0, 40)) if not crawl else int(tall * rng.uniform(0.1, 0.75))
    for _ in range(1 if crawl else 99):
        words = [_word(rng) for _ in range(40 if crawl else int(rng.integers(1, 6)))]
        line = torch.from_numpy(glyphs.draw(" ".join(words), size, **style))[: tall - top, :wide]
        left = 0 if crawl else int(rng.integers(0, wide - line.shape[1] + 1))
        coverage[top : top + line.shape[0], left : left + line.shape[1]] = line
        top += round(size * float(rng.uniform(1.7, 2.2)))
        if top >= tall - 2 * size:
            break
    tint = _tint(rng) if rng.random() < 0.4 else (235.0, 128.0, 128.0)
    planes = [torch.full((tall // k, wide // k), value) for k, value in zip((1, 2, 2), tint, strict=True)]
    return _over(planes, coverage, motion.path((width, height), 2.0, (width, height)))


def _word(rng: Rng) -> str:
    """Something to read: syllables, a number, or capitals."""
    if rng.random() < 0.15:
        return str(int(rng.integers(0, 3000)))
    length = int(rng.integers(1, 5))
    word = "".join(str(rng.choice(list(_LETTERS[k % 2]))) for k in range(2 * length))
    return word.upper() if rng.random() < 0.2 else word.capitalize() if rng.random() < 0.4 else word


def _shapes(rng: Rng, width: int, height: int, frames: int) -> Layer:
    """Bars, discs, rings and stripes with sharp edges, standing or sliding together."""
    tall, wide = 2 * height, 2 * width
    planes = [np.zeros((tall // k, wide // k), np.float32) for k in (1, 2, 2)]
    opacity = [np.zeros_like(plane) for plane in planes[:2]]
    for _ in range(int(rng.integers(1, 5))):
        cover = np.clip(_inside(rng, tall, wide) + 0.5, 0, 1).astype(np.float32)
        half = cover.reshape(tall // 2, 2, wide // 2, 2).mean(axis=(1, 3))
        values = (*_tint(rng), 1.0, 1.0)
        for plane, value, part in zip((*planes, *opacity), values, (cover, half, half, cover, half), strict=True):
            plane += (value - plane) * part
    motion = camera.steady(frames, *(rng.normal(0, 2, 2) * (rng.random() < 0.5)))
    path = motion.path((width, height), 2.0, (width, height))
    luma, chroma = map(torch.from_numpy, opacity)
    return Layer([torch.from_numpy(plane) for plane in planes], (luma, chroma), path)


def _inside(rng: Rng, tall: int, wide: int) -> camera.Float64:
    """(tall, wide): how many samples each place lies inside the edge of a bar, a disc, a ring or a striped bar."""
    y, x = np.mgrid[0:tall, 0:wide] + 0.5
    x, y = x - rng.uniform(0, wide), y - rng.uniform(0, tall)
    a, b = rng.uniform(20, wide / 4), rng.uniform(10, tall / 8)
    bar, disc = np.minimum(a - np.abs(x), b - np.abs(y)), a / 2 - np.hypot(x, y)
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(6, 40)
    stripes = np.abs((x * np.cos(angle) + y * np.sin(angle)) % pitch - pitch / 2) - pitch / 4
    shapes: list[camera.Float64] = [bar, disc, rng.uniform(1, 8) - np.abs(disc), np.minimum(bar, stripes)]
    return shapes[int(rng.integers(0, 4))]
