"""One pass over all inputs in step: what the page shows and what the frames score."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from subpixel import color, video
from subpixel.errors import InputError, UsageError
from subpixel.frames import Frame
from subpixel.metrics import FrameCountError, Tally, alignment, consistency, frame_tally, in_step
from subpixel.resample import resize_frame

Picture = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]

_KEPT = 1 << 28  # bytes of raw pictures in memory at most
_PROFILE = 300, 640  # frames and columns of a temporal profile at most


@dataclasses.dataclass(frozen=True, slots=True)
class Crop:
    """A part of the picture: size and upper left corner, in pixels."""

    width: int
    height: int
    x: int
    y: int

    def of(self, picture: Picture) -> Picture:
        """The part of an (h, w, 3) picture."""
        return picture[self.y : self.y + self.height, self.x : self.x + self.width]

    def centred(self, width: float, height: float) -> Crop:
        """The part about the same centre that is width x height: even numbers from 16 on, at most this crop."""
        w, h = (
            full if part >= full else min(full, max(16, int(part) // 2 * 2))
            for full, part in ((self.width, width), (self.height, height))
        )
        return Crop(w, h, self.x + (self.width - w) // 2, self.y + (self.height - h) // 2)


@dataclasses.dataclass
class View:
    """One picture of the page, and what is collected for it while the frames pass by.

    kept, rows: crops and profile rows, (h, w, 3) each; errors: of the last frame, see `frame_tally`.
    """

    label: str
    path: Path
    enlarged: str = ""  # "", "nearest" or "bicubic"
    scored: bool = False
    kept: list[Picture] = dataclasses.field(default_factory=list)
    rows: list[Picture] = dataclasses.field(default_factory=list)
    psnr: list[float] = dataclasses.field(default_factory=list)
    ssim: list[float] = dataclasses.field(default_factory=list)
    total: Tally = dataclasses.field(default_factory=Tally)
    by_type: dict[str, Tally] = dataclasses.field(default_factory=dict)
    errors: npt.NDArray[np.int16] | None = None


@dataclasses.dataclass
class Film:
    """What of the inputs goes into the page, and what all views share.

    chosen: numbers of the frames whose pictures are kept; profile: those with a row in the temporal profile.
    types: "I", "P", "B" or "?" for every frame, of the first input that is smaller than the rest.
    """

    views: list[View]
    size: tuple[int, int]
    total: int
    chosen: tuple[int, ...]
    profile: range
    crop: Crop
    row: Crop
    types: str = ""
    seconds: dict[int, float | None] = dataclasses.field(default_factory=dict)
    overview: Picture = dataclasses.field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8))


def collect(paths: list[Path], frames: int, crop: Crop | None, progress: Progress | None = None) -> Film:
    """Read all inputs once, in step; the last is the reference. Memory does not grow with their length.

    Raises InputError where an input is empty, of another shape, or has another number of frames.
    """
    views, size = _views(paths)
    film = _film(views, size, frames, crop)
    small = next((index for index, view in enumerate(views) if view.enlarged), None)
    try:
        for number, group in enumerate(in_step({view.label: _read(view.path) for view in views})):
            low = None if small is None else group[small]
            _take(film, number, group, low)
            film.types += low.kind if low else "?"
            if progress:
                progress(number + 1, film.total)
    except FrameCountError as error:
        raise InputError(f"{error}{alignment(error, [view.path for view in views])}") from None
    return film


def _read(path: Path) -> Iterator[Frame]:
    return video.read(path, deinterlace="off", codec_info=False)


def _first(path: Path) -> Frame:
    for frame in _read(path):
        return frame
    raise InputError(f"{path} holds no frames to compare.")


def _views(paths: list[Path]) -> tuple[list[View], tuple[int, int]]:
    """The views in order, and the size (width, height) of the largest input, at which all are shown."""
    firsts = [_first(path) for path in paths]
    sizes = [(frame.width, frame.height) for frame in firsts]
    width, height = size = max(sizes)
    scored = sizes[-1] == size
    views: list[View] = []
    for name, path, (w, h) in zip(_names(paths), paths, sizes, strict=True):
        if abs(w * height - h * width) > max(size):
            raise InputError(f"{path} is {w}x{h}, another shape than {width}x{height}; crop one of them first.")
        if (w, h) == size:
            views.append(View(name, path, scored=scored))
        else:
            views.append(View(f"{name} (nearest)", path, "nearest"))
            views.append(View(f"{name} (bicubic)", path, "bicubic", scored))
    views[-1].scored = False
    return views, size


def _names(paths: list[Path]) -> list[str]:
    """File names, whole paths where names repeat, numbered where paths repeat."""
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    seen = [names[:index].count(name) for index, name in enumerate(names)]
    return [f"{name} ({again + 1})" if again else name for name, again in zip(names, seen, strict=True)]


def _film(views: list[View], size: tuple[int, int], frames: int, crop: Crop | None) -> Film:
    whole = Crop(*size, 0, 0)
    if crop is None:
        bound = math.sqrt(min(1.0, _KEPT / (len(views) * frames * size[0] * size[1] * 3)))
        crop = whole.centred(size[0] * bound, size[1] * bound)
    elif min(crop.width, crop.height) < 1 or crop.x + crop.width > size[0] or crop.y + crop.height > size[1]:
        raise UsageError(f"The crop {crop.width}x{crop.height}+{crop.x}+{crop.y} is not inside {size[0]}x{size[1]}.")
    total = sum(1 for _ in _read(views[-1].path))
    chosen = sorted({round(number) for number in np.linspace(0, total - 1, min(frames, total)).tolist()})
    start = max(0, (total - _PROFILE[0]) // 2)
    middle = dataclasses.replace(crop, height=1, y=crop.y + crop.height // 2)
    return Film(
        views=views,
        size=size,
        total=total,
        chosen=tuple(chosen),
        profile=range(start, min(total, start + _PROFILE[0])),
        crop=crop,
        row=middle.centred(_PROFILE[1], 1),
    )


def _take(film: Film, number: int, group: tuple[Frame, ...], low: Frame | None) -> None:
    """Scores of one frame of every view; its crop and its row where they are wanted."""
    truth, truth_rgb = group[-1], color.to_rgb(group[-1])
    kept, row = number in film.chosen, number in film.profile
    for view, frame in zip(film.views, group, strict=True):
        if not (view.scored or kept or row):
            continue
        shown = resize_frame(frame, *film.size) if view.enlarged == "bicubic" else frame
        rgb = truth_rgb if shown is truth else color.to_rgb(shown)
        if view.scored:
            _score(view, shown, truth, (rgb, truth_rgb), low)
        if kept or row:
            rgb = _nearest(rgb, film.size)
        if kept:
            view.kept.append(film.crop.of(rgb).copy())
        if row:
            view.rows.append(film.row.of(rgb).copy())
    if kept:
        film.seconds[number] = truth.seconds
        if number == film.chosen[len(film.chosen) // 2]:
            film.overview = _thumbnail(truth_rgb)


def _score(view: View, frame: Frame, truth: Frame, rgb: tuple[Picture, Picture], low: Frame | None) -> None:
    tally, view.errors = frame_tally(frame, truth, rgb, view.errors)
    if low is not None:
        tally += Tally(consistency=consistency(frame, low))
        view.by_type[low.kind] = view.by_type.get(low.kind, Tally()) + tally
    view.total += tally
    view.psnr.append(tally.rgb.psnr)
    view.ssim.append(tally.mean_ssim)


def _nearest(rgb: Picture, size: tuple[int, int]) -> Picture:
    """Enlarged to (width, height): each pixel is the one of `rgb` that covers its centre."""
    height, width = rgb.shape[:2]
    if (width, height) == size:
        return rgb
    rows = (2 * np.arange(size[1]) + 1) * height // (2 * size[1])
    columns = (2 * np.arange(size[0]) + 1) * width // (2 * size[0])
    enlarged: Picture = rgb[rows[:, None], columns]
    return enlarged


def _thumbnail(rgb: Picture) -> Picture:
    """Shrunk by a whole factor to at most 480 pixels of width, each pixel the mean of its square."""
    factor = -(-rgb.shape[1] // 480)
    height, width = rgb.shape[0] // factor, rgb.shape[1] // factor
    squares = rgb[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    means: Picture = squares.mean(axis=(1, 3), dtype=np.float32).astype(np.uint8)
    return means
