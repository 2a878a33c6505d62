"""Pauses between tries: longer and longer, within bounds, and not the same for all."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cch.pauses import Pauses


def test_pauses_double_up_to_the_longest_and_begin_anew() -> None:
    """With nothing left to chance."""
    pauses = Pauses(first=1.0, longest=30.0, draw=lambda: 1.0)

    grown = [pauses.next() for _ in range(7)]
    pauses.reset()

    assert grown == [1, 2, 4, 8, 16, 30, 30]
    assert pauses.next() == 1


@given(tries=st.integers(0, 10_000), drawn=st.floats(0, 1), first=st.floats(0.001, 60), longest=st.floats(0.001, 3600))
def test_at_least_half_of_a_pause_is_kept(tries: int, drawn: float, first: float, longest: float) -> None:
    """Chance never makes a pause so short that who does not answer is hammered, nor longer than the longest."""
    whole = Pauses(first, longest, draw=lambda: 1.0).after(tries)

    pause = Pauses(first, longest, draw=lambda: drawn).after(tries)

    assert whole / 2 <= pause <= whole <= longest


def test_thousands_do_not_try_again_in_the_same_moment() -> None:
    """Of a thousand whose outage began together, each tenth of a second sees a few, from the first try on."""
    source = random.Random(7)
    waiting = [Pauses(draw=source.random) for _ in range(1000)]

    first = [pauses.next() for pauses in waiting]
    third = [now + pauses.next() + pauses.next() for now, pauses in zip(first, waiting, strict=True)]

    assert max(Counter(int(moment * 10) for moment in first).values()) < 300
    assert max(Counter(int(moment * 10) for moment in third).values()) < 100
