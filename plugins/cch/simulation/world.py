"""What all scopes of one simulation share: what the scenario says, and what has come of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cch.definition.contract import Contract
from cch.definition.json_schemas import misfits
from cch.definition.paths import read_key
from cch.interpreter.host import EventQuery, Request
from cch.interpreter.outcome import Outcome
from cch.settings import Settings
from cch.simulation.bounds import Bounds
from cch.simulation.scenario import Scenario, ScriptedAnswer, ScriptedEvent
from cch.values import MISSING


@dataclass(slots=True)
class World:
    """What all scopes of one simulation share."""

    scenario: Scenario
    settings: Settings
    loop: asyncio.AbstractEventLoop
    visited: list[tuple[str, Outcome]] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    #: Capability → the contexts that it was sent, where the scenario expects something of them.
    sent: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    unscripted: set[str] = field(default_factory=set)
    #: Capability → its contract.
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    #: Capabilities that answered by their contracts, because the scenario does not say what they answer.
    by_contract: set[str] = field(default_factory=set)
    #: Branch keys of the items inside items of other maps, from the outside in.
    nested: set[tuple[str, ...]] = field(default_factory=set)
    #: Node → the JSON Schema of its form.
    forms: Mapping[str, Any] = field(default_factory=dict)
    #: What was said of events that do not fit the form of the node that they are for.
    misfits: list[str] = field(default_factory=list)
    #: (branch keys, node) → the event that is waited for.
    queries: dict[tuple[tuple[str, ...], str], EventQuery] = field(default_factory=dict)
    #: (branch keys, node) of everything that waits, in the order of its beginning.
    waiting: dict[tuple[tuple[str, ...], str], None] = field(default_factory=dict)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    _held: list[ScriptedEvent] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _consumed: set[tuple[str, str]] = field(default_factory=set)
    #: Set when the next event arrives; look at it before looking for events, or one slips through between.
    arrival: asyncio.Event = field(default_factory=asyncio.Event)

    bounds: Bounds = field(default_factory=Bounds)

    def now(self) -> int:
        self.bounds.step()
        return self.scenario.start + round(self.loop.time() * 1000)

    def next_answer(
        self, capability: str, branch: str, context: Mapping[str, Any], wants: Sequence[str]
    ) -> ScriptedAnswer | None:
        """The answer to the next request: the scripted one, else one by the contract; None if there is neither.

        Answers for the branch key have a sequence of their own.
        """
        scripted = self.scenario.answers.get(capability, {})
        own = branch if branch in scripted else ""
        listed = scripted.get(own) or ()
        if not listed:
            return self._by_contract(capability, branch if scripted else "", context, wants)
        index = self._asked[capability, branch]
        self._asked[capability, branch] += 1
        return listed[min(index, len(listed) - 1)]

    def _by_contract(
        self, capability: str, branch: str, context: Mapping[str, Any], wants: Sequence[str]
    ) -> ScriptedAnswer | None:
        contract = self.contracts.get(capability)
        if contract is None:
            self.unscripted.add(f"{capability} for branch {branch}" if branch else capability)
            return None
        self.by_contract.add(capability)
        status, payload = contract.answer(context, wants)
        return ScriptedAnswer(status=status, payload=payload, after=contract.usual or 0.0)

    def note_sent(self, request: Request) -> None:
        """Keep what is sent, if the scenario says what it should be."""
        expected = self.scenario.expect.get("requests")
        if isinstance(expected, Mapping) and isinstance(expected.get(request.capability_id), list):
            self.sent.setdefault(request.capability_id, []).append(request.context)

    def deliver(self, event: ScriptedEvent) -> None:
        """An event arrives; a repeated id changes nothing."""
        if event.id in self._seen:
            self.messages["duplicate"] += 1
            return
        if event.by_person and (reason := self._refused(event)):
            self.messages["refused"] += 1
            self.misfits.append(reason)
            return
        self._seen.add(event.id)
        self._held.append(event)
        arrived, self.arrival = self.arrival, asyncio.Event()
        arrived.set()

    def _refused(self, event: ScriptedEvent) -> str:
        """Why the API refuses an event of a person: it fits a wait, and not the form of its node. "" if it takes it."""
        for (path, node), query in self.queries.items():
            if event.address.fits(path) and _is_meant(event, query) and (wrong := self._misfit(event, node)):
                return f"event {event.id} is refused, as it does not fit the form of {node!r}: {wrong}"
        return ""

    def _misfit(self, event: ScriptedEvent, node: str) -> str:
        found = misfits(self.forms[node], event.payload) if node in self.forms else []
        return "; ".join(f"{'.'.join(map(str, place))}: {text}" if place else text for place, text in found[:3])

    def take_event(self, query: EventQuery, path: tuple[str, ...]) -> ScriptedEvent | None:
        """The oldest event that fits and that nobody took for this key."""
        key = query.event_key
        for event in tuple(self._held):
            if not event.address.whole and len(event.address.meant(self.nested | {path})) > 1:
                self._held.remove(event)  # nobody can tell which item is meant
                self.messages["orphan"] += 1
                continue
            is_meant = _is_meant(event, query)
            taken = {by for event_id, by in self._consumed if event_id == event.id}
            if event.address.fits(path) and is_meant and not (taken if not key else taken & {key, ""}):
                self._consumed.add((event.id, key))
                if wrong := self._misfit(event, query.node):
                    self.misfits.append(f"a person could not send event {event.id} to {query.node!r}: {wrong}")
                return event
        return None

    def unused_events(self) -> int:
        """Events that nobody took: late, once the instance has ended."""
        used = {event_id for event_id, _ in self._consumed}
        return sum(event.id not in used for event in self._held)


def _is_meant(event: ScriptedEvent, query: EventQuery) -> bool:
    """Whether the event is one that is waited for."""
    key = query.event_key
    if key and read_key(key, query.rules).find(event.payload) is MISSING:
        return False
    return query.match is None or query.match.takes(event.payload)
