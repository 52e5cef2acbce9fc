"""subpixel score, subpixel compare"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from subpixel.cli import options as o
from subpixel.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from subpixel.compare import Crop
    from subpixel.metrics import Clip, Tally

SCHEMA_VERSION = 1


def score(
    restored: Annotated[str, typer.Argument(metavar="RESTORED", help="A film, a folder of pictures, or of films.")],
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="The same, before it was degraded.")],
    low: Annotated[
        str | None,
        typer.Option("--input", metavar="IN", help="What was restored: adds scores by frame type and consistency."),
    ] = None,
    no_ssim: Annotated[bool, typer.Option("--no-ssim", help="Leave SSIM out; it takes a third of the time.")] = False,
    as_json: o.Json = False,
) -> None:
    """Measure how close restored films are to their reference: PSNR, SSIM, temporal error.

    PSNR is 10 log10(255^2 n / sse) of all 8-bit RGB samples of all frames of all clips together. In the JSON object
    the PSNR of identical samples is the string "inf", and what was not measured is null.
    """
    from subpixel.metrics import score as measure

    with _telling() as tell:
        result = measure(
            restored, reference, low=low, with_ssim=not no_ssim, progress=lambda n, i: tell(f"{n}: frame {i}")
        )
    if as_json:
        typer.echo(json.dumps({"schema_version": SCHEMA_VERSION, **result.as_dict()}, allow_nan=False))
        return
    from rich.console import Console

    rows = [*result.clips, result.pooled] if len(result.clips) > 1 else list(result.clips)
    console = Console()
    console.print(_table(rows))
    for note in result.notes:
        console.print(note, markup=False)


def compare(
    files: Annotated[
        list[str], typer.Argument(metavar="A B [C...]", help="Films or folders of pictures; the last is the reference.")
    ],
    output: Annotated[str, typer.Option("-o", "--output", metavar="REPORT.html", help="The page to write.")],
    reference: Annotated[
        str | None, typer.Option(metavar="FILE", help="One more film that the others are scored against.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="How many pictures of each, evenly spread.")] = 12,
    crop: Annotated[
        str | None,
        typer.Option(metavar="WxH+X+Y", help="Part of the pictures.  [default: the middle, as large as --size allows]"),
    ] = None,
    size: Annotated[str, typer.Option(metavar="SIZE", help="Most bytes the page may have.")] = "15M",
    image_format: Annotated[
        Literal["webp", "png", "jpeg"], typer.Option("--image-format", help="webp and png are lossless.")
    ] = "webp",
    overwrite: o.Overwrite = False,
) -> None:
    """Write one HTML page that shows films side by side: split, zoom, frames, plots, scores."""
    from subpixel.compare import report

    if Path(output).exists() and not overwrite:
        raise UsageError(f"{output} exists; add -y to replace it.")
    with _telling() as tell:
        page = report(
            files,
            output,
            reference=reference,
            frames=frames,
            crop=_crop(crop) if crop else None,
            megabytes=o.size(size) / 1e6,
            image_format=image_format,
            progress=lambda done, total: tell(f"frame {done} of {total}"),
        )
    typer.echo(f"{page}: {page.stat().st_size / 1e6:.1f} MB; open it in a browser.")


def _crop(text: str) -> Crop:
    from subpixel.compare import Crop

    found = re.fullmatch(r"(\d+)x(\d+)\+(\d+)\+(\d+)", text)
    if found is None:
        raise UsageError(f"{text!r} is not a crop; write width, height, left and top as 640x360+100+50.")
    return Crop(*map(int, found.groups()))


@contextlib.contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """Shows one line of progress on standard error while it is a terminal."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("reading") as status:
        yield lambda text: status.update(escape(text))


def _table(clips: list[Clip]) -> Table:
    from rich.table import Table

    table = Table("", box=None, pad_edge=False, header_style="bold")
    for title in ("frames", "PSNR RGB", "mean", "PSNR Y", "SSIM Y", "temporal", "consistency"):
        table.add_column(title, justify="right")
    for clip in clips:
        table.add_row(clip.name, *_cells(clip.total))
        for kind, tally in clip.by_type.items():
            table.add_row(f"  {kind} frames", *_cells(tally), style="dim")
    return table


def _cells(tally: Tally) -> list[str]:
    facts = tally.as_dict()
    keys = ("psnr_rgb", "mean_frame_psnr_rgb", "psnr_y", "ssim_y", "temporal_mse_y", "consistency_rms_y")
    return [str(tally.frames), *(_number(facts[key], 4 if key == "ssim_y" else 2) for key in keys)]


def _number(value: object, digits: int) -> str:
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return "-" if value is None else str(value)
