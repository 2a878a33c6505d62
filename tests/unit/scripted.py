"""A host whose capabilities answer as a script says, with a clock that only moves when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeVar

from strategies import Behaviour

from cch.errors import CapabilityError, ServiceUnavailableError
from cch.identity import Keys
from cch.interpreter.flow import TokenFlow
from cch.interpreter.host import Answer, Call, EventAnswer, EventQuery, Request
from cch.interpreter.outcome import Outcome

T = TypeVar("T")


class ManualClock:
    """Milliseconds that pass only by :meth:`advance`; sleepers return at once, with the time moved on."""

    def __init__(self, now: int = 0) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


class ScriptedHost:
    """:class:`~cch.interpreter.host.Host`; remembers what it was asked and what was committed.

    ``answers`` may replace the script: a function from a request to its answer, or an exception to raise.
    """

    instance_id = "i"
    correlation_id = "c"
    workflow_id = "random"
    #: 2026-01-05T08:00:00Z in ms.
    started = 1_767_600_000_000

    def __init__(
        self,
        script: Mapping[str, Behaviour] | None = None,
        clock: Callable[[], int] | None = None,
        *,
        on_request: Callable[[Request], Answer] | None = None,
        on_call: Callable[[Call], Mapping[str, Any]] | None = None,
        first_attempts: Mapping[str, int] | None = None,
    ) -> None:
        self.script = script or {}
        self.clock = clock or ManualClock()
        self.requests: list[Request] = []
        self.calls: list[Call] = []
        self.turns: list[list[Outcome]] = []
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.slept_until: list[int] = []
        self._on_request = on_request
        self._on_call = on_call
        self._first_attempts = first_attempts or {}

    @property
    def committed(self) -> list[Outcome]:
        return [outcome for turn in self.turns for outcome in turn]

    def now(self) -> int:
        return self.clock()

    async def sleep_until(self, when: int) -> None:
        self.slept_until.append(when)
        if isinstance(self.clock, ManualClock):
            self.clock.now = max(self.clock.now, when)

    async def compute(self, work: Callable[[], T]) -> T:
        return work()

    def first_attempt(self, node: str, visit: int) -> int:
        return self._first_attempts.get(f"{node}#{visit}", 1)

    async def _pace(self, node: str, visit: int = 1) -> Behaviour:
        behaviour = self.script.get(node, Behaviour()).at(visit)
        for _ in range(behaviour.pace):
            await asyncio.sleep(0)
        return behaviour

    async def request(self, request: Request) -> Answer:
        self.requests.append(request)
        behaviour = await self._pace(request.node, request.visit)
        if self._on_request is not None:
            return self._on_request(request)
        command_id = f"{request.node}/{request.visit}/{request.attempt}"
        match behaviour.kind:
            case "success":
                return Answer(kind="reply", at=self.now(), command_id=command_id, payload=behaviour.payload)
            case "error":
                return Answer(
                    kind="reply", at=self.now(), command_id=command_id, status="ERROR", payload=behaviour.payload
                )
            case "timeout":
                return Answer(kind="timeout", at=self.now(), command_id=command_id)
            case _:
                return Answer(kind="unsendable", at=self.now(), command_id=command_id, reason="no queue")

    def keys(self, node: str, visit: int, attempt: int, *, per_attempt: bool) -> Keys:
        key = f"i/{node}/{f'attempt {attempt}/' if per_attempt else ''}{visit}"
        return Keys(key, key)

    def place(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def unavailable(self, error: ServiceUnavailableError, tries: int) -> None:
        raise error

    async def call(self, call: Call) -> Mapping[str, Any]:
        self.calls.append(call)
        behaviour = await self._pace(call.node, int(call.request_key.rsplit("/", 1)[1]))
        if self._on_call is not None:
            return self._on_call(call)
        if behaviour.kind == "raises":
            raise CapabilityError("the function raised")
        return {} if behaviour.kind == "missing" else behaviour.payload

    async def library(
        self, function_id: str, parameters: Mapping[str, Any], context: Mapping[str, Any], rules: int
    ) -> Any:
        # The node is not told; parameters of the tests name it when the script matters.
        node = str(parameters.get("node", ""))
        behaviour = await self._pace(node)
        if behaviour.kind == "raises":
            raise CapabilityError("the function raised")
        return behaviour.payload.get("value")

    async def wait_event(self, query: EventQuery) -> EventAnswer:
        behaviour = await self._pace(query.node, query.visit)
        if behaviour.kind == "timeout":
            return EventAnswer(kind="timeout")
        return EventAnswer(kind="event", payload=behaviour.payload, message=f"{query.node}/{query.visit}")

    async def item(self, node: str, visit: int, index: int, branch: str) -> tuple[ScriptedHost, Sequence[Outcome]]:
        inner = ScriptedHost(self.script, self.clock, on_request=self._on_request, on_call=self._on_call)
        inner.requests, inner.calls = self.requests, self.calls
        return inner, ()

    async def follow(self, flow: TokenFlow) -> None:
        """Nobody is told."""

    async def leave(self) -> None:
        """Nobody is told."""

    async def commit(self, outcomes: Sequence[Outcome]) -> None:
        self.turns.append(list(outcomes))

    async def map_begun(self, node: str, visit: int, items: int) -> None:
        """Tells nobody."""

    def note(self, event: str, **facts: Any) -> None:
        self.notes.append((event, facts))
