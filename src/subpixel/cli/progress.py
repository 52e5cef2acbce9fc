"""Progress on standard error: a bar on a terminal, lines in a log, JSON lines for programs."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from subpixel.outcome import Progress

SCHEMA_VERSION = 1
PLAIN_EVERY = 10.0  # seconds between lines in a log

Kind = Literal["auto", "rich", "plain", "json", "none"]
Tell = Callable[["Progress"], None]

STAGES = {"assemble": "joining", "verify": "checking"}


def choose(kind: Kind) -> Kind:
    """What "auto" means here: a bar on a terminal that can show it, lines elsewhere."""
    if kind != "auto":
        return kind
    return "rich" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else "plain"


@contextlib.contextmanager
def shown(kind: Kind, source: str, output: str, stop: threading.Event) -> Iterator[Tell]:
    """A function to call with each Progress; says once that a stop was asked for."""
    if kind == "rich":
        show = _rich(_short(source))
    elif kind == "json":
        show = _json(source, output)
    else:
        show = _plain(_short(source), every=PLAIN_EVERY if kind == "plain" else math.inf)
    with show as (tell, say):
        told = False

        def tell_all(progress: Progress) -> None:
            nonlocal told
            if stop.is_set() and not told:
                told = True
                say("Finishing the chunk in work; press Ctrl-C again to stop at once.")
            tell(progress)

        yield tell_all


Shown = Iterator[tuple[Tell, Callable[[str], None]]]


@contextlib.contextmanager
def _rich(name: str) -> Shown:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]} fps"),
        TextColumn("chunk {task.fields[chunk]}"),
        TextColumn("{task.fields[eta]}"),
    )
    with Bar(*columns, console=console, expand=True, transient=True) as bar:
        task = bar.add_task(escape(name), total=None, fps="-", chunk="1", eta="")

        def tell(progress: Progress) -> None:
            bar.update(
                task,
                description=escape(name) if progress.stage == "restore" else STAGES[progress.stage],
                completed=progress.frame,
                total=max(progress.total, progress.frame) if progress.total else None,
                fps=f"{progress.fps:.1f}",
                chunk=str(progress.chunk + 1),
                eta=_eta(progress),
            )

        yield tell, lambda sentence: console.print(sentence, markup=False)


@contextlib.contextmanager
def _plain(name: str, every: float) -> Shown:
    """A line every so many seconds."""
    last = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last < every:
            return
        last = time.monotonic()
        frame = f"{progress.frame} of {progress.total}" if progress.total else str(progress.frame)
        say(f"{name}: frame {frame}, {progress.fps:.1f} frames/s, chunk {progress.chunk + 1}{_eta(progress, ', ')}")

    def say(sentence: str) -> None:
        if every < math.inf:
            print(sentence, file=sys.stderr, flush=True)

    yield tell, say


@contextlib.contextmanager
def _json(source: str, output: str) -> Shown:
    def line(**facts: Any) -> None:
        print(json.dumps(facts), file=sys.stderr, flush=True)

    def tell(progress: Progress) -> None:
        line(
            event="progress",
            stage=progress.stage,
            frame=progress.frame,
            total=progress.total,
            fps=round(progress.fps, 3),
            eta_s=None if progress.eta is None else round(progress.eta, 1),
            chunk=progress.chunk,
        )

    line(event="start", schema_version=SCHEMA_VERSION, input=source, output=output)
    yield tell, lambda sentence: line(event="message", text=sentence)
    line(event="end", input=source, output=output)


def _short(path: str) -> str:
    name = os.path.basename(path.rstrip("/")) or path
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    return printable if len(printable) <= 28 else printable[:12] + "…" + printable[-15:]


def _eta(progress: Progress, before: str = "") -> str:
    if progress.eta is None:
        return ""
    from subpixel.outcome import duration

    return f"{before}{duration(progress.eta)} left"
