"""subpixel pixelshift"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subpixel.cli import burst, options

if TYPE_CHECKING:
    from subpixel.multiframe.pixelshift import Shifted

SCHEMA_VERSION = 1


def pixelshift(
    shots: Annotated[
        list[Path], typer.Argument(metavar="SHOTS...", help="4 or 16 RAW files or pictures, or a folder of them.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="A .png, .tif, .jpg or .dng file.")],
    psf: Annotated[
        str, typer.Option(metavar="auto|SIGMA", help="Blur of the lens to undo, in pixels of a shot; 0 for none.")
    ] = "0",
    noise: Annotated[
        str, typer.Option(metavar="auto|A,B", help="Variance A * signal + B of a sample, 1 being white.")
    ] = "auto",
    linear: Annotated[
        bool, typer.Option("--linear", help="Write RAW shots in light, not in the tones of a display.")
    ] = False,
    bits: Annotated[int | None, typer.Option(help="Of the output's samples.  [default: 16, JPEG 8]")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Where something moved: the redder, the fewer shots count.")
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Make one picture of 4 or 16 shots between which the sensor was moved, in any order.

    The shifts are measured, the brightness of each colour is equalised, and what moved is taken from the first shot.
    """
    from subpixel import pictures

    pictures.require()
    from subpixel.multiframe.pixelshift import pixelshift as combine
    from subpixel.multiframe.raw import load_burst

    burst._check_outputs(output, plot, overwrite)
    lens = psf if psf == "auto" else burst._numbers(psf, 1, "--psf")[0]
    known = noise if noise == "auto" else tuple(burst._numbers(noise, 2, "--noise"))
    given = load_burst(shots)
    result = combine(given, psf=lens, noise=known, progress=burst._tell)  # type: ignore[arg-type]  # two numbers
    burst._write(output, result.fused, given[0], linear, bits, overwrite)
    if plot is not None:
        pictures.save(plot, burst._shares(result.fused, given[0]), bits=8, overwrite=overwrite)
    for note in result.notes:
        print(f"warning: {note}", file=sys.stderr)
    facts = _facts(result, [shot.name for shot in given], output)
    typer.echo(json.dumps({"schema_version": SCHEMA_VERSION, **facts}, allow_nan=False) if as_json else _said(facts))


def _facts(result: Shifted, names: list[str], output: Path) -> dict[str, Any]:
    height, width = result.fused.picture.shape[:2]
    rows = [
        {
            "shot": name,
            "column": place % result.grid.side,
            "row": place // result.grid.side,
            "dx": round(float(used[0]), 4),
            "dy": round(float(used[1]), 4),
            "off_nominal": round(math.dist(measured, nominal), 4),
            "gains": [round(float(gain), 4) for gain in gains],
            "used": round(kept, 4),
        }
        for name, place, used, measured, nominal, gains, kept in zip(
            names,
            result.places,
            result.used,
            result.measured,
            result.nominal,
            result.gains,
            result.fused.kept,
            strict=True,
        )
    ]
    return {
        "output": str(output),
        "width": width,
        "height": height,
        "scale": result.grid.scale,
        "grid": {"side": result.grid.side, "step": result.grid.step},
        "stage_error": round(result.stage, 4),
        "error": round(result.rmse, 4),
        "noise": {"a": result.fused.noise[0], "b": result.fused.noise[1]},
        "psf": result.fused.psf,
        "shots": rows,
        "warnings": result.notes,
    }


def _said(facts: dict[str, Any]) -> str:
    grid = facts["grid"]
    lines = ["place   dx [px]   dy [px]  off [px]    gain    used  shot"]
    for row in facts["shots"]:
        gain = sum(row["gains"]) / len(row["gains"])
        lines.append(
            f"{row['column']},{row['row']}  {row['dx']:9.3f} {row['dy']:9.3f} {row['off_nominal']:9.3f} {gain:7.3f} "
            f"{row['used']:7.1%}  {row['shot']}"
        )
    lines.append(
        f"The shots lie on {grid['side']} x {grid['side']} places {grid['step']:g} pixels apart, off by "
        f"{facts['stage_error']:.3f} pixels (off: from where the stage should have been), measured to "
        f"{facts['error']:.3f}. Shifts were taken as measured, as far as they are surer than the stage."
    )
    lines.append(
        "Each shot was divided by its gain. Used: the share of a shot that shows what the first one does; the rest "
        "moved and is the first shot's alone."
    )
    lines.append(f"{facts['output']}: {facts['width']}x{facts['height']} of {len(facts['shots'])} shots.")
    return "\n".join(lines)
