"""Durations as people write them."""

from __future__ import annotations

import math
import re
from typing import Any

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_SHORT = re.compile(rf"{_NUMBER}(s|m|h|d)")
_ISO = re.compile(rf"P(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?=[0-9])(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ISO_SECONDS = (604800.0, 86400.0, 3600.0, 60.0, 1.0)

ALLOWED = "a duration such as 5s, 2m, 1h, 3d, PT15M, or a number of seconds (not negative)"


def seconds_of(value: Any) -> float:
    """The seconds that `5s`, `2m`, `1h`, `3d`, `PT15M`, `P1DT2H`, `12` or `0.5` stand for.

    Raises ValueError, with what is allowed, for everything else: negative, infinite and boolean values too.
    """
    seconds: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        seconds = _from_text(value.strip())
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{value!r} is not {ALLOWED}")
    return seconds


def _from_text(text: str) -> float | None:
    if short := _SHORT.fullmatch(text):
        return float(short[1]) * _SECONDS[short[2]]
    iso = _ISO.fullmatch(text)
    if iso and any(iso.groups()):
        return sum(float(part) * size for part, size in zip(iso.groups(), _ISO_SECONDS, strict=True) if part)
    return None
