"""Mails leave the outbox once, to a real server, and come to nothing's way when it is away."""

from __future__ import annotations

import email
import socket
import socketserver
import threading
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest

from made import Made
from subpixel.site import environment, outbox
from subpixel.site.models import Outbox

pytestmark = pytest.mark.django_db


class Post(socketserver.StreamRequestHandler):
    """As much SMTP as it takes to get a mail, or to refuse an address that begins with `nobody`."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in iter(self.rfile.readline, b""):
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                text = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.mails.append(email.message_from_bytes(text))  # type: ignore[attr-defined]
            refused = verb == b"RCPT" and b"<nobody" in line
            self.wfile.write(b"550 no such person\r\n" if refused else b"250 well\r\n")
            if verb == b"QUIT":
                return


@pytest.fixture
def post(settings: Any) -> Iterator[list[Message]]:
    """A server of mail that the site sends to; what it got."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Post) as server:
        server.mails = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _send_to(settings, server.server_address[1])
        yield server.mails  # type: ignore[attr-defined]
        server.shutdown()


def _send_to(settings: Any, port: int) -> None:
    from dataclasses import replace

    for name, value in environment.mail(replace(settings.SITE, mail=f"smtp://127.0.0.1:{port}")).items():
        setattr(settings, name, value)


def test_a_mail_is_sent_once(post: list[Message], made: Made) -> None:
    user = made.user("anna")
    outbox.write("fault", "one:1", user, "Your hand-in", "Line one\nLine two")
    outbox.write("fault", "one:1", user, "Your hand-in", "again")
    assert outbox.deliver() == 1
    assert outbox.deliver() == 0
    mail = post[0]
    assert (mail["To"], mail["Subject"], mail["From"]) == ("anna@example.org", "Your hand-in", "contest@localhost")
    assert mail["Message-ID"] == f"<outbox-{Outbox.objects.get().pk}@localhost>"
    assert mail.get_payload() == "Line one\r\nLine two\r\n"
    assert len(post) == 1


def test_a_line_break_in_a_subject_makes_no_header(post: list[Message], made: Made) -> None:
    outbox.write("fault", "one:1", made.user("anna"), "Team\r\nBcc: all@example.org", "Text")
    assert outbox.deliver() == 1
    assert (post[0]["Subject"], post[0]["Bcc"]) == ("Team Bcc: all@example.org", None)


def test_one_address_that_is_refused_stops_no_other_mail(post: list[Message], made: Made) -> None:
    for name in ("nobody", "anna"):
        outbox.write("fault", name, made.user(name), "Subject", "Text")
    assert outbox.deliver() == 1
    assert [mail["To"] for mail in post] == ["anna@example.org"]
    row = Outbox.objects.get(sent_at=None)
    assert row.error.startswith("SMTPRecipientsRefused: {'nobody@example.org': (550,")


def test_mails_wait_for_a_server_that_is_away_ever_longer(clock: Any, settings: Any, made: Made) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    _send_to(settings, port)
    outbox.write("fault", "one:1", made.user(), "Subject", "Text")
    waits = []
    for _ in range(3):
        assert outbox.deliver() == 0
        row = Outbox.objects.get()
        assert "Connection refused" in row.error
        waits.append((row.not_before - clock.moment).total_seconds() / 60)
        assert outbox.deliver() == 0  # not before its time
        assert Outbox.objects.get().attempts == row.attempts
        clock.moment = row.not_before
    assert waits == [1, 2, 4]


def test_mails_are_given_up_after_ten_attempts(clock: Any, settings: Any, made: Made) -> None:
    _send_to(settings, 1)
    outbox.write("fault", "one:1", made.user(), "Subject", "Text")
    for _ in range(12):
        outbox.deliver()
        clock.forward(days=1)
    assert Outbox.objects.get().attempts == 10


@pytest.mark.django_db(transaction=True)
def test_two_senders_send_no_mail_twice(post: list[Message], made: Made) -> None:
    from django.db import connection

    user = made.user()
    for number in range(20):
        outbox.write("fault", f"one:{number}", user, f"Mail {number}", "Text")

    def send() -> None:
        outbox.deliver()
        connection.close()

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert sorted(mail["Subject"] for mail in post) == sorted(f"Mail {number}" for number in range(20))
