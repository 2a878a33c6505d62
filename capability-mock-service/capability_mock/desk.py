"""Where a request meets its answer; shared by the standalone service and the Lambda function."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from capability_mock.answers import error_payload, success_payload
from capability_mock.contracts import Contracts
from capability_mock.memory import Memory
from capability_mock.messages import Request, RequestError, parse_request, reply_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from capability_mock.effects import Effects
    from capability_mock.names import Names
    from capability_mock.record import Record
    from capability_mock.scenario import Answer, Scenario
    from capability_mock.script import Scripts

#: Command ids whose answer is remembered.
ANSWERS_KEPT = 100_000


def wall_time() -> str:
    """Now, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do about one request."""

    request: Request
    #: The reply's body; None: stay silent.
    reply: str | None
    #: On the desk's clock.
    ready_at: float
    sendings: int
    out_of_order: bool
    malformed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    answer: Answer
    scripted: bool
    ready_at: float
    timestamp: str


class Desk:
    """Decides each request's answer, once for a command id. Thread-safe; knows nothing of SQS.

    A repeated command id gets the same reply (one copy of it, not before the first was due) and does not
    advance the script. The memory is in the process: a mock that was restarted decides anew and counts its
    calls from the start, but the reply's id stays.
    """

    def __init__(
        self,
        *,
        scripts: Scripts,
        record: Record,
        names: Names,
        clock: Callable[[], float],
        wall: Callable[[], str] = wall_time,
        effects: Effects | None = None,
        contracts: Contracts | None = None,
    ) -> None:
        self._scripts = scripts
        self._record = record
        self._names = names
        self._clock = clock
        self._wall = wall
        self._effects = effects
        self.contracts = contracts or Contracts()
        self._given: Memory[str, _Given] = Memory(ANSWERS_KEPT)
        self._lock = threading.Lock()

    def decide(self, text: str) -> Decision:
        """Raises RequestError for a message that is no request."""
        request = parse_request(text)
        if self._effects is not None:
            self._effects.take(request)
        now, timestamp = self._clock(), self._wall()
        with self._lock:
            given = self._given.get(request.command_id)
            repeated = given is not None
            if given is None:
                answer, scripted = self._scripts.next_answer(request)
                given = _Given(answer=answer, scripted=scripted, ready_at=now + answer.after, timestamp=timestamp)
                self._given.put(request.command_id, given)
        answer = given.answer
        reply = None if answer.never else self._reply(request, given)
        self._record.note(request, answer, scripted=given.scripted, at=timestamp)
        self._record.count("received", request.capability)
        if repeated:
            self._record.count("repeated", request.capability)
        return Decision(
            request=request,
            reply=reply,
            ready_at=given.ready_at,
            sendings=1 if repeated else answer.sendings,
            out_of_order=answer.out_of_order and not repeated,
            malformed=answer.malformed,
        )

    def _unscripted(self, request: Request, given: _Given) -> tuple[Answer, dict[str, Any]]:
        """What nobody has scripted: by the contract, if the capability has one."""
        contract = self.contracts.get(request.capability)
        answer = given.answer
        if contract is not None and not given.scripted:
            status, payload = contract.answer(request.context, request.output_keys)
            if status == "ERROR":
                return replace(answer, status="ERROR"), payload
            return answer, success_payload(request, self._names, payload)
        if answer.status == "ERROR":
            described = contract.error() if contract is not None else None
            return answer, described or error_payload(request, given.timestamp)
        agreed = contract.success(request.output_keys) if contract is not None else None
        return answer, success_payload(request, self._names, agreed)

    def put_scenario(self, scenario: Scenario, instance: str | None = None) -> None:
        with self._lock:
            self._scripts.put(scenario, instance)

    def clear_scenario(self, instance: str | None = None, *, every: bool = False) -> None:
        with self._lock:
            if every:
                self._scripts.clear_all()
            else:
                self._scripts.clear(instance)

    def scenarios(self) -> tuple[Scenario, tuple[str, ...]]:
        """The general scenario, and the instances that have one of their own."""
        with self._lock:
            return self._scripts.general, self._scripts.instances()

    def _reply(self, request: Request, given: _Given) -> str:
        try:
            answer, payload = given.answer, given.answer.payload
            if payload is None:
                answer, payload = self._unscripted(request, given)
            return reply_text(request, answer, payload, given.timestamp)
        except RecursionError as error:
            raise RequestError("nested too deeply") from error
