"""What Airflow's tasks are to be after the ledger was changed from outside of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from cch.graph.regions import carriers

if TYPE_CHECKING:
    from cch.graph.plan import Plan
    from cch.graph.regions import Region
    from cch.interpreter.flow import TokenFlow

#: done: it has succeeded. run: it has something to do now; if it waits already, it goes on waiting. open: the scheduler
#: settles it. keep: as it is.
Wish = Literal["done", "run", "open", "keep"]


@dataclass(frozen=True, slots=True)
class TaskWish:
    """What one task is to be. ``followed``: of a region that is done, the tasks right after it that were chosen."""

    wish: Wish
    followed: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWish:
    """What a run is to be.

    ``version``: as Airflow stores it. ``arguments``: of a region's trigger, which are the same for all regions.
    ``renamed``: a task's id so far → its id there, for tasks that may go on waiting.
    """

    dag_id: str
    run_id: str
    version: str
    tasks: Mapping[str, TaskWish]
    regions: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, object] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    #: Mapped tasks, by id and index, that have something to do again.
    items: tuple[tuple[str, int], ...] = ()
    #: What people read at tasks whose state is told to Airflow.
    note: str = ""


class RunBusyError(Exception):
    """A task of the run is on a worker, or on its way there: try again when it has ended."""


class RunGoneError(Exception):
    """Airflow has no such run that is alive."""


class RunTasks(Protocol):
    """Airflow's tables."""

    def prepare(self, dag_id: str, version: str) -> None:
        """Let Airflow hold a version of a DAG, so that a run can be put on it. Blocking.

        :raises CchError: it cannot; says why.
        """
        ...

    def change(self, dag_id: str, run_id: str, work: Callable[[], RunWish], *, revive: bool = False) -> None:
        """Call ``work`` while nobody else can change the run, and make the run what it returns. Blocking.

        Nothing is changed if ``work`` raises. To repeat it changes nothing more. ``revive``: a run that has ended goes
        on.

        :raises RunBusyError: see there; ``work`` was not called.
        :raises RunGoneError: see there; ``work`` was not called.
        """
        ...


def task_wishes(plan: Plan, flow: TokenFlow, begun: frozenset[str] = frozenset()) -> dict[str, TaskWish]:
    """What each task of the plan is to be when the tokens are so. ``begun``: heads of maps whose items have begun."""
    ready = {each.node for each in flow.ready()}
    visited = {outcome.node for outcome in flow.outcomes.values()}
    taken = flow.taken(visited & plan.graph.nodes.keys())  # a move may have left nodes behind
    arrived = {plan.arrival[edge] for edge in taken if edge in plan.arrival}
    carrier = carriers(plan.regions)
    wishes: dict[str, TaskWish] = {}
    for task_id, task in plan.tasks.items():
        region = plan.regions.get(carrier.get(task.node) or "")
        match task.kind:
            case "region" if region is not None and any(each.node in region.nodes for each in flow.failures):
                wishes[task_id] = TaskWish("keep")
            case "region" if region is not None:
                wishes[task_id] = _region(plan, flow, region, ready, visited)
                if region.mapped and wishes[task_id].wish == "run":
                    wishes[task_id] = TaskWish("keep" if region.head in begun else "open")
            case "list" | "item" if region is not None:
                wishes[task_id] = _of_map(task.kind, region, ready, visited, begun)
            case "gate":
                wishes[task_id] = TaskWish("done" if task_id in arrived else "open")
            case _:
                wishes[task_id] = TaskWish("done" if task.node in visited else "open")
    return wishes


def _region(plan: Plan, flow: TokenFlow, region: Region, ready: set[str], visited: set[str]) -> TaskWish:
    members = set(region.nodes)
    if members & ready:
        return TaskWish("run")
    if fired := members & visited:
        return TaskWish("done", tuple(plan.followed(region.head, flow.taken(members), fired)))
    return TaskWish("open")


def _of_map(kind: str, region: Region, ready: set[str], visited: set[str], begun: frozenset[str]) -> TaskWish:
    """The tasks before a map's region: they name and run its items."""
    if region.head in begun or region.head in visited:
        return TaskWish("keep")
    return TaskWish("run" if kind == "list" and ready & set(region.nodes) else "open")
