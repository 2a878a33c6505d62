"""Changes an instance from outside of its tasks: in the ledger and in Airflow's tables, repeatable after any crash.

The gate before the instance is closed first, so that nothing is recorded any more; then it is looked at and decided.
What is decided is written into the gate together with the instance's amendments, in one write. After that the change
has happened, and all that follows only carries it out: open requests, journals, exits, Airflow's run. Then the gate is
opened. Whoever finds a gate that a crash has left closed goes on from there (:func:`go_on`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cch.definition.version import parse_version
from cch.errors import CchError
from cch.identity import Scope
from cch.interpreter.replay import JournalState
from cch.ledger.gates import Gate
from cch.ledger.records import ENDED, ActionRecord, Exit, JournalEntry, RegionKey
from cch.runtime.batch_marks import refuse_repetition
from cch.runtime.decisions import Decision, Todo
from cch.runtime.execution import finish_if_complete
from cch.runtime.gating import close_gate
from cch.runtime.journaling import read
from cch.runtime.region_task import RegionRef
from cch.runtime.standing_still import RefusedChangeError, Standing
from cch.runtime.task_wishes import RunBusyError, RunGoneError, RunTasks, RunWish, TaskWish, task_wishes

if TYPE_CHECKING:
    from cch.graph.plan import Plan
    from cch.interpreter.flow import TokenFlow
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform

log = logging.getLogger(__name__)
T = TypeVar("T")

#: A change takes a second or two; after so long (ms) nobody works on it any more.
INTERRUPTED = 60_000
#: What is kept of a wish with the record of the action.
_ABOUT = ("renamed", "node", "patch", "adopted", "item", "batch")
#: Threads that wait for Airflow's rows, and for the loop meanwhile: not those of which the loop needs one to go on.
_TRANSACTIONS = ThreadPoolExecutor(8, thread_name_prefix="cch-change")


#: Decides about an instance that stands still. Raises :class:`RefusedChangeError`.
Decide = Callable[[Standing], Awaitable[Decision[T]]]


async def standing(platform: Platform, instance: Instance) -> Standing:
    """Where the instance stands now.

    :raises RefusedChangeError: its own definition is nowhere any more.
    """
    ledger = platform.ledger
    plan = await platform.plans.of(instance)
    if plan is None:
        raise RefusedChangeError("the definition that the instance runs is not kept any more")
    view = await ledger.instances.view(instance.id)
    assert view is not None
    keys = [instance.region(head) for head in plan.regions]
    states = await asyncio.gather(*(read(ledger, key) for key in keys))
    boxes = await ledger.boxes(instance)
    waits = [wait for box in boxes for wait in await ledger.waits.of_box(box) if wait.state == "open"]
    return Standing(
        plan=plan,
        view=view,
        journals={key.region: state for key, state in zip(keys, states, strict=True) if state.is_begun},
        requests=[request for request in await ledger.requests_of(instance) if request.state == "open"],
        waits=waits,
        items=await ledger.maps.items(instance.id),
    )


async def change(
    platform: Platform, tasks: RunTasks, instance: Instance, gate: Gate, decide: Decide[T], *, revive: bool = False
) -> Decision[T]:
    """Close the gate, decide behind it, and carry that out; what was decided.

    ``gate``: who wants what; its wish says ``kind``, and more for the record. ``revive``: the instance and its run may
    have ended; they go on behind the gate.

    :raises RefusedChangeError: it cannot be done; nothing has changed.
    :raises GateTakenError: somebody else changes it.
    :raises RunBusyError: a step of it is on a worker; nothing has changed.
    """
    gate = replace(gate, wish={**gate.wish, "revive": revive})
    await close_gate(platform, instance, gate, reopen=revive)
    loop = asyncio.get_running_loop()
    decisions: list[Decision[T]] = []

    async def decided() -> RunWish:
        decisions.append(await _decide(platform, instance.id, decide))
        return await _run_wish(platform, instance.id)

    def work() -> RunWish:
        return asyncio.run_coroutine_threadsafe(decided(), loop).result()

    try:
        try:
            await _in_transaction(tasks, instance, work, revive=revive)
        except RunGoneError as error:
            raise RefusedChangeError(str(error)) from None
    except (RefusedChangeError, RunBusyError):
        await _undo(platform, instance.id)
        raise
    await _open(platform, instance.id)
    return decisions[0]


async def go_on(platform: Platform, tasks: RunTasks, instance_id: str) -> bool:
    """Finish a change that a crash has interrupted, or undo one that had decided nothing yet; whether there was one."""
    instance = await platform.ledger.instances.head(instance_id)
    gate = _gate(instance)
    if instance is None or gate is None:
        await platform.ledger.gates.forget(instance_id, "changing")
        return False
    if instance.status in ENDED or not _is_decided(gate):
        return await platform.ledger.gates.open(instance_id, gate)
    loop = asyncio.get_running_loop()

    def work() -> RunWish:
        return asyncio.run_coroutine_threadsafe(_run_wish(platform, instance_id), loop).result()

    revive = bool(gate.wish["revive"])
    await _in_transaction(tasks, instance, work, revive=revive)
    await _open(platform, instance_id)
    return True


async def _in_transaction(tasks: RunTasks, instance: Instance, work: Callable[[], RunWish], *, revive: bool) -> None:
    change = partial(tasks.change, instance.workflow_id, instance.run_id, work, revive=revive)
    await asyncio.get_running_loop().run_in_executor(_TRANSACTIONS, change)


async def finish_interrupted(platform: Platform, tasks: RunTasks, patience: int = INTERRUPTED) -> int:
    """Go on with the changes whose gates have been closed for ``patience`` (ms); how many there were."""
    found = 0
    for instance_id, since in await platform.ledger.gates.closed("changing"):
        if platform.clock() - since >= patience:
            try:
                found += await go_on(platform, tasks, instance_id)
            except (RunBusyError, RunGoneError, CchError) as error:
                log.warning("the change of %s cannot be finished yet: %s", instance_id, error)
    return found


def _gate(instance: Instance | None) -> Gate | None:
    return None if instance is None else instance.gate("changing")


def _is_decided(gate: Gate) -> bool:
    """Whether the change has happened: the write that decides puts what is left to do into the gate."""
    return "todo" in gate.wish


async def _undo(platform: Platform, instance_id: str) -> None:
    found = await platform.ledger.instances.head(instance_id)
    if found is not None and (gate := _gate(found)) is not None and not _is_decided(gate):
        await platform.ledger.gates.open(instance_id, gate)


async def _decide(platform: Platform, instance_id: str, decide: Decide[T]) -> Decision[T]:
    """Let it be decided behind the closed gate, and make that count."""
    ledger = platform.ledger
    instance = await ledger.instances.head(instance_id)
    gate = _gate(instance)
    if instance is None or gate is None:
        raise RefusedChangeError("the instance has ended meanwhile")
    if batch := gate.wish.get("batch"):
        await refuse_repetition(ledger, instance_id, batch)
    decision = await decide(await standing(platform, instance))
    facts = {"from": str(instance.version), "before": list(decision.before), "after": list(decision.after)}
    decided = replace(gate, wish={**gate.wish, **facts, "todo": decision.todo.to_json()})
    version = decision.version or instance.version
    assert version is not None
    structure = decision.structure_digest or instance.structure_digest
    limit = instance.time_limit if decision.time_limit is None else decision.time_limit
    due = (instance.due or platform.clock()) - instance.time_limit + limit if limit else 0
    amended = await ledger.instances.amend(
        instance, version, structure, decision.amendments, (gate, decided), time_limit=limit, due=due
    )
    if not amended:
        raise RefusedChangeError("the instance has ended meanwhile")
    return decision


async def _run_wish(platform: Platform, instance_id: str) -> RunWish:
    """Carry out in the ledger what was decided, and say what Airflow's run is to be."""
    view = await platform.ledger.instances.view(instance_id)
    assert view is not None
    instance, gate = view.instance, _gate(view.instance)
    assert gate is not None
    todo = Todo.from_json(gate.wish["todo"])
    await _settle(platform, instance, todo)
    came_from = parse_version(gate.wish["from"])
    before = None
    if came_from is not None:
        as_it_was = replace(instance, definition_digest=came_from.digest, planner=came_from.planner)
        before = await platform.plans.of(as_it_was)
    stands = await standing(platform, instance)
    plan, flow = stands.plan, stands.flow(stands.plan, instance.amendments)
    await _leave(platform, stands, {each.node for each in flow.ready()})
    renamed = gate.wish.get("renamed", {})
    ref = RegionRef(
        workflow_id=instance.workflow_id, region="", definition_digest=instance.definition_digest,
        structure_digest=instance.structure_digest, planner=instance.planner,
    )  # fmt: skip
    return RunWish(
        dag_id=instance.workflow_id,
        run_id=instance.run_id,
        version=str(instance.version),
        tasks=_task_wishes(stands, flow, todo),
        items=_items_anew(plan, instance, todo),
        regions={plan.task_of[head]: head for head in plan.regions},
        arguments=ref.arguments(),
        renamed=_renamed_tasks(before, plan, renamed),
        note=f"{gate.wish['kind']} by {gate.by}" + (f": {gate.reason}" if gate.reason else ""),
    )


def _task_wishes(stands: Standing, flow: TokenFlow, todo: Todo) -> dict[str, TaskWish]:
    plan, now = stands.plan, stands.view.instance.amendments.now
    ready = {each.node for each in flow.ready()}
    begun = {now(item.node) for item in stands.items if item.made_by[0].is_root}
    # A map that begins anew has begun none of its items, unless it is one of them that does.
    set_aside = {now(name.rpartition("#")[0]) for dropped in todo.drop.values() for name in dropped}
    waited_for = {now(item.region) for item in todo.items}
    wishes = task_wishes(plan, flow, frozenset((begun & ready) - (set_aside - waited_for)))
    return wishes | {plan.task_of[head]: TaskWish("open") for head in waited_for}


def _items_anew(plan: Plan, instance: Instance, todo: Todo) -> tuple[tuple[str, int], ...]:
    of_items = {task.node: task.task_id for task in plan.tasks.values() if task.kind == "item"}
    return tuple((of_items[instance.amendments.now(item.region)], item.index) for item in todo.items)


def _renamed_tasks(before: Plan | None, plan: Plan, renamed: Mapping[str, str]) -> dict[str, str]:
    if before is None:
        return {}
    known = ((old, new) for old, new in renamed.items() if old in before.task_of and new in plan.task_of)
    return {before.task_of[old]: plan.task_of[new] for old, new in known}


async def _settle(platform: Platform, instance: Instance, todo: Todo) -> None:
    """Carry out what was decided. Repeatable."""
    ledger, now = platform.ledger, platform.clock()
    for command_id in todo.supersede:
        await ledger.requests.close(command_id, "superseded", now, reason="somebody has changed the instance")
    if todo.supersede_waits:
        for box in await ledger.boxes(instance):
            for wait in await ledger.waits.of_box(box):
                if wait.state == "open" and wait.id in todo.supersede_waits:
                    await ledger.waits.close(wait, "superseded", now)
    for region in dict.fromkeys((*todo.drop, *todo.write)):
        await _rewrite(platform, instance, region, todo)
    for item in todo.items:
        key = RegionKey(instance=instance.id, region=item.region, scope=Scope(item.scope))
        state = await read(ledger, key)
        if item.drop.keys() & state.outcomes.keys():
            await _begin_anew(platform, instance, key, state, item.drop)
    for adopted in todo.adopt:
        if (message := await ledger.messages.get(adopted)) is not None:
            await ledger.messages.hold_again(message, instance.box(message.branch))
    for region in todo.again:
        await ledger.instances.unfinish(instance.id, region)
    for region in todo.carried:
        state = await read(ledger, RegionKey(instance=instance.id, region=region))
        await ledger.instances.put_exit(instance.id, _exit(region, state))


async def _rewrite(platform: Platform, instance: Instance, region: str, todo: Todo) -> None:
    """Set visits of one region aside, and write those that somebody has decided."""
    ledger = platform.ledger
    key = RegionKey(instance=instance.id, region=region)
    drop, written = todo.drop.get(region, {}), todo.write.get(region, ())
    state = await read(ledger, key)
    if any(name in state.outcomes and state.outcomes[name] not in written for name in drop):
        await _begin_anew(platform, instance, key, state, drop)
    if written and not all(outcome.id in state.outcomes for outcome in written):
        entry = JournalEntry(
            kind="turn", task_instance=state.task_instance, generation=state.generation, outcomes=written,
            gate=instance.gates,
        )  # fmt: skip
        await ledger.journal.append(key, state.entries, entry)
    if drop:
        await ledger.instances.set_aside(instance.id, region, drop.keys())


async def _begin_anew(
    platform: Platform, instance: Instance, key: RegionKey, state: JournalState, drop: Mapping[str, int]
) -> None:
    """Let a journal begin a new generation, in which these visits do not count."""
    entry = JournalEntry(
        kind="try", mode="continue", task_instance=state.task_instance, generation=state.generation + 1,
        dropped=drop, gate=instance.gates,
    )  # fmt: skip
    await platform.ledger.journal.append(key, state.entries, entry)
    state.take(entry)


async def _leave(platform: Platform, stands: Standing, ready: set[str]) -> None:
    """Let regions leave that have nothing to do any more: nobody will execute them."""
    instance = stands.view.instance
    for region in stands.unfinished:
        head = instance.amendments.now(region)
        members = stands.plan.regions[head].nodes if head in stands.plan.regions else ()
        state = stands.journals[region]
        if state.outcomes and not ready & set(members):
            await platform.ledger.instances.put_exit(instance.id, _exit(region, state))


def _exit(region: str, state: JournalState) -> Exit:
    """What a region leaves that nobody executes any more."""
    left = tuple(state.outcomes.values())
    return Exit(region=region, generation=state.generation, task_instance=state.task_instance, outcomes=left)


async def _open(platform: Platform, instance_id: str) -> None:
    instance = await platform.ledger.instances.head(instance_id)
    gate = _gate(instance)
    if instance is None or gate is None:
        return
    wish = gate.wish
    record = ActionRecord(
        number=instance.gates, kind=wish["kind"], at=gate.since, by=gate.by, reason=gate.reason,
        came_from=wish["from"], version=str(instance.version), before=tuple(wish["before"]),
        after=tuple(wish["after"]), about={name: wish[name] for name in _ABOUT if name in wish},
    )  # fmt: skip
    await platform.ledger.actions.put(instance_id, record)
    await platform.ledger.gates.open(instance_id, gate)
    plan = await platform.plans.of(instance)
    if plan is not None:  # it may have come to its end, without a region that could notice
        await finish_if_complete(platform, plan, instance_id)
