"""What happens when two things happen at once: real threads, each with a connection of its own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import close_old_connections, connections

from made import Made, verdict
from subpixel.site import audit
from subpixel.site.acts import finals, grants, handin, organise, scoring, teams
from subpixel.site.models import (
    Flag,
    GrantApplication,
    GrantEntitlement,
    Membership,
    Outbox,
    ScoreJob,
    Snapshot,
    Submission,
)
from subpixel.site.refusals import Refusal

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each act gives, or the code by which it is refused; all begin at the same moment."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        close_old_connections()
        barrier.wait()
        try:
            return act()
        except Refusal as refusal:
            return refusal.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        done = list(pool.map(run, acts))
    assert audit.verify() == [], "a chain without forks"
    return done


def test_of_fifty_parallel_hand_ins_one_is_accepted(made: Made) -> None:
    from subpixel.site.models import Team

    team = made.team(made.contest())
    uploads = [made.upload(team) for _ in range(50)]

    def hand_in(upload: Any) -> Callable[[], Any]:
        return lambda: handin.accept(team.captain, type(upload).objects.get(pk=upload.pk), f"key {upload.pk}")

    done = at_once(*map(hand_in, uploads))
    codes = Counter(one if isinstance(one, str) else "accepted" for one in done)
    assert codes == {"accepted": 1, "quota_valid": 49}
    assert Submission.objects.filter(team=Team.objects.get()).count() == ScoreJob.objects.count() == 1


def test_two_members_at_once(made: Made) -> None:
    contest = made.contest(valid_per_day=2, attempts_per_day=2)
    team = made.team(contest, made.user("ann"), made.user("bob"))
    members = [team.captain, team.memberships.last().user]
    for _ in range(5):
        uploads = [made.upload(team) for _ in range(4)]
        pairs = zip([*members, *members], uploads, strict=True)
        done = at_once(*(lambda u=user, up=upload: handin.accept(u, up, f"{up.pk}") for user, upload in pairs))
        accepted = [one for one in done if isinstance(one, Submission)]
        assert sorted(one.slot_no for one in accepted) == [1, 2]
        for one in accepted:
            Submission.objects.filter(pk=one.pk).update(day="2001-01-01", slot_no=one.pk)


def test_a_request_sent_many_times_is_one_hand_in(made: Made) -> None:
    team = made.team(made.contest(valid_per_day=5))
    upload = made.upload(team)
    done = at_once(*[lambda: handin.accept(team.captain, type(upload).objects.get(pk=upload.pk), "same")] * 12)
    assert len({one.pk for one in done}) == 1
    assert Submission.objects.count() == 1


def test_the_sixth_member_of_eight_that_join_at_once(made: Made) -> None:
    team = made.team(made.contest(), *(made.user() for _ in range(3)))
    people = [made.user() for _ in range(8)]
    tokens = [teams.invite(team.captain, team, user.email) for user in people]
    done = at_once(*(lambda u=u, t=t: teams.join(u, t) for u, t in zip(people, tokens, strict=True)))
    assert Counter(one if isinstance(one, str) else "joined" for one in done) == {"joined": 2, "team_full": 6}
    assert team.memberships.filter(left_at=None).count() == 5


def test_one_person_enters_one_of_two_teams(made: Made) -> None:
    contest, eve = made.contest(), made.user("eve")
    first, second = made.team(contest), made.team(contest)
    tokens = [teams.invite(team.captain, team, eve.email) for team in (first, second)]
    done = at_once(
        lambda: teams.join(eve, tokens[0]),
        lambda: teams.join(eve, tokens[1]),
        lambda: teams.create(eve, contest, "Mine"),
        lambda: teams.create(eve, contest, "My own"),
    )
    assert Counter(isinstance(one, str) and one for one in done) == {"has_team": 3, False: 1}
    assert Membership.objects.filter(user=eve, left_at=None).count() == 1


def test_one_invitation_followed_twice(made: Made) -> None:
    team, bob = made.team(made.contest()), made.user("bob")
    token = teams.invite(team.captain, team, bob.email)
    done = at_once(*[lambda: teams.join(bob, token)] * 4)
    assert sum(one == team for one in done) == 1


def test_two_teams_with_one_name(made: Made) -> None:
    contest, people = made.contest(), [made.user() for _ in range(6)]
    done = at_once(*(lambda u=user: teams.create(u, contest, "Same name") for user in people))
    assert Counter(isinstance(one, str) and one for one in done) == {"name_taken": 5, False: 1}


def test_a_captain_that_leaves_while_the_team_is_disbanded(made: Made) -> None:
    team = made.team(made.contest(), made.user("ann"), made.user("bob"))
    ann, bob = team.captain, team.memberships.last().user

    def again(act: Callable[..., None], *more: Any) -> Callable[[], None]:
        return lambda: act(ann, type(team).objects.get(pk=team.pk), *more)

    at_once(again(teams.transfer, bob), again(teams.leave), again(teams.disband))
    team.refresh_from_db()
    left = set(team.memberships.filter(left_at=None).values_list("user", flat=True))
    assert (team.state == "withdrawn" and not left) or team.captain_id in left, "a team with members has a captain"


def test_one_entitlement_one_application(made: Made) -> None:
    contest = made.contest(valid_per_day=2)
    team = made.team(contest)
    made.score(team, 20), made.score(team, 10)
    right = GrantEntitlement.objects.get()
    done = at_once(*[lambda: grants.apply(team.captain, GrantEntitlement.objects.get(pk=right.pk), "Training")] * 8)
    assert Counter(isinstance(one, str) and one for one in done) == {"applied": 7, False: 1}
    application = GrantApplication.objects.get()
    done = at_once(*[lambda: grants.decide(made.organiser, GrantApplication.objects.get(), True, "Good")] * 4)
    assert Counter(done) == {None: 1, "decided": 3}
    assert grants.balance(team) == 30 + application.hours


def test_eight_workers_do_each_job_once(made: Made) -> None:
    contest = made.contest()
    for _ in range(24):
        made.submission(made.team(contest))

    def work(name: str) -> Callable[[], list[int]]:
        def loop() -> list[int]:
            done = []
            while lease := scoring.claim(name):
                assert scoring.beat(lease, 1, 6)
                assert scoring.start_scoring(lease)
                assert scoring.finish(lease, verdict(lease, lease.submission))
                done.append(lease.submission)
            return done

        return loop

    done = at_once(*(work(f"worker {number}") for number in range(8)))
    every = [one for part in done for one in part]
    assert len(every) == len(set(every)) == 24, "each exactly once"
    assert set(Submission.objects.values_list("state", "slot")) == {("scored", "spent")}
    assert Outbox.objects.filter(kind="scored").count() == 24


def test_taking_back_against_claiming(made: Made) -> None:
    contest = made.contest(attempts_per_day=50)
    team = made.team(contest)
    seen = Counter()
    for _ in range(8):
        submission = made.submission(team)
        cancelled, lease = at_once(
            lambda: handin.cancel(team.captain, Submission.objects.get(pk=submission.pk)),  # noqa: B023
            lambda: scoring.claim("worker"),
        )
        submission.refresh_from_db()
        assert (cancelled is None) == (lease is None) == (submission.state == "cancelled"), "one of both, never both"
        seen[submission.state] += 1
        if lease:
            scoring.finish(lease, verdict(lease) | {"valid": False, "problems": [{"code": "not_tar"}]})
    assert sum(seen.values()) == 8


def test_a_late_worker_against_the_reaper(made: Made) -> None:
    """Either the score came first, or the lease was lost; both cannot be."""
    contest = made.contest()
    for _ in range(6):
        submission = made.submission(made.team(contest))
        lease = scoring.claim("worker")
        assert lease is not None
        ScoreJob.objects.filter(pk=lease.job).update(lease_until="2001-01-01T00:00Z")
        finished, _, beaten = at_once(
            lambda: scoring.finish(lease, verdict(lease, 5)),  # noqa: B023
            scoring.reap,
            lambda: scoring.beat(lease, 1, 6),  # noqa: B023
        )
        submission.refresh_from_db()
        assert submission.state == ("scored" if finished else "queued")
        assert finished or not beaten
        if not finished:
            handin.cancel(submission.user, submission)


def test_two_equal_scores_at_the_same_moment_are_both_seen(made: Made) -> None:
    contest = made.contest()
    for _ in range(2):
        made.submission(made.team(contest))
    leases = [scoring.claim("worker") for _ in range(2)]
    assert at_once(*(lambda one=one: scoring.finish(one, verdict(one, 5)) for one in leases)) == [True, True]
    assert Flag.objects.filter(kind="same_score").count() == 1


def test_two_of_one_team_scored_at_the_same_moment_give_one_right(made: Made) -> None:
    team = made.team(made.contest(valid_per_day=2))
    first, second = made.submission(team), made.submission(team)
    leases = {lease.submission: lease for lease in (scoring.claim("worker"), scoring.claim("worker")) if lease}
    at_once(
        lambda: scoring.finish(leases[first.pk], verdict(leases[first.pk], 20)),
        lambda: scoring.finish(leases[second.pk], verdict(leases[second.pk], 10)),
    )
    assert [(one.submission, one.previous) for one in GrantEntitlement.objects.all()] == [(second, first)]


def test_the_last_hand_in_against_the_final_ranks(made: Made) -> None:
    """Closing, accepting and finalising at once: nothing is accepted that the final ranks do not know."""
    from subpixel.site import clock

    for _ in range(4):
        round_ = made.round()
        team = made.team(round_.contest)
        made.score(team, 20)
        late = made.team(round_.contest)
        upload = made.upload(late)

        def end(round_: Any = round_) -> Any:
            organise.change_round(made.organiser, round_, "Over", end=clock.now())
            return finals.finalise(made.organiser, type(round_).objects.get(pk=round_.pk), "Over")

        accepted, ended = at_once(
            lambda late=late, upload=upload: handin.accept(late.captain, upload, "late"),
            end,
        )
        if isinstance(ended, Snapshot):
            assert accepted in ("closed", "finalised")
            assert not Submission.objects.filter(team=late).exists()
        else:
            assert (ended, accepted.state) == ("unfinished", "queued")
            made.scored(Submission.objects.get(team=late), 30)


def test_finalising_twice_at_once_writes_one_snapshot(made: Made) -> None:
    from subpixel.site import clock

    round_ = made.round()
    made.score(made.team(round_.contest), 20)
    organise.change_round(made.organiser, round_, "Over", end=clock.now())
    done = at_once(*[lambda: finals.finalise(made.organiser, type(round_).objects.get(pk=round_.pk), "Over")] * 5)
    assert Counter(isinstance(one, str) and one for one in done) == {"finalised": 4, False: 1}
    assert Snapshot.objects.count() == 1
