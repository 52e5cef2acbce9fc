"""The leaderboard: a query over the tables, never a stored place."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, QuerySet, Window
from django.db.models.functions import RowNumber

from subpixel.metrics import arrays
from subpixel.site.models import Advancement, AuditEvent, Evaluation, Round, Sanction, Submission, User


@dataclasses.dataclass(frozen=True)
class Row:
    """A team's place. rank: from 1, None for an exhibition entry. psnr: in dB of the pooled error, infinite for none.

    sse, n: exact sums of its best hand-in, by which ranks are. accepted_at: of that hand-in. hand_ins: how many were
    scored. advances: whether it goes on to the next round by this place.
    """

    rank: int | None
    team_id: int
    team: str
    psnr: float
    sse: int
    n: int
    accepted_at: datetime
    hand_ins: int
    exhibition: bool
    advances: bool


def psnr(sse: int, n: int) -> float:
    """Pooled PSNR of 8-bit samples in dB, infinite without an error."""
    return arrays.psnr(sse, n)


def rows(round: Round, at: datetime | None = None) -> list[Row]:  # noqa: A002
    """The best hand-in of each team, by exact error, then by the moment it was accepted, then by its number.

    at: only hand-ins accepted up to this moment.
    """
    order = ["sse", "submission__accepted_at", "submission_id"]
    best = (
        _scores(round, at)
        .annotate(
            place=Window(RowNumber(), partition_by="submission__team_id", order_by=order),
            hand_ins=Window(Count("pk"), partition_by="submission__team_id"),
        )
        .filter(place=1)
        .order_by(*order)
        .values_list(
            "submission__team_id", "submission__team__name", "submission__team__exhibition",
            "sse", "n", "submission__accepted_at", "hand_ins",
        )
    )  # fmt: skip
    table, rank = [], 0
    for team_id, team, exhibition, sse, n, accepted_at, hand_ins in best:
        rank += not exhibition
        place = None if exhibition else rank
        goes_on = not exhibition and rank <= round.advance
        table.append(Row(place, team_id, team, psnr(sse, n), sse, n, accepted_at, hand_ins, exhibition, goes_on))
    return table


def _scores(round: Round, at: datetime | None) -> QuerySet[Evaluation]:  # noqa: A002
    """Evaluations that count: of the round's present truth, of teams that take part and whose rank stands."""
    cancelled = Sanction.objects.filter(
        team=OuterRef("submission__team"), round=round, kind="rank_cancelled", lifted_at=None
    )
    scores = Evaluation.objects.filter(
        ~Exists(cancelled),
        truth=round.truth_id,
        scorer=round.scorer,
        status="ok",
        submission__round=round,
        submission__state="scored",
        submission__team__state="active",
    )
    if needs_advancement(round):
        came = Advancement.objects.filter(team=OuterRef("submission__team"), round=round)
        scores = scores.annotate(came=Exists(came)).exclude(came=False, submission__team__exhibition=False)
    return scores.filter(submission__accepted_at__lte=at) if at else scores


def needs_advancement(round: Round) -> bool:  # noqa: A002
    """Whether only teams that advanced from the round before may take part."""
    before = Round.objects.filter(contest=round.contest_id, number__lt=round.number).order_by("-number").first()
    return bool(before and before.advance)


def shown(round: Round, user: User | Any | None) -> list[Row]:  # noqa: A002
    """What this person, None for anybody, sees now: the final ranks once there are some; before that, for all but
    organisers, no rows of a hidden board, and those of the moment at which it was frozen.
    """
    if round.finalised_at:
        final = round.snapshots.order_by("-version").first()
        return [from_dict(row) for row in final.rows]
    if user is None or not user.is_staff:
        if round.board == "hidden":
            return []
        if round.board == "frozen":
            return rows(round, round.frozen_at)
    return rows(round)


def score(submission: Submission) -> tuple[int, int] | None:
    """The sums (sse, n) of a hand-in by the round's present truth, None without a score."""
    found = submission.evaluations.filter(
        truth=submission.round.truth_id, scorer=submission.round.scorer, status="ok"
    ).first()
    return (found.sse, found.n) if found and submission.state in ("scored", "voided") else None


def version(round: Round) -> str:  # noqa: A002
    """A text that changes whenever the board may have changed, for an ETag."""
    last = AuditEvent.objects.aggregate(last=Max("id"))["last"] or 0
    return f"{round.pk}-{last}"


def as_dict(row: Row) -> dict[str, Any]:
    """For JSON; the PSNR, which follows from the sums, is left out."""
    values = dataclasses.asdict(row) | {"accepted_at": row.accepted_at.isoformat()}
    del values["psnr"]
    return values


def from_dict(values: dict[str, Any]) -> Row:
    """The row that `as_dict` was made of."""
    moment = datetime.fromisoformat(values["accepted_at"])
    return Row(**values | {"accepted_at": moment, "psnr": psnr(values["sse"], values["n"])})
