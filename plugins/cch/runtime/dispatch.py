"""Turns pending starts into runs, and tells the ledger of runs that ended without it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from cch import __version__, metrics
from cch.definition.starting import form_of_context
from cch.errors import CchError, DefinitionNotFoundError, LedgerError
from cch.graph.planners import version_of
from cch.identity import NEWEST_SCHEME, UnknownSchemeError, require_known
from cch.ledger.mailboxes import PendingStart
from cch.ledger.records import ENDED, Instance
from cch.ledger.versions import HookReport, Pinning
from cch.pauses import Pauses
from cch.runtime import lingering
from cch.runtime.ending import end_instance, tell_ends
from cch.runtime.execution import finish_if_complete
from cch.runtime.platform import Platform
from cch.runtime.retention import expire_due
from cch.runtime.rollups import count_ended
from cch.runtime.run_conf import CONF_CORRELATION, CONF_DIGEST, CONF_INSTANCE, CONF_VERSION
from cch.runtime.usual import learn
from cch.settings import Settings

log = logging.getLogger(__name__)

#: How long one dispatcher task waits for DAGs that Airflow has not parsed yet (s). The next one comes in a minute.
_PATIENCE = 45.0
#: Longest pause before a start is tried again (ms), and how long it is tried at all (ms).
_LONGEST_PAUSE = 60_000
_GIVE_UP = 86_400_000
#: How long (ms) one dispatcher has a start for itself: far longer than Airflow takes to make a run (40 ms).
_IN_HAND = 15_000
#: Live instances that one task compares with their runs; the least recently compared come first.
_COMPARED = 100
#: How long (ms) the hooks are taken to be as they were: somebody may have mended Airflow in place.
_ASK_AGAIN = 3_600_000
#: Workflows of which Airflow is asked whether it pins their runs.
_ASKED = 5
#: An instance younger than this (ms) is not compared: its run may be about to be created or to end.
_TOO_YOUNG = 60_000

#: Held messages that the figure of them counts.
_MOST_HELD = 1000

RunState = Literal["running", "success", "failed", "missing", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun:
    """A run to create."""

    dag_id: str
    run_id: str
    conf: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRefused:
    """Why Airflow did not create a run; ``status`` is its HTTP status."""

    status: int
    reason: str


class Runs(Protocol):
    """Airflow's runs."""

    def start(self, run: StartRun) -> RunRefused | None:
        """Create the run; one that exists is fine."""
        ...

    def state(self, dag_id: str, run_id: str) -> RunState: ...

    def pins(self, dag_id: str) -> bool:
        """Whether Airflow keeps a run of this DAG on the version that the run was made with."""
        ...

    def reason_against_pinning(self) -> str:
        """Why Airflow cannot; "" if nothing speaks against it."""
        ...

    def airflow(self) -> str:
        """The version of Airflow."""
        ...

    def reasons_against_hooks(self, settings: Settings) -> Mapping[str, str]:
        """Hook → why the plugin does not install it in Airflow's processes; "" if it does. Takes a second."""
        ...


def _due(start: PendingStart, now: int) -> int:
    """When to try a start (ms).

    Its own time is believed only where it can be right: who received it may have a clock that is ahead.
    """
    return start.due if start.attempts and start.due <= now + _LONGEST_PAUSE else min(start.due, now)


def _said(refusal: str) -> str:
    """Why Airflow does not make the run yet, for people."""
    if CONF_DIGEST not in refusal:
        return refusal
    return f"Airflow has another version of its DAG yet, or only the DAG that says why there is none: {refusal}"


def _in_hand(start: PendingStart, now: int) -> bool:
    """Whether another dispatcher is starting it; not if that has died, or has a clock that is ahead."""
    return now < start.claimed <= now + _IN_HAND


class Dispatcher:
    """One round of dispatching."""

    def __init__(
        self, platform: Platform, runs: Runs, patience: float = _PATIENCE, pauses: Pauses | None = None
    ) -> None:
        self._platform = platform
        self._runs = runs
        self._patience = patience
        self._pinned: set[str] = set()
        self._pauses = pauses or Pauses(longest=_LONGEST_PAUSE / 1000)

    async def drain(self) -> int:
        """Start everything that is due; stays a while for starts whose DAG is not there yet. Number started."""
        until = self._platform.clock() + round(self._patience * 1000)
        started = 0
        while True:
            waiting = await self._platform.ledger.mailboxes.starts()
            for start in sorted(waiting, key=lambda s: (s.since, s.instance)):
                now = self._platform.clock()
                if _due(start, now) <= now and not _in_hand(start, now):
                    started += await self._start(start)
            now = self._platform.clock()
            left = await self._platform.ledger.mailboxes.starts()
            soon = [_due(start, now) for start in left if not _in_hand(start, now)]
            if not soon or min(soon) > until:
                return started
            await asyncio.sleep(max(0.05, (min(soon) - self._platform.clock()) / 1000))

    async def start_one(self, instance_id: str) -> bool:
        """Start this one now, if it is in the inbox; whether it has begun."""
        waiting = await self._platform.ledger.mailboxes.start_of(instance_id)
        return waiting is not None and await self._start(waiting)

    async def _start(self, start: PendingStart) -> bool:
        ledger = self._platform.ledger
        if not await ledger.mailboxes.claim(start, self._platform.clock() + _IN_HAND):
            return False  # another dispatcher is at it: Airflow would log its refusal of the second as an error
        instance = await ledger.instances.find(start.instance)
        if instance is None or instance.status in ENDED:
            await ledger.mailboxes.remove_start(start.instance)
            return False
        try:
            require_known(instance.scheme, instance.id)
        except UnknownSchemeError as error:
            await self._later(start, str(error))
            return False
        try:
            conf = await self._conf(instance)
        except CchError as error:
            gone = isinstance(error, DefinitionNotFoundError)
            await self._later(start, f"{'the definition was removed' if gone else 'no definition'}: {error}")
            return False
        refused = await asyncio.to_thread(
            self._runs.start, StartRun(dag_id=start.workflow_id, run_id=instance.id, conf=conf)
        )
        if refused is None:
            await ledger.instances.dispatched(instance.id, instance.id)
            await ledger.mailboxes.remove_start(start.instance)
            log.info("workflow started", extra={"cch_instance": instance.id, "cch_workflow": start.workflow_id})
            return True
        # Not parsed yet, or not in this version: both pass. Anything else that Airflow calls our fault does not.
        passes = refused.status in (404, 409, 429) or refused.status >= 500 or CONF_DIGEST in refused.reason
        if passes or "import_errors" in refused.reason:
            await self._later(start, _said(refused.reason))
        else:
            await self._fail(start, f"Airflow refused the start: {refused.reason}")
        return False

    async def _conf(self, instance: Instance) -> dict[str, Any]:
        """What the run is given: the business data as the form has it, and what ties the run to its version.

        Without pinning Airflow begins every run with the version that it serves. The digest then lets it refuse the
        run while that is not the version that is published.

        :raises CchError: the definition cannot be had, or Airflow cannot begin the version that was asked for.
        """
        catalogue, chosen = self._platform.catalogue, instance.version
        pinned = await self._pins(instance.workflow_id)
        if pinned and chosen is not None:
            rules = chosen.reading_rules or None
            definition = await asyncio.to_thread(catalogue.by_digest, chosen.digest, instance.workflow_id, rules)
        else:
            definition = await asyncio.to_thread(catalogue.current, instance.workflow_id)
            # Without pinning, all tasks are laid out by the first planner: see the compiler's factory.
            served = version_of(definition, self._platform.settings.awaited if pinned else ())
            if chosen is not None and replace(chosen, planner=served.planner) != served and instance.version_asked:
                raise LedgerError(
                    f"version {instance.version_asked} was asked for, and this Airflow begins every run with the"
                    " version that is published: see `cch doctor`"
                )
            if chosen != served:
                await self._platform.ledger.instances.choose(instance.id, served)
            chosen = served
        return {
            **form_of_context(definition, instance.context),
            CONF_INSTANCE: instance.id,
            CONF_CORRELATION: instance.correlation_id,
            **({CONF_VERSION: str(chosen)} if pinned else {CONF_DIGEST: definition.digest}),
        }

    async def _later(self, start: PendingStart, reason: str) -> None:
        now = self._platform.clock()
        if now - start.since > _GIVE_UP:
            await self._fail(start, f"not started within a day: {reason}")
            return
        pause = round(self._pauses.after(start.attempts) * 1000)
        log.info("start waits: %s", reason, extra={"cch_instance": start.instance, "cch_workflow": start.workflow_id})
        await self._platform.ledger.mailboxes.postpone(start, now + pause, reason)

    async def _fail(self, start: PendingStart, reason: str) -> None:
        await end_instance(self._platform, start.instance, "failed", reason)
        await self._platform.ledger.mailboxes.remove_start(start.instance)

    async def reconcile(self) -> int:
        """Compare live instances with their runs, the least recently compared first. Returns how many it corrected."""
        now, mended = self._platform.clock(), 0
        await self._platform.exchange.give_up_early()
        await self._report_pinning()
        await tell_ends(self._platform)
        for kind, number in (await lingering.count(self._platform.ledger, now, _MOST_HELD)).items():
            metrics.gauge("cch.held", number, kind=kind)
        for instance in await self._platform.ledger.instances.least_checked(_COMPARED):
            if now - instance.started > _TOO_YOUNG:
                if instance.run_id and instance.scheme <= NEWEST_SCHEME:
                    mended += await self._compare(instance)
                # Also one that has no run yet: it would come first again and again.
                await self._platform.ledger.instances.checked(instance.id, now)
        await count_ended(self._platform)
        snapshot = await asyncio.to_thread(self._platform.catalogue.snapshot)
        await learn(self._platform.ledger, [entry.workflow_id for entry in snapshot.entries], now)
        await expire_due(self._platform)
        return mended

    async def _pins(self, workflow_id: str) -> bool:
        """Whether runs of the workflow are pinned; asked of Airflow until they are."""
        if workflow_id not in self._pinned and await asyncio.to_thread(self._runs.pins, workflow_id):
            self._pinned.add(workflow_id)
        return workflow_id in self._pinned

    async def _report_pinning(self) -> None:
        """Tell who publishes whether live instances keep their versions; Airflow says it of any DAG of ours."""
        snapshot = await asyncio.to_thread(self._platform.catalogue.snapshot)
        asked = [entry.workflow_id for entry in snapshot.entries if entry.good is not None][:_ASKED]
        if not asked:
            return
        # A workflow may not have been parsed yet.
        pins = any([await self._pins(workflow_id) for workflow_id in asked])
        reason = "" if pins else await asyncio.to_thread(self._runs.reason_against_pinning)
        now, before = self._platform.clock(), await self._platform.ledger.versions.pinning()
        hooks = await self._hooks(before.hooks if before is not None else None, now)
        await self._platform.ledger.versions.report_pinning(Pinning(pins=pins, seen=now, reason=reason, hooks=hooks))

    async def _hooks(self, before: HookReport | None, now: int) -> HookReport:
        """What was found out before, unless something else runs now."""
        settings, airflow = self._platform.settings, self._runs.airflow()
        switches = f"{settings.rest_files}, {settings.skip_idle_runs}, {settings.lean_waiters}, {settings.run_ahead}"
        of = f"Airflow {airflow}, cch {__version__}, {switches}"
        if before is not None and before.of == of and 0 <= now - before.asked < _ASK_AGAIN:
            return before
        reasons = await asyncio.to_thread(self._runs.reasons_against_hooks, settings)
        return HookReport(airflow=airflow, of=of, asked=now, reasons=reasons)

    async def _is_restructured(self, instance: Instance) -> bool:
        if not instance.structure_digest:  # it has not begun
            return False
        try:
            current = await self._platform.plans.current(instance.workflow_id)
        except CchError:
            return False
        return current.structure_digest != instance.structure_digest

    async def _state_at_rest(self, instance: Instance) -> RunState:
        """The state of the instance's run in Airflow; "unknown" while somebody changes the instance.

        A change lets an ended instance go on before its run does, and is made behind a gate with a number of its own.
        """
        state = await asyncio.to_thread(self._runs.state, instance.workflow_id, instance.run_id)
        if state in ("running", "unknown"):
            return state
        heads = self._platform.ledger.instances
        before = await heads.head(instance.id)
        state = await asyncio.to_thread(self._runs.state, instance.workflow_id, instance.run_id)
        after = await heads.head(instance.id)
        if before is None or after is None or after.gates != before.gates or after.gate("changing") is not None:
            return "unknown"
        return state

    async def _compare(self, instance: Instance) -> bool:
        state = await self._state_at_rest(instance)
        if state in ("running", "unknown"):
            return False
        if (plan := await self._platform.plans.of(instance)) is not None:
            await finish_if_complete(self._platform, plan, instance.id)
        what = "is gone" if state == "missing" else f"ended as {state}"
        reason = f"Airflow's run {instance.run_id} {what} before every node was done"
        if await self._is_restructured(instance) and not await self._pins(instance.workflow_id):
            reason += (
                f"; {instance.workflow_id} was republished with another structure meanwhile: publish the old definition"
                " again, then clear the first task that was not done, and what is behind it"
            )
        ended = await end_instance(self._platform, instance.id, "failed", reason)
        if ended:
            await self._platform.exchange.supersede_all(instance)
        return ended
