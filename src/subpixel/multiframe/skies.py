"""Made-up recordings through made-up air, whose truth is known: for trying commands and for measuring them.

python -m subpixel.multiframe.skies moon.ser [--planet] [--frames 60] [--size 320x240] [--bits 8] [--seed 0]
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from subpixel.multiframe.ser import write_ser

Float = npt.NDArray[np.float32]

MARGIN = 24  # pixels of truth around what a frame shows


def moon(height: int, width: int, *, seed: int = 0) -> Float:
    """A cratered surface under a low sun from the left, (height, width) of 0 to 1."""
    import cv2

    rng = np.random.default_rng(seed)
    land = np.zeros((height, width), np.float32)
    for side in (3, 8, 25, 80):
        land += np.float32(0.02 * side) * _clouds(rng, (height, width), side)
    for radius in np.clip(2.5 * (rng.pareto(1.6, height * width // 600) + 1), 2.5, min(height, width) / 8):
        _dig(land, rng.uniform(0, height), rng.uniform(0, width), radius)
    slope = cv2.Sobel(land, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    dark = 0.18 / (1 + np.exp(-3 * _clouds(rng, (height, width), 60)))
    return np.asarray(np.clip(0.5 - dark + 0.55 * np.tanh(1.5 * slope), 0.02, 0.98), np.float32)


def _dig(land: Float, y: float, x: float, radius: float) -> None:
    """A bowl with a rim, which fades at twice its radius."""
    reach = int(2.2 * radius) + 1
    top, left = max(0, int(y) - reach), max(0, int(x) - reach)
    part = land[top : int(y) + reach, left : int(x) + reach]
    if not part.size:
        return
    rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
    far = np.hypot(rows - y, columns - x) / radius
    bowl = np.where(far < 1, far**2 - 0.75, 0.25 * np.exp(-6 * (far - 1)) * (far < 2.1))
    part += (0.45 * radius * bowl).astype(np.float32)


def planet(height: int, width: int, *, seed: int = 0) -> Float:
    """A banded, flattened planet before a black sky, RGB (height, width, 3) of 0 to 1, half as wide as high."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    radius = 0.27 * min(height, width)
    up, right = (y - height / 2) / (0.935 * radius), (x - width / 2) / radius
    far = up**2 + right**2
    limb = np.sqrt(np.clip(1 - far, 0, 1)) ** 0.45
    swirl = up + 0.02 * _clouds(rng, (height, width), 6) + 0.02 * _clouds(rng, (height, width), 2)
    bands = sum(
        0.22 * np.exp(-(((swirl - at) / wide) ** 2)) for at, wide in ((-0.22, 0.07), (0.2, 0.09), (0.52, 0.04))
    ) + 0.03 * np.sin(31 * swirl)
    spot = np.exp(-(((right + 0.35) / 0.16) ** 2) - ((up - 0.36) / 0.1) ** 2)
    moon_shadow = 1 - 0.9 * ((right - 0.3) ** 2 + (up + 0.4) ** 2 < 0.035**2)
    light = limb * moon_shadow * (0.85 - bands)
    shades = (1 - 0.05 * spot, 1 - 0.15 * bands - 0.2 * spot, 0.9 - 0.5 * bands - 0.3 * spot)
    return np.asarray(np.clip(np.stack([light * shade for shade in shades], 2), 0, 1), np.float32)


def through_air(
    truth: Float,
    frames: int,
    *,
    bend: float = 1.2,
    blur: tuple[float, float] = (0.8, 1.0),
    jitter: float = 6.0,
    noise: float = 6 / 255,
    seed: int = 0,
) -> Iterator[Float]:
    """Frames of `truth`, (height, width) or (height, width, 3), without MARGIN pixels of its border, of 0 to 1.

    bend: standard deviation in pixels of the shifts along x and along y, smooth over 40 pixels. blur: a Gaussian of
    blur[0] + blur[1] |N(0, 1)| pixels, two of which are mixed in clouds. jitter: a frame moves as a whole by up to this
    many pixels. noise: standard deviation.
    """
    import cv2

    rng = np.random.default_rng(seed)
    height, width = (side - 2 * MARGIN for side in truth.shape[:2])
    y, x = np.mgrid[:height, :width].astype(np.float32) + MARGIN
    for _ in range(frames):
        across, down = rng.uniform(-jitter, jitter, 2).astype(np.float32)
        across = x + across + bend * _clouds(rng, (height, width), 40)
        down = y + down + bend * _clouds(rng, (height, width), 40)
        share = 1 / (1 + np.exp(-3 * _clouds(rng, (height, width), 60)))
        share = share.reshape(*share.shape, *(1,) * (truth.ndim - 2))
        layers = [cv2.GaussianBlur(truth, (0, 0), blur[0] + blur[1] * abs(rng.standard_normal())) for _ in range(2)]
        seen = [cv2.remap(layer, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT) for layer in layers]
        frame = share * seen[0] + (1 - share) * seen[1] + noise * rng.standard_normal(seen[0].shape, np.float32)
        yield np.clip(frame, 0, 1).astype(np.float32)


def _clouds(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Float:
    """Gaussian noise smooth over `scale` pixels, of standard deviation 1."""
    import cv2

    step = max(1.0, scale / 5)
    size = tuple(round(side / step) + 1 for side in shape)
    coarse = cv2.GaussianBlur(rng.standard_normal(size, np.float32), (0, 0), scale / step)
    coarse *= 2 * np.sqrt(np.pi) * scale / step
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC))


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m subpixel.multiframe.skies", description=__doc__.splitlines()[0])
    parser.add_argument("output", metavar="OUT.ser")
    parser.add_argument("--planet", action="store_true", help="a planet in colours instead of the Moon")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--bits", type=int, choices=(8, 12, 16), default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    width, height = (int(side) + 2 * MARGIN for side in given.size.split("x"))
    truth = (planet if given.planet else moon)(height, width, seed=given.seed)
    peak, kind = (1 << given.bits) - 1, np.uint8 if given.bits == 8 else np.uint16
    frames = (np.rint(peak * frame).astype(kind) for frame in through_air(truth, given.frames, seed=given.seed))
    start = datetime.datetime(2025, 1, 10, 21, 30, tzinfo=datetime.UTC)
    colour = "RGB" if given.planet else "mono"
    write_ser(given.output, frames, colour=colour, depth=given.bits, start=start, rate=30)


if __name__ == "__main__":
    _main()
