"""People at browsers, who mind what the browser complains of and what keeps others from reading a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "a long walk by the river"
PATIENCE = 600_000  # milliseconds: a busy machine is no fault


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """Somebody with a browser of their own. complaints: errors in its console, such as violations of the policy of
    contents; sights: pages on which axe found something, or which are wider than the screen.
    """

    def __init__(self, browser: Browser, url: str, language: str, *, phone: bool = False, **options: Any) -> None:
        size = {"width": 390, "height": 844} if phone else {"width": 1200, "height": 900}
        theme = "dark" if phone else "light"
        self.context = browser.new_context(
            base_url=url,
            locale=language,
            viewport=size,
            color_scheme=theme,
            **options,  # type: ignore[arg-type]
        )
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.complaints: list[str] = []
        self.sights: list[str] = []
        self._seen: set[str] = set()
        self._script = options.get("java_script_enabled", True)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "net::ERR_" not in message.text:
            self.complaints.append(f"{self.page.url}: {message.text}")

    def goes(self, path: str) -> Page:
        """To a page, and looks at it."""
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.status < 400, f"{path}: {answer.status}"
        self.looks()
        return self.page

    def looks(self) -> None:
        """Judge the page, once for each kind."""
        kind = re.sub(r"\d+|[0-9a-f-]{36}|(?<=/)[\w:-]{40,}(?=/)", "#", self.page.url)
        if kind in self._seen or not self._script:
            return
        self._seen.add(kind)
        wider = self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        found = Axe().run(self.page).response["violations"]
        self.sights += [f"{kind}: {one['id']} {one['nodes'][0]['html'][:200]}" for one in found]
        self.sights += [f"{kind} is wider than the screen"] * bool(wider)

    def fills(self, action: str, press: str = "button", **fields: str) -> None:
        """Fills in the form with an address that ends so, presses its button, and looks at what comes."""
        form = self.page.locator(f'form[action$="{action}"]' if action else "main form.sheet").first
        with self.page.expect_navigation():
            details = form.locator("xpath=ancestor::details[not(@open)]")
            if details.count():
                details.locator("summary").click()
            for name, value in fields.items():
                box = form.locator(f'[name="{name}"]')
                if box.evaluate("one => one.tagName") == "SELECT":
                    box.select_option(value)
                else:
                    box.fill(value)
            form.locator(press).first.click()
        self.looks()

    def reads(self) -> str:
        """The page's text."""
        return self.page.locator("main").inner_text()

    def logs_in(self, email: str, password: str = PASSWORD) -> None:
        """By the form."""
        self.goes("/accounts/login/")
        self.fills("/accounts/login/", login=email, password=password)
