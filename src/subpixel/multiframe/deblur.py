"""Frames that a shaken camera blurred, each in its own way, become one sharp picture, or sharpen one another.

A frame and its neighbours are brought onto one grid (`regrid`) and accumulated, tile by tile and frequency by frequency
(`accumulate`). What moved by itself is left to the frame's own samples, so that it leaves no ghosts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError, UsageError
from subpixel.multiframe import noise as noises
from subpixel.multiframe.accumulate import accumulate
from subpixel.multiframe.regrid import Aligned, align, sharpness

Float = npt.NDArray[np.float32]

SMALLEST = 32  # pixels, a side: motion is looked for in pictures no smaller
BRIGHTER = 1.3  # times as bright as the reference: beyond it a frame was exposed differently, its tones do not fit
FLICKER = 1.05  # the same from which it is worth a word
ELSEWHERE = 0.7  # share of the picture in which a frame shows something else: then it is left out
DOUBTFUL = 0.5  # pixels left over, root mean square, from which a frame's alignment is doubtful
FULL = 0.98  # of white: samples above are saturated
MOST_FULL = 0.5  # share of saturated samples from which a frame says too little


@dataclasses.dataclass(frozen=True)
class Part:
    """What became of one frame.

    sharpness: mean squared gradient, without noise, against that of the sharpest frame. share: of the result, all
    frames' shares add up to 1. aligned: as `regrid.align` found it, None for the reference and for what is left out.
    why: the reason for which it is left out, "" if it is not.
    """

    sharpness: float
    share: float = 0.0
    aligned: Aligned | None = None
    why: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Deblurred:
    """A sharp picture: (H, W) or (H, W, 3) float32 on the grid and in the units of frame `reference`.

    parts: one a frame. sharpness: as of a Part, of the picture. noise: (a, b) of the frames, variance = a * signal + b.
    notes: warnings, sentences.
    """

    picture: Float
    reference: int
    parts: list[Part]
    sharpness: float
    noise: noises.Noise
    notes: list[str]


def deblur(
    frames: Sequence[Float],
    *,
    reference: int | None = None,
    names: Sequence[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Deblurred:
    """One sharp picture of a burst of blurred ones by Fourier burst accumulation (Delbracio & Sapiro, CVPR 2015).

    frames: two or more, (H, W) or (H, W, 3), 0 black, 1 white, of one exposure. reference: the frame whose grid the
    picture has, by default the sharpest. names: how messages call the frames. progress is told what is being done.
    Raises UsageError for a reference that is not there, and InputError for frames that differ in size or exposure, are
    too small, saturated, without detail, not numbers, or have nothing in common with the reference.
    """
    called = list(names or (f"Frame {number}" for number in range(len(frames))))
    pictures = _checked(frames, called)
    if reference is not None and not 0 <= reference < len(pictures):
        raise UsageError(f"There is no frame {reference}; the reference is one of 0 to {len(pictures) - 1}.")
    noise = _noise(pictures)
    sharp = sharpness(pictures, noise)
    chosen = int(np.argmax(sharp)) if reference is None else reference
    best = max(*sharp, 1e-12)
    parts = [Part(value / best) for value in sharp]
    stack = [pictures[chosen]]
    for number, frame in enumerate(pictures):
        if number != chosen:
            (progress or _silent)(f"aligning frame {number + 1} of {len(pictures)}")
            parts[number] = _part(pictures[chosen], frame, noise, parts[number], called[number])
            if parts[number].aligned is not None:
                stack.append(parts[number].aligned.picture)  # type: ignore[union-attr]
                parts[number] = _lighter(parts[number])
    if len(stack) == 1:
        raise InputError(f"No frame shows what {called[chosen]} shows: {next(p.why for p in parts if p.why)}.")
    (progress or _silent)("accumulating")
    picture, shares = accumulate(np.stack(stack), noise)
    used = [chosen, *(number for number, part in enumerate(parts) if part.aligned is not None)]
    for number, share in zip(used, shares, strict=True):
        parts[number] = dataclasses.replace(parts[number], share=float(share))
    made = picture[..., 0] if np.ndim(frames[0]) == 2 else picture
    level = sharpness([picture], (0.0, noise[1] / len(stack)))[0] / best
    return Deblurred(made, chosen, parts, level, noise, _notes(parts, called))


def _silent(_: str) -> None:
    pass


def _noise(pictures: Sequence[Float]) -> noises.Noise:
    """(a, b) of the samples of pictures (H, W, C): as the one shows it that has the least, for detail looks like noise.

    The blurrier a picture is, the less detail it has left to be taken for noise.
    """
    middle = pictures[0].shape[2] // 2
    found = [noises.estimate([np.ascontiguousarray(picture[..., middle])]) for picture in pictures]
    return min(found, key=lambda noise: noise[0] * 0.4 + noise[1])


def _lighter(part: Part) -> Part:
    """Without the aligned picture, which is in the stack."""
    assert part.aligned is not None
    return dataclasses.replace(part, aligned=dataclasses.replace(part.aligned, picture=np.empty((0, 0, 1), np.float32)))


def _checked(frames: Sequence[Float], names: Sequence[str]) -> list[Float]:
    """The frames as (H, W, C) float32."""
    if len(frames) < 2:
        raise InputError(
            f"A burst has two frames or more, not {len(frames)}: one blurred frame tells nothing of others."
        )
    first = np.shape(frames[0])
    for name, frame in zip(names, frames, strict=True):
        shape = np.shape(frame)
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3):
            raise InputError(f"{name} has the shape {shape}; a frame is (height, width) or (height, width, 3).")
        if shape != first:
            raise InputError(
                f"{name} has the shape {shape}, {names[0]} {first}; give frames of one camera at one size."
            )
        if min(shape[:2]) < SMALLEST:
            raise InputError(
                f"{name} is {shape[1]}x{shape[0]}; frames of {SMALLEST}x{SMALLEST} or more can be aligned."
            )
        if not np.isfinite(frame).all():
            raise InputError(f"{name} holds values that are no numbers (NaN or infinite).")
        if (full := float(np.mean(np.asarray(frame) > FULL))) > MOST_FULL:
            raise InputError(f"{name} is saturated in {full:.0%} of its samples; what is white shows no detail.")
    return [np.asarray(frame, np.float32).reshape(*first[:2], -1) for frame in frames]


def _part(reference: Float, frame: Float, noise: noises.Noise, part: Part, name: str) -> Part:
    """What a frame has to give; raises InputError if it was exposed differently."""
    try:
        aligned = align(reference, frame, noise)
    except InputError as error:
        return dataclasses.replace(part, why=_clause(error))
    if not 1 / BRIGHTER < aligned.gain < BRIGHTER:
        raise InputError(f"{name} is {aligned.gain:.2f} times as bright as the reference; give frames of one exposure.")
    if aligned.moved > ELSEWHERE:
        return dataclasses.replace(part, why=f"it shows something else in {aligned.moved:.0%} of the picture")
    return dataclasses.replace(part, aligned=aligned)


def _clause(error: InputError) -> str:
    sentence = str(error).rstrip(".")
    return sentence[0].lower() + sentence[1:]


def _notes(parts: Sequence[Part], names: Sequence[str]) -> list[str]:
    notes = [f"{name} is left out: {part.why}." for name, part in zip(names, parts, strict=True) if part.why]
    for name, part in zip(names, parts, strict=True):
        if part.aligned is None:
            continue
        if part.aligned.stray > DOUBTFUL:
            notes.append(f"{name} may be misplaced: things lie {part.aligned.stray:.2f} pixels elsewhere.")
        if not 1 / FLICKER < part.aligned.gain < FLICKER:
            notes.append(f"{name} is {part.aligned.gain:.2f} times as bright as the reference; it was equalised.")
    return notes


def helped(frames: Sequence[Float], index: int) -> Float | None:
    """Frame `index` of a film with the help of the frames around it, (H, W, 3), or None if none of them can help.

    What differs too much in brightness, shows something else or cannot be aligned is left out without a word.
    """
    mine = frames[index]
    noise = _noise(frames)
    stack = [mine]
    for number, frame in enumerate(frames):
        if number == index:
            continue
        try:
            aligned = align(mine, frame, noise)
        except InputError:  # one of the two shows too little, or something else
            continue
        if 1 / BRIGHTER < aligned.gain < BRIGHTER and aligned.moved < ELSEWHERE:
            stack.append(aligned.picture)
    return accumulate(np.stack(stack), noise)[0] if len(stack) > 1 else None
