"""A first look at every frame of a recording: can it be used, where is what it shows, how sharp is it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError
from subpixel.register import register

Float = npt.NDArray[np.float32]
Mode = Literal["surface", "planet"]

SIDE = 320  # pixels: frames are looked at no larger than this
COARSE = 160  # pixels: and surfaces compared no larger than this, where what the air bends is small
ALIKE = 0.35  # least correlation with the frame before; noise alone has none
CUT = 0.85  # a disc that has lost more than this of its usual area is behind a cloud, or cut
DIM = 0.2  # of the brightness above the sky: where a planet begins


@dataclasses.dataclass(frozen=True, slots=True)
class Disc:
    """A bright body before a darker sky, in pixels: its centre of light, its area, its box (top, bottom, left, right),
    whether it touches the edge of the picture, and whether the sky is dark and even along the edge."""

    x: float
    y: float
    area: int
    box: tuple[int, int, int, int]
    cut: bool
    dark: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Glance:
    """What a first look at one frame says.

    shift: (dx, dy) in pixels of the frame, of what it shows against where the first frame had it. sharpness: energy
    of its Laplacian over its squared brightness, to be compared within a recording. noise: standard deviation.
    area: of the planet. why: what it is that cannot be used, such as "burnt out", "" if it can be.
    """

    index: int
    shift: tuple[float, float] = (0.0, 0.0)
    sharpness: float = 0.0
    noise: float = 0.0
    area: int = 0
    why: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """Where a small picture shows what the recording is of, and the part of the picture that shows it."""

    shift: tuple[float, float] = (0.0, 0.0)
    part: tuple[slice, slice] = (slice(0, SIDE), slice(0, SIDE))
    area: int = 0
    why: str = ""


def luminance(picture: Float) -> Float:
    """(height, width) of a picture that may be RGB: weights of BT.601, which suit the noise of Bayer cameras."""
    return picture if picture.ndim == 2 else picture @ np.array([0.299, 0.587, 0.114], np.float32)


def look(frames: Iterable[tuple[int, Float]], mode: Mode, first: Sequence[Float] = ()) -> list[Glance]:
    """One glance at each of the frames (index, picture); one picture at a time is in memory.

    first: some frames, of which the one most like the others is what a surface is first compared with, so that a
    spoilt first frame spoils nothing.
    """
    find = _body if mode == "planet" else _Surface(_typical([_coarse(luminance(p))[0] for p in first])).found
    seen = [_glance(index, picture, find) for index, picture in frames]
    return _sized(seen) if mode == "planet" else seen


def guess_mode(frames: Iterable[Float]) -> Mode:
    """ "planet" where most of the frames show one body before a dark sky, whole or small."""
    small = [_small(luminance(picture))[0] for picture in frames]
    found = [(find_disc(picture), picture.size) for picture in small]
    bodies = [disc for disc, size in found if disc and disc.dark and (not disc.cut or disc.area < 0.2 * size)]
    return "planet" if len(bodies) > len(small) / 2 else "surface"


def find_disc(picture: Float) -> Disc | None:
    """The largest bright body in a luminance picture, None where nothing stands out."""
    import cv2

    smooth = cv2.GaussianBlur(picture, (0, 0), 1.5)
    edge = np.concatenate([smooth[0], smooth[-1], smooth[:, 0], smooth[:, -1]])
    sky, bright = float(np.median(edge)), float(np.quantile(smooth, 0.999))
    rough = float(np.median(np.abs(np.diff(picture, axis=1)))) / 0.954  # noise: of differences, 0.67 sqrt(2) sigma
    if bright - sky < max(4 * rough, 0.4 * bright):
        return None
    bodies, labels, facts, _ = cv2.connectedComponentsWithStats((smooth > sky + DIM * (bright - sky)).astype(np.uint8))
    largest = 1 + int(np.argmax(facts[1:, cv2.CC_STAT_AREA])) if bodies > 1 else 0
    left, top, width, height, area = facts[largest].tolist()
    if not largest or area < 12 or area > 0.6 * picture.size:
        return None
    body = np.where(labels == largest, np.maximum(smooth - sky, 0), 0)
    y, x = body.sum(1), body.sum(0)
    cut = left == 0 or top == 0 or left + width == picture.shape[1] or top + height == picture.shape[0]
    centre = [float(np.arange(len(p)) @ p / p.sum()) for p in (x, y)]
    low, high = np.quantile(edge, (0.1, 0.75))
    dark = sky < 0.3 * bright and high - low < 0.15 * (bright - sky)
    return Disc(centre[0], centre[1], area, (top, top + height, left, left + width), cut, bool(dark))


def _small(picture: Float, most: int = SIDE) -> tuple[Float, float]:
    """The picture with no side above `most`, and how many of its pixels are one of these."""
    import cv2

    factor = max(1.0, max(picture.shape) / most)
    size = tuple(max(1, round(side / factor)) for side in picture.shape[::-1])
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA)), picture.shape[1] / size[0]


def _glance(index: int, picture: Float, find: Callable[[Float], _Found]) -> Glance:
    import cv2

    if not np.isfinite(picture).all():
        return Glance(index, why="with values that are no numbers")
    plane = luminance(picture)
    if why := _unusable(plane):
        return Glance(index, why=why)
    small, factor = _small(plane)
    found = find(small)
    if found.why:
        return Glance(index, why=found.why)
    shown = cv2.GaussianBlur(small[found.part], (0, 0), 1.0)
    energy = float(np.mean(np.square(cv2.Laplacian(shown, cv2.CV_32F))))
    shift = found.shift[0] * factor, found.shift[1] * factor
    lit = plane[tuple(slice(*(int(end * factor) for end in (side.start, side.stop))) for side in found.part)]
    return Glance(index, shift, energy / max(float(shown.mean()), 1e-6) ** 2, noise_of(lit), found.area)


def _unusable(plane: Float) -> str:
    low, high = float(plane.min()), float(plane.max())
    if high - low < 1e-6:
        return "of one brightness everywhere"
    lit = np.count_nonzero(plane > (low + high) / 2)
    if np.count_nonzero(plane >= high - 1e-6) > 0.5 * lit and lit > 0.001 * plane.size:
        return "burnt out"
    return ""


def noise_of(plane: Float) -> float:
    """Standard deviation of white noise (Immerkaer, CVIU 64, 1996), from the median so that edges do not count."""
    import cv2

    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    rough = np.abs(cv2.filter2D(plane, -1, mask)[1:-1:2, 1:-1:2])
    return float(np.median(rough)) / (0.6745 * 6)


def _coarse(picture: Float) -> tuple[Float, float]:
    """As `_small`, with no side above COARSE, and blurred against noise."""
    import cv2

    small, factor = _small(picture, COARSE)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 1.5)), factor


class _Surface:
    """Follows a surface that fills the frame: registers against an earlier frame, which is replaced as it drifts away,
    so that a recording may wander by more than its width."""

    def __init__(self, anchor: Float | None) -> None:
        self.anchor = anchor
        self.origin = (0.0, 0.0)

    def found(self, small: Float) -> _Found:
        coarse, factor = _coarse(small)
        (dx, dy), alike = _compared(coarse if self.anchor is None else self.anchor, coarse)
        if alike < ALIKE:
            return _Found(why="with nothing that other frames show")
        place = self.origin[0] + dx * factor, self.origin[1] + dy * factor
        if max(abs(dx) / coarse.shape[1], abs(dy) / coarse.shape[0]) > 0.2:
            self.anchor, self.origin = coarse, place
        return _Found(place)


def _compared(reference: Float, moving: Float) -> tuple[tuple[float, float], float]:
    """The shift between two pictures and their likeness with it undone, which is 0 where none can be found."""
    try:
        shift = register(reference, moving).shift
    except InputError:
        return (0.0, 0.0), 0.0
    return shift, likeness(reference, moving, shift)


def _typical(pictures: Sequence[Float]) -> Float | None:
    """The one that is most like the others."""
    usable = [picture for picture in pictures if not _unusable(picture)]
    if not usable:
        return None
    alike = np.eye(len(usable))
    for i, j in itertools.combinations(range(len(usable)), 2):
        alike[i, j] = alike[j, i] = _compared(usable[i], usable[j])[1]
    return usable[int(np.argmax(alike.sum(0)))]


def likeness(reference: Float, moving: Float, shift: tuple[float, float]) -> float:
    """Correlation, -1 to 1, of two blurred pictures where they overlap, the second moved back by whole pixels."""
    import cv2

    dx, dy = round(shift[0]), round(shift[1])
    height, width = reference.shape
    if abs(dx) > 0.8 * width or abs(dy) > 0.8 * height:
        return 0.0
    here = reference[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
    there = moving[max(0, dy) : height - max(0, -dy), max(0, dx) : width - max(0, -dx)]
    a, b = (cv2.GaussianBlur(part, (0, 0), 2.0) for part in (here, there))
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-12))


def _body(small: Float) -> _Found:
    """Where the centre of light of a body before a dark sky is."""
    disc = find_disc(small)
    if disc is None:
        return _Found(why="without a planet")
    if disc.cut:
        return _Found(why="cut by the edge of the picture")
    top, bottom, left, right = disc.box
    part = slice(max(0, top - 4), bottom + 4), slice(max(0, left - 4), right + 4)
    return _Found((disc.x, disc.y), part, disc.area)


def _sized(seen: list[Glance]) -> list[Glance]:
    """Half a planet has its centre elsewhere and looks sharp, being all edge: it must not be ranked."""
    usual = float(np.median([g.area for g in seen if not g.why] or [1]))
    odd = "with a planet of another size"
    fits = {g.index for g in seen if CUT < g.area / usual < 2 - CUT}
    return [g if g.why or g.index in fits else dataclasses.replace(g, why=odd) for g in seen]
