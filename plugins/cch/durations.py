"""Lengths of time as definitions write them: ``30s``, ``15m``, ``2h``, ``3d`` or ISO 8601 (``PT15M``)."""

from __future__ import annotations

import re

_SHORT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d|w)")
_ISO = re.compile(
    r"P(?:(?P<w>\d+(?:\.\d+)?)W)?(?:(?P<d>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?"
)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
#: A century, in seconds.
LONGEST = 100 * 365.25 * 86400


def parse_duration(text: str | float) -> float:
    """Seconds in ``text``; more than a century is a century, so that every point in time is one that clocks know.

    :raises ValueError: not a duration in one of the forms above, or negative.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        if text < 0:
            raise ValueError(f"{text!r} is negative")
        return float(min(text, LONGEST))
    stripped = str(text).strip()
    if short := _SHORT.fullmatch(stripped):
        return min(float(short["number"]) * _SECONDS[short["unit"]], LONGEST)
    iso = _ISO.fullmatch(stripped.upper())
    if iso and any(iso.groupdict().values()):
        return min(sum(float(value) * _SECONDS[unit] for unit, value in iso.groupdict().items() if value), LONGEST)
    raise ValueError(f"{text!r} is no duration: write 30s, 15m, 2h, 3d or ISO 8601 like PT15M")
