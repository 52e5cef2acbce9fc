"""A data set becomes files for everyone and a truth for the worker, and the baseline an entry of the board."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from made import Made
from subpixel.challenge.manifest import Manifest
from subpixel.site import demo, files
from subpixel.site.acts import contests, publish
from subpixel.site.models import AuditEvent, Submission, Team
from subpixel.site.refusals import Refusal


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `challenge dataset`, by the rules of the demo at some moment."""
    place = tmp_path_factory.mktemp("published")
    from datetime import UTC, datetime

    return demo.data(demo.rules(datetime(2030, 5, 15, 12, tzinfo=UTC)), place)


@pytest.fixture
def round_(made: Made, folder: Path) -> Any:
    text = (folder / "public" / "rules.toml").read_text()
    return contests.create(made.organiser, "published", text).rounds.get(number=1)


def test_files_for_everyone_and_a_truth_for_the_worker(made: Made, round_: Any, folder: Path) -> None:
    truth = publish.publish(made.organiser, round_, folder)
    kinds = {file.name: file.kind for file in round_.files.all()}
    public = {path.relative_to(folder / "public").as_posix() for path in (folder / "public").rglob("*.*")}
    assert set(kinds) == public
    assert {kinds["manifest.json"], kinds["rules.toml"], kinds["baseline.tar"]} == {"manifest", "rules", "baseline"}
    assert {kind for name, kind in kinds.items() if name.startswith("train/")} == {"train"}
    assert {kind for name, kind in kinds.items() if name.startswith("test/")} == {"test"}
    for file in round_.files.all():
        assert file.visible_from == round_.opens
        with files.store("public").open(file.key) as stream:
            assert stream.read() == (folder / "public" / file.name).read_bytes()
    kept = files.truths() / truth.folder
    assert {path.name for path in kept.iterdir()} == {path.name for path in (folder / "truth").iterdir()}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    round_.refresh_from_db()
    assert round_.truth == truth
    assert round_.manifest == Manifest.load(folder / "public").text()


def test_no_public_file_comes_from_the_truth(made: Made, round_: Any, folder: Path) -> None:
    """Promise 7: by content, whatever the name."""
    publish.publish(made.organiser, round_, folder)
    secret = {files.sha256(path) for path in (folder / "truth").iterdir()}
    assert not secret & {file.sha256 for file in round_.files.all()}
    assert not any(files.store("public").exists(key) for key in secret)


def test_once_more_changes_nothing(made: Made, round_: Any, folder: Path) -> None:
    first = publish.publish(made.organiser, round_, folder)
    count = round_.files.count()
    assert publish.publish(made.organiser, round_, folder) == first
    assert round_.files.count() == count
    assert AuditEvent.objects.filter(action="round.publish").count() == 2


def test_what_is_no_data_set(made: Made, round_: Any, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="These are no data of a contest: The manifest") as refused:
        publish.publish(made.organiser, round_, tmp_path)
    assert refused.value.status == 422
    with pytest.raises(Refusal, match="These are the data of the round preliminary, not of final"):
        publish.publish(made.organiser, round_.contest.rounds.get(number=2), folder)
    other = contests.create(made.organiser, "other", made.rules()).rounds.get(number=1)
    with pytest.raises(Refusal, match="The rules that lie with the data are not those of this contest"):
        publish.publish(made.organiser, other, folder)
    with pytest.raises(Refusal) as refused:
        publish.publish(made.user(), round_, folder)
    assert refused.value.status == 403


def test_a_round_with_hand_ins_keeps_its_clips(made: Made, round_: Any, folder: Path) -> None:
    publish.publish(made.organiser, round_, folder)
    publish.enter_baseline(made.organiser, round_)
    publish.publish(made.organiser, round_, folder)  # the same clips
    round_.manifest = json.dumps(json.loads(round_.manifest), indent=1)
    round_.save()
    with pytest.raises(Refusal, match="There are hand-ins already; a round keeps its clips"):
        publish.publish(made.organiser, round_, folder)


def test_the_baseline_is_entered_once(made: Made, round_: Any, folder: Path) -> None:
    with pytest.raises(Refusal, match="no baseline among the data"):
        publish.enter_baseline(made.organiser, round_)
    publish.publish(made.organiser, round_, folder)
    round_.refresh_from_db()
    entry = publish.enter_baseline(made.organiser, round_)
    assert publish.enter_baseline(made.organiser, round_) == entry
    assert Submission.objects.count() == 1
    team = Team.objects.get()
    assert (team.exhibition, team.name) == (True, "Baseline")
    assert files.store("submissions").path(entry.sha256).read_bytes() == (folder / "public/baseline.tar").read_bytes()
    with pytest.raises(Refusal) as refused:
        publish.enter_baseline(made.user(), round_)
    assert refused.value.status == 403
