"""subpixel challenge dataset, pack, validate, score"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from subpixel.cli import options as o
from subpixel.errors import DiskError, InputError

if TYPE_CHECKING:
    from subpixel.challenge.manifest import Manifest
    from subpixel.challenge.rules import Rules
    from subpixel.challenge.score import Verdict

challenge = typer.Typer(help="Hold a contest in restoring video, and take part in one.", no_args_is_help=True)

Answer = Annotated[
    Path, typer.Argument(metavar="ANSWER.tar", help="A hand-in, made by `challenge pack` or tar; - for a pipe.")
]
Data = Annotated[
    Path, typer.Option("--data", metavar="FOLDER", help="The contest's data: manifest.json and rules.toml.")
]
Report = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="REPORT.json", help="Write the verdict to a file too.")
]


@challenge.command()
def dataset(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Films, or folders of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="The contest, a new folder.")],
    rules: Annotated[str, typer.Option(metavar="NAME|FILE.toml", help="The rules.")] = "contest2020",
    round_: Annotated[str, typer.Option("--round", metavar="NAME", help="Of the rules.  [default: the first]")] = "",
    test: Annotated[int | None, typer.Option(min=1, help="Number of test clips.  [default: a tenth of all]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the numbers that the clips get.")] = 0,
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE.toml", help="How clips are degraded.")] = "contest",
    crop_to_fit: Annotated[
        bool, typer.Option("--crop-to-fit", help="Use the upper left part of a picture whose size cannot be divided.")
    ] = False,
    baseline: Annotated[
        str, typer.Option(metavar="MODEL", help="What makes the baseline answer, none for no such answer.")
    ] = "fast",
) -> None:
    """Make the data of a contest of videos: training pairs, test clips, manifest, baseline, and the truth apart."""
    from subpixel.challenge.dataset import Options, build
    from subpixel.degrade import Recipe

    model = "" if baseline == "none" else baseline
    options = Options(rules, round_, test, seed, Recipe.load(recipe), crop_to_fit, model)
    with _telling() as tell:
        manifest = build(videos, output, options, progress=tell)
    frames = sum(clip.frames for clip in manifest.clips)
    counts = f"{_count(len(manifest.clips), 'test clip')} of {_count(frames, 'frame')}"
    print(f"{output}/public: for everyone; {counts}, round {manifest.round}")
    print(f"{output}/truth: for the organisers only")


@challenge.command()
def pack(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A video or a folder of PNG files for each clip.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="ANSWER.tar", help="The hand-in to write.")],
    data: Data,
    overwrite: o.Overwrite = False,
) -> None:
    """Pack restored clips into one tar to hand in."""
    from subpixel.challenge.pack import pack as write

    size = write(folder, *_contest(data), output, overwrite=overwrite)
    print(f"{output}: {size / 1e6:.1f} MB; now run `subpixel challenge validate {output} --data {data}`.")


@challenge.command()
def validate(answer: Answer, data: Data, output: Report = None, as_json: o.Json = False) -> None:
    """Check a hand-in exactly as the contest's server does, every picture decoded."""
    _judge(answer, data, None, output, as_json)


@challenge.command()
def score(
    answer: Answer,
    data: Data,
    truth: Annotated[Path, typer.Option(metavar="FOLDER", help="The organisers' folder of the test clips' samples.")],
    output: Report = None,
    as_json: o.Json = False,
) -> None:
    """Check a hand-in and score it: PSNR over all 8-bit RGB samples of all frames of all clips together."""
    _judge(answer, data, truth, output, as_json)


def _contest(data: Path) -> tuple[Manifest, Rules]:
    from subpixel.challenge.manifest import Manifest
    from subpixel.challenge.rules import Rules

    return Manifest.load(data), Rules.load(data / "rules.toml")


def _judge(answer: Path, data: Path, truth: Path | None, output: Path | None, as_json: bool) -> None:
    from subpixel.challenge.score import judge

    manifest, rules = _contest(data)
    with _telling() as tell:
        verdict = judge("/dev/stdin" if str(answer) == "-" else answer, manifest, rules, truth, progress=tell)
    text = json.dumps(verdict.as_dict(), allow_nan=False)
    if output:
        try:
            output.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise DiskError(f"Cannot write {output}: {error.strerror or error}.") from error
    print(text if as_json else _shown(answer, verdict, rules.round(manifest.round).decimals))
    if not verdict.valid:
        count = len(verdict.problems)
        raise InputError(f"{answer} is not valid: {count} problem{'s' if count > 1 else ''}.")


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _shown(answer: Path, verdict: Verdict, decimals: int) -> str:
    lines = [*map(str, verdict.problems), *(f"note: {note}" for note in verdict.notes)]
    if verdict.valid:
        clips, frames = len(verdict.clips), sum(clip.frames for clip in verdict.clips)
        lines.append(f"{answer} is valid: {_count(clips, 'clip')}, {_count(frames, 'frame')}.")
        if not all(clip.locked for clip in verdict.clips):
            lines.append("note: on this machine the decoder could not be kept from files and network.")
    if verdict.valid and verdict.error.n:
        lines.append(f"PSNR {verdict.error.psnr:.{decimals}f} dB (sse {verdict.error.sse}, n {verdict.error.n})")
    return "\n".join(lines)


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

        def tell(name: str, done: int, total: int | None) -> None:
            bar.update(task, description=escape(name), completed=done, total=total)

        yield tell
