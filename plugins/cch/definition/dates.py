"""Dates in the context: ISO 8601 text, with or without a zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class DateError(ValueError):
    """No date, or none that can be computed with; the message says why."""


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name in the IANA database, such as ``Europe/Brussels``.

    :raises DateError: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise DateError(f"there is no time zone {name[:80]!r}: write one like Europe/Brussels, or UTC") from None


def read_date(value: Any, zone: str | None = None) -> datetime:
    """The date that ``value`` says; one without a zone is in ``zone``, and stays without one if none is named.

    :raises DateError: it is no ISO 8601 date.
    """
    try:
        date = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise DateError("not an ISO 8601 date") from None
    return date if date.tzinfo or zone is None else date.replace(tzinfo=zone_of(zone))


def milliseconds(date: datetime) -> int:
    """Milliseconds since 1970, to the nearest; a date without a zone is UTC.

    :raises DateError: the nearest millisecond, in UTC, lies outside the years 1 to 9999.
    """
    try:
        since = (date if date.tzinfo else date.replace(tzinfo=UTC)) - _EPOCH
        found = (since + _MILLISECOND / 2) // _MILLISECOND
        iso(found)
    except OverflowError:
        raise DateError("outside the years 1 to 9999") from None
    return found


def iso(when: int) -> str:
    """ISO 8601 in UTC of milliseconds since 1970.

    :raises OverflowError: outside the years 1 to 9999.
    """
    return (_EPOCH + timedelta(milliseconds=when)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
