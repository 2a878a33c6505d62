"""Starts: a START_WORKFLOW becomes a pending instance and a note in the inbox, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from cch.definition.version import Version
from cch.envelope import Command, workflow_id_of
from cch.exchange import Settled
from cch.ledger.ledger import Ledger
from cch.ledger.records import Instance, MessageRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What is started: the workflow and version that are meant, the context with the defaults of what was absent."""

    workflow_id: str
    context: Mapping[str, Any]
    #: The version that it will run, whatever is published before it begins.
    version: Version
    #: Track that the start names, if it is not the one that Airflow serves: it needs an Airflow that pins runs.
    track: str = ""


class Admission(Protocol):
    """Knows which workflows exist and what a start of each must bring."""

    async def admit(
        self,
        workflow_id: str,
        context: Mapping[str, Any],
        definition_uri: str = "",
        *,
        version: str = "",
        key: str = "",
    ) -> Admitted:
        """``version``: how the start names it, if it does. ``key``: its business key.

        :raises RejectedMessageError: no such workflow or version, or the context does not fit; says what and why.
        """
        ...


class Starter:
    """Takes START_WORKFLOW commands."""

    def __init__(self, ledger: Ledger, admission: Admission) -> None:
        self._ledger = ledger
        self._admission = admission

    async def start(self, command: Command, record: MessageRecord, now: int) -> Settled:
        """Create the instance unless it exists.

        :raises RejectedMessageError: see :class:`Admission`.
        """
        workflow_id = workflow_id_of(command.definition_uri)
        known = await self._ledger.instances.find(command.instance)
        mine = known is not None and known.start_message == record.key
        if known is None:
            admitted = await self._admission.admit(
                workflow_id, command.payload, command.definition_uri,
                version=command.version, key=command.correlation_id,
            )  # fmt: skip
            workflow_id = admitted.workflow_id
            mine, known = await self._ledger.instances.create(
                Instance(
                    id=command.instance,
                    workflow_id=workflow_id,
                    correlation_id=command.correlation_id,
                    status="pending",
                    started=now,
                    context=admitted.context,
                    definition_uri=command.definition_uri,
                    start_message=record.key,
                    definition_digest=admitted.version.digest,
                    reading_rules=admitted.version.reading_rules,
                    planner=admitted.version.planner,
                    version_asked=command.version or admitted.track,
                )
            )
        if not mine:
            reason = f"instance {command.instance} of {known.workflow_id} exists"
            stored = await self._ledger.messages.settle(replace(record, fate="duplicate", reason=reason))
            return Settled(stored=stored, fate="duplicate")
        if known.status == "pending":
            await self._ledger.mailboxes.enqueue_start(command.instance, known.workflow_id, now)
        return Settled(stored=await self._ledger.messages.settle(replace(record, fate="matched")), fate="matched")
