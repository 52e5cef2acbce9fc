"""A logged-in client that uploads by tus, for tests."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from django.test import Client
from django.urls import reverse

from made import Made

BODY = "application/offset+octet-stream"
CONTENT = bytes(range(256)) * 20


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Sender:
    """A logged-in client that speaks tus."""

    def __init__(self, user: Any, **options: Any) -> None:
        self.web = Client(**options)
        self.web.force_login(user)

    def ask(self, method: str, address: str, data: bytes = b"", content_type: str = BODY, **headers: str) -> Any:
        given = {name.replace("_", "-"): value for name, value in {"Tus_Resumable": "1.0.0", **headers}.items()}
        return self.web.generic(method, address, data, content_type=content_type, headers=given)

    def begin(self, round_: Any, size: int = len(CONTENT), **told: str) -> Any:
        values = {"round": str(round_.pk), "filename": "answer.tar", **told}
        metadata = ",".join(f"{key} {encoded(value.encode())}" for key, value in values.items())
        return self.ask("POST", "/uploads/", Upload_Length=str(size), Upload_Metadata=metadata)

    def send(self, address: str, offset: int, data: bytes, **headers: str) -> Any:
        return self.ask("PATCH", address, data, Upload_Offset=str(offset), **headers)

    def offset(self, address: str) -> int:
        answer = self.ask("HEAD", address)
        assert answer.status_code == 200
        assert answer["Cache-Control"] == "no-store"
        return int(answer["Upload-Offset"])

    def whole(self, round_: Any, data: bytes = CONTENT) -> Any:
        """Upload all of it; the row."""
        address = self.begin(round_, len(data))["Location"]
        assert self.send(address, 0, data).status_code == 204
        return row(address)


def row(address: str) -> Any:
    from subpixel.site.models import Upload

    return Upload.objects.get(pk=address.rstrip("/").rpartition("/")[2])


def address_of(upload: Any) -> str:
    return reverse("upload", args=[upload.pk])


def part_file(address: str) -> Path:
    """Where the file grows."""
    from subpixel.site import files

    return files.uploads() / str(row(address).pk)


def stored(upload: Any) -> bytes:
    from subpixel.site import files

    with files.store("submissions").open(upload.sha256) as stream:
        return stream.read()


def round_and_sender(made: Made) -> tuple[Any, Sender]:
    round_ = made.round()
    return round_, Sender(made.team(round_.contest).captain)
