"""Whether what the site holds is whole, and says the same in every place that says it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from subpixel.challenge.truth import NAME as LISTING
from subpixel.site import audit, board, files, health
from subpixel.site.acts import finals
from subpixel.site.models import DataFile, Round, Submission, Truth, Upload
from subpixel.site.models.submissions import UNFINISHED

_JUDGED = ("scored", "voided")


def problems(*, contents: bool = False, truths: bool = True) -> list[str]:
    """What is wrong, a sentence each; nothing where all is well.

    contents: read every file and compare its SHA-256, which takes as long as reading all hand-ins and truths. truths:
    whether they should be there.
    """
    missing = health.unmigrated()
    if missing:
        return [f"The tables are older than the program, {missing[0]} is to come: run `challenge manage migrate`."]
    return [
        *audit.verify(),
        *_states(),
        *finals.verify(),
        *_boards(),
        *_files(contents),
        *(_truths(contents) if truths else ()),
    ]


def _states() -> Iterator[str]:
    """Hand-ins whose rows contradict each other."""
    for one in Submission.objects.filter(state__in=_JUDGED).exclude(evaluations__status="ok").distinct():
        yield f"Hand-in {one.pk} is {one.state}, but was never scored."
    for one in Submission.objects.filter(state__in=UNFINISHED).exclude(evaluations__job__state__in=["ready", "leased"]):
        yield f"Hand-in {one.pk} is {one.state}, but no worker will take it up: requeue it."


def _boards() -> Iterator[str]:
    """Final boards that the scores do not give again."""
    for one in Round.objects.exclude(finalised_at=None):
        last = one.snapshots.order_by("-version").first()
        if last is None or last.rows != [board.as_dict(row) for row in board.rows(one)]:
            yield f"The scores of {one} no longer give the ranks of its last snapshot."


def _files(contents: bool) -> Iterator[str]:
    """Files that a row names and that are not there, or are others."""
    named = [("public", one.key, f"{one.name} of {one.round}") for one in DataFile.objects.select_related("round")]
    handed = Submission.objects.values_list("sha256", "pk")
    named += [("submissions", key, f"hand-in {pk}") for key, pk in handed]
    waiting = Upload.objects.filter(state="complete").exclude(sha256="").values_list("sha256", "pk")
    named += [("submissions", key, f"upload {pk}") for key, pk in waiting]
    for name, key, whose in named:
        store = files.store(name)
        if not store.exists(key):
            yield f"The file of {whose} is missing ({name}/{key})."
        elif contents and _hash(store, key) != key:
            yield f"The file of {whose} is altered ({name}/{key})."


def _hash(store: files.Store, key: str) -> str:
    with store.open(key) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _truths(contents: bool) -> Iterator[str]:
    """Truths that are not there; on a machine that may not read them, say so."""
    for one in Truth.objects.select_related("round"):
        folder = files.truths() / one.folder
        try:
            listing = (folder / LISTING).read_bytes()
            if hashlib.sha256(listing).hexdigest() != one.version:
                yield f"The truth {folder} is not of the version that {one.round} was scored by."
            for clip, digest in json.loads(listing).items() if contents else ():
                if files.sha256(folder / f"{clip}.rgb") != digest:
                    yield f"{folder}/{clip}.rgb is altered."
        except OSError as error:
            yield f"The truth {folder} of {one.round} cannot be read here: {error.strerror}."
