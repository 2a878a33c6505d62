"""One visit of one node: what it does, where it goes, what it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from cch.definition.dates import DateError, iso, milliseconds, read_date
from cch.definition.model import (
    AsyncRequest,
    Condition,
    End,
    EndBranch,
    Entry,
    EventWait,
    Fork,
    Join,
    LibraryCall,
    LogError,
    MapFork,
    Node,
    Requesting,
    Retry,
    ScheduledRequest,
    SetState,
    SyncCall,
)
from cch.definition.rules import FIRST
from cch.errors import CapabilityError, CapabilityTimeoutError, GraphError, MissingOutputError
from cch.graph.build import BRANCH_END
from cch.graph.model import FORKED, Graph
from cch.interpreter.context import MISSING, PathError, as_text, lookup, placed, read_key, read_path, selected
from cch.interpreter.host import Answer, Call, EventQuery, Host, Request
from cch.values import UnstorableError, reason_text, storable, storable_object

#: Error code under which ``retry.on`` names a timeout.
TIMEOUT_CODE = "TIMEOUT"
#: Longest pause (s) that a server may ask for before another attempt.
_LONGEST_ADVICE = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a visit produced, before it is stamped."""

    label: str = ""
    patch: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False
    cause: Mapping[str, Any] = field(default_factory=lambda: {"kind": "instant"})
    errors: tuple[Mapping[str, Any], ...] = ()
    #: The node keeps a token for itself: it has something left to do, later.
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Where and when: ``now`` in ms, ``last_reply`` as in :class:`~cch.interpreter.host.Call`.

    ``again``: the token that the node kept for itself at an earlier visit. ``failed_items``: branch key → reason, of
    the maps that a join waited for.
    """

    graph: Graph
    number: int
    context: Mapping[str, Any]
    now: int
    last_reply: Mapping[str, Any] | None = None
    again: bool = False
    failed_items: Mapping[str, str] = field(default_factory=dict)

    @property
    def rules(self) -> int:
        """Number of the rules by which the definition is read."""
        return self.graph.definition.reading_rules

    def look_up(self, path: str) -> Any:
        """The value at a path of the context, or :data:`MISSING`."""
        return lookup(self.context, path, self.rules)


def is_instant(node: Node) -> bool:
    """Whether the node needs neither time nor anybody else."""
    effects = AsyncRequest | ScheduledRequest | EventWait | SyncCall | LibraryCall | MapFork
    return not isinstance(node, effects)


def failure(
    graph: Graph,
    node: Node,
    reason: str,
    *,
    patch: Mapping[str, Any] | None = None,
    label: str = "on_failure",
    cause: Mapping[str, Any] | None = None,
) -> Result:
    """The node failed: along ``label`` (else ``on_failure``), or without a way on."""
    ways = {edge.label for edge in graph.outgoing(node.name)}
    chosen = next((way for way in (label, "on_failure") if way in ways), "")
    reason = reason_text(reason)
    return Result(
        label=chosen,
        failed=not chosen,
        patch={**(patch or {}), "_internalError": reason, "_errorNode": node.name},
        cause=cause or {"kind": "failure", "reason": reason},
    )


def evaluate(node: Node, visit: Visit) -> Result:
    """Run an instant node.

    :raises GraphError: the node is not instant.
    """
    match node:
        case Entry():
            return Result(label="next")
        case SetState():
            return _written(node, visit, Result(label="on_success", patch=node.static_outputs))
        case LogError():
            return _log_error(node, visit)
        case Condition():
            return _condition(node, visit)
        case Fork():
            return Result(label=FORKED)
        case Join():
            return _join(node, visit)
        case EndBranch():
            return Result(label=BRANCH_END)
        case End():
            return Result(failed=node.status == "failed")
        case AsyncRequest() | ScheduledRequest() | EventWait() | SyncCall() | LibraryCall() | MapFork():
            raise GraphError(f"{node.name!r} is no instant node")
        case _:
            assert_never(node)


def _written(node: Node, visit: Visit, result: Result) -> Result:
    """The result with its patch put where its keys lead."""
    try:
        return replace(result, patch=placed(result.patch, visit.context, visit.rules))
    except PathError as error:
        return failure(visit.graph, node, str(error))


def _log_error(node: LogError, visit: Visit) -> Result:
    text = node.default_message
    if node.message_from_context_key:
        found = visit.look_up(node.message_from_context_key)
        if found is not MISSING and found is not None:
            text = as_text(found)
    error = {"code": node.default_error_code, "message": text, "node": node.name, "timestamp": iso(visit.now)}
    return Result(label="on_success", errors=(error,))


def _join(node: Join, visit: Visit) -> Result:
    if visit.failed_items:
        named = "; ".join(f"{key}: {reason}" for key, reason in list(visit.failed_items.items())[:5])
        return failure(visit.graph, node, f"{len(visit.failed_items)} items failed: {named}")
    if node.destination is None:
        return Result(label="on_success")
    maps = [branch for name in node.join_branches if isinstance(branch := visit.graph.nodes[name], MapFork)]
    lists = [found for each in maps if isinstance(found := visit.look_up(each.input_list_key), list)]
    results = [item for found in lists for item in found]
    try:
        patch = read_path(node.destination, visit.rules).patch(visit.context, results)
    except PathError as error:
        return failure(visit.graph, node, str(error))
    return Result(label="on_success", patch=patch)


def _condition(node: Condition, visit: Visit) -> Result:
    text = as_text(visit.look_up(node.condition_on_key))
    for branch in (text, "_default"):
        if branch in node.branches:
            return Result(label=branch)
    known = ", ".join(sorted(node.branches))
    reason = f"{node.condition_on_key} is {text[:200]!r}, which no branch of {node.name!r} names (branches: {known})"
    return failure(visit.graph, node, reason)


async def perform(node: Node, visit: Visit, host: Host) -> Result:
    """Run a node that waits or calls.

    :raises GraphError: the node is instant, or a map (see :mod:`cch.interpreter.mapping`).
    """
    match node:
        case AsyncRequest():
            return await _request(node, visit, host)
        case ScheduledRequest():
            return await _scheduled(node, visit, host) if visit.again else _schedule(node, visit)
        case EventWait():
            return await _event(node, visit, host)
        case SyncCall():
            return await _attempts(node, visit, host, _sync_call)
        case LibraryCall():
            return await _attempts(node, visit, host, _library_call)
        case _:
            raise GraphError(f"{node.name!r} does not wait or call")


def error_codes(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """The codes of an ERROR's messages."""
    messages = payload.get("messages")
    if not isinstance(messages, list):
        return ()
    return tuple(str(m["code"]) for m in messages if isinstance(m, Mapping) and m.get("code") is not None)


def _date(node: ScheduledRequest, visit: Visit) -> int:
    """The date at which to send, in ms.

    :raises DateError: the context has none that can be read.
    """
    value = visit.look_up(node.date_context_key)
    try:
        return milliseconds(read_date(value, node.timezone))
    except DateError as error:
        raise DateError(f"{node.date_context_key} is {as_text(value)[:80]!r}: {error}") from None


def _schedule(node: ScheduledRequest, visit: Visit) -> Result:
    """Go on at once; the node keeps a token for the date."""
    try:
        date = _date(node, visit)
    except DateError as error:
        return failure(visit.graph, node, str(error))
    cause = {"kind": "schedule", "at": iso(date)}
    result = Result(label="on_success", patch=node.on_schedule_set, cause=cause, again=True)
    return _written(node, visit, result)


async def _scheduled(node: ScheduledRequest, visit: Visit, host: Host) -> Result:
    try:
        date = _date(node, visit)
    except DateError as error:
        return failure(visit.graph, node, str(error))
    if date > host.now():
        host.note("waiting for the date", node=node.name, at=iso(date))
    await host.sleep_until(date)
    return await _request(node, visit, host)


async def _event(node: EventWait, visit: Visit, host: Host) -> Result:
    query = EventQuery(
        node=node.name,
        visit=visit.number,
        event_key=node.event_key or "",
        rules=visit.rules,
        timeout=node.timeout,
    )
    answer = await host.wait_event(query)
    if answer.kind == "timeout":
        wanted = f"no event with {node.event_key!r}" if node.event_key else "no event"
        reason = f"{wanted} came within {node.timeout:g} s"
        return failure(visit.graph, node, reason, label="on_timeout", cause={"kind": "timeout"})
    patch = {**answer.payload, **({"status": answer.status} if answer.status else {})}
    return Result(label="on_event", patch=patch, cause={"kind": "event", "message": answer.message})


async def _request(node: Requesting, visit: Visit, host: Host) -> Result:
    attempt = host.first_attempt(node.name, visit.number)
    tries = 0
    while True:
        answer = await host.request(
            Request(
                node=node.name,
                visit=visit.number,
                attempt=attempt,
                capability_id=node.capability_id,
                context=selected(visit.context, node.input_keys, visit.rules),
                request_output_keys=node.request_output_keys,
                timeout=node.timeout,
                key_per_attempt=node.idempotency == "attempt",
                payload_ref=node.payload_ref,
            )
        )
        if answer.kind != "superseded":
            tries += 1
            if not _again(answer, node.retry, tries):
                return _answered(node, visit, answer, attempt)
            host.note("attempt failed, trying again", node=node.name, attempt=attempt, answer=answer.kind)
            await host.sleep_until(answer.at + round(node.retry.pause(tries) * 1000))
        attempt += 1


def _again(answer: Answer, retry: Retry, tries: int) -> bool:
    if tries >= retry.max_attempts or (answer.kind == "reply" and answer.status == "SUCCESS"):
        return False
    codes = {"reply": error_codes(answer.payload), "timeout": (TIMEOUT_CODE,)}.get(answer.kind, ())
    return retry.covers(codes)


def _error_goes_on(node: Requesting, graph: Graph) -> bool:
    """Whether an ERROR reply goes ``on_response``, where the author's condition decides."""
    if node.error_reply is not None:
        return node.error_reply == "response"
    after = graph.nodes[node.on_response]
    return node.on_failure is None or (isinstance(after, Condition) and after.condition_on_key == "status")


def _answered(node: Requesting, visit: Visit, answer: Answer, attempt: int) -> Result:
    cause = {"kind": answer.kind, "command_id": answer.command_id, "attempt": attempt}
    match answer.kind:
        case "timeout":
            within = "" if node.timeout is None else f" within {node.timeout:g} s"
            reason = f"no reply from {node.capability_id}{within}"
            return failure(visit.graph, node, reason, label="on_timeout", cause=cause)
        case "reply":
            patch = {**answer.payload, "status": answer.status}
            if answer.status == "SUCCESS" or _error_goes_on(node, visit.graph):
                return Result(label="on_response", patch=patch, cause=cause)
            codes = ", ".join(error_codes(answer.payload))
            reason = f"{node.capability_id} answered ERROR" + (f": {codes}" if codes else "")
            return failure(visit.graph, node, reason, patch=patch, cause=cause)
        case _:
            return failure(visit.graph, node, answer.reason, cause=cause)


async def _attempts(node: SyncCall | LibraryCall, visit: Visit, host: Host, once: Any) -> Result:
    attempt = host.first_attempt(node.name, visit.number)
    tries = 0
    # The first rules took "0s" for no limit here, and for a limit that is up at once at the other nodes.
    limit = None if node.timeout == 0 and visit.rules == FIRST else node.timeout
    while True:
        tries += 1
        cause = {"kind": "call", "attempt": attempt}
        try:
            patch = await asyncio.wait_for(once(node, visit, host, attempt), limit)
        except TimeoutError:
            error: CapabilityError = CapabilityTimeoutError(f"{node.name!r} took longer than {limit or 0:g} s")
        except (UnstorableError, PathError) as unusable:
            error = CapabilityError(str(unusable))
        except CapabilityError as failed:
            error = failed
        else:
            return Result(label="on_success", patch=patch, cause=cause)
        timed_out = isinstance(error, CapabilityTimeoutError)
        codes = (TIMEOUT_CODE,) if timed_out else (error.code, *error.codes)
        if tries >= node.retry.max_attempts or not node.retry.covers(codes):
            label = "on_timeout" if timed_out else "on_failure"
            return failure(visit.graph, node, str(error), label=label, cause={**cause, "reason": str(error)})
        host.note("attempt failed, trying again", node=node.name, attempt=attempt, error=str(error))
        pause = max(node.retry.pause(tries), min(error.retry_after, _LONGEST_ADVICE))
        await host.sleep_until(host.now() + round(pause * 1000))
        attempt += 1


async def _sync_call(node: SyncCall, visit: Visit, host: Host, attempt: int) -> Mapping[str, Any]:
    keys = host.keys(node.name, visit.number, attempt, per_attempt=node.idempotency == "attempt")
    answer = await host.call(
        Call(
            node=node.name,
            capability_id=node.capability_id,
            context=selected(visit.context, node.input_keys, visit.rules),
            outputs=node.output_keys,
            last_reply=visit.last_reply,
            instance_id=host.instance_id,
            correlation_id=host.correlation_id,
            request_key=keys.request,
            idempotency_key=keys.header,
            attempt=attempt,
            timeout=node.timeout,
        )
    )
    result = storable_object(answer, node.capability_id)
    if node.output_keys is None:
        return result
    found = {key: read_key(key, visit.rules).find(result) for key in node.output_keys}
    missing = [key for key, value in found.items() if value is MISSING]
    if missing:
        raise MissingOutputError(
            f"{node.capability_id} did not deliver {', '.join(missing)}, which {node.name!r} declares as outputs"
            f" (it delivered: {', '.join(sorted(result)) or 'nothing'})"
        )
    return placed(found, visit.context, visit.rules)


async def _library_call(node: LibraryCall, visit: Visit, host: Host, attempt: int) -> Mapping[str, Any]:  # noqa: ARG001
    value = await host.library(node.library_function_id, node.parameters, visit.context, visit.rules)
    try:
        value = storable(value)
    except UnstorableError as error:
        raise UnstorableError(f"the result of {node.library_function_id} cannot be stored: {error}") from None
    return read_path(node.output_key, visit.rules).patch(visit.context, value)
