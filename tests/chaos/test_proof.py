"""The proof that each thing happened once finds what did not."""

from __future__ import annotations

from dataclasses import replace

from cch.interpreter.outcome import Outcome
from cch.ledger.ledger import Ledger
from cch.ledger.records import Instance, JournalEntry, RequestRecord
from cch.testing.memory_store import MemoryBlobs, MemoryStore
from tests.chaos.fleet import effect_problems, instance_problems, twice

ASKED = RequestRecord(
    command_id="c-1", instance="i", region="R", node="R", visit=1, attempt=1, source="import#late", branch="",
    state="answered", created=0, deadline=0, sent_at=1, task_instance="t", body_hash="", owners=frozenset(),
    reply_status="SUCCESS",
)  # fmt: skip


def turn(*nodes: str) -> JournalEntry:
    outcomes = tuple(Outcome(node=node, visit=1, stamp=1, started=1) for node in nodes)
    return JournalEntry(kind="turn", task_instance="t", generation=0, outcomes=outcomes)


def test_an_outcome_that_was_committed_twice_is_found() -> None:
    """Unless the first one was dropped, or the region was run anew."""
    dropped = JournalEntry(kind="try", task_instance="t", generation=0, mode="continue", dropped={"A#1": 1})
    anew = JournalEntry(kind="try", task_instance="t", generation=1, mode="fresh")

    assert twice([turn("A"), turn("B", "A")]) == ["outcome A#1 was committed twice"]
    assert twice([turn("A"), dropped, turn("A"), anew, turn("A", "B")]) == []


def test_effects_and_requests_that_do_not_fit_are_found() -> None:
    """An effect nobody asked for, one too many, an answer out of nothing, a step that was answered twice."""
    again = replace(ASKED, command_id="c-2", attempt=2)
    refused = replace(ASKED, reply_status="ERROR")

    assert effect_problems([refused, again], ["c-1", "c-2"]) == []
    assert effect_problems([ASKED], ["c-1", "c-3"]) == ["effect c-3 was never asked for"]
    assert effect_problems([ASKED], ["c-1", "c-1"]) == ["effect c-1 happened 2 times"]
    assert effect_problems([ASKED], []) == ["request c-1 of R was answered without an effect"]
    assert effect_problems([ASKED, again], ["c-1", "c-2"]) == ["R#1 was answered 2 times"]


async def test_of_an_instance_that_still_runs_only_that_is_said() -> None:
    """Its requests go on changing: what it has done does not fit what was read before."""
    ledger = Ledger(MemoryStore(), MemoryBlobs())
    await ledger.instances.create(
        Instance(id="i", workflow_id="w", run_id="r", correlation_id="k", status="running", started=1, context={})
    )

    running = await instance_problems(ledger, "i", ["c-1"])
    await ledger.instances.end("i", "completed", 2)

    assert running == ["it has not ended"]
    assert await instance_problems(ledger, "i", ["c-1"]) == ["effect c-1 was never asked for"]
    assert await instance_problems(ledger, "j", []) == ["it is not in the ledger"]
