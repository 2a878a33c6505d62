"""The types of nodes, as frozen records: one class a type, closed by the union :data:`Node`.

Those that are instant are in :mod:`cch.definition.instant_nodes`; others use them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from cch.definition.instant_nodes import (
    OTHERWISE,
    Choice,
    Condition,
    End,
    EndBranch,
    Entry,
    Fork,
    Join,
    LogError,
    SetState,
)
from cch.definition.kinds import (
    MAP_ITEM,
    Asked,
    Calling,
    Effect,
    Idempotency,
    NodeRecord,
    Requesting,
    Timed,
    Way,
)
from cch.definition.uses import (
    ALWAYS,
    Read,
    Write,
    Written,
    asking_expressions,
    keys_of_reply,
    read_by,
    sent_paths,
    write_paths,
)

__all__ = [
    "NODE_TYPES",
    "OTHERWISE",
    "PATH_PARAMETERS",
    "AsyncRequest",
    "Choice",
    "Condition",
    "End",
    "EndBranch",
    "Entry",
    "EventWait",
    "Fork",
    "Join",
    "LibraryCall",
    "LogError",
    "MapFork",
    "Node",
    "ScheduledRequest",
    "SetState",
    "SyncCall",
    "target_keys",
]

#: Function of the library → its parameter that is a path of the context.
PATH_PARAMETERS = {"s3#read_jsonpath": "input_s3_uri_key", "core#calculate_timedelta": "date_context_key"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncRequest(Requesting):
    type: ClassVar[Literal["async_request"]] = "async_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCall(Calling):
    type: ClassVar[Literal["sync_call"]] = "sync_call"

    capability_id: str
    input_keys: tuple[str, ...] | None = None
    #: None: what ``input_keys`` says is sent.
    input: Mapping[str, Any] | None = None
    #: None: whatever the call returns is merged, unless ``output`` says what is.
    output_keys: tuple[str, ...] | None = None
    output: Mapping[str, Any] | None = None
    idempotency: Idempotency = "visit"

    @property
    def open_way(self) -> str | None:
        return "on_success" if self.on_success is None else None

    def reads(self) -> tuple[Read, ...]:
        return (*sent_paths(self.input_keys), *read_by(self.expressions()))

    def writes(self) -> tuple[Write, ...]:
        brought = write_paths("brings", self.brings, "path")
        if self.output is not None:
            return (*write_paths("output", self.output, "path"), *brought)
        return (*write_paths("output_keys", self.output_keys or (), "once_literal"), *brought)

    @property
    def writes_anything(self) -> bool:
        return self.output is None and self.output_keys is None and not self.brings

    def expressions(self) -> tuple[Written, ...]:
        return asking_expressions(self.input, self.output)

    @property
    def asked_keys(self) -> tuple[str, ...] | None:
        """The keys that the call has to deliver; None if it may deliver any."""
        return self.output_keys if self.output is None else None

    @property
    def asks(self) -> Asked:
        wants = self.output_keys if self.output is None else keys_of_reply(self.output)
        return Asked(
            answerer="binding", id=self.capability_id, key="capability_id", sends=self.input_keys, input=self.input,
            wants=wants, output=self.output,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryCall(Calling):
    type: ClassVar[Literal["library_call"]] = "library_call"

    library_function_id: str
    parameters: Mapping[str, Any]
    output_key: str

    def reads(self) -> tuple[Read, ...]:
        key = PATH_PARAMETERS.get(self.library_function_id, "")
        path = self.parameters.get(key)
        return (Read(place=("parameters", key), text=path),) if isinstance(path, str) else ()

    def writes(self) -> tuple[Write, ...]:
        return (Write(place=("output_key",), text=self.output_key),)

    @property
    def asks(self) -> Asked:
        return Asked(answerer="library", id=self.library_function_id, key="library_function_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFork(NodeRecord):
    type: ClassVar[Literal["map_fork"]] = "map_fork"
    effect: ClassVar[Effect] = "maps"
    shape = "parallel"
    target_keys = ("branch_entry_node",)

    branch_key: str
    branch_entry_node: str
    #: The path of the list; None: ``items`` says what it is.
    input_list_key: str | None = None
    items: str | None = None
    #: The path at which the items are with their results; None: where the list was.
    output_key: str | None = None
    item_key: str = "current_map_item"
    concurrency: int | None = None
    execution: Literal["mapped", "inline"] | None = None

    @property
    def results_at(self) -> str:
        """The path of the list with the items' results."""
        return self.output_key or self.input_list_key or ""

    def onward(self) -> tuple[Way, ...]:
        return ((MAP_ITEM, self.branch_entry_node),)

    def reads(self) -> tuple[Read, ...]:
        key = self.input_list_key
        listed = (Read(place=("input_list_key",), text=key),) if key is not None else ()
        return (
            *listed,
            Read(place=("branch_key",), text=self.branch_key, of="item"),
            *read_by(self.expressions()),
        )

    def writes(self) -> tuple[Write, ...]:
        key = "input_list_key" if self.output_key is None else "output_key"
        return (
            Write(place=(key,), text=self.results_at, brings=self.output_key is not None),
            Write(place=("item_key",), text=self.item_key, reading="key"),
        )

    def expressions(self) -> tuple[Written, ...]:
        return () if self.items is None else (Written(place=("items",), text=self.items),)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWait(Timed):
    type: ClassVar[Literal["event_wait"]] = "event_wait"
    effect: ClassVar[Effect] = "waits"
    shape = "event"
    target_keys = ("on_event", "on_timeout")

    event_key: str | None = None
    #: An expression that has to be true of the event.
    match: str | None = None
    on_event: str
    #: JSON Schema of the payload, for the form that a person fills in.
    payload_schema: Mapping[str, Any] | None = None

    @classmethod
    def fields_of(cls, keys: Mapping[str, Any]) -> dict[str, Any]:
        """``on_success`` is another name of ``on_event``."""
        fields = dict(keys)
        success = fields.pop("on_success", None)
        return {"on_event": success, **fields}

    def reads(self) -> tuple[Read, ...]:
        key = self.event_key
        named = (Read(place=("event_key",), text=key, reading="once_literal", of="payload"),) if key else ()
        return (*named, *read_by(self.expressions()))

    def expressions(self) -> tuple[Written, ...]:
        names = ("event", *ALWAYS)
        return () if self.match is None else (Written(place=("match",), text=self.match, names=names),)

    def writes(self) -> tuple[Write, ...]:
        properties = (self.payload_schema or {}).get("properties")
        place = ("payload_schema", "properties")
        described = properties if isinstance(properties, Mapping) else {}
        known = (Write(place=("event_key",), text=self.event_key, reading="once_literal"),) if self.event_key else ()
        shown = (Write(place=(*place, key), text=key, reading="key") for key in described)
        return (*known, *shown, *write_paths("brings", self.brings, "path"))

    @property
    def writes_anything(self) -> bool:
        return not self.writes()

    @property
    def event_path(self) -> str:
        return self.event_key or ""

    @property
    def takes_some(self) -> bool:
        return self.match is not None

    @property
    def form(self) -> Mapping[str, Any] | None:
        return self.payload_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledRequest(Requesting):
    type: ClassVar[Literal["scheduled_request"]] = "scheduled_request"
    target_keys: ClassVar[tuple[str, ...]] = ("on_success", "on_response", "on_timeout")
    at_once = "on_success"

    date_context_key: str
    #: Zone of a date that has none; None: UTC.
    timezone: str | None = None
    on_schedule_set: Mapping[str, Any] = field(default_factory=dict)
    on_success: str | None = None

    @classmethod
    def fields_of(cls, keys: Mapping[str, Any]) -> dict[str, Any]:
        """What stands in ``schedule_parameters`` are fields."""
        fields = Requesting.fields_of(keys)
        schedule = fields.pop("schedule_parameters")
        return fields | {key: schedule[key] for key in ("date_context_key", "timezone") if key in schedule}

    def reads(self) -> tuple[Read, ...]:
        date = Read(place=("schedule_parameters", "date_context_key"), text=self.date_context_key)
        return (*Requesting.reads(self), date)

    def writes(self) -> tuple[Write, ...]:
        at_once = write_paths("on_schedule_set", self.on_schedule_set, "once_literal")
        return (*at_once, *Requesting.writes(self))

    @property
    def constants(self) -> Mapping[str, Any]:
        return self.on_schedule_set


Node = (
    Entry
    | AsyncRequest
    | SyncCall
    | Condition
    | SetState
    | LogError
    | LibraryCall
    | Fork
    | Join
    | MapFork
    | EndBranch
    | EventWait
    | ScheduledRequest
    | End
)

#: The record of each type, by its name in definitions.
NODE_TYPES: Mapping[str, type[Node]] = {record.type: record for record in get_args(Node)}


def target_keys() -> tuple[frozenset[str], frozenset[str]]:
    """The keys of all types of node that name one node, and those that name several."""
    records = NODE_TYPES.values()
    single = frozenset({"on_failure"}).union(*(record.target_keys for record in records))
    return single, frozenset().union(*(record.target_lists for record in records))
