"""The site's tests: a database of their own, which servers and workers started by a test use as well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from made import Clock, Made


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Under its own name, so that programs started with the same environment use the tests' database."""
    from django.db import connection

    Path(connection.settings_dict["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    connection.settings_dict["TEST"]["NAME"] = connection.settings_dict["NAME"]


@pytest.fixture(scope="session", autouse=True)
def _static() -> None:
    """Where a server would have collected its static files."""
    from django.conf import settings

    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def _tables_that_only_grow(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests that commit are cleaned up by emptying all tables, which those that only grow refuse."""
    marker = request.node.get_closest_marker("django_db")
    commits = "transactional_db" in request.fixturenames or bool(marker and marker.kwargs.get("transaction"))
    if not commits and not marker and "db" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("transactional_db" if commits else "db")
    from django.db import connection

    from subpixel.site import triggers

    if triggers.missing(connection):  # since an earlier test that committed
        triggers.create(connection)
    yield
    if commits:
        triggers.drop(connection)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stands at the 15th of May 2030, noon UTC, until it is moved."""
    from subpixel.site import clock as real

    standing = Clock(datetime(2030, 5, 15, 12, tzinfo=UTC))
    monkeypatch.setattr(real, "now", standing)
    return standing


@pytest.fixture
def made(db: None) -> Made:  # noqa: ARG001
    """Makes people, contests, teams and hand-ins, see made.py."""
    return Made()
