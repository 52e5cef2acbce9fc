"""What the operator decides, read from the environment, and refused where it is unsafe."""

from __future__ import annotations

import dataclasses
import os
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from subpixel.errors import UsageError

PREFIX = "SUBPIXEL_"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """folder: of the database and files (SQLite and local files). url: what people write into a browser. secret: signs
    sessions. database: DATABASE_URL, "" for SQLite in the folder. mail: smtp://user:password@host:port, or "" for
    the console. storage: s3://bucket?endpoint=URL, or "" for files in the folder. proxies: number of trusted
    reverse proxies.
    """

    folder: Path
    url: str
    secret: str
    database: str = ""
    mail: str = ""
    sender: str = "contest@localhost"
    storage: str = ""
    proxies: int = 0

    @property
    def local(self) -> bool:
        """Whether only this machine reaches the site: a trial, which may go without TLS."""
        return urllib.parse.urlsplit(self.url).hostname in ("localhost", "127.0.0.1", "::1")


def read(values: Mapping[str, str] = os.environ) -> Environment:
    """The environment's SUBPIXEL_FOLDER, _URL, _SECRET, _MAIL, _SENDER, _STORAGE, _PROXIES, and DATABASE_URL.

    Raises UsageError for what is missing, unknown or unsafe: no TLS or a short secret where others reach the site.
    """
    known = {field.name: PREFIX + field.name.upper() for field in dataclasses.fields(Environment)}
    known["database"] = "DATABASE_URL"
    given: dict[str, Any] = {field: values[name] for field, name in known.items() if values.get(name)}
    for field in ("folder", "url", "secret"):
        if field not in given:
            raise UsageError(f"{known[field]} is not set; `subpixel challenge serve` sets it, other servers must.")
    given["folder"] = Path(given["folder"]).absolute()
    given["proxies"] = int(given.get("proxies", 0))
    site = Environment(**given)
    if not site.local and not site.url.startswith("https://"):
        raise UsageError(f"{PREFIX}URL = {site.url} has no TLS; write https://..., and see the page on deployment.")
    if len(set(site.secret)) < 10 or len(site.secret) < 40:
        raise UsageError(f"{PREFIX}SECRET is too easy to guess; use `openssl rand -hex 32`.")
    return site


def database(site: Environment) -> dict[str, Any]:
    """Django's settings of the database. Raises UsageError for a URL that is neither PostgreSQL's nor empty."""
    if not site.database:
        options = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        }
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(site.folder / "site.sqlite3"), "OPTIONS": options}
    url = urllib.parse.urlsplit(site.database)
    if url.scheme not in ("postgres", "postgresql") or not url.path.strip("/"):
        raise UsageError("DATABASE_URL must be postgresql://USER:PASSWORD@HOST:PORT/NAME, or be left out for SQLite.")
    options = dict(urllib.parse.parse_qsl(url.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": urllib.parse.unquote(url.path.strip("/")),
        "USER": urllib.parse.unquote(url.username or ""),
        "PASSWORD": urllib.parse.unquote(url.password or ""),
        "HOST": options.pop("host", url.hostname or ""),
        "PORT": str(url.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }
