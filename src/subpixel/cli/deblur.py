"""subpixel deblur"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subpixel.cli import options as o
from subpixel.cli.batch import FILMS
from subpixel.errors import UsageError

if TYPE_CHECKING:
    from subpixel.multiframe.deblur import Deblurred
    from subpixel.pictures import Picture

SCHEMA_VERSION = 1
MOST = 60  # frames of a film that one picture is made of


def deblur(
    inputs: Annotated[
        list[str], typer.Argument(metavar="FRAMES...", help="Pictures of one scene, a folder of them, or a film.")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="OUT", help="A picture (.png, .tif, .jpg), or a film of a film.")
    ],
    reference: Annotated[
        int | None, typer.Option(min=0, help="Number of the frame to stand on.  [default: the sharpest]")
    ] = None,
    codec: o.Codec = "h264",
    crf: o.Crf = None,
    start: o.Start = None,
    end: o.End = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="How sharp the frames were, and what share each has.")
    ] = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
) -> None:
    """Make blurred frames sharp with what the others show: one picture of a burst, or a film of a film.

    A film's sound, subtitles, chapters and times are kept. Needs the extra `multiframe`.
    """
    from subpixel import pictures

    pictures.require()
    if Path(output).suffix.lower() in FILMS:
        _film(inputs, output, reference, plot, codec, crf, start, end, overwrite, as_json)
        return
    if crf is not None or codec != "h264":
        raise UsageError("--codec and --crf are for films; a picture's format follows from the name of the output.")
    wanted: list[str | Path] = [output] if plot is None else [output, plot]
    for path in wanted:
        pictures.kind_of(path)
        pictures.fresh(path, overwrite=overwrite)
    from subpixel.multiframe.deblur import deblur as sharpen

    burst = _frames(inputs, start, end)
    names = [frame.name for frame in burst]
    result = sharpen([frame.data for frame in burst], reference=reference, names=names, progress=_tell)
    for note in result.notes:
        print(f"warning: {note}", file=sys.stderr)
    deep = Path(output).suffix.lower() in (".tif", ".tiff") or burst[0].bits > 8
    pictures.save(output, result.picture, bits=16 if deep else 8, overwrite=overwrite)
    if plot is not None:
        pictures.save(plot, _chart(result), bits=8, overwrite=overwrite)
    facts = _facts(result, names, output)
    typer.echo(json.dumps({"schema_version": SCHEMA_VERSION, **facts}, allow_nan=False) if as_json else _said(facts))


def _film(
    inputs: Sequence[str],
    output: str,
    reference: int | None,
    plot: Path | None,
    codec: str,
    crf: float | None,
    start: str | None,
    end: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """The film with every frame deblurred, as `upscale` would restore it."""
    if len(inputs) > 1:
        raise UsageError(f"A film is made of one film or one folder of pictures, not of {len(inputs)} inputs.")
    if reference is not None or plot is not None:
        raise UsageError("--reference and --plot are for bursts; in a film each frame stands on itself.")
    if codec == "png":
        raise UsageError("--codec png is for folders; `subpixel upscale --model deblur --scale 1` writes those.")
    from subpixel import upscale
    from subpixel.cli.progress import choose, shown
    from subpixel.multiframe.deblur_film import NAME
    from subpixel.stop import stoppable
    from subpixel.video import Encoding

    show = choose("auto")
    with stoppable("the finished chunks are kept") as stop, shown(show, inputs[0], output, stop) as tell:
        report = upscale(
            inputs[0],
            output,
            model=NAME,
            scale=1,
            encoding=Encoding(codec, crf),
            start=None if start is None else o.seconds(start),
            end=None if end is None else o.seconds(end),
            overwrite=overwrite,
            progress=tell,
            cancel=stop,
        )
    if as_json:
        typer.echo(json.dumps({"schema_version": SCHEMA_VERSION, **report.as_dict()}))
    else:
        typer.echo(str(report))


def _frames(inputs: Sequence[str], start: str | None, end: str | None) -> list[Picture]:
    from subpixel import pictures

    since, until = (None if time is None else o.seconds(time) for time in (start, end))
    frames = pictures.sequence(list(inputs), start=since, end=until)
    if len(frames) > MOST:
        raise UsageError(
            f"{len(frames)} frames are more than one picture is made of; choose at most {MOST} with --start and --end, "
            "or name a film (.mp4, .mkv) as the output."
        )
    return frames


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        print(what, file=sys.stderr)


def _facts(result: Deblurred, names: Sequence[str], output: str) -> dict[str, Any]:
    rows = []
    for number, (name, part) in enumerate(zip(names, result.parts, strict=True)):
        found = part.aligned
        rows.append(
            {
                "frame": name,
                "number": number,
                "sharpness": round(part.sharpness, 4),
                "share": round(part.share, 4),
                "motion": None if found is None else found.motion.model,
                "left_over": None if found is None else round(found.stray, 4),
                "moved": None if found is None else round(found.moved, 4),
                "gain": None if found is None else round(found.gain, 4),
                "why": part.why or ("the reference" if number == result.reference else ""),
            }
        )
    height, width = result.picture.shape[:2]
    return {
        "output": output,
        "width": width,
        "height": height,
        "reference": result.reference,
        "sharpness": round(result.sharpness, 4),
        "noise": {"a": result.noise[0], "b": result.noise[1]},
        "frames": rows,
        "warnings": result.notes,
    }


def _said(facts: dict[str, Any]) -> str:
    lines = ["frame  sharpness  share  motion  left over [px]   moved"]
    for row in facts["frames"]:
        line = f"{row['number']:5} {row['sharpness']:10.3f} {row['share']:6.1%}"
        if row["motion"] is not None:
            line += f"  {row['motion']:<6} {row['left_over']:15.3f} {row['moved']:7.1%}"
        lines.append(f"{line}  {row['why']}".rstrip())
    used = sum(row["share"] > 0 for row in facts["frames"])
    lines.append(
        "Share: how much of the result a frame gave, frequency by frequency the sharpest most. Moved: the part of a "
        "frame that showed something else, or was not seen; there the reference's own samples stand."
    )
    lines.append(
        f"{facts['output']}: {facts['width']}x{facts['height']} of {used} of {len(facts['frames'])} frames on frame "
        f"{facts['reference']}, {facts['sharpness']:.2f} times as sharp (squared gradient) as the sharpest of them."
    )
    return "\n".join(lines)


def _chart(result: Deblurred) -> Any:
    """(h, w, 3) bars for each frame: light its sharpness, dark its share, red below where it was left out."""
    import numpy as np

    wide, tall = 24, 200
    canvas = np.ones((tall + 20, wide * len(result.parts) + 10, 3), np.float32)
    most = max(part.share for part in result.parts)
    for number, part in enumerate(result.parts):
        left = 5 + wide * number
        canvas[tall - round(tall * max(part.sharpness, 0)) : tall, left + 2 : left + 12] = (0.7, 0.8, 0.9)
        canvas[tall - round(tall * part.share / most) : tall, left + 12 : left + 22] = (0.1, 0.3, 0.7)
        if part.why:
            canvas[tall + 4 : tall + 14, left + 2 : left + 22] = (0.8, 0.1, 0.1)
    return canvas
