"""subpixel register"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from subpixel.cli import options
from subpixel.errors import InputError, UsageError

if TYPE_CHECKING:
    from subpixel.pictures import Picture
    from subpixel.register import Motion
    from subpixel.register.motion import Array

SCHEMA_VERSION = 1


def register(
    given: Annotated[
        list[Path], typer.Argument(metavar="REFERENCE MOVING...", help="Pictures, a folder of them, or a film.")
    ],
    model: Annotated[
        Literal["shift", "euclidean", "similarity", "affine", "homography", "flow"], typer.Option(help="How it moves.")
    ] = "shift",
    method: Annotated[
        Literal["gradient", "peak", "foroosh", "phase", "feature", "neural"], typer.Option(help="How it is found.")
    ] = "gradient",
    photometric: Annotated[bool, typer.Option("--photometric", help="Find gain and bias of the samples too.")] = False,
    robust: Annotated[bool, typer.Option("--robust", help="What moves otherwise does not count.")] = False,
    mask: Annotated[
        Path | None, typer.Option(metavar="PICTURE", help="Where the reference counts: white; black does not.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT", help="The moving picture on the reference's grid.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Differences before and after, side by side.")
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Find where what the first picture shows is seen in the others, and how sure that is.

    Positions are in pixels, x to the right and y downwards; every other picture is compared with the first.
    """
    from subpixel import pictures

    pictures.require()
    from subpixel.register import register as find
    from subpixel.register import warp
    from subpixel.register.show import differences

    for path in filter(None, (output, plot)):
        pictures.kind_of(path)
        pictures.fresh(path, overwrite=overwrite)
    first, *others = pictures.sequence(given)
    if len(others) > 1 and (output or plot):
        raise UsageError(f"-o and --plot take one moving picture, not {len(others)}.")
    chosen = None if mask is None else _white(pictures.load(mask))
    motions = []
    for other in others:
        try:
            found = find(*_alike(first, other), model, method, photometric=photometric, robust=robust, mask=chosen)
        except InputError as error:
            raise InputError(f"{other.name}: {error}") from error
        motions.append(found)
    if output:
        pictures.save(
            output, warp(others[0].data, motions[0], fill=0)[0], bits=_bits(output, others[0].bits), overwrite=overwrite
        )
    if plot:
        pictures.save(plot, differences(first.data, others[0].data, motions[0]), bits=8, overwrite=overwrite)
    if as_json:
        rows = [{"name": other.name, **_plain(motion)} for other, motion in zip(others, motions, strict=True)]
        print(json.dumps({"schema_version": SCHEMA_VERSION, "reference": first.name, "pictures": rows}))
    for other, motion in zip(others, motions, strict=True):
        if not as_json:
            print(f"{other.name}: {_described(motion)}")
        if motion.warning:
            print(f"warning: {other.name}: {motion.warning}", file=sys.stderr)


def _alike(first: Picture, other: Picture) -> tuple[Array, Array]:
    """The samples of both pictures, where their depths differ with 1 for white."""
    if first.bits == other.bits:
        return first.samples, other.samples
    return first.data, other.data


def _white(mask: Picture) -> Array:
    """(height, width) bool: where a picture is white."""
    import numpy as np

    return np.asarray((mask.data.reshape(*mask.size, -1) > 0.5).all(2))


def _bits(path: Path, bits: int) -> int:
    """The depth of a picture, as far as a file of this name can have it."""
    suffix = path.suffix.lower()
    return 8 if suffix in (".jpg", ".jpeg") else min(bits, 16) if suffix == ".png" else bits


def _plain(motion: Motion) -> dict[str, Any]:
    """A motion as JSON has it; of a flow its mean and its farthest."""
    plain: dict[str, Any] = {"model": motion.model, "shift": list(motion.shift), "rmse": motion.rmse}
    if motion.flow is None:
        plain["matrix"] = motion.matrix.tolist()
    else:
        plain["farthest"] = _farthest(motion)
    return {**plain, "gain": motion.gain, "bias": motion.bias, "overlap": motion.overlap, "warning": motion.warning}


def _described(motion: Motion) -> str:
    dx, dy = motion.shift
    words = [f"x {dx:+.4f}, y {dy:+.4f} pixels"]
    if motion.flow is not None:
        words = [f"x {dx:+.3f}, y {dy:+.3f} pixels in the mean, {_farthest(motion):.3f} at most"]
    elif motion.model != "shift":
        (a, b), (c, d) = motion.matrix[:2, :2]
        zoom, turn = math.sqrt(abs(a * d - b * c)), math.degrees(math.atan2(c - b, a + d))
        words = [f"the upper left corner moves by x {dx:+.4f}, y {dy:+.4f} pixels", f"turned by {turn:+.4f} degrees"]
        words += [f"{zoom:.6f} times as large"] * (motion.model != "euclidean")
    if (motion.gain, motion.bias) != (1.0, 0.0):
        words.append(f"gain {motion.gain:.4f}, bias {motion.bias:+.4g}")
    words += [f"predicted error {motion.rmse:.2g} pixels", f"{100 * motion.overlap:.1f} % seen in both"]
    return ", ".join(words)


def _farthest(motion: Motion) -> float:
    import numpy as np

    return 0.0 if motion.flow is None else float(np.hypot(motion.flow[..., 0], motion.flow[..., 1]).max())
