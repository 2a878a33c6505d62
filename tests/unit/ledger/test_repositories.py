"""What the ledger remembers, and who wins when two parties write; on both tables."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cch.definition.version import Version
from cch.errors import LedgerError
from cch.identity import NEWEST_SCHEME, ROOT, Box, ItemStep, Scope
from cch.interpreter.outcome import Outcome
from cch.ledger.endings import FAILED
from cch.ledger.ledger import Ledger
from cch.ledger.payloads import INLINE_BYTES, Payloads, dump, sha256
from cch.ledger.records import (
    Exit,
    Instance,
    InstanceStatus,
    JournalEntry,
    MessageRecord,
    RegionKey,
    RequestRecord,
    instance_id_of_run,
)
from cch.ledger.requests import KEPT_POINTERS
from cch.ledger.store import Item
from cch.testing.memory_store import MemoryBlobs, MemoryStore

DEEP: Any = "bottom"
for _ in range(60):
    DEEP = {"down": [DEEP]}
ODD: Mapping[str, Any] = {
    "float": 0.1,
    "big": 2**62,
    "deep": DEEP,
    "none": None,
    "text": "ä\u2028\x00",
    "": [],
    "many": [1.5] * 3,
}
KEY = RegionKey(instance="i", region="A")


def instance(**changes: Any) -> Instance:
    plain = Instance(id="i", workflow_id="w", correlation_id="key", status="pending", started=1000)
    return replace(plain, **changes)


def outcome(node: str = "A", visit: int = 1, **changes: Any) -> Outcome:
    return replace(Outcome(node=node, visit=visit, stamp=10, started=5), **changes)


def request(command_id: str = "c1", **changes: Any) -> RequestRecord:
    plain = RequestRecord(
        command_id=command_id, instance="i", region="A", node="A", visit=1, attempt=1, source="cap#it", branch="",
        state="open", created=100, deadline=0, sent_at=0, task_instance="t1", body_hash="h", owners=frozenset(),
    )  # fmt: skip
    return replace(plain, **changes)


def message(key: str = "MSG#q#1", **changes: Any) -> MessageRecord:
    plain = MessageRecord(
        key=key, fate="held", kind="ASYNC_RESP", reason="", instance="i", source="cap#it", branch="", command_id="r1",
        received=500, body='{"a":1}',
    )  # fmt: skip
    return replace(plain, **changes)


# --- payloads ------------------------------------------------------------------------------------------------


async def test_small_payloads_stay_in_the_item_and_large_ones_go_to_a_blob() -> None:
    """Named by their content, written before anything points to them."""
    blobs = MemoryBlobs()
    payloads = Payloads(blobs)
    small, large = "x" * INLINE_BYTES, "ä" * INLINE_BYTES

    kept, sent = await payloads.pack("reply", small, "i"), await payloads.pack("reply", large, "i")

    assert kept == {"reply": small}
    assert sent == {"reply_at": f"payloads/i/{sha256(large)}.json"}
    assert list(blobs.texts.values()) == [large]
    assert [await payloads.unpack("reply", item) for item in (kept, sent, {})] == [small, large, ""]


def test_the_same_value_is_the_same_text() -> None:
    """Keys are sorted, and what is no JSON is refused."""
    assert dump({"b": 1, "a": [1.5, None]}) == dump({"a": [1.5, None], "b": 1}) == '{"a":[1.5,null],"b":1}'
    with pytest.raises(ValueError, match="Out of range"):
        dump({"a": float("nan")})


# --- instances -----------------------------------------------------------------------------------------------


async def test_an_instance_is_stored_with_any_context(ledger: Ledger) -> None:
    """Floats, deep nesting and empty keys, which DynamoDB's own maps refuse."""
    made = instance(context=ODD, start_message="m1", definition_uri="u")

    new, stored = await ledger.instances.create(made)

    assert (new, stored) == (True, made)
    assert await ledger.instances.find("i") == made
    assert await ledger.instances.status("i") == "pending"
    assert await ledger.instances.find("other") is None


async def test_a_large_context_goes_to_a_blob(ledger: Ledger) -> None:
    """And is read back as if it had not."""
    context = {"text": "x" * 100_000}
    await ledger.instances.create(instance(context=context))

    found = await ledger.instances.find("i")

    assert found is not None
    assert found.context == context


async def test_the_first_start_of_an_id_wins(ledger: Ledger) -> None:
    """The same message again is the same start; another one learns whose it is."""
    first = instance(start_message="m1", context={"a": 1})
    await ledger.instances.create(first)

    again = await ledger.instances.create(first)
    other = await ledger.instances.create(instance(start_message="m2", context={"a": 2}))

    assert again == (True, first)
    assert other == (False, first)


async def test_a_start_that_died_half_way_is_finished_by_its_redelivery(ledger: Ledger) -> None:
    """The context was stored, the instance not."""
    first = instance(start_message="m1", context={"a": 1})
    await ledger.instances.create(first)
    await ledger.store.delete(("INST#i", "META"))

    assert await ledger.instances.find("i") is None
    assert (await ledger.instances.create(first))[0] is True
    assert await ledger.instances.find("i") == first


async def test_an_instance_is_bound_to_one_run_and_structure(ledger: Ledger) -> None:
    """The first region binds it; the others read what it wrote; another run is refused."""
    _, new = await ledger.instances.create(instance())

    first = (await ledger.instances.begin(new, "run", Version("d1"), "s1")).instance
    await ledger.instances.put_exit("i", Exit(region="r", generation=1, task_instance="t", outcomes=()))
    second = await ledger.instances.begin(new, "run", Version("d2"), "s2")

    assert (first.status, first.run_id, first.definition_digest, first.structure_digest) == (
        "running",
        "run",
        "d1",
        "s1",
    )
    assert second.instance == first
    assert [exit_.region for exit_ in second.exits] == ["r"]
    with pytest.raises(LedgerError, match="belongs to run 'run'"):
        await ledger.instances.begin(new, "another", Version("d1"), "s1")


@pytest.mark.parametrize("status", ["running", "cancelled"])
async def test_what_happens_while_an_instance_begins_is_not_undone(ledger: Ledger, status: InstanceStatus) -> None:
    """Between the look and the binding it was dispatched, or cancelled: it is bound, and stays so."""
    _, new = await ledger.instances.create(instance())
    if status == "running":
        await ledger.instances.dispatched("i", "run")
    else:
        await ledger.instances.end("i", status, 5_000, "not wanted any more")

    begun = (await ledger.instances.begin(new, "run", Version("d1"), "s1")).instance

    assert (begun.status, begun.structure_digest) == (status, "s1")
    assert await ledger.instances.find("i") == begun


async def test_dispatching_marks_a_pending_instance_only(ledger: Ledger) -> None:
    """One that ended in the meantime stays ended."""
    await ledger.instances.create(instance())
    await ledger.instances.dispatched("i", "run")
    running = await ledger.instances.find("i")
    await ledger.instances.end("i", "failed", 2000, "because")
    await ledger.instances.dispatched("i", "another")
    ended = await ledger.instances.find("i")

    assert running is not None
    assert ended is not None
    assert (running.status, running.run_id) == ("running", "run")
    assert (ended.status, ended.run_id, ended.ended, ended.reason) == ("failed", "run", 2000, "because")


async def test_an_instance_ends_once(ledger: Ledger) -> None:
    """Of many regions that see the end, one records it; a later end changes nothing."""
    await ledger.instances.create(instance())

    results = await asyncio.gather(*(ledger.instances.end("i", "completed", 2000 + n) for n in range(5)))
    late = await ledger.instances.end("i", "failed", 9000, "late")

    assert sorted(results) == [False, False, False, False, True]
    assert late is False
    assert await ledger.instances.status("i") == "completed"


async def test_a_failed_instance_is_logged_once(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    """An alarm counts these lines: one for each instance that failed, none for one that completed."""
    for name in ("i", "j"):
        await ledger.instances.create(instance(id=name))

    await asyncio.gather(*(ledger.instances.end("i", "failed", 2000 + n, "why") for n in range(5)))
    await ledger.instances.end("j", "completed", 2000)

    assert [record.getMessage() for record in caplog.records] == [f"{FAILED}: why"]


async def test_an_ended_instance_can_be_opened_again(ledger: Ledger) -> None:
    """Somebody cleared a task: nothing of the end remains, and it is compared with Airflow again."""
    await ledger.instances.create(instance())
    await ledger.instances.end("i", "failed", 2000, "because")
    gone = await ledger.instances.least_checked(10)
    await ledger.instances.reopen("i", 1)

    found = await ledger.instances.find("i")

    assert found == instance(status="running", reopened="2000#")
    assert gone == []
    assert [one.id for one in await ledger.instances.least_checked(10)] == ["i"]


async def test_live_instances_are_compared_in_turn(ledger: Ledger) -> None:
    """The one that nobody looked at for the longest time comes first."""
    for number, name in enumerate(("a", "b", "c")):
        await ledger.instances.create(instance(id=name, started=1000 + number))
    await ledger.instances.checked("a", 5000)
    await ledger.instances.end("c", "completed", 6000)
    await ledger.instances.checked("c", 1)

    assert [one.id for one in await ledger.instances.least_checked(10)] == ["b", "a"]
    assert [one.id for one in await ledger.instances.least_checked(1)] == ["b"]


async def test_instances_are_listed_by_business_key_and_workflow(ledger: Ledger) -> None:
    """Newest first."""
    for number in range(3):
        await ledger.instances.create(instance(id=f"i{number}", started=1000 + number))
    await ledger.instances.create(instance(id="x", workflow_id="v", correlation_id="other"))

    assert [one.id for one in await ledger.instances.by_correlation("key")] == ["i2", "i1", "i0"]
    assert [one.id for one in await ledger.instances.by_workflow("w", limit=2)] == ["i2", "i1"]


# --- exits and journals --------------------------------------------------------------------------------------


def exit_of(task_instance: str, *outcomes: Outcome, generation: int = 0) -> Exit:
    return Exit(region="A", generation=generation, task_instance=task_instance, outcomes=outcomes)


async def test_an_exit_is_replaced_only_by_a_newer_try(ledger: Ledger) -> None:
    """Airflow's task instance ids sort by time: a stale copy cannot overwrite what a newer one left."""
    await ledger.instances.create(instance())

    first = await ledger.instances.put_exit("i", exit_of("t2", outcome(patch=ODD)))
    again = await ledger.instances.put_exit("i", exit_of("t2", outcome(patch=ODD)))
    stale = await ledger.instances.put_exit("i", exit_of("t1", outcome(patch={"stale": 1})))
    between = await ledger.instances.view("i")
    newer = await ledger.instances.put_exit("i", exit_of("t3", outcome(), generation=1))
    view = await ledger.instances.view("i")

    assert (first, again, stale, newer) == (True, True, False, True)
    assert between is not None
    assert view is not None
    assert between.exits == (exit_of("t2", outcome(patch=ODD)),)
    assert view.exits == (exit_of("t3", outcome(), generation=1),)


async def test_a_journal_is_read_as_it_was_written(ledger: Ledger) -> None:
    """Tries and turns, with every field, in order; large ones too."""
    entries = [
        JournalEntry(kind="try", mode="first", task_instance="t1", generation=0),
        JournalEntry(kind="turn", task_instance="t1", generation=0, outcomes=(outcome(patch=ODD), outcome("B"))),
        JournalEntry(kind="turn", task_instance="t1", generation=0, outcomes=(outcome(patch={"x": "y" * 50_000}),)),
        JournalEntry(kind="try", mode="continue", task_instance="t2", generation=0, dropped={"A#1": 3}),
    ]
    for number, entry in enumerate(entries):
        assert await ledger.journal.append(KEY, number, entry)

    assert await ledger.journal.read(KEY) == entries
    assert await ledger.journal.read(KEY, 2) == entries[2:]
    assert await ledger.journal.read(replace(KEY, scope=Scope("m[1]"))) == []


async def test_many_journals_are_read_as_each_is(ledger: Ledger) -> None:
    """Empty ones, short ones, and those that are longer than what is asked for at first; in the order of the keys."""
    keys = [replace(KEY, scope=Scope(f"m[{length}]")) for length in (0, 1, 3, 4, 5, 9)]
    for length, key in zip((0, 1, 3, 4, 5, 9), keys, strict=True):
        for number in range(length):
            entry = JournalEntry(kind="turn", task_instance="t1", generation=0, outcomes=(outcome(f"N{number}"),))
            assert await ledger.journal.append(key, number, entry)

    read = await ledger.journal.read_many(keys)

    assert read == [await ledger.journal.read(key) for key in keys]
    assert [len(journal) for journal in read] == [0, 1, 3, 4, 5, 9]
    assert await ledger.journal.read_many([]) == []


async def test_of_two_copies_that_append_one_wins(ledger: Ledger) -> None:
    """The loser is told, and nothing is lost or overwritten."""

    async def append(name: str) -> bool:
        entry = JournalEntry(kind="turn", task_instance=name, generation=0, outcomes=(outcome(patch={"by": name}),))
        return await ledger.journal.append(KEY, 0, entry)

    results = await asyncio.gather(*(append(f"t{number}") for number in range(8)))

    (entry,) = await ledger.journal.read(KEY)
    assert results.count(True) == 1
    assert entry.task_instance == f"t{results.index(True)}"


def test_derived_ids_never_change() -> None:
    """They are stored: what was sent yesterday must have the same id today."""
    key = RegionKey(instance="i", region="A", scope=Scope("m[1]"))
    other = RegionKey(instance="i", region="A", scope=ROOT.item(ItemStep("m", 1, 0, "1")))

    assert instance_id_of_run("w", "manual__1") == "eab1a653-7028-5c13-af86-d90f4ade297c"
    assert key.step(1, 0, "A", 1).command_id(1) == "fd0e7d5e-3368-5a0e-9d6a-19768c835e31"
    assert other.step(2, 0, "A", 1).command_id(1) == "35518b57-354b-58f8-9294-6cc0cb7eeff0"
    assert other.step(2, 0, "A", 1).keys(1).request == "i/5f190bb5406550d1b4e6ed5e9dbd40dd/1"
    assert key.scope.digest == "3c68483eaa71e47a"
    assert key.partition == "RGN#i#3c68483eaa71e47a#A"
    assert RegionKey(instance="i", region="A").partition == "RGN#i#-#A"


# --- requests ------------------------------------------------------------------------------------------------


async def test_a_request_is_opened_once_and_shared(ledger: Ledger) -> None:
    """The second one becomes an owner of what is there, and sees the first one's values."""
    new = await ledger.requests.open(request(), "router1")
    second = await ledger.requests.open(request(created=999, task_instance="t2"), "router2")
    again = await ledger.requests.open(request(), "router1")

    assert new == (True, request(owners=frozenset({"router1"})))
    assert second == (False, request(owners=frozenset({"router1", "router2"})))
    assert again == second


async def test_a_request_is_closed_by_exactly_one(ledger: Ledger) -> None:
    """Replies and a timeout race; whoever loses sees who won."""
    await ledger.requests.open(request(), "r")

    async def answer(name: str) -> Any:
        return await ledger.requests.close("c1", "answered", 200, message=name, status="SUCCESS", reply={"by": name})

    results = await asyncio.gather(
        answer("MSG#q#1"), ledger.requests.close("c1", "timed_out", 200), answer("MSG#q#2"), answer("MSG#q#3")
    )

    final = await ledger.requests.get("c1")
    assert [closed.mine for closed in results].count(True) == 1
    assert {repr(closed.record) for closed in results} == {repr(final)}


async def test_the_winning_message_wins_again(ledger: Ledger) -> None:
    """Redelivered after its close, it finds that it was itself."""
    await ledger.requests.open(request(), "r")
    await ledger.requests.close("c1", "answered", 200, message="MSG#q#1", status="ERROR", reply=ODD)

    again = await ledger.requests.close("c1", "answered", 300, message="MSG#q#1", reply={})
    other = await ledger.requests.close("c1", "answered", 300, message="MSG#q#2", reply={})
    nobody = await ledger.requests.close("c9", "answered", 300, message="MSG#q#2", reply={})
    late_owner = await ledger.requests.open(request(), "r2")

    assert again is not None
    assert other is not None
    assert (again.mine, other.mine, nobody) == (True, False, None)
    assert (again.record.reply, again.record.reply_status, again.record.closed_at) == (ODD, "ERROR", 200)
    assert late_owner == (False, again.record)


async def test_sending_is_noted_only_while_open(ledger: Ledger) -> None:
    """A reply may be faster than the note."""
    await ledger.requests.open(request(), "r")
    await ledger.requests.sent("c1", 150)
    await ledger.requests.close("c1", "failed", 200, reason="x" * 1000)
    await ledger.requests.sent("c1", 999)

    found = await ledger.requests.get("c1")

    assert found is not None
    assert (found.sent_at, found.state, len(found.reason)) == (150, "failed", 600)


async def test_pointers_tell_open_from_closed(ledger: Ledger) -> None:
    """By source and branch, oldest first."""
    for number, changes in enumerate(({}, {"source": "cap#other"}, {"branch": "b"}, {"created": 50})):
        record = request(f"c{number}", **changes)
        await ledger.requests.open(record, "r")
        await ledger.requests.point(record)
    await ledger.requests.confirm(request("c0", state="answered"), "reply-id")

    found = await ledger.requests.pointers(Box("i", ""), "cap#it")

    assert [(pointer.command_id, pointer.state, pointer.reply_command) for pointer in found] == [
        ("c3", "open", ""), ("c0", "answered", "reply-id"),
    ]  # fmt: skip
    assert [pointer.command_id for pointer in await ledger.requests.pointers(Box("i", "b"), "cap#it")] == ["c2"]


async def test_a_pointer_that_is_closed_stays_closed(ledger: Ledger) -> None:
    """The reply came between the sending and the note of it, and its process was killed in between."""
    await ledger.requests.open(request(), "r")
    await ledger.requests.close("c1", "answered", 200, message="m", reply_command="reply-1")
    await ledger.requests.point(request())

    (pointer,) = await ledger.requests.pointers(Box("i", ""), "cap#it")
    assert (pointer.state, pointer.reply_command) == ("answered", "reply-1")


async def test_only_the_last_closed_pointers_are_kept(ledger: Ledger) -> None:
    """Enough to tell a duplicate from a late reply; open ones always stay."""
    await ledger.requests.point(request("open", created=0))
    for number in range(KEPT_POINTERS + 5):
        await ledger.requests.confirm(request(f"c{number:02d}", state="failed", created=100 + number))

    found = await ledger.requests.pointers(Box("i", ""), "cap#it")
    left = await ledger.store.query(Box("i").key)

    assert [pointer.command_id for pointer in found] == ["open", *(f"c{n:02d}" for n in range(5, KEPT_POINTERS + 5))]
    assert len(left) == KEPT_POINTERS + 1


async def test_requests_of_an_instance_are_listed_for_people(ledger: Ledger) -> None:
    """Oldest first, with their state."""
    for number in (2, 1):
        record = request(f"c{number}", created=number)
        await ledger.requests.open(record, "r")
        await ledger.requests.point(record)

    assert [found.command_id for found in await ledger.requests.of_box(Box("i"))] == ["c1", "c2"]
    assert await ledger.requests.of_box(Box("nobody")) == []


# --- messages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["matched", "duplicate", "late", "orphan", "malformed", "rejected"])
async def test_a_final_fate_stays(ledger: Ledger, fate: Any) -> None:
    """A redelivery that comes to another conclusion changes nothing."""
    stored = await ledger.messages.settle(message(fate=fate, reason="first"))
    await ledger.messages.settle(message(fate="orphan", reason="second"))

    found = await ledger.messages.get("MSG#q#1")

    assert stored.key == "MSG#q#1"
    assert found is not None
    assert (found.fate, found.reason) == (fate, "first")
    assert found.body == ("" if fate == "matched" else '{"a":1}')


async def test_a_held_message_is_found_by_its_box_and_taken_once(ledger: Ledger) -> None:
    """A pointer leads to it; a final fate replaces held."""
    await ledger.messages.hold(message("MSG#q#2", received=700), Box("i"))
    await ledger.messages.hold(message("MSG#q#1", received=500), Box("i"))
    await ledger.messages.hold(message("MSG#q#3", source="cap#other"), Box("i"))

    held = await ledger.messages.held(Box("i"), "cap#it")
    await ledger.messages.unhold(Box("i"), held[0].pointer)
    left = await ledger.messages.held(Box("i"), "cap#it")

    assert [one.key for one in held] == ["MSG#q#1", "MSG#q#2"]
    assert [one.key for one in left] == ["MSG#q#2"]


async def test_holding_again_or_too_late_changes_no_fate(ledger: Ledger) -> None:
    """The stored fate is returned."""
    await ledger.messages.hold(message(), Box("i"))
    await ledger.messages.settle(message(fate="late"))

    again = await ledger.messages.hold(message(), Box("i"))

    assert again.fate == "late"


async def test_a_claim_binds_a_message_to_one_request(ledger: Ledger) -> None:
    """Of several claims the first counts for all; a final fate cannot be claimed."""
    await ledger.messages.hold(message(), Box("i"))

    claims = await asyncio.gather(*(ledger.messages.claim(message(), f"c{number}") for number in range(4)))
    await ledger.messages.settle(message(fate="matched"))

    assert len(set(claims)) == 1
    assert await ledger.messages.claim(message(), "c9") == ""


async def test_messages_are_known_by_their_transport_identity(ledger: Ledger) -> None:
    """Many at a time, without bodies."""
    await ledger.messages.settle(message("MSG#q#1", fate="orphan"))
    await ledger.messages.hold(message("MSG#q#2"), Box("i"))

    known = await ledger.messages.get_many(["MSG#q#1", "MSG#q#2", "MSG#q#3"])

    assert {key: record.fate for key, record in known.items()} == {"MSG#q#1": "orphan", "MSG#q#2": "held"}
    assert await ledger.messages.get_many([]) == {}
    assert await ledger.messages.get("MSG#q#3") is None


async def test_what_a_person_may_look_at_is_listed(ledger: Ledger) -> None:
    """By fate, newest first; matched and duplicate ones are not."""
    for number, fate in enumerate(("orphan", "orphan", "late", "matched", "duplicate")):
        await ledger.messages.settle(message(f"MSG#q#{number}", fate=fate, received=100 + number))  # type: ignore[arg-type]

    assert [one.key for one in await ledger.messages.unmatched("orphan")] == ["MSG#q#1", "MSG#q#0"]
    assert [one.key for one in await ledger.messages.unmatched("late")] == ["MSG#q#2"]
    assert await ledger.messages.unmatched("duplicate") == []


async def test_a_large_body_is_stored_too(ledger: Ledger) -> None:
    """A person must be able to see what was refused."""
    body = json.dumps({"x": "y" * 200_000})
    await ledger.messages.settle(message(fate="rejected", body=body))

    found = await ledger.messages.get("MSG#q#1")

    assert found is not None
    assert found.body == body


# --- mailboxes -----------------------------------------------------------------------------------------------


async def test_wakes_stay_until_they_are_forgotten(ledger: Ledger) -> None:
    """Each router reads its own; the same wake twice is one."""
    await ledger.mailboxes.wake("r1", ["c1", "c2", "c1"], 1000)
    await ledger.mailboxes.wake("r2", ["c3"], 1000)

    assert sorted(await ledger.mailboxes.wakes("r1")) == ["c1", "c2"]
    await ledger.mailboxes.forget("r1", "c1")
    assert await ledger.mailboxes.wakes("r1") == ["c2"]
    assert await ledger.mailboxes.wakes("r2") == ["c3"]


async def test_a_start_is_in_the_inbox_once(ledger: Ledger) -> None:
    """A repetition does not reset when it is due, nor how often it was tried."""
    await ledger.mailboxes.enqueue_start("i", "w", 1000)
    (start,) = await ledger.mailboxes.starts()
    await ledger.mailboxes.postpone(start, 5000, "not parsed yet" * 100)
    await ledger.mailboxes.enqueue_start("i", "w", 9000)

    (postponed,) = await ledger.mailboxes.starts()
    await ledger.mailboxes.remove_start("i")

    assert (start.since, start.due, start.attempts) == (1000, 1000, 0)
    assert (postponed.since, postponed.due, postponed.attempts, len(postponed.reason)) == (1000, 5000, 1, 300)
    assert await ledger.mailboxes.starts() == []


async def test_postponing_a_start_that_is_gone_makes_no_half_start(ledger: Ledger) -> None:
    """Two dispatchers overlap: one starts the run while the other gives up for now."""
    await ledger.mailboxes.enqueue_start("i", "w", 1000)
    (start,) = await ledger.mailboxes.starts()
    await ledger.mailboxes.remove_start("i")
    await ledger.mailboxes.postpone(start, 5000, "later")

    assert await ledger.mailboxes.starts() == []


async def test_counters_are_overwritten(ledger: Ledger) -> None:
    """Absolute numbers: a repeated write counts nothing twice."""
    await ledger.mailboxes.count("r", {"fate_matched": 3}, 1000)
    await ledger.mailboxes.count("r", {"fate_matched": 5, "waiters": 2}, 31_000)

    item = await ledger.store.get(("ROUTERS", "r"))

    assert item is not None
    assert (item["fate_matched"], item["waiters"], item["seen"]) == (5, 2, 31_000)


async def test_items_in_memory_cannot_be_changed_from_outside() -> None:
    """As with a real table, what was read is a copy."""
    store = MemoryStore()
    await store.put({"PK": "P", "SK": "S", "a": 1})
    for item in (await store.get(("P", "S")), (await store.query("P"))[0], (await store.scan("P"))[0]):
        assert item is not None
        item["a"] = 2

    found = await store.get(("P", "S"))

    assert found is not None
    assert found["a"] == 1


class CountingStore(MemoryStore):
    """Counts what queries bring."""

    brought = 0

    async def query(self, pk: str, *arguments: Any, **named: Any) -> list[Item]:
        found = await super().query(pk, *arguments, **named)
        self.brought += len(found)
        return found


async def test_of_a_large_map_a_few_items_are_read() -> None:
    """A page of an instance is read again and again: no item beyond the first ones is looked at."""
    store = CountingStore()
    ledger = Ledger(store, MemoryBlobs())
    for index in reversed(range(300)):
        step = ItemStep("M", 1, index, branch := f"b{999 - index}")
        key = RegionKey(instance="i", region="M", scope=ROOT.item(step, NEWEST_SCHEME))
        await ledger.maps.put_scope(key, "M", index, branch)

    boxes = await ledger.boxes(instance(), 10)

    assert [box.branch for box in boxes] == ["", *(f"b{number}" for number in range(990, 1000))]
    assert store.brought == 10
    assert len(await ledger.boxes(instance())) == 301
