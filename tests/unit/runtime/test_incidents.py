"""What needs a person: groups, and what is no incident any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted import ManualClock
from test_retention import DAY, EVERYTHING
from test_rollups import ended
from world import open_memory_platform

from cch.ledger.failures import pattern_of
from cch.ledger.listing import Wanted
from cch.ledger.messages import message_key
from cch.ledger.records import Instance, MessageRecord, RequestRecord
from cch.runtime.incidents import Incident, incidents
from cch.runtime.platform import Platform
from cch.runtime.rollups import count_ended
from cch.runtime.usual import learn

NOW = 1_700_000_000_000
MINUTE = 60_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def platform(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Platform]:
    async with open_memory_platform(tmp_path, EVERYTHING, clock=clock) as opened:
        yield opened


async def failed(platform: Platform, name: str, reason: str, at: int = NOW, **changes: Any) -> None:
    known = {"workflow_id": "everything", "correlation_id": name, "started": at - 5000, **changes}
    await platform.ledger.instances.create(Instance(id=name, status="running", **known))
    await platform.ledger.instances.end(name, "failed", at, reason)


async def found(platform: Platform, days: int = 14) -> list[Incident]:
    await count_ended(platform)
    return list((await incidents(platform, days)).items)


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("no reply from a#b within 30 s", "no reply from a#b within <n> s"),
        ("MEDU7710042 and HLCU-2209130 are unknown", "<id> and <id> are unknown"),
        ("instance 6b0d4a3c-6f0e-5a0e-9a52-0c6f3c0b7c11 is gone", "instance <id> is gone"),
        ("at 2026-01-05T08:00:00.123Z, on 2026-01-05", "at <time>, on <time>"),
        ("digest 0123456789abcdef0123", "digest <id>"),
        ("HTTP 503: -1.5 of 1,000", "HTTP <n>: <n> of <n>"),
        ("customs_v1 answered ERROR: HS_CODE_MISSING", "<id> answered ERROR: HS_CODE_MISSING"),
        ("", ""),
    ],
)  # fmt: skip
def test_messages_of_one_kind_have_one_pattern(message: str, pattern: str) -> None:
    """Ids, numbers and times are what differs; patterns of patterns are the same."""
    assert pattern_of(message) == pattern
    assert pattern_of(pattern) == pattern


async def test_failed_instances_are_grouped(platform: Platform, clock: ManualClock) -> None:
    """By workflow, code and message, the largest group first, with days and examples."""
    for number in range(7):
        await failed(platform, f"i{number}", f"bill MEDU771004{number} is unknown", at=NOW - number % 2 * DAY)
    await failed(platform, "other", "cannot start everything: shipmentId is missing")
    await failed(platform, "another", "bill MEDU7710040 is unknown", workflow_id="w")

    items = await found(platform)

    assert [(one.workflow_id, one.code, one.pattern, one.count) for one in items[:1]] == [
        ("everything", "", "bill <id> is unknown", 7)
    ]
    assert sorted((one.workflow_id, one.code, one.count) for one in items[1:]) == [
        ("everything", "CANNOT_START", 1), ("w", "", 1),
    ]  # fmt: skip
    assert (items[0].first, items[0].last) == (NOW - DAY, NOW)
    assert list(items[0].days)[-3:] == [0, 3, 4]
    assert len(items[0].examples) == 5


async def test_a_group_leads_to_its_instances(platform: Platform) -> None:
    """The latest failure first, page by page."""
    for number in range(5):
        await failed(platform, f"i{number}", f"bill MEDU771004{number} is unknown", at=NOW + number)
    await failed(platform, "other", "something else", at=NOW + 2)
    group = (await found(platform))[0]

    first = await platform.ledger.listing.page(Wanted(incident=group.id), 3)
    second = await platform.ledger.listing.page(Wanted(incident=group.id), 3, first.position)

    assert [one.id for one in (*first.instances, *second.instances)] == ["i4", "i3", "i2", "i1", "i0"]


async def test_what_was_mended_or_is_old_is_no_incident(platform: Platform, clock: ManualClock) -> None:
    """Run again, whatever came of it; or longer ago than is looked back."""
    for name in ("running", "mended", "again", "old"):
        await failed(platform, name, "it broke", at=NOW - (15 * DAY if name == "old" else 0))
    await count_ended(platform)
    for name in ("running", "mended", "again"):
        await platform.ledger.instances.reopen(name, 1)
    await platform.ledger.instances.end("mended", "completed", NOW + 1)
    await platform.ledger.instances.end("again", "failed", NOW + 1, "it broke")

    assert [(one.count, one.examples) for one in await found(platform)] == [(1, ("again",))]
    assert [one.count for one in await found(platform, days=20)] == [2]


async def waits(platform: Platform, name: str, since: int, workflow_id: str = "everything") -> None:
    """A running instance that waits for an answer."""
    await platform.ledger.instances.create(
        Instance(id=name, status="running", workflow_id=workflow_id, correlation_id=name, started=since)
    )
    record = RequestRecord(
        command_id=f"of {name}", instance=name, region="Again", node="Again", visit=1, attempt=1, source="some#turn",
        branch="", state="open", created=since, deadline=0, sent_at=since, task_instance="t", body_hash="",
        owners=frozenset(),
    )  # fmt: skip
    await platform.ledger.requests.open(record, "r")
    await platform.ledger.requests.point(record)


async def test_a_wait_is_late_by_what_is_usual(platform: Platform, clock: ManualClock) -> None:
    """Of the last weeks' visits 95 % took at most ten minutes; without enough of them nobody can say."""
    await waits(platform, "late", NOW - 20 * MINUTE)
    await waits(platform, "in time", NOW - 5 * MINUTE)
    await waits(platform, "of another", NOW - 20 * MINUTE, workflow_id="w")
    assert await found(platform) == []
    for number in range(25):
        await _visited(platform, f"i{number}", 10 * MINUTE)
    await count_ended(platform)
    learnt = [await learn(platform.ledger, ["everything"], clock.now) for _ in range(2)]

    (one,) = await found(platform)

    assert learnt == [1, 0]
    assert (one.kind, one.node, one.capability, one.count, one.examples) == (
        "late", "Again", "some#turn", 1, ("late",)
    )  # fmt: skip
    assert abs(one.usual - 10 * MINUTE) < MINUTE


async def _visited(platform: Platform, name: str, took: int) -> None:
    from cch.interpreter.outcome import Outcome
    from cch.ledger.records import Exit

    visit = Outcome(node="Again", visit=1, stamp=NOW, started=NOW - took, cause={"kind": "reply"})
    await platform.ledger.instances.create(
        Instance(id=name, status="running", workflow_id="everything", correlation_id=name, started=NOW - took)
    )
    await platform.ledger.instances.put_exit(
        name, Exit(region="Again", generation=0, task_instance="t", outcomes=(visit,))
    )
    await platform.ledger.instances.end(name, "completed", NOW)


async def test_orphans_starts_and_definitions_are_incidents(platform: Platform, tmp_path: Path) -> None:
    """A message that found nobody, a start that nobody carries out, a file with errors."""
    record = MessageRecord(
        key=message_key("q", "1"), fate="orphan", kind="ASYNC_RESP", reason="no request 12", instance="x",
        source="a#b", branch="", command_id="c", received=NOW, body="{}",
    )  # fmt: skip
    await platform.ledger.messages.settle(record)
    await platform.ledger.messages.settle(replace(record, key=message_key("q", "2"), reason="no request 13"))
    await platform.ledger.mailboxes.enqueue_start("i", "everything", NOW - 10 * MINUTE)
    (tmp_path / "definitions" / "broken.yaml").write_text(
        "workflow_id: broken\nworkflow_name: b\nentry_point: Nowhere\nnodes: {}\n"
    )

    items = {one.kind: one for one in await found(platform)}

    assert list(items) == ["start", "definition", "orphan"]
    assert (items["orphan"].count, items["orphan"].capability, items["orphan"].pattern) == (2, "a#b", "no request <n>")
    assert (items["start"].workflow_id, items["start"].examples) == ("everything", ("i",))
    assert items["definition"].count >= 1


async def test_nothing_needs_nobody(platform: Platform) -> None:
    """Instances that completed or were cancelled are no incidents."""
    await ended(platform, "i")
    await ended(platform, "c", "cancelled")

    assert await found(platform) == []
