"""Lucky imaging: of a film through the unsteady air, at each place the moments when it was steady.

Fried (JOSA 68, 1978) computed how rarely a whole frame is sharp; small parts of a frame are sharp far more often. So
frames are judged, bent back and added place by place. The geometry is that of the mean of all frames: what the air
does to positions has mean zero.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError, UsageError
from subpixel.multiframe.glance import Glance, Mode, guess_mode, look, luminance
from subpixel.multiframe.judge import FEWEST, Judge, spread, weights
from subpixel.multiframe.seeing import Seeing, unbent
from subpixel.multiframe.sequences import Recording
from subpixel.multiframe.sharpen import radial_power
from subpixel.register import register, shift_picture

Float = npt.NDArray[np.float32]
Shifts = Mapping[int, npt.NDArray[np.float32]]  # (dx, dy) of each frame by its index
Tell = Callable[[str, int, int | None], None]

SMALLEST = 32  # pixels a side, twice the window by which local motion is found
FIRST = 5  # frames by which the mode and the first reference are chosen
FAINT = np.float32(1e-6)  # the weight of the reference in a mean, for pixels that no frame shows
UNSURE = 0.5  # pixels of predicted error of local motion that are worth a warning


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """mode: "auto", "surface" (it fills the frame) or "planet" (a body before a dark sky). keep: the share of frames
    that is used at each place, 0 to 1. scale: how many times finer the result is sampled, 1 to 4. join_colours: move
    red and blue onto green, which the air bends apart near the horizon."""

    mode: Literal["auto", "surface", "planet"] = "auto"
    keep: float = 0.25
    scale: float = 1.0
    join_colours: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one frame.

    shift: (dx, dy) in pixels of what it shows, against the result. sharpness: of its detail, 1 being that of the mean
    of all. used: share of the picture where it is among the best. why: what it is, such as "burnt out", if it
    was not used at all, else "".
    """

    index: int
    shift: tuple[float, float]
    sharpness: float
    used: float
    why: str


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """picture: (height, width) or (height, width, 3) float32 on the scale of the frames. seeing: root mean square of
    the shifts (2-D, pixels) by which the air bent the frames. error: predicted 2-D error of these, pixels. noise:
    standard deviation of the noise of one frame. left: power of the noise left in the picture, by `radial_power`, from
    what the means of every other frame differ by. colours: (dx, dy) by which red and blue were off green. warnings:
    sentences on what may have gone wrong."""

    picture: Float
    mode: Mode
    verdicts: tuple[Verdict, ...]
    seeing: float
    error: float
    noise: float
    left: npt.NDArray[np.float64]
    colours: tuple[tuple[float, float], ...]
    warnings: tuple[str, ...]

    @property
    def resolution(self) -> float:
        """Cycles per pixel up to which the means of every other frame agree: where their Fourier ring correlation
        falls below 1/7 (Rosenthal & Henderson, JMB 333, 2003)."""
        power = radial_power(luminance(self.picture))
        signal = np.maximum(power - self.left, 0)
        agree = signal / np.maximum(signal + 2 * self.left, 1e-30) > 1 / 7
        return float((np.argmin(agree) if not agree.all() else len(agree)) / (2 * len(agree)))


def lucky(recording: Recording, options: Options = Options(), *, tell: Tell | None = None) -> Stack:
    """One sharp picture of a recording; memory does not grow with its length but for some kilobytes a frame.

    tell(stage, done, of): called after each frame. Raises InputError where fewer than three frames can be used, and
    UsageError for options out of range.
    """
    _check(options)
    if min(recording.size) < SMALLEST:
        size = "x".join(map(str, recording.size[::-1]))
        raise InputError(
            f"Frames of {size}, as {recording.name} has, are too small; {SMALLEST} pixels a side are needed."
        )
    tell = tell or (lambda _stage, _done, _of: None)
    first = [picture for _, picture in itertools.islice(recording.read(range(FIRST)), FIRST)]
    first = [picture for picture in first if np.isfinite(picture).all()] or first  # the others are left out later, too
    mode = guess_mode(first) if options.mode == "auto" else options.mode
    seen = look(_told(recording.read(), "looking", recording.count, tell), mode, first)
    usable = _usable(recording, seen, mode)
    middle = np.mean([glance.shift for glance in usable], 0)
    shifts = {glance.index: (glance.shift - middle).astype(np.float32) for glance in usable}
    noise = float(np.median([glance.noise for glance in usable]))
    judged = _judge(recording, _mean(recording, usable, shifts, options.keep), shifts, noise, tell)
    chosen = weights(judged.sharpness, options.keep)
    whole, difference = _add(recording, judged, chosen, shifts, options.scale, tell)
    inner = _whole_part(spread(judged.shown, whole.shape) > 0.5)
    picture = np.ascontiguousarray(whole[inner])
    picture, colours = join_colours(picture) if options.join_colours and picture.ndim == 3 else (picture, ())
    verdicts = _verdicts(seen, shifts, judged, chosen, options.keep)
    error = Seeing(judged.reference).uncertainty(noise)
    warnings = tuple(_warnings(verdicts, error, options.keep))
    left = radial_power(difference[inner])
    return Stack(picture, mode, verdicts, judged.seeing, error, noise, left, colours, warnings)


def _check(options: Options) -> None:
    if options.mode not in ("auto", "surface", "planet"):
        raise UsageError(f"mode is auto, surface or planet; not {options.mode!r}.")
    if not 0 < options.keep <= 1:
        raise UsageError(f"The share of frames to keep lies above 0 and up to 1 (100 %); not at {options.keep:g}.")
    if not 1 <= options.scale <= 4:
        raise UsageError(f"scale is from 1 to 4; not {options.scale:g}.")


def _told(frames: Iterator[tuple[int, Float]], stage: str, of: int | None, tell: Tell) -> Iterator[tuple[int, Float]]:
    for done, item in enumerate(frames, 1):
        yield item
        tell(stage, done, of)


def _usable(recording: Recording, seen: list[Glance], mode: Mode) -> list[Glance]:
    usable = [glance for glance in seen if not glance.why]
    if len(usable) >= FEWEST:
        return usable
    held = f"{recording.name}: {len(seen)} frame{'s' * (len(seen) != 1)}"
    if not any(glance.why for glance in seen):
        raise InputError(f"{held}; at least {FEWEST} are needed.")
    reasons = ", ".join(f"{count} {why}" for why, count in reasons_of(seen))
    hint = "; if it is a surface, choose that mode" if mode == "planet" else ""
    raise InputError(f"{held}, of which {len(usable)} can be used and {FEWEST} are needed: {reasons}{hint}.")


def reasons_of(frames: list[Glance] | tuple[Verdict, ...]) -> list[tuple[str, int]]:
    """Why frames were left out, and how many for each reason, the most frequent first."""
    reasons = [frame.why for frame in frames if frame.why]
    return sorted(((why, reasons.count(why)) for why in set(reasons)), key=lambda pair: -pair[1])


def _mean(recording: Recording, usable: list[Glance], shifts: Shifts, keep: float) -> Float:
    """The mean luminance of the sharpest frames, moved as a whole."""
    import cv2

    ranked = sorted(usable, key=lambda glance: -glance.sharpness)
    chosen = {glance.index for glance in ranked[: max(FEWEST, min(50, round(max(keep, 0.3) * len(ranked))))]}
    height, width = recording.size
    total = np.zeros((height, width), np.float32)
    for index, picture in recording.read(chosen):
        move = np.array([[1, 0, shifts[index][0]], [0, 1, shifts[index][1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        total += cv2.warpAffine(luminance(picture), move, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return total / np.float32(len(chosen))


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """reference: (height, width), in the mean geometry; shown: the share of frames that show each pixel of it. order:
    indices of frames; sharpness: (frames, places), 0 where a frame does not show a place. gains: what each frame is
    multiplied by. seeing: pixels."""

    reference: Float
    shown: Float
    order: list[int]
    sharpness: Float
    gains: list[float]
    seeing: float


def _judge(recording: Recording, reference: Float, shifts: Shifts, noise: float, tell: Tell) -> _Judged:
    """Bends every frame onto the reference, judges it place by place, and makes a better reference: sharper, and in
    the mean geometry of all frames."""
    bent, judge = Seeing(reference), Judge(reference, noise)
    total, weight = FAINT * reference, np.full_like(reference, FAINT)
    shown = np.zeros_like(reference)
    mean = np.zeros((*bent.mesh[::-1], 2), np.float32)
    order, sharpness, gains, squares = [], [], [], []
    for index, picture in _told(recording.read(shifts), "judging", len(shifts), tell):
        plane = luminance(picture)
        field = bent.field(plane, shifts[index])
        seen, inside = unbent(plane, field)
        gain = judge.gain(seen, inside)
        quality = judge.sharpness(gain * seen, inside)
        share = inside * spread(quality**4, reference.shape)
        total += share * (gain * seen)
        weight += share
        shown += inside / np.float32(len(shifts))
        mean += field / np.float32(len(shifts))
        squares.append(float(np.square(field - field.mean((0, 1))).sum(2).mean()))
        order.append(index)
        gains.append(gain)
        sharpness.append(quality.astype(np.float16))  # of thousands of frames
    better, _ = unbent(total / weight, -mean)
    return _Judged(better, shown, order, np.array(sharpness, np.float32), gains, float(np.sqrt(np.mean(squares))))


def _add(
    recording: Recording, judged: _Judged, chosen: Float, shifts: Shifts, scale: float, tell: Tell
) -> tuple[Float, Float]:
    """The weighted mean of the frames, bent onto the reference and sampled `scale` times finer; and half the difference
    (height, width) of the luminances of the means of every other frame, which is what noise is left in the former."""
    place = {index: number for number, index in enumerate(judged.order) if chosen[number].any()}
    bent = Seeing(judged.reference)
    finer, _ = unbent(judged.reference, np.zeros((*bent.mesh[::-1], 2), np.float32), scale)
    weight = np.full_like(finer, FAINT)
    total, part = FAINT * finer, [weight.copy(), FAINT * finer]
    for count, (index, picture) in enumerate(_told(recording.read(place), "adding", len(place), tell)):
        number = place[index]
        seen, inside = unbent(picture, bent.field(luminance(picture), shifts[index]), scale)
        share = inside * spread(chosen[number], inside.shape)
        lit = judged.gains[number] * share
        if seen.ndim > total.ndim:
            total = np.repeat(total[..., None], seen.shape[2], 2)
        total += lit.reshape(*lit.shape, *(1,) * (seen.ndim - 2)) * seen
        weight += share
        if count % 2:
            part = [part[0] + share, part[1] + lit * luminance(seen)]
    difference = part[1] / part[0] - (luminance(total) - part[1]) / (weight - part[0] + FAINT)
    mean: Float = total / weight.reshape(*weight.shape, *(1,) * (total.ndim - 2))
    return mean, np.asarray(difference / 2, np.float32)


def _whole_part(good: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of a large rectangle that is all good: sides are taken off where most is not."""
    top, bottom, left, right = 0, good.shape[0], 0, good.shape[1]
    while (part := good[top:bottom, left:right]).size and not part.all():
        sides = [float(side.mean()) for side in (part[0], part[-1], part[:, 0], part[:, -1])]
        worst = int(np.argmin(sides))
        top, bottom = top + (worst == 0), bottom - (worst == 1)
        left, right = left + (worst == 2), right - (worst == 3)
    return (slice(top, bottom), slice(left, right)) if part.size else (slice(None), slice(None))


def join_colours(picture: Float) -> tuple[Float, tuple[tuple[float, float], ...]]:
    """Red and blue of (height, width, 3) moved onto green, and by how much they were off, (dx, dy) each.

    The air is a prism: away from the zenith it spreads a planet by pixels. A channel that cannot be registered, or
    not within 8 pixels, stays.
    """
    out, moved = picture.copy(), []
    for channel in (0, 2):
        try:
            dx, dy = register(picture[..., 1], picture[..., channel], photometric=True).shift
        except InputError:
            dx, dy = 0.0, 0.0
        if 0 < math.hypot(dx, dy) < 8:
            out[..., channel] = shift_picture(picture[..., channel], -dx, -dy)
        moved.append((dx, dy))
    return out, tuple(moved)


def _verdicts(seen: list[Glance], shifts: Shifts, judged: _Judged, chosen: Float, keep: float) -> tuple[Verdict, ...]:
    number = {index: n for n, index in enumerate(judged.order)}
    mean = judged.sharpness.mean((1, 2))
    mean = mean / max(float(mean.mean()), 1e-9)
    used = (chosen > 0).mean((1, 2))
    out = []
    for glance in seen:
        if glance.why:
            out.append(Verdict(glance.index, glance.shift, 0.0, 0.0, glance.why))
            continue
        n = number[glance.index]
        why = "" if used[n] else f"nowhere among the best {keep:.0%}"
        dx, dy = shifts[glance.index].tolist()
        out.append(Verdict(glance.index, (dx, dy), float(mean[n]), float(used[n]), why))
    return tuple(out)


def _warnings(verdicts: tuple[Verdict, ...], error: float, keep: float) -> Iterator[str]:
    usable = [verdict for verdict in verdicts if verdict.sharpness]
    if error > UNSURE:
        yield (
            f"Local motion is uncertain by {error:.1f} px, for the frames have much noise or little structure; "
            "the result may be blurred or bent."
        )
    if len(usable) < len(verdicts) / 2:
        yield f"Only {len(usable)} of {len(verdicts)} frames can be used."
    if (few := max(FEWEST, math.ceil(keep * len(usable)))) < 5:
        yield f"Each place is the mean of {few} frames only, so that noise may show: keep or record more."
