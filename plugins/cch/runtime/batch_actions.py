"""What a batch does to one instance: what people do to one, by the same code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from cch.ledger.gates import GateTakenError
from cch.ledger.records import ENDED
from cch.runtime import mending, moving
from cch.runtime.batch_marks import DoneBeforeError, done_by
from cch.runtime.cancelling import cancel
from cch.runtime.changing import standing
from cch.runtime.gating import finish_hold
from cch.runtime.standing_still import RefusedChangeError
from cch.runtime.task_wishes import RunBusyError

if TYPE_CHECKING:
    from cch.definition.model import Definition
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform
    from cch.runtime.task_wishes import RunTasks

#: What a batch can do; stored: do not rename.
BatchKind = Literal["retry", "decide", "patch", "hold", "release", "cancel", "move"]
#: How the action is called in Airflow's audit log, as for one instance; a decision by its verdict.
_EVENTS: Mapping[str, str] = {
    "retry": "cch_retried", "patch": "cch_patched", "hold": "cch_held", "release": "cch_released",
    "cancel": "cch_cancel", "move": "cch_move",
}  # fmt: skip


class Hands(Protocol):
    """What a batch needs of Airflow. Blocking."""

    tasks: RunTasks

    def fail_run(self, dag_id: str, run_id: str) -> None:
        """Set a run to failed, if it is alive."""
        ...

    def audit(self, by: str, event: str, instance: Instance, facts: Mapping[str, Any]) -> None:
        """One line in the audit log."""
        ...


class BusyError(Exception):
    """Not now: a step of the instance is on a worker, or somebody else changes it. Nothing has been done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Where an instance stands and would stand then; ``refused``: why it cannot be done, "" if it can."""

    before: Sequence[str] = ()
    after: Sequence[str] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAction:
    """One action, for as many instances as wanted.

    ``arguments``: those of the action for one instance; of a move, ``digest`` names the version. ``batch``: id of the
    batch, which the instances keep; "" if it is only looked at what would happen.
    """

    platform: Platform
    kind: BatchKind
    arguments: Mapping[str, Any]
    by: str
    reason: str = ""
    batch: str = ""
    #: Workflow → the version to which its instances go: read once.
    _targets: dict[str, Definition] = field(default_factory=dict)

    @classmethod
    def of(cls, platform: Platform, stored: Mapping[str, Any], by: str, reason: str, batch: str = "") -> BatchAction:
        """From the stored form: ``kind``, and the arguments."""
        arguments = {name: value for name, value in stored.items() if name != "kind"}
        return cls(platform=platform, kind=stored["kind"], arguments=arguments, by=by, reason=reason, batch=batch)

    @property
    def revives(self) -> bool:
        """Whether instances that have ended go on then."""
        return self.kind in ("retry", "decide")

    async def preview(self, instance: Instance) -> Preview:
        """What would happen now. Changes nothing."""
        try:
            return await self._preview(instance)
        except RefusedChangeError as refused:
            return Preview(refused=str(refused))

    async def _preview(self, instance: Instance) -> Preview:
        if self.kind == "move":
            planned = await moving.preview(self.platform, instance.id, await self._move(instance))
            return Preview(before=planned.before, after=planned.after)
        if self.kind in ("retry", "decide", "patch"):
            decision = await mending.preview(self.platform, instance.id, await self._mend(instance))
            return Preview(before=decision.before, after=decision.after)
        held = instance.gate("held")
        if instance.status in ENDED:
            raise RefusedChangeError(f"the instance is {instance.status}")
        if self.kind == "hold" and held is not None:
            raise RefusedChangeError(f"the instance is held already, by {held.by}")
        if self.kind == "release" and held is None:
            raise RefusedChangeError("the instance is not held")
        return Preview()

    async def act(self, hands: Hands, instance: Instance) -> None:
        """Do it.

        :raises RefusedChangeError: it cannot be done; nothing has changed.
        :raises BusyError: not now.
        """
        try:
            await self._act(hands, instance)
        except RunBusyError as busy:
            raise BusyError(str(busy)) from None
        except GateTakenError as taken:
            now = await self.platform.ledger.instances.head(instance.id)
            if now is not None and now.gate("changing") is not None:
                raise BusyError(str(taken)) from None
            raise RefusedChangeError(str(taken)) from None
        except DoneBeforeError:
            pass

    async def _act(self, hands: Hands, instance: Instance) -> None:
        about = {"batch": self.batch, **({"hold": self.arguments["hold"]} if "hold" in self.arguments else {})}
        match self.kind:
            case "move":
                await moving.move(self.platform, hands.tasks, instance.id, await self._move(instance))
            case "retry" | "decide" | "patch":
                await mending.apply(self.platform, hands.tasks, instance.id, await self._mend(instance))
            case "hold":
                await self._hold(instance, about)
            case "release":
                await mending.release(self.platform, instance, by=self.by, reason=self.reason, about=about)
            case "cancel":
                if not await cancel(self.platform, instance, self._cancelled_because):
                    raise RefusedChangeError(f"the instance is {instance.status}")
                if instance.run_id:
                    await asyncio.to_thread(hands.fail_run, instance.workflow_id, instance.run_id)

    async def audit(self, hands: Hands, instance: Instance) -> None:
        """One line for the instance in the audit log; after a crash perhaps a second one."""
        event = _EVENTS.get(self.kind) or f"cch_{self.arguments['verdict']}"
        facts = {"instance_id": instance.id, "batch": self.batch, "reason": self.reason}
        await asyncio.to_thread(hands.audit, self.by, event, instance, facts)

    async def begun(self, instance: Instance) -> Literal["done", "again", "unknown", "no"]:
        """What this batch has done to the instance already, as far as that is kept.

        ``again``: it has begun, and to act again finishes that. ``unknown``: it may have opened the instance again
        that had ended, and has come no further.

        :raises BusyError: it is at it, or was when somebody died, and that is not finished yet.
        """
        changing = instance.gate("changing")
        if changing is not None and changing.wish.get("batch") == self.batch:
            raise BusyError("a change that was interrupted is not finished yet")
        held = instance.gate("held")
        record = await done_by(self.platform.ledger, instance.id, self.batch)
        if record is not None:
            half = self.kind == "release" and held is not None and record.number == instance.gates
            return "again" if half else "done"
        if self.kind == "hold" and held is not None and held.wish.get("batch") == self.batch:
            return "again"
        if self.kind == "cancel" and instance.status == "cancelled" and instance.reason == self._cancelled_because:
            return "again"
        return "unknown" if self.revives and instance.status not in ENDED else "no"

    async def _hold(self, instance: Instance, about: Mapping[str, Any]) -> None:
        held = instance.gate("held")
        if held is None or held.wish != about:
            await mending.hold(self.platform, instance, by=self.by, reason=self.reason, about=about)
            return
        # Somebody has died between the gate and what follows it.
        await finish_hold(self.platform, instance, held, instance.gates)

    @property
    def _cancelled_because(self) -> str:
        return f"cancelled by {self.by}{': ' + self.reason if self.reason else ''} (batch {self.batch})"

    async def _mend(self, instance: Instance) -> mending.Mend:
        given = self.arguments
        if self.kind == "patch":
            made = mending.patch(given["patch"], given.get("nodes", ()), by=self.by, reason=self.reason)
        else:
            node = given.get("node") or await self._failed_node(instance)
            if self.kind == "retry":
                made = mending.retry(node, by=self.by, reason=self.reason)
            else:
                made = mending.decide(
                    node, given["verdict"], by=self.by, now=self.platform.clock(), reason=self.reason,
                    edge=given.get("edge", ""), payload=given.get("payload"),
                )  # fmt: skip
        return replace(made, about={**made.about, "batch": self.batch})

    async def _failed_node(self, instance: Instance) -> str:
        """:raises RefusedChangeError: it has not failed, or at no node."""
        if instance.status != "failed":
            raise RefusedChangeError(f"the instance is {instance.status}, and no node is named")
        if instance.failed_node:
            return instance.failed_node
        stands = await standing(self.platform, instance)
        flow = stands.flow(stands.plan, stands.view.instance.amendments)
        flow.status()  # tokens reach their ends
        failed = flow.first_failure()
        if failed is not None:
            return failed.node
        if len(flow.positions) == 1:  # it was under way when the instance's time was up
            return flow.positions[0]
        raise RefusedChangeError(
            f"the instance has failed at no node: it stood at {', '.join(flow.positions) or 'none'}"
        )

    async def _move(self, instance: Instance) -> moving.MoveWish:
        workflow_id = instance.workflow_id
        if workflow_id not in self._targets:
            by_digest = self.platform.catalogue.by_digest
            self._targets[workflow_id] = await asyncio.to_thread(by_digest, self.arguments["digest"], workflow_id)
        return moving.MoveWish(
            definition=self._targets[workflow_id], renamed=self.arguments.get("renames", {}), by=self.by,
            reason=self.reason, about={"batch": self.batch},
        )  # fmt: skip
