"""subpixel challenge serve, worker, chores, manage"""

from __future__ import annotations

import importlib.util
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from subpixel.errors import UsageError

Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="FOLDER", help="The site's.  [default: what SUBPIXEL_FOLDER says]"),
]


PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}  # options are of the command that is named


class Executor(StrEnum):
    """Where hand-ins are judged."""

    local = "local"
    ray = "ray"


Judged = Annotated[
    Executor, typer.Option(help="Where hand-ins are judged: here, or on the Ray cluster of RAY_ADDRESS.")
]


def serve(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of the site: database, files, secret.")] = Path(
        "contest-site"
    ),
    demo: Annotated[bool, typer.Option("--demo", help="Make a small contest to look at.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    url: Annotated[str, typer.Option(metavar="URL", help="What people write.  [default: this machine's]")] = "",
    web: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that score.")] = 1,
    executor: Judged = Executor.local,
) -> None:
    """Run the site of a contest: pages, scoring, mails. Ctrl-C ends it, the same command goes on."""
    _need_django()
    from subpixel.site.serve import Plan, serve

    plan = Plan(host=host, port=port, url=url, web=web, workers=workers, executor=executor.value, demo=demo)
    serve(folder, plan, lambda line: print(line, flush=True))


def worker(
    folder: Folder = None,
    name: Annotated[str, typer.Option(help="No two workers have the same.  [default: machine and process]")] = "",
    executor: Judged = Executor.local,
) -> None:
    """Score hand-ins, as one more process or on another machine of a site."""
    import os
    import socket

    enter(folder, begun=True)
    from subpixel.site.serve import until_told
    from subpixel.site.worker import run

    run(name or f"{socket.gethostname()}:{os.getpid()}", executor.value, until_told())


def chores(folder: Folder = None) -> None:
    """Send mails, look for lost work and forgotten uploads; once beside the processes that answer."""
    enter(folder, begun=True)
    from subpixel.site.chores import run
    from subpixel.site.serve import until_told

    run(until_told())


def manage(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND...", help="Such as createsuperuser.")
    ] = None,
    folder: Folder = None,
) -> None:
    """Run one of Django's own commands for the site."""
    enter(folder)
    from django.core.management import execute_from_command_line

    execute_from_command_line(["subpixel challenge manage", *(arguments or [])])


def enter(folder: Path | None, *, begun: bool = False) -> None:
    """Make this process one of the site of a folder, or of the environment. Raises UsageError where it cannot be.

    begun: only of a site that is there already; a folder misspelt is not made a new one.
    """
    _need_django()
    from subpixel.site import environment
    from subpixel.site.serve import setup

    if begun:
        environment.check_begun(folder)
    environment.adopt(folder)
    setup()


def _need_django() -> None:
    if importlib.util.find_spec("django") is None:
        raise UsageError("A site needs more than this installation has: pip install 'subpixel[site]'.")
