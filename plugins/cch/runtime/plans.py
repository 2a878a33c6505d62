"""The plans of definitions: each is made once in a process.

Digest, reading rules and dialect name what it means.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from dataclasses import dataclass

from cch.definition.catalogue import Catalogue
from cch.errors import DefinitionError, DefinitionNotFoundError
from cch.graph.plan import Plan, plan_of
from cch.graph.planners import FIRST_PLANNER, NEWEST_PLANNER, UnknownPlannerError
from cch.ledger.records import Instance

#: How many plans are kept: those that were used last.
_KEPT = 256


@dataclass(frozen=True, slots=True)
class PlanKey:
    """Everything that a plan depends on: two instances with equal keys run by the same plan."""

    workflow_id: str
    definition_digest: str
    #: Number of the rules by which the text is read.
    reading_rules: int
    #: Number of the planner that lays out its tasks.
    planner: int = FIRST_PLANNER
    #: Name of the dialect that the instance has recorded.
    dialect: str = ""

    @classmethod
    def of(cls, instance: Instance) -> PlanKey:
        text, rules = instance.definition_digest, instance.reading_rules
        return cls(instance.workflow_id, text, rules, instance.planner, instance.dialect)


class Plans:
    """The plans of the definitions of one catalogue. May be used from several threads."""

    def __init__(self, catalogue: Catalogue, kept: int = _KEPT) -> None:
        self._catalogue = catalogue
        self._most = kept
        self._plans: OrderedDict[PlanKey, Plan] = OrderedDict()
        self._lock = threading.Lock()

    async def get(self, key: PlanKey) -> Plan:
        """The plan of a version that was published.

        :raises DefinitionNotFoundError: nobody has that version any more.
        :raises DefinitionError: it cannot be read by this release.
        :raises UnknownPlannerError: a later release laid out its tasks.
        :raises ServiceUnavailableError: the source of definitions does not answer, and the cache does not have it.
        """
        kept = self._kept(key)
        return kept if kept is not None else await asyncio.to_thread(self._make, key)

    async def of(self, instance: Instance) -> Plan | None:
        """The plan that the instance runs by; None if it has not begun, or nobody has its definition any more.

        :raises ServiceUnavailableError: see :meth:`get`.
        """
        return await self._known(PlanKey.of(instance)) if instance.structure_digest else None

    async def shown(self, instance: Instance) -> Plan | None:
        """The plan that the instance runs by; if it has not begun, the one by which it would begin now.

        :raises ServiceUnavailableError: see :meth:`get`.
        """
        return await self._known(PlanKey.of(instance))

    async def _known(self, key: PlanKey) -> Plan | None:
        try:
            return await (self.get(key) if key.definition_digest else self.current(key.workflow_id))
        except (DefinitionNotFoundError, DefinitionError, UnknownPlannerError):
            return None

    async def current(self, workflow_id: str) -> Plan:
        """The plan of the version that is published now; raises what :meth:`Catalogue.current` raises."""
        return await asyncio.to_thread(self._current, workflow_id)

    def _current(self, workflow_id: str) -> Plan:
        definition = self._catalogue.current(workflow_id)
        rules, dialect = definition.reading_rules, definition.dialect
        key = PlanKey(definition.workflow_id, definition.digest, rules, NEWEST_PLANNER, dialect)
        return self._kept(key) or self._keep(key, plan_of(self._catalogue.contracts.held(definition)))

    def _make(self, key: PlanKey) -> Plan:
        definition = self._catalogue.by_digest(key.definition_digest, key.workflow_id, key.reading_rules)
        definition = self._catalogue.contracts.held(definition).in_dialect(key.dialect)
        return self._keep(key, plan_of(definition, key.planner))

    def _kept(self, key: PlanKey) -> Plan | None:
        with self._lock:
            if key in self._plans:
                self._plans.move_to_end(key)
            return self._plans.get(key)

    def _keep(self, key: PlanKey, plan: Plan) -> Plan:
        with self._lock:
            self._plans[key] = plan
            self._plans.move_to_end(key)
            while len(self._plans) > self._most:
                self._plans.popitem(last=False)
        return plan
