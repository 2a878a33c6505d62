"""Thousands of generated messages, most of them wrong: each has one fate, and none harms anything."""

from __future__ import annotations

import asyncio
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from workshop import INSTANCE, NOW, Workshop

from cch.envelope import MAX_BODY
from cch.ledger.audit import audit
from cch.ledger.records import FINAL, Instance, RequestRecord
from cch.ledger.waits import WaitRecord
from cch.testing.memory_queue import MemoryQueue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cch.graph.plan import Plan

#: Messages of one test run; ``CCH_HOSTILE_MESSAGES`` asks for more.
MESSAGES = int(os.environ.get("CCH_HOSTILE_MESSAGES", "1000"))
#: Messages of one example: enough for some of them to meet.
_TOGETHER = 20

WORKFLOW = """\
workflow_id: w
workflow_name: W
entry_point: Ask
initial_context: [a]
nodes:
  Ask: {type: async_request, capability_id: import#x, on_response: Approve, on_failure: Approve}
  Approve: {type: event_wait, on_event: End}
  End: {type: end}
"""
OTHER = "22222222-2222-4222-8222-222222222222"
ENDED = "33333333-3333-4333-8333-333333333333"
#: What SQS takes in bodies and attributes: XML's characters.
_LEGAL = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")

# --- messages ------------------------------------------------------------------------------------------------

texts = st.one_of(
    st.text(st.characters(codec=None), max_size=8),
    st.sampled_from(
        ["", " ", "\x00", "..", "../../etc/passwd", "a#b", "#", "-", "\ufffe", "\ud800", "𝕏" * 200, "é" * 2000]
    ),
    st.integers(100, 3000).map("x".__mul__),
)
numbers = st.one_of(
    st.integers(), st.floats(), st.sampled_from([2**63, -(2**64), 10**300, 10**4000, 1e308, float("nan"), float("inf")])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
FRESH = tuple(f"fresh-{number}" for number in range(6))
#: What may stand in each field in place of what is right: now and then fitting, mostly not.
STRANGE: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["EVENT", "RESP"]) | values,
    "id": texts | values,
    "source": st.sampled_from(["Capability:", "Capability:a#x", "import#x"]) | texts | values,
    "timestamp": st.just("2026-01-31") | values,
    "payload": st.dictionaries(st.sampled_from(["a", "status", "_errorNode"]) | texts, values, max_size=3) | values,
    "status": st.sampled_from(["SUCCESS", "", None, "ok"]) | values,
    "inReplyTo": st.sampled_from(["CLOSED", "THEIRS", "nothing"]) | texts | values,
    "in_reply_to": st.sampled_from(["OPEN", "THEIRS"]) | values,
    "routingHint": st.fixed_dictionaries({"branchKey": texts | numbers | st.booleans()}) | values,
    "workflowInstanceId": texts | values,
    "workflowDefinitionURI": st.sampled_from(["bad", "w.yaml/..", "s3://b/other.yaml"]) | texts | texts | values,
    "correlationId": texts | values,
    "sourceEvent": values,
}
_AT_THE_TOP = ("workflowInstanceId", "workflowDefinitionURI", "correlationId", "sourceEvent")


@st.composite
def envelopes(draw: st.DrawFn) -> dict[str, Any]:
    """A command that is right, but for at most two of its fields."""
    kind = draw(st.sampled_from(["ASYNC_RESP", "EVENT_WAIT_RESP", "START_WORKFLOW"]))
    command: dict[str, Any] = {
        "type": kind,
        "id": draw(st.sampled_from(["r1", "r2", "r3", "é" * 2000])),
        "source": "Capability:import#x",
        "timestamp": "2026-01-31T10:00:00Z",
        "payload": {"a": 1},
    }
    raw: dict[str, Any] = {"workflowInstanceId": draw(st.sampled_from([INSTANCE, INSTANCE, OTHER, ENDED, "nobody"]))}
    if kind == "START_WORKFLOW":
        raw |= {"workflowInstanceId": draw(st.sampled_from(FRESH)), "workflowDefinitionURI": "s3://b/w.yaml"}
    elif kind == "ASYNC_RESP" and draw(st.booleans()):
        command["inReplyTo"] = {INSTANCE: "OPEN", OTHER: "THEIRS"}.get(raw["workflowInstanceId"], "nothing")
    for name in draw(st.lists(st.sampled_from(list(STRANGE)), max_size=2)):
        (raw if name in _AT_THE_TOP else command)[name] = draw(STRANGE[name])
    for name in draw(st.sampled_from([()] * 9 + [(name,) for name in STRANGE])):
        raw.pop(name, None)
        command.pop(name, None)
    return {**raw, "command": command}


def _twice(raw: dict[str, Any]) -> str:
    """The same keys twice, with another value the second time."""
    text = json.dumps(raw)
    return text[:-1] + ', "workflowInstanceId": "nobody", "command": ' + json.dumps(raw.get("command")) + "}"


def _infinite(raw: dict[str, Any]) -> str:
    """A number that JSON's grammar allows and that is too large for a double."""
    return json.dumps(raw | {"x": 0}).replace('"payload": {', '"payload": {"n": 1e999, ', 1)


def _filled(raw: dict[str, Any]) -> str:
    """As many bytes as a queue takes."""
    text = json.dumps(raw | {"filler": ""})
    return text[:-2] + "x" * (MAX_BODY - len(text.encode())) + '"}'


class Body(str):
    """A text that is told in a few words, however long it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return super().__repr__() if len(self) < 2000 else f"<{len(self)} characters: {self[:1000]!r}…>"


bodies = st.one_of(
    envelopes().map(json.dumps),
    envelopes().map(json.dumps),
    envelopes().map(json.dumps),
    envelopes().map(json.dumps),
    envelopes().map(_twice),
    envelopes().map(_infinite),
    values.map(json.dumps),
    texts,
    st.tuples(envelopes().map(json.dumps), st.integers(0, 400)).map(lambda cut: cut[0][: cut[1]]),
    st.sampled_from(["[" * 100_000, '{"a":' * 50_000, "[" * 90 + "]" * 90, "𝕏" * (MAX_BODY // 4), "\x01" * 1000, ""]),
    st.sampled_from([{"workflowInstanceId": INSTANCE, "command": {"type": "EVENT_WAIT_RESP", "id": "big"}}]).map(
        _filled
    ),
).map(Body)


@dataclass(frozen=True)
class Replay:
    """One of the messages that came before, sent again: ``which`` counts from the newest."""

    which: int


letters = st.tuples(
    st.sampled_from(["reply", "command"]), st.one_of(*[bodies] * 5, st.integers(0, _TOGETHER).map(Replay))
)

# --- the platform --------------------------------------------------------------------------------------------


class StrictQueue(MemoryQueue):
    """A queue that refuses what SQS refuses."""

    async def send(self, body: str, attributes: Mapping[str, str] | None = None) -> None:
        texts = [body, *(attributes or {}).values()]
        assert all(text and _LEGAL.fullmatch(text) for text in texts), "not allowed in a message"
        names = sum(len(name) + len("String") for name in attributes or {})
        assert sum(len(text.encode()) for text in texts) + names <= MAX_BODY, "too large for the queue"
        await super().send(body, attributes)


class Post:
    """A platform with three instances and two open requests, and messages that come in one after the other."""

    def __init__(self, folder: Path) -> None:
        self.shop = Workshop(folder, {"w": WORKFLOW, "bad": "workflow_id: bad"})
        names = self.shop.settings.names
        self.incoming = {"reply": names.reply_queue, "command": names.command_queue}
        for queue in self.incoming.values():
            rejected = names.rejected_queue(queue)
            self.shop.queues._queues[rejected] = StrictQueue(rejected)
        self.sent: list[str] = []

    async def open(self) -> None:
        """OPEN and CLOSED are requests of the first instance, THEIRS is of the other one."""
        plain = Instance(id=INSTANCE, workflow_id="w", correlation_id="BL-7", status="running", started=NOW)
        for instance in (plain, replace(plain, id=OTHER), replace(plain, id=ENDED, status="completed")):
            await self.shop.ledger.instances.create(instance)
        await self.ask("OPEN", INSTANCE)
        await self.ask("CLOSED", INSTANCE, source="a#x")
        await self.ask("THEIRS", OTHER)
        await self.shop.platform.exchange.close("CLOSED", "timed_out")

    async def ask(self, command_id: str, instance: str, source: str = "import#x", sent_at: int = NOW) -> RequestRecord:
        record = RequestRecord(
            command_id=command_id, instance=instance, region="Ask", node="Ask", visit=1, attempt=1, source=source,
            branch="", state="open", created=NOW, deadline=0, sent_at=sent_at, task_instance="t", body_hash="h",
            owners=frozenset(),
        )  # fmt: skip
        _, stored = await self.shop.ledger.requests.open(record, "router")
        await self.shop.ledger.requests.point(stored)
        return stored

    async def deliver(self, queue: str, body: str) -> None:
        """One message, from its arrival until it is deleted, and what must be true of it then."""
        ledger, source = self.shop.ledger, self.shop.queues.make(queue)
        rejected = self.shop.queues.make(self.shop.settings.names.rejected_queue(queue))
        before, refused = self.content(), len(rejected.messages)
        known = {item["PK"] for item in await ledger.store.scan("MSG#")}
        await source.send(body)
        await self.shop.postman.take(source)

        assert source.messages == []
        (key,) = {item["PK"] for item in await ledger.store.scan("MSG#")} - known
        record = await ledger.messages.get(key)
        assert record is not None
        assert record.fate in FINAL | {"held"}
        assert record.fate in ("matched", "held") or record.reason or record.fate == "duplicate"
        assert len(rejected.messages) - refused == (record.fate in ("malformed", "rejected"))
        after = self.content()
        changed = {place for place in {*before, *after} if before.get(place) != after.get(place)}
        assert not changed or record.fate == "matched", changed
        assert {_whose(place, after) for place in changed} <= {record.instance}

    def content(self) -> dict[tuple[str, str], dict[str, Any]]:
        """All that belongs to instances, but the messages and the pointers to them."""
        pointers = ("HELD#", "EID#")
        stored = {place: item for place, item in self.shop.stored().items() if not place[1].startswith(pointers)}
        return {place: item for place, item in stored.items() if not place[0].startswith("VERSIONS#")}

    async def close(self) -> None:
        """What was held is taken by those who ask now, and the books balance."""
        exchange = self.shop.postman.exchange
        await exchange.ask(await self.ask("NEXT", INSTANCE, "a#x", sent_at=0))
        for key in ("", "a"):
            wait = WaitRecord(
                id=f"wait {key}", instance=INSTANCE, branch="", node="Approve", event_key=key, state="open",
                task_instance="t", created=NOW, deadline=0, owners=frozenset(),
            )  # fmt: skip
            await exchange.take_event(await exchange.await_event(wait))

        async def plan_of(_: Instance) -> Plan:
            return self.shop.plan

        assert (await audit(self.shop.ledger, plan_of, 0)).findings == ()


def _whose(place: tuple[str, str], content: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    """The instance that an item belongs to."""
    kind, _, rest = place[0].partition("#")
    match kind:
        case "INST":
            return rest
        case "BOX":
            return rest.split("#")[0]
        case "REQ":
            return str(content[place]["instance"])
    return place[1]  # a note in the inbox


@given(st.lists(letters, min_size=_TOGETHER, max_size=_TOGETHER))
@settings(max_examples=MESSAGES // _TOGETHER, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_every_message_has_one_fate_and_harms_nobody(post: list[tuple[str, str | Replay]]) -> None:
    """It is stored with fate and reason, forwarded if it was refused, deleted, and changes at most its own instance."""

    async def tell() -> None:
        with TemporaryDirectory() as folder:
            office = Post(Path(folder))
            await office.open()
            for queue, letter in post:
                replayed = isinstance(letter, Replay)
                body = (
                    (office.sent[-1 - letter.which % len(office.sent)] if office.sent else "") if replayed else letter
                )
                office.sent.append(body)
                await office.deliver(office.incoming[queue], body)
            await office.close()

    asyncio.run(tell())
