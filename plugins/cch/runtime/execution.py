"""Executes one region for one Airflow task: open the ledger's record, run, leave the exit, tell Airflow the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cch.definition.model import Definition
from cch.definition.reader import served_document
from cch.definition.rules import NEWEST
from cch.definition.starting import context_of_form, context_problems, start_context, storable_context
from cch.definition.version import Version
from cch.dialects import UnknownDialectError, chosen_dialect, recorded_dialect
from cch.errors import (
    CchError,
    LedgerError,
    ServiceUnavailableError,
    StructureChangedError,
)
from cch.graph.plan import Plan
from cch.graph.planners import UnknownPlannerError
from cch.graph.regions import Region
from cch.identity import UnknownSchemeError, require_known
from cch.interpreter.flow import TokenFlow
from cch.interpreter.host import OvertakenError
from cch.interpreter.region import RegionRun
from cch.interpreter.replay import flow_of
from cch.ledger.instances import require_kept
from cch.ledger.records import ENDED, Exit, Instance, InstanceView, instance_id_of_run
from cch.runtime.ending import end_instance
from cch.runtime.gating import HeldError, is_stopped
from cch.runtime.holding import is_held_back
from cch.runtime.host import LedgerHost, Try
from cch.runtime.journaling import InstanceCancelledError, StoppedError, enter, never, read, succeeded
from cch.runtime.mapped import ItemHost, ResultsHost, begin_items, run_mapped_item
from cch.runtime.overdue import require_time
from cch.runtime.plans import PlanKey
from cch.runtime.platform import Platform
from cch.runtime.region_task import RegionEnd, RegionTask
from cch.runtime.run_conf import CONF_CORRELATION, CONF_INSTANCE, initial_context, is_form
from cch.runtime.worker_calls import needs_worker

log = logging.getLogger(__name__)

T = TypeVar("T")

_Work = Callable[[RegionTask, Platform, InstanceView, Plan], Awaitable[T]]


async def execute_region(task: RegionTask, platform: Platform, known: InstanceView | None = None) -> RegionEnd:
    """Run the region, or one item of its map, to its end, however long that takes; safe to repeat at any point.

    ``known``: the instance as it was read a moment ago.

    Never raises :class:`CchError`: what goes wrong is the task's failure, with the reason. While AWS does not answer
    it tries again, because everything that counts is in the ledger.
    """
    work = _run if task.item is None else _run_item
    try:
        return await _persistently(task, platform, work, known)
    except CchError as error:
        log.error("region failed: %s", error, extra={"cch_code": error.code, "cch_region": task.region})  # noqa: TRY400 - the message says all
        return RegionEnd(state="failed", reason=str(error))


async def list_items(task: RegionTask, platform: Platform) -> list[str] | None:
    """The branch keys over which Airflow maps the tasks of the region's items; None if nothing leads to the map.

    :raises CchError: the instance or its definition is not as this task needs it.
    """
    return await _persistently(task, platform, _list_items)


async def _persistently(task: RegionTask, platform: Platform, work: _Work[T], known: InstanceView | None = None) -> T:
    pauses = platform.pauses()
    while True:
        await platform.turnstile.enter()
        begun, taken, known = platform.clock(), known, None
        try:
            view = await _view(task, platform, taken)
            plan = await platform.plans.get(PlanKey.of(view.instance))
            _check_structure(task, plan, view.instance)
            return await work(task, platform, view, plan)
        except InstanceCancelledError:
            log.info("the instance was cancelled: nothing more is sent", extra={"cch_region": task.region})
        except (OvertakenError, StoppedError):
            continue
        except (ServiceUnavailableError, UnknownSchemeError, UnknownDialectError, UnknownPlannerError) as error:
            log.warning("trying again: %s", error, extra={"cch_region": task.region})
        finally:
            platform.turnstile.leave()
        if platform.clock() - begun > pauses.longest * 1000:
            pauses.reset()  # it went well for a while
        await asyncio.sleep(pauses.next())


async def _view(task: RegionTask, platform: Platform, known: InstanceView | None) -> InstanceView:
    """The instance that the run belongs to, with what is recorded; made here if Airflow started the run by itself."""
    given = task.conf.get(CONF_INSTANCE)
    instance_id = str(given) if given else instance_id_of_run(task.workflow_id, task.run_id)
    instances = platform.ledger.instances
    view = known or await instances.view(instance_id)
    if view is None and given:
        raise LedgerError(f"the ledger does not know instance {instance_id}, which this run was started for")
    view = await _behind_gates(task, platform, view)
    if view is not None:
        require_kept(view.instance)
        require_known(view.instance.scheme, instance_id)
        recorded_dialect(view.instance.dialect, instance_id)
    if view is None or not view.instance.structure_digest:
        if view is not None:
            _check_version(task, view.instance)
        definition = await asyncio.to_thread(platform.catalogue.by_digest, task.definition_digest, task.workflow_id)
        await asyncio.to_thread(platform.catalogue.keep, definition)
        instance = view.instance if view else await _create(task, platform, instance_id, definition)
        # Bound once: what a later program finds in the text must not change how this instance reads it.
        rules = (await asyncio.to_thread(served_document, definition.text, "", instance.reading_rules)).rules
        version = Version(task.definition_digest, rules, task.planner)
        dialect = definition.speaks if definition.dialect else chosen_dialect(platform.settings.dialect)
        view = await instances.begin(
            instance, task.run_id, version, task.structure_digest, dialect=dialect, capabilities=definition.asked,
            time_limit=definition.time_limit, now=platform.clock(),
        )  # fmt: skip
    if view.instance.run_id != task.run_id:
        raise LedgerError(f"instance {instance_id} belongs to run {view.instance.run_id!r}, not to {task.run_id!r}")
    return view


async def _behind_gates(task: RegionTask, platform: Platform, view: InstanceView | None) -> InstanceView | None:
    """The instance, once no gate before it is closed, and its workflow is not held.

    :raises HeldError: it is held or being changed, and whoever executes the task is not to wait for its end: a worker,
        or a copy that runs ahead of a task, which may be another one afterwards.
    """
    while view is not None:
        instance = view.instance
        if not is_stopped(instance) and not await is_held_back(platform, instance):
            break
        platform.turnstile.leave()
        if task.ahead or (platform.yields and instance.gate("changing") is None):
            raise HeldError(instance.id)
        await platform.gatekeeper.opened(instance.id)
        view = await platform.ledger.instances.view(instance.id)
    return view


async def _create(task: RegionTask, platform: Platform, instance_id: str, definition: Definition) -> Instance:
    """The instance of a run that Airflow started by itself."""
    given = initial_context(task.conf)
    context = context_of_form(definition, given) if is_form(task.conf) else start_context(definition, given)
    problems = context_problems(definition, context)
    _, instance = await platform.ledger.instances.create(
        Instance(
            id=instance_id,
            workflow_id=task.workflow_id,
            run_id=task.run_id,
            correlation_id=str(task.conf.get(CONF_CORRELATION) or instance_id),
            status="running",
            started=platform.clock(),
            context=context if storable_context(context) else {},
            definition_uri=platform.catalogue.uri(definition.workflow_id),
            reading_rules=NEWEST,
            definition_digest=definition.digest,
            planner=task.planner,
        )
    )
    if problems:
        reason = f"cannot start {task.workflow_id}: {'; '.join(problems)}"
        await end_instance(platform, instance_id, "failed", reason)
        raise LedgerError(reason)
    return instance


def _check_version(task: RegionTask, instance: Instance) -> None:
    """:raises StructureChangedError: the run was made by another version than the one that was chosen for it."""
    if (chosen := instance.definition_digest) and chosen != task.definition_digest:
        raise StructureChangedError(
            f"instance {instance.id} is to run version {chosen[:12]} of {task.workflow_id}, and Airflow's run was made"
            f" with version {task.definition_digest[:12]}: see `cch doctor` for whether runs are pinned"
        )


def _check_structure(task: RegionTask, plan: Plan, instance: Instance) -> None:
    if instance.amendments.count:
        return  # the task may have been made by the version before
    if task.structure_digest != plan.structure_digest or task.region not in plan.regions:
        raise StructureChangedError(
            f"{task.workflow_id} was republished with another structure ({task.structure_digest}) while instance"
            f" {instance.id} runs the old one ({plan.structure_digest}): publish the old definition again, or start"
            " the work anew"
        )


async def _run(task: RegionTask, platform: Platform, view: InstanceView, plan: Plan) -> RegionEnd:
    instance = view.instance
    key = instance.region(task.region)
    region = plan.regions.get(task.region)
    if region is None:
        return RegionEnd(state="skipped", reason="the instance was moved to a version that has no such task")
    others = view.outcomes(key.region)
    flow = flow_of(plan, instance.context, others, instance.amendments)
    if not RegionRun.may_begin(region, flow):
        return _not_begun(region, flow)
    left = next((exit_ for exit_ in view.exits if exit_.region == key.region and not exit_.unfinished), None)
    if left is not None and left.task_instance == task.task_instance:
        log.info("a copy of this task has done its work", extra={"cch_region": task.region})
        flow.apply_all(left.outcomes)
        return _end(task, plan, flow, left, await _finish(platform, plan, view))
    if reason := await needs_worker(platform, plan, region):
        return RegionEnd(state="worker", reason=reason)
    anew, now = succeeded if left else never, platform.clock()
    journal = await enter(
        platform.ledger, key, task.task_instance, anew, instance, now=now, first=task.ahead and left is None
    )
    if journal is None:
        log.warning("a newer copy of this task runs: this one does nothing", extra={"cch_region": task.region})
        platform.turnstile.leave()
        await asyncio.Event().wait()
    assert journal is not None
    await require_time(platform, instance)
    if instance.status == "failed":  # the run had ended without this task, and somebody has cleared it
        await platform.ledger.instances.reopen(instance.id, now)
    known = set(flow.outcomes)
    flow.apply_all(journal.outcomes.values())
    attempt = Try(key=key, task_instance=task.task_instance, generation=journal.generation, dropped=journal.dropped)
    host = (ResultsHost if region.mapped else LedgerHost)(platform, instance, attempt, journal)
    await RegionRun(region, flow, host).run()
    own = tuple(outcome for name, outcome in flow.outcomes.items() if name not in known)
    return await _leave(
        task,
        platform,
        plan,
        flow,
        Exit(region=key.region, generation=journal.generation, task_instance=task.task_instance, outcomes=own),
    )


def _not_begun(region: Region, flow: TokenFlow) -> RegionEnd:
    """The end of a task that nothing recorded leads to.

    Only a map's results begin also when a task before them failed: they must then fail, or Airflow's run succeeds.
    """
    log.warning("no recorded outcome leads here", extra={"cch_region": region.head})
    if region.mapped and (region.head in flow.stopped or flow.may_reach(region.head)):
        return RegionEnd(state="failed", reason="what leads to this map failed, or ended before its work was done")
    return RegionEnd(state="skipped", reason="no recorded outcome of a predecessor chose this node")


async def _list_items(task: RegionTask, platform: Platform, view: InstanceView, plan: Plan) -> list[str] | None:
    if view.instance.status == "cancelled":  # by somebody who did not know this task: then a person has cleared it
        state = await read(platform.ledger, view.instance.region(task.region))
        if state.task_instance and state.task_instance < task.task_instance:
            await platform.ledger.instances.reopen(view.instance.id, platform.clock())
    flow, host = _before_map(task, platform, view, plan)
    return await begin_items(plan.regions[task.region], flow, host)


async def _run_item(task: RegionTask, platform: Platform, view: InstanceView, plan: Plan) -> RegionEnd:
    flow, host = _before_map(task, platform, view, plan)
    assert task.item is not None
    reason = await run_mapped_item(plan.regions[task.region], flow, host, task.item)
    if reason is None:
        return RegionEnd(state="skipped", reason=f"the list of {task.region!r} has no item {task.item!r} any more")
    return RegionEnd(state="failed", reason=reason) if reason else RegionEnd(state="success")


def _before_map(task: RegionTask, platform: Platform, view: InstanceView, plan: Plan) -> tuple[TokenFlow, ItemHost]:
    """What is recorded before the map, and a host for its items: the map's own region has not begun."""
    instance = view.instance
    key = instance.region(task.region)
    attempt = Try(key=key, task_instance=task.task_instance, generation=0, dropped={})
    flow = flow_of(plan, instance.context, view.outcomes(key.region), instance.amendments)
    return flow, ItemHost(platform, instance, attempt, plan.graph)


async def _leave(task: RegionTask, platform: Platform, plan: Plan, flow: TokenFlow, left: Exit) -> RegionEnd:
    """Record the exit, see whether the instance is complete, and say which way was taken."""
    instance_id = _instance_id(task)
    await platform.ledger.instances.put_exit(instance_id, left)
    view = await platform.ledger.instances.view(instance_id)
    assert view is not None
    after = await _finish(platform, plan, view)
    if platform.ahead is not None and view.instance.status == "running":
        platform.ahead.follow(task, platform, plan, flow=after, left=left.outcomes, view=view)
    return _end(task, plan, flow, left, after)


def _end(task: RegionTask, plan: Plan, flow: TokenFlow, left: Exit, after: TokenFlow) -> RegionEnd:
    """What Airflow is told of a region that has left. ``after``: the tokens of the instance since then."""
    failed = [outcome for outcome in left.outcomes if outcome.failed]
    if failed:
        return RegionEnd(state="failed", reason=flow.failure_reason(failed[0]))
    if after.ended_nowhere:  # no task is left that could tell Airflow
        return RegionEnd(state="failed", reason=after.reason())
    members = set(plan.regions[task.region].nodes)
    fired = {outcome.node for outcome in flow.outcomes.values() if outcome.node in members}
    return RegionEnd(state="success", followed=tuple(plan.followed(task.region, flow.taken(members), fired)))


def _instance_id(task: RegionTask) -> str:
    return str(task.conf.get(CONF_INSTANCE) or instance_id_of_run(task.workflow_id, task.run_id))


async def finish_if_complete(platform: Platform, plan: Plan, instance_id: str) -> None:
    """Record the end of the instance if no token is left."""
    view = await platform.ledger.instances.view(instance_id)
    assert view is not None
    await _finish(platform, plan, view)


async def _finish(platform: Platform, plan: Plan, view: InstanceView) -> TokenFlow:
    """Record the end of the instance if no token is left; the tokens. The last region to leave sees all exits."""
    flow = flow_of(plan, view.instance.context, view.outcomes(), view.instance.amendments)
    status = flow.status()
    if status == "running" or view.instance.status in ENDED:
        return flow
    if await end_instance(platform, view.instance.id, status, flow.reason()):
        await platform.exchange.sweep(view.instance)
    return flow
