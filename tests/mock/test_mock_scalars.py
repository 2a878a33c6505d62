"""The mock reads a scenario's scalars as the platform does."""

from __future__ import annotations

import pytest

from capability_mock.source import read_source
from cch.definition.scalars import newest_reading

SCALARS = [
    "NO", "yes", "On", "True", "true", "false", "null", "~", "Null", "0101", "0800", "22:30:00", "123_4", "0x1F", "+5",
    ".5", "5.", "8471.30", "1.50", "1e5", "1E+2", "7", "-7", "-0", "0.1", "9223372036854775807", "9223372036854775808",
    "1e999", "2026-01-31", "=", "text", "<",
]  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar_means_the_same_in_both_programs(text: str) -> None:
    """One scenario is played by the simulator and by the mock."""
    source = read_source(f"a: {text}\nb: [{text}]\n", file="s.yaml")

    expected = newest_reading(text).value
    assert source.problems == []
    assert source.value == {"a": expected, "b": [expected]}
    assert type(source.value["a"]) is type(expected)
