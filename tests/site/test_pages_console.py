"""The organisers' console: each button does its act, leaves its event, and is for organisers only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from made import Clock, Made
from test_pages import client, text, told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def last_event() -> Any:
    from subpixel.site.models import AuditEvent

    return AuditEvent.objects.latest("id")


def test_console_is_for_organisers(made: Made) -> None:
    contest = made.contest()
    team = made.team(contest)
    path = f"/c/{contest.slug}/organise/"
    assert client().get(path)["Location"].startswith("/accounts/login/")
    refused = client(team.captain).get(path)
    assert refused.status_code == 403
    assert "This page is for the organisers of the contest." in text(refused)
    assert client(team.captain).post(f"{path}pause/", {"reason": "mine"}).status_code == 403
    assert client(made.organiser).get(path).status_code == 200


def test_pause_needs_a_reason_and_stops_hand_ins(made: Made) -> None:
    contest = made.contest()
    team = made.team(contest)
    organiser, path = client(made.organiser), f"/c/{contest.slug}/organise/"
    assert organiser.post(f"{path}pause/", {"reason": " "}).status_code == 422
    assert "Hand-ins are paused." in told(organiser.post(f"{path}pause/", {"reason": "power cut"}))
    assert (last_event().action, last_event().reason) == ("contest.pause", "power cut")
    assert "The organisers have paused the contest" in text(client(team.captain).get(f"/c/{contest.slug}/handin/"))
    assert "Hand-ins are taken again." in told(organiser.post(f"{path}resume/", {"reason": "light"}))


def test_a_round_without_data_says_how_to_publish_them(made: Made) -> None:
    page = client(made.organiser).get(f"/c/{made.contest(data=False).slug}/organise/rounds/1/")
    assert "There are no data yet; publish them with subpixel challenge publish" in text(page)


def test_round_is_moved_in_the_contests_time(made: Made, clock: Clock) -> None:
    round_ = made.round()
    organiser = client(made.organiser)
    path = f"/c/{round_.contest.slug}/organise/rounds/1/"
    end = (clock() + timedelta(hours=2)).astimezone(ZoneInfo("Asia/Shanghai"))
    page = organiser.get(path).content.decode()
    assert 'name="opens" value="2030-05-14T20:00"' in page
    form = {
        "opens": "2030-05-14T20:00", "end": f"{end:%Y-%m-%dT%H:%M}", "valid_per_day": "2", "attempts_per_day": "5",
        "advance": "3", "decimals": "2", "grants": "", "reason": "shorter",
    }  # fmt: skip
    assert "Changed." in told(organiser.post(f"{path}change/", form))
    round_.refresh_from_db()
    assert round_.end == clock() + timedelta(hours=2)
    assert (round_.valid_per_day, round_.decimals, round_.grants) == (2, 2, None)
    overlap = organiser.post(f"{path}change/", form | {"end": "2030-07-01T00:00"})
    assert "Two rounds would be open at the same time" in told(overlap)


def test_days_are_written_as_moments_are_in_both_languages(made: Made) -> None:
    contest = made.contest()
    team = made.team(contest)
    one = made.score(team, 1000)
    path = f"/c/{contest.slug}/organise/submissions/{one.pk}/"
    english = f"{one.day.day} {one.day:%b %Y}"
    assert f"Counts for the day {english}, spent 1" in text(client(made.organiser).get(path))
    assert f"Counts for the day {english} " in text(client(team.captain).get(path.replace("organise/", "")))
    made.organiser.locale = "zh-hans"
    made.organiser.save()
    assert f"{one.day.year}年{one.day.month}月{one.day.day}日, 已用 1" in text(client(made.organiser).get(path))


def test_hand_in_is_voided_and_reinstated(made: Made) -> None:
    contest = made.contest()
    team = made.team(contest, name="Owls")
    one = made.score(team, 1000)
    organiser, path = client(made.organiser), f"/c/{contest.slug}/organise/submissions/{one.pk}/"
    page = text(organiser.get(path))
    assert "sse 1000" in page
    assert "submission.accept" in page
    assert "It no longer counts." in told(organiser.post(f"{path}void/", {"reason": "copied"}))
    assert "Owls" not in text(client().get(f"/c/{contest.slug}/board/1/"))
    member = text(client(team.captain).get(f"/c/{contest.slug}/submissions/{one.pk}/"))
    assert "The organisers declared it void." in member
    assert "copied" in member
    assert "It counts again." in told(organiser.post(f"{path}reinstate/", {"reason": "appeal"}))
    assert "Owls" in text(client().get(f"/c/{contest.slug}/board/1/"))
    assert "Owls" in text(organiser.get(f"/c/{contest.slug}/organise/submissions/?state=scored&team=owl"))
    assert "There are none." in text(organiser.get(f"/c/{contest.slug}/organise/submissions/?state=fault"))


def test_hand_in_that_our_fault_ended_goes_back_into_the_queue(made: Made, clock: Clock) -> None:
    from subpixel.site.acts import scoring

    contest = made.contest()
    team = made.team(contest)
    one = made.submission(team)
    while one.state != "fault":
        clock.forward(minutes=10)
        lease = scoring.claim("worker")
        assert lease
        scoring.fail(lease, "no room on the disk")
        one.refresh_from_db()
    organiser, path = client(made.organiser), f"/c/{contest.slug}/organise/submissions/{one.pk}/"
    member = client(team.captain)
    assert "It costs you nothing" in text(member.get(f"/c/{contest.slug}/submissions/{one.pk}/"))
    assert "no room on the disk" not in text(member.get(f"/c/{contest.slug}/submissions/{one.pk}/"))
    assert "no room on the disk" in text(organiser.get(path))
    assert "1 faults of ours" in text(organiser.get(f"/c/{contest.slug}/organise/"))
    assert "It is in the queue again." in told(organiser.post(f"{path}requeue/", {"reason": "there is room now"}))
    one.refresh_from_db()
    assert one.state == "queued"


def test_scores_of_clips_are_for_organisers_only(made: Made) -> None:
    contest = made.contest()
    team = made.team(contest)
    one = made.score(team, 123456)
    assert "61728" in text(client(made.organiser).get(f"/c/{contest.slug}/organise/submissions/{one.pk}/"))
    for path in (f"submissions/{one.pk}/", "submissions/", "board/1/", ""):
        page = client(team.captain).get(f"/c/{contest.slug}/{path}").content.decode()
        assert "61728" not in page
        assert "123456" not in page


def test_rescore_shows_the_difference_before_the_switch(made: Made) -> None:
    from made import verdict
    from subpixel.site.acts import scoring

    round_ = made.round()
    first, second = made.team(round_.contest, name="First"), made.team(round_.contest, name="Second")
    made.score(first, 1000)
    made.score(second, 2000)
    truth = made.data(round_, "mended")
    organiser, path = client(made.organiser), f"/c/{round_.contest.slug}/organise/rounds/1/truths/{truth.pk}/"
    assert "have no score by this truth yet" in told(organiser.post(f"{path}switch/", {"reason": "soon"}))
    told(organiser.post(f"{path}rescore/", {"reason": "frame 3 was wrong"}))
    for sse in (900, 100):
        lease = scoring.claim("worker")
        assert lease
        scoring.finish(lease, verdict(lease, sse))
    page = text(organiser.get(path))
    assert "Second 2 1" in page
    assert "Ranks are by this truth now." in told(organiser.post(f"{path}switch/", {"reason": "frame 3 was wrong"}))
    board = text(client().get(f"/c/{round_.contest.slug}/board/1/"))
    assert board.index("Second") < board.index("First")


def test_round_becomes_official_and_a_later_sanction_shows(made: Made, clock: Clock) -> None:
    round_ = made.round(advance=1)
    best, second = made.team(round_.contest, name="Best"), made.team(round_.contest, name="Second")
    made.score(best, 1000)
    made.score(second, 2000)
    organiser, home = client(made.organiser), f"/c/{round_.contest.slug}/organise/"
    assert "The round is still open; close it first." in told(
        organiser.post(f"{home}rounds/1/finalise/", {"reason": "over"})
    )
    clock.forward(days=5, hours=1)
    assert "The results are official." in told(organiser.post(f"{home}rounds/1/finalise/", {"reason": "over"}))
    board = text(client().get(f"/c/{round_.contest.slug}/board/1/"))
    assert "These results are official since 20 May 2030, 21:00 UTC+8" in board
    assert "version 1." in board
    form = {"kind": "rank_cancelled", "round": str(round_.pk), "reason": "not their own code"}
    assert "Decided." in told(organiser.post(f"{home}teams/{best.pk}/sanction/", form))
    board = text(client().get(f"/c/{round_.contest.slug}/board/1/"))
    assert "version 2. not their own code" in board
    assert "Best" not in board.partition("not their own code")[2].partition("Times are those")[0].replace(
        "Best one", ""
    )
    assert "Second" in text(organiser.get(f"{home}rounds/1/snapshots/2/"))
    sanction = best.sanctions.get()
    assert "Taken back." in told(organiser.post(f"{home}teams/{best.pk}/lift/{sanction.pk}/", {"reason": "mistaken"}))
    assert "version 3" in text(client().get(f"/c/{round_.contest.slug}/board/1/"))


def test_flag_is_decided_with_a_text(made: Made) -> None:
    contest = made.contest()
    first, second = made.team(contest), made.team(contest)
    made.score(first, 1000)
    made.score(second, 1000)
    organiser, path = client(made.organiser), f"/c/{contest.slug}/organise/flags/"
    page = text(organiser.get(path))
    assert "Exactly the score of another team" in page
    from subpixel.site.models import Flag

    flag = Flag.objects.get()
    assert organiser.post(f"{path}{flag.pk}/", {"verdict": "dismiss", "text": ""}).status_code == 422
    told(organiser.post(f"{path}{flag.pk}/", {"verdict": "dismiss", "text": "chance"}))
    flag.refresh_from_db()
    assert (flag.state, flag.decision) == ("dismissed", "chance")


def test_failed_review_cancels_the_rank(made: Made, clock: Clock) -> None:
    round_ = made.round()
    team = made.team(round_.contest, name="Owls")
    made.score(team, 1000)
    organiser, home = client(made.organiser), f"/c/{round_.contest.slug}/organise/"
    deadline = (clock() + timedelta(days=3)).astimezone(ZoneInfo("Asia/Shanghai"))
    form = {"round": str(round_.pk), "deadline": f"{deadline:%Y-%m-%dT%H:%M}"}
    told(organiser.post(f"{home}teams/{team.pk}/review/", form))
    review = team.reviews.get()
    assert review.deadline == clock() + timedelta(days=3)
    made.upload(team, purpose="review", name="source.tar")
    member = client(team.captain)
    assert "Hand over until" in text(member.get(f"/c/{round_.contest.slug}/review/"))
    assert "Your source is handed over." in told(
        member.post(f"/c/{round_.contest.slug}/review/", {"statement": "make train"})
    )
    told(organiser.post(f"{home}reviews/{review.pk}/take/"))
    told(organiser.post(f"{home}reviews/{review.pk}/judge/", {"verdict": "fail", "findings": "trained on the truth"}))
    assert "trained on the truth" in text(member.get(f"/c/{round_.contest.slug}/review/"))
    assert "Owls" not in text(client().get(f"/c/{round_.contest.slug}/board/1/"))


def test_grant_is_asked_for_once_and_decided(made: Made, clock: Clock) -> None:
    contest = made.contest()
    team = made.team(contest)
    made.score(team, 2000)
    clock.forward(days=1)
    made.score(team, 1000)
    member, home = client(team.captain), f"/c/{contest.slug}/compute/"
    page = text(member.get(home))
    assert "30 hours left" in page
    entitlement = team.entitlements.get()
    asked = member.post(f"{home}{entitlement.pk}/", {"purpose": "longer training"})
    assert "The organisers will look at your application." in told(asked)
    again = member.post(f"{home}{entitlement.pk}/", {"purpose": "once more"})
    assert "Your team has applied for these hours already." in told(again)
    application = entitlement.application
    organiser, path = client(made.organiser), f"/c/{contest.slug}/organise/grants/"
    assert "longer training" in text(organiser.get(path))
    told(organiser.post(f"{path}{application.pk}/", {"verdict": "approve", "note": ""}))
    assert "80 hours left" in text(member.get(home))


def test_news_are_markdown_without_harm_in_both_languages(made: Made) -> None:
    contest = made.contest()
    organiser, path = client(made.organiser), f"/c/{contest.slug}/organise/news/"
    assert "Write a title." in text(organiser.post(path, {"text_en": "x"}))
    harm = "**Now** <script>alert(1)</script> [here](javascript:alert(1)) <img src=x onerror=alert(1)>"
    told(organiser.post(path, {"title_en": "Data <b>are</b> there", "text_en": harm, "title_zh": "数据已发布"}))
    page = client().get(f"/c/{contest.slug}/").content.decode()
    assert "<strong>Now</strong>" in page
    assert "Data &lt;b&gt;are&lt;/b&gt; there" in page
    assert not any(word in page for word in ("<script>alert", "javascript:", "onerror"))
    assert "数据已发布" in text(client(language="zh-CN").get(f"/c/{contest.slug}/"))


def test_tables_for_spreadsheets_hold_no_formulas(made: Made) -> None:
    contest = made.contest()
    person = made.user(shirt="L")
    made.score(made.team(contest, person, name="Owls"), 1000)
    person.name = '=HYPERLINK("http://evil.example")'
    person.save()
    organiser, home = client(made.organiser), f"/c/{contest.slug}/organise/"
    people = organiser.get(f"{home}teams/people.csv").content.decode("utf-8-sig")
    assert "\"'=HYPERLINK(" in people
    assert ",L," in people
    board = organiser.get(f"{home}rounds/1/board.csv").content.decode("utf-8-sig")
    assert board.splitlines()[1].startswith("1,Owls,57.7762,1000,9216,2030-05-15T12:00:00")


def test_trail_is_read_and_checked(made: Made) -> None:
    contest = made.contest()
    team = made.team(contest, name="Owls")
    organiser, path = client(made.organiser), f"/c/{contest.slug}/organise/audit/"
    assert "team.create" in text(organiser.get(f"{path}?subject=team:{team.pk}"))
    assert "contest.create" not in text(organiser.get(f"{path}?subject=team:{team.pk}"))
    assert "Nothing was altered." in text(organiser.get(f"{path}?check=1"))


def test_contest_is_made_of_a_rule_file(made: Made) -> None:
    organiser = client(made.organiser)
    assert "50,000 yuan" in text(organiser.get("/organise/new/"))
    wrong = organiser.post("/organise/new/", {"slug": "mine", "rules_text": 'name = "x"'})
    assert wrong.status_code == 422
    assert "The rules" in text(wrong)
    done = organiser.post("/organise/new/", {"slug": "mine", "rules_text": made.rules(name="Mine")})
    assert done["Location"] == "/c/mine/organise/"
    assert client(made.user()).get("/organise/new/").status_code == 403
