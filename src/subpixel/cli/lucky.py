"""subpixel lucky"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from subpixel.cli import options as o
from subpixel.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from subpixel.multiframe.lucky import Stack
    from subpixel.multiframe.sequences import Recording

SCHEMA_VERSION = 1

Sharpen = Literal["none", "wiener", "rl"]


def lucky(
    inputs: Annotated[
        list[str], typer.Argument(metavar="IN...", help="A film (SER, FITS, TIFF, AVI, MP4...), a folder, or pictures.")
    ],
    output: Annotated[str, typer.Option("-o", "--output", metavar="OUT", help="Picture: .tif, .png or .jpg.")],
    mode: Annotated[
        Literal["auto", "surface", "planet"],
        typer.Option(help="surface fills the picture; planet is a body before a dark sky."),
    ] = "auto",
    keep: Annotated[str, typer.Option(metavar="PERCENT", help="Share of the frames to use at each place.")] = "25%",
    scale: Annotated[float, typer.Option("-s", "--scale", help="How many times finer, 1 to 4.")] = 1.0,
    sharpen: Annotated[Sharpen, typer.Option(help="none, Wiener's filter or Richardson-Lucy (rl).")] = "none",
    blur: Annotated[
        str, typer.Option(metavar="auto|SIGMA", help="What to sharpen against: Gaussian, pixels of the output.")
    ] = "auto",
    bayer: Annotated[
        Literal["auto", "none", "RGGB", "GRBG", "GBRG", "BGGR"],
        typer.Option(help="Colour filters of a camera that recorded its mosaic as grey."),
    ] = "auto",
    join_colours: Annotated[
        bool, typer.Option("--join-colours/--no-join-colours", help="Move red and blue onto green.")
    ] = True,
    plot: Annotated[str | None, typer.Option(metavar="FILE.png", help="Draw how sharp the frames were.")] = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
) -> None:
    """Make one sharp picture of a film of the Moon, the Sun or a planet: at each place of its best frames.

    Frames are aligned, bent back where the air bent them, and judged place by place. Needs the extra `multiframe`.
    """
    from subpixel import pictures

    pictures.require()
    share, spread = _share(keep), _blur(blur, sharpen)
    for path in filter(None, (output, plot)):
        pictures.kind_of(path)
        pictures.fresh(path, overwrite=overwrite)

    from subpixel.multiframe.chart import chart
    from subpixel.multiframe.lucky import Options
    from subpixel.multiframe.lucky import lucky as stack
    from subpixel.multiframe.sequences import open_recording

    recording = open_recording(inputs[0] if len(inputs) == 1 else inputs, bayer=bayer)
    with _telling() as tell:
        result = stack(recording, Options(mode, share, scale, join_colours), tell=tell)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    picture, used = _sharpened(result, sharpen, spread)
    pictures.save(output, picture, overwrite=overwrite)
    if plot:
        pictures.save(plot, chart(result.verdicts, share), bits=8, overwrite=overwrite)
    facts = _facts(recording, result, share) | {"sharpen": sharpen, "blur": used, "output": output}
    typer.echo(json.dumps({"schema_version": SCHEMA_VERSION, **facts}) if as_json else _said(facts))


def _share(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
    if found is None or not 0 < float(found[1]) <= 100:
        raise UsageError(f"--keep takes a share of the frames from above 0% up to 100%, such as 25%; not {text!r}.")
    return float(found[1]) / 100


def _blur(text: str, sharpen: Sharpen) -> float | None:
    """Pixels, None for auto."""
    if text == "auto":
        return None
    if sharpen == "none":
        raise UsageError("--blur says what to sharpen against; add --sharpen wiener or --sharpen rl.")
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--blur takes auto or a number of pixels, not {text!r}.") from None


def _sharpened(result: Stack, how: Sharpen, blur: float | None) -> tuple[npt.NDArray[np.float32], float | None]:
    """The picture, and the blur that was undone."""
    from subpixel.multiframe import sharpen

    if how == "none":
        return result.picture, None
    if blur is None:
        fall = sharpen.LIMB if result.mode == "planet" else sharpen.EDGES
        blur = sharpen.estimate_blur(result.picture, noise=result.left, fall=fall)
    if how == "rl":
        return sharpen.richardson_lucy(result.picture, blur), blur
    return sharpen.wiener(result.picture, blur, noise=result.left), blur


def _facts(recording: Recording, result: Stack, keep: float) -> dict[str, Any]:
    from subpixel.multiframe.lucky import reasons_of

    usable = [verdict for verdict in result.verdicts if verdict.sharpness > 0]
    best = max(usable, key=lambda verdict: verdict.sharpness)
    height, width = result.picture.shape[:2]
    return {
        "input": recording.name,
        "kind": recording.kind,
        "frames": len(result.verdicts),
        "frame_size": list(recording.size[::-1]),
        "size": [width, height],
        "mode": result.mode,
        "usable": len(usable),
        "keep": keep,
        "left_out": [{"why": why, "frames": count} for why, count in reasons_of(result.verdicts)],
        "best_frame": best.index,
        "best_sharpness": round(best.sharpness, 3),
        "seconds": None if recording.times is None else round(float(recording.times[-1]), 3),
        "seeing_px": round(result.seeing, 3),
        "noise": round(result.noise, 5),
        "error_px": round(result.error, 4),
        "resolution": round(result.resolution, 3),
        "colours_px": [[round(dx, 3), round(dy, 3)] for dx, dy in result.colours],
        "warnings": list(result.warnings),
        "verdicts": [
            {
                "frame": verdict.index,
                "shift": [round(part, 3) for part in verdict.shift],
                "sharpness": round(verdict.sharpness, 4),
                "used": round(verdict.used, 4),
                "why": verdict.why,
            }
            for verdict in result.verdicts
        ],
    }


def _said(facts: dict[str, Any]) -> str:
    """The facts in sentences."""
    lasts = "" if facts["seconds"] is None else f", {facts['seconds']:.1f} s"
    lines = [
        f"{facts['input']}: {facts['kind']}, {facts['frames']} frames of {_size(facts['frame_size'])}{lasts}; "
        f"{facts['mode']} mode",
        f"usable: {facts['usable']} frames, at each place the best {facts['keep']:.0%} of them; frame "
        f"{facts['best_frame']} is the sharpest, {facts['best_sharpness']:.2f} times the mean",
        *(f"left out: {entry['frames']} {entry['why']}" for entry in facts["left_out"]),
        f"seeing: the air moved things by {facts['seeing_px']:.2f} px, known to about {facts['error_px']:.2f} px; "
        f"noise of a frame {facts['noise']:.2%} of white",
    ]
    if facts["colours_px"]:
        pairs = zip(("red", "blue"), facts["colours_px"], strict=True)
        moved = [f"{name} {dx:+.2f}, {dy:+.2f} px" for name, (dx, dy) in pairs]
        lines.append(f"colours: {' and '.join(moved)} off green, moved onto it")
    if facts["resolution"]:
        finest = 1 / facts["resolution"]
        lines.append(
            f"detail: real down to {finest:.1f} px, by two halves of the frames ({facts['resolution']:.2f} cycles/px)"
        )
    if facts["blur"] is not None:
        lines.append(f"sharpened ({facts['sharpen']}) against a blur of {facts['blur']:.2f} px")
    return "\n".join([*lines, f"wrote {facts['output']}, {_size(facts['size'])}"])


def _size(size: list[int]) -> str:
    return "x".join(map(str, size))


@contextlib.contextmanager
def _telling() -> Iterator[Callable[[str, int, int | None], None] | None]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda stage, done, of: bar.update(task, description=stage, completed=done, total=of)
