"""Uploads while disks are full, processes die and parts come twice: the file is whole in the end, or not there."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading

import pytest
from django.db import connection

from made import Made
from sender import CONTENT, Sender, part_file, round_and_sender, row, stored


def test_a_full_disk_loses_nothing(made: Made) -> None:
    """The kernel refuses to let a file grow beyond 8 MiB, as it does where no room is left."""
    round_, sender = round_and_sender(made)
    large = CONTENT * 2000
    address = sender.begin(round_, len(large))["Location"]
    sender.send(address, 0, large[:1000])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, hard))
    try:
        refused = sender.send(address, 1000, large[1000:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (refused.status_code, refused.content) == (507, b"The server has no room left; try again later.")
    assert sender.offset(address) == 1000
    assert part_file(address).stat().st_size == 1000
    assert sender.send(address, 1000, large[1000:]).status_code == 204
    assert stored(row(address)) == large


def test_bytes_behind_the_offset_are_cut_off(made: Made) -> None:
    """As a process leaves them that dies after the bytes are safe and before the row says so."""
    round_, sender = round_and_sender(made)
    address = sender.begin(round_)["Location"]
    sender.send(address, 0, CONTENT[:1000])
    with part_file(address).open("ab") as file:
        file.write(b"garbage" * 1000)
    assert sender.offset(address) == 1000
    sender.send(address, 1000, CONTENT[1000:2000])
    sender.send(address, 2000, CONTENT[2000:])
    assert stored(row(address)) == CONTENT


@pytest.mark.parametrize("how", ["asked", "swept"])
def test_a_whole_file_of_a_dead_process_is_completed(made: Made, how: str) -> None:
    from subpixel.site import uploads
    from subpixel.site.models import Upload

    round_, sender = round_and_sender(made)
    address = sender.begin(round_)["Location"]
    sender.send(address, 0, CONTENT[:1000])
    part_file(address).write_bytes(CONTENT)
    Upload.objects.update(offset=len(CONTENT))
    if how == "asked":
        assert sender.offset(address) == len(CONTENT)
    else:
        uploads.sweep()
    assert row(address).state == "complete"
    assert stored(row(address)) == CONTENT


def test_after_a_restore_the_file_is_right(made: Made) -> None:
    round_, sender = round_and_sender(made)
    address = sender.begin(round_)["Location"]
    sender.send(address, 0, CONTENT[:3000])
    os.truncate(part_file(address), 1200)
    assert sender.send(address, 3000, CONTENT[3000:]).status_code == 409
    assert sender.offset(address) == 1200
    assert sender.send(address, 1200, CONTENT[1200:]).status_code == 204
    assert stored(row(address)) == CONTENT


@pytest.mark.django_db(transaction=True)
def test_equal_parts_at_the_same_time() -> None:
    """Of parts that come at once one is taken; the others are told so and can be sent again."""
    round_, sender = round_and_sender(Made())
    address = sender.begin(round_)["Location"]
    senders = [Sender(row(address).user) for _ in range(8)]
    for offset in range(0, len(CONTENT), 1280):
        statuses: list[int] = []

        def send(one: Sender, offset: int = offset, statuses: list[int] = statuses) -> None:
            statuses.append(one.send(address, offset, CONTENT[offset : offset + 1280]).status_code)
            connection.close()

        threads = [threading.Thread(target=send, args=[one]) for one in senders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses.count(204) == 1
        assert set(statuses) <= {204, 409, 410, 423}
    assert stored(row(address)) == CONTENT


SENDING = """
import sys, django; django.setup()
from subpixel.site import uploads
from subpixel.site.models import Upload
class Slow:
    def __init__(self): self.parts = [b"x" * 700, b"y" * 700]
    def read(self, size):
        if self.parts: return self.parts.pop()
        print("half", flush=True); sys.stdin.read()
upload = Upload.objects.get()
uploads.append(upload, upload.offset, Slow())
"""


@pytest.mark.django_db(transaction=True)
def test_a_server_killed_within_a_part() -> None:
    round_, sender = round_and_sender(Made())
    address = sender.begin(round_)["Location"]
    sender.send(address, 0, CONTENT[:1000])
    process = subprocess.Popen([sys.executable, "-c", SENDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"half\n"
    busy = sender.send(address, 1000, b"x")
    assert (busy.status_code, busy.content) == (423, b"Another part of this upload is just coming.")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert sender.offset(address) == 1000
    assert sender.send(address, 1000, CONTENT[1000:]).status_code == 204
    assert stored(row(address)) == CONTENT
