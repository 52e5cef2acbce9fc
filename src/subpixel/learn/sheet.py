"""A contact sheet of a store: what its clips look like, sharp and degraded, and what the codec said of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from subpixel import color, resample
from subpixel.frames import Frame
from subpixel.learn import glyphs
from subpixel.learn.store import ARRAYS, Clip, Store
from subpixel.video.image import encode_image
from subpixel.video.write import writing

RGB = npt.NDArray[np.uint8]

_BOX = 288, 192  # pixels: room for a whole picture
_SIDE = 192  # pixels: a square of the sharp picture, and the same square of the degraded one enlarged
_EDGE = 12
_LINE = 26  # a line of text with its room
_PAPER, _INK = 250, 25
_QP = (10, 40)  # quantisers at the ends of the colours
_SPEED = 2.0  # LR pixels of motion at full colour
_STOPS = np.array([[40, 60, 160], [60, 170, 190], [240, 225, 120], [225, 110, 50], [150, 20, 40]], np.float64)
_TITLES = ("sharp, whole", "sharp", "degraded", "quantiser {}..{}", "motion, hue = direction")


def sheet(folder: Path, out: Path, *, clips: int = 12) -> int:
    """Write a PNG with a row for each of so many clips, evenly spread over the store; returns how many.

    A row shows the clip's middle frame: all of the sharp side; its most detailed square; the same square of the
    degraded side, enlarged without smoothing; the quantiser of each macroblock; the codec's motion vectors, past ones
    where there are any. Raises InputError for a folder that is no store, DiskError where the file cannot be written.
    """
    store = Store(folder, part=None)
    chosen = np.unique(np.linspace(0, len(store.clips) - 1, min(clips, len(store.clips))).round().astype(int))
    rows = [_header(folder.resolve().name, store)]
    rows += [_row(store, store.clips[number]) for number in chosen.tolist()]
    with writing(out):
        out.write_bytes(encode_image(np.concatenate(rows)))
    return len(chosen)


def _widths() -> tuple[int, ...]:
    return _BOX[0], _SIDE, _SIDE, _BOX[0], _BOX[0]


def _blank(height: int) -> RGB:
    return np.full((height, sum(_widths()) + _EDGE * 6, 3), _PAPER, np.uint8)


def _header(name: str, store: Store) -> RGB:
    frames = sum(clip.facts["frames"] for clip in store.clips)
    paper = _blank(_LINE * 3 + _EDGE)
    text = f"{name}: {len(store.clips)} clips, {frames} frames, {store.bytes / 1e9:.2f} GB, scale {store.scale}"
    _write(paper, text, _EDGE, _EDGE, 14)
    left = _EDGE
    for width, title in zip(_widths(), _TITLES, strict=True):
        _write(paper, title.format(*_QP), left, _EDGE + _LINE, 9)
        left += width + _EDGE
    left = _EDGE * 4 + _BOX[0] + 2 * _SIDE
    ramp = np.linspace(*_QP, _BOX[0])[None].repeat(8, 0)
    paper[-18:-10, left : left + _BOX[0]] = _heat(ramp)
    around = np.linspace(0, 2 * np.pi, _BOX[0])[None].repeat(8, 0)
    paper[-18:-10, left + _BOX[0] + _EDGE : left + 2 * _BOX[0] + _EDGE] = _hue(around, np.ones_like(around))
    for turn, arrow in enumerate(("left", "up", "right", "down", "left")):
        shift = min(turn * _BOX[0] // 4, _BOX[0] - 30)
        _write(paper, arrow, left + _BOX[0] + _EDGE + shift, paper.shape[0] - 34, 7)
    return paper


def _row(store: Store, clip: Clip) -> RGB:
    sharp, low = store.frames(clip)
    t = len(low) // 2
    paper = _blank(_BOX[1] + _LINE + _EDGE)
    facts = clip.facts
    qp = low[t].qp
    text = (
        f"{clip.name}   {sharp[t].width}x{sharp[t].height} to {low[t].width}x{low[t].height}, {len(low)} frames, "
        f"crf {facts['crf']:g}, frame {t} ({low[t].kind}), qp {0 if qp is None else qp.mean():.1f}"
        + (f", {facts['part']}" if facts.get("part") == "validation" else "")
    )
    _write(paper, text, _EDGE, 4, 9)
    side = _SIDE // store.scale // 2 * 2
    top, left = _detailed(low[t].planes[0], side)
    heat = _heat(np.zeros((1, 1)) if qp is None else qp, low[t])
    pictures = [
        _fitted(color.to_rgb(sharp[t])),
        _enlarged(_square(sharp[t], top * store.scale, left * store.scale, side * store.scale)),
        _enlarged(_square(low[t], top, left, side)),
        _fitted(heat),
        _fitted(_moved(np.load(clip.folder / f"{ARRAYS[-1]}.npy", mmap_mode="r")[t], low[t])),
    ]
    x = _EDGE
    for width, picture in zip(_widths(), pictures, strict=True):
        paper[_LINE : _LINE + picture.shape[0], x : x + picture.shape[1]] = picture
        x += width + _EDGE
    return paper


def _write(paper: RGB, text: str, x: int, y: int, height: float) -> None:
    """Text onto the paper, as much of it as there is room."""
    ink = glyphs.draw(text, height, weight=0.8)[: paper.shape[0] - y, : paper.shape[1] - x, None]
    part = paper[y : y + ink.shape[0], x : x + ink.shape[1]]
    part[:] = np.rint(part * (1 - ink) + _INK * ink)


def _detailed(luma: npt.NDArray[np.generic], side: int) -> tuple[int, int]:
    """Upper left corner (top, left; even) of the square with the largest differences between neighbours."""
    codes = luma.astype(np.float64)
    change = np.zeros_like(codes)
    change[:, 1:] += np.abs(np.diff(codes, axis=1))
    change[1:] += np.abs(np.diff(codes, axis=0))
    sums = np.pad(change.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    tall, wide = (min(side, length) for length in codes.shape)
    inside = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
    row, column = np.unravel_index(int(inside[::2, ::2].argmax()), inside[::2, ::2].shape)
    return 2 * int(row), 2 * int(column)


def _square(frame: Frame, top: int, left: int, side: int) -> RGB:
    """RGB of a part of a 4:2:0 frame."""
    cut = [
        np.ascontiguousarray(plane[top >> s : (top + side) >> s, left >> s : (left + side) >> s])
        for plane, s in zip(frame.planes, (0, 1, 1), strict=True)
    ]
    return color.to_rgb(frame.replace(planes=tuple(cut), qp=None, motion=None))


def _enlarged(rgb: RGB) -> RGB:
    """Every pixel a square, so that the whole fills _SIDE."""
    times = max(1, _SIDE // max(rgb.shape[:2]))
    return rgb.repeat(times, 0).repeat(times, 1)[:_SIDE, :_SIDE]


def _fitted(rgb: RGB) -> RGB:
    """The picture in _BOX, its shape kept: small ones by squares, large ones by bicubic shrinking."""
    tall, wide = rgb.shape[:2]
    factor = min(_BOX[0] / wide, _BOX[1] / tall)
    size = max(1, int(wide * factor)), max(1, int(tall * factor))
    if factor > 1:
        rows, columns = (np.arange(n) * length // n for n, length in ((size[1], tall), (size[0], wide)))
        return np.asarray(rgb[rows][:, columns])
    return np.stack([resample.resize(np.ascontiguousarray(rgb[..., k]), *size) for k in range(3)], -1)


def _heat(qp: npt.NDArray[np.generic], frame: Frame | None = None) -> RGB:
    """Colours of quantisers, from blue for fine to red for coarse; for a frame, one sample a pixel."""
    at = np.clip((qp.astype(np.float64) - _QP[0]) / (_QP[1] - _QP[0]), 0, 1) * (len(_STOPS) - 1)
    low = np.minimum(at.astype(int), len(_STOPS) - 2)
    share = (at - low)[..., None]
    colors = np.rint(_STOPS[low] * (1 - share) + _STOPS[low + 1] * share).astype(np.uint8)
    if frame is not None:
        colors = colors.repeat(16, 0).repeat(16, 1)[: frame.height, : frame.width]
    return np.asarray(colors, np.uint8)


def _moved(field: npt.NDArray[np.int16], frame: Frame) -> RGB:
    """The darkened picture with the direction of motion as hue and its speed as strength."""
    past = (field[:2] != 0).any(axis=0)
    x, y = np.where(past, field[:2], field[2:]).astype(np.float64) / 4
    strength = np.clip(np.hypot(x, y) / _SPEED, 0, 1)
    angle, strength = (
        a.repeat(4, 0).repeat(4, 1)[: frame.height, : frame.width] for a in (np.arctan2(y, x) + np.pi, strength)
    )
    gray = (frame.planes[0].astype(np.float64) * 0.5)[..., None]
    mixed: RGB = np.rint(
        gray * (1 - 0.8 * strength[..., None]) + 0.8 * strength[..., None] * _hue(angle, strength)
    ).astype(np.uint8)
    return mixed


def _hue(angle: npt.NDArray[np.float64], strength: npt.NDArray[np.float64]) -> RGB:
    """Saturated colours (h, w, 3) of angles in radians, 0 to 2 pi; black where the strength is 0."""
    phase = angle[..., None] + np.array([0, -2, 2]) * np.pi / 3
    return np.asarray(np.rint((127.5 + 127.5 * np.cos(phase)) * np.minimum(1, 2 * strength[..., None])), np.uint8)
