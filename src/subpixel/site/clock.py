"""The server's clock, the only one that decides."""

from datetime import datetime

from django.utils import timezone


def now() -> datetime:
    """The moment, in UTC."""
    return timezone.now()
