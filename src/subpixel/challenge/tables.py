"""Frozen dataclasses from the tables of a TOML or JSON file: a key too many, too few or of another type is an error."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from subpixel.errors import UsageError

T = TypeVar("T")

_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    bool: "true or false",
    datetime: "a time such as 2020-09-01T00:01:00+08:00",
}


def filled(cls: type[T], table: Any, origin: str) -> T:
    """An object of a dataclass from a table, with the dataclasses and tuples within it; `origin` names it in messages.

    Raises UsageError, with the place in the file, for what the class does not take.
    """
    if not isinstance(table, Mapping):
        raise UsageError(f"{origin} must be a table, not {table!r}.")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise UsageError(f"{origin} has an unknown key {key!r}; the keys are {', '.join(fields)}.")
    for name, field in fields.items():
        if name not in table and field.default is dataclasses.MISSING:
            raise UsageError(f"{origin} has no {name}; write {name} = ...")
    hints = typing.get_type_hints(cls)
    values = {key: _value(hints[key], value, f"{origin}, {key}") for key, value in table.items()}
    try:
        return cls(**values)
    except UsageError as error:
        raise UsageError(f"{origin}: {error}") from error


def reason(error: Exception) -> str:
    """Why a file could not be read, without its name, which the sentence has."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _value(hint: Any, value: Any, origin: str) -> Any:
    """A value of the type that a field declares; raises UsageError for another."""
    if isinstance(hint, types.UnionType):
        (hint,) = (part for part in typing.get_args(hint) if part is not types.NoneType)
    if dataclasses.is_dataclass(hint):
        return filled(typing.cast("type[Any]", hint), value, origin)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise UsageError(f"{origin} must be a list, not {value!r}.")
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, one, f"{origin} {number}") for number, one in enumerate(value, 1))
    allowed = (int, float) if hint is float else (hint,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and hint is not bool):
        raise UsageError(f"{origin} must be {_KINDS[hint]}, not {value!r}.")
    return value
