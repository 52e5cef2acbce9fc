"""Resumable uploads over the site's addresses: what came is kept, and nobody else can touch it."""

from __future__ import annotations

import hashlib
import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made import Made
from sender import BODY, CONTENT, Sender, address_of, encoded, part_file, round_and_sender, row, stored


def test_what_the_server_can_do(made: Made) -> None:
    answer = Sender(made.user()).ask("OPTIONS", "/uploads/")
    assert (answer.status_code, answer["Tus-Version"]) == (204, "1.0.0")
    assert answer["Tus-Extension"] == "creation,checksum,expiration,termination"
    assert answer["Tus-Checksum-Algorithm"] == "sha256"


def test_a_file_in_parts(made: Made, clock: Any) -> None:
    round_, sender = round_and_sender(made)
    begun = sender.begin(round_)
    assert (begun.status_code, begun["Upload-Offset"]) == (201, "0")
    assert begun["Upload-Expires"] == "Thu, 16 May 2030 12:00:00 GMT"
    address = begun["Location"]
    for start in range(0, len(CONTENT), 2000):
        assert sender.offset(address) == start
        data = CONTENT[start : start + 2000]
        clock.forward(hours=20)
        checksum = f"sha256 {encoded(hashlib.sha256(data).digest())}"
        sent = sender.send(address, start, data, Upload_Checksum=checksum)
        assert (sent.status_code, sent["Upload-Offset"]) == (204, str(start + len(data)))
    upload = row(address)
    assert upload.state == "complete"
    assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert stored(upload) == CONTENT
    assert not part_file(address).exists()
    assert sender.offset(address) == len(CONTENT)


@given(cuts=st.sets(st.integers(1, len(CONTENT) - 1), max_size=6))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_parts_give_the_same_file(made: Made, cuts: set[int]) -> None:
    round_, sender = round_and_sender(made)
    address = sender.begin(round_)["Location"]
    edges = [0, *sorted(cuts), len(CONTENT)]
    for start, end in itertools.pairwise(edges):
        assert sender.send(address, start, CONTENT[start:end]).status_code == 204
    assert stored(row(address)) == CONTENT


@pytest.mark.parametrize("offset", [0, 500, 999, 1001, 5000], ids=str)
def test_another_offset_is_refused(made: Made, offset: int) -> None:
    """Overlap and gap alike: only the next byte is taken."""
    round_, sender = round_and_sender(made)
    address = sender.begin(round_)["Location"]
    sender.send(address, 0, CONTENT[:1000])
    refused = sender.send(address, offset, CONTENT[offset : offset + 100])
    assert (refused.status_code, refused["X-Refusal"]) == (409, "offset")
    assert refused.content == b"The upload continues at byte 1000."
    assert sender.offset(address) == 1000
    assert sender.send(address, 1000, CONTENT[1000:]).status_code == 204
    assert stored(row(address)) == CONTENT


def test_more_bytes_than_were_announced(made: Made) -> None:
    round_, sender = round_and_sender(made)
    address = sender.begin(round_)["Location"]
    refused = sender.send(address, 0, CONTENT + b"x")
    assert (refused.status_code, refused.content) == (413, b"A part has at most 5120 bytes.")
    assert sender.offset(address) == 0
    assert part_file(address).stat().st_size == 0


def test_a_part_is_limited(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    from subpixel.site import uploads

    monkeypatch.setattr(uploads, "PART", 1000)
    round_, sender = round_and_sender(made)
    address = sender.begin(round_)["Location"]
    assert sender.send(address, 0, CONTENT[:1001]).status_code == 413
    assert sender.send(address, 0, CONTENT[:1000]).status_code == 204


def test_the_length_cannot_be_changed(made: Made) -> None:
    round_, sender = round_and_sender(made)
    address = sender.begin(round_)["Location"]
    sender.send(address, 0, CONTENT[:10], Upload_Length="10")
    upload = row(address)
    assert (upload.size, upload.state) == (len(CONTENT), "receiving")


def test_a_part_that_was_altered_on_its_way(made: Made) -> None:
    round_, sender = round_and_sender(made)
    address = sender.begin(round_)["Location"]
    checksum = f"sha256 {encoded(hashlib.sha256(CONTENT).digest())}"
    refused = sender.send(address, 0, CONTENT[:-1] + b"?", Upload_Checksum=checksum)
    assert (refused.status_code, refused.content) == (460, b"The part was altered on its way; send it again.")
    assert sender.offset(address) == 0
    assert sender.send(address, 0, CONTENT, Upload_Checksum=checksum).status_code == 204
    assert stored(row(address)) == CONTENT


@pytest.mark.parametrize("checksum", ["md5 AAAA", "sha256", "sha256 !", "sha256 AAAA"])
def test_another_checksum_is_refused(made: Made, checksum: str) -> None:
    round_, sender = round_and_sender(made)
    refused = sender.send(sender.begin(round_)["Location"], 0, CONTENT, Upload_Checksum=checksum)
    assert (refused.status_code, refused["X-Refusal"]) == (400, "header")


def test_headers_that_mean_nothing(made: Made) -> None:
    round_, sender = round_and_sender(made)
    for size in ("", "-5", "1e3", "٣", "9" * 16):
        refused = sender.ask("POST", "/uploads/", Upload_Length=size, Upload_Metadata="")
        assert (refused.status_code, refused["X-Refusal"]) == (400, "header")
    assert sender.ask("POST", "/uploads/", Upload_Length="5", Upload_Metadata="round §").status_code == 400
    assert sender.ask("POST", "/uploads/", Upload_Length="5", Upload_Metadata="").status_code == 404
    assert sender.begin(round_, purpose="truth").status_code == 400
    address = sender.begin(round_)["Location"]
    assert sender.ask("PATCH", address, b"x", "application/json", Upload_Offset="0").status_code == 415
    old = sender.ask("HEAD", address, Tus_Resumable="0.2.2")
    assert (old.status_code, old["Tus-Version"]) == (412, "1.0.0")
    assert sender.ask("GET", address).status_code == 405
    assert sender.ask("PUT", "/uploads/").status_code == 405


def test_others_cannot_touch_it(made: Made) -> None:
    """Nor learn that it is there: another team, somebody without a team, an organiser, nobody."""
    round_, sender = round_and_sender(made)
    address = sender.begin(round_)["Location"]
    for user in (made.team(round_.contest).captain, made.user(), made.organiser):
        other = Sender(user)
        for answer in (other.ask("HEAD", address), other.send(address, 0, CONTENT), other.ask("DELETE", address)):
            assert answer.status_code == 404
    nobody = Client().generic("PATCH", address, CONTENT, content_type=BODY, headers={"Tus-Resumable": "1.0.0"})
    assert (nobody.status_code, nobody.content) == (401, b"Log in first.")
    assert sender.offset(address) == 0


def test_another_member_goes_on(made: Made) -> None:
    round_ = made.round()
    one, two = made.user(), made.user()
    made.team(round_.contest, one, two)
    address = Sender(one).begin(round_)["Location"]
    Sender(one).send(address, 0, CONTENT[:1000])
    assert Sender(two).send(address, 1000, CONTENT[1000:]).status_code == 204
    assert stored(row(address)) == CONTENT


def test_another_site_cannot_make_a_browser_send(made: Made) -> None:
    round_ = made.round()
    sender = Sender(made.team(round_.contest).captain, enforce_csrf_checks=True)
    assert sender.begin(round_).status_code == 403
    from subpixel.site.models import Upload

    assert not Upload.objects.exists()


def test_giving_up(made: Made) -> None:
    round_, sender = round_and_sender(made)
    address = sender.begin(round_)["Location"]
    sender.send(address, 0, CONTENT[:1000])
    assert sender.ask("DELETE", address).status_code == 204
    assert row(address).state == "aborted"
    assert not part_file(address).exists()
    assert sender.ask("HEAD", address).status_code == 410
    for answer in (sender.send(address, 1000, b"x"), sender.ask("DELETE", address)):
        assert (answer.status_code, answer.content) == (410, b"This upload is no longer open; begin another.")
    assert sender.begin(round_).status_code == 201


def test_what_was_handed_in_cannot_be_given_up(made: Made) -> None:
    from subpixel.site.acts import handin

    round_, sender = round_and_sender(made)
    upload = sender.whole(round_)
    handin.accept(upload.user, upload, "key")
    assert sender.ask("DELETE", address_of(upload)).status_code == 410
    assert stored(upload) == CONTENT


def test_it_expires_a_day_after_the_last_byte(made: Made, clock: Any) -> None:
    from subpixel.site import uploads

    round_, sender = round_and_sender(made)
    address = sender.begin(round_)["Location"]
    clock.forward(hours=23)
    sender.send(address, 0, CONTENT[:1000])
    clock.forward(hours=23)
    assert uploads.sweep() == 0
    clock.forward(hours=1)
    assert uploads.sweep() == 1
    assert sender.ask("HEAD", address).status_code == 410
    assert not part_file(address).exists()
    assert sender.begin(round_).status_code == 201


def test_a_complete_one_that_nobody_hands_in_expires(made: Made, clock: Any) -> None:
    from subpixel.site import files, uploads
    from subpixel.site.acts import handin

    round_, sender = round_and_sender(made)
    left, used = sender.whole(round_, CONTENT), sender.whole(round_, CONTENT + b"other")
    handin.accept(used.user, used, "key")
    clock.forward(hours=25)
    assert uploads.sweep() == 1
    assert not files.store("submissions").exists(left.sha256)
    assert stored(used) == CONTENT + b"other"


def test_equal_files_are_kept_until_the_last_goes(made: Made) -> None:
    from subpixel.site import files

    round_ = made.round()
    one, two = (Sender(made.team(round_.contest).captain) for _ in range(2))
    first, second = one.whole(round_), two.whole(round_)
    assert one.ask("DELETE", address_of(first)).status_code == 204
    assert stored(second) == CONTENT
    assert two.ask("DELETE", address_of(second)).status_code == 204
    assert not files.store("submissions").exists(second.sha256)


def test_who_may_begin(made: Made, clock: Any) -> None:
    round_, sender = round_and_sender(made)
    stranger = Sender(made.user()).begin(round_)
    assert (stranger.status_code, stranger.content) == (403, b"You need a team to hand in.")
    large = sender.begin(round_, 1 << 36 | 1)
    assert (large.status_code, large.content) == (413, b"A hand-in has 1 to 68719476736 bytes.")
    assert sender.begin(round_, 0).status_code == 413
    clock.moment = round_.end - timedelta(microseconds=1)
    address = sender.begin(round_)["Location"]
    second = sender.begin(round_)
    assert (second.status_code, second["X-Refusal"], second["Location"]) == (409, "upload_open", address)
    sender.ask("DELETE", address)
    clock.moment = round_.end
    assert (late := sender.begin(round_)).content == b"This round is closed.", late.status_code


def test_an_upload_across_the_close_is_too_late(made: Made, clock: Any) -> None:
    from subpixel.site.acts import handin
    from subpixel.site.refusals import Refusal

    round_, sender = round_and_sender(made)
    clock.moment = round_.end - timedelta(seconds=1)
    address = sender.begin(round_)["Location"]
    clock.forward(seconds=1)
    assert sender.send(address, 0, CONTENT).status_code == 204
    upload = row(address)
    with pytest.raises(Refusal, match="This round is over"):
        handin.accept(upload.user, upload, "key")


def test_a_team_sends_so_many_bytes_a_day(made: Made, clock: Any) -> None:
    limits = "\n[limits]\narchive_bytes = 4000\n"
    round_ = made.round(attempts_per_day=2)
    round_.contest.rules_text += limits
    round_.contest.save()
    sender = Sender(made.team(round_.contest).captain)
    sender.whole(round_, CONTENT[:4000])
    address = sender.begin(round_, 3000)["Location"]
    sender.send(address, 0, CONTENT[:1000])
    sender.ask("DELETE", address)  # 1000 of its bytes came
    refused = sender.begin(round_, 3001)
    assert (refused.status_code, refused["X-Refusal"]) == (429, "bytes")
    assert sender.begin(round_, 3000).status_code == 201
    clock.forward(hours=24)
    sender.ask("DELETE", sender.begin(round_, 1)["Location"])  # of the one that is open
    assert sender.begin(round_, 3001).status_code == 201
