"""Shots between which the sensor was moved by a pixel, or parts of one, become one picture with all colours everywhere.

The steps of such a stage are known, but never exactly taken. Here they are measured, and taken for what they should be
only as far as the scene shows too little to measure them; then all samples are solved for together (`fuse`).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError
from subpixel.multiframe import noise as noises
from subpixel.multiframe.align import checked
from subpixel.multiframe.fuse import Fused, fuse
from subpixel.multiframe.guides import Frame, view
from subpixel.multiframe.noise import Noise
from subpixel.multiframe.raw import Mosaic
from subpixel.pictures import Picture
from subpixel.register import Motion, register, shift_picture
from subpixel.register.motion import bilinear

Float = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

BRIGHTER = 1.25  # times: a shot that differs by more was exposed differently; a third of a stop
FLICKER = 1.02  # the same from which it is worth a word
FULL = 0.98  # of white: samples above are saturated
MOST_FULL = 0.5  # share of saturated samples from which a shot says too little
STILL = 0.25  # of a step: shots that all lie closer together were not shifted
ASTRAY = 0.45  # of a step: a shot that lies farther from every place of the grid was not taken by such a stage
DOUBTFUL = 0.2  # of a step, root mean square, from which the stage's error is worth a warning
UNSURE = 0.05  # pixels of predicted error of the measured shifts from which they are worth a warning
STAGE = 0.02  # pixels, root mean square along an axis: no stage is taken to be more exact
SPREAD = 16  # pixels between the places where brightness is compared; it is blurred by a sigma of half of it
DARK, BRIGHT = 0.02, 0.9  # between which it is
MOVED = 0.1  # share of a shot that may be left out as moved without a warning
BLUR = 2.0  # sigma in pixels of what is compared to find what moved
SURE, SLACK, HIDDEN = 8.0, 0.2, 0.5  # variances of noise, pixels, share of the finer detail's power that explain it
MARGIN = 9  # pixels, side of the square that a moved pixel takes with it


@dataclasses.dataclass(frozen=True)
class Grid:
    """Where a stage puts the sensor: side x side places, `step` pixels apart, for a picture `scale` times as fine."""

    side: int
    step: float
    scale: int

    def __str__(self) -> str:
        return f"{self.side} x {self.side} places, {self.step:g} pixels apart"

    @property
    def places(self) -> Float64:
        """(side * side, 2): (x, y) of the shifts in pixels, row by row."""
        steps = self.step * np.arange(self.side)
        return np.stack(np.meshgrid(steps, steps), 2).reshape(-1, 2)


# What stages do, by kind of shot and number. A mosaic's colours are all seen at each pixel after steps of one pixel;
# for shots with all colours, and from the second set on, steps between pixels make the picture finer.
GRIDS = {
    ("mosaic", 4): (Grid(2, 1.0, 1),),
    ("mosaic", 16): (Grid(4, 0.5, 2),),
    ("picture", 4): (Grid(2, 0.5, 2),),
    ("picture", 16): (Grid(4, 0.25, 4), Grid(4, 0.5, 2)),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Shifted:
    """One picture of 4 or 16 shots, and what was measured.

    fused: the picture and what was used of each shot, see `fuse.Fused`. grid: of the stage. places: for each shot the
    number of its place, row by row. measured: (N, 2) shifts in pixels as registered, used: as taken, from shot 0 to
    each. nominal: (N, 2), those of the places. stage: root mean square distance of the measured from the nominal ones
    along an axis, in pixels. rmse: predicted error of the measured ones, of the worst. gains: (N, channels), how much
    brighter each shot was than shot 0. notes: warnings.
    """

    fused: Fused
    grid: Grid
    places: list[int]
    nominal: Float64
    measured: Float64
    used: Float64
    stage: float
    rmse: float
    gains: Float64
    notes: list[str]


def pixelshift(
    shots: Sequence[Frame | npt.NDArray[Any]],
    *,
    psf: float | str = 0.0,
    noise: Noise | str = "auto",
    progress: Callable[[str], None] | None = None,
) -> Shifted:
    """4 or 16 shots of a shifted sensor, in any order, as one picture on the grid of shot 0.

    Mosaics: 4 shots one pixel apart give a picture of their size with all colours measured; 16 shots half a pixel
    apart one twice as fine. Pictures with all colours, or grey: 4 shots half a pixel apart give twice, 16 a quarter
    apart four times as fine. Each colour's brightness is brought to that of shot 0; what moved is taken from shot 0
    alone. psf: sigma of the lens's blur in pixels, to be undone, or "auto". noise: (a, b) of variance = a * signal + b,
    or "auto". progress is told what is being done.

    Raises InputError for another number of shots, shots that differ in size, kind or exposure, are saturated, show too
    little, were not shifted, or not as such a stage does; UsageError for impossible options.
    """
    tell = progress or (lambda _: None)
    if len(shots) not in (4, 16):
        raise InputError(f"A pixel shift has 4 or 16 shots, not {len(shots)}; fuse others with `subpixel burst`.")
    given = checked(shots)
    _check_light(given)
    tell("measuring the shifts")
    measured, rmse = _measured(given)
    grid, places = _placed(measured, _grids(given))
    nominal = grid.places[places]
    nominal = nominal + (measured - nominal).mean(0)
    stage, used = _refined(measured, nominal, rmse)
    motions = [
        Motion("shift", _matrix(shift - used[0]), rmse=float(error)) for shift, error in zip(used, rmse, strict=True)
    ]
    gains = _gains(given, motions)
    equal = [_divided(shot, gain) for shot, gain in zip(given, gains, strict=True)]
    known = _noise(equal, grid.places[places]) if isinstance(noise, str) else noise
    tell("looking for what moved")
    worth = _worth(equal, motions, known)
    if isinstance(given[0], Mosaic) or not isinstance(noise, str):
        noise = known
    fused = fuse(equal, scale=grid.scale, motions=motions, psf=psf, noise=noise, robust=worth, progress=progress)
    notes = _notes(given, grid, stage, float(rmse.max()), gains, fused)
    return Shifted(
        fused, grid, places, nominal - nominal[0], measured, used - used[0], stage, float(rmse.max()), gains, notes
    )


def _grids(shots: Sequence[Frame]) -> tuple[Grid, ...]:
    return GRIDS["mosaic" if isinstance(shots[0], Mosaic) else "picture", len(shots)]


def _check_light(shots: Sequence[Frame]) -> None:
    for shot in shots:
        full = float((shot.data > FULL).mean())
        if full > MOST_FULL:
            raise InputError(f"{shot.name} is saturated in {full:.0%} of its samples; what is white shows no shift.")


def _gains(shots: Sequence[Frame], motions: Sequence[Motion]) -> Float64:
    """(N, channels): how much brighter each shot is than the first, colour by colour.

    The median over the picture of what blurred colours say, weighted by their brightness: what moved does not count for
    more than its area. Raises InputError where a shot was exposed differently.
    """
    first = _smooth(shots[0])
    height, width = shots[0].size
    y, x = np.mgrid[SPREAD : height - SPREAD : SPREAD, SPREAD : width - SPREAD : SPREAD].reshape(2, -1)
    here = np.stack([x, y], 1).astype(np.float64)
    gains = np.ones((len(shots), len(first)))
    for number, (shot, motion) in enumerate(zip(shots, motions, strict=True)):
        if number == 0:
            continue
        for channel, (mine, theirs) in enumerate(zip(first, _smooth(shot), strict=True)):
            before, after = (
                bilinear(mine[..., None], here)[:, 0],
                bilinear(theirs[..., None], motion.points(here))[:, 0],
            )
            good = (before > DARK) & (before < BRIGHT) & (after < BRIGHT)
            if good.sum() >= 4:
                gains[number, channel] = _weighted_median(after[good] / before[good], before[good])
    for shot, gain in zip(shots, gains.mean(1), strict=True):
        if not 1 / BRIGHTER < gain < BRIGHTER:
            raise InputError(
                f"{shot.name} is {gain:.2f} times as bright as {shots[0].name}; a pixel shift is of one exposure."
            )
    return gains


def _smooth(shot: Frame) -> list[Float]:
    """(H, W) of each colour, blurred from its own samples until the mosaic is gone."""
    import cv2

    data = shot.data
    if not isinstance(shot, Mosaic):
        planes = [data] if data.ndim == 2 else [np.ascontiguousarray(data[..., channel]) for channel in range(3)]
        return [np.asarray(cv2.GaussianBlur(plane, (0, 0), SPREAD / 2), np.float32) for plane in planes]
    height, width = shot.size
    period = len(shot.pattern)
    whole = np.tile(shot.pattern, (-(-height // period), -(-width // period)))[:height, :width]
    smooth = []
    for channel in range(3):
        seen = (whole == channel).astype(np.float32)
        sums, count = (cv2.GaussianBlur(plane, (0, 0), SPREAD / 2) for plane in (data * seen, seen))
        smooth.append(np.asarray(sums / np.maximum(count, 1e-6), np.float32))
    return smooth


def _weighted_median(values: Float64, weights: Float64) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _divided(shot: Frame, gain: Float64) -> Frame:
    """The shot with each colour divided by its gain."""
    if np.allclose(gain, 1, atol=1e-4):
        return shot
    data = shot.data
    if isinstance(shot, Picture):
        equal = np.divide(data, gain.astype(np.float32) if data.ndim == 3 else np.float32(gain[0]), dtype=np.float32)
        return dataclasses.replace(shot, samples=equal, bits=32)
    period = len(shot.pattern)
    for y, x in itertools.product(range(period), repeat=2):
        data[y::period, x::period] /= np.float32(gain[shot.pattern[y, x]])
    return dataclasses.replace(shot, samples=data, black=np.zeros_like(shot.black), white=1.0)


def _measured(shots: Sequence[Frame]) -> tuple[Float64, Float64]:
    """(N, 2) shifts in pixels from the first shot to each, and (N,) their predicted errors."""
    first = view(shots[0])
    shifts, errors = [(0.0, 0.0)], [0.0]
    for shot in shots[1:]:
        try:
            motion = register(first, view(shot), "shift", robust=True)
        except InputError as error:
            raise InputError(f"{shot.name} cannot be registered with {shots[0].name}. {error}") from error
        shifts.append(motion.shift)
        errors.append(motion.rmse)
    return np.array(shifts), np.array(errors)


def _placed(measured: Float64, grids: Sequence[Grid]) -> tuple[Grid, list[int]]:
    """The grid that fits the shifts best, and the number of each shot's place, all different."""
    from scipy.optimize import linear_sum_assignment

    best: tuple[float, Grid, list[int], Float64] | None = None
    for grid in grids:
        for start in grid.places:  # of the first shot
            offset = measured[0] - start
            for _ in range(3):
                apart = np.linalg.norm(measured[:, None] - offset - grid.places, axis=2)
                places = linear_sum_assignment(apart**2)[1]
                offset = (measured - grid.places[places]).mean(0)
            left = np.linalg.norm(measured - offset - grid.places[places], axis=1) / grid.step
            worst = float(np.sqrt((left**2).mean()))
            if best is None or worst < best[0]:
                best = worst, grid, [int(place) for place in places], left
    assert best is not None
    _, grid, places, left = best
    span = float(np.linalg.norm(measured - measured.mean(0), axis=1).max())
    if span < STILL * grid.step:
        raise InputError(
            f"The shots lie within {span:.3f} pixels of each other, but a pixel shift moves them by {grid.step:g}; "
            "was it on, and are they all different shots?"
        )
    if left.max() > ASTRAY:
        number = int(left.argmax())
        raise InputError(
            f"The shots do not lie on {grid}: shot {number + 1} is {left[number] * grid.step:.2f} pixels from its "
            "place. The camera moved, or this is no pixel shift; use `subpixel burst`."
        )
    return grid, places


def _refined(measured: Float64, nominal: Float64, rmse: Float64) -> tuple[float, Float64]:
    """The stage's error along an axis, and the most probable shifts given what was measured and what was meant."""
    count = len(measured)
    noise = np.square(rmse) / 2  # along one axis
    seen = np.square(measured - nominal).sum() / (2 * count - 2)
    stage = max(float(seen - noise.mean()), STAGE**2)
    share = (stage / (stage + noise))[:, None]
    return float(np.sqrt(seen)), share * measured + (1 - share) * nominal


def _matrix(shift: Float64) -> Float64:
    return np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1.0]])


def _noise(shots: Sequence[Frame], nominal: Float64) -> Noise:
    """(a, b) by pairs of shots that see the same colours at the same places: what differs is noise, and a little more.

    Mosaics do at their greens, after a step aside and one down. Others tell by themselves what they can.
    """
    signal, residual = [], []
    for one, other in itertools.combinations(range(len(shots)), 2):
        dx, dy = nominal[other] - nominal[one]
        if isinstance(shots[one], Mosaic) and abs(dx) == abs(dy) == 1:
            seen, difference = _twice(cast(Mosaic, shots[one]), cast(Mosaic, shots[other]), int(dx), int(dy))
            signal.append(seen)
            residual.append(difference)
    if signal:
        return noises.from_residuals(np.concatenate(signal), np.concatenate(residual))
    return noises.estimate(np.ascontiguousarray(plane) for shot in shots[:1] for plane in np.atleast_3d(shot.data).T)


def _twice(one: Mosaic, other: Mosaic, dx: int, dy: int) -> tuple[Float, Float]:
    """(n,) the mean of two shots' greens at the places that both see, and their difference / sqrt(2).

    What a further shift would explain is taken out of it.
    """
    first, second = one.data, np.roll(other.data, (-dy, -dx), (0, 1))
    mean = (first + second) / 2
    rows, columns = (np.arange(side) for side in mean.shape)
    green = one.pattern[rows[:, None] % len(one.pattern), columns % len(one.pattern)] == 1
    inner = np.zeros_like(green)
    inner[4:-4, 4:-4] = True
    green &= inner & np.roll(green, (-dy, -dx), (0, 1))
    slopes = [np.roll(mean, (-1, -k), (0, 1)) - np.roll(mean, (1, k), (0, 1)) for k in (1, -1)]
    design = np.stack([slope[green] for slope in slopes], 1).astype(np.float64)
    difference = (first - second)[green] / np.sqrt(2)
    shift = np.linalg.lstsq(design, difference, rcond=None)[0]
    return mean[green], (difference - design @ shift).astype(np.float32)


def _worth(shots: Sequence[Frame], motions: Sequence[Motion], noise: Noise) -> list[Float]:
    """What the quads of each shot are worth, (ceil(h / 2), ceil(w / 2)) 1 or 0: nothing where something moved.

    Greys without the mosaic are compared after a blur: a difference must exceed what noise, a fifth of a pixel and what
    detail finer than the blur explain.
    """
    import cv2

    first = _grey(shots[0])
    worth = []
    for shot, motion in zip(shots, motions, strict=True):
        moved: npt.NDArray[Any] = np.zeros(first.shape, np.uint8)
        if shot is not shots[0]:
            theirs = _grey(shot)
            mine = shift_picture(first, *motion.shift)
            smooth, other = (cv2.GaussianBlur(plane, (0, 0), BLUR) for plane in (mine, theirs))
            slopes = [cv2.Scharr(smooth, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1))]
            steep = cv2.dilate(slopes[0] ** 2 + slopes[1] ** 2, np.ones((5, 5), np.uint8))
            fine = cv2.GaussianBlur((mine - smooth) ** 2, (0, 0), 2 * BLUR)
            grain = 2 * noises.variance(np.asarray(smooth, np.float32), noise) / (4 * np.pi * BLUR**2)
            excess = (smooth - other) ** 2 / (SURE * grain + SLACK**2 * steep + HIDDEN * fine)
            excess[_border(first.shape, motion.shift)] = 0
            moved = cv2.medianBlur((excess > 1).astype(np.uint8), 3)
            moved = cv2.dilate(moved, np.ones((MARGIN, MARGIN), np.uint8))
        height, width = moved.shape
        even = np.pad(np.asarray(moved), ((0, height % 2), (0, width % 2)), mode="edge")
        quads = even.reshape((height + 1) // 2, 2, (width + 1) // 2, 2).max((1, 3))
        worth.append(1 - quads.astype(np.float32))
    return worth


def _border(shape: tuple[int, ...], shift: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """(H, W) where a shifted and blurred picture is made up of its mirrored self."""
    border = np.ones(shape, bool)
    across, down = (int(np.ceil(abs(part) + 2 * BLUR)) for part in shift)
    border[down : shape[0] - down, across : shape[1] - across] = False
    return border


def _grey(shot: Frame) -> Float:
    """(H, W) without the mosaic."""
    seen = view(shot)
    return np.ascontiguousarray(seen if seen.ndim == 2 else seen.mean(2), np.float32)


def _notes(shots: Sequence[Frame], grid: Grid, stage: float, rmse: float, gains: Float64, fused: Fused) -> list[str]:
    notes = list(fused.notes)
    if stage > DOUBTFUL * grid.step:
        notes.append(f"The stage is off by {stage:.2f} pixels; the camera may have moved.")
    if rmse > UNSURE:
        notes.append(f"The shifts are known to {rmse:.2f} pixels only; where unsure, the nominal ones were taken.")
    for shot, gain, kept in zip(shots, gains, fused.kept, strict=True):
        if not np.all((gain < FLICKER) & (gain > 1 / FLICKER)):
            notes.append(f"{shot.name} is {gain.mean():.3f} times as bright as {shots[0].name}; it was equalised.")
        if kept < 1 - MOVED:
            notes.append(f"{shot.name}: {1 - kept:.0%} of it moved and is taken from {shots[0].name}.")
    return notes
