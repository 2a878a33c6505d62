"""In the scheduler: when it examines a run, everything that needs no process is settled in the same round.

Airflow settles one level of such tasks in a round: those that only show an instant node, or a way that was not taken.
The task that waits behind five of them begins five rounds later, and the run ends one round after its last task. Here
Airflow's own decision is asked for again as long as it settles something (docs/adr/0042).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cch.definition.names import TAG
from cch.scheduling.probing import Hook, Need, has_columns, mentions, takes, unwrapped
from cch.scheduling.replacing import replace

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun, TISchedulingDecision
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

    from cch.settings import Settings

#: Levels that are settled in one round; the rest follows in the next one, so that no run keeps the others waiting.
MOST_LEVELS = 10
#: What :meth:`DagRun.schedule_tis` writes past the session when it settles a task.
_WRITTEN = ("state", "start_date", "end_date", "duration", "try_number", "updated_at")


def install(settings: Settings) -> bool:
    """Let the schedulers of this process settle whole rounds; whether they do. Does nothing the second time."""
    if not HOOK.may_be_installed(settings):
        return False
    from airflow.models.dagrun import DagRun  # noqa: PLC0415 - only the scheduler needs Airflow's models

    replace(DagRun, "task_instance_scheduling_decisions", _thorough)
    return True


def _thorough(original: Callable[..., TISchedulingDecision]) -> Callable[..., TISchedulingDecision]:
    def decide(run: DagRun, *, session: Session | None = None) -> TISchedulingDecision:
        if session is None:  # Airflow opens one of its own
            return original(run)
        decision = original(run, session=session)
        if TAG not in run.get_dag().tags:
            return decision
        for _ in range(MOST_LEVELS):
            settled = [each for each in decision.schedulable_tis if not each.is_schedulable]
            if not settled and not decision.changed_tis:
                break
            _settle(run, settled, session)
            decision = original(run, session=session)
        return decision

    return decide


def _settle(run: DagRun, tasks: list[TaskInstance], session: Session) -> None:
    """Let Airflow mark the tasks, and the session read them again with its next query."""
    session.flush()
    run.schedule_tis(tasks, session=session)
    for each in tasks:
        session.expire(each, _WRITTEN)


def _decisions_are_asked_for_by_one_method() -> bool:
    from airflow.models.dagrun import DagRun, TISchedulingDecision  # noqa: PLC0415

    decide = unwrapped(DagRun.task_instance_scheduling_decisions)
    return (
        mentions(DagRun.update_state, "task_instance_scheduling_decisions")
        and mentions(decide, "get_task_instances")
        and takes(decide, "session")
        and {"schedulable_tis", "changed_tis"} <= set(TISchedulingDecision._fields)
    )


def _tasks_without_work_are_marked_by_one_method() -> bool:
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415

    return (
        takes(DagRun.schedule_tis, "schedulable_tis", "session")
        and mentions(DagRun.schedule_tis, "is_schedulable")
        and isinstance(TaskInstance.is_schedulable, property)
        and has_columns(TaskInstance, *_WRITTEN)
    )


HOOK = Hook(
    name="whole rounds",
    switch="run_ahead",
    without="each task that only shows something takes a round of the scheduler",
    needs=(
        Need("the scheduler decides otherwise which tasks of a run are next", _decisions_are_asked_for_by_one_method),
        Need("tasks that need no process are marked otherwise", _tasks_without_work_are_marked_by_one_method),
    ),
)
