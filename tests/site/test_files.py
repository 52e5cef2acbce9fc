"""Stores of files, in a folder and on an S3 server: what is in is whole, and nothing else can be had."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import stat
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostile import manifest, truth
from made import CLIPS, Made, answer
from subpixel.challenge.truth import Truth
from subpixel.site import files

DATA = bytes(range(256)) * 1000
KEY = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Address of an S3 server on this machine."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> files.Store:
    if request.param == "folder":
        return files.Folder(tmp_path / "store")
    import boto3

    endpoint = request.getfixturevalue("endpoint")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    name = f"contest-{uuid.uuid4()}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=name)
    return files.Bucket(f"s3://{name}?endpoint={endpoint}&region=us-east-1", "submissions", tmp_path / "cache")


def test_what_is_put_can_be_had(store: files.Store) -> None:
    assert not store.exists(KEY)
    assert store.put(io.BytesIO(DATA)) == KEY
    assert store.put(io.BytesIO(DATA)) == KEY  # once more is the same
    other = store.put(io.BytesIO(b""))
    assert store.exists(KEY)
    assert store.size(KEY) == len(DATA)
    with store.open(KEY) as stream:
        assert stream.read() == DATA
    assert store.path(KEY).read_bytes() == DATA
    store.release(KEY)
    assert store.path(KEY).read_bytes() == DATA  # once more
    assert sorted(store.keys()) == sorted([KEY, other])
    store.delete(KEY)
    store.delete(KEY)
    assert list(store.keys()) == [other]


def test_a_file_of_this_machine_is_adopted(store: files.Store, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)
    for _ in range(2):
        store.adopt(file, files.sha256(file))
    file.unlink()
    assert store.path(KEY).read_bytes() == DATA


def test_what_is_not_there_cannot_be_had(store: files.Store) -> None:
    for ask in (store.open, store.path, store.size):
        with pytest.raises(FileNotFoundError):
            ask(KEY)


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "", KEY[:-1], KEY.upper(), KEY + "\n", "é" * 64])
def test_no_key_leads_elsewhere(store: files.Store, key: str) -> None:
    for ask in (store.open, store.path, store.size, store.exists, store.delete):
        with pytest.raises(FileNotFoundError, match="is not the SHA-256 of a file"):
            ask(key)


def test_a_file_appears_whole_or_not_at_all(store: files.Store) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 1000:
                raise OSError("The connection is gone.")
            return super().read(size)

    with pytest.raises(OSError, match="gone"):
        store.put(Broken(bytes(5 << 20)))
    assert list(store.keys()) == []


def test_a_file_altered_in_the_bucket_is_noticed(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="altered")
    store = files.Bucket(f"s3://altered?endpoint={endpoint}&region=us-east-1", "submissions", tmp_path)
    store.put(io.BytesIO(DATA))
    client.put_object(Bucket="altered", Key=f"submissions/{KEY[:2]}/{KEY}", Body=b"other")
    with pytest.raises(OSError, match="it was altered there"):
        store.path(KEY)


def test_a_copy_goes_when_it_is_released(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="released")
    store = files.Bucket(f"s3://released?endpoint={endpoint}&region=us-east-1", "submissions", tmp_path)
    copy = store.path(store.put(io.BytesIO(DATA)))
    assert copy.exists()
    store.release(KEY)
    assert not copy.exists()
    assert store.exists(KEY)


def test_a_hand_in_that_lies_in_a_bucket_is_uploaded_and_judged(
    made: Made, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    import boto3

    from subpixel.site import judging, uploads, worker
    from subpixel.site.acts import handin, scoring
    from subpixel.site.models import Submission

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="site")
    round_ = made.round(data=False)
    made.data(round_, Truth.open(truth(tmp_path / "truth", *CLIPS), manifest(*CLIPS)).version)
    settings.SITE = dataclasses.replace(settings.SITE, storage=f"s3://site?endpoint={endpoint}&region=us-east-1")
    content, team = answer(change=4), made.team(round_.contest)
    upload = uploads.begin(team.captain, round_, "answer.tar", len(content))
    upload = uploads.append(upload, 0, io.BytesIO(content))
    handin.accept(team.captain, upload, "key")
    lease = scoring.claim("worker")
    assert lease is not None
    worker.work(lease, judging.local, threading.Event())
    done = Submission.objects.get()
    assert (done.state, done.evaluations.get().sse) == ("scored", 4)
    assert list(files.Folder(settings.SITE.folder / "cache").keys()) == []


def test_only_this_user_reads_a_folder(tmp_path: Path) -> None:
    store = files.Folder(tmp_path / "store")
    store.put(io.BytesIO(DATA))
    folders = [tmp_path / "store", store.path(KEY).parent]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    assert [name for name in os.listdir(tmp_path / "store") if name.startswith(".")] == []


def test_there_are_three_stores() -> None:
    with pytest.raises(ValueError, match="There is no store 'truth', only public, submissions, exports"):
        files.store("truth")
