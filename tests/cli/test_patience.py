"""Waiting: given up when nothing moves, and never before."""

from __future__ import annotations

import pytest

from cch.stack.patience import Patience, StandstillError


class Clock:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_work_that_goes_on_is_waited_for_however_long_it_takes() -> None:
    """A sign every minute for two hours, with a patience of two minutes."""
    clock = Clock()
    patience = Patience(
        signs=lambda: {"items": clock.now // 60}, still=120.0, pause=1.0, clock=clock, sleep=clock.sleep
    )

    assert patience.until("the end", lambda: clock.now >= 7200 and "done") == "done"


def test_work_that_stands_still_is_given_up_with_what_stood_still() -> None:
    """After the last sign, not after the beginning."""
    clock = Clock()
    patience = Patience(
        signs=lambda: {"items in the ledger": min(int(clock.now) // 60, 10)}, still=120.0, pause=1.0, clock=clock,
        sleep=clock.sleep,
    )  # fmt: skip

    with pytest.raises(StandstillError, match=r"the end: nothing has moved for 12\d s; .*items in the ledger \(10"):
        patience.until("the end", lambda: None)

    assert 720 <= clock.now < 730


def test_to_and_fro_is_no_progress() -> None:
    """A value that alternates has been seen before."""
    clock = Clock()
    patience = Patience(
        signs=lambda: {"state": int(clock.now) % 2}, still=60.0, pause=3.0, clock=clock, sleep=clock.sleep
    )

    with pytest.raises(StandstillError):
        patience.until("the end", lambda: None)


def test_what_is_waited_for_is_a_sign_itself() -> None:
    """A list that grows shows that work goes on, although it is not there yet."""
    clock = Clock()

    class Unfinished(list[int]):
        def __bool__(self) -> bool:
            return False

    patience = Patience(still=60.0, pause=1.0, clock=clock, sleep=clock.sleep)

    def look() -> object:
        return "done" if clock.now > 600 else Unfinished([int(clock.now // 30)])

    assert patience.until("the end", look) == "done"


def test_a_check_ends_waiting_at_once() -> None:
    """A process that has died for good will not become ready."""

    def check() -> None:
        raise RuntimeError("it is dead")

    with pytest.raises(RuntimeError, match="it is dead"):
        Patience(check=check).until("the end", lambda: None)
