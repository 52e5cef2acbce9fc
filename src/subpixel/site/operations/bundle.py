"""A site as files: its tables as JSON lines, every file, the truths, and a list of it all with checksums.

The same bundle is a backup and the way from SQLite to PostgreSQL. It names no database, holds no secret and no session.
Files are called by their SHA-256 and lie beside the tables, so that many bundles share them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from django.apps import apps
from django.core import serializers
from django.core.management.color import no_style
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models, transaction
from django.db.migrations.loader import MigrationLoader

from subpixel import __version__
from subpixel.challenge.truth import NAME as LISTING
from subpixel.errors import DiskError, InputError, UsageError, VerificationError
from subpixel.site import clock, files
from subpixel.site.models import Contest, DataFile, ScoreJob, Submission, Truth, Upload, User

SCHEMA_VERSION = 1
LIST = "bundle.json"
_BATCH = 500
_BEGIN = {"sqlite": "BEGIN DEFERRED", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}


class _Exact(DjangoJSONEncoder):
    """Django's encoder cuts times to milliseconds; ranks and the audit trail need them whole."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime | date | time) else super().default(o)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """What a bundle holds. migrations: the form of its tables. tables: SHA-256 by model. files: sizes by store and
    key. truths: folders, and the versions they hold.
    """

    made_at: str
    version: str
    migrations: list[str]
    tables: dict[str, str]
    files: dict[str, dict[str, int]]
    truths: dict[str, str]
    schema_version: int = SCHEMA_VERSION


def tables() -> list[type[models.Model]]:
    """Every table that is kept; not sessions, and not what Django fills by itself."""
    return [*apps.get_app_config("contest").get_models(), EmailAddress]


def write(folder: Path, shared: Path, *, truths: bool = True) -> Listing:
    """Write a bundle of the running site: tables of one moment to a new folder, files into `shared`, which may have
    some already.

    truths: whether to take them too; without, they are to be kept elsewhere. Raises UsageError for a folder that
    exists, DiskError if it cannot be written, VerificationError for a file that is missing or altered.
    """
    if folder.exists():
        raise UsageError(f"{folder} exists already; name a new folder.")
    try:
        folder.mkdir(mode=0o700, parents=True)
        with _moment():
            written = {model._meta.label: _dump(model, folder / f"{model._meta.label}.jsonl") for model in tables()}
            keys, folders = _keys(), dict(Truth.objects.values_list("folder", "version")) if truths else {}
        sizes = {name: {key: _keep_file(name, key, shared) for key in sorted(keys[name])} for name in keys}
        for name, version in folders.items():
            _copy_truth(files.truths() / name, shared / "truth" / name, version)
        listing = Listing(
            made_at=clock.now().isoformat(), version=__version__, migrations=_migrations(),
            tables=written, files=sizes, truths=folders,
        )  # fmt: skip
        _write_last(folder / LIST, json.dumps(dataclasses.asdict(listing), indent=1))
    except OSError as error:
        raise DiskError(f"The bundle {folder} cannot be written: {error.strerror or error}.") from error
    return listing


def read_any(folder: Path) -> Listing:
    """The list of a bundle of any version. Raises InputError where there is none."""
    try:
        return Listing(**json.loads((folder / LIST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder} holds no whole bundle: {error}.") from error


def read(folder: Path) -> Listing:
    """The list of a bundle. Raises InputError where there is none, or one whose tables have another form."""
    listing = read_any(folder)
    if listing.schema_version != SCHEMA_VERSION or listing.migrations != _migrations():
        raise InputError(
            f"The bundle {folder} was made by subpixel {listing.version}, whose tables have another form; read it with "
            "that version, and upgrade afterwards."
        )
    return listing


def load(folder: Path, shared: Path) -> Listing:
    """Fill an empty site from a bundle: all of it, or, if anything is wrong, no row.

    Everybody has to log in anew, and uploads under way have to begin again; hand-ins that were not scored yet will be.
    Raises UsageError for a site that is not
    empty, InputError and VerificationError for a bundle that is not whole.
    """
    listing = read(folder)
    if User.objects.exists() or Contest.objects.exists():
        raise UsageError("This site is not empty; a bundle is read into a new one: choose another folder or database.")
    for name, sizes in listing.files.items():
        for key in sizes:
            with _opened(shared, name, key) as file:
                if files.store(name).put(file) != key:
                    raise VerificationError(f"The file {key} of the bundle is altered; take another backup.")
    for name, version in listing.truths.items():
        _copy_truth(shared / "truth" / name, files.truths() / name, version)
    with transaction.atomic():
        for model in tables():
            _fill(model, folder / f"{model._meta.label}.jsonl", listing.tables[model._meta.label])
        for model in tables():
            _check_equal(model, listing.tables[model._meta.label])
        _count_on()
        Upload.objects.filter(state="receiving").update(state="aborted", moved_at=clock.now())
        ScoreJob.objects.filter(state__in=["ready", "leased"]).update(progressed_at=clock.now())
    return listing


@contextlib.contextmanager
def _moment() -> Iterator[None]:
    """All that is read inside is of one moment, and nobody has to wait for it."""
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN[connection.vendor])
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def _fields(model: type[models.Model]) -> list[str]:
    """Fields of a table; what Django's own permissions have to do with people is nothing the site uses."""
    many = [f.name for f in model._meta.many_to_many if f.remote_field.model in tables()]
    return [f.name for f in model._meta.concrete_fields] + many


def _pieces(model: type[models.Model]) -> Iterator[bytes]:
    """A table as JSON lines, byte for byte the same on every database."""
    rows = model._base_manager.order_by("pk").iterator(_BATCH)
    while batch := list(itertools.islice(rows, _BATCH)):
        yield serializers.serialize("jsonl", batch, fields=_fields(model), cls=_Exact, sort_keys=True).encode()


def _dump(model: type[models.Model], path: Path) -> str:
    """Write a table; its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in _pieces(model):
            file.write(piece)
            digest.update(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _fill(model: type[models.Model], path: Path, sha256: str) -> None:
    """Insert the rows of a table as they were. Raises VerificationError for a file that is not the one listed."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise VerificationError(f"{path} is altered; take another backup.")
    found = list(serializers.deserialize("jsonl", io.StringIO(content.decode())))
    model._base_manager.bulk_create([one.object for one in found], batch_size=_BATCH)
    for one in found:
        for name, values in (one.m2m_data or {}).items():
            getattr(one.object, name).set(values)


def _check_equal(model: type[models.Model], sha256: str) -> None:
    """Raises VerificationError unless the table gives the same bytes again."""
    if hashlib.sha256(b"".join(_pieces(model))).hexdigest() != sha256:
        raise VerificationError(f"The table {model._meta.label} is not what it was; nothing was kept. Report this.")


def _count_on() -> None:
    """Let the numbers of new rows begin behind the old ones; SQLite does so by itself."""
    statements = connection.ops.sequence_reset_sql(no_style(), tables())
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _keys() -> dict[str, set[str]]:
    """Keys of all files that a row names, by store."""
    uploaded = Upload.objects.filter(state__in=["complete", "consumed"]).values_list("sha256", flat=True)
    return {
        "public": set(DataFile.objects.values_list("key", flat=True)),
        "submissions": {*Submission.objects.values_list("sha256", flat=True), *uploaded} - {""},
    }


def _keep_file(name: str, key: str, shared: Path) -> int:
    """Copy a file of a store, unless it is there; its size."""
    place = files.Folder(shared / name)
    if not place.exists(key):
        try:
            with files.store(name).open(key) as stream:
                came = place.put(stream)
        except FileNotFoundError:
            raise VerificationError(f"The file {key} of {name} is missing; `challenge check` tells whose.") from None
        if came != key:
            place.delete(came)
            raise VerificationError(f"The file {key} of {name} is altered; `challenge check` tells whose.")
    return place.size(key)


def _opened(shared: Path, name: str, key: str) -> Any:
    try:
        return files.Folder(shared / name).open(key)
    except FileNotFoundError:
        raise VerificationError(f"The file {key} of {name} is missing in the bundle; take another backup.") from None


def _copy_truth(source: Path, target: Path, version: str) -> None:
    """Copy a truth, each file checked by the list, whose SHA-256 is the version; one that is there stays."""
    try:
        listing = (source / LISTING).read_bytes()
    except OSError as error:
        raise VerificationError(f"The truth {source} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(listing).hexdigest() != version:
        raise VerificationError(f"The truth {source} is not of version {version}.")
    if (target / LISTING).exists() and (target / LISTING).read_bytes() == listing:
        return
    new = target.with_name(f".new.{target.name}")
    shutil.rmtree(new, ignore_errors=True)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copytree(source, new)
    for clip, digest in json.loads(listing).items():
        if files.sha256(new / f"{clip}.rgb") != digest:
            raise VerificationError(f"{source}/{clip}.rgb is altered.")
    new.rename(target)


def _migrations() -> list[str]:
    leaves = MigrationLoader(None).graph.leaf_nodes()
    return sorted(f"{app}.{name}" for app, name in leaves if app in ("contest", "account"))


def _write_last(path: Path, text: str) -> None:
    """A file that is there whole or not at all."""
    new = path.with_suffix(".new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
