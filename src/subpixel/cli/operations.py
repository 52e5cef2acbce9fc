"""subpixel challenge publish, backup, restore, export, import, check, erase"""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from subpixel.cli import options as o
from subpixel.cli.site import Folder, enter
from subpixel.errors import InputError, UsageError, VerificationError

if TYPE_CHECKING:
    from subpixel.site.operations.bundle import Listing

Truth = Annotated[
    bool, typer.Option("--truth/--no-truth", help="Take the truths too, or keep them elsewhere.", show_default=False)
]


def publish(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A folder that `challenge dataset` made.")],
    contest: Annotated[str, typer.Option(metavar="NAME", help="Of the contest, as in its address.")],
    by: Annotated[str, typer.Option(metavar="MAIL", help="The organiser who does it.")],
    folder: Folder = None,
) -> None:
    """Give a round its data, and hand their baseline in; or a corrected truth, as another version of it."""
    enter(folder, begun=True)
    from subpixel.site.acts import publish as acts
    from subpixel.site.models import Contest, User
    from subpixel.site.refusals import Refusal

    found, organiser = Contest.objects.filter(slug=contest).first(), User.objects.filter(email__iexact=by).first()
    if found is None or organiser is None:
        raise UsageError(f"There is no contest called {contest}." if found is None else f"Nobody has the address {by}.")
    try:
        round_ = acts.round_of(found, data)
        truth = acts.publish(organiser, round_, data)
        if round_.files.filter(kind="baseline").exists():
            acts.enter_baseline(organiser, round_)
    except Refusal as refusal:
        raise UsageError(refusal.sentence) from refusal
    print(f"{round_.files.count()} files for the round {round_}, open to all from {round_.opens:%Y-%m-%d %H:%M} UTC.")
    if truth.pk != round_.truth_id:
        print("The truth is another version: re-score by it in the console, look at the difference, switch.")


def backup(
    place: Annotated[Path, typer.Argument(metavar="BACKUPS", help="A folder of backups, on another disk.")],
    keep: Annotated[int, typer.Option(min=0, help="How many to leave there, the latest ones; 0 for all.")] = 0,
    truth: Truth = True,
    folder: Folder = None,
) -> None:
    """Back a running site up: tables of one moment, and the files that the folder does not have yet."""
    enter(folder, begun=True)
    from subpixel.site.operations import backups

    path, listing = backups.take(place, keep=keep, truths=truth)
    print(f"{path}: {_told(listing)}")


def restore(
    place: Annotated[Path, typer.Argument(metavar="BACKUPS", help="A folder of backups.")],
    at: Annotated[str, typer.Option(metavar="NAME", help="Which backup.  [default: the latest]")] = "",
    drill: Annotated[bool, typer.Option("--drill", help="Only prove that it could be restored.")] = False,
    folder: Folder = None,
) -> None:
    """Fill an empty site from a backup, and inspect it."""
    if not place.is_dir():
        raise InputError(f"There is no folder {place}.")
    with contextlib.ExitStack() as afterwards:
        if drill:
            folder = _scratch(place, afterwards)
        enter(folder)
        from subpixel.site.operations import backups

        path = backups.find(place, at)
        print(f"Restored {path}: {_told(backups.fill(path, place / backups.SHARED))}")
    if drill:
        print("It was a drill; what was restored is removed again.")


def _scratch(place: Path, afterwards: contextlib.ExitStack) -> Path:
    """A folder for a site of its own, away from the one that the environment names; removed afterwards."""
    from subpixel.site import environment

    environment.forget()
    return Path(afterwards.enter_context(tempfile.TemporaryDirectory(prefix=".drill.", dir=place))) / "site"


def export(
    target: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A new folder.")],
    truth: Truth = True,
    folder: Folder = None,
) -> None:
    """Write a running site as files that fit every database."""
    enter(folder, begun=True)
    from subpixel.site.operations import backups, bundle

    print(f"{target}: {_told(bundle.write(target, target / backups.SHARED, truths=truth))}")


def import_(
    source: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder that `challenge export` wrote.")],
    folder: Folder = None,
) -> None:
    """Fill an empty site from an export, such as one on PostgreSQL from one on SQLite, and inspect it."""
    enter(folder)
    from subpixel.site.operations import backups

    print(f"Imported {source}: {_told(backups.fill(source, source / backups.SHARED))}")


def check(
    files: Annotated[bool, typer.Option("--files", help="Read every file whole too.")] = False,
    as_json: o.Json = False,
    folder: Folder = None,
) -> None:
    """Inspect a site: audit trail, states, final boards, files, truths, and whether work goes on."""
    enter(folder, begun=True)
    from subpixel.site import health
    from subpixel.site.operations import inspection

    problems = inspection.problems(contents=files)
    late = [] if health.unmigrated() else list(health.report().problems)
    print(json.dumps({"problems": problems, "health": late}) if as_json else "\n".join([*problems, *late]) or "Well.")
    if problems:
        raise VerificationError(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found.")


def erase(
    user: Annotated[str, typer.Option(metavar="MAIL", help="The person with this address.")] = "",
    due: Annotated[bool, typer.Option("--due", help="Everyone whose data are no longer to be kept.")] = False,
    reason: Annotated[str, typer.Option(help="Kept in the audit trail.")] = "The data are no longer to be kept.",
    folder: Folder = None,
) -> None:
    """Erase personal data for good; hand-ins and ranks stay. Without options, list who is due."""
    enter(folder, begun=True)
    from subpixel.site.acts import privacy
    from subpixel.site.models import User
    from subpixel.site.refusals import Refusal

    found = [User.objects.filter(email__iexact=user).first()] if user else privacy.due()
    for person in found:
        if person is None:
            raise UsageError(f"Nobody has the address {user}.")
        if not (user or due):
            print(f"due: number {person.pk}, {person.email}")
            continue
        try:
            privacy.erase(None, person, reason)
        except Refusal as refusal:
            raise UsageError(refusal.sentence) from refusal
        print(f"erased: number {person.pk}")


def _told(listing: Listing) -> str:
    files = [size for sizes in listing.files.values() for size in sizes.values()]
    truths = len(listing.truths)
    return f"{len(files)} files of {sum(files) / 1e6:.1f} MB, {truths} truth{'' if truths == 1 else 's'}"
