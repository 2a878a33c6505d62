"""The text of a version: stored in Airflow's database and in runs, so its form never changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cch.definition.version import Version, parse_version

DIGEST = "0123456789abcdef" * 4


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(1, 10**9 - 1), st.integers(1, 2**53))
def test_a_version_is_read_as_it_was_written(digest: str, rules: int, planner: int) -> None:
    """Text, reading rules and planner: all that two runs must have in common to mean the same."""
    version = Version(digest, rules, planner)

    assert parse_version(str(version)) == version


def test_the_form_is_what_is_stored() -> None:
    """Whoever changes it leaves every live run of an earlier release without its version."""
    assert str(Version(DIGEST, 2, 1)) == f"{DIGEST}.r2.p1"
    assert parse_version(DIGEST) == Version(DIGEST)


@pytest.mark.parametrize("text", [None, "", 7, DIGEST[:63], DIGEST.upper(), f"{DIGEST}.r2", f" {DIGEST}", "@stable"])
def test_what_is_no_version_is_none(text: object) -> None:
    """A commit of Git, a name, and what a person typed."""
    assert parse_version(text) is None


def test_a_digest_alone_means_any_version_of_that_text() -> None:
    """It is what releases before versions stored; a whole version means itself."""
    assert Version(DIGEST).means(Version(DIGEST, 2, 1))
    assert not Version(DIGEST, 1, 1).means(Version(DIGEST, 2, 1))
    assert not Version("f" * 64).means(Version(DIGEST, 2, 1))
