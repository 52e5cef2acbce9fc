"""What the operator decides, read from the environment, and refused where it is unsafe."""

from __future__ import annotations

import dataclasses
import os
import secrets
import stat
import tempfile
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from subpixel.errors import DiskError, UsageError

PREFIX = "SUBPIXEL_"
OTHERS = frozenset({"SUBPIXEL_TRACEBACK"})  # of the program, not of the site
_TABLES = "site.sqlite3"
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """folder: of the database and files (SQLite and local files). url: what people write into a browser. secret: signs
    sessions. database: DATABASE_URL, "" for SQLite in the folder. mail: smtp://user:password@host:port, or "" for
    the console. storage: s3://bucket?endpoint=URL, or "" for files in the folder. truth: where the truth lies, which
    only workers may read; by default in the folder. proxies: number of trusted reverse proxies.
    """

    folder: Path
    url: str
    secret: str
    database: str = ""
    mail: str = ""
    sender: str = "contest@localhost"
    storage: str = ""
    truth: Path | None = None
    proxies: int = 0

    @property
    def host(self) -> str:
        """The site's name or address."""
        return urllib.parse.urlsplit(self.url).hostname or ""

    @property
    def local(self) -> bool:
        """Whether only this machine reaches the site: a trial, which may go without TLS."""
        return self.host in LOCAL

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may hold: the secret, and the passwords in addresses, as written and as meant."""
        written = [urllib.parse.urlsplit(address).password or "" for address in (self.database, self.mail)]
        every = [self.secret, *written, *map(urllib.parse.unquote, written)]
        return tuple(dict.fromkeys(one for one in every if one))


def read(values: Mapping[str, str] = os.environ) -> Environment:
    """The environment's SUBPIXEL_FOLDER, _URL, _SECRET, _MAIL, _SENDER, _STORAGE, _TRUTH, _PROXIES, and DATABASE_URL.

    Raises UsageError for what is missing, unknown or unsafe, such as no TLS where others reach the site.
    """
    known = _names()
    unknown = sorted({name for name in values if name.startswith(PREFIX)} - set(known.values()) - OTHERS)
    if unknown:
        raise UsageError(f"{unknown[0]} is no setting of the site; there are {', '.join(sorted(known.values()))}.")
    given: dict[str, Any] = {field: values[name] for field, name in known.items() if values.get(name)}
    for field in ("folder", "url", "secret"):
        if field not in given:
            raise UsageError(f"{known[field]} is not set; `subpixel challenge serve` sets it, other servers must.")
    for field in {"folder", "truth"} & given.keys():
        given[field] = Path(given[field]).absolute()
    given["proxies"] = _count(given.get("proxies", "0"))
    site = Environment(**given)
    _refuse_guessable(site)
    _refuse_address(site)
    _refuse_public(site)
    _refuse_storage(site)
    database(site)
    mail(site)
    return site


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > 9:
        raise UsageError(f"{PREFIX}PROXIES is the number of reverse proxies in front, 0 to 9, not {text!r}.")
    return int(text)


def _refuse_guessable(site: Environment) -> None:
    if len(set(site.secret)) < 10 or len(site.secret) < 40 or site.secret.startswith("django-insecure-"):
        raise UsageError(f"{PREFIX}SECRET is too easy to guess; use `openssl rand -hex 32`.")


def _refuse_address(site: Environment) -> None:
    url = urllib.parse.urlsplit(site.url)
    if url.scheme not in ("http", "https") or not site.host or "*" in site.host:
        raise UsageError(f"{PREFIX}URL must be such as https://contest.example.org, not {site.url!r}.")
    if url.path.strip("/") or url.query or url.fragment or url.username:
        raise UsageError(f"{PREFIX}URL = {site.url} must end after the host; the site has no folder above it.")


def _refuse_public(site: Environment) -> None:
    """What is well for a trial on one's own machine, but not where others reach the site."""
    if site.local:
        return
    if not site.url.startswith("https://"):
        raise UsageError(f"{PREFIX}URL = {site.url} has no TLS; write https://..., and see the page on deployment.")
    if not site.mail:
        raise UsageError(
            f"{PREFIX}MAIL is not set; without mail nobody can prove an address: smtp://USER:PASSWORD@HOST."
        )
    if "@" not in site.sender or site.sender.rpartition("@")[2] in LOCAL:
        raise UsageError(f"{PREFIX}SENDER = {site.sender} is no address that others can answer; name one of yours.")
    for folder in filter(None, (site.folder, site.truth)):
        if folder.exists() and (mode := stat.S_IMODE(folder.stat().st_mode)) & 0o077:
            raise UsageError(f"{folder} is open to other users of the machine (mode {mode:o}): chmod 700 {folder}")


def _refuse_storage(site: Environment) -> None:
    if site.storage and not (site.storage.startswith("s3://") and urllib.parse.urlsplit(site.storage).netloc):
        raise UsageError(f"{PREFIX}STORAGE must be s3://BUCKET?endpoint=URL, or be left out for files in the folder.")
    if site.truth and any((site.folder / open_).is_relative_to(site.truth) for open_ in ("static", "files")):
        raise UsageError(f"{PREFIX}TRUTH = {site.truth} holds what everyone may read; choose a folder of its own.")


def adopt(folder: str | Path | None, url: str = "") -> None:
    """Fill in what the environment of this process leaves open, for a site that lives in a folder.

    folder: made if need be; its secret is made once, and its address remembered. None: what the environment says. url:
    "" for the one remembered. Raises UsageError where no folder is named, DiskError where it cannot be written.
    """
    given = folder or os.environ.get(f"{PREFIX}FOLDER")
    if not given:
        raise UsageError(f"Name the folder of the site, or set {PREFIX}FOLDER.")
    home = Path(given).absolute()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (home / "secret").exists():
            _write(home / "secret", secrets.token_hex(32))
        if url or not (home / "url").exists():
            _write(home / "url", url or "http://127.0.0.1:8000")
        kept = {name: (home / name).read_text(encoding="ascii").strip() for name in ("secret", "url")}
    except OSError as error:
        raise DiskError(f"The site's folder {home} cannot be used: {error.strerror or error}.") from error
    os.environ[f"{PREFIX}FOLDER"] = str(home)
    os.environ.setdefault(f"{PREFIX}SECRET", kept["secret"])
    if url or not os.environ.get(f"{PREFIX}URL"):
        os.environ[f"{PREFIX}URL"] = kept["url"]


def check_begun(folder: str | Path | None) -> None:
    """Raises UsageError for a folder without a site, where the site would have its database in it."""
    given = folder or os.environ.get(f"{PREFIX}FOLDER")
    if given and not os.environ.get("DATABASE_URL") and not (Path(given) / _TABLES).is_file():
        raise UsageError(f"There is no site in the folder {given}; name the one that `subpixel challenge serve` made.")


def forget() -> None:
    """Take every setting of a site out of the environment of this process."""
    for name in [name for name in os.environ if name in _names().values()]:
        del os.environ[name]


def _names() -> dict[str, str]:
    """The variable of each field."""
    names = {field.name: PREFIX + field.name.upper() for field in dataclasses.fields(Environment)}
    return names | {"database": "DATABASE_URL"}


def _write(file: Path, text: str) -> None:
    """Write a file that only this user may read; it is there whole or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    with os.fdopen(descriptor, "w", encoding="ascii") as new:
        new.write(text + "\n")
    os.replace(name, file)


def database(site: Environment) -> dict[str, Any]:
    """Django's settings of the database. Raises UsageError for a URL that is neither PostgreSQL's nor empty."""
    if not site.database:
        options = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        }
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(site.folder / _TABLES), "OPTIONS": options}
    url = urllib.parse.urlsplit(site.database)
    if url.scheme not in ("postgres", "postgresql") or not url.path.strip("/"):
        raise UsageError("DATABASE_URL must be postgresql://USER:PASSWORD@HOST:PORT/NAME, or be left out for SQLite.")
    # As SQLite does, give up after 20 seconds; a process that hangs in the middle of an act must not stop all others.
    patience = "-c lock_timeout=20s -c idle_in_transaction_session_timeout=60s"
    given = {"options": patience} | dict(urllib.parse.parse_qsl(url.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": urllib.parse.unquote(url.path.strip("/")),
        "USER": urllib.parse.unquote(url.username or ""),
        "PASSWORD": urllib.parse.unquote(url.password or ""),
        "HOST": given.pop("host", url.hostname or ""),
        "PORT": str(url.port or ""),
        "CONN_MAX_AGE": 0,  # each request has a thread of its own, with which a kept connection would be lost
        "OPTIONS": given,
    }


def mail(site: Environment) -> dict[str, Any]:
    """Django's settings of mail: smtps:// for TLS from the start, smtp:// for STARTTLS, without on this machine only.

    Raises UsageError for another address. An empty one prints mails.
    """
    if not site.mail:
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    url = urllib.parse.urlsplit(site.mail)
    if url.scheme not in ("smtp", "smtps") or not url.hostname or url.path.strip("/"):
        raise UsageError(f"{PREFIX}MAIL must be smtp://USER:PASSWORD@HOST:PORT or smtps://..., or be left out.")
    whole = url.scheme == "smtps"
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": url.hostname,
        "EMAIL_PORT": url.port or (465 if whole else 587),
        "EMAIL_HOST_USER": urllib.parse.unquote(url.username or ""),
        "EMAIL_HOST_PASSWORD": urllib.parse.unquote(url.password or ""),
        "EMAIL_USE_SSL": whole,
        "EMAIL_USE_TLS": not whole and url.hostname not in LOCAL,
        "EMAIL_TIMEOUT": 20,
    }
