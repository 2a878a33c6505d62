"""The messages of one queue in memory: which are ready, and when hidden ones come back."""

from __future__ import annotations

import asyncio

import pytest
from tests.patience import finished

from cch.testing.held_messages import HeldMessage, HeldMessages


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def held(clock: Clock) -> HeldMessages:
    return HeldMessages(clock)


def add(held: HeldMessages, *names: str, delay: float = 0.0) -> None:
    for name in names:
        held.add(HeldMessage(name, f"body of {name}"), delay)


def names(taken: list[HeldMessage]) -> list[str]:
    return [message.message_id for message in taken]


def test_a_taken_message_comes_back_when_its_time_is_up(held: HeldMessages, clock: Clock) -> None:
    """Not a moment before, and it counts how often it was taken."""
    add(held, "a")
    first = names(held.take(10, 30))
    clock.now += 29.9
    early = names(held.take(10, 30))
    clock.now += 0.1

    (again,) = held.take(10, 30)

    assert (first, early, again.message_id, again.receipts) == (["a"], [], "a", 2)


def test_the_oldest_come_first_and_no_more_than_are_wanted(held: HeldMessages) -> None:
    """Those that come back go behind those that wait."""
    add(held, "a", "b", "c")

    assert names(held.take(2, 30)) == ["a", "b"]
    held.hide_again("a", 0)
    assert names(held.take(10, 30)) == ["c", "a"]


def test_a_time_that_was_changed_counts_alone(held: HeldMessages, clock: Clock) -> None:
    """Longer or shorter: what was said before is void."""
    add(held, "longer", "shorter")
    held.take(10, 30)
    assert held.hide_again("longer", 60)
    assert held.hide_again("shorter", 10)

    clock.now += 10
    assert names(held.take(10, 1000)) == ["shorter"]
    clock.now += 30
    assert held.take(10, 1000) == []
    clock.now += 20
    assert names(held.take(10, 1000)) == ["longer"]


def test_what_is_removed_never_comes_back(held: HeldMessages, clock: Clock) -> None:
    """Neither from flight nor from those that wait; a repetition changes nothing."""
    add(held, "flies", "waits")
    held.take(1, 30)
    for _ in range(2):
        held.remove("flies")
        held.remove("waits")
    clock.now += 1000

    assert list(held) == []
    assert not held.hide_again("flies", 0)
    assert (held.ready, held.in_flight, held.delayed) == (0, 0, 0)


def test_a_delayed_message_is_counted_apart_and_is_not_in_flight(held: HeldMessages, clock: Clock) -> None:
    """Its time cannot be changed: nobody has received it."""
    add(held, "later", delay=5)
    add(held, "flies", "waits")
    held.take(1, 30)

    assert (held.ready, held.in_flight, held.delayed) == (1, 1, 1)
    assert not held.hide_again("later", 0)
    clock.now += 5
    assert (held.ready, held.in_flight, held.delayed) == (2, 1, 0)


async def test_whoever_waits_takes_what_comes_back() -> None:
    """By the clock, without anybody who sends."""
    held = HeldMessages()
    add(held, "a")
    held.take(1, 0.05)

    assert names(await finished(held.take_soon(10, 3600, 30))) == ["a"]


async def test_of_two_that_wait_one_gets_the_message(held: HeldMessages) -> None:
    """The other one goes on waiting, and gets the next."""
    waiting = [asyncio.create_task(held.take_soon(10, 3600, 30)) for _ in range(2)]
    await asyncio.sleep(0)
    add(held, "a")
    done, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    add(held, "b")

    (first,), (second,) = done, left
    assert (names(first.result()), names(await finished(second))) == (["a"], ["b"])
