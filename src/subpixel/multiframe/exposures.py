"""Made-up exposures whose truth is known: by a camera that shakes, and by a sensor that a stage moves between shots.

Scenes are periodic, so that they can be moved by any part of a pixel without a trace.

python -m subpixel.multiframe.exposures PICTURE FOLDER [--stage] [--count 8] [--error 0.05] [--seed 0]
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path as File

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Path = npt.NDArray[np.float64]  # (n, 2): (x, y) in pixels at equal times

BAYER = np.array([[0, 1], [1, 2]])  # RGGB: 0 red, 1 green, 2 blue


@dataclasses.dataclass(frozen=True, eq=False)
class Thing:
    """A disc in front of the scene: its own picture (H, W, C), radius and middle (x, y) in the first frame, its speed
    (x, y) in pixels a frame."""

    picture: Float
    radius: float
    middle: tuple[float, float]
    speed: tuple[float, float]


class Scene:
    """A picture (H, W, C) that goes on for ever as its mirror image."""

    def __init__(self, picture: npt.NDArray[np.floating]) -> None:
        wide = np.concatenate([picture, picture[:, ::-1]], 1)
        self.picture: Float = np.concatenate([wide, wide[::-1]], 0).astype(np.float32)
        self._spectrum = np.fft.rfft2(self.picture, axes=(0, 1))

    def seen(self, path: Path, size: tuple[int, int]) -> Float:
        """The mean, (height, width, C), of what a camera sees along its path.

        At (x, y) it shows in its pixel (u, v) what the picture has at (u + x, v + y).
        """
        height, width = self.picture.shape[:2]
        down, across = np.fft.fftfreq(height), np.fft.rfftfreq(width)
        rows, columns = (np.exp(2j * np.pi * np.outer(f, p)) for f, p in ((down, path[:, 1]), (across, path[:, 0])))
        blurred = self._spectrum * (rows @ columns.T / len(path))[..., None]
        picture = np.fft.irfft2(blurred, s=(height, width), axes=(0, 1))
        return np.ascontiguousarray(picture[: size[0], : size[1]], np.float32)

    def middle(self, size: tuple[int, int]) -> Float64:
        """(x, y) at which a camera of this size sees the middle of the picture."""
        height, width = (side // 2 for side in self.picture.shape[:2])
        return np.array([(width - size[1]) // 2, (height - size[0]) // 2], np.float64)


def walk(rng: np.random.Generator, reach: float, steps: int = 64) -> Path:
    """A random walk whose box has a diagonal of `reach` pixels and which is at (0, 0) half-way."""
    path = np.cumsum(rng.standard_normal((steps, 2)), 0)
    return np.asarray((path - path[steps // 2]) * (reach / np.hypot(*np.ptp(path, axis=0))))


def shaken(
    scene: Scene,
    size: tuple[int, int],
    *,
    count: int = 12,
    reach: float = 9.0,
    drift: float = 2.0,
    noise: float = 2 / 255,
    seed: int = 0,
) -> tuple[list[Float], list[Float]]:
    """(frames, truths) of a hand-held film, each (height, width, C), 8-bit steps of 0 to 1; the truth of each is sharp.

    Each exposure is a walk of |N(0, reach)| pixels; between frames the camera drifts by N(0, drift) along each axis.
    """
    rng = np.random.default_rng(seed)
    pose = scene.middle(size)
    frames, truths = [], []
    for _ in range(count):
        truths.append(scene.seen(pose[None], size))
        exposed = scene.seen(pose + walk(rng, abs(rng.normal(0, reach))), size)
        frames.append(_counted(exposed, noise, rng))
        pose = pose + rng.normal(0, drift, 2)
    return frames, truths


def disturbed(
    scene: Scene,
    size: tuple[int, int],
    thing: Thing,
    *,
    count: int = 12,
    reach: float = 9.0,
    drift: float = 2.0,
    roll: float = 0.15,
    noise: float = 2 / 255,
    seed: int = 0,
) -> tuple[list[Float], list[Float], list[npt.NDArray[np.bool_]]]:
    """`shaken` with motion that is not the same everywhere: (frames, truths, where the thing is, (height, width)).

    The camera also turns by N(0, roll) degrees between frames, and a thing passes before the scene. Needs OpenCV.
    """
    rng = np.random.default_rng(seed)
    pose, turn = scene.middle(size), 0.0
    frames, truths, places = [], [], []
    for number in range(count):
        truth, place = _composed(scene, size, thing, pose, turn, number)
        path = walk(rng, abs(rng.normal(0, reach)), 24)
        times = number + np.linspace(-0.25, 0.25, len(path))  # the shutter is open for half of a frame's time
        exposed = [_composed(scene, size, thing, pose + p, turn, t)[0] for p, t in zip(path, times, strict=True)]
        frames.append(_counted(np.mean(exposed, 0), noise, rng))
        truths.append(truth)
        places.append(place)
        pose, turn = pose + rng.normal(0, drift, 2), turn + np.deg2rad(rng.normal(0, roll))
    return frames, truths, places


def _composed(
    scene: Scene, size: tuple[int, int], thing: Thing, pose: Float64, turn: float, time: float
) -> tuple[Float, npt.NDArray[np.bool_]]:
    """One instant, and where the thing is."""
    import cv2

    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    right, down = x - (size[1] - 1) / 2, y - (size[0] - 1) / 2
    across = np.cos(turn) * right - np.sin(turn) * down + (size[1] - 1) / 2 + pose[0]
    along = np.sin(turn) * right + np.cos(turn) * down + (size[0] - 1) / 2 + pose[1]
    behind = cv2.remap(scene.picture, across.astype(np.float32), along.astype(np.float32), cv2.INTER_CUBIC)
    start = scene.middle(size)
    u, v = (x - m - s * time + p for x, m, s, p in zip((x, y), thing.middle, thing.speed, pose - start, strict=True))
    own_y, own_x = thing.picture.shape[0] / 2, thing.picture.shape[1] / 2
    before = cv2.remap(thing.picture, (u + own_x).astype(np.float32), (v + own_y).astype(np.float32), cv2.INTER_CUBIC)
    share = np.clip(thing.radius + 0.5 - np.hypot(u, v), 0, 1)
    picture = behind + share[..., None].astype(np.float32) * (before - behind)
    return np.asarray(picture, np.float32), np.asarray(share > 0.5)


def _counted(picture: Float, noise: float, rng: np.random.Generator) -> Float:
    """With noise, in 8 bits."""
    noisy = picture + noise * rng.standard_normal(picture.shape)
    return (np.rint(np.clip(noisy, 0, 1) * 255) / 255).astype(np.float32)


def shifted(
    scenes: Sequence[Scene],
    size: tuple[int, int],
    shifts: Float64,
    *,
    over: int = 4,
    mosaic: bool = True,
    noise: tuple[float, float] = (0.0, (2 / 255) ** 2),
    gains: Float64 | None = None,
    seed: int = 0,
) -> list[Float]:
    """Shots of a sensor of size (height, width) that a stage moved: mosaics (height, width) or (height, width, C).

    scenes: what each shot sees, `over` times as fine as the sensor, whose pixels touch. shifts: (N, 2), (x, y) in
    pixels by which what a shot shows lies further than in an unmoved one. noise: (a, b), variance = a * signal + b.
    gains: (N, C), how much brighter the colours of each are.
    """
    rng = np.random.default_rng(seed)
    shots = []
    for number, (scene, shift) in enumerate(zip(scenes, shifts, strict=True)):
        fine = scene.seen(over * (BORDER - shift[None]), (size[0] * over, size[1] * over))
        picture = binned(fine, over) * (1 if gains is None else gains[number])
        if mosaic:
            rows, columns = (np.arange(side)[:, None] % 2 for side in size)
            picture = np.take_along_axis(picture, BAYER[rows, columns.T][..., None], 2)[..., 0]
        grain = np.sqrt(noise[0] * np.clip(picture, 0, 1) + noise[1]) * rng.standard_normal(picture.shape)
        shots.append((picture + grain).astype(np.float32))
    return shots


BORDER = 8.0  # pixels of the sensor by which its corner lies inside the scene


def unmoved(scene: Scene, size: tuple[int, int], *, over: int = 4, scale: int = 1, corner: bool = True) -> Float:
    """What a sensor `scale` times as fine sees unmoved of a scene, (scale * height, scale * width, C), without noise.

    Its outer edges are those of the sensor, or, without `corner`, its first pixel has the same middle.
    """
    offset = BORDER * over + (0 if corner else (over - over // scale) / 2)
    height, width = (side * over for side in size)
    return binned(scene.seen(np.full((1, 2), offset), (height, width)), over // scale)


def binned(picture: Float, factor: int) -> Float:
    """Means of factor x factor pixels of (H, W, C)."""
    height, width = (side // factor for side in picture.shape[:2])
    return np.asarray(picture.reshape(height, factor, width, factor, -1).mean((1, 3)), np.float32)


def interleaved(shots: Sequence[Float], shifts: Float64, scale: int) -> Float:
    """Shots put where the stage should have taken them, `scale` times as fine: what a plain pixel shift does.

    Mosaics (h, w) or pictures (h, w, 3); each fine pixel is the mean of the samples whose nominal place is nearest to
    it. The middle of its first pixel is that of the shots'.
    """
    height, width = shots[0].shape[:2]
    total = np.zeros((height * scale, width * scale, 3))
    count = np.zeros_like(total)
    for shot, (dx, dy) in zip(shots, shifts, strict=True):
        y, x = (np.rint((np.arange(n) - d) * scale).astype(int) for n, d in ((height, dy), (width, dx)))
        rows, columns = np.flatnonzero((y >= 0) & (y < len(total))), np.flatnonzero((x >= 0) & (x < total.shape[1]))
        target, source = np.ix_(y[rows], x[columns]), np.ix_(rows, columns)
        if shot.ndim == 3:
            total[target] += shot[source]
            count[target] += 1
            continue
        colour = BAYER[rows[:, None] % 2, columns % 2]
        for channel in range(3):
            total[*target, channel] += shot[source] * (colour == channel)
            count[*target, channel] += colour == channel
    return np.asarray(total / np.maximum(count, 1), np.float32)


MADE_MARGIN = 24  # pixels of a picture around what a shaken frame shows


def _main() -> None:
    from subpixel import pictures

    parser = argparse.ArgumentParser(
        prog="python -m subpixel.multiframe.exposures", description=__doc__.splitlines()[0]
    )
    parser.add_argument("picture", type=File)
    parser.add_argument("folder", type=File, metavar="FOLDER", help="for 0.png, 1.png, ...")
    parser.add_argument("--stage", action="store_true", help="4 shots half a pixel apart instead of shaken frames")
    parser.add_argument("--count", type=int, default=8, help="shaken frames")
    parser.add_argument("--error", type=float, default=0.05, help="of the stage, RMS along an axis, pixels")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    samples = pictures.load(given.picture).data
    scene = Scene(samples if samples.ndim == 3 else samples[..., None])
    height, width = samples.shape[:2]
    if given.stage:
        size = int(height / 4 - 2 * BORDER), int(width / 4 - 2 * BORDER)
        steps = 0.5 * np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
        steps = steps + np.random.default_rng(given.seed).normal(0, given.error, steps.shape)
        made = shifted([scene] * len(steps), size, steps - steps[0], mosaic=False, seed=given.seed)
    else:
        size = height - 2 * MADE_MARGIN, width - 2 * MADE_MARGIN
        made = shaken(scene, size, count=given.count, seed=given.seed)[0]
    given.folder.mkdir()
    for number, frame in enumerate(made):
        pictures.save(given.folder / f"{number}.png", frame.squeeze(), bits=8 if not given.stage else 16)


if __name__ == "__main__":
    _main()
