"""Films become sharp clips: which part of a shot, how much smaller, mirrored or backwards, before any degrading."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import numpy.typing as npt

from subpixel import color, resample
from subpixel.errors import InputError
from subpixel.frames import LIMITED, Frame
from subpixel.learn import sources
from subpixel.learn.scenes import MOTIONS
from subpixel.learn.sources import PHOTO, SHRINKS, Box, Shot, Source

SMALLEST = 256  # pixels: the shorter side of a sharp clip is not shrunk below this
_ROOM = 64  # samples: the first ones of a picture may be left out, so that blocks fall on other places
_MIX = (0.3, 0.25, 0.15, 0.15, 0.15)  # chances of the MOTIONS in a mix


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way of making a pair.

    crf: of the encoder. Of films: shrink before use, mirror, play backwards, first frame of the shot and how many;
    shift_x, shift_y: how far to go (0 to 1) in the room for another grid of blocks. Of photographs: motion of the
    camera.
    """

    crf: float
    shrink: float = 1.0
    mirror: bool = False
    backwards: bool = False
    first: int = 0
    frames: int = 0
    shift_x: float = 0.0
    shift_y: float = 0.0
    motion: str = ""


def variants(source: Source, key: str, seed: int, count: int, frames: int) -> list[Variant]:
    """The seeded variants of a shot of so many frames, or of a photograph: 60 % at CRF 21, the rest at 18 to 24."""
    rng = np.random.default_rng([seed, *key.encode()])
    if source.photo:
        return [_photo_variant(rng, source.treatment) for _ in range(count)]
    chosen = []
    for shrink, length in itertools.islice(itertools.cycle(SHRINKS[source.treatment]), count):
        jitter = float(rng.uniform(0.9, 1.0)) if shrink < 1 else 1.0
        crf = _crf(rng)
        mirror, backwards = bool(rng.random() < 0.5), bool(rng.random() < 0.3)
        used = min(length, frames)
        first = int(rng.integers(0, frames - used + 1))
        x, y = (round(float(share), 4) for share in rng.random(2))
        chosen.append(Variant(crf, round(shrink * jitter, 4), mirror, backwards, first, used, x, y))
    return chosen


def _photo_variant(rng: np.random.Generator, treatment: str) -> Variant:
    motion = str(rng.choice(list(MOTIONS), p=_MIX)) if treatment == PHOTO else treatment
    return Variant(_crf(rng), motion=motion)


def _crf(rng: np.random.Generator) -> float:
    return 21.0 if rng.random() < 0.6 else float(rng.integers(18, 25))


def film_frames(source: Source, shot: Shot, variant: Variant, unit: int = 16) -> list[Frame]:
    """The sharp frames of one variant: 4:2:0, 8 bits, limited range, sides multiples of `unit`."""
    read = itertools.islice(sources.read(source, shot), variant.first, variant.first + variant.frames)
    frames = [_prepared(crop(to_420(frame), source.crop), variant, unit) for frame in read]
    if len(frames) < variant.frames:
        raise InputError(
            f"{source.path} gave {len(frames)} of {variant.frames} frames after {shot.begin:.3f} s; leave it out."
        )
    return frames[::-1] if variant.backwards else frames


def _prepared(frame: Frame, variant: Variant, unit: int) -> Frame:
    """The part of the frame that the variant uses, shrunk and mirrored."""
    room = [min(_ROOM, side // 16) for side in (frame.width, frame.height)]
    shrink = min(1.0, max(variant.shrink, SMALLEST / min(frame.width - room[0], frame.height - room[1])))
    sides = [
        int((side - free) * shrink) // unit * unit for side, free in zip((frame.width, frame.height), room, strict=True)
    ]
    if not all(sides):
        raise InputError(f"{frame.width}x{frame.height} samples are too few for a training clip; leave the film out.")
    left, top = (int(free * share) & ~1 for free, share in zip(room, (variant.shift_x, variant.shift_y), strict=True))
    wide, tall = (int(side / shrink) & ~1 for side in sides)
    flip = -1 if variant.mirror else 1
    cut = [
        np.ascontiguousarray(plane[top >> s : (top + tall) >> s, left >> s : (left + wide) >> s][:, ::flip])
        for plane, s in zip(frame.planes, (0, 1, 1), strict=True)
    ]
    part = frame.replace(planes=tuple(cut))
    return part if [wide, tall] == sides else resample.resize_frame(part, *sides, kernel="area")


def to_420(frame: Frame) -> Frame:
    """The frame as 4:2:0 with 8 bits and limited range, as the networks see every film; sides made even."""
    work = color.to_yuv(frame) if frame.layout.rgb else frame
    width, height = work.width & ~1, work.height & ~1
    planes = [work.planes[0][:height, :width]]
    for plane in work.planes[1:3] if work.layout.planes >= 3 else ():
        whole = plane[: height >> work.layout.chroma_y, : width >> work.layout.chroma_x]
        if whole.shape != (height // 2, width // 2):
            whole = resample.resize(whole, width // 2, height // 2, kernel="area", bits=work.layout.bits)
        planes.append(whole)
    codes = [color.normalise(plane, work, chroma=k > 0) * np.float32(255) for k, plane in enumerate(planes)]
    eight: list[npt.NDArray[np.uint8]] = [np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in codes]
    eight += [np.full((height // 2, width // 2), 128, np.uint8)] * (3 - len(eight))
    tags = dataclasses.replace(work.color, range=LIMITED)
    return frame.replace(planes=tuple(eight), format="yuv420p", color=tags, qp=None, motion=None)


def crop(frame: Frame, box: Box) -> Frame:
    """The part of a 4:2:0 frame inside box, its edges on even samples."""
    left, right = (int(frame.width * box[k]) & ~1 for k in (0, 2))
    top, bottom = (int(frame.height * box[k]) & ~1 for k in (1, 3))
    cut = [p[top >> s : bottom >> s, left >> s : right >> s] for p, s in zip(frame.planes, (0, 1, 1), strict=True)]
    return frame.replace(planes=tuple(np.ascontiguousarray(p) for p in cut), qp=None, motion=None)
