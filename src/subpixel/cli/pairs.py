"""subpixel pairs"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from subpixel.cli import options
from subpixel.errors import BatchError


def pairs(
    given: Annotated[
        list[Path], typer.Argument(metavar="TELE WIDE...", help="Pictures in couples, or two folders of equal names.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="STORE", help="Folder for `subpixel train`.")],
    scale: Annotated[int, typer.Option("-s", "--scale", min=2, max=4, help="HR pixels for each one of WIDE.")] = 4,
    crop: Annotated[int, typer.Option(min=32, help="Pixels of WIDE in a clip's side, an even number.")] = 96,
    warp: Annotated[bool, typer.Option(help="Warp by what tiles show beyond one homography.")] = True,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Make training pairs of pictures that an optical zoom took: the same view through a long lens and a short one.

    TELE is laid onto WIDE, made of its colours, and both are cut into clips. What does not fit is left out and named.
    """
    from subpixel import pictures
    from subpixel.cli.train import check_torch

    pictures.require()
    check_torch()
    from subpixel.learn.zoom import build, couples

    outcomes = build(couples(given), output, scale=scale, crop=crop // 2 * 2, follow=warp, overwrite=overwrite)
    if as_json:
        print(json.dumps({"store": str(output), "pairs": [dataclasses.asdict(outcome) for outcome in outcomes]}))
    for o in outcomes:
        if o.reason:
            print(f"rejected: {o.tele}, {o.wide}: {o.reason}", file=sys.stderr)
        elif not as_json:
            print(
                f"{o.tele}, {o.wide}: zoom {o.zoom:.3f}, error {o.error:.3f} and parallax {o.parallax:.2f} HR pixels, "
                f"{100 * o.alike:.0f} % of the tiles alike, {o.psnr:.1f} dB, {o.sharpness:.1f} times as sharp, "
                f"{o.clips} clips"
            )
        if o.warning:
            print(f"warning: {o.warning}", file=sys.stderr)
    rejected = sum(bool(outcome.reason) for outcome in outcomes)
    if rejected:
        raise BatchError(f"{rejected} of {len(outcomes)} pairs were rejected; the clips of the others are in {output}.")
    if not as_json:
        print(f"{output}: {sum(outcome.clips for outcome in outcomes)} clips of {len(outcomes)} pairs")
