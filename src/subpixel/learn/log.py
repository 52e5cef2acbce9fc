"""What a run says: RUN/log.jsonl always, TensorBoard where it is installed, a bar or lines for people."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from subpixel.outcome import duration

LOG = "log.jsonl"
PLAIN_EVERY = 10.0  # seconds between lines where there is no terminal
Tell = Callable[[int, str], None]  # steps done, and what there is to say of them


class Log:
    """The records of one run; `quiet` for all processes but the first.

    Records of steps after `step`, from which the run goes on, are of work that was lost and are removed.
    """

    def __init__(self, folder: Path, step: int, total: int, *, quiet: bool = False) -> None:
        self.path, self.total, self.quiet = folder / LOG, total, quiet
        self.board: Any = None
        self.first, self.began = step, time.monotonic()
        if quiet:
            return
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        if kept != lines:
            self.path.write_text("".join(kept))
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def record(self, event: str, step: int, facts: Mapping[str, Any]) -> None:
        """One line in the log; numbers go to TensorBoard under event/name."""
        if self.quiet:
            return
        with open(self.path, "a") as file:
            file.write(json.dumps({"event": event, "step": step, **facts}) + "\n")
        if self.board:
            for name, value in facts.items():
                if isinstance(value, int | float):
                    self.board.add_scalar(f"{event}/{name}", value, step)

    def left(self, step: int) -> str:
        """How fast it goes and how long it will take, for people."""
        rate = (step - self.first) / max(time.monotonic() - self.began, 1e-9)
        return f"{rate:.2f} steps/s, {duration((self.total - step) / max(rate, 1e-9))} left"

    def close(self) -> None:
        """Write out what is kept back."""
        if self.board:
            self.board.close()


@contextlib.contextmanager
def shown(name: str, step: int, total: int, *, quiet: bool = False) -> Iterator[tuple[Tell, Callable[[str], None]]]:
    """(tell, say): tell moves a bar on a terminal; say prints a sentence, above the bar where there is one."""
    if quiet:
        yield lambda _step, _text: None, lambda _text: None
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and importlib.util.find_spec("rich"):
        with _bar(name, step, total) as functions:
            yield functions
    else:
        yield _lines(name, total)


def _lines(name: str, total: int) -> tuple[Tell, Callable[[str], None]]:
    """A line every PLAIN_EVERY seconds."""
    last = time.monotonic()

    def tell(step: int, text: str) -> None:
        nonlocal last
        if time.monotonic() - last > PLAIN_EVERY:
            last = time.monotonic()
            say(f"{name}: step {step} of {total}, {text}")

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    return tell, say


@contextlib.contextmanager
def _bar(name: str, step: int, total: int) -> Iterator[tuple[Tell, Callable[[str], None]]]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn())
    with Progress(*columns, TextColumn("{task.fields[text]}"), console=console, expand=True, transient=True) as bar:
        task = bar.add_task(escape(name), completed=step, total=total, text="")
        yield (
            lambda done, text: bar.update(task, completed=done, text=escape(text)),
            lambda text: console.print(text, markup=False, highlight=False),
        )
