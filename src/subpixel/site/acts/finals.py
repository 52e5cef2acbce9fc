"""Official ranks: snapshots, who advances, and sanctions that change both."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db.models import Max
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from subpixel.site import audit, board, clock, outbox
from subpixel.site.acts.turns import act, lock
from subpixel.site.models import Advancement, Evaluation, Round, Sanction, Snapshot, Submission, Team, User
from subpixel.site.models.submissions import UNFINISHED
from subpixel.site.refusals import Refusal, need_reason, need_staff


@act
def finalise(by: User, round: Round, reason: str) -> Snapshot:  # noqa: A002
    """Make the ranks of a closed round official: a snapshot that never changes, and who goes on by it."""
    need_staff(by)
    reason = need_reason(reason)
    if lock(round).finalised_at:
        raise Refusal("finalised", _("The results of this round are final already."))
    if clock.now() < round.end:
        raise Refusal("not_closed", _("The round is still open; close it first."))
    unfinished = Submission.objects.filter(round=round, state__in=UNFINISHED).count()
    unfinished += Evaluation.objects.filter(
        truth=round.truth_id, status="pending", submission__state="scored", submission__round=round
    ).count()
    if unfinished:
        text = _("%(number)d hand-ins are not scored yet; wait for them.")
        raise Refusal("unfinished", text % {"number": unfinished})
    flags = round.flags.filter(state="open", blocking=True).count()
    if flags:
        raise Refusal("flags", _("%(number)d flags must be decided first.") % {"number": flags})
    round.finalised_at = clock.now()
    round.save(update_fields=["finalised_at"])
    return _snapshot(by, round, reason)


def renew(by: User, round: Round, reason: str) -> Snapshot | None:  # noqa: A002
    """The next snapshot of a round that is final, and of those after it, if its ranks changed; within an act."""
    if not round.finalised_at:
        return None
    last = round.snapshots.order_by("-version").first()
    if last is not None and last.sha256 == digest(_table(round)):
        return None
    return _snapshot(by, round, reason)


def _snapshot(by: User, round: Round, reason: str) -> Snapshot:  # noqa: A002
    table = _table(round)
    version = (round.snapshots.aggregate(last=Max("version"))["last"] or 0) + 1
    made = Snapshot.objects.create(
        round=round, version=version, reason=reason, rows=table, sha256=digest(table), by=by, taken_at=clock.now()
    )
    audit.record(by, "round.snapshot", made, after={"version": version, "sha256": made.sha256}, reason=reason)
    _advance(by, made)
    return made


def _table(round: Round) -> list[dict[str, Any]]:  # noqa: A002
    return [board.as_dict(row) for row in board.rows(round)]


def digest(rows: list[dict[str, Any]]) -> str:
    """SHA-256 of the canonical JSON of a snapshot's rows."""
    text = json.dumps(rows, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def verify() -> list[str]:
    """A sentence for each snapshot whose rows are not those it was made of."""
    return [
        f"Snapshot {one.version} of round {one.round_id} was changed."
        for one in Snapshot.objects.order_by("pk").iterator()
        if one.sha256 != digest(one.rows)
    ]


def _advance(by: User, snapshot: Snapshot) -> None:
    """Who may hand in to the next round is who advances by this snapshot, and nobody else."""
    round_ = snapshot.round
    after = Round.objects.filter(contest=round_.contest_id, number__gt=round_.number).order_by("number").first()
    if after is None or not round_.advance:
        return
    new = {row["team_id"] for row in snapshot.rows if row["advances"]}
    old = set(Advancement.objects.filter(round=after).values_list("team_id", flat=True))
    Advancement.objects.filter(round=after).exclude(team__in=new).delete()
    Advancement.objects.filter(round=after).update(snapshot=snapshot)
    Advancement.objects.bulk_create(
        Advancement(round=after, team_id=team, snapshot=snapshot) for team in sorted(new - old)
    )
    audit.record(by, "round.advance", after, {"teams": sorted(old)}, {"teams": sorted(new)})
    body = format_lazy(
        gettext_lazy("Your team advances to the round {round} of {contest}.\n\n{link}"),
        round=after.name, contest=after.contest.name, link=outbox.link(after.contest),
    )  # fmt: skip
    for team in Team.objects.filter(pk__in=new - old):
        key = f"advanced:{snapshot.pk}:{team.pk}"
        outbox.tell_team(team, "advanced", key, gettext_lazy("Your team advances"), body)
    renew(by, after, snapshot.reason)


@act
def sanction(by: User, team: Team, kind: str, round: Round | None, reason: str) -> Sanction:  # noqa: A002
    """Disqualify a team from the contest (round: None), or cancel its rank in a round."""
    need_staff(by)
    return punish(by, team, kind, round, need_reason(reason))


def punish(by: User, team: Team, kind: str, round: Round | None, reason: str) -> Sanction:  # noqa: A002
    """As `sanction`, within another act."""
    lock(team)
    if kind not in ("disqualified", "rank_cancelled") or (kind == "disqualified") != (round is None):
        raise Refusal(
            "sanction", _("A team is disqualified from the contest, or its rank in a round is cancelled."), 422
        )
    if round is not None and round.contest_id != team.contest_id:
        raise Refusal("sanction", _("This round is of another contest than the team."), 422)
    if Sanction.objects.filter(team=team, kind=kind, round=round, lifted_at=None).exists():
        raise Refusal("sanctioned", _("This was decided against the team already."))
    made = Sanction.objects.create(team=team, round=round, kind=kind, reason=reason, by=by, decided_at=clock.now())
    if kind == "disqualified" and team.state == "active":
        team.state = "disqualified"
        team.save(update_fields=["state"])
    after = {"team": team.pk, "kind": kind, "round": round.pk if round else None}
    audit.record(by, "team.sanction", made, after=after, reason=reason)
    body = format_lazy(
        gettext_lazy("The organisers decided against your team {team}: {kind}. Reason: {reason}"),
        team=team.name, kind=made.get_kind_display(), reason=reason,
    )  # fmt: skip
    outbox.tell_team(team, "sanction", f"sanction:{made.pk}", gettext_lazy("A decision about your team"), body)
    _renew_all(by, team, round, reason)
    return made


@act
def lift(by: User, sanction: Sanction, reason: str) -> None:
    """Take a sanction back."""
    need_staff(by)
    reason = need_reason(reason)
    if lock(sanction).lifted_at:
        raise Refusal("lifted", _("This sanction was lifted already."))
    team = lock(sanction.team)
    sanction.lifted_at = clock.now()
    sanction.save(update_fields=["lifted_at"])
    if sanction.kind == team.state == "disqualified":
        team.state = "active"
        team.save(update_fields=["state"])
    audit.record(by, "team.lift", sanction, after={"team": team.pk}, reason=reason)
    body = format_lazy(gettext_lazy("The decision against your team {team} was taken back."), team=team.name)
    outbox.tell_team(team, "sanction", f"lifted:{sanction.pk}", gettext_lazy("A decision about your team"), body)
    _renew_all(by, team, sanction.round, reason)


def _renew_all(by: User, team: Team, round: Round | None, reason: str) -> None:  # noqa: A002
    """New snapshots where a sanction reaches; later rounds follow from earlier ones."""
    rounds = Round.objects.filter(contest=team.contest_id).order_by("number")
    for one in rounds.filter(pk=round.pk) if round else rounds:
        renew(by, one, reason)
