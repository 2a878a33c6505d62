"""Instances, and the exits of their regions."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cch import metrics
from cch.definition.version import Version
from cch.dialects import OWN, Dialect
from cch.errors import LedgerError
from cch.identity import FIRST_SCHEME
from cch.interpreter.amendments import UNAMENDED, Amendments
from cch.interpreter.outcome import Outcome
from cch.ledger.endings import FAILED, UNCOUNTED, UNTOLD
from cch.ledger.gates import Gate, gates_of
from cch.ledger.payloads import Payloads, dump, sha256
from cch.ledger.records import ENDED, Exit, Instance, InstanceStatus, InstanceView
from cch.ledger.store import LAST, NEW, Absent, Below, Change, ConditionFailedError, Equals, Item, ItemStore, Step, When
from cch.tracing import export_span

log = logging.getLogger(__name__)

_FIELDS = (
    "workflow_id", "correlation_id", "status", "started", "run_id", "definition_uri", "definition_digest",
    "structure_digest", "start_message", "ended", "reason", "reading_rules", "planner", "version_asked", "dialect",
    "capabilities", "time_limit", "due", "expiring", "expired", "counted", "failed_node", "error_code", "reopened",
)  # fmt: skip

#: When an expired instance had started: by another name, so that no index has it.
BEGAN = "began"

#: Characters of a business key that a search by its beginning must have at least; the index is partitioned by them.
KEY_HEAD = 2


def _partition(instance_id: str) -> str:
    return f"INST#{instance_id}"


def _instance(meta: Item, context: Mapping[str, Any]) -> Instance:
    values: dict[str, Any] = {name: meta[name] for name in _FIELDS if name in meta}
    values |= {"started": meta[BEGAN]} if BEGAN in meta else {}
    scheme = meta.get("scheme", FIRST_SCHEME)
    amendments = Amendments.from_json(json.loads(meta["amendments"])) if "amendments" in meta else UNAMENDED
    return Instance(
        id=meta["PK"].removeprefix("INST#"), context=context, scheme=scheme, amendments=amendments,
        gates=meta.get("gates", 0), closed=gates_of(meta), **values,
    )  # fmt: skip


class Instances:
    """``INST#<id>``: ``META`` changes and stays small; what is large is written once.

    That is ``START#<message>`` (the initial context) and ``EXIT#<region>``.
    """

    def __init__(self, store: ItemStore, payloads: Payloads) -> None:
        self._store = store
        self._payloads = payloads

    async def create(self, instance: Instance) -> tuple[bool, Instance]:
        """Store a new instance, its context first; if the id is taken, the one that is there.

        The first value is True if ``instance`` is now the stored one, also when an earlier, lost call stored it.
        """
        partition = _partition(instance.id)
        start = await self._payloads.pack("context", dump(instance.context), instance.id)
        # Every start has a context item of its own: META, of which there is one, says whose counts.
        await self._store.put({"PK": partition, "SK": _start_key(instance.start_message), **start})
        meta: Item = {"PK": partition, "SK": "META", "scheme": instance.scheme}
        for name in _FIELDS:
            if (value := getattr(instance, name)) not in ("", 0, frozenset()):
                meta[name] = value
        meta |= _status_attributes(instance.status, instance.started)
        meta |= {"checked": instance.started, "key_head": key_head(instance.correlation_id)}
        try:
            await self._store.put(meta, NEW)
        except ConditionFailedError as failed:
            assert failed.item is not None
            existing = await self.find(instance.id)
            assert existing is not None
            return failed.item.get("start_message", "") == instance.start_message, existing
        metrics.count("cch.instances.started", workflow=instance.workflow_id)
        return True, instance

    async def find(self, instance_id: str) -> Instance | None:
        view = await self.view(instance_id, exits=False)
        return view.instance if view else None

    async def head(self, instance_id: str) -> Instance | None:
        """The instance without its context: one strong read."""
        meta = await self._store.get((_partition(instance_id), "META"))
        return _instance(meta, {}) if meta else None

    async def status(self, instance_id: str) -> InstanceStatus | None:
        found = await self.head(instance_id)
        return found.status if found else None

    async def view(self, instance_id: str, *, exits: bool = True) -> InstanceView | None:
        """The instance with everything its regions have left so far; one strong query."""
        items = {item["SK"]: item for item in await self._store.query(_partition(instance_id))}
        if "META" not in items:
            return None
        start = items.get(_start_key(items["META"].get("start_message", "")), {})
        context = json.loads(await self._payloads.unpack("context", start) or "{}")
        found = [await self._exit(item) for sk, item in items.items() if exits and sk.startswith("EXIT#")]
        return InstanceView(instance=_instance(items["META"], context), exits=tuple(found))

    async def _exit(self, item: Item) -> Exit:
        raw = json.loads(await self._payloads.unpack("outcomes", item))
        return Exit(
            region=item["SK"].removeprefix("EXIT#"),
            generation=item["generation"],
            task_instance=item["task_instance"],
            outcomes=tuple(Outcome.from_json(outcome) for outcome in raw),
            unfinished=bool(item.get("unfinished")),
        )

    async def begin(
        self,
        instance: Instance,
        run_id: str,
        version: Version,
        structure_digest: str,
        *,
        dialect: Dialect = OWN,
        capabilities: Collection[str] = (),
        time_limit: int = 0,
        now: int = 0,
    ) -> InstanceView:
        """The run has begun: bind the instance to it and to the version it runs; the instance as it is then.

        A ``version`` without reading rules leaves those with which the instance was created. ``dialect``: recorded
        for good, with the ``capabilities`` that the definition asks if replies depend on them. ``time_limit``: how
        long (ms) it may take from ``now`` (ms) on; 0: for ever.
        ``instance``: as it was just now. If it is bound to no definition no region can have left anything.

        :raises LedgerError: the instance is bound to another run, or gone.
        """
        asked = frozenset(capabilities) if dialect.unnamed_replies else frozenset[str]()
        change = Change(
            set={
                "run_id": run_id,
                "definition_digest": version.digest,
                "structure_digest": structure_digest,
                "planner": version.planner,
                **({"reading_rules": version.reading_rules} if version.reading_rules else {}),
                "dialect": dialect.name,
                **({"capabilities": asked} if asked else {}),
                **({"time_limit": time_limit, "due": now + time_limit} if time_limit else {}),
                **({} if instance.status in ENDED else _status_attributes("running", instance.started)),
            }
        )
        as_seen = When.all(Absent("structure_digest"), Equals("status", instance.status))
        try:
            meta = await self._store.update((_partition(instance.id), "META"), change, as_seen)
            return InstanceView(instance=_instance(meta, instance.context), exits=())
        except ConditionFailedError:  # another region of the same run was faster, or it was dispatched or cancelled
            found = await self.view(instance.id)
        if found is not None and not found.instance.structure_digest:
            return await self.begin(
                found.instance, run_id, version, structure_digest, dialect=dialect, capabilities=capabilities,
                time_limit=time_limit, now=now,
            )  # fmt: skip
        if found is None or found.instance.run_id != run_id:
            other = found.instance.run_id if found else "none"
            raise LedgerError(f"instance {instance.id} belongs to run {other!r}, not {run_id!r}")
        return found

    async def choose(self, instance_id: str, version: Version) -> bool:
        """Another version for an instance that has not begun; False if it has begun or ended meanwhile."""
        chosen: dict[str, Any] = {"definition_digest": version.digest, "reading_rules": version.reading_rules}
        change = Change(set={**chosen, "planner": version.planner})
        not_begun = When.all(Absent("structure_digest"), Equals("live", "yes"))
        try:
            await self._store.update((_partition(instance_id), "META"), change, not_begun)
        except ConditionFailedError:
            return False
        return True

    async def amend(
        self,
        instance: Instance,
        version: Version,
        structure_digest: str,
        amendments: Amendments,
        gate: tuple[Gate, Gate],
        *,
        time_limit: int,
        due: int,
    ) -> bool:
        """Change the instance behind its closed gate: the first ``gate`` becomes the second; False if it has ended.

        ``time_limit``, ``due``: see :class:`~cch.ledger.records.Instance`.
        """
        before, after = gate
        moved: dict[str, Any] = {
            "definition_digest": version.digest,
            "structure_digest": structure_digest,
            "reading_rules": version.reading_rules,
            "planner": version.planner,
            "amendments": dump(amendments.to_json()),
            "time_limit": time_limit,
            "due": due,
            after.kind: after.to_text(),
        }
        as_seen = When.all(Equals(before.kind, before.to_text()), Equals("live", "yes"))
        try:
            await self._store.update((_partition(instance.id), "META"), Change(set=moved), as_seen)
        except ConditionFailedError:
            return False
        return True

    async def set_aside(self, instance_id: str, region: str, outcome_ids: Collection[str]) -> None:
        """Visits that a region has left do not count any more, and it has something to do again."""
        key = (_partition(instance_id), f"EXIT#{region}")
        item = await self._store.get(key)
        if item is None:
            return
        left = await self._exit(item)
        kept = [outcome.to_json() for outcome in left.outcomes if outcome.id not in outcome_ids]
        outcomes = await self._payloads.pack("outcomes", dump(kept), instance_id)
        others = {name: value for name, value in item.items() if name not in ("outcomes", "outcomes_at")}
        await self._store.put({**others, "unfinished": 1, **outcomes})

    async def dispatched(self, instance_id: str, run_id: str) -> None:
        """Airflow has the run."""
        meta = await self._store.get((_partition(instance_id), "META"))
        if meta and meta["status"] == "pending":
            change = Change(set={"run_id": run_id, **_status_attributes("running", meta["started"])})
            try:
                await self._store.update(
                    (_partition(instance_id), "META"), change, When.all(Equals("status", "pending"))
                )
            except ConditionFailedError:
                pass  # it began, or ended, in the meantime

    async def end(
        self, instance_id: str, status: InstanceStatus, now: int, reason: str = "", *, untold: bool = False
    ) -> bool:
        """Record how the instance ended; False if that was recorded before.

        ``untold``: somebody has to be told of it (see :mod:`cch.ledger.endings`).
        """
        meta = await self._store.get((_partition(instance_id), "META"))
        if meta is None or meta["status"] in ENDED:
            return False
        change: dict[str, Any] = {"ended": now, **_status_attributes(status, meta["started"])}
        if reason:
            change["reason"] = reason[:600]
        try:
            await self._store.update(
                (_partition(instance_id), "META"),
                Change(set={**change, "live": UNTOLD if untold else UNCOUNTED}),
                When.all(Equals("status", meta["status"])),
            )
        except ConditionFailedError:
            return await self.end(instance_id, status, now, reason, untold=untold)
        of = {"workflow": meta["workflow_id"], "outcome": status}
        metrics.count("cch.instances.ended", **of)
        metrics.timing("cch.instances.duration", now - meta["started"], **of)
        facts = {"cch.instance": instance_id, "cch.outcome": status, "cch.reason": reason[:600]}
        name, good = f"workflow {meta['workflow_id']}", status == "completed"
        export_span(name, (meta["started"], now), instance_id, good=good, facts=facts)
        if status == "failed":
            log.error(
                "%s: %s", FAILED, reason, extra={"cch_instance": instance_id, "cch_workflow": meta["workflow_id"]}
            )
        return True

    async def reopen(self, instance_id: str, now: int) -> None:
        """Somebody runs a part of an ended instance again; from ``now`` (ms) on it may take as long as at first.

        :raises InstanceExpiredError: what it did is gone.
        """
        meta = await self._store.get((_partition(instance_id), "META"))
        if meta is not None and (found := reopening(meta, now)) is not None:
            change, may = found
            try:
                await self._store.update((_partition(instance_id), "META"), change, When.all(*may))
            except ConditionFailedError:
                await self.reopen(instance_id, now)

    async def put_exit(self, instance_id: str, exit_: Exit) -> bool:
        """Record what a region left; False if a newer try of the region has done so."""
        text = dump([outcome.to_json() for outcome in exit_.outcomes])
        outcomes = await self._payloads.pack("outcomes", text, instance_id)
        item: Item = {
            "PK": _partition(instance_id),
            "SK": f"EXIT#{exit_.region}",
            "generation": exit_.generation,
            "task_instance": exit_.task_instance,
            **outcomes,
        }
        same_or_older = When.any(
            Absent("PK"), Below("task_instance", exit_.task_instance), Equals("task_instance", exit_.task_instance)
        )
        try:
            await self._store.put(item, same_or_older)
        except ConditionFailedError:
            return False
        return True

    async def unfinish(self, instance_id: str, region: str) -> None:
        """The region that has left has something to do again: its next try goes on behind what it left."""
        await self._store.update((_partition(instance_id), f"EXIT#{region}"), Change(set={"unfinished": 1}))

    async def least_checked(self, limit: int) -> list[Instance]:
        """Live instances, the ones that nobody compared with Airflow for the longest time first."""
        items = await self._store.listed("by_live", "yes", limit=limit, newest=False)
        return [_instance(item, {}) for item in items]

    async def checked(self, instance_id: str, now: int) -> None:
        """Somebody compared the instance with its run."""
        try:
            await self._store.update(
                (_partition(instance_id), "META"), Change(set={"checked": now}), When.all(Equals("live", "yes"))
            )
        except ConditionFailedError:
            pass  # it ended meanwhile

    async def by_correlation(self, correlation_id: str) -> list[Instance]:
        """Instances of a business key, newest first (eventually consistent)."""
        head, exactly = key_head(correlation_id), (correlation_id, correlation_id)
        items = await self._store.listed("by_key", head, between=exactly)
        return sorted((_instance(item, {}) for item in items), key=lambda one: one.started, reverse=True)

    def of_item(self, item: Item) -> Instance:
        """The instance of an index's item, without its context."""
        return _instance(item, {})

    async def many(self, instance_ids: Sequence[str]) -> list[Instance]:
        """Those of the instances that are known, without their contexts, in the order asked for."""
        keys = [(_partition(instance_id), "META") for instance_id in instance_ids]
        found = await self._store.get_many(keys) if keys else {}
        return [_instance(found[key], {}) for key in keys if key in found]

    async def count(self, workflow_id: str, status: InstanceStatus, most: int) -> int:
        """Instances of a workflow in a status, counted up to ``most`` (eventually consistent)."""
        return await self._store.counted("by_workflow", workflow_id, (f"{status}#", f"{status}#{LAST}"), most)

    async def by_workflow(self, workflow_id: str, limit: int = 100) -> list[Instance]:
        items = await self._store.listed("by_workflow", workflow_id, limit=limit)
        return [_instance(item, {}) for item in items]


class InstanceExpiredError(LedgerError):
    """What the instance did is gone: ``CCH_RETENTION_DAYS`` have passed since its end."""

    code = "CCH-L005"


def require_kept(instance: Instance) -> None:
    """:raises InstanceExpiredError: nothing of the instance can be run again."""
    if instance.gone:
        raise InstanceExpiredError(
            f"instance {instance.id} has expired: what it did is no longer kept. Start the work as a new instance"
            f" (`cch status --archive {instance.id}` shows it if there is an archive)"
        )


def key_head(correlation_id: str) -> str:
    """The index partition of a business key: its first characters, which similar keys share."""
    return correlation_id[:KEY_HEAD]


def reopening(meta: Item, now: int) -> Step | None:
    """What makes an ended instance live again, from its item, and when it may; None: it has not ended.

    :raises InstanceExpiredError: what it did is gone.
    """
    if meta["status"] not in ENDED:
        return None
    require_kept(_instance(meta, {}))
    change = Change(
        set={
            **_status_attributes("running", meta["started"]),
            **_uncounted_end(meta),
            **({"due": now + meta["time_limit"]} if meta.get("time_limit") else {}),
        },
        remove=("ended", "reason", "expires", "failed_node", "error_code"),
    )
    return change, (Equals("status", meta["status"]), Absent("expiring"), Absent("expired"))


def _uncounted_end(meta: Item) -> dict[str, str]:
    """Which end of a reopened instance may be in the figures although nobody has marked it."""
    ended = meta.get("ended", 0)
    return {} if meta.get("counted", 0) >= ended else {"reopened": f"{ended}#{meta.get('definition_digest', '')}"}


def _start_key(start_message: str) -> str:
    return f"START#{sha256(start_message)[:12]}"


def _status_attributes(status: InstanceStatus, started: int) -> dict[str, str]:
    live = {} if status in ENDED else {"live": "yes"}
    return {"status": status, "status_started": f"{status}#{started}", **live}
