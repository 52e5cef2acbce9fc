"""The audit trail: a chain that shows what was changed, in tables that refuse a change."""

from __future__ import annotations

import re

import pytest
from django.db import IntegrityError, connection, transaction

from made import Made
from subpixel.site import audit, triggers
from subpixel.site.acts import finals, organise
from subpixel.site.models import AuditEvent, HourLedger, Snapshot
from subpixel.site.refusals import Refusal

pytestmark = pytest.mark.django_db


def test_every_act_extends_the_chain(made: Made) -> None:
    team = made.team(made.contest())
    organise.pause(made.organiser, team.contest, "Power cut")
    assert audit.verify() == []
    last = AuditEvent.objects.order_by("id").last()
    assert last is not None
    assert (last.action, last.actor, last.reason) == ("contest.pause", made.organiser, "Power cut")
    assert (last.before, last.after) == ({"paused": False}, {"paused": True})


@pytest.fixture
def rows(made: Made) -> Made:
    """A row in each table that only grows."""
    round_ = made.round()
    made.score(made.team(round_.contest), 5)
    Snapshot.objects.create(
        round=round_, version=1, reason="-", rows=[], sha256=finals.digest([]), by=made.organiser, taken_at=round_.opens
    )
    return made


@pytest.mark.parametrize("model", [AuditEvent, HourLedger, Snapshot])
@pytest.mark.usefixtures("rows")
def test_what_only_grows_refuses_to_change_or_shrink(model: type[AuditEvent | HourLedger | Snapshot]) -> None:
    assert triggers.missing(connection) == []
    for act in (model.objects.all()._raw_delete, lambda using: model.objects.using(using).update(id=7)):
        with pytest.raises(IntegrityError, match="only grows"), transaction.atomic():
            act("default")
    assert model.objects.exists()


@pytest.mark.parametrize(("sql", "problem"), [
    ("UPDATE contest_auditevent SET reason = 'another' WHERE id = %s", r"Event \d+ \(team.create, team:\d+\) was"),
    ("UPDATE contest_auditevent SET actor_id = NULL WHERE id = %s", "was changed"),
    ("DELETE FROM contest_auditevent WHERE id = %s", "an event is missing"),
])  # fmt: skip
@pytest.mark.usefixtures("rows")
def test_who_gets_past_the_triggers_is_found_by_the_chain(sql: str, problem: str) -> None:
    event = AuditEvent.objects.get(action="team.create")
    triggers.drop(connection)
    with connection.cursor() as cursor:
        cursor.execute(sql, [event.pk])
    triggers.create(connection)
    assert re.search(problem, " ".join(audit.verify()))


@pytest.mark.usefixtures("rows")
def test_a_snapshot_that_was_changed_is_found() -> None:
    assert finals.verify() == []
    triggers.drop(connection)
    Snapshot.objects.update(rows=[{"team": "Us", "rank": 1}])
    triggers.create(connection)
    assert finals.verify() == [f"Snapshot 1 of round {Snapshot.objects.get().round_id} was changed."]


def test_an_act_that_fails_leaves_no_event(made: Made) -> None:
    round_ = made.round()
    before = AuditEvent.objects.count()
    with pytest.raises(Refusal, match="Give a reason"):
        organise.set_board(made.organiser, round_, "hidden", "  ")
    round_.refresh_from_db()
    assert (AuditEvent.objects.count(), round_.board) == (before, "live")


def test_the_address_of_the_request_is_kept_but_not_for_the_machine(made: Made) -> None:
    token = audit.ip.set("192.0.2.7")
    try:
        round_ = made.round()
        organise.pause(made.organiser, round_.contest, "Power cut")
        organise.resume(made.organiser, round_.contest, "On again")
        made.score(made.team(round_.contest), 5)
    finally:
        audit.ip.reset(token)
    assert set(AuditEvent.objects.exclude(actor=None).values_list("ip", flat=True)) == {"192.0.2.7"}
    assert set(AuditEvent.objects.filter(actor=None).values_list("ip", flat=True)) == {None}
