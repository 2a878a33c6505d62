"""Lengths of time as people write them."""

from __future__ import annotations

import pytest

from cch.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30), ("15m", 900), ("2h", 7200), ("3d", 259200), ("1w", 604800), ("250ms", 0.25), ("1.5h", 5400),
        ("PT15M", 900), ("P1DT2H", 93600), ("pt0.5s", 0.5), ("P2W", 1209600), (5, 5.0), (0, 0.0),
        ("9" * 400 + "d", 3155760000), ("P9999999999D", 3155760000), (1e300, 3155760000),
    ],
)  # fmt: skip
def test_both_notations_are_read(text: str | float, seconds: float) -> None:
    """Short forms, ISO 8601 and plain numbers of seconds."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "soon", "-1s", "P", "PT", "1 apple", -1, True])
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    """The message says what to write."""
    with pytest.raises(ValueError, match=r"30s|negative"):
        parse_duration(text)
