"""subpixel clips build, check, show, split"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from subpixel.errors import BatchError, UsageError, VerificationError

clips = typer.Typer(help="Make, check, look at and split pairs to train networks on.", no_args_is_help=True)

StoreFolder = Annotated[Path, typer.Argument(metavar="STORE", help="A folder made by `clips build`.")]
Jobs = Annotated[int, typer.Option("-j", "--jobs", min=0, help="Processes; 0 for one per core.")]


@clips.command()
def build(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Films, photographs, folders of them, lists (.toml).")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="STORE", help="Folder; its clips are kept.")],
    root: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where patterns in lists start.  [default: the list's folder]")
    ] = None,
    scale: Annotated[int, typer.Option("-s", "--scale", min=2, max=4, help="How many times smaller.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn by lot.")] = 0,
    variants: Annotated[int, typer.Option(min=1, help="Clips of each shot; of a photograph a quarter of it.")] = 4,
    shots: Annotated[int, typer.Option(min=1, help="Most shots of a film, evenly spread.")] = 8,
    jobs: Jobs = 0,
    ray: Annotated[bool, typer.Option("--ray", help="Work on a Ray cluster (extra cluster).")] = False,
) -> None:
    """Make training pairs of films and photographs: sharp, and as the contest's command leaves them.

    The same command continues a build that was stopped. Equal sources and seed give equal files.
    """
    from subpixel.learn.clips import build as make

    with _telling() as tell:
        built = make(
            sources,
            output,
            root=root,
            scale=scale,
            seed=seed,
            variants=variants,
            shots=shots,
            jobs=_processes(jobs),
            ray=ray,
            tell=tell,
        )
    counts = f"{built.clips} clip{'s' * (built.clips != 1)} ({built.made} new)"
    print(f"{output}: {counts}, {built.frames} frames, {built.bytes / 1e6:.1f} MB")
    if built.failed:
        for name, reason in built.failed.items():
            print(f"failed: {name}: {reason}", file=sys.stderr)
        raise BatchError(f"{len(built.failed)} sources could not be used; the clips of the others are in {output}.")


@clips.command()
def check(store: StoreFolder, jobs: Jobs = 0) -> None:
    """Read every file of a store and say what is wrong: hashes, shapes, counts, sides that do not show the same."""
    from subpixel.learn.check import check as find
    from subpixel.learn.check import describe

    with _telling() as tell:
        problems = find(store, jobs=_processes(jobs), tell=tell)
    for problem in problems:
        print(problem)
    if problems:
        raise VerificationError(f"{store}: {len(problems)} problems.")
    print(f"{store}: all is well: {describe(store)}.")


@clips.command()
def show(
    store: StoreFolder,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="SHEET.png", help="The picture to write.")],
    count: Annotated[int, typer.Option("-n", "--clips", min=1, help="Clips to show, evenly spread.")] = 12,
    overwrite: Annotated[bool, typer.Option("-y", "--overwrite", help="Replace an existing picture.")] = False,
) -> None:
    """Draw a contact sheet: both sides, quantisers and motion of some clips."""
    from subpixel.learn.sheet import sheet

    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists; add -y to replace it.")
    print(f"{output}: {sheet(store, output, clips=count)} clips")


@clips.command()
def split(
    store: StoreFolder,
    validation: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the scenes to set apart; 0 for none.")],
    seed: Annotated[int, typer.Option(min=0, help="Which scenes.")] = 0,
) -> None:
    """Set whole scenes apart for validation; the trainer does not learn from them."""
    from subpixel.learn.check import describe
    from subpixel.learn.clips import split as set_apart

    set_apart(store, validation, seed)
    print(f"{store}: {describe(store)}.")


def _processes(jobs: int) -> int:
    return jobs or os.cpu_count() or 1


@contextlib.contextmanager
def _telling() -> Iterator[Callable[[str, int, int], None] | None]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(name: str, done: int, total: int) -> None:
            bar.update(task, description=escape(name), completed=done, total=total)

        yield tell
