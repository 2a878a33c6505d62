"""Only so many regions begin at the same time."""

from __future__ import annotations

import asyncio

import pytest

from cch.runtime import turnstile
from cch.runtime.turnstile import Turnstile


async def rounds(number: int = 5) -> None:
    """Let whoever can go on do so."""
    for _ in range(number):
        await asyncio.sleep(0)


class Crowd:
    """People at a turnstile who stay inside until they are sent on."""

    def __init__(self, size: int, places: int) -> None:
        self.turnstile = Turnstile(places)
        self.inside: list[int] = []
        self.go = [asyncio.Event() for _ in range(size)]
        self.tasks = [asyncio.create_task(self._one(number)) for number in range(size)]

    async def _one(self, number: int) -> None:
        await self.turnstile.enter()
        try:
            self.inside.append(number)
            await self.go[number].wait()
            self.turnstile.leave()
        finally:
            self.turnstile.leave()  # says it twice, as a region does that waits and then ends

    async def sends_on(self, *numbers: int) -> None:
        for number in numbers:
            self.go[number].set()
        await rounds()


async def test_the_next_is_let_in_when_one_leaves() -> None:
    """As many as there are places, then one for one, in the order of their coming."""
    crowd = Crowd(5, places=2)
    await rounds()
    assert crowd.inside == [0, 1]

    await crowd.sends_on(1)
    assert crowd.inside == [0, 1, 2]

    await crowd.sends_on(0, 2, 3, 4)
    await asyncio.gather(*crowd.tasks)
    assert crowd.inside == [0, 1, 2, 3, 4]

    again = Crowd(2, places=2)
    await rounds()
    assert again.inside == [0, 1], "every place is free again, and none twice"
    await again.sends_on(0, 1)


async def test_whoever_stays_too_long_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A region that works, or that AWS lets hang, gives its place up; leaving later frees no second one."""
    monkeypatch.setattr(turnstile, "PATIENCE", 0.01)
    crowd = Crowd(3, places=1)
    while len(crowd.inside) < 3:
        await asyncio.sleep(0.005)

    await crowd.sends_on(0, 1, 2)
    await asyncio.gather(*crowd.tasks)
    await asyncio.sleep(0.02)

    assert crowd.turnstile._free == 1


@pytest.mark.parametrize("rounds_before", [0, 1, 5], ids=["in the queue", "as its turn comes", "inside"])
async def test_a_waiter_that_is_cancelled_takes_no_place(rounds_before: int) -> None:
    """Airflow cancels triggers whose tasks somebody ends."""
    crowd = Crowd(3, places=1)
    await rounds()
    crowd.go[0].set()
    await rounds(rounds_before)
    crowd.tasks[1].cancel()
    await rounds()

    await crowd.sends_on(1, 2)
    await asyncio.gather(*crowd.tasks, return_exceptions=True)

    assert 2 in crowd.inside
    assert crowd.turnstile._free == 1


async def test_outside_a_region_leaving_does_nothing() -> None:
    """Whoever has not come in has no place to give up."""
    Turnstile().leave()
