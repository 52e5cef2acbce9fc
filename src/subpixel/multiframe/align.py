"""A burst's frames, checked against each other and brought to one place and one exposure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError, UsageError
from subpixel.multiframe.guides import Frame, Source, aligned_guide, channels, guide, view
from subpixel.multiframe.raw import Mosaic
from subpixel.pictures import Picture
from subpixel.register import MODELS, Model, Motion, register

Float = npt.NDArray[Any]  # float32

FLICKER = 1.25  # how much brighter than another a frame may be without saying that it was exposed longer
BENT = 0.03  # pixels by which two models must differ for the richer one to be used


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """The frames with their motions and gains, and sentences about what is doubtful."""

    sources: list[Source]
    notes: list[str]


def checked(frames: Sequence[Frame | npt.NDArray[Any]]) -> list[Frame]:
    """The frames as Pictures and Mosaics; raises InputError unless they are two or more of one size and kind."""
    wrapped = [_wrapped(frame, index) for index, frame in enumerate(frames)]
    if len(wrapped) < 2:
        raise InputError(f"A burst has two frames or more, not {len(wrapped)}.")
    first = wrapped[0]
    for frame in wrapped[1:]:
        if frame.size != first.size:
            sizes = " and ".join(f"{w}x{h}" for h, w in (first.size, frame.size))
            raise InputError(f"{first.name} and {frame.name} differ in size: {sizes}; give frames of one camera.")
        if channels(frame) != channels(first) or isinstance(frame, Mosaic) != isinstance(first, Mosaic):
            raise InputError(
                f"{first.name} and {frame.name} are of different kinds; give all as RAW, as RGB or as grey."
            )
        if isinstance(frame, Mosaic) and not np.array_equal(frame.pattern, cast(Mosaic, first).pattern):
            raise InputError(f"{first.name} and {frame.name} have different mosaics; give frames of one camera.")
    if min(first.size) < 16:
        raise InputError(f"Frames of {first.size[1]}x{first.size[0]} pixels are too small to be registered.")
    return wrapped


def _wrapped(frame: Frame | npt.NDArray[Any], index: int) -> Frame:
    if isinstance(frame, Picture | Mosaic):
        return frame
    samples = np.asarray(frame)
    if samples.ndim not in (2, 3) or (samples.ndim == 3 and samples.shape[2] != 3) or 0 in samples.shape:
        raise InputError(
            f"Frame {index} has the shape {samples.shape}; a frame is (height, width) or (height, width, 3)."
        )
    if samples.dtype not in (np.uint8, np.uint16):
        samples = samples.astype(np.float32)
        if not np.isfinite(samples).all():
            raise InputError(f"Frame {index} holds values that are no numbers (NaN or infinite).")
    return Picture(samples, 8 * samples.dtype.itemsize, name=f"frame {index}")


def align(
    frames: list[Frame], reference: int, motions: Sequence[Motion] | None, model: str, *, robust: bool = False
) -> Aligned:
    """Every frame with its motion from frame `reference` and its gain; the reference itself is where it is.

    Raises UsageError for an unknown model or too few motions, InputError for frames that cannot be registered or that
    differ in exposure without saying by how much.
    """
    if motions is not None and len(motions) != len(frames):
        raise UsageError(f"{len(motions)} motions were given for {len(frames)} frames; give one for each.")
    gains = _gains(frames, reference)
    notes: list[str] = []
    if motions is None:
        motions = _registered(frames, reference, gains, model, robust)
        notes = [f"{f.name}: {m.warning}" for f, m in zip(frames, motions, strict=True) if m.warning]
    sources = [Source(f, m, m.inverse(), g) for f, m, g in zip(frames, motions, gains, strict=True)]
    first, there = frames[reference], guide(frames[reference])
    linear = isinstance(first, Mosaic) or first.linear
    for index, source in enumerate(sources):
        ratio = _ratio(there, source) if index != reference else 1.0
        if not 1 / FLICKER < ratio / source.gain < FLICKER:
            raise _unequal(source.frame, first, ratio)
        if linear:
            sources[index] = dataclasses.replace(source, gain=ratio)
    return Aligned(sources, notes)


def _ratio(reference: Float, source: Source) -> float:
    """How much brighter the frame is than the reference's guide where both see the same, by the median of its pixels.

    Exposure times are nominal and lamps flicker by some per cent: what the file says is where to look, no more.
    """
    there, seen = aligned_guide(reference, source)
    there, frame = there.mean(-1), guide(source.frame).mean(-1)
    bright = seen & (there > 0.02) & (there < 0.9) & (frame > 0.02) & (frame < 0.9)
    return float(np.median(frame[bright] / there[bright])) if bright.sum() >= 100 else source.gain


def _unequal(frame: Frame, first: Frame, ratio: float) -> InputError:
    return InputError(
        f"{frame.name} is {ratio:.2f} times as bright as {first.name}, and the files do not say how they were exposed, "
        "or not rightly; give frames of one exposure."
    )


def _registered(frames: list[Frame], reference: int, gains: list[float], model: str, robust: bool) -> list[Motion]:
    if model != "auto" and model not in MODELS:
        raise UsageError(f"There is no model {model!r}; choose auto, {', '.join(MODELS)}.")
    seen = view(frames[reference])
    others = [k for k in range(len(frames)) if k != reference]
    chosen = cast(Model, model)
    if model == "auto":
        ends = sorted({others[0], others[-1]} & {0, len(frames) - 1})
        bent = (_is_bent(seen, frames[k], gains[k]) for k in ends)
        chosen = "homography" if any(bent) else "shift"
    found = {k: _motion(seen, frames[k], gains[k], chosen, robust) for k in others}
    return [found.get(k, Motion("shift")) for k in range(len(frames))]


def _motion(seen: Float, frame: Frame, gain: float, model: Model, robust: bool = False) -> Motion:
    """The motion of a frame, which is `gain` times as bright: what is white in one is cut off in both."""
    moving = view(frame)
    if abs(gain - 1) > 0.02:
        seen, moving = (np.minimum(plane, 0.98) for plane in (seen * max(gain, 1), moving / min(gain, 1)))
    try:
        return register(seen, moving, model, robust=robust)
    except InputError as error:
        raise InputError(f"{frame.name} cannot be registered. {error}") from error


def _is_bent(seen: Float, frame: Frame, gain: float) -> bool:
    """Whether a frame moved by more than a shift."""
    height, width = frame.size
    corners = np.array([(0, 0), (width, 0), (0, height), (width, height), (width / 2, height / 2)])
    rich, plain = _motion(seen, frame, gain, "homography"), _motion(seen, frame, gain, "shift")
    apart = float(np.sqrt(((rich.points(corners) - plain.points(corners)) ** 2).sum(1).mean()))
    return apart > BENT + 3 * rich.rmse


def _gains(frames: list[Frame], reference: int) -> list[float]:
    """How much brighter than the reference each frame was exposed: as the files say, else as it looks."""
    levels = [_level(frame) for frame in frames]
    looks = [level / max(levels[reference], 1e-6) for level in levels]
    said = [_exposure(frame) for frame in frames]
    if all(value is not None for value in said):
        told = [cast(float, value) / cast(float, said[reference]) for value in said]
        if max(told) / min(told) > 1.02:
            if any(isinstance(f, Picture) and not f.linear for f in frames):
                raise InputError(
                    "These developed pictures were exposed differently (by a factor of "
                    f"{max(told) / min(told):.2f}), and their tones cannot be undone; give RAW files or linear TIFFs."
                )
            return told
    for frame, look in zip(frames, looks, strict=True):
        if not 0.5 < look < 2:  # what the motion brings in and out of sight changes the mean too; `align` looks closer
            raise _unequal(frame, frames[reference], look)
    return [1.0] * len(frames)


def _level(frame: Frame) -> float:
    """Mean of the middle half, where little enters or leaves."""
    height, width = frame.size
    return float(frame.part(height // 4, height - height // 4, width // 4, width - width // 4).mean(dtype=np.float64))


def _exposure(frame: Frame) -> float | None:
    return None if frame.exposure is None else frame.exposure * (frame.iso or 100)
