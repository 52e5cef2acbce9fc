"""Resumable uploads: the bytes that came are safe on disk before anybody is told so, and only then the row moves on.

What is there while a file grows: <folder>/uploads/<id>, of which the first `offset` bytes count; more may lie behind
them where a process died, and is cut off. A whole file goes to the store of submissions under its SHA-256.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from datetime import timedelta
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from django.db import transaction
from django.db.models import F, Sum
from django.utils.translation import gettext as _

from subpixel.site import audit, clock, files
from subpixel.site.acts.teams import team_of
from subpixel.site.models import Round, Submission, Team, Upload, User
from subpixel.site.refusals import Refusal

PART = 16 << 20
LIFE = timedelta(hours=24)  # after the last byte that came
_PIECE = 1 << 20
_SPARE = 1 << 30  # bytes of the disk that uploads leave alone


def begin(user: User, round: Round, name: str, size: int, purpose: str = "answer") -> Upload:  # noqa: A002
    """Open an upload of so many bytes by the person's team.

    purpose: "answer" or "review". Raises Refusal for somebody without a team, a round that is over, a file larger than
    the rules allow, a team that has an open upload or sent too much within a day, and a full disk.
    """
    team = team_of(user, round.contest)
    if team is None or team.state != "active":
        raise Refusal("no_team", _("You need a team to hand in."), status=403)
    now = clock.now()
    if purpose == "answer" and now >= round.end:
        raise Refusal("closed", _("This round is closed."))
    largest = round.contest.rules.limits.archive_bytes
    if not 0 < size <= largest:
        raise Refusal("size", _("A hand-in has 1 to %(most)s bytes.") % {"most": largest}, status=413)
    _check_disk(size)
    with transaction.atomic():
        audit.lock()
        before = Upload.objects.filter(team=team, purpose=purpose, state="receiving").first()
        if before:
            raise StillOpen(before)
        _check_day(team, round, size)
        return Upload.objects.create(
            team=team, round=round, user=user, purpose=purpose, name=name[:200], size=size,
            created_at=now, moved_at=now, expires_at=now + LIFE,
        )  # fmt: skip


class StillOpen(Refusal):
    """The team has another upload open."""

    def __init__(self, upload: Upload) -> None:
        super().__init__("upload_open", _("Your team has an open upload; finish it or give it up first."))
        self.upload = upload


def find(user: User, pk: uuid.UUID) -> Upload:
    """An upload of the person's team, with the offset that is true on disk. Raises Refusal for any other."""
    upload = Upload.objects.select_related("team", "round__contest").filter(pk=pk).first()
    team = team_of(user, upload.round.contest) if upload else None
    if upload is None or team is None or team.pk != upload.team_id:
        raise Refusal("no_upload", _("There is no such upload."), status=404)
    if upload.state == "receiving":
        _correct(upload)
    return upload


def append(upload: Upload, offset: int, body: BinaryIO, checksum: str = "") -> Upload:
    """Add a part, of PART bytes at most, at an offset; the upload as it is afterwards, complete by its last byte.

    checksum: SHA-256 of the part in hexadecimal digits, "" for none. Raises Refusal, and the upload is as it was, for
    another offset, an upload that is no longer open or just being written to, too many bytes, a wrong checksum, a full
    disk.
    """
    with _held(upload) as file:
        _correct(upload)
        if upload.state != "receiving":
            raise Refusal("upload_over", _("This upload is no longer open; begin another."), status=410)
        if offset != upload.offset:
            raise Refusal("offset", _("The upload continues at byte %(offset)s.") % {"offset": upload.offset})
        count = _receive(body, file, offset, upload.size - offset, checksum)
        now = clock.now()
        moved = {"offset": offset + count, "moved_at": now, "expires_at": now + LIFE}
        still = Upload.objects.filter(pk=upload.pk, state="receiving", offset=offset)
        if not still.update(**moved):
            raise Refusal("upload_over", _("This upload is no longer open; begin another."), status=410)
        upload.refresh_from_db()
        if upload.offset == upload.size:
            _complete(upload)
    return upload


def finish(upload: Upload) -> None:
    """Complete an upload whose last byte came just before the process died."""
    with _held(upload):
        _correct(upload)
        if upload.state == "receiving" and upload.offset == upload.size:
            _complete(upload)


def abort(upload: Upload) -> None:
    """Give an upload up, unless it was handed in."""
    with transaction.atomic():
        changed = Upload.objects.filter(pk=upload.pk, state__in=["receiving", "complete"]).update(
            state="aborted", moved_at=clock.now()
        )
    if not changed:
        raise Refusal("upload_over", _("This upload is no longer open; begin another."), status=410)
    _path(upload.pk).unlink(missing_ok=True)
    upload.refresh_from_db()
    drop(upload.sha256)


def drop(sha256: str) -> None:
    """Remove a file of the store of submissions unless a hand-in or an upload that may become one needs it."""
    with transaction.atomic():
        audit.lock()
        wanted = Upload.objects.filter(sha256=sha256, state__in=["complete", "consumed"]).exists()
        if sha256 and not wanted and not Submission.objects.filter(sha256=sha256).exists():
            files.store("submissions").delete(sha256)


def sweep() -> int:
    """End what expired, complete what a dead process left whole, remove what belongs to nothing; how many ended."""
    now = clock.now()
    for upload in Upload.objects.filter(state="receiving", offset=F("size")):
        with contextlib.suppress(Refusal, OSError):
            finish(upload)
    ended = 0
    for upload in Upload.objects.filter(state__in=["receiving", "complete"], expires_at__lte=now):
        still = Upload.objects.filter(pk=upload.pk, state=upload.state, expires_at__lte=now)
        if still.update(state="expired", moved_at=now):
            ended += 1
            drop(upload.sha256)
    for path in files.uploads().glob("????????-*"):
        if not Upload.objects.filter(pk=path.name, state="receiving").exists():
            path.unlink(missing_ok=True)
    return ended


def _complete(upload: Upload) -> None:
    """Hand a whole file, which this process holds, over to the store."""
    path, store = _path(upload.pk), files.store("submissions")
    key = files.sha256(path)
    store.adopt(path, key)
    with transaction.atomic():
        audit.lock()
        store.adopt(path, key)  # once more: an equal file may have been dropped meanwhile
        Upload.objects.filter(pk=upload.pk, state="receiving").update(
            state="complete", sha256=key, moved_at=clock.now()
        )
    path.unlink(missing_ok=True)
    upload.refresh_from_db()


def _receive(body: BinaryIO, file: FileIO, offset: int, room: int, checksum: str) -> int:
    """Write a part behind an offset and make it safe; bytes. Raises Refusal with the file cut off at the offset."""
    digest, count = hashlib.sha256(), 0
    try:
        file.truncate(offset)
        file.seek(offset)
        while piece := body.read(_PIECE):
            count += len(piece)
            if count > min(PART, room):
                raise Refusal("part", _("A part has at most %(most)s bytes.") % {"most": min(PART, room)}, status=413)
            digest.update(piece)
            left = memoryview(piece)
            while left:
                left = left[file.write(left) :]
        if checksum and digest.hexdigest() != checksum:
            raise Refusal("checksum", _("The part was altered on its way; send it again."), status=460)
        os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            file.truncate(offset)
        raise Refusal("disk", _("The server has no room left; try again later."), status=507) from error
    except Refusal:
        file.truncate(offset)
        raise
    return count


def _correct(upload: Upload) -> None:
    """Read the row again; where the file has fewer bytes than it says, as after a restore, the file is right."""
    upload.refresh_from_db()
    path = _path(upload.pk)
    there = path.stat().st_size if path.exists() else 0
    if upload.state == "receiving" and there < upload.offset:
        Upload.objects.filter(pk=upload.pk, state="receiving", offset=upload.offset).update(offset=there)
        upload.refresh_from_db()


@contextlib.contextmanager
def _held(upload: Upload) -> Iterator[FileIO]:
    """The growing file, not buffered, for this process alone; the lock ends with the process."""
    path = _path(upload.pk)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal("upload_busy", _("Another part of this upload is just coming."), status=423) from None
        yield file


def _path(pk: uuid.UUID) -> Path:
    return files.uploads() / str(pk)


def _check_disk(size: int) -> None:
    folder = files.uploads()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < size + _SPARE:
        raise Refusal("disk", _("The server has no room left; try again later."), status=507)


def _check_day(team: Team, round: Round, size: int) -> None:  # noqa: A002
    """A team may send as many bytes within 24 hours as a day's attempts of the largest size have."""
    recent = Upload.objects.filter(team=team, created_at__gt=clock.now() - LIFE)
    gone = recent.filter(state__in=["aborted", "expired"]).aggregate(bytes=Sum("offset"))["bytes"] or 0
    kept = recent.exclude(state__in=["aborted", "expired"]).aggregate(bytes=Sum("size"))["bytes"] or 0
    if gone + kept + size > round.attempts_per_day * round.contest.rules.limits.archive_bytes:
        raise Refusal("bytes", _("Your team sent too much within a day; try again tomorrow."), status=429)
