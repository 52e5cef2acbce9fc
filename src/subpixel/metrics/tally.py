"""What one restored frame scores against its reference, as sums that add up over frames, clips and sets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from subpixel import color, resample
from subpixel.errors import InputError
from subpixel.frames import Frame
from subpixel.metrics.arrays import SquaredError, ssim

Bytes = npt.NDArray[np.uint8]
Errors = npt.NDArray[np.int16]

_NONE = SquaredError()


@dataclasses.dataclass(frozen=True, slots=True)
class Tally:
    """What was summed over some frames; tallies of frames add up to a clip's, of clips to the pool's.

    rgb, luma: the pinned metric and Y; temporal, consistency: sums of the module's companions;
    frame_psnr: sum of the frames' own RGB PSNR; ssim, windows: sum over the frames that have one and their number;
    luma_from: "planes", "rgb", or "mixed" where clips differ.
    """

    frames: int = 0
    rgb: SquaredError = _NONE
    luma: SquaredError = _NONE
    temporal: SquaredError = _NONE
    consistency: SquaredError = _NONE
    frame_psnr: float = 0.0
    ssim: float = 0.0
    windows: int = 0
    luma_from: str = ""

    def __add__(self, other: Tally) -> Tally:
        origins = {self.luma_from, other.luma_from} - {""}
        return Tally(
            frames=self.frames + other.frames,
            rgb=self.rgb + other.rgb,
            luma=self.luma + other.luma,
            temporal=self.temporal + other.temporal,
            consistency=self.consistency + other.consistency,
            frame_psnr=self.frame_psnr + other.frame_psnr,
            ssim=self.ssim + other.ssim,
            windows=self.windows + other.windows,
            luma_from=origins.pop() if len(origins) == 1 else "mixed" if origins else "",
        )

    def as_dict(self) -> dict[str, object]:
        """For JSON: an infinite PSNR (identical samples) is the string "inf", what was not measured is null."""
        rms = math.sqrt(self.consistency.mse) if self.consistency.n else math.nan
        return {
            "frames": self.frames,
            "psnr_rgb": finite(self.rgb.psnr),
            "sse_rgb": self.rgb.sse,
            "n_rgb": self.rgb.n,
            "mean_frame_psnr_rgb": finite(self.frame_psnr / self.frames if self.frames else math.nan),
            "psnr_y": finite(self.luma.psnr),
            "sse_y": self.luma.sse,
            "n_y": self.luma.n,
            "ssim_y": finite(self.mean_ssim),
            "temporal_mse_y": finite(self.temporal.mse),
            "consistency_rms_y": finite(rms),
            "luma_from": self.luma_from,
        }

    @property
    def mean_ssim(self) -> float:
        """Mean SSIM over the frames; nan where none is 11 pixels wide and high."""
        return self.ssim / self.windows if self.windows else math.nan


def finite(value: float) -> float | str | None:
    """As JSON can hold it: "inf" for infinity, None for nan."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf"


class FrameCountError(InputError):
    """Streams of different length; counts: how many frames each of them has."""

    def __init__(self, counts: dict[str, int]) -> None:
        super().__init__("The numbers of frames differ: " + ", ".join(f"{n} in {k}" for k, n in counts.items()) + ".")
        self.counts = counts


def in_step(streams: dict[str, Iterable[Frame]]) -> Iterator[tuple[Frame, ...]]:
    """The first frame of every named stream, then the second of each, to the end.

    Raises FrameCountError, with all counts, where they do not end together.
    """
    running = {name: iter(frames) for name, frames in streams.items()}
    for number, group in enumerate(zip_longest(*running.values())):
        if None in group:
            rest = [sum(1 for _ in frames) for frames in running.values()]
            counts = (number + (frame is not None) + more for frame, more in zip(group, rest, strict=True))
            raise FrameCountError(dict(zip(running, counts, strict=True)))
        yield group


def tallies(
    restored: Iterable[Frame], reference: Iterable[Frame], low: Iterable[Frame] | None = None, *, with_ssim: bool = True
) -> Iterator[tuple[str, Tally]]:
    """For every frame its type in `low` ("?" without) and its tally; one frame of each stream in memory.

    low: the frames the restored ones were made from, for types and consistency.
    Raises InputError where sizes or frame counts differ.
    """
    streams = {"the restored video": restored, "the reference": reference}
    if low is not None:
        streams["the input"] = low
    before: Errors | None = None
    for ours, truth, *source in in_step(streams):
        _check_sizes(ours, truth)
        total, before = frame_tally(ours, truth, (color.to_rgb(ours), color.to_rgb(truth)), before, with_ssim=with_ssim)
        if source:
            total += Tally(consistency=consistency(ours, source[0]))
        yield (source[0].kind if source else "?"), total


def _check_sizes(ours: Frame, truth: Frame) -> None:
    """Raises InputError, with both sizes, where a restored frame is not as large as its reference."""
    if (ours.width, ours.height) != (truth.width, truth.height):
        raise InputError(
            f"The restored picture is {ours.width}x{ours.height}, the reference {truth.width}x{truth.height}; "
            "scores need equal sizes, so restore by the factor the reference was shrunk by, or crop one of them."
        )


def frame_tally(
    ours: Frame, truth: Frame, rgb: tuple[Bytes, Bytes], before: Errors | None = None, *, with_ssim: bool = True
) -> tuple[Tally, Errors]:
    """Scores of one frame, and its errors in Y (h, w) that the next frame's temporal error is taken against.

    rgb: both as `color.to_rgb` gives them; before: the errors of the frame before, None for the first.
    """
    y, y_truth, origin = lumas(ours, truth, rgb)
    errors = np.subtract(y, y_truth, dtype=np.int16)
    squares = SquaredError.of(*rgb)
    similarity = ssim(y, y_truth) if with_ssim else math.nan
    measured = not math.isnan(similarity)
    total = Tally(
        frames=1,
        rgb=squares,
        luma=SquaredError.of(y, y_truth),
        temporal=_NONE if before is None else SquaredError.of(errors, before),
        frame_psnr=squares.psnr,
        ssim=similarity if measured else 0.0,
        windows=int(measured),
        luma_from=origin,
    )
    return total, errors


def consistency(restored: Frame, low: Frame) -> SquaredError:
    """Between the restored Y, shrunk to the input's size by degrading's bicubic, and the input's Y, at 8 bits."""
    if restored.width < low.width or restored.height < low.height:
        raise InputError(
            f"The input ({low.width}x{low.height}) is larger than the restored picture "
            f"({restored.width}x{restored.height}); name the video it was restored from."
        )
    ours, theirs, _ = lumas(restored, low)
    return SquaredError.of(resample.resize(ours, low.width, low.height), theirs)


def lumas(a: Frame, b: Frame, rgb: tuple[Bytes, Bytes] | None = None) -> tuple[Bytes, Bytes, str]:
    """Comparable 8-bit Y planes of both and whether they are the decoded planes or made from RGB."""
    if not (a.layout.rgb or b.layout.rgb) and color.resolve(a.color)[1] == color.resolve(b.color)[1]:
        return _luma(a), _luma(b), "planes"
    first, second = rgb or (color.to_rgb(a), color.to_rgb(b))
    return _rgb_luma(first), _rgb_luma(second), "rgb"


def _luma(frame: Frame) -> Bytes:
    """First plane of a YUV or gray frame, rounded to 8 bits: (h, w), code values as they are."""
    plane, extra = frame.planes[0], frame.layout.bits - 8
    if extra == 0:
        return plane.astype(np.uint8, copy=False)
    rounded: Bytes = np.minimum((plane.astype(np.uint32) + (1 << (extra - 1))) >> extra, 255).astype(np.uint8)
    return rounded


def _rgb_luma(rgb: Bytes) -> Bytes:
    """BT.601 full-range Y, (h, w), of 8-bit RGB (h, w, 3): weights 0.299, 0.587, 0.114 in 16 bits, rounded."""
    weighted = rgb[..., 0] * np.uint32(19595) + rgb[..., 1] * np.uint32(38470) + rgb[..., 2] * np.uint32(7471)
    y: Bytes = ((weighted + 32768) >> 16).astype(np.uint8)
    return y
