"""The host of simulations: capabilities and events as the scenario says, time as the loop says."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeVar

from cch.capabilities.failing import as_failure
from cch.capabilities.library_calls import LibraryWork, run_library
from cch.capabilities.registry import PythonBinding, binding
from cch.definition.contract import codes_of
from cch.errors import CapabilityError, CapabilityNotBoundError, ServiceUnavailableError
from cch.identity import NEWEST_SCHEME, ROOT, Address, ItemStep, Keys, Scope, Step
from cch.interpreter.flow import TokenFlow
from cch.interpreter.host import Answer, Call, EventAnswer, EventQuery, Request
from cch.interpreter.outcome import Outcome
from cch.messaging.outgoing import Reference, request_body, request_fault
from cch.simulation.world import World

T = TypeVar("T")


class SimulationHost:
    """:class:`~cch.interpreter.host.Host` for one scope of a simulation."""

    instance_id = "simulation"

    def __init__(self, world: World, workflow_id: str, scope: Scope = ROOT) -> None:
        self.correlation_id = world.scenario.correlation_id or self.instance_id
        self.workflow_id = workflow_id
        self.started = world.scenario.start
        self._world = world
        self._scope = scope
        self._path = scope.branch_path("")
        self._branch = self._path[-1] if self._path else ""

    def now(self) -> int:
        return self._world.now()

    async def sleep_until(self, when: int) -> None:
        while (left := when - self.now()) > 0:  # noqa: ASYNC110 - virtual time jumps
            await asyncio.sleep(left / 1000)

    async def compute(self, work: Callable[[], T]) -> T:
        return work()

    def first_attempt(self, node: str, visit: int) -> int:  # noqa: ARG002 - nobody retries a task here
        return 1

    async def request(self, request: Request) -> Answer:
        return await self._while_waiting(request.node, self._request(request))

    async def _while_waiting(self, node: str, work: Awaitable[T]) -> T:
        """Note a waiter; one that is still noted when time stands still waits for ever."""
        self._world.waiting[self._path, node] = None
        result = await work
        self._world.waiting.pop((self._path, node), None)
        return result

    async def _request(self, request: Request) -> Answer:
        world = self._world
        command_id = self._step(request.node, request.visit).command_id(request.attempt)
        if reason := request_fault(self._body(request, command_id)):
            return Answer(kind="unsendable", at=self.now(), command_id=command_id, reason=reason)
        world.requests[request.capability_id] += 1
        world.note_sent(request)
        wants = request.request_output_keys
        answer = world.next_answer(request.capability_id, self._branch, request.context, wants)
        silent = answer is None or answer.never or answer.malformed
        if answer is not None and answer.malformed:
            world.messages["malformed"] += answer.copies
        if answer is None or silent or (request.timeout is not None and answer.after >= request.timeout):
            if answer is not None and not silent:
                world.messages["late"] += answer.copies
            await self._wait(request.timeout)
            return Answer(kind="timeout", at=self.now(), command_id=command_id)
        await asyncio.sleep(answer.after)
        world.messages["duplicate"] += answer.copies - 1
        payload = answer.payload if answer.payload is not None else {}
        if answer.payload is None or request.capability_id not in world.scenario.answers:
            payload = {**self._default(request, answer.status), **payload}
        return Answer(kind="reply", at=self.now(), command_id=command_id, status=answer.status, payload=payload)

    def _body(self, request: Request, command_id: str) -> str:
        """The message that would be sent."""
        keys = self._step(request.node, request.visit).keys(request.attempt, per_attempt=request.key_per_attempt)
        return request_body(
            instance=self.instance_id,
            workflow_id=self.workflow_id,
            definition_uri=f"s3://definitions/{self.workflow_id}.yaml",
            correlation_id=self.correlation_id,
            command_id=command_id,
            request_key=keys.request,
            reply_to="reply-queue",
            created=self.now(),
            address=Address(self._path),
            capability_id=request.capability_id,
            output_keys=request.request_output_keys,
            context=request.context,
            reference=self._reference(request, command_id),
        )

    def _reference(self, request: Request, command_id: str) -> Reference | None:
        prefix = self._world.settings.names.payload_prefix(self.instance_id)
        return Reference.of(request.context, prefix, command_id) if request.payload_ref else None

    def _default(self, request: Request, status: str) -> Mapping[str, Any]:
        """What a capability says when the scenario does not: as the mock does."""
        contract = self._world.contracts.get(request.capability_id)
        if status == "ERROR":
            if contract is not None and (described := contract.error()) is not None:
                return described
            return {"messages": [{"level": "ERROR", "code": "MOCK_ERROR", "summary": "scripted error"}]}
        about = f"{request.capability_id} for {self.correlation_id}"
        found = {key: f"{key} of {about}" for key in request.request_output_keys}
        return found if contract is None else {**found, **contract.success(request.request_output_keys)}

    async def _wait(self, seconds: float | None) -> None:
        if seconds is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(seconds)

    async def wait_event(self, query: EventQuery) -> EventAnswer:
        place = self._path, query.node
        self._world.queries[place] = query
        answer = await self._while_waiting(query.node, self._wait_event(query))
        self._world.queries.pop(place, None)
        return answer

    async def _wait_event(self, query: EventQuery) -> EventAnswer:
        until = None if query.timeout is None else self._world.now() + round(query.timeout * 1000)
        arrival = self._world.arrival
        while (event := self._world.take_event(query, self._path)) is None:
            left = None if until is None else (until - self._world.now()) / 1000
            if left is not None and left <= 0:
                return EventAnswer(kind="timeout")
            try:
                await asyncio.wait_for(arrival.wait(), left)
            except TimeoutError:
                return EventAnswer(kind="timeout")
            arrival = self._world.arrival
        return EventAnswer(kind="event", payload=event.payload, status=event.status, message=event.id)

    def _step(self, node: str, visit: int) -> Step:
        return Step(
            scheme=NEWEST_SCHEME, instance=self.instance_id, region="", scope=self._scope, generation=0, node=node,
            visit=visit,
        )  # fmt: skip

    def keys(self, node: str, visit: int, attempt: int, *, per_attempt: bool) -> Keys:
        return self._step(node, visit).keys(attempt, per_attempt=per_attempt)

    def place(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def unavailable(self, error: ServiceUnavailableError, tries: int) -> None:  # noqa: ARG002
        raise error  # nothing here asks AWS but what a function of the library reads

    async def call(self, call: Call) -> Any:
        if call.capability_id in self._world.scenario.answers:
            return await self._scripted_call(call)
        try:
            bound = binding(call.capability_id, self._world.settings)
        except CapabilityNotBoundError:
            if call.capability_id not in self._world.contracts:
                raise
            return await self._scripted_call(call)
        if not isinstance(bound, PythonBinding) and call.capability_id in self._world.contracts:
            return await self._scripted_call(call)
        if not isinstance(bound, PythonBinding):
            self._world.unscripted.add(call.capability_id)
            raise CapabilityError(f"{call.capability_id} is not Python: give its answers in the scenario")
        with as_failure(call.capability_id):
            result = bound.function(call)
            return await result if inspect.isawaitable(result) else result

    async def _scripted_call(self, call: Call) -> Mapping[str, Any]:
        self._world.requests[call.capability_id] += 1
        answer = self._world.next_answer(call.capability_id, self._branch, call.context, call.outputs or ())
        if answer is None or answer.never:
            await asyncio.Event().wait()
        assert answer is not None
        await asyncio.sleep(answer.after)
        if answer.status == "ERROR":
            reason = f"{call.capability_id} failed as the scenario says: {dict(answer.payload or {})}"
            raise CapabilityError(reason, codes=codes_of(answer.payload or {}))
        return answer.payload or {}

    async def library(
        self, function_id: str, parameters: Mapping[str, Any], context: Mapping[str, Any], rules: int
    ) -> Any:
        return run_library(LibraryWork(function_id, parameters, context, rules), self._world.settings, self._read)

    def _read(self, uri: str) -> str:
        try:
            return json.dumps(self._world.scenario.objects[uri])
        except KeyError:
            raise CapabilityError(f"there is no {uri}: add it to the scenario's objects") from None

    async def follow(self, flow: TokenFlow) -> None:
        """Publishes nothing."""

    async def leave(self) -> None:
        """Publishes nothing."""

    async def commit(self, outcomes: Sequence[Outcome]) -> None:
        self._world.bounds.visit(outcomes)
        self._world.visited.extend((self._branch, outcome) for outcome in outcomes)

    async def item(self, node: str, visit: int, index: int, branch: str) -> tuple[SimulationHost, Sequence[Outcome]]:  # noqa: ARG002
        inner = SimulationHost(self._world, self.workflow_id, self._scope.item(ItemStep(node, visit, 0, branch)))
        if inner._scope.depth > 1:
            self._world.nested.add(inner._path)
        return inner, ()

    async def map_begun(self, node: str, visit: int, items: int) -> None:
        """Publishes nothing."""

    def note(self, event: str, **facts: Any) -> None:
        """People read the result instead."""
