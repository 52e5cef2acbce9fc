"""Teams: who may make, name, enter and leave them, and when."""

from __future__ import annotations

from datetime import timedelta

import pytest

from made import Clock, Made, refused
from subpixel.site.acts import grants, names, teams
from subpixel.site.models import Invite, Outbox
from subpixel.site.refusals import Refusal

pytestmark = pytest.mark.django_db


def test_a_new_team_has_a_captain_and_its_hours(made: Made) -> None:
    contest, ann = made.contest(), made.user("ann")
    team = teams.create(ann, contest, "  Four\u3000times ", framework="MegEngine", given_data_only=True)
    assert (team.name, team.captain, teams.team_of(ann, contest)) == ("Four times", ann, team)
    assert (team.framework, team.given_data_only, grants.balance(team)) == ("MegEngine", True, 30)


def test_organisers_may_not_take_part(made: Made) -> None:
    contest = made.contest()
    team = made.team(contest)
    token = teams.invite(team.captain, team, made.organiser.email)
    with refused("Organisers may not take part", 403):
        teams.create(made.organiser, contest, "Insiders")
    with refused("Organisers may not take part", 403):
        teams.join(made.organiser, token)


def test_an_address_must_be_confirmed_first(made: Made) -> None:
    contest, new = made.contest(), made.user("new", verified=False)
    team = made.team(contest)
    with refused("Confirm your mail address first", 403):
        teams.create(new, contest, "Hasty")
    with refused("Confirm your mail address first", 403):
        teams.join(new, teams.invite(team.captain, team, new.email))


def test_teams_are_changed_within_the_window_only(made: Made, clock: Clock) -> None:
    team = made.team(made.contest(), made.user("ann"), made.user("bob"))
    ann, bob, contest = team.captain, team.memberships.last().user, team.contest
    late = made.user("late")
    token = teams.invite(ann, team, late.email)
    acts = [
        lambda: teams.create(late, contest, "Late"),
        lambda: teams.join(late, token),
        lambda: teams.rename(ann, team, "Other"),
        lambda: teams.invite(ann, team, "more@example.org"),
        lambda: teams.leave(bob, team),
        lambda: teams.transfer(ann, team, bob),
        lambda: teams.disband(ann, team),
    ]
    clock.moment = contest.teams_end
    for act in acts:
        with refused("cannot be made or changed any more"):
            act()
    clock.moment = contest.teams_open - timedelta(microseconds=1)
    for act in acts:
        with refused("cannot be made or changed yet"):
            act()
    clock.moment = contest.teams_end - timedelta(microseconds=1)
    assert teams.join(late, token) == team


def test_nobody_is_in_two_teams(made: Made) -> None:
    contest = made.contest()
    team, other = made.team(contest), made.team(contest)
    for act in (
        lambda: teams.create(team.captain, contest, "Second"),
        lambda: teams.join(team.captain, teams.invite(other.captain, other, team.captain.email)),
    ):
        with refused("You are in a team of this contest already"):
            act()
    assert teams.team_of(made.team(made.contest(), team.captain).captain, contest) == team, "another contest is free"


def test_the_sixth_member_is_refused(made: Made) -> None:
    team = made.team(made.contest(), *(made.user() for _ in range(4)))
    first, second = made.user(), made.user()
    tokens = [teams.invite(team.captain, team, user.email) for user in (first, second)]
    teams.join(first, tokens[0])
    with refused("A team has at most 5 members"):
        teams.join(second, tokens[1])
    with refused("A team has at most 5 members"):
        teams.invite(team.captain, team, "seventh@example.org")


def test_an_invitation_is_good_once_for_one_address_and_a_week(made: Made, clock: Clock) -> None:
    contest = made.contest(teams_closes=(clock() + timedelta(days=30)).replace(second=0).isoformat())
    team, bob, eve = made.team(contest), made.user("bob"), made.user("eve")
    token = teams.invite(team.captain, team, " BOB@example.org")
    with refused("for another address", 403):
        teams.join(eve, token)
    teams.join(bob, token)
    teams.leave(bob, team)
    with refused("followed already"):
        teams.join(bob, token)
    with refused("There is no such invitation", 404):
        teams.join(bob, token + "x")
    newer = teams.invite(team.captain, team, bob.email)
    clock.forward(days=7)
    with refused("too old"):
        teams.join(bob, newer)
    again = teams.invite(team.captain, team, bob.email)
    latest = teams.invite(team.captain, team, bob.email)
    with refused("no such invitation, or it was taken back", 404):
        teams.join(bob, again)
    teams.revoke(team.captain, Invite.objects.get(digest=teams._digest(latest)))
    with refused("no such invitation, or it was taken back", 404):
        teams.join(bob, latest)


def test_an_invitation_tells_nothing_but_its_mail(made: Made) -> None:
    team = made.team(made.contest())
    tokens = [teams.invite(team.captain, team, email) for email in (made.user("bob").email, "no@example.org")]
    mails = Outbox.objects.filter(kind="invite").order_by("pk")
    assert [mail.recipient for mail in mails] == ["bob@example.org", "no@example.org"]
    assert all(f"/c/{team.contest.slug}/join/{token}/" in mail.body for mail, token in zip(mails, tokens, strict=True))
    assert not Invite.objects.filter(digest__in=tokens).exists(), "tokens themselves are not kept"
    with refused("This is no mail address", 422):
        teams.invite(team.captain, team, "eval(1)@x,y")


def test_invitations_are_limited_a_day(made: Made, clock: Clock) -> None:
    team = made.team(made.contest())
    for number in range(20):
        teams.invite(team.captain, team, f"{number}@example.org")
    with refused("at most 20 invitations a day", 429):
        teams.invite(team.captain, team, "one-more@example.org")
    clock.forward(hours=23.9)
    with refused("at most 20 invitations a day", 429):
        teams.invite(team.captain, team, "one-more@example.org")


def test_only_the_captain_changes_the_team(made: Made) -> None:
    team = made.team(made.contest(), made.user("ann"), made.user("bob"))
    ann, bob, stranger = team.captain, team.memberships.last().user, made.user("stranger")
    for user, sentence in ((bob, "Only the team's captain"), (stranger, "Only members of the team")):
        for act in (
            lambda: teams.rename(user, team, "Other"),  # noqa: B023
            lambda: teams.declare(user, team, "Torch", True),  # noqa: B023
            lambda: teams.invite(user, team, "x@example.org"),  # noqa: B023
            lambda: teams.transfer(user, team, user),  # noqa: B023
            lambda: teams.disband(user, team),  # noqa: B023
        ):
            with refused(sentence, 403):
                act()
    with refused("You are the captain"):
        teams.leave(ann, team)
    with refused("Only a member of the team can become its captain", 422):
        teams.transfer(ann, team, stranger)
    teams.transfer(ann, team, bob)
    teams.leave(ann, team)
    assert teams.team_of(ann, team.contest) is None
    teams.disband(bob, team)
    assert teams.team_of(bob, team.contest) is None
    assert made.team(team.contest, ann, name=team.name).name == team.name, "the name is free again"


def test_who_has_handed_in_stays_in_the_team(made: Made) -> None:
    team = made.team(made.contest(), made.user("ann"), made.user("bob"))
    made.submission(team)
    with refused("The team has handed in"):
        teams.leave(team.memberships.last().user, team)
    with refused("The team has handed in"):
        teams.disband(team.captain, team)


@pytest.mark.parametrize("name", ["MEGVII", "megvii", "ＭＥＧＶＩＩ", "Mеgvii", "MEGV11", "Meg vii", "megvıi"])
def test_names_that_look_the_same_are_one(made: Made, name: str) -> None:
    contest = made.contest()
    made.team(contest, name="Megvii")
    with pytest.raises(Refusal, match=r"looks the same|must not mix"):
        made.team(contest, name=name)
    assert made.team(made.contest(), name="Megvii").name == "Megvii"


def test_a_whole_name_in_another_script_looks_the_same_too() -> None:
    assert names.key("СОРА") == names.key("COPA")
    assert names.key("ΤΟΡ") == names.key("TOP")
    assert names.key("超分队") != names.key("超分對")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("x", "2 to 40 characters, not 1"),
        ("x" * 41, "2 to 40 characters, not 41"),
        ("  ", "2 to 40 characters, not 0"),
        ("=cmd|' /C calc'!A0", "begins with a letter or digit"),
        ("@here", "begins with a letter or digit"),
        ("<b>bold</b>", "begins with a letter or digit"),
        ("Team\u202egnp.exe", "no invisible characters"),
        ("Te\u200bam", "no invisible characters"),
        ("Te\x00am", "no invisible characters"),
        ("Te\u00adam", "no invisible characters"),
    ],
)
def test_names_that_could_mislead_are_refused(made: Made, name: str, sentence: str) -> None:
    with refused(sentence, 422):
        teams.create(made.user(), made.contest(data=False), name)


@pytest.mark.parametrize("name", ["超分辨率小队", "Équipe n° 1", "4x", "Команда", "R&D <3"])
def test_names_of_all_scripts_are_welcome(made: Made, name: str) -> None:
    assert made.team(made.contest(data=False), name=name).state == "active"
