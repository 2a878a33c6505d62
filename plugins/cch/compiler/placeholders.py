"""DAGs that show why there is no workflow where one is expected, and tasks that wait for their version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, Param

from cch.compiler.documentation import problem_list
from cch.definition.names import TAG
from cch.errors import Problem
from cch.runtime.run_conf import CONF_DIGEST

#: How long a task waits before it looks for its version again (s).
_LOOK_AGAIN = 60


def placeholder(dag_id: str, title: str, problems: tuple[Problem, ...]) -> DAG:
    """A DAG that shows why there is no workflow here. Running it fails with the same message."""
    dag = DAG(
        dag_id=dag_id,
        description=str(problems[0])[:200],
        doc_md=problem_list(title, problems),
        schedule=None,
        catchup=False,
        tags=[TAG, "definition-error"],
        # A DAG stays as it was first seen: a paused placeholder would leave the fixed workflow paused.
        is_paused_upon_creation=False,
        default_args={"owner": "cch", "retries": 0},
        # The dispatcher's starts are refused until the workflow is here; a person's run fails and says why.
        params={CONF_DIGEST: Param("", type="string", const="")},
    )
    _DefinitionErrorOperator(task_id="definition_error", message="\n".join(map(str, problems)), dag=dag)
    return dag


class _DefinitionErrorOperator(BaseOperator):
    """Fails with the message."""

    def __init__(self, *, message: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.message = message

    def execute(self, context: Any) -> None:  # noqa: ARG002
        from airflow.sdk.exceptions import AirflowFailException  # noqa: PLC0415

        raise AirflowFailException(self.message)


def awaiting_version(dag_id: str, task_id: str, reason: str) -> DAG:
    """A DAG whose one task is tried again until its own version can be read.

    Airflow gives a task that its DAG file does not have three minutes, then fails it. Here nothing is given up: the
    source may be away for hours, or this process may be older than the one that made the run.
    """
    dag = DAG(dag_id=dag_id, schedule=None, default_args={"owner": "cch"})
    _AwaitingVersionOperator(task_id=task_id, reason=reason, dag=dag)
    return dag


class _AwaitingVersionOperator(BaseOperator):
    """Puts the task off, which costs none of its tries."""

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason

    def execute(self, context: Any) -> None:  # noqa: ARG002
        from airflow.sdk.exceptions import AirflowRescheduleException  # noqa: PLC0415

        self.log.warning("the version of this run cannot be read, so the task is tried again: %s", self.reason)
        raise AirflowRescheduleException(datetime.now(UTC) + timedelta(seconds=_LOOK_AGAIN))
