"""subpixel degrade"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from subpixel.cli import options as o
from subpixel.errors import BatchError, UsageError

SCHEMA_VERSION = 1
HOW = "The recipe, piece by piece"


def _option(*names: str, text: str, metavar: str | None = None) -> typer.models.OptionInfo:
    found: typer.models.OptionInfo = typer.Option(*names, help=text, metavar=metavar, rich_help_panel=HOW)
    return found


def degrade(
    inputs: Annotated[list[str], typer.Argument(metavar="IN...", help="Films, folders of films or of pictures.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="OUT", help="File, or folder for several inputs.")],
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE.toml", help="What is done; options below change it.")] = (
        "contest"
    ),
    scale: Annotated[int | None, _option("-s", "--scale", text="How many times smaller.")] = None,
    kernel: Annotated[str | None, _option(text="bicubic, bilinear, area, lanczos or neighbor.")] = None,
    codec: Annotated[str | None, _option(text="x264, x265, svtav1, vp9, or none (lossless).")] = None,
    crf: Annotated[float | None, _option(text="Quality on the codec's scale, lower is better.")] = None,
    qp: Annotated[int | None, _option(text="Constant quantiser, instead of --crf.")] = None,
    bitrate: Annotated[str | None, _option(text="Bits per second (800k, 1.5M), instead of --crf.")] = None,
    preset: Annotated[str | None, _option(text="Speed of the encoder.")] = None,
    threads: Annotated[int | None, _option(text="Of the encoder; frames depend on it.  [default: 3 or fewer]")] = None,
    noise: Annotated[float | None, _option(metavar="SIGMA", text="Gaussian noise, in 8-bit code values.")] = None,
    blur: Annotated[float | None, _option(metavar="SIGMA", text="Gaussian blur, in pixels of the input.")] = None,
    seed: Annotated[int | None, _option(text="Of the noise.")] = None,
    crop_to_fit: Annotated[
        bool, typer.Option("--crop-to-fit", help="Use the upper left part of a picture whose size cannot be divided.")
    ] = False,
    no_audio: o.NoAudio = False,
    recursive: o.Recursive = False,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
) -> None:
    """Make films small and compressed, by default with the contest's command.

    ffmpeg -i IN -vf scale=iw/4:ih/4 -c:v libx264 -preset slow -crf 21 OUT
    """
    from subpixel.degrade import Recipe
    from subpixel.degrade import degrade as make

    given = {
        "scale": scale,
        "kernel": kernel,
        "codec": codec,
        "crf": crf,
        "qp": qp,
        "bitrate": None if bitrate is None else _bits(bitrate),
        "preset": preset,
        "threads": threads,
        "noise": noise,
        "blur": blur,
        "seed": seed,
    }
    chosen = Recipe.load(recipe).changed(**{name: value for name, value in given.items() if value is not None})
    with _telling() as tell:
        report = make(
            inputs,
            output,
            chosen,
            crop_to_fit=crop_to_fit,
            audio=not no_audio,
            overwrite=overwrite,
            recursive=recursive,
            progress=tell,
        )
    print(json.dumps({"schema_version": SCHEMA_VERSION, **report.as_dict()}) if as_json else report)
    if report.failed:
        count = len(report.failed)
        raise BatchError(f"{count} of {count + len(report.clips)} films failed, the others are in {output}.")


def _bits(text: str) -> int:
    """Bits per second of "800k", "1.5M", "800000"; raises UsageError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)", text)
    if found is None:
        raise UsageError(f"{text!r} is not a bit rate; write 800k or 1.5M.")
    return round(float(found[1]) * {"": 1, "k": 1000, "M": 1_000_000}[found[2]])


@contextlib.contextmanager
def _telling() -> Iterator[Callable[[str, int, int | None], None] | None]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(source: str, done: int, total: int | None) -> None:
            bar.update(task, description=escape(source), completed=done, total=total)

        yield tell
