"""subpixel train, subpixel export"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from subpixel.errors import InputError, UsageError


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What to train, on what, how.")],
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="Folder of the run; continued where it is.")] = None,
    store: Annotated[list[Path] | None, typer.Option(metavar="STORE", help="Training pairs; repeatable.")] = None,
    validation: Annotated[Path | None, typer.Option(metavar="DIR", help="A store, or a folder of films.")] = None,
    init: Annotated[str | None, typer.Option(metavar="RUN|NAME", help="Network whose weights to start from.")] = None,
    teacher: Annotated[str | None, typer.Option(metavar="RUN|NAME", help="Network to distil from.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="Of the processor; 0 for as many as torch chooses.")] = 0,
    seconds: Annotated[float, typer.Option(min=0, help="Save and stop after so many; 0 for no limit.")] = 0,
    save_seconds: Annotated[float, typer.Option(min=0, help="Most work that a kill may cost.")] = 60,
) -> None:
    """Train a network by a recipe.

    Paths in the recipe may be replaced by options. The same command continues a run that was stopped or killed.
    """
    check_torch()
    from subpixel.learn.train import command

    command(
        recipe,
        out=out,
        store=store or (),
        validation=validation,
        init=init,
        teacher=teacher,
        device=device,
        threads=threads,
        seconds=seconds,
        save_seconds=save_seconds,
    )


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    name: Annotated[str, typer.Option("-o", "--output", metavar="NAME", help="Name of the network.")],
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path(),
    about: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Further facts for the card, such as measured quality.")
    ] = None,
) -> None:
    """Write a run's network as ONNX with its card, for `upscale --model`.

    Layers are fused. What the files compute is compared with the trained network.
    """
    check_torch()
    from subpixel.learn.export import export as write

    made = write(run, name, folder, _facts(about) if about else {})
    print(f"{made.path}: {made.card['parameters']} parameters, {made.path.stat().st_size} bytes")


def check_torch() -> None:
    """Raises UsageError where PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise UsageError("Training needs PyTorch; install it with: pip install 'subpixel[train]'")


def _facts(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is no JSON object ({error}); --about takes facts by name.") from error
