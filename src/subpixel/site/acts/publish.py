"""The data of a round: what `subpixel challenge dataset` made becomes files for everyone and a truth for the worker."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from django.utils.translation import gettext as _

from subpixel.challenge import dataset
from subpixel.challenge import truth as originals
from subpixel.challenge.manifest import NAME, Manifest
from subpixel.errors import SubpixelError
from subpixel.site import audit, clock, files
from subpixel.site.acts import handin, teams
from subpixel.site.acts.turns import act, lock
from subpixel.site.models import Contest, DataFile, Round, Submission, Team, Truth, Upload, User
from subpixel.site.refusals import Refusal, need_staff

BASELINE = "Baseline"


def publish(by: User, round: Round, folder: str | Path) -> Truth:  # noqa: A002
    """Give a round its data; files can be had from the moment at which the round opens.

    folder: as `challenge dataset` made it, with `public` and `truth`. Raises Refusal for a folder that is none, is of
    another round or other rules, and for another manifest once there are hand-ins.
    """
    need_staff(by)
    folder = Path(folder)
    public = folder / dataset.PUBLIC
    try:
        manifest = Manifest.load(public)
        rules = (public / dataset.RULES).read_text(encoding="utf-8")
        version = originals.Truth.open(folder / dataset.SECRET, manifest).version
    except (SubpixelError, OSError, ValueError) as error:
        raise Refusal("data", _("These are no data of a contest: %(error)s") % {"error": error}, 422) from error
    if manifest.round != round.name:
        text = _("These are the data of the round %(theirs)s, not of %(ours)s.")
        raise Refusal("data_round", text % {"theirs": manifest.round, "ours": round.name}, 422)
    if rules != round.contest.rules_text:
        raise Refusal("data_rules", _("The rules that lie with the data are not those of this contest."), 422)
    found = [_stored(public, path) for path in sorted(public.rglob("*")) if path.is_file()]
    place = _keep_truth(folder / dataset.SECRET, f"{round.contest.slug}-{round.number}-{version[:16]}")
    return _publish(by, round, manifest.text(), found, version, place)


def round_of(contest: Contest, folder: str | Path) -> Round:
    """The round that a folder of `challenge dataset` is for. Raises Refusal where it is none, or the contest has no
    such round.
    """
    try:
        name = Manifest.load(Path(folder) / dataset.PUBLIC).round
    except SubpixelError as error:
        raise Refusal("data", _("These are no data of a contest: %(error)s") % {"error": error}, 422) from error
    found: Round | None = contest.rounds.filter(name=name).first()
    if found is None:
        text = _("These are the data of the round %(theirs)s, which this contest does not have.")
        raise Refusal("data_round", text % {"theirs": name}, 422)
    return found


@act
def _publish(
    by: User, round: Round, manifest: str, found: list[dict[str, object]], version: str, place: str  # noqa: A002
) -> Truth:  # fmt: skip
    lock(round)
    if round.manifest not in ("", manifest) and Submission.objects.filter(round=round).exists():
        raise Refusal("data_used", _("There are hand-ins already; a round keeps its clips."))
    round.files.exclude(name__in=[file["name"] for file in found]).delete()
    for file in found:
        DataFile.objects.update_or_create(
            round=round, name=file["name"], defaults={**file, "visible_from": round.opens}
        )
    truth, new = Truth.objects.get_or_create(
        round=round, version=version, defaults={"folder": place, "added_at": clock.now()}
    )
    round.manifest = manifest
    round.truth = round.truth or truth
    round.save(update_fields=["manifest", "truth"])
    audit.record(by, "round.publish", round, after={"files": len(found), "truth": version, "new": new})
    return truth


def enter_baseline(by: User, round: Round, name: str = BASELINE) -> Submission:  # noqa: A002
    """Hand in the baseline that came with the data, by a team that has no rank. Once for each round.

    Raises Refusal where there is no baseline, and as `handin.accept`.
    """
    need_staff(by)
    file = round.files.filter(kind="baseline").first()
    if file is None:
        raise Refusal("no_baseline", _("There is no baseline among the data of this round."), 404)
    team = Team.objects.filter(contest=round.contest, exhibition=True, name=name).first()
    team = team or teams.exhibit(by, round.contest, name)
    key = f"baseline:{round.pk}"
    earlier = Submission.objects.filter(team=team, key=key).first()
    return earlier or handin.accept(by, _uploaded(by, team, round, file), key, client="baseline")


def _uploaded(by: User, team: Team, round: Round, file: DataFile) -> Upload:  # noqa: A002
    """A public file as if it had been uploaded."""
    with files.store("public").open(file.key) as stream:
        files.store("submissions").put(stream)
    now = clock.now()
    return Upload.objects.create(
        team=team, round=round, user=by, name=file.name, size=file.size, offset=file.size, sha256=file.sha256,
        state="complete", created_at=now, moved_at=now, expires_at=now,
    )  # fmt: skip


def _stored(public: Path, path: Path) -> dict[str, object]:
    """A file in the store, as the values of its DataFile."""
    name = path.relative_to(public).as_posix()
    kinds = {NAME: "manifest", dataset.RULES: "rules", dataset.BASELINE: "baseline"}
    kind = kinds.get(name) or (name.split("/")[0] if name.startswith(("train/", "test/")) else "other")
    with path.open("rb") as stream:
        key = files.store("public").put(stream)
    return {"kind": kind, "name": name, "key": key, "size": path.stat().st_size, "sha256": key}


def _keep_truth(source: Path, name: str) -> str:
    """Copy a truth to where the worker finds it, whole or not at all; its name there."""
    root = files.truths()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (root / name).exists():
        with tempfile.TemporaryDirectory(prefix=".new.", dir=root) as place:
            shutil.copytree(source, Path(place) / name)
            (Path(place) / name).chmod(0o700)
            os.replace(Path(place) / name, root / name)
    return name
