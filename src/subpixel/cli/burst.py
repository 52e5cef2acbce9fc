"""subpixel burst"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from subpixel.cli import options
from subpixel.errors import UsageError

if TYPE_CHECKING:
    from subpixel.multiframe.fuse import Fused
    from subpixel.multiframe.guides import Frame

SCHEMA_VERSION = 1


def burst(
    frames: Annotated[
        list[Path], typer.Argument(metavar="FRAMES...", help="RAW files, pictures, a folder of them, or a film.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="A .png, .tif, .jpg or .dng file.")],
    scale: Annotated[float, typer.Option("-s", "--scale", help="How many times wider and higher, 1 to 4.")] = 2,
    model: Annotated[
        Literal["auto", "shift", "euclidean", "similarity", "affine", "homography", "flow"],
        typer.Option(help="How the camera moved; flow lets each pixel move by itself."),
    ] = "auto",
    reference: Annotated[int, typer.Option(min=0, help="Number of the frame that the others are brought to.")] = 0,
    psf: Annotated[str, typer.Option(metavar="auto|SIGMA", help="Blur of the lens in pixels of a frame.")] = "auto",
    noise: Annotated[
        str, typer.Option(metavar="auto|A,B", help="Variance A * signal + B of a sample, 1 being white.")
    ] = "auto",
    fill: Annotated[float, typer.Option(help="Light-sensitive width of a pixel, in pixels.")] = 1.0,
    no_robust: Annotated[bool, typer.Option("--no-robust", help="Use what moved too; it leaves ghosts.")] = False,
    linear: Annotated[
        bool, typer.Option("--linear", help="Write RAW frames in light, not in the tones of a display.")
    ] = False,
    bits: Annotated[int | None, typer.Option(help="Of the output's samples.  [default: 16, JPEG 8]")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Where frames were left out: the redder, the more of them.")
    ] = None,
    start: options.Start = None,
    end: options.End = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Make one picture with more detail and less noise from several of the same scene.

    RAW frames are not demosaicked: all samples of all frames are explained by one picture. What moved is taken from
    the reference alone.
    """
    from subpixel import pictures

    pictures.require("cv2", "scipy", "tifffile")
    from subpixel.multiframe.fuse import fuse
    from subpixel.multiframe.raw import load_burst

    _check_outputs(output, plot, overwrite)
    lens = psf if psf == "auto" else _numbers(psf, 1, "--psf")[0]
    known = noise if noise == "auto" else tuple(_numbers(noise, 2, "--noise"))
    since, until = (None if time is None else options.seconds(time) for time in (start, end))
    given = load_burst(frames, start=since, end=until)
    result = fuse(
        given,
        scale=scale,
        model=model,
        reference=reference,
        psf=lens,
        noise=known,  # type: ignore[arg-type]  # two numbers were asked for
        fill=fill,
        robust=not no_robust,
        progress=_tell,
    )
    _write(output, result, given[reference], linear, bits, overwrite)
    if plot is not None:
        pictures.save(plot, _shares(result, given[reference]), bits=8, overwrite=overwrite)
    for note in result.notes:
        print(f"warning: {note}", file=sys.stderr)
    if as_json:
        typer.echo(json.dumps({"schema_version": SCHEMA_VERSION, **_facts(result, given, output)}, allow_nan=False))
    else:
        typer.echo(_table(_facts(result, given, output)))


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        print(what, file=sys.stderr)


def _check_outputs(output: Path, plot: Path | None, overwrite: bool) -> None:
    from subpixel import pictures

    if output.suffix.lower() != ".dng":
        pictures.kind_of(output)
    pictures.fresh(output, overwrite=overwrite)
    if plot is not None:
        pictures.kind_of(plot)
        pictures.fresh(plot, overwrite=overwrite)


def _numbers(text: str, count: int, option: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        what = "a number" if count == 1 else f"{count} numbers, such as 0.002,0.00001"
        raise UsageError(f"{option} takes auto or {what}, not {text!r}.")
    return values


def _write(output: Path, result: Fused, frame: Frame, linear: bool, bits: int | None, overwrite: bool) -> None:
    from subpixel import pictures
    from subpixel.multiframe.dng import save_dng
    from subpixel.multiframe.raw import Mosaic, develop

    if not isinstance(frame, Mosaic):
        if output.suffix.lower() == ".dng":
            raise UsageError("A DNG holds the colours of a camera, and these frames are developed; write a .tif file.")
        pictures.save(output, result.picture, bits=bits, overwrite=overwrite)
    elif output.suffix.lower() == ".dng":
        save_dng(output, result.picture, frame.camera, overwrite=overwrite)
    else:
        pictures.save(output, develop(result.picture, frame.camera, linear=linear), bits=bits, overwrite=overwrite)


def _shares(result: Fused, frame: Frame) -> Any:
    """(h, w, 3) the reference in grey, at half its size, the redder the fewer frames count there."""
    import numpy as np

    from subpixel.multiframe.guides import guide

    grey = np.clip(guide(frame).mean(-1), 0, 1)[..., None] ** np.float32(1 / 2.2)
    lost = 1 - result.used[..., None]
    return grey * (1 - lost) + lost * np.array([1, 0.1, 0.1], np.float32)


def _facts(result: Fused, frames: Any, output: Path) -> dict[str, Any]:
    height, width = result.picture.shape[:2]
    rows = [
        {
            "frame": frame.name,
            "model": motion.model,
            "dx": round(motion.shift[0], 4),
            "dy": round(motion.shift[1], 4),
            "error": round(motion.rmse, 4),
            "gain": round(gain, 4),
            "used": round(kept, 4),
        }
        for frame, motion, gain, kept in zip(frames, result.motions, result.gains, result.kept, strict=True)
    ]
    return {
        "output": str(output),
        "width": width,
        "height": height,
        "reference": result.reference,
        "noise": {"a": result.noise[0], "b": result.noise[1]},
        "psf": result.psf,
        "frames": rows,
        "warnings": result.notes,
    }


def _table(facts: dict[str, Any]) -> str:
    lines = ["  dx [px]   dy [px]  error [px]    gain   used  frame"]
    lines += [
        f"{row['dx']:9.3f} {row['dy']:9.3f} {row['error']:11.4f} {row['gain']:7.3f} {row['used']:5.0%}   {row['frame']}"
        for row in facts["frames"]
    ]
    noise = math.sqrt(facts["noise"]["a"] * 0.2 + facts["noise"]["b"])
    lines.append(
        f"Noise: {noise:.2%} of white at a fifth of white (variance {facts['noise']['a']:.3g} * signal + "
        f"{facts['noise']['b']:.3g}). Lens: sigma {facts['psf']:.2f} pixels."
    )
    lines.append(f"{facts['output']}: {facts['width']}x{facts['height']} of {len(facts['frames'])} frames.")
    return "\n".join(lines)
