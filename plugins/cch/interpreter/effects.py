"""What each type of node that waits or calls does: one function a type, found by :func:`perform`."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from cch.definition.contract import CONTRACT_CODE, codes_of
from cch.definition.dates import DateError, iso, milliseconds, read_date
from cch.definition.kinds import Calling, NodeRecord, Requesting, Retry
from cch.definition.nodes import AsyncRequest, EventWait, LibraryCall, ScheduledRequest, SyncCall
from cch.definition.rules import FIRST
from cch.errors import (
    BrokenContractError,
    CapabilityError,
    CapabilityTimeoutError,
    GraphError,
    MissingOutputError,
    ServiceUnavailableError,
)
from cch.expressions.expression import FailedError
from cch.expressions.matching import MatchError
from cch.interpreter.context import MISSING, PathError, as_text, placed, read_key, read_path
from cch.interpreter.contracted import Breach, reply_breach, request_breach, told
from cch.interpreter.expressing import EXPRESSION_CODE, match_of, sent, value_of
from cch.interpreter.host import Answer, Call, EventQuery, Host, Request
from cch.interpreter.visit import Result, Visit, failure, written
from cch.values import UnstorableError, is_large, storable, storable_object

#: Error code under which ``retry.on`` names a timeout.
TIMEOUT_CODE = "TIMEOUT"
#: Longest pause (s) that a server may ask for before another attempt.
_LONGEST_ADVICE = 86_400.0
#: One attempt, by its number: what it writes.
_Once = Callable[[int], Awaitable[Mapping[str, Any]]]


@functools.singledispatch
async def perform(node: NodeRecord, visit: Visit, host: Host) -> Result:  # noqa: ARG001
    """Run a node that waits or calls.

    :raises GraphError: the node is instant, or a map (see :mod:`cch.interpreter.mapping`).
    """
    raise GraphError(f"{node.name!r} does not wait or call")


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
    return written(node, visit, result)


@perform.register
async def _scheduled(node: ScheduledRequest, visit: Visit, host: Host) -> Result:
    if not visit.again:
        return _schedule(node, visit)
    try:
        date = _date(node, visit)
    except DateError as error:
        return failure(visit.graph, node, str(error))
    if date > host.now():
        host.note("waiting for the date", node=node.name, at=iso(date))
    await host.sleep_until(date)
    return await _request(node, visit, host)


@perform.register
async def _event(node: EventWait, visit: Visit, host: Host) -> Result:
    try:
        match = None if node.match is None else match_of(visit, node.match)
    except MatchError as error:
        reason = f"the match of {node.name!r} cannot be used: {error}"
        return failure(visit.graph, node, reason, code=EXPRESSION_CODE)
    query = EventQuery(
        node=node.name,
        visit=visit.number,
        event_key=node.event_path,
        rules=visit.rules,
        timeout=node.timeout,
        match=match,
    )
    answer = await host.wait_event(query)
    if answer.kind == "timeout":
        wanted = f"no event with {node.event_key!r}" if node.event_key else "no event"
        wanted += f" of which {node.match.strip()} is true" if node.match else ""
        reason = f"{wanted} came within {node.timeout:g} s"
        return failure(visit.graph, node, reason, label="on_timeout", cause={"kind": "timeout"}, code=TIMEOUT_CODE)
    patch = {**answer.payload, **({"status": answer.status} if answer.status else {})}
    return Result(label="on_event", patch=patch, cause={"kind": "event", "message": answer.message})


@perform.register
async def _async_request(node: AsyncRequest, visit: Visit, host: Host) -> Result:
    return await _request(node, visit, host)


async def _sent(node: Requesting | SyncCall, visit: Visit, host: Host) -> dict[str, Any]:
    """What the node sends; only expressions are worth a thread.

    :raises FailedError: an expression cannot be evaluated.
    """
    return sent(node, visit) if node.input is None else await host.compute(functools.partial(sent, node, visit))


async def _request(node: Requesting, visit: Visit, host: Host) -> Result:
    try:
        context = await _sent(node, visit, host)
    except FailedError as error:
        return failure(visit.graph, node, str(error), code=EXPRESSION_CODE)
    if (sending := await request_breach(node.asks, context, visit, host)) is not None and sending.fails:
        return failure(visit.graph, node, sending.reason, code=CONTRACT_CODE)
    attempt = host.first_attempt(node.name, visit.number)
    tries = 0
    while True:
        answer = await host.request(
            Request(
                node=node.name,
                visit=visit.number,
                attempt=attempt,
                capability_id=node.capability_id,
                context=context,
                request_output_keys=node.asked_keys,
                timeout=node.timeout,
                key_per_attempt=node.idempotency == "attempt",
                payload_ref=node.payload_ref,
            )
        )
        if answer.kind != "superseded":
            tries += 1
            breach = await _broken(node, visit, host, answer)
            fails = breach is not None and breach.fails
            if not _again(answer, node.retry, tries, broken=fails):
                if breach is not None and fails:
                    return failure(visit.graph, node, breach.reason, cause=_cause(answer, attempt), code=CONTRACT_CODE)
                return told(await _answered(node, visit, host, answer, attempt), sending, breach)
            host.note("attempt failed, trying again", node=node.name, attempt=attempt, answer=answer.kind)
            await host.sleep_until(answer.at + round(node.retry.pause(tries) * 1000))
        attempt += 1


async def _broken(node: Requesting, visit: Visit, host: Host, answer: Answer) -> Breach | None:
    if answer.kind != "reply":
        return None
    return await reply_breach(node.asks, answer.status, answer.payload, visit, host)


def _again(answer: Answer, retry: Retry, tries: int, *, broken: bool) -> bool:
    if tries >= retry.max_attempts or (answer.kind == "reply" and answer.status == "SUCCESS" and not broken):
        return False
    codes = {"reply": codes_of(answer.payload), "timeout": (TIMEOUT_CODE,)}.get(answer.kind, ())
    return retry.covers((*codes, CONTRACT_CODE) if broken else codes)


def _cause(answer: Answer, attempt: int) -> dict[str, Any]:
    return {"kind": answer.kind, "command_id": answer.command_id, "attempt": attempt}


async def _answered(node: Requesting, visit: Visit, host: Host, answer: Answer, attempt: int) -> Result:
    cause = _cause(answer, attempt)
    match answer.kind:
        case "timeout":
            within = "" if node.timeout is None else f" within {node.timeout:g} s"
            reason = f"no reply from {node.capability_id}{within}"
            return failure(visit.graph, node, reason, label="on_timeout", cause=cause, code=TIMEOUT_CODE)
        case "reply":
            reply = {**answer.payload, "status": answer.status}
            if answer.status == "SUCCESS" or visit.graph.error_goes_on(node):
                if node.output is None:
                    return Result(label="on_response", patch=reply, cause=cause)
                return await _output(node, visit, host, reply, cause)
            codes = codes_of(answer.payload)
            reason = f"{node.capability_id} answered ERROR" + (f": {', '.join(codes)}" if codes else "")
            patch = reply if node.output is None else {"status": answer.status}
            return failure(visit.graph, node, reason, patch=patch, cause=cause, code=codes[0] if codes else "ERROR")
        case _:
            return failure(visit.graph, node, answer.reason, cause=cause)


async def _output(
    node: Requesting, visit: Visit, host: Host, reply: Mapping[str, Any], cause: Mapping[str, Any]
) -> Result:
    """What the definition makes of a reply."""
    try:
        values = await host.compute(functools.partial(value_of, visit, node.output, reply=reply))
    except FailedError as error:
        patch = {"status": reply["status"]}
        return failure(visit.graph, node, str(error), patch=patch, cause=cause, code=EXPRESSION_CODE)
    return written(node, visit, Result(label="on_response", patch={"status": reply["status"], **values}, cause=cause))


def _limit(node: Calling, visit: Visit) -> float | None:
    """How long an attempt may take (s).

    The first rules took "0s" for no limit here, and for a limit that is up at once at the other nodes.
    """
    return None if node.timeout == 0 and visit.rules == FIRST else node.timeout


async def _attempts(
    node: Calling,
    visit: Visit,
    host: Host,
    once: _Once,
    place: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> Result:
    attempt = host.first_attempt(node.name, visit.number)
    tries = unanswered = 0
    limit = _limit(node, visit)
    while True:
        tries += 1
        cause = {"kind": "call", "attempt": attempt}
        try:
            async with place():
                patch = await asyncio.wait_for(once(attempt), limit)
        except TimeoutError:
            error: CapabilityError = CapabilityTimeoutError(f"{node.name!r} took longer than {limit or 0:g} s")
        except (UnstorableError, PathError, FailedError) as unusable:
            code = (EXPRESSION_CODE,) if isinstance(unusable, FailedError) else ()
            error = CapabilityError(str(unusable), codes=code)
        except CapabilityError as failed:
            error = failed
        except ServiceUnavailableError as silent:  # nobody was called: this is no attempt, and its time begins anew
            unanswered += 1
            tries -= 1
            await host.unavailable(silent, unanswered)
            continue
        else:
            return Result(label="on_success", patch=patch, cause=cause)
        timed_out = isinstance(error, CapabilityTimeoutError)
        codes = (TIMEOUT_CODE,) if timed_out else (error.code, *error.codes)
        if error.final or tries >= node.retry.max_attempts or not node.retry.covers(codes):
            label = "on_timeout" if timed_out else "on_failure"
            cause |= {"reason": str(error)}
            return failure(visit.graph, node, str(error), label=label, cause=cause, code=(*error.codes, *codes)[0])
        host.note("attempt failed, trying again", node=node.name, attempt=attempt, error=str(error))
        pause = max(node.retry.pause(tries), min(error.retry_after, _LONGEST_ADVICE))
        await host.sleep_until(host.now() + round(pause * 1000))
        attempt += 1


@perform.register
async def _sync_call(node: SyncCall, visit: Visit, host: Host) -> Result:
    breaches: dict[str, Breach | None] = {}  # those of the last attempt
    result = await _attempts(node, visit, host, functools.partial(_called, node, visit, host, breaches), host.place)
    return told(result, *breaches.values())


def _refused(breach: Breach | None, *, final: bool) -> None:
    """:raises BrokenContractError: the node fails by the breach. ``final``: another attempt would break it too."""
    if breach is not None and breach.fails:
        raise BrokenContractError(breach.reason, codes=(CONTRACT_CODE,), final=final)


async def _called(
    node: SyncCall, visit: Visit, host: Host, breaches: dict[str, Breach | None], attempt: int
) -> Mapping[str, Any]:
    keys = host.keys(node.name, visit.number, attempt, per_attempt=node.idempotency == "attempt")
    context = await _sent(node, visit, host)
    breaches["request"] = await request_breach(node.asks, context, visit, host)
    _refused(breaches["request"], final=True)
    answer = await host.call(
        Call(
            node=node.name,
            capability_id=node.capability_id,
            context=context,
            outputs=node.asked_keys,
            last_reply=visit.last_reply,
            instance_id=host.instance_id,
            correlation_id=host.correlation_id,
            request_key=keys.request,
            idempotency_key=keys.header,
            attempt=attempt,
            timeout=_limit(node, visit),
        )
    )
    stored = functools.partial(storable_object, answer, node.capability_id)
    result = await host.compute(stored) if is_large(answer) else stored()
    breaches["reply"] = await reply_breach(node.asks, "SUCCESS", result, visit, host)
    _refused(breaches["reply"], final=False)
    if node.output is not None:
        values = await host.compute(functools.partial(value_of, visit, node.output, reply=result))
        return placed(values, visit.context, visit.rules)
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


@perform.register
async def _library_call(node: LibraryCall, visit: Visit, host: Host) -> Result:
    return await _attempts(node, visit, host, functools.partial(_computed, node, visit, host))


async def _computed(node: LibraryCall, visit: Visit, host: Host, attempt: int) -> Mapping[str, Any]:  # noqa: ARG001
    given = {**visit.dialect.defaults.get(node.library_function_id, {}), **node.parameters}
    value = await host.library(node.library_function_id, given, visit.context, visit.rules)
    try:
        value = storable(value)
    except UnstorableError as error:
        raise UnstorableError(f"the result of {node.library_function_id} cannot be stored: {error}") from None
    return read_path(node.output_key, visit.rules).patch(visit.context, value)
