"""Lengths of time in buckets."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from cch.ledger.histograms import Histogram

LENGTHS = st.lists(st.integers(0, 10**10), min_size=1, max_size=60)


@given(LENGTHS, st.floats(0.01, 1))
def test_a_quantile_is_near_the_truth(lengths: list[int], share: float) -> None:
    """Within 4.5 %, and a millisecond for rounding."""
    found = Histogram.of(lengths).quantile(share)

    wanted = share * len(lengths)
    truth = next(length for number, length in enumerate(sorted(lengths), 1) if number >= wanted)
    assert found is not None
    assert abs(found - truth) <= 0.045 * truth + 1


@given(LENGTHS, LENGTHS)
def test_what_is_added_up_is_the_same_as_what_is_counted_together(one: list[int], other: list[int]) -> None:
    """Also after it was stored."""
    merged = Histogram.of(one)
    merged.merge(Histogram.from_json(json.loads(json.dumps(Histogram.of(other).to_json()))))

    assert merged == Histogram.of([*one, *other])


def test_no_lengths_have_no_quantile() -> None:
    """Not even the longest."""
    assert [Histogram().quantile(share) for share in (0.5, 1.0)] == [None, None]


def test_the_first_form_is_read() -> None:
    """Pairs of a bucket and its count."""
    found = Histogram.from_json({"b": [[0, 2], [80, 1]], "t": 1001, "m": 1000})

    assert found == Histogram.of([0, 1, 1000])
