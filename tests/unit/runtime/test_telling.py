"""Who is told of incidents: at least once, and not every minute."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from faults import Died, FragileStore
from scripted import ManualClock
from test_incidents import failed
from test_retention import EVERYTHING
from world import open_memory_platform

from cch.errors import SettingsError
from cch.json_settings import notifier_settings
from cch.runtime.platform import Platform
from cch.runtime.rollups import count_ended
from cch.runtime.telling import News, tell

NOW = 1_700_000_000_000
MINUTE = 60_000


class Ear:
    """A notifier that remembers; it may fail."""

    kinds: frozenset[str] = frozenset()

    def __init__(self, key: str = "ear") -> None:
        self.key = key
        self.heard: list[tuple[str, int]] = []
        self.texts: list[str] = []
        self.deaf = False

    def notify(self, news: News) -> None:
        if self.deaf:
            raise OSError("no connection")
        self.heard.append((news.what, news.facts["count"]))
        self.texts.append(news.text)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def platform(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Platform]:
    async with open_memory_platform(tmp_path, EVERYTHING, store=FragileStore(), clock=clock) as opened:
        await opened.router.stop()
        yield opened


async def fail(platform: Platform, first: int, number: int) -> None:
    for each in range(first, first + number):
        await failed(platform, f"i{each}", f"bill MEDU77100{each:02} is unknown", at=NOW + each)
    await count_ended(platform)


async def test_a_group_appears_grows_and_ends(platform: Platform, clock: ManualClock) -> None:
    """Each is told once; growing means twice as many, and not within ten minutes."""
    ear = Ear()
    await fail(platform, 0, 2)
    for minutes, more in ((0, 0), (1, 0), (2, 3), (9, 0), (11, 0), (12, 1), (30, 0)):
        clock.now = NOW + minutes * MINUTE
        await fail(platform, 10 + minutes, more)
        await tell(platform, [ear])
    assert ear.heard == [("appeared", 2), ("grew", 5)]
    assert ear.texts[0] == "CCH: everything failed before any node: bill <id> is unknown (2 cases)"

    for item in await platform.ledger.store.listed("by_live", "unmended"):
        await platform.ledger.instances.reopen(item["PK"].removeprefix("INST#"), 1)
    for _ in range(2):
        clock.now += MINUTE
        await tell(platform, [ear])

    assert ear.heard[2:] == [("ended", 5)]
    assert ear.texts[-1].startswith("CCH: it is over: ")


async def test_one_that_fails_is_told_later(platform: Platform, clock: ManualClock) -> None:
    """And keeps nobody else from being told."""
    deaf, ear = Ear("deaf"), Ear("other")
    deaf.deaf = True
    await fail(platform, 0, 1)
    assert await tell(platform, [deaf, ear]) == 1
    deaf.deaf = False
    for minutes in (1, 3, 4):
        clock.now = NOW + minutes * MINUTE
        await tell(platform, [deaf, ear])

    assert deaf.heard == ear.heard == [("appeared", 1)]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_death_at_any_call_tells_at_least_once(platform: Platform, clock: ManualClock, *, lost: bool) -> None:
    """A process that dies after it has told may tell again; afterwards there is silence."""
    await fail(platform, 0, 1)
    store = platform.ledger.store
    assert isinstance(store, FragileStore)
    at = 0
    while True:
        at += 1
        ear = Ear(f"ear {at} {lost}")
        store.arm(at, lost=lost)
        try:
            await tell(platform, [ear])
            break
        except Died:
            store.arm(0, lost=False)
        for _ in range(3):
            clock.now += 3 * MINUTE
            await tell(platform, [ear])
        assert set(ear.heard) == {("appeared", 1)}
        assert len(ear.heard) <= 2
    assert at > 4


async def test_two_at_the_same_moment_tell_once(platform: Platform) -> None:
    """Two rounds of the dispatcher may overlap."""
    ear = Ear()
    await fail(platform, 0, 3)

    told = await asyncio.gather(*(tell(platform, [ear]) for _ in range(4)))

    assert sorted(told) == [0, 0, 0, 1]
    assert ear.heard == [("appeared", 3)]


async def test_kinds_are_chosen(platform: Platform) -> None:
    """Who wants to hear of definitions hears of nothing else."""
    ear = Ear()
    ear.kinds = frozenset({"definition"})
    await fail(platform, 0, 1)

    assert await tell(platform, [ear]) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "CCH_INCIDENT_NOTIFIERS"),
        ("/no/such/file", "No such file"),
        ('{"notifier": "a.B"}', "a JSON list"),
        ('["a.B"]', "an object"),
        ('[{"notifier": "B"}]', "with its module"),
        ('[{"notifier": "a.B", "arguments": []}]', "not an object"),
        ('[{"notifier": "a.B", "kinds": ["fire"]}]', "some of failed, late"),
        ('[{"notifier": "a.B", "colour": 1}]', "notifier, arguments and kinds"),
    ],
)
def test_a_setting_that_cannot_be_used_says_why(text: str, message: str) -> None:
    """Where it is read, not when the first incident comes."""
    with pytest.raises(SettingsError, match=message):
        notifier_settings(text)


def test_notifiers_are_read_from_json() -> None:
    """With arguments of any kind."""
    (one,) = notifier_settings('[{"notifier": "a.B", "arguments": {"to": ["x"]}, "kinds": ["failed"]}]')

    assert (one.notifier, one.given, one.kinds) == ("a.B", {"to": ["x"]}, ("failed",))
    assert notifier_settings("") == ()
