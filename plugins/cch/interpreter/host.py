"""What the interpreter needs from the world. Hosts: the ledger's (real runs) and the simulator's (virtual time)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from cch.definition.rules import NEWEST
from cch.errors import ServiceUnavailableError
from cch.expressions.matching import Match
from cch.identity import Keys
from cch.interpreter.flow import TokenFlow
from cch.interpreter.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One attempt to get an answer from a capability. ``timeout`` in seconds; None waits for ever."""

    node: str
    visit: int
    attempt: int
    capability_id: str
    context: Mapping[str, Any]
    request_output_keys: tuple[str, ...] = ()
    timeout: float | None = None
    #: Whether each attempt has a request key of its own.
    key_per_attempt: bool = False
    #: Whether a context that is too large for a message may travel as a reference.
    payload_ref: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How an attempt ended; ``at`` is ms since 1970.

    reply: ``status`` and ``payload`` are the capability's. timeout: none came in time. unsendable: ``reason``
    says why. superseded: an earlier try of the task left the attempt open; it counts for nobody.
    """

    kind: Literal["reply", "timeout", "unsendable", "superseded"]
    at: int
    command_id: str = ""
    status: str = "SUCCESS"
    payload: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """What a visit waits for; ``event_key`` "" takes any event. ``timeout`` in seconds; None waits for ever.

    ``rules``: the number of those by which ``event_key`` is read. ``match``: what has to be true of the event, too.
    """

    node: str
    visit: int
    event_key: str
    rules: int = NEWEST
    timeout: float | None = None
    match: Match | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAnswer:
    """How the wait ended; ``status`` is "" if the event brought none, ``message`` names it."""

    kind: Literal["event", "timeout"]
    payload: Mapping[str, Any] = field(default_factory=dict)
    status: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One synchronous call. ``last_reply`` is the payload of the latest reply on the way here, if there was one.

    ``outputs`` are the declared keys (None: nothing declared). ``request_key`` is the same for all attempts of the
    visit, unless the node gives each its own; ``idempotency_key`` is what an HTTP endpoint gets instead
    (``""``: the same). ``timeout`` is the node's, in seconds (None: it has none); who calls need not watch it.
    """

    node: str
    capability_id: str
    context: Mapping[str, Any]
    outputs: tuple[str, ...] | None
    last_reply: Mapping[str, Any] | None
    instance_id: str
    correlation_id: str
    request_key: str
    attempt: int
    idempotency_key: str = ""
    timeout: float | None = None


T = TypeVar("T")


class OvertakenError(Exception):
    """Another copy of this region committed first; what it wrote is in the journal and counts."""


class Host(Protocol):
    """The effects of one region's run. All of them may be repeated after a crash and then have no second effect."""

    instance_id: str
    correlation_id: str
    workflow_id: str
    #: When the instance began, in ms since 1970.
    started: int

    def now(self) -> int:
        """Milliseconds since 1970."""
        ...

    async def sleep_until(self, when: int) -> None: ...

    async def compute(self, work: Callable[[], T]) -> T:
        """The result of ``work``, which may take a second or two: whoever else waits here must not notice."""
        ...

    def first_attempt(self, node: str, visit: int) -> int:
        """Number of the first attempt that counts for this try of the task."""
        ...

    async def request(self, request: Request) -> Answer:
        """Send the request, if it was not sent, and wait for its end."""
        ...

    async def wait_event(self, query: EventQuery) -> EventAnswer:
        """Wait for an event, also one that came before the wait."""
        ...

    def keys(self, node: str, visit: int, attempt: int, *, per_attempt: bool) -> Keys:
        """By what a function or endpoint tells a repetition of a synchronous call."""
        ...

    def place(self) -> AbstractAsyncContextManager[None]:
        """A place for one attempt of a call, where not all can be made at once. To wait for it is no part of it."""
        ...

    async def call(self, call: Call) -> Any:
        """Run the function, Lambda or endpoint that is bound to the capability; what it returned, whatever that is.

        :raises CapabilityError: nothing bound, or the call failed.
        """
        ...

    async def library(
        self, function_id: str, parameters: Mapping[str, Any], context: Mapping[str, Any], rules: int
    ) -> Any:
        """Run a function of the library, for a definition that is read by ``rules``.

        :raises CapabilityError: unknown function, or it failed.
        """
        ...

    async def follow(self, flow: TokenFlow) -> None:
        """The state of the scope that the host runs: it has what was committed before, and grows with every turn."""
        ...

    async def leave(self) -> None:
        """Nothing in the scope can run any more."""
        ...

    async def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Make the outcomes of one turn durable, together.

        :raises OvertakenError: another copy of the region was faster.
        """
        ...

    async def item(self, node: str, visit: int, index: int, branch: str) -> tuple[Host | None, Sequence[Outcome]]:
        """The scope of one item of a map: a host that speaks for it, and what was committed for it before.

        Without a host somebody else has run the item, to its end or not.
        """
        ...

    async def map_begun(self, node: str, visit: int, items: int) -> None:
        """A map is about to run its body for each item; also when it goes on after a crash."""
        ...

    async def unavailable(self, error: ServiceUnavailableError, tries: int) -> None:
        """AWS has not answered ``tries`` times: say so, and wait a while before the next try."""
        ...

    def note(self, event: str, **facts: Any) -> None:
        """Tell people, in the task's log. No payloads."""
        ...
