"""What the ledger and the definitions say of the Airflow that runs: clock, routers, starts, capabilities."""

from __future__ import annotations

import asyncio

from cch.capabilities.registry import HttpBinding, LambdaBinding, PythonBinding, binding
from cch.checkup.contracts import look_at_contracts
from cch.checkup.findings import Findings
from cch.checkup.hooks import judge_hooks
from cch.counting import counted
from cch.definition.kinds import Asked
from cch.definition.model import Definition
from cch.errors import CapabilityError, CchError
from cch.ledger.messages import message_id
from cch.ledger.versions import Pinning
from cch.runtime.lingering import everywhere
from cch.runtime.platform import Platform
from cch.runtime.pulse import Pulse, pulse
from cch.runtime.standings import unpinned_reason

#: Clocks further apart than the first (ms) are worth a word, than the second make timeouts wait for DynamoDB's.
_CLOCK_ODD, _CLOCK_WRONG = 2_000, 30_000
#: Held messages that are counted, and those of them that are named.
_MOST_HELD, _NAMED_HELD = 100, 3


async def look_at_running(platform: Platform, found: Findings) -> int:
    """What is going on; how many requests and events the fullest triggerer waits for."""
    waiters = 0
    with found.looking("clock", "the ledger does not answer: see above"):
        await _clock(platform, found)
    with found.looking("Airflow", "the ledger does not answer: see above"):
        seen = await pulse(platform.ledger, platform.clock())
        waiters = _routers(seen, found)
        _starts(seen, found)
        reported = await platform.ledger.versions.pinning()
        _pinning(reported, platform.clock(), found)
        if reported is not None and reported.hooks is not None:
            judge_hooks(reported.hooks, found)
    with found.looking("messages", "the ledger does not answer: see above"):
        await _messages(platform, found)
    await _definitions(platform, found)
    return waiters


async def _clock(platform: Platform, found: Findings) -> None:
    server = await platform.ledger.store.server_time()
    if server is None:
        return
    # AWS tells whole seconds.
    off = max(0, abs(platform.clock() - server) - 1000)
    if off > _CLOCK_WRONG:
        found.error(
            "clock", f"{off / 1000:.0f} s apart from AWS's: timeouts wait for AWS's clock", "synchronise it (NTP)"
        )
    elif off > _CLOCK_ODD:
        found.warn("clock", f"{off / 1000:.0f} s apart from AWS's", "synchronise it (NTP)")
    else:
        found.ok("clock", "agrees with AWS's")


def _routers(seen: Pulse, found: Findings) -> int:
    if not seen.alive:
        mend = "start a triggerer; see its log for 'cannot consume'. Right after a start it takes half a minute"
        found.error("router", f"{seen.complaint}: nobody takes replies", mend)
    elif seen.complaint:
        found.error("router", seen.complaint, "unpause the DAG cch_commands, and see whether it is parsed")
    for router in seen.alive:
        found.ok(
            "router", f"{router.id} waits for {counted(router.waiters, 'request or event', 'requests and events')}"
        )
    return max((router.waiters for router in seen.alive), default=0)


def _starts(seen: Pulse, found: Findings) -> None:
    for start in seen.slow[:3]:
        what = (
            f"instance {start.instance} of {start.workflow_id} waits for its run: {start.reason or 'nobody has tried'}"
        )
        found.error("dispatcher", what, "see the runs of the DAG cch_commands, and whether the workflow's DAG is there")
    if not seen.slow:
        found.ok("dispatcher", counted(len(seen.starts), "start waits for its run", "starts wait for their run"))


def _pinning(reported: Pinning | None, now: int, found: Findings) -> None:
    """Whether live instances keep their versions when another one is published."""
    area, unpinned = "versions", unpinned_reason(reported, now)
    what = f"live instances may not keep their versions: {unpinned}"
    if not unpinned:
        found.ok(area, "Airflow keeps every run on the version that it began with")
    elif reported is not None and not reported.pins:
        mend = "see the logs of the DAG processor and the scheduler; until then publish only what keeps the same tasks"
        found.warn(area, what, mend)
    else:
        found.note(area, what, "wait a minute after a start of Airflow; else see the runs of the DAG cch_commands")


async def _messages(platform: Platform, found: Findings) -> None:
    """Messages that nobody has come for."""
    held = await everywhere(platform.ledger, platform.clock(), _MOST_HELD)
    for each in held[:_NAMED_HELD]:
        record = each.record
        what = (
            f"{message_id(record.key)} for instance {record.instance} is held for longer than a minute: {record.reason}"
        )
        found.warn("messages", what, f"it would match by {each.would_match}; or {each.attach}")
    if len(held) > _NAMED_HELD:
        more = f"{len(held)}{' or more' if len(held) == _MOST_HELD else ''} messages are held for longer than a minute"
        found.warn("messages", more, "see cch messages list --state held")
    if not held:
        found.ok("messages", "none is held for longer than a minute")


async def _definitions(platform: Platform, found: Findings) -> None:
    snapshot = await asyncio.to_thread(platform.catalogue.snapshot)
    if snapshot.outage:
        found.error("definitions", snapshot.outage, "until then the cache is served")
    for entry in snapshot.entries:
        for problem in entry.problems:
            if problem.severity == "error":
                mend = f"cch validate {entry.workflow_id}.yaml, mend it and publish it again"
                found.error(f"definition {entry.workflow_id}", f"{problem.code}: {problem.message}", mend)
        if entry.definition is not None:
            await _capabilities(platform, entry.definition, found)
    found.ok("definitions", counted(len(snapshot.entries), "workflow"))
    good = [entry.definition for entry in snapshot.entries if entry.definition is not None]
    await asyncio.to_thread(look_at_contracts, platform.catalogue.contracts, good, found)


async def _capabilities(platform: Platform, definition: Definition, found: Findings) -> None:
    """Whether somebody can be asked at all."""
    names = platform.settings.names
    for node in definition.nodes.values():
        area = f"{definition.workflow_id}, node {node.name}"
        asked = node.asks
        if asked is not None and asked.answerer == "binding":
            await asyncio.to_thread(_bound, platform, asked, area, found)
        elif asked is not None and asked.answerer == "queue":
            with found.looking(area, "see the queues above"):
                queue = names.capability_queue(asked.id)
                if not await platform.queues.find(queue) and not await platform.queues.find(names.fallback_queue):
                    mend = f"create {queue}, or the fallback queue"
                    found.error(area, f"no queue takes requests to {asked.id}", mend)


def _bound(platform: Platform, asked: Asked, area: str, found: Findings) -> None:
    try:
        bound = binding(asked.id, platform.settings)
        if isinstance(bound, LambdaBinding):
            _invokable(platform, bound, area, found)
        elif isinstance(bound, HttpBinding):
            found.note(area, f"{bound.url} was not called")
        settings = platform.settings
        if settings.calls_in_triggerer and not isinstance(bound, PythonBinding) and asked.id not in settings.awaited:
            what = f"a worker calls {asked.id}, because code binds it"
            found.note(area, what, "bind it in CCH_CAPABILITY_BINDINGS, and the triggerer calls it")
    except CapabilityError as error:
        mend = "register it in a module of CCH_CAPABILITY_MODULES, or bind it with CCH_CAPABILITY_BINDINGS"
        found.error(area, str(error), mend)


def _invokable(platform: Platform, bound: LambdaBinding, area: str, found: Findings) -> None:
    from cch.aws.session import client, explained  # noqa: PLC0415 - only where a function is bound

    name = bound.function.format(prefix=platform.settings.names.prefix)
    try:
        with explained(name):
            client("lambda", platform.settings).invoke(FunctionName=name, InvocationType="DryRun")
    except CchError as error:
        found.error(area, str(error), "deploy the function, and allow lambda:InvokeFunction on it")
