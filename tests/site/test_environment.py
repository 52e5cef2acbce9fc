"""A site does not start on settings that are unsafe, and says which and what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from subpixel.errors import UsageError
from subpixel.site import environment

SECRET = "0123456789abcdefghijklmnopqrstuvwxyz0123456789"


def given(folder: Path, **changes: str) -> dict[str, str]:
    """What a public site needs, with changes; an empty one takes a setting away."""
    values = {
        "SUBPIXEL_FOLDER": str(folder), "SUBPIXEL_URL": "https://contest.example.org", "SUBPIXEL_SECRET": SECRET,
        "SUBPIXEL_MAIL": "smtp://me:pass%40word@mail.example.org", "SUBPIXEL_SENDER": "contest@example.org",
    }  # fmt: skip
    return {**values, **{name.upper(): value for name, value in changes.items()}}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"subpixel_folder": ""}, "SUBPIXEL_FOLDER is not set"),
        ({"subpixel_secret": ""}, "SUBPIXEL_SECRET is not set"),
        ({"subpixel_secret": "changeme"}, "too easy to guess; use `openssl rand -hex 32`"),
        ({"subpixel_secret": "a" * 64}, "too easy to guess"),
        ({"subpixel_secret": "django-insecure-" + SECRET}, "too easy to guess"),
        ({"subpixel_url": ""}, "SUBPIXEL_URL is not set"),
        ({"subpixel_url": "http://contest.example.org"}, "has no TLS; write https://"),
        ({"subpixel_url": "contest.example.org"}, "must be such as https://contest.example.org"),
        ({"subpixel_url": "https://*"}, "must be such as https://contest.example.org"),
        ({"subpixel_url": "https://example.org/contest"}, "must end after the host"),
        ({"subpixel_url": "https://me:you@example.org"}, "must end after the host"),
        ({"subpixel_mail": ""}, "SUBPIXEL_MAIL is not set; without mail nobody can prove an address"),
        ({"subpixel_mail": "mail.example.org"}, "must be smtp://USER:PASSWORD@HOST:PORT"),
        ({"subpixel_mail": "http://mail.example.org"}, "must be smtp://USER:PASSWORD@HOST:PORT"),
        ({"subpixel_sender": ""}, "contest@localhost is no address that others can answer"),
        ({"subpixel_proxies": "one"}, "the number of reverse proxies in front, 0 to 9, not 'one'"),
        ({"subpixel_proxies": "-1"}, "0 to 9, not '-1'"),
        ({"subpixel_storage": "/somewhere"}, "must be s3://BUCKET"),
        ({"subpixel_debug": "1"}, "SUBPIXEL_DEBUG is no setting of the site"),
        ({"database_url": "mysql://localhost/contest"}, "DATABASE_URL must be postgresql://"),
        ({"database_url": "postgresql://localhost"}, "DATABASE_URL must be postgresql://"),
    ],
)
def test_unsafe_settings_are_refused(tmp_path: Path, changes: dict[str, str], sentence: str) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(UsageError) as refused:
        environment.read(given(tmp_path, **changes))
    assert sentence in str(refused.value)


def test_a_folder_that_others_can_read_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(UsageError, match=r"is open to other users of the machine \(mode 755\): chmod 700"):
        environment.read(given(tmp_path))


@pytest.mark.parametrize("place", [".", "files"])
def test_a_truth_among_public_files_is_refused(tmp_path: Path, place: str) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(UsageError, match="holds what everyone may read; choose a folder of its own"):
        environment.read(given(tmp_path, subpixel_truth=str(tmp_path / place)))


def test_safe_settings_are_taken(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    database = "postgresql://user:p%2Fw@db:5433/contest?sslmode=require"
    site = environment.read(given(tmp_path, subpixel_proxies="1", database_url=database))
    assert (site.host, site.local, site.proxies, site.database) == ("contest.example.org", False, 1, database)
    taken = environment.database(site)
    assert (taken["HOST"], taken["PORT"], taken["PASSWORD"]) == ("db", "5433", "p/w")
    assert taken["OPTIONS"]["sslmode"] == "require"
    assert "lock_timeout=20s" in taken["OPTIONS"]["options"]
    assert set(site.secrets) == {SECRET, "pass%40word", "pass@word", "p%2Fw", "p/w"}


@pytest.mark.parametrize(
    ("address", "port", "ssl", "tls"),
    [
        ("smtp://mail.example.org", 587, False, True),
        ("smtps://mail.example.org", 465, True, False),
        ("smtp://localhost:2525", 2525, False, False),
    ],
)
def test_mail_goes_encrypted_to_other_machines(tmp_path: Path, address: str, port: int, ssl: bool, tls: bool) -> None:
    tmp_path.chmod(0o700)
    found = environment.mail(environment.read(given(tmp_path, subpixel_mail=address)))
    assert (found["EMAIL_PORT"], found["EMAIL_USE_SSL"], found["EMAIL_USE_TLS"]) == (port, ssl, tls)


def settings(folder: Path, **changes: str) -> dict[str, object]:
    """Django's settings in a process of its own."""
    names = [
        "DEBUG", "ALLOWED_HOSTS", "SESSION_COOKIE_SECURE", "SESSION_COOKIE_NAME", "CSRF_COOKIE_SECURE",
        "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS", "SECURE_PROXY_SSL_HEADER", "ALLAUTH_TRUSTED_PROXY_COUNT",
        "ACCOUNT_DEFAULT_HTTP_PROTOCOL", "SESSION_COOKIE_HTTPONLY", "X_FRAME_OPTIONS",
    ]  # fmt: skip
    code = f"import json, subpixel.site.settings as s; print(json.dumps({{n: getattr(s, n) for n in {names}}}))"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUBPIXEL_")}
    values = {**kept, "DATABASE_URL": "", **given(folder, **changes)}
    done = subprocess.run([sys.executable, "-c", code], env=values, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def test_a_public_site_speaks_tls_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    found = settings(tmp_path, subpixel_proxies="1")
    assert found == {
        "DEBUG": False, "ALLOWED_HOSTS": ["contest.example.org"], "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_NAME": "__Host-session", "CSRF_COOKIE_SECURE": True, "SECURE_SSL_REDIRECT": True,
        "SECURE_HSTS_SECONDS": 31536000, "SECURE_PROXY_SSL_HEADER": ["HTTP_X_FORWARDED_PROTO", "https"],
        "ALLAUTH_TRUSTED_PROXY_COUNT": 1, "ACCOUNT_DEFAULT_HTTP_PROTOCOL": "https", "SESSION_COOKIE_HTTPONLY": True,
        "X_FRAME_OPTIONS": "DENY",
    }  # fmt: skip


def test_without_a_proxy_nobody_may_claim_tls(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert settings(tmp_path)["SECURE_PROXY_SSL_HEADER"] is None


def test_the_command_refuses_in_one_sentence(tmp_path: Path) -> None:
    values = {**os.environ, "SUBPIXEL_SECRET": "changeme"}
    (tmp_path / "site").mkdir(mode=0o700)
    (tmp_path / "site" / "site.sqlite3").touch()
    command = [sys.executable, "-m", "subpixel", "challenge", "check", "--folder", str(tmp_path / "site")]
    done = subprocess.run(command, env=values, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: SUBPIXEL_SECRET is too easy to guess; use `openssl rand -hex 32`.\n"
