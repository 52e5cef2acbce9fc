"""A contest as people live it: two teams, one English, one Chinese on phones in the dark, and an organiser."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from browser import PASSWORD, Person, chromium
from hostile import png, tar
from served import Served, environment

ORGANISER, DEMO_PASSWORD = "organiser@demo.example", "look around here"
WIDTH, HEIGHT = 128, 96  # of the demo's clips
WORDS = {
    "en-GB": {"scored": "scored", "broken": "Choose the same file again", "official": "These results are official"},
    "zh-CN": {"scored": "已评分", "broken": "请再次选择同一文件", "official": "正式结果"},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("contest") / "site"
    with environment() as values:
        served = Served(folder, values, "--demo", "--port", "0")
        served.folder = folder  # type: ignore[attr-defined]
        try:
            served.ready()
            threading.Thread(target=listen, args=[served], daemon=True).start()
            yield served
        finally:
            served.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def listen(site: Any) -> None:
    """Take in what the site says, mails among it, so that it never waits for a listener."""
    with contextlib.suppress(AssertionError, ValueError):  # it ended
        site.until("(?!)")


def mailed(site: Served, pattern: str) -> str:
    """Wait for a mail with a link that nobody has followed yet."""
    while True:
        for line in list(site.said):
            if (found := re.search(pattern, line)) and found[1] not in FOLLOWED:
                FOLLOWED.add(found[1])
                return found[1]
        time.sleep(0.2)


FOLLOWED: set[str] = set()


@dataclasses.dataclass
class Side:
    """A team in one language: its captain and a member, who needs no script."""

    name: str
    language: str
    captain: Person
    member: Person

    @property
    def words(self) -> dict[str, str]:
        return WORDS[self.language]


def answer(site: Any, noise: int) -> bytes:
    """The truth of the demo's clips, wrong by up to `noise` everywhere, as PNG files."""
    random, files = np.random.default_rng(noise), []
    for path in sorted(site.folder.glob("truth/*/*.rgb")):
        for number, picture in enumerate(np.fromfile(path, np.uint8).reshape(-1, HEIGHT, WIDTH, 3), 1):
            wrong = picture + random.integers(-noise, noise + 1, picture.shape)
            files.append((f"{path.stem}/{number:04}.png".encode(), png(wrong.clip(0, 255).astype(np.uint8))))
    return tar(files)


def register(site: Served, person: Person, email: str) -> None:
    """Register, verify the address by the mail, log in."""
    person.goes("/accounts/signup/?next=/c/demo/")
    person.fills("/accounts/signup/", email=email, password1=PASSWORD, password2=PASSWORD)
    person.goes(mailed(site, r"(http://\S+/accounts/confirm-email/\S+)"))
    with person.page.expect_navigation():
        person.page.locator("main form button").click()
    person.logs_in(email)


def join(site: Served, side: Side, email: str) -> None:
    """The captain invites, the member follows the mail's link."""
    side.captain.goes("/c/demo/team/")
    side.captain.fills("/team/invite/", **{"invite-email": email})
    side.member.goes(mailed(site, r"(http://\S+/join/\S+)"))
    side.member.fills("/accept/")
    assert side.name in side.member.reads()


def hand_in_without_script(site: Any, side: Side) -> None:
    """One request, then looking again until it is scored."""
    file = {"name": "first.tar", "mimeType": "application/x-tar", "buffer": answer(site, 8)}
    page = side.member.goes("/c/demo/handin/")
    page.locator("[name=file]").set_input_files(file)  # type: ignore[arg-type]
    with page.expect_navigation():
        page.locator("form.upload button.go").click()
    while not page.locator(".tag.scored").count():
        page.wait_for_timeout(300)
        page.reload()
    assert side.words["scored"] in side.member.reads()


def hand_in_over_a_broken_line(site: Any, side: Side) -> None:
    """Half of it is sent when the line breaks and the page is closed; the other half goes the next time."""
    captain, page = side.captain, side.captain.goes("/c/demo/handin/")
    file = site.folder.parent / f"second in {side.language}.tar"
    file.write_bytes(answer(site, 2))
    sent: list[int] = []

    def pass_on(route: Any) -> None:
        offset = int(route.request.headers.get("upload-offset", "0"))
        if route.request.method == "PATCH" and len(sent) == 3:
            route.abort("connectionreset")
            return
        if route.request.method == "PATCH":
            sent.append(offset)
        route.continue_()

    def choose() -> None:
        page.locator("form.upload").evaluate("form => { form.dataset.part = 16384 }")
        page.locator("[name=file]").set_input_files(file)
        page.locator("form.upload button.go").click()

    page.route("**/uploads/*", pass_on)
    choose()
    expect(page.locator(".told")).to_have_text(str(page.locator("form.upload").get_attribute("data-waiting")))
    assert sent == [0, 16384, 32768]
    page.unroute("**/uploads/*")
    page.goto("about:blank")
    captain.goes("/c/demo/handin/")
    captain.looks()
    assert side.words["broken"] in captain.reads()
    with page.expect_request(lambda request: request.method == "PATCH") as first, page.expect_navigation():
        choose()
    assert first.value.headers["upload-offset"] == "49152"
    captain.looks()
    expect(page.locator("#state .tag.scored")).to_be_visible()  # without loading the page again
    assert side.words["scored"] in captain.reads()
    assert "dB" in captain.reads()


def in_shanghai(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%dT%H:%M")


def close(organiser: Person) -> None:
    """The preliminary ends with this minute begun, the final begins; flags are decided; the ranks become official."""
    now = datetime.now(ZoneInfo("UTC"))
    organiser.goes("/c/demo/organise/rounds/1/")
    organiser.fills("/rounds/1/change/", end=in_shanghai(now), reason="The end of the test")
    organiser.goes("/c/demo/organise/rounds/2/")
    final = {"opens": in_shanghai(now), "end": in_shanghai(now + timedelta(days=5))}
    organiser.fills("/rounds/2/change/", **final, reason="The final begins")
    organiser.goes("/c/demo/organise/flags/")
    while organiser.page.locator("form[action*='/flags/']").count():
        action = organiser.page.locator("form[action*='/flags/']").first.get_attribute("action")
        organiser.fills(str(action), press="button[value=dismiss]", text="An honest improvement")
    organiser.goes("/c/demo/organise/rounds/1/")
    organiser.fills("/finalise/", reason="All is scored")
    organiser.goes("/c/demo/organise/rounds/1/snapshots/1/")


def review(organiser: Person, side: Side) -> None:
    """Asked for, handed over, judged."""
    organiser.goes("/c/demo/organise/teams/")
    organiser.page.get_by_role("link", name=side.name).click()
    organiser.looks()
    deadline = in_shanghai(datetime.now(ZoneInfo("UTC")) + timedelta(days=3))
    organiser.fills("/review/", deadline=deadline)
    page = side.captain.goes("/c/demo/review/")
    source = {"name": "source.zip", "mimeType": "application/zip", "buffer": b"print('restore')" * 100}
    page.locator("[name=file]").set_input_files(source)  # type: ignore[arg-type]
    with page.expect_navigation():
        page.locator("form.upload button.go").click()
    page.locator("[name=statement]").fill("python train.py --seed 1")
    with page.expect_navigation():
        page.locator("form:has([name=statement]) button").click()
    organiser.goes("/c/demo/organise/reviews/")
    organiser.fills("/take/")
    organiser.fills("/judge/", press="button[value=pass]", findings="Reproduced to the last digit")
    assert "Reproduced to the last digit" in (side.captain.goes("/c/demo/review/"), side.captain.reads())[1]


def grant(organiser: Person, side: Side) -> None:
    """The second hand-in was better: 50 hours more."""
    side.captain.goes("/c/demo/compute/")
    action = str(side.captain.page.locator("form:has([name=purpose])").get_attribute("action"))
    side.captain.fills(action, purpose="A longer training")
    organiser.goes("/c/demo/organise/grants/")
    action = str(organiser.page.locator("main form[action*='/grants/']").get_attribute("action"))
    organiser.fills(action, press="button[value=approve]", note="Go on")
    side.captain.goes("/c/demo/compute/")
    assert re.match(r"80(\.00)?", side.captain.page.locator(".figures b").first.inner_text())


def test_a_contest_from_registration_to_grants_in_both_languages(site: Any, browser: Browser) -> None:
    sides = []
    for name, language, phone in (("Northern Lights", "en-GB", False), ("长江超分队", "zh-CN", True)):
        captain = Person(browser, site.url, language, phone=phone)
        member = Person(browser, site.url, language, phone=phone, java_script_enabled=False)
        sides.append(Side(name, language, captain, member))
    for number, side in enumerate(sides):
        register(site, side.captain, f"captain{number}@demo.example")
        side.captain.goes("/account/")
        side.captain.fills("", name=f"Captain {number}")
        side.captain.goes("/c/demo/team/")
        side.captain.fills("", name=side.name, framework="MegEngine")
        register(site, side.member, f"member{number}@demo.example")
        join(site, side, f"member{number}@demo.example")
        hand_in_without_script(site, side)
        hand_in_over_a_broken_line(site, side)
        for path in ("", "rules/", "data/", "submissions/", "board/1/"):
            side.captain.goes(f"/c/demo/{path}")
        assert side.captain.page.locator("tr.own .team").inner_text() == side.name

    organiser = Person(browser, site.url, "en-GB")
    organiser.logs_in(ORGANISER, DEMO_PASSWORD)
    for path in ("", "submissions/", "news/", "audit/?check=1"):
        organiser.goes(f"/c/demo/organise/{path}")
    assert "Nothing was altered." in organiser.reads()
    organiser.page.goto("/c/demo/organise/submissions/")
    organiser.page.locator("tbody th a").first.click()
    organiser.looks()
    close(organiser)
    assert organiser.page.locator("tr.on").count() == 3  # both sides and the demo's own team
    for side in sides:
        side.captain.goes("/c/demo/board/1/")
        assert side.words["official"] in side.captain.reads()
        side.captain.goes("/c/demo/handin/")
        review(organiser, side)
        grant(organiser, side)

    people = [organiser, *(person for side in sides for person in (side.captain, side.member))]
    assert [complaint for person in people for complaint in person.complaints] == []
    assert [sight for person in people for sight in person.sights] == []
