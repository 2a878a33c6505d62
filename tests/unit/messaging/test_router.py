"""What the router makes of messages: one fate each, one close a request, somebody woken, then deleted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from faults import Died, FragileStore
from processes import Process
from scripted import ManualClock
from tests.patience import finished

from cch.definition.rules import NEWEST
from cch.definition.version import Version
from cch.envelope import event_command, start_command
from cch.errors import RejectedMessageError, ServiceUnavailableError
from cch.exchange import Closed, Unsent
from cch.identity import THE_INSTANCE, Box
from cch.ledger.ledger import Ledger
from cch.ledger.messages import Stored
from cch.ledger.records import Instance, MessageRecord, RequestRecord, RequestState
from cch.messaging.starts import Admitted
from cch.names import Names
from cch.testing.memory_queue import MemoryQueue, MemoryQueues
from cch.testing.memory_store import MemoryBlobs

NAMES = Names()
NOW = 1_700_000_000_000


class Doorman:
    """Admits the workflow ``w`` with a context that has ``a``."""

    async def admit(
        self,
        workflow_id: str,
        context: Mapping[str, Any],
        definition_uri: str = "",
        *,
        version: str = "",
        key: str = "",
    ) -> Admitted:
        if workflow_id != "w":
            raise RejectedMessageError(f"there is no definition of {workflow_id!r}")
        if "a" not in context:
            raise RejectedMessageError("required key 'a' is missing")
        return Admitted(workflow_id=workflow_id, context=context, version=Version("0" * 64, NEWEST))


@dataclass
class Office:
    """A ledger with queues and a router, and the things tests do with them."""

    store: FragileStore = field(default_factory=FragileStore)
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.store, MemoryBlobs())
        self.queues = MemoryQueues(
            NAMES.reply_queue, NAMES.command_queue, NAMES.rejected_queue(NAMES.reply_queue),
            NAMES.rejected_queue(NAMES.command_queue),
        )  # fmt: skip
        self.router = self.new_router()

    def new_router(self) -> Process:
        return Process(
            ledger=self.ledger, queues=self.queues, names=NAMES, admission=Doorman(), clock=self.clock, consumers=2,
            mailbox_seconds=0.01,
        )  # fmt: skip

    def queue(self, name: str = NAMES.reply_queue) -> MemoryQueue:
        return self.queues.make(name)

    async def instance(self, name: str = "i", **changes: Any) -> None:
        plain = Instance(id=name, workflow_id="w", correlation_id=name, status="running", started=NOW)
        await self.ledger.instances.create(replace(plain, **changes))

    async def ask(self, command_id: str, *, source: str = "cap#it", branch: str = "", **changes: Any) -> RequestRecord:
        """Open a request as a region does, with this router as its owner."""
        record = RequestRecord(
            command_id=command_id, instance="i", region="A", node="A", visit=1, attempt=1, source=source, branch=branch,
            state="open", created=self.clock.now, deadline=0, sent_at=0, task_instance="t", body_hash="h",
            owners=frozenset(),
        )  # fmt: skip
        self.clock.advance(1)
        _, stored = await self.ledger.requests.open(replace(record, **changes), self.router.id)
        await self.ledger.requests.point(stored)
        return stored

    async def close(self, command_id: str, state: RequestState) -> None:
        await self.router.exchange.close(command_id, state)

    async def deliver(self, *bodies: str, router: Process | None = None, queue: str = NAMES.reply_queue) -> None:
        """Send, receive, handle, delete; as the router's consumer does."""
        for body in bodies:
            await self.queue(queue).send(body)
        await self.take(router, queue)

    async def take(self, router: Process | None = None, queue: str = NAMES.reply_queue) -> None:
        await (router or self.router).take(self.queue(queue))

    async def records(self) -> list[MessageRecord]:
        """All messages that are stored, in the order in which they were sent."""
        items = sorted(await self.store.scan("MSG#"), key=lambda item: int(item["PK"].rsplit("-", 1)[1]))
        found = [await self.ledger.messages.get(item["PK"]) for item in items]
        return [record for record in found if record]

    async def fates(self) -> list[str]:
        return [record.fate for record in await self.records()]

    async def request(self, command_id: str) -> RequestRecord:
        found = await self.ledger.requests.get(command_id)
        assert found is not None
        return found


@pytest.fixture(autouse=True)
def _same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are sent at the same moment in every telling."""
    monkeypatch.setattr("cch.testing.memory_queue.time", SimpleNamespace(time=lambda: NOW / 1000))


@pytest.fixture
async def office() -> Office:
    made = Office()
    await made.instance()
    return made


def reply(instance: str = "i", *, to: str = "", source: str = "cap#it", **command: Any) -> str:
    raw = {
        "type": "ASYNC_RESP", "id": f"r-{json.dumps(command, sort_keys=True)}", "source": f"Capability:{source}",
        "timestamp": "2026-01-31T10:00:00Z", "payload": {"k": 1}, **({"inReplyTo": to} if to else {}), **command,
    }  # fmt: skip
    return json.dumps({"workflowInstanceId": instance, "command": raw})


def start(instance: str = "new", uri: str = "s3://b/w.yaml", **context: Any) -> str:
    return start_command(
        instance=instance, command_id="c", definition_uri=uri, context=context, correlation_id="BL", now=NOW
    )


# --- fates of replies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("echo", [True, False])
async def test_a_reply_answers_its_request(office: Office, echo: bool) -> None:
    """The request holds the reply, the message its fate, the waiter is woken, and the queue is empty."""
    await office.ask("c1")

    with office.router.waiters.registered("c1") as woken:
        await office.deliver(reply(to="c1" if echo else "", status="ERROR"))

    (record,) = await office.records()
    request = await office.request("c1")
    (pointer,) = await office.ledger.requests.pointers(Box("i"), "cap#it")
    assert (record.fate, record.claimed_for, record.body) == ("matched", "c1", "")
    assert (request.state, request.answered_by, request.reply_status) == ("answered", record.key, "ERROR")
    assert request.reply == {"k": 1}
    assert pointer.state == "answered"
    assert woken.is_set()
    assert office.queue().messages == []
    assert office.router.intake.fates == {"matched": 1}


async def test_a_reply_without_a_status_is_a_success(office: Office) -> None:
    """As older capabilities write it."""
    await office.ask("c1")
    await office.deliver(reply(to="c1"))

    assert (await office.request("c1")).reply_status == "SUCCESS"


@pytest.mark.parametrize("echo", [True, False])
async def test_a_second_reply_is_a_duplicate(office: Office, echo: bool) -> None:
    """Sent twice by the capability, or another answer to what was answered: the first one counts."""
    await office.ask("c1")
    to = "c1" if echo else ""
    await office.deliver(reply(to=to, id="r1", payload={"n": 1}))
    await office.deliver(reply(to=to, id="r1", payload={"n": 1}), reply(to=to, id="r2", payload={"n": 2}))

    assert await office.fates() == ["matched", "duplicate", "duplicate"]
    assert (await office.request("c1")).reply == {"n": 1}
    assert office.queue().messages == []


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize("state", ["timed_out", "superseded", "failed"])
async def test_a_reply_to_what_was_given_up_is_late(office: Office, echo: bool, state: RequestState) -> None:
    """It is kept, with its body, and changes nothing."""
    await office.ask("c1")
    await office.close("c1", state)
    await office.deliver(reply(to="c1" if echo else ""))

    (record,) = await office.records()
    assert (record.fate, json.loads(record.body)["command"]["payload"]) == ("late", {"k": 1})
    assert state.replace("_", " ") in record.reason
    assert (await office.request("c1")).state == state


@pytest.mark.parametrize(
    ("body", "fate", "words"),
    [
        (reply(to="nobody"), "orphan", "no request nobody"),
        (reply("unknown"), "held", "no instance unknown yet"),
        (reply("i2"), "late", "instance i2 has completed"),
        (reply("i2", to="c1"), "rejected", "belongs to another instance"),
        ("no json", "malformed", "not JSON"),
        ('{"workflowInstanceId": "i"}', "malformed", "command must be an object"),
        (reply(source="other#one"), "held", ""),
    ],
)  # fmt: skip
async def test_other_fates_have_a_reason(office: Office, body: str, fate: str, words: str) -> None:
    """Every message ends in one state, and a person can read why."""
    await office.instance("i2", status="completed")
    await office.ask("c1")
    await office.deliver(body)

    (record,) = await office.records()
    assert record.fate == fate
    assert words in record.reason
    assert record.body == body
    assert (await office.request("c1")).state == "open"
    assert office.queue().messages == []


async def test_two_open_requests_of_one_source_cannot_be_told_apart(office: Office) -> None:
    """Without an echo nobody can know which is meant: a person decides, and nothing adopts it later."""
    await office.ask("c1")
    await office.ask("c2")
    await office.deliver(reply())
    await office.close("c1", "timed_out")
    await office.router.exchange.ask(await office.request("c2"))

    assert await office.fates() == ["orphan"]
    assert (await office.request("c2")).state == "open"


async def test_the_branch_key_tells_requests_apart(office: Office) -> None:
    """One open request a branch is enough to be sure."""
    await office.ask("c1", branch="p1")
    await office.ask("c2", branch="p2")
    await office.deliver(reply(routingHint={"branchKey": "p2"}))

    assert [(await office.request(name)).state for name in ("c1", "c2")] == ["open", "answered"]


async def test_the_source_tells_requests_apart(office: Office) -> None:
    """The capability that answers is the one that was asked."""
    await office.ask("c1", source="cap#one")
    await office.ask("c2", source="cap#two")
    await office.deliver(reply(source="cap#two"))

    assert [(await office.request(name)).state for name in ("c1", "c2")] == ["open", "answered"]


async def test_the_next_visit_of_a_loop_gets_the_next_reply(office: Office) -> None:
    """A closed request of the same source does not disturb, and a repeated old reply does not answer the new one."""
    await office.ask("c1")
    await office.deliver(reply(id="r1", payload={"n": 1}))
    await office.ask("c2")
    await office.deliver(reply(id="r1", payload={"n": 1}), reply(id="r2", payload={"n": 2}))

    assert await office.fates() == ["matched", "duplicate", "matched"]
    assert (await office.request("c2")).reply == {"n": 2}


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queue", "body", "fate"),
    [
        (NAMES.reply_queue, "no json", "malformed"),
        (NAMES.command_queue, "[1]", "malformed"),
        (NAMES.command_queue, start(uri="s3://b/zz.yaml", a=1), "rejected"),
        (NAMES.command_queue, start(b=1), "rejected"),
        (NAMES.reply_queue, reply("other", to="c1"), "rejected"),
        (NAMES.reply_queue, "\ud800", "malformed"),
        (NAMES.reply_queue, "", "malformed"),
        (NAMES.reply_queue, "x" * 300_000, "malformed"),
    ],
)
async def test_what_is_refused_is_forwarded_with_the_reason(office: Office, queue: str, body: str, fate: str) -> None:
    """To the queue of rejected messages, with the original's id; and stored; then deleted."""
    await office.ask("c1")
    await office.deliver(body, queue=queue)

    (record,) = await office.records()
    ((forwarded, attributes),) = office.queue(NAMES.rejected_queue(queue)).messages
    assert record.fate == fate
    assert attributes["fate"] == fate
    assert attributes["reason"] == record.reason[:250]
    assert attributes["originalMessageId"] == record.key.rsplit("#", 1)[1]
    assert forwarded.strip() == body.encode("utf-8", "replace").decode()[:200_000]
    assert len(forwarded.encode()) < 262_144
    assert office.queue(queue).messages == []


@pytest.mark.parametrize(
    "body", ["\U0001f6a2" * 65_536, start(uri="\x00\ufffe"), start(uri="s3://b/" + "n" * 2000 + "\x01")]
)
async def test_a_refusal_always_fits_its_queue(office: Office, body: str) -> None:
    """Bytes count, with the attributes; and neither reason nor body may hold what XML does not allow."""
    await office.deliver(body, queue=NAMES.command_queue)

    ((forwarded, attributes),) = office.queue(NAMES.rejected_queue(NAMES.command_queue)).messages
    assert len(forwarded.encode()) + sum(len((k + v).encode()) for k, v in attributes.items()) < 262_000
    assert not any(character in forwarded + attributes["reason"] for character in "\x00\x01\ufffe")


async def test_what_a_reason_quotes_is_made_legal(office: Office) -> None:
    """A name in a start may hold anything; SQS refuses a message whose attribute does."""

    async def refuse(workflow_id: str, *_: Any, **__: Any) -> Admitted:
        raise RejectedMessageError(f"{workflow_id}\x00\ufffe" + "x" * 5000)

    office.router.intake._starter._admission.admit = refuse  # type: ignore[method-assign]
    await office.deliver(start(a=1), queue=NAMES.command_queue)

    ((_, attributes),) = office.queue(NAMES.rejected_queue(NAMES.command_queue)).messages
    (record,) = await office.records()
    assert attributes["reason"].startswith("w\ufffd\ufffdxxx")
    assert len(record.reason) == 600


async def test_an_event_may_have_an_id_longer_than_a_key(office: Office) -> None:
    """Its repetition is a duplicate all the same, and another one is not."""
    long = "\U0001f6a2" * 1999
    events = [
        event_command(instance="i", command_id=long + end, payload={}, address=THE_INSTANCE, status="", now=NOW)
        for end in "aab"
    ]
    await office.deliver(*events)

    assert await office.fates() == ["held", "duplicate", "held"]


async def test_a_missing_queue_for_refusals_loses_nothing(office: Office) -> None:
    """The ledger still has the message."""
    office.queues._queues.pop(NAMES.rejected_queue(NAMES.reply_queue))
    await office.deliver("no json")

    (record,) = await office.records()
    assert (record.fate, record.body) == ("malformed", "no json")


# --- early replies -------------------------------------------------------------------------------------------


async def test_an_early_reply_is_taken_when_the_request_opens(office: Office) -> None:
    """A capability that is faster than our own bookkeeping, or answers before it is asked."""
    await office.deliver(reply())
    early = await office.fates()
    request = await office.ask("c1")
    with office.router.waiters.registered("c1"):
        await office.router.exchange.ask(request)

    assert (early, await office.fates()) == (["held"], ["matched"])
    assert (await office.request("c1")).reply == {"k": 1}
    assert await office.ledger.messages.held(Box("i"), "cap#it") == []


async def test_of_several_early_replies_the_oldest_is_taken(office: Office) -> None:
    """The others wait for the next request of the source."""
    await office.deliver(reply(id="r1", payload={"n": 1}), reply(id="r2", payload={"n": 2}))
    for command_id in ("c1", "c2"):
        request = await office.ask(command_id)
        await office.router.exchange.ask(request)

    assert [(await office.request(name)).reply for name in ("c1", "c2")] == [{"n": 1}, {"n": 2}]
    assert await office.fates() == ["matched", "matched"]


async def test_an_early_reply_that_another_request_has_claimed_is_not_mine(office: Office) -> None:
    """Two branches ask the same capability at the same time: who gets none of its early reply has to send."""
    await office.deliver(reply())
    first, second = await office.ask("c1"), await office.ask("c2")
    (record,) = await office.records()
    assert await office.ledger.messages.claim(record, first.command_id) == "c1"

    taken = await office.router.exchange.ask(second)

    assert isinstance(taken, Unsent)
    assert [(await office.request(name)).state for name in ("c1", "c2")] == ["answered", "open"]
    assert await office.fates() == ["matched"]


async def test_a_request_that_opens_while_its_reply_is_being_held_is_found(office: Office) -> None:
    """Both sides write, then read strongly: one of them sees the other."""
    original = office.ledger.messages.hold

    async def hold_and_then_somebody_asks(record: MessageRecord, box: Box) -> MessageRecord:
        held = await original(record, box)
        await office.ask("c1")
        return held

    office.ledger.messages.hold = hold_and_then_somebody_asks  # type: ignore[method-assign]
    with office.router.waiters.registered("c1") as woken:
        await office.deliver(reply())

    assert await office.fates() == ["matched"]
    assert woken.is_set()


# --- starts --------------------------------------------------------------------------------------------------


async def test_a_start_makes_an_instance_a_note_and_a_ring(office: Office) -> None:
    """And the same start again changes nothing: known message, or another one for the instance."""
    rings: list[int] = []
    office.router._doorbells.add(lambda: rings.append(1))
    await office.deliver(start(a=1), queue=NAMES.command_queue)
    (note,) = await office.ledger.mailboxes.starts()
    await office.deliver(start(a=1), start(a=2), queue=NAMES.command_queue)

    found = await office.ledger.instances.find("new")
    assert found is not None
    assert (found.status, found.context, found.correlation_id, found.workflow_id) == ("pending", {"a": 1}, "BL", "w")
    assert (note.instance, note.workflow_id) == ("new", "w")
    assert await office.fates() == ["matched", "duplicate", "duplicate"]
    assert len(await office.ledger.mailboxes.starts()) == 1
    assert rings == [1]


async def test_a_duplicate_start_is_not_checked_again(office: Office) -> None:
    """The definition may have gone since: the repetition is still a duplicate, not a rejection."""
    await office.deliver(start(a=1), start(), queue=NAMES.command_queue)

    assert await office.fates() == ["matched", "duplicate"]


async def test_a_redelivered_start_is_in_the_inbox_again_while_it_is_pending(office: Office) -> None:
    """Whatever happened to the note; but never for an instance that runs."""
    await office.deliver(start(a=1), queue=NAMES.command_queue)
    queue = office.queue(NAMES.command_queue)
    await queue.send("ignored")
    await office.ledger.mailboxes.remove_start("new")
    message = (await queue.receive(0))[0]
    (known,) = [record for record in await office.records() if record.kind == "START_WORKFLOW"]
    again = replace(message, message_id=known.key.rsplit("#", 1)[1], body=start(a=1))
    await office.router.intake.handle([again])
    pending = await office.ledger.mailboxes.starts()
    await office.ledger.mailboxes.remove_start("new")
    await office.ledger.instances.dispatched("new", "new")
    await office.router.intake.handle([again])

    assert [note.instance for note in pending] == ["new"]
    assert await office.ledger.mailboxes.starts() == []


# --- outages and deaths --------------------------------------------------------------------------------------


async def test_while_the_ledger_does_not_answer_nothing_is_deleted(office: Office) -> None:
    """Everything comes again, and is then handled as if nothing had happened."""
    await office.ask("c1")
    bodies = [reply(to="c1"), "no json", reply("unknown")]
    with office.store.outage(), pytest.raises(ServiceUnavailableError):
        await office.deliver(*bodies)
    left = len(office.queue().messages)
    office.queue().redeliver()
    await office.take()

    assert left == 3
    assert await office.fates() == ["matched", "malformed", "held"]
    assert office.queue().messages == []


async def test_one_message_that_cannot_be_handled_holds_up_no_other(office: Office) -> None:
    """A bug, or a value that the table refuses, costs that message alone."""
    await office.ask("c1")
    original = office.ledger.instances.head

    async def refuse(instance: str) -> Any:
        if instance == "poison":
            raise RuntimeError("refused by the table")
        return await original(instance)

    office.ledger.instances.head = refuse  # type: ignore[method-assign]
    await office.deliver(reply("poison"), reply(to="c1"))

    assert await office.fates() == ["matched"]
    assert [json.loads(body)["workflowInstanceId"] for body, _ in office.queue().messages] == ["poison"]


Story = Callable[[Office], Any]


async def _echoed(office: Office) -> None:
    await office.ask("c1")


async def _closed_before(office: Office) -> None:
    await office.ask("c1")
    await office.close("c1", "timed_out")


async def _early(office: Office) -> None:
    await office.ask("other", source="other#one")


STORIES: dict[str, tuple[Story, str, str]] = {
    "echoed": (_echoed, reply(to="c1"), NAMES.reply_queue),
    "by source": (_echoed, reply(), NAMES.reply_queue),
    "late": (_closed_before, reply(to="c1"), NAMES.reply_queue),
    "late by source": (_closed_before, reply(), NAMES.reply_queue),
    "early": (_early, reply(), NAMES.reply_queue),
    "orphan": (_early, reply(to="nobody"), NAMES.reply_queue),
    "start": (_early, start(a=1), NAMES.command_queue),
    "rejected": (_early, start(b=1), NAMES.command_queue),
    "malformed": (_early, "no json", NAMES.reply_queue),
}


async def told(prepare: Story, body: str, queue: str, at: int, *, lost: bool) -> tuple[Any, Office, bool]:
    """Deliver with a death at the ``at``-th call, redeliver, and look: (content, office, whether it died)."""
    office = Office()
    office.router.exchange.id = "router"
    await office.instance()
    await prepare(office)
    died = False
    with office.router.waiters.registered("c1") as woken:
        if at:
            office.store.arm(at, lost=lost)
        try:
            await office.deliver(body, queue=queue)
        except Died:
            died = True
            woken.clear()  # whoever was woken in the process that died was not
            office.store.arm(0, lost=False)
            office.queue(queue).redeliver()
            await office.take(queue=queue)
        office.store.arm(0, lost=False)
        content = office.store.content("ROUTERS")
        return {"content": content, "woken": woken.is_set(), "queue": office.queue(queue).messages}, office, died


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("story", STORIES)
async def test_a_death_at_any_call_changes_nothing_in_the_end(story: str, lost: bool) -> None:
    """Redelivery leads to the undisturbed end: one close, one fate, somebody woken, the queue empty."""
    prepare, body, queue = STORIES[story]
    undisturbed, _, _ = await told(prepare, body, queue, 0, lost=lost)

    deaths = 0
    for at in range(1, 60):
        ended, office, died = await told(prepare, body, queue, at, lost=lost)
        assert ended == undisturbed, f"call {at}"
        if not died:
            break
        deaths += 1
        refused = office.queue(NAMES.rejected_queue(queue)).messages
        assert len({tuple(sorted(attributes.items())) for _, attributes in refused}) <= 1
    assert deaths >= 1
    assert undisturbed["queue"] == []


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
async def test_a_death_while_an_early_reply_is_taken_changes_nothing(lost: bool) -> None:
    """The region that opened the request does it again."""

    async def taken(at: int) -> tuple[Any, bool]:
        office = Office()
        office.router.exchange.id = "router"
        await office.instance()
        await office.deliver(reply())
        request = await office.ask("c1")
        office.store.arm(at, lost=lost)
        died = False
        try:
            await office.router.exchange.ask(request)
        except Died:
            died = True
            office.store.arm(0, lost=False)
            now = await office.request("c1")
            if now.state == "open":
                await office.router.exchange.ask(now)
        office.store.arm(0, lost=False)
        request_now, fates = await office.request("c1"), await office.fates()
        return (request_now.state, request_now.reply, request_now.answered_by), died or fates == ["matched"]

    expected, _ = await taken(0)
    for at in range(1, 20):
        ended, fine = await taken(at)
        assert ended == expected
        assert fine


# --- several routers -----------------------------------------------------------------------------------------


async def test_a_reply_taken_by_another_router_wakes_the_owner(office: Office) -> None:
    """Through the owner's mailbox in the ledger: it does not matter which triggerer received it."""
    await office.ask("c1")
    other = office.new_router()
    with office.router.waiters.registered("c1") as woken:
        await office.deliver(reply(to="c1"), router=other)
        before = woken.is_set()
        await office.router.mailbox.read()

    assert (before, woken.is_set()) == (False, True)
    assert await office.ledger.mailboxes.wakes(office.router.id) == []


async def test_all_owners_are_woken(office: Office) -> None:
    """A request that two copies of a trigger wait for, in two processes."""
    request = await office.ask("c1")
    other = office.new_router()
    await office.ledger.requests.open(request, other.id)
    with office.router.waiters.registered("c1") as first, other.waiters.registered("c1") as second:
        await office.deliver(reply(to="c1"))
        await other.mailbox.read()

    assert first.is_set()
    assert second.is_set()


async def test_owners_that_are_long_gone_cost_nothing(office: Office) -> None:
    """Every restart in the weeks of a wait has left one; who may only have been away for a while is woken."""
    request = await office.ask("c1")
    gone, away, unknown = (office.new_router() for _ in range(3))
    for router in (gone, away, unknown):
        await office.ledger.requests.open(request, router.id)
    await gone._write_counters()
    office.clock.advance(2 * 3600)
    await away._write_counters()
    office.clock.advance(23 * 3600)

    await office.deliver(reply(to="c1"))

    wakes = [len(await office.ledger.mailboxes.wakes(router.id)) for router in (gone, away, unknown)]
    assert wakes == [0, 1, 1]


async def test_no_wake_is_lost_with_the_table(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table fails after one of two wakes was taken out: that one is delivered, the other one with the next look."""
    other = office.new_router()
    await office.ledger.mailboxes.wake(other.id, ["c1", "c2"], 1000)
    delete, deleted = office.store.delete, []

    async def once(key: tuple[str, str]) -> None:
        if deleted:
            raise ServiceUnavailableError("throttled")
        deleted.append(key)
        await delete(key)

    with other.waiters.registered("c1") as first, other.waiters.registered("c2") as second:
        monkeypatch.setattr(office.store, "delete", once)
        with pytest.raises(ServiceUnavailableError):
            await other.mailbox.read()
        (left,) = await office.ledger.mailboxes.wakes(other.id)
        monkeypatch.setattr(office.store, "delete", delete)
        await other.mailbox.read()

        assert first.is_set()
        assert second.is_set()
    assert deleted != [(f"WAKE#{other.id}", left)]
    assert await office.ledger.mailboxes.wakes(other.id) == []


async def test_who_was_woken_first_does_not_wait_for_the_others(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full mailbox: each is woken as soon as its own wake was taken out, not all in the same moment."""
    other = office.new_router()
    await office.ledger.mailboxes.wake(other.id, ["c1", "c2", "c3"], 1000)
    delete, woken = office.store.delete, []
    with ExitStack() as stack:
        waiting = [stack.enter_context(other.waiters.registered(each)) for each in ("c1", "c2", "c3")]

        async def watched(key: tuple[str, str]) -> None:
            woken.append(sum(each.is_set() for each in waiting))
            await delete(key)

        monkeypatch.setattr(office.store, "delete", watched)
        await other.mailbox.read()

    assert woken == [0, 1, 2]


async def test_who_waits_looks_for_himself_one_by_one(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a wake get lost after all: everybody looks again, but never many in the same moment."""
    woken: list[int] = []
    with ExitStack() as stack:
        waiting = [stack.enter_context(office.router.waiters.registered(f"c{number}")) for number in range(5)]

        async def pause(seconds: float) -> None:
            assert seconds > 0
            woken.append(sum(each.is_set() for each in waiting))

        monkeypatch.setattr("cch.messaging.mailbox.asyncio.sleep", pause)
        await office.router.mailbox.read()
        await office.router.mailbox.sweep()

    assert woken == [1, 2, 3, 4, 5]


async def test_nobody_is_sent_to_look_while_the_table_does_not_answer(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else thousands would go on trying until the outage is over, and all come back with it."""

    async def refused(*_: Any, **__: Any) -> Any:
        raise ServiceUnavailableError("throttled")

    query = office.store.query
    with office.router.waiters.registered("c1") as waiting:
        await office.router.mailbox.read()
        monkeypatch.setattr(office.store, "query", refused)
        with pytest.raises(ServiceUnavailableError):
            await office.router.mailbox.read()
        sweep = asyncio.create_task(office.router.mailbox.sweep())
        await asyncio.sleep(0)
        during = waiting.is_set()
        monkeypatch.setattr(office.store, "query", query)
        await office.router.mailbox.read()
        await sweep

    assert not during
    assert waiting.is_set()


async def test_a_mailbox_is_read_only_while_somebody_waits(office: Office) -> None:
    """An idle router costs no calls."""
    calls = office.store.count
    await office.router.mailbox.read()

    assert office.store.count == calls


async def test_two_routers_that_get_the_same_reply_close_once(office: Office) -> None:
    """SQS delivers at least once, perhaps to both at the same time."""
    await office.ask("c1")
    await office.queue().send(reply())
    batch = await office.queue().receive(0)
    other = office.new_router()

    await asyncio.gather(office.router.intake.handle(batch), other.intake.handle(batch))

    assert await office.fates() == ["matched"]
    assert (await office.request("c1")).state == "answered"


async def test_two_replies_that_race_for_one_request_do_not_both_win(office: Office) -> None:
    """One is matched, the other one is not; both have a fate."""
    await office.ask("c1")
    other = office.new_router()
    await office.queue().send(reply(id="r1", payload={"n": 1}))
    await office.queue().send(reply(id="r2", payload={"n": 2}))
    first, second = await office.queue().receive(0)

    await asyncio.gather(office.router.intake.handle([first]), other.intake.handle([second]))

    fates = sorted(await office.fates())
    assert fates == ["duplicate", "matched"]


async def test_a_running_router_consumes_wakes_and_stops(office: Office) -> None:
    """From the queue to the waiter; a stop waits for the polls under way and leaves no task behind."""
    await office.ask("c1")
    before = asyncio.all_tasks()
    with office.router.waiters.registered("c1") as woken:
        office.router.start(wait=0.05)
        office.router.start(wait=0.05)
        await office.queue().send(reply(to="c1"))
        await finished(woken.wait())
    await office.router.stop()

    assert asyncio.all_tasks() == before
    assert office.queue().messages == []


async def test_commands_are_consumed_only_while_a_doorbell_is_attached(office: Office) -> None:
    """A router in a process without a watcher leaves starts alone."""
    rung = asyncio.Event()
    office.router.start(wait=0.05)
    await office.queue(NAMES.command_queue).send(start(a=1))
    await asyncio.sleep(0.1)
    untouched = len(office.queue(NAMES.command_queue).messages)
    office.router.attach_doorbell(rung.set)
    await finished(rung.wait())
    office.router.detach_doorbell(rung.set)
    await office.router.stop()

    assert untouched == 1
    assert await office.ledger.instances.status("new") == "pending"


async def test_a_waiter_goes_on_before_the_message_s_fate_is_stored(office: Office) -> None:
    """The answer is decided by the request's item; storing the fate only lets the message be deleted."""
    await office.ask("c1")
    settle = office.ledger.messages.settle
    woken_before: list[Closed | None] = []

    with office.router.waiters.registered("c1") as woken:

        async def slow(record: MessageRecord) -> Stored:
            woken_before.append(woken.closed)
            return await settle(record)

        office.ledger.messages.settle = slow  # type: ignore[method-assign]
        await office.deliver(reply(to="c1"))

    (closed,) = woken_before
    assert closed is not None
    assert (closed.record.state, closed.record.command_id) == ("answered", "c1")


# --- either queue --------------------------------------------------------------------------------------------


async def test_a_reply_may_come_by_the_command_queue(office: Office) -> None:
    """Senders of the first implementation have one queue for everything."""
    await office.ask("c1")
    await office.deliver(reply(to="c1"), queue=NAMES.command_queue)

    assert (await office.request("c1")).state == "answered"


async def test_an_event_and_a_start_may_come_by_the_reply_queue(office: Office) -> None:
    """What a message is decides, not where it came from."""
    event = event_command(instance="i", command_id="e", payload={}, address=THE_INSTANCE, status="", now=NOW)
    await office.deliver(event, start(a=1))

    assert await office.fates() == ["held", "matched"]
    assert await office.ledger.instances.status("new") == "pending"
