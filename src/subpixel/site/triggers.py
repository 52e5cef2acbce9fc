"""Tables that only grow: the database itself refuses to change or remove their rows."""

from __future__ import annotations

from typing import Any

TABLES = ("contest_auditevent", "contest_hourledger", "contest_snapshot")


def create(connection: Any) -> None:
    """Set the triggers up, where they are not there yet."""
    with connection.cursor() as cursor:
        for statement in _postgresql() if connection.vendor == "postgresql" else _sqlite():
            cursor.execute(statement)


def drop(connection: Any) -> None:
    """Take the triggers away, for a migration backwards."""
    with connection.cursor() as cursor:
        for table in TABLES:
            if connection.vendor == "postgresql":
                for kind in ("row", "truncate"):
                    cursor.execute(f"DROP TRIGGER IF EXISTS {table}_{kind}_grows ON {table}")
            else:
                for kind in ("update", "delete"):
                    cursor.execute(f"DROP TRIGGER IF EXISTS {table}_{kind}_grows")


def missing(connection: Any) -> list[str]:
    """Tables without their triggers."""
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE %s"
    if connection.vendor == "postgresql":
        query = "SELECT tgname FROM pg_trigger WHERE tgenabled = 'O' AND tgname LIKE %s"
    with connection.cursor() as cursor:
        cursor.execute(query, ["%grows"])
        names = [name for (name,) in cursor.fetchall()]
    return [table for table in TABLES if sum(name.startswith(table) for name in names) < 2]


def _sqlite() -> list[str]:
    return [
        f"CREATE TRIGGER IF NOT EXISTS {table}_{kind}_grows BEFORE {kind} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} only grows'); END"
        for table in TABLES
        for kind in ("update", "delete")
    ]


def _postgresql() -> list[str]:
    refuse = (
        "CREATE OR REPLACE FUNCTION contest_grows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION '% only grows', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    statements = [refuse]
    for table in TABLES:
        for kind, moment in (("row", "UPDATE OR DELETE"), ("truncate", "TRUNCATE")):
            each = "ROW" if kind == "row" else "STATEMENT"
            statements.append(
                f"CREATE OR REPLACE TRIGGER {table}_{kind}_grows BEFORE {moment} ON {table} "
                f"FOR EACH {each} EXECUTE FUNCTION contest_grows()"
            )
    return statements
