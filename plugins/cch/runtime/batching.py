"""Carries batches out, in the API server: at their rate, over any crash, each member once.

Every server looks for batches on which nobody works, and takes the lease of each that it finds. It reads the members
and the results, does those that have none, and renews the lease meanwhile, which also tells it that somebody has paused
or stopped the batch. When a server dies its lease runs out, and another one goes on. What the dead one had begun and
not recorded is found at the instance itself (:mod:`cch.runtime.batch_marks`).
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cch.errors import CchError, ServiceUnavailableError
from cch.ledger.batches import Batch, BatchResult, ResultKind
from cch.ledger.listing import Wanted
from cch.pauses import Pauses
from cch.runtime.batch_actions import BatchAction, BusyError
from cch.runtime.standing_still import RefusedChangeError

if TYPE_CHECKING:
    from cch.ledger.records import Instance
    from cch.runtime.batch_actions import Hands
    from cch.runtime.platform import Platform

log = logging.getLogger(__name__)

#: Instances that one server changes at the same time, of all its batches together: each holds a connection to Airflow's
#: database, and Airflow's pool has five.
AT_ONCE = 5
#: Seconds between two renewals of a lease; between two looks for batches.
_BEAT, _LOOK = 2.0, 5.0
#: Rounds over members that are busy, before they are left as they are: about five minutes.
_ROUNDS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """How long (s) whoever works on batches waits, and how. Tests have other ones."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = time.monotonic
    beat: float = _BEAT
    look: float = _LOOK
    busy: Callable[[], Pauses] = lambda: Pauses(first=1.0, longest=15.0)


class BatchRunner:
    """Works on batches in one process."""

    def __init__(self, platform: Platform, hands: Hands, tempo: Tempo | None = None) -> None:
        self.platform = platform
        self.hands = hands
        self.tempo = tempo or Tempo()
        self.slots = asyncio.Semaphore(AT_ONCE)
        self._working: dict[str, asyncio.Task[None]] = {}
        self._called = asyncio.Event()

    def call(self) -> None:
        """There is a batch: look at once."""
        self._called.set()

    async def run(self) -> None:
        """Look for batches for ever, and work on those that are found."""
        try:
            while True:
                self._called.clear()
                try:
                    await self._begin()
                except Exception:
                    log.exception("batches cannot be looked for")
                try:
                    async with asyncio.timeout(self.tempo.look):
                        await self._called.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._working.values():
                task.cancel()
            await asyncio.gather(*self._working.values(), return_exceptions=True)

    async def _begin(self) -> None:
        for batch in await self.platform.ledger.batches.active(self.platform.clock()):
            task = self._working.get(batch.id)
            if task is None or task.done():
                self._working[batch.id] = asyncio.create_task(self._logged(batch))
        self._working = {name: task for name, task in self._working.items() if not task.done()}

    async def _logged(self, batch: Batch) -> None:
        try:
            await self.work(batch)
        except Exception as error:  # the lease runs out, and somebody goes on
            log.warning("batch %s rests: %s: %s", batch.id, type(error).__name__, error, exc_info=error)

    async def work_on_all(self) -> None:
        """Work on everything that there is now, until it has ended or rests."""
        await asyncio.gather(*map(self.work, await self.platform.ledger.batches.active(self.platform.clock())))

    async def work(self, batch: Batch) -> None:
        """Work on a batch, if nobody does, until it has ended, is paused, or somebody else has taken it over."""
        batches, now = self.platform.ledger.batches, self.platform.clock()
        if not batch.owner and batch.state != "running":
            if batch.is_over:
                await batches.settled(batch.id)
            return
        owner = uuid.uuid4().hex
        claimed = await batches.claim(batch, owner, now)
        if claimed is None:
            return
        job = _Job(self, claimed, owner)
        try:
            async with asyncio.TaskGroup() as group:
                beats = group.create_task(job.beat())
                await job.run()
                beats.cancel()
        except asyncio.CancelledError:  # the server ends: another one need not wait for the lease to run out
            await job.leave(done=False)
            raise
        await job.leave(done=job.is_done)


class _Job:
    """One turn of one server at one batch."""

    def __init__(self, runner: BatchRunner, batch: Batch, owner: str) -> None:
        self._platform = runner.platform
        self._hands = runner.hands
        self._tempo = runner.tempo
        self._slots = runner.slots
        self._batch = batch
        self._owner = owner
        self._wanted = Wanted.from_json(batch.search["wanted"])
        self._action = BatchAction.of(runner.platform, batch.action, batch.by, batch.reason, batch.id)
        self._counts: Counter[str] = Counter()
        self._lost = False
        #: Members that were begun and were not done: like those of a turn before, they may have been done in part.
        self._tried: set[str] = set()
        self._next = 0.0
        self.is_done = False

    @property
    def _goes_on(self) -> bool:
        now = self._platform.clock()
        return not self._lost and self._batch.state == "running" and now < self._batch.until

    async def beat(self) -> None:
        """Renew the lease, say how far it is, and learn what people want, again and again."""
        while True:
            await self._tempo.sleep(self._tempo.beat)
            await self._renew()

    async def _renew(self) -> None:
        now = self._platform.clock()
        try:
            kept = await self._platform.ledger.batches.keep(self._batch, self._owner, now, self._counts)
        except ServiceUnavailableError as away:
            log.warning("the lease of batch %s is not renewed: %s", self._batch.id, away)
            return
        self._lost = kept is None
        self._batch = kept or self._batch

    async def leave(self, *, done: bool) -> None:
        """Give the lease back."""
        if self._lost:
            return
        batches, now = self._platform.ledger.batches, self._platform.clock()
        await batches.leave(self._batch, self._owner, now, self._counts, done=done)
        found = await batches.get(self._batch.id)
        if found is not None and found.is_over and not found.owner:
            await batches.settled(found.id)

    async def run(self) -> None:
        """Do what has no result, round by round."""
        batches = self._platform.ledger.batches
        members, results = await batches.members(self._batch), await batches.all_results(self._batch.id)
        self._counts = Counter(results.values())
        todo = [(number, each) for number, each in enumerate(members) if number not in results]
        pauses = self._tempo.busy()
        for number in range(_ROUNDS):
            todo = await self._round(todo, last=number == _ROUNDS - 1)
            if not todo or not self._goes_on:
                break
            await self._tempo.sleep(pauses.next())
        self.is_done = not todo

    async def _round(self, todo: Sequence[tuple[int, str]], *, last: bool) -> list[tuple[int, str]]:
        """Do them, at the rate; those that are left."""
        left: list[tuple[int, str]] = []

        async def one(number: int, instance_id: str) -> None:
            try:
                if not await self._one(number, instance_id, last=last):
                    left.append((number, instance_id))
            finally:
                self._slots.release()

        async with asyncio.TaskGroup() as group:
            for place, (number, instance_id) in enumerate(todo):
                await self._pace()
                await self._slots.acquire()
                if not self._goes_on:
                    self._slots.release()
                    left.extend(todo[place:])
                    break
                group.create_task(one(number, instance_id))
        return sorted(left)

    async def _pace(self) -> None:
        """Wait until the next one may begin; what was not used before is not made up for."""
        while (rest := self._next - self._tempo.now()) > 0 and self._goes_on:
            await self._tempo.sleep(min(rest, self._tempo.beat))
        self._next = max(self._tempo.now(), self._next) + 1 / self._batch.rate

    async def _one(self, number: int, instance_id: str, *, last: bool) -> bool:
        """Do one member and record what has become of it; False: not now."""
        instance = await self._platform.ledger.instances.head(instance_id)
        result, reason = await self._result(instance, last=last)
        if result is None:
            return False
        record = BatchResult(
            number=number, instance=instance_id, result=result, at=self._platform.clock(), reason=reason,
            workflow=instance.workflow_id if instance else "",
            correlation_id=instance.correlation_id if instance else "",
        )  # fmt: skip
        self._counts[await self._platform.ledger.batches.put_result(self._batch, record)] += 1
        return True

    async def _result(self, instance: Instance | None, *, last: bool) -> tuple[ResultKind | None, str]:
        """Do it; what has become of it (None: not now), and why."""
        if instance is None or instance.gone:
            return "skipped", "the instance has expired"
        try:
            tried = self._batch.turns > 1 or instance.id in self._tried
            begun = await self._action.begun(instance) if tried else "no"
            self._tried.add(instance.id)
            if begun == "done":
                return await self._told(instance, last=last)
            if begun != "again" and (mismatch := await self._mismatch(instance)):
                if begun == "unknown" and not last:
                    return None, mismatch
                return "skipped", mismatch
            await self._action.act(self._hands, instance)
        except RefusedChangeError as refused:
            return "refused", str(refused)
        except BusyError as busy:
            return "refused" if last else None, str(busy)
        except ServiceUnavailableError as away:
            return None, str(away)
        except CchError as error:
            return "failed", str(error)
        except Exception as error:  # one instance that nobody has foreseen must not keep all others waiting
            log.exception("batch %s: %s", self._batch.id, instance.id, extra={"cch_instance": instance.id})
            return "failed", f"{type(error).__name__}: {error}"
        return await self._told(instance, last=last)

    async def _told(self, instance: Instance, *, last: bool) -> tuple[ResultKind | None, str]:
        """It is done: say so in the audit log."""
        try:
            await self._action.audit(self._hands, instance)
        except Exception as error:
            log.exception("batch %s is not in the audit log", self._batch.id, extra={"cch_instance": instance.id})
            return "done" if last else None, f"it is not in the audit log: {type(error).__name__}"
        return "done", ""

    async def _mismatch(self, instance: Instance) -> str:
        """Why the instance is not one of those any more that were searched for; "" if it is."""
        if not self._wanted.fits(instance):
            return f"it is {instance.status} and does not match the search any more"
        if self._wanted.capability:
            waits = await self._platform.ledger.waiting.of_instance(instance.id, limit=100)
            if all(wait.capability != self._wanted.capability for wait in waits):
                return f"it does not wait for {self._wanted.capability} any more"
        return ""
