"""Asks the triggerer which tasks of a run are still to come; the process where triggers run has no database.

Triggers may ask it for Variables. A key that begins with :data:`KEY` is a question to :mod:`cch.scheduling.coming`,
which answers from Airflow's database; where that is not installed there is no such Variable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

#: Before the question, as JSON, in the key of a Variable.
KEY = "cch/tasks-to-come/"


@dataclass(frozen=True, slots=True)
class Question:
    """Which of these tasks of a run Airflow may still let begin.

    ``rests_on``: the tasks before them, each with the id of its task instance that has left. A task that was cleared
    since has another id, and nothing begins before it has left again.
    """

    dag_id: str
    run_id: str
    task_ids: tuple[str, ...]
    rests_on: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        return KEY + json.dumps(astuple(self))


def question_of(message: Any) -> Question | None:
    """The question that a message of a trigger asks, if it does."""
    key = getattr(message, "key", None)
    if not isinstance(key, str) or not key.startswith(KEY):
        return None
    dag_id, run_id, task_ids, rests_on = json.loads(key.removeprefix(KEY))
    return Question(dag_id, run_id, tuple(task_ids), tuple((task, instance) for task, instance in rests_on))


async def tasks_to_come(
    dag_id: str, run_id: str, task_ids: Sequence[str], rests_on: Mapping[str, str]
) -> Mapping[str, str] | None:
    """Task → id of its task instance, of those of these tasks that Airflow may still let begin.

    ``rests_on``: see :class:`Question`. None: this triggerer answers no such questions.
    """
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - only where triggers run
    from airflow.sdk.execution_time.comms import GetVariable, VariableResult  # noqa: PLC0415

    asked = Question(dag_id, run_id, tuple(task_ids), tuple(sorted(rests_on.items())))
    answer = await task_runner.SUPERVISOR_COMMS.asend(GetVariable(key=asked.key))
    if not isinstance(answer, VariableResult) or not answer.value:
        return None
    found: dict[str, str] = json.loads(answer.value)
    return found
