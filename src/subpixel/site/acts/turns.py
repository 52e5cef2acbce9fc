"""Acts take turns."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import models, transaction
from django.utils.translation import gettext as _

from subpixel.site import audit
from subpixel.site.refusals import Refusal

P = ParamSpec("P")
R = TypeVar("R")
Row = TypeVar("Row", bound=models.Model)


def act(function: Callable[P, R]) -> Callable[P, R]:
    """A function as a transaction of its own, in which no other act takes place."""

    @functools.wraps(function)
    def in_turn(*args: P.args, **kwargs: P.kwargs) -> R:
        with transaction.atomic():
            audit.lock()
            return function(*args, **kwargs)

    return in_turn


def lock(row: Row) -> Row:
    """The same object with the values that the database has now, which nobody changes before the act is over.

    Raises Refusal for a row that is no longer there.
    """
    model = row._meta.model  # also of a request's user, which is wrapped
    try:
        row.refresh_from_db(from_queryset=model._base_manager.select_for_update(no_key=True))
    except model.DoesNotExist:
        raise Refusal("gone", _("It is no longer there."), 404) from None
    return row
