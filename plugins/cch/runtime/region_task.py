"""What Airflow tells the runtime about a region's task, and what the runtime answers. Loads nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from cch.definition.version import FIRST_PLANNER


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRef:
    """Which region a task executes, of which version of which workflow; known when the DAG is compiled.

    The names of the fields are stored in Airflow's database, as arguments of triggers: do not rename them.
    """

    workflow_id: str
    #: Head of the region.
    region: str
    definition_digest: str
    structure_digest: str
    #: Branch key of the one item that the task runs, if the region is a map whose items have tasks.
    item: str | None = None
    #: Number of the planner that laid out the tasks.
    planner: int = FIRST_PLANNER

    def arguments(self) -> dict[str, Any]:
        """The fields as plain values, from which ``RegionRef(**arguments)`` makes an equal one; no defaults."""
        return {each.name: value for each in fields(RegionRef) if (value := getattr(self, each.name)) != each.default}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionTask(RegionRef):
    """One task of one run that executes a region. ``task_instance`` ids sort by time (UUIDv7).

    ``ahead``: this is a copy of a task that Airflow has not let begin yet (:mod:`cch.runtime.ahead`).
    """

    run_id: str
    task_instance: str
    conf: Mapping[str, Any] = field(default_factory=dict)
    ahead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionEnd:
    """How the task ends. ``followed``: the tasks right after it that were chosen; None: whatever follows.

    worker: it has not ended, and a worker is to go on with it.
    """

    state: Literal["success", "failed", "skipped", "worker"]
    followed: tuple[str, ...] | None = None
    reason: str = ""
