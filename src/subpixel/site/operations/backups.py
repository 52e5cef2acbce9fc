"""Backups: bundles of many days in one folder, which share their files."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from django.core.management import call_command

from subpixel.errors import DiskError, InputError, UsageError, VerificationError
from subpixel.site import clock, files
from subpixel.site.operations import bundle, inspection

SHARED = "files"


def take(place: Path, *, keep: int = 0, truths: bool = True) -> tuple[Path, bundle.Listing]:
    """Back the running site up into a folder of backups; only files that it does not have yet are copied.

    keep: how many backups to leave there, the latest ones, 0 for all. Raises as `bundle.write`, and UsageError while
    another backup is being taken.
    """
    with _alone(place):
        folder = place / clock.now().strftime("%Y%m%dT%H%M%SZ")
        listing = bundle.write(folder, place / SHARED, truths=truths)
        if keep:
            _forget(place, keep)
    return folder, listing


def every(place: Path) -> list[Path]:
    """The whole backups of a folder, the latest last."""
    return sorted(path.parent for path in place.glob(f"*/{bundle.LIST}"))


def find(place: Path, at: str = "") -> Path:
    """A backup by its name, the latest without one. Raises InputError where there is none."""
    found = every(place)
    if at:
        found = [path for path in found if path.name == at]
    if not found:
        raise InputError(f"{place} holds no whole backup{f' called {at}' if at else ''}.")
    return found[-1]


def fill(folder: Path, shared: Path) -> bundle.Listing:
    """Fill this site, which must be empty, from a bundle, and inspect what came of it.

    Raises as `bundle.load`, and VerificationError if the site is then not whole.
    """
    call_command("migrate", verbosity=0, interactive=False)
    listing = bundle.load(folder, shared)
    problems = inspection.problems(truths=bool(listing.truths))
    if problems:
        raise VerificationError(f"The site is filled, but not whole: {' '.join(problems)}")
    return listing


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (place / "lock").open("w")
    except OSError as error:
        raise DiskError(f"The folder {place} cannot be used: {error.strerror or error}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"Another backup into {place} is under way.") from None
        yield


def _forget(place: Path, keep: int) -> None:
    """Remove the oldest backups, those that were never finished, and the files that no other names."""
    kept = every(place)[-keep:]
    for path in place.iterdir():
        if path.is_dir() and path not in kept and path.name[:1].isdigit():
            shutil.rmtree(path)
    listings = [bundle.read_any(path) for path in kept]
    for name in {name for one in listings for name in one.files}:
        store = files.Folder(place / SHARED / name)
        named = {key for one in listings for key in one.files[name]}
        for key in set(store.keys()) - named:
            store.delete(key)
    folders = {name for one in listings for name in one.truths}
    for path in (place / SHARED / "truth").glob("*"):
        if path.name not in folders:
            shutil.rmtree(path)
