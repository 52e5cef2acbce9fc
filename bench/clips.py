"""Reference and low-resolution pairs for the bench, made by subpixel itself from any video."""

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

from subpixel import video
from subpixel.degrade import degrade
from subpixel.frames import Frame
from subpixel.resample import resize_frame

LOSSLESS = video.Encoding(codec="ffv1")


@dataclasses.dataclass(frozen=True)
class Pair:
    """One test clip on disk: the lossless reference and its degraded version."""

    name: str
    reference: Path
    low: Path
    frames: int


def write(frames: Iterator[Frame], path: Path, rate: Fraction | None, encoding: video.Encoding = LOSSLESS) -> int:
    """Write frames to one file at a constant rate; returns how many there were."""
    chunk = path.with_suffix(".chunk.mkv")
    with video.Writer(chunk, encoding, rate=rate) as writer:
        for frame in frames:
            writer.write(frame)
    count = writer.frames
    video.assemble(path, None, [chunk], range(count), [1] * count, 1 / (rate or Fraction(25)))
    chunk.unlink()
    return count


def middle(source: Path, frames: int) -> Iterator[Frame]:
    """`frames` frames around the middle of a video; all where it has no more, or where frames is 0."""
    total = sum(1 for _ in video.read(source)) if frames else 0
    first = max(0, (total - frames) // 2)
    return islice(video.read(source), first, first + frames if frames else None)


def crop(frame: Frame, width: int, height: int) -> Frame:
    """The upper left part of a frame; sides must suit the chroma planes."""
    sizes = [frame.layout.plane_size(i, width, height) for i in range(frame.layout.planes)]
    planes = tuple(p[:h, :w].copy() for p, (h, w) in zip(frame.planes, sizes, strict=True))
    return frame.replace(planes=planes, qp=None, motion=None)


def validation_frame(frame: Frame, half: bool) -> Frame:
    """The frame, or half of it by the mean of 2x2 samples, cropped to multiples of 16."""
    if half:
        frame = resize_frame(frame, frame.width // 2, frame.height // 2, kernel="area")
    return crop(frame, frame.width // 16 * 16, frame.height // 16 * 16)


def make_pair(name: str, frames: Iterator[Frame], rate: Fraction | None, folder: Path) -> Pair:
    """Write the reference losslessly and degrade it by the challenge's command."""
    folder.mkdir(parents=True, exist_ok=True)
    reference, low = folder / f"{name}.mkv", folder / f"{name}.low.mp4"
    count = write(frames, reference, rate)
    degrade(reference, low)
    return Pair(name, reference, low, count)
