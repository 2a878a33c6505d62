"""What a definition means, as frozen records; one class a node type, closed by the union :data:`Node`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cch.definition.rules import NEWEST
from cch.durations import LONGEST

#: What a capability that is asked again tells a repetition by: the visit, or the single attempt.
Idempotency = Literal["visit", "attempt"]
#: How often a loop may come back to a node when the definition does not say (language, "max_visits").
DEFAULT_MAX_VISITS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Attempts after a failure; ``delay``, ``max_delay`` in seconds."""

    max_attempts: int = 1
    delay: float = 0.0
    backoff: float = 1.0
    max_delay: float | None = None
    on: tuple[str, ...] | None = None

    def pause(self, attempt: int) -> float:
        """Seconds to wait after ``attempt`` (from 1) has failed; never more than a century.

        Exactly so long, and nothing of it is left to chance as in :mod:`cch.pauses`: the definition promises it, a
        replay has to come to the same moment, and instances fail at moments of their own.
        """
        try:
            pause = self.delay * self.backoff ** (attempt - 1)
        except OverflowError:
            pause = LONGEST if self.delay else 0.0
        return min(pause, LONGEST if self.max_delay is None else self.max_delay)

    def covers(self, codes: tuple[str, ...]) -> bool:
        """Whether a failure with these error codes is tried again."""
        return self.on is None or bool(set(self.on) & set(codes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    name: str
    title: str = ""
    description: str = ""
    on_failure: str | None = None
    max_visits: int = DEFAULT_MAX_VISITS
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(_Common):
    next: str
    type: Literal["entry"] = "entry"


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncRequest(_Common):
    capability_id: str
    on_response: str
    input_keys: tuple[str, ...] | None = None
    request_output_keys: tuple[str, ...] = ()
    timeout: float | None = None
    on_timeout: str | None = None
    retry: Retry = Retry()
    idempotency: Idempotency = "visit"
    #: Whether the capability reads a context that is too large for a message from where the request says it is.
    payload_ref: bool = False
    error_reply: Literal["response", "failure"] | None = None
    type: Literal["async_request"] = "async_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCall(_Common):
    capability_id: str
    input_keys: tuple[str, ...] | None = None
    #: None: whatever the call returns is merged.
    output_keys: tuple[str, ...] | None = None
    on_success: str | None = None
    timeout: float | None = None
    on_timeout: str | None = None
    retry: Retry = Retry()
    idempotency: Idempotency = "visit"
    type: Literal["sync_call"] = "sync_call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition(_Common):
    condition_on_key: str
    branches: Mapping[str, str]
    type: Literal["condition"] = "condition"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetState(_Common):
    static_outputs: Mapping[str, Any] = field(default_factory=dict)
    on_success: str | None = None
    type: Literal["set_state"] = "set_state"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogError(_Common):
    default_error_code: str
    default_message: str
    on_success: str
    message_from_context_key: str | None = None
    type: Literal["log_error"] = "log_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryCall(_Common):
    library_function_id: str
    parameters: Mapping[str, Any]
    output_key: str
    on_success: str
    timeout: float | None = None
    on_timeout: str | None = None
    retry: Retry = Retry()
    type: Literal["library_call"] = "library_call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork(_Common):
    branches: tuple[str, ...]
    type: Literal["fork"] = "fork"


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(_Common):
    join_branches: tuple[str, ...]
    on_success: str
    destination: str | None = None
    type: Literal["join"] = "join"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFork(_Common):
    input_list_key: str
    branch_key: str
    branch_entry_node: str
    item_key: str = "current_map_item"
    concurrency: int | None = None
    execution: Literal["mapped", "inline"] | None = None
    type: Literal["map_fork"] = "map_fork"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndBranch(_Common):
    type: Literal["end_branch"] = "end_branch"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWait(_Common):
    event_key: str | None = None
    on_event: str
    #: JSON Schema of the payload, for the form that a person fills in.
    payload_schema: Mapping[str, Any] | None = None
    timeout: float | None = None
    on_timeout: str | None = None
    type: Literal["event_wait"] = "event_wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledRequest(_Common):
    capability_id: str
    date_context_key: str
    on_response: str
    #: Zone of a date that has none; None: UTC.
    timezone: str | None = None
    on_schedule_set: Mapping[str, Any] = field(default_factory=dict)
    on_success: str | None = None
    input_keys: tuple[str, ...] | None = None
    request_output_keys: tuple[str, ...] = ()
    timeout: float | None = None
    on_timeout: str | None = None
    retry: Retry = Retry()
    idempotency: Idempotency = "visit"
    #: Whether the capability reads a context that is too large for a message from where the request says it is.
    payload_ref: bool = False
    error_reply: Literal["response", "failure"] | None = None
    type: Literal["scheduled_request"] = "scheduled_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class End(_Common):
    status: Literal["success", "failed"] = "success"
    type: Literal["end"] = "end"


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

#: Nodes that send a request over a queue.
Requesting = AsyncRequest | ScheduledRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One workflow.

    ``digest`` is the sha256 (hex) of the text it was read from; ``required`` maps each key that a start must
    bring to its JSON Schema (``True``: anything but absent). ``reading_rules``: see :mod:`cch.definition.rules`.
    """

    workflow_id: str
    workflow_name: str
    entry_point: str
    nodes: Mapping[str, Node]
    required: Mapping[str, Any] = field(default_factory=dict)
    schema_version: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    owner: str = ""
    timeout: float | None = None
    granularity: Literal["node", "workflow"] = "node"
    reading_rules: int = NEWEST
    digest: str = ""
    file: str = ""
    text: str = field(default="", repr=False)
