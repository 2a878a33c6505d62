"""Moves an instance to another version: in the ledger and in Airflow's tables, repeatable after a crash at any point.

The gate before the instance is closed first, so that nothing is recorded any more; then it is looked at and decided.
What is decided is written into the gate together with the new version, in one write. After that the move has happened,
and all that follows only carries it out: open requests, exits, Airflow's run. Then the gate is opened. Whoever finds a
gate that a crash has left closed goes on from there (:func:`go_on`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cch.definition.version import Version, parse_version
from cch.errors import CchError
from cch.ledger.gates import Gate
from cch.ledger.records import ENDED, Exit, MoveRecord
from cch.runtime.choosing import Choice, Chooser
from cch.runtime.execution import finish_if_complete
from cch.runtime.gating import close_gate
from cch.runtime.journaling import read
from cch.runtime.move_plan import MovePlan, MoveRefusedError, Standing, plan_move
from cch.runtime.plans import PlanKey
from cch.runtime.region_task import RegionRef
from cch.runtime.task_wishes import RunBusyError, RunGoneError, RunTasks, RunWish, task_wishes

if TYPE_CHECKING:
    from cch.definition.model import Definition
    from cch.graph.plan import Plan
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform

log = logging.getLogger(__name__)

#: A move takes a second or two; after so long (ms) nobody works on it any more.
INTERRUPTED = 60_000
#: moved: it runs the other version. busy: a step of it is on a worker; try again. refused: it cannot go there.
Fate = Literal["moved", "busy", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveWish:
    """Where an instance is to go, who wants that and why. ``renamed``: a node's name so far → its name there."""

    definition: Definition
    renamed: Mapping[str, str]
    by: str
    reason: str = ""


async def preview(platform: Platform, instance_id: str, wish: MoveWish) -> MovePlan:
    """What the move would do if it were made now. Changes nothing.

    :raises MoveRefusedError: it cannot be made; says why.
    """
    instance = await _movable(platform, instance_id, wish)
    return plan_move(await standing(platform, instance), await _plan_for(platform, instance, wish), wish.renamed)


async def move(platform: Platform, tasks: RunTasks, instance_id: str, wish: MoveWish) -> MovePlan:
    """Move the instance.

    :raises MoveRefusedError: it cannot go there; says why.
    :raises GateTakenError: somebody else moves it.
    :raises RunBusyError: a step of it is on a worker; nothing has changed.
    """
    instance = await _movable(platform, instance_id, wish)
    chooser = Chooser(platform.catalogue, platform.ledger.versions, platform.clock)
    await chooser.settle(Choice(wish.definition, await platform.ledger.versions.shelf(instance.workflow_id)))
    version = Version(wish.definition.digest, instance.reading_rules, instance.planner)
    try:
        await asyncio.to_thread(tasks.prepare, instance.workflow_id, str(version))
    except CchError as error:
        raise MoveRefusedError(str(error)) from None
    gate = Gate(
        kind="moving", by=wish.by, since=platform.clock(), reason=wish.reason,
        wish={"version": str(version), "renamed": dict(wish.renamed), "amendment": instance.amendments.count + 1},
    )  # fmt: skip
    await close_gate(platform, instance, gate)
    return await _behind_gate(platform, tasks, instance_id, wish)


async def go_on(platform: Platform, tasks: RunTasks, instance_id: str) -> bool:
    """Finish a move that a crash has interrupted, or undo one that had decided nothing yet; whether there was one."""
    instance = await platform.ledger.instances.head(instance_id)
    gate = _gate(instance)
    if instance is None or gate is None:
        await platform.ledger.gates.forget(instance_id, "moving")
        return False
    if instance.status in ENDED or not _is_decided(instance, gate):
        return await platform.ledger.gates.open(instance_id, gate)
    await _carry_out(platform, tasks, instance_id)
    return True


async def finish_interrupted(platform: Platform, tasks: RunTasks, patience: int = INTERRUPTED) -> int:
    """Go on with the moves whose gates have been closed for ``patience`` (ms); how many there were."""
    found = 0
    for instance_id, since in await platform.ledger.gates.closed("moving"):
        if platform.clock() - since >= patience:
            try:
                found += await go_on(platform, tasks, instance_id)
            except (RunBusyError, RunGoneError, CchError) as error:
                log.warning("the move of %s cannot be finished yet: %s", instance_id, error)
    return found


async def _behind_gate(platform: Platform, tasks: RunTasks, instance_id: str, wish: MoveWish) -> MovePlan:
    loop = asyncio.get_running_loop()
    decided: list[MovePlan] = []

    def work() -> RunWish | None:
        return asyncio.run_coroutine_threadsafe(decide(), loop).result()

    async def decide() -> RunWish:
        decided.append(await _decide(platform, instance_id, wish))
        return await _run_wish(platform, instance_id)

    try:
        instance = await platform.ledger.instances.head(instance_id)
        assert instance is not None
        try:
            await asyncio.to_thread(tasks.change, instance.workflow_id, instance.run_id, work)
        except RunGoneError as error:
            raise MoveRefusedError(str(error)) from None
    except (MoveRefusedError, RunBusyError):
        found = await platform.ledger.instances.head(instance_id)
        if found is not None and (gate := _gate(found)) is not None and not _is_decided(found, gate):
            await platform.ledger.gates.open(instance_id, gate)
        raise
    await _open(platform, instance_id)
    return decided[0]


async def _carry_out(platform: Platform, tasks: RunTasks, instance_id: str) -> None:
    loop = asyncio.get_running_loop()

    def work() -> RunWish:
        return asyncio.run_coroutine_threadsafe(_run_wish(platform, instance_id), loop).result()

    instance = await platform.ledger.instances.head(instance_id)
    assert instance is not None
    await asyncio.to_thread(tasks.change, instance.workflow_id, instance.run_id, work)
    await _open(platform, instance_id)


async def _open(platform: Platform, instance_id: str) -> None:
    instance = await platform.ledger.instances.head(instance_id)
    gate = _gate(instance)
    if instance is None or gate is None:
        return
    todo = gate.wish
    record = MoveRecord(
        number=instance.amendments.count, at=gate.since, by=gate.by, reason=gate.reason, came_from=todo["from"],
        version=todo["version"], before=tuple(todo["before"]), after=tuple(todo["after"]), renamed=todo["renamed"],
    )  # fmt: skip
    await platform.ledger.instances.put_move(instance_id, record)
    await platform.ledger.gates.open(instance_id, gate)
    plan = await platform.plans.of(instance)
    if plan is not None:  # it may have come to its end, without a region that could notice
        await finish_if_complete(instance_id, plan, platform)


def _gate(instance: Instance | None) -> Gate | None:
    gates = instance.closed if instance is not None else ()
    return next((gate for gate in gates if gate.kind == "moving"), None)


def _is_decided(instance: Instance, gate: Gate) -> bool:
    return bool(instance.amendments.count == gate.wish["amendment"])


async def _movable(platform: Platform, instance_id: str, wish: MoveWish) -> Instance:
    """:raises MoveRefusedError: nothing can be moved, or there is nothing to do."""
    instance = await platform.ledger.instances.head(instance_id)
    if instance is None:
        raise MoveRefusedError(f"the ledger does not know instance {instance_id}")
    if instance.status in ENDED:
        raise MoveRefusedError(f"the instance has {instance.status}: only a live one can be moved")
    if not instance.structure_digest:
        raise MoveRefusedError("the instance has not begun: cancel it, and start another with that version")
    if instance.workflow_id != wish.definition.workflow_id:
        raise MoveRefusedError(f"the version is one of {wish.definition.workflow_id}, not of {instance.workflow_id}")
    if instance.definition_digest == wish.definition.digest:
        raise MoveRefusedError("the instance runs that version already")
    return instance


async def _plan_for(platform: Platform, instance: Instance, wish: MoveWish) -> Plan:
    """The plan by which the instance would go on: with its own reading rules, planner and dialect."""
    return await platform.plans.get(PlanKey.of(replace(instance, definition_digest=wish.definition.digest)))


async def standing(platform: Platform, instance: Instance) -> Standing:
    """Where the instance stands now.

    :raises MoveRefusedError: its own definition is nowhere any more.
    """
    ledger = platform.ledger
    plan = await platform.plans.of(instance)
    if plan is None:
        raise MoveRefusedError("the definition that the instance runs is not kept any more")
    view = await ledger.instances.view(instance.id)
    assert view is not None
    keys = [instance.region(head) for head in plan.regions]
    states = await asyncio.gather(*(read(ledger, key) for key in keys))
    boxes = await ledger.boxes(instance)
    waits = [wait for box in boxes for wait in await ledger.waits.of_box(box) if wait.state == "open"]
    return Standing(
        plan=plan,
        view=view,
        journals={key.region: state for key, state in zip(keys, states, strict=True) if state.task_instance},
        requests=[request for request in await ledger.requests_of(instance) if request.state == "open"],
        waits=waits,
        items=await ledger.instances.items(instance.id),
    )


async def _decide(platform: Platform, instance_id: str, wish: MoveWish) -> MovePlan:
    """Plan the move behind the closed gate, and make it happen in the ledger."""
    ledger = platform.ledger
    instance = await ledger.instances.head(instance_id)
    gate = _gate(instance)
    if instance is None or gate is None:
        raise MoveRefusedError("the instance has ended meanwhile")
    new = await _plan_for(platform, instance, wish)
    stands = await standing(platform, instance)
    plan = plan_move(stands, new, wish.renamed)
    todo = {
        "from": str(instance.version),
        "supersede": [record.command_id for record in plan.superseded if hasattr(record, "command_id")],
        "supersede_waits": [record.id for record in plan.superseded if hasattr(record, "id")],
        "rekey": {record.id: node.event_path for record, node in plan.rekeyed},
        "again": list(plan.again),
        "before": list(plan.before),
        "after": list(plan.after),
    }
    for region in plan.carried:
        state = stands.journals[region]
        await ledger.instances.put_exit(
            instance_id,
            Exit(
                region=region, generation=state.generation, task_instance=state.task_instance,
                outcomes=tuple(state.outcomes.values()),
            ),
        )  # fmt: skip
    decided = replace(gate, wish={**gate.wish, **todo})
    version = Version(wish.definition.digest, instance.reading_rules, instance.planner)
    if not await ledger.instances.rebind(instance, version, new.structure_digest, plan.amendments, (gate, decided)):
        raise MoveRefusedError("the instance has ended meanwhile")
    return plan


async def _run_wish(platform: Platform, instance_id: str) -> RunWish:
    """Carry out in the ledger what was decided, and say what Airflow's run is to be."""
    ledger = platform.ledger
    view = await ledger.instances.view(instance_id)
    assert view is not None
    instance, gate = view.instance, _gate(view.instance)
    assert gate is not None
    await _settle(platform, instance, gate.wish)
    plan = await platform.plans.of(instance)
    came_from = parse_version(gate.wish["from"])
    before = await platform.plans.of(replace(instance, definition_digest=came_from.digest)) if came_from else None
    assert plan is not None
    stands = await standing(platform, instance)
    flow = stands.flow(plan, instance.amendments)
    items = {instance.amendments.now(item.node) for item in stands.items if item.made_by[0].is_root}
    ready = {each.node for each in flow.ready()}
    renamed = {
        before.task_of[old]: plan.task_of[new]
        for old, new in gate.wish["renamed"].items()
        if before is not None and old in before.task_of and new in plan.task_of
    }
    ref = RegionRef(
        workflow_id=instance.workflow_id, region="", definition_digest=instance.definition_digest,
        structure_digest=instance.structure_digest, planner=instance.planner,
    )  # fmt: skip
    return RunWish(
        dag_id=instance.workflow_id,
        run_id=instance.run_id,
        version=str(instance.version),
        tasks=task_wishes(plan, flow, frozenset(items & ready)),
        regions={plan.task_of[head]: head for head in plan.regions},
        arguments=ref.arguments(),
        renamed=renamed,
    )


async def _settle(platform: Platform, instance: Instance, todo: Mapping[str, Any]) -> None:
    """Close what nobody waits for any more, and open again what has left too early. Repeatable."""
    ledger, now = platform.ledger, platform.clock()
    for command_id in todo["supersede"]:
        await ledger.requests.close(command_id, "superseded", now, reason="the instance was moved to another version")
    for box in await ledger.boxes(instance):
        for wait in await ledger.waits.of_box(box):
            if wait.state == "open" and wait.id in todo["supersede_waits"]:
                await ledger.waits.close(wait, "superseded", now)
            elif wait.state == "open" and wait.id in todo["rekey"]:
                await ledger.waits.rekey(wait, todo["rekey"][wait.id])
    for region in todo["again"]:
        await ledger.instances.unfinish(instance.id, region)
