"""Where files lie: stores of files that are called by their SHA-256, on this machine or on S3, and the truths.

A file appears whole or not at all and never changes; equal files are kept once. Truths are folders of their own, always
on a disk, whose root only the worker needs to read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from django.conf import settings

STORES = ("public", "submissions", "exports")
_PIECE = 1 << 20


class Store(Protocol):
    """A place for files; a key is the SHA-256 of the content in hexadecimal digits."""

    def put(self, stream: BinaryIO) -> str:
        """Keep what is left of a stream, and return its key; it is safe on disk by then."""

    def adopt(self, path: Path, key: str) -> None:
        """Keep a file of this machine whose SHA-256 is known; the file itself stays, and must not change any more."""

    def open(self, key: str) -> BinaryIO:
        """The content. Raises FileNotFoundError where there is none."""

    def path(self, key: str) -> Path:
        """The content as a file of this machine, fetched if need be. Raises FileNotFoundError where there is none."""

    def release(self, key: str) -> None:
        """The file that `path` gave is no longer needed."""

    def size(self, key: str) -> int:
        """Bytes. Raises FileNotFoundError where there is none."""

    def exists(self, key: str) -> bool:
        """Whether it is there."""

    def delete(self, key: str) -> None:
        """Remove it, if it is there."""

    def keys(self) -> Iterator[str]:
        """Every key, in no order."""


def store(name: str) -> Store:
    """The store of public files, submissions or exports; "public", "submissions" or "exports"."""
    if name not in STORES:
        raise ValueError(f"There is no store {name!r}, only {', '.join(STORES)}.")
    site = settings.SITE
    if site.storage:
        return Bucket(site.storage, name, site.folder / "cache")
    return Folder(site.folder / "files" / name)


def truths() -> Path:
    """The folder of the truths; each is a folder in it, see `Truth.folder`."""
    return Path(settings.SITE.truth or settings.SITE.folder / "truth")


def uploads() -> Path:
    """The folder of what is being uploaded, on this machine."""
    return Path(settings.SITE.folder / "uploads")


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Folder:
    """A store in a folder: <first two digits>/<key>, for this user only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, stream: BinaryIO) -> str:
        """Keep what is left of a stream, and return its key; it is safe on disk by then."""
        with _temporary(self._root) as (file, path):
            key = _copy(stream, file)
            self.adopt(path, key)
        return key

    def adopt(self, path: Path, key: str) -> None:
        """Keep a file of the same disk, without copying it."""
        place = self._place(key)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(path, place)
        for folder in (place.parent, self._root):
            _sync_folder(folder)

    def open(self, key: str) -> BinaryIO:
        """The content. Raises FileNotFoundError where there is none."""
        return self._place(key).open("rb")

    def path(self, key: str) -> Path:
        """The file itself. Raises FileNotFoundError where there is none."""
        self.size(key)
        return self._place(key)

    def release(self, key: str) -> None:
        """The file is the store's own, and stays."""

    def size(self, key: str) -> int:
        """Bytes. Raises FileNotFoundError where there is none."""
        return self._place(key).stat().st_size

    def exists(self, key: str) -> bool:
        """Whether it is there."""
        return self._place(key).exists()

    def delete(self, key: str) -> None:
        """Remove it, if it is there."""
        self._place(key).unlink(missing_ok=True)

    def keys(self) -> Iterator[str]:
        """Every key, in no order."""
        return (file.name for file in self._root.glob("??/*") if re.fullmatch("[0-9a-f]{64}", file.name))

    def _place(self, key: str) -> Path:
        return self._root / _checked(key)[:2] / key


class Bucket:
    """A store in a bucket of S3, below the store's name. Keys of access are in the environment, as boto3 reads them.

    url: s3://bucket?endpoint=https://... cache: folder of this machine for what has to be a file.
    """

    def __init__(self, url: str, name: str, cache: Path) -> None:
        from storages.backends.s3 import S3Storage

        parts = urllib.parse.urlsplit(url)
        options = dict(urllib.parse.parse_qsl(parts.query))
        self._storage: Any = S3Storage(
            bucket_name=parts.netloc,
            location=f"{parts.path.strip('/')}/{name}".strip("/"),
            endpoint_url=options.get("endpoint"),
            region_name=options.get("region"),
            file_overwrite=True,
            default_acl=None,
        )
        self._cache = Folder(cache)

    def put(self, stream: BinaryIO) -> str:
        """Keep what is left of a stream, and return its key."""
        key = self._cache.put(stream)
        self.adopt(self._cache.path(key), key)
        self._cache.delete(key)
        return key

    def adopt(self, path: Path, key: str) -> None:
        """Send a file."""
        if not self.exists(key):
            with path.open("rb") as file:
                self._storage.save(_name(key), file)

    def open(self, key: str) -> BinaryIO:
        """The content. Raises FileNotFoundError where there is none."""
        self.size(key)
        file: BinaryIO = self._storage.open(_name(key))
        return file

    def path(self, key: str) -> Path:
        """A copy on this machine, checked by its key. Raises FileNotFoundError where there is none."""
        if not self._cache.exists(key):
            with self.open(key) as stream:
                came = self._cache.put(stream)
            if came != key:
                self._cache.delete(came)
                raise OSError(f"The bucket gave {came} for the file {key}; it was altered there.")
        return self._cache.path(key)

    def release(self, key: str) -> None:
        """Remove the copy on this machine."""
        self._cache.delete(key)

    def size(self, key: str) -> int:
        """Bytes. Raises FileNotFoundError where there is none."""
        if not self.exists(key):
            raise FileNotFoundError(f"There is no file {key} in the bucket.")
        return int(self._storage.size(_name(key)))

    def exists(self, key: str) -> bool:
        """Whether it is there."""
        return bool(self._storage.exists(_name(key)))

    def delete(self, key: str) -> None:
        """Remove it, if it is there."""
        self._cache.delete(key)
        self._storage.delete(_name(key))

    def keys(self) -> Iterator[str]:
        """Every key, in no order."""
        for folder in self._storage.listdir("")[0]:
            yield from self._storage.listdir(folder)[1]


def _name(key: str) -> str:
    return f"{_checked(key)[:2]}/{key}"


def _checked(key: str) -> str:
    """The key, which can lead to no other file; raises FileNotFoundError for anything that is none."""
    if not re.fullmatch("[0-9a-f]{64}", key):
        raise FileNotFoundError(f"{key!r} is not the SHA-256 of a file.")
    return key


def _copy(stream: BinaryIO, file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := stream.read(_PIECE):
        file.write(piece)
        digest.update(piece)
    file.flush()
    return digest.hexdigest()


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file that is gone at the end of the block."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".new.", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, Path(name)
    finally:
        os.unlink(name)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder safe."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
