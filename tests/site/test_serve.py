"""`subpixel challenge serve`: one command, a whole site, which goes on whatever happens to its processes."""

from __future__ import annotations

import http.client
import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from served import PROGRAM, Served, environment


@pytest.fixture(scope="module")
def values() -> Iterator[dict[str, str]]:
    with environment() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "site"


@pytest.fixture(scope="module")
def demo(folder: Path, values: dict[str, str]) -> Iterator[Served]:
    site = Served(folder, values, "--demo", "--port", "0")
    try:
        site.ready()
        yield site
    finally:
        site.end()


def get(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url) as answer:
        return answer.status, answer.read()


def wait_for(what: Callable[[], Any]) -> Any:
    """Until it is so."""
    while not (found := what()):
        time.sleep(0.1)
    return found


def run(*arguments: object, **values: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *map(str, arguments)], env=values, capture_output=True, text=True)


def test_the_demo_has_a_board_with_a_score(demo: Served) -> None:
    board = f"{demo.url}/api/v1/contests/demo/rounds/1/board"
    rows = wait_for(lambda: len(found := json.loads(get(board)[1])) == 2 and found)
    assert {(row["team"], row["rank"]) for row in rows} == {("Baseline", None), ("Bicubic", 1)}
    assert all(20 < row["psnr"] < 60 for row in rows)
    files = json.loads(get(f"{demo.url}/api/v1/contests/demo/rounds/1/files")[1])
    assert {"manifest.json", "rules.toml", "baseline.tar"} <= {file["name"] for file in files}
    assert get(f"{demo.url}/c/demo/")[0] == 200


def test_it_says_where_and_how_to_log_in(demo: Served) -> None:
    said = "".join(demo.said)
    assert f"The site answers at {demo.url}; the demo's data are being made." in said
    assert "Log in as alice@demo.example, bob@demo.example or organiser@demo.example" in said
    assert f"Ready: {demo.url}/c/demo/" in said


def test_the_truth_is_for_this_user_only(demo: Served, folder: Path) -> None:
    assert demo.url
    (truth,) = (folder / "truth").iterdir()
    for place in (folder, folder / "truth", truth):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
    assert len((folder / "secret").read_text().strip()) == 64


def test_a_folder_is_served_once(demo: Served, folder: Path, values: dict[str, str]) -> None:
    assert demo.url
    second = run("serve", folder, "--port", 0, **values)
    assert (second.returncode, second.stderr) == (2, f"error: The site in {folder} is being served already.\n")


@pytest.mark.parametrize("kind", ["web", "worker", "chores"])
def test_a_process_that_dies_is_started_again(demo: Served, kind: str) -> None:
    """While no web process is there, requests wait for the next one."""
    (pid,) = (pid for pid, what in demo.children().items() if what == kind)
    os.kill(pid, signal.SIGKILL)
    assert demo.until(rf"The process ({kind}) ended with -9; it is started again.") == kind
    again = wait_for(lambda: [one for one, what in demo.children().items() if what == kind and one != pid])
    assert len(again) == 1
    assert get(f"{demo.url}/c/demo/")[0] == 200


def test_a_request_too_large_is_refused_unread(demo: Served) -> None:
    """A hundred megabytes are announced and a few bytes sent; the answer comes at once."""
    web = http.client.HTTPConnection(demo.url.removeprefix("http://"))
    web.putrequest("POST", "/uploads/")
    web.putheader("Content-Length", "100000000")
    web.endheaders(b"x" * 1000)
    answer = web.getresponse()
    assert (answer.status, answer.read()) == (413, b"A request may have 17825792 bytes; send large files in parts.")
    web.close()


def test_chunks_without_end_are_cut_off(demo: Served) -> None:
    """A body of no announced size: the server stops reading beyond the limit."""
    web = http.client.HTTPConnection(demo.url.removeprefix("http://"))
    web.putrequest("POST", "/uploads/")
    web.putheader("Transfer-Encoding", "chunked")
    web.endheaders()
    with pytest.raises(OSError):  # noqa: PT012  # sooner or later
        while True:
            web.send(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
    web.close()


def test_a_killed_parent_leaves_nothing_behind_and_goes_on(demo: Served, folder: Path, values: dict[str, str]) -> None:
    """Last of those that share a site: kill -9 of the parent, the same command again, an orderly end."""
    secret, children = (folder / "secret").read_text(), demo.children()
    port = demo.url.rpartition(":")[2]
    os.kill(demo.pid, signal.SIGKILL)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    again = Served(folder, values, "--port", port)
    again.ready()
    try:
        assert len(json.loads(get(f"{again.url}/api/v1/contests/demo/rounds/1/board")[1])) == 2
        assert (folder / "secret").read_text() == secret
        children = again.children()
        assert sorted(children.values()) == ["chores", "web", "worker"]
    finally:
        assert again.end() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def test_django_commands_are_passed_on(folder: Path, values: dict[str, str]) -> None:
    done = run("manage", "--folder", folder, "check", "--fail-level", "ERROR", **values)
    assert (done.returncode, done.stdout) == (0, "System check identified no issues (0 silenced).\n")


def test_commands_need_a_folder(values: dict[str, str]) -> None:
    for command in (["worker"], ["chores"], ["manage", "check"]):
        done = run(*command, **values)
        assert (done.returncode, done.stderr) == (2, "error: Name the folder of the site, or set SUBPIXEL_FOLDER.\n")


def test_a_folder_that_cannot_be(tmp_path: Path, values: dict[str, str]) -> None:
    (tmp_path / "file").touch()
    done = run("serve", tmp_path / "file", "--port", 0, **values)
    assert done.returncode == 7
    assert done.stderr == f"error: The site's folder {tmp_path}/file cannot be used: File exists.\n"


def test_an_address_that_cannot_be(tmp_path: Path, values: dict[str, str]) -> None:
    done = run("serve", tmp_path / "site", "--host", "192.0.2.1", "--port", 0, **values)
    assert done.returncode == 2
    assert "error: Cannot listen at 192.0.2.1:0: Cannot assign requested address." in done.stderr


def test_others_reach_it_by_tls_only(tmp_path: Path, values: dict[str, str]) -> None:
    done = run("serve", tmp_path / "site", "--port", 0, "--url", "http://contest.example.org", **values)
    assert done.returncode == 2
    assert "has no TLS; write https://" in done.stderr


def test_without_django_there_is_a_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['django'] = None; import subpixel.cli as c\n"
        "sys.argv[1:] = ['challenge', 'serve']; c.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: A site needs more than this installation has: pip install 'subpixel[site]'.\n"
