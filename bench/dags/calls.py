"""What Airflow takes for somebody's code: tasks that do nothing, each in a process; and a DAG without any.

Beside them sensors that begin and end in the triggerer, where they have nothing to wait for: no task costs less there.
"""

from datetime import UTC, datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG
from airflow.sdk.bases.operator import chain

_OPTIONS = {"max_active_runs": 1000, "max_active_tasks": 1000, "is_paused_upon_creation": False}


def _nothing() -> None:
    """Do nothing."""


with DAG("bench_python", schedule=None, **_OPTIONS):
    chain(*(PythonOperator(task_id=f"n{number}", python_callable=_nothing) for number in range(5)))

_PAST = datetime(2026, 1, 5, tzinfo=UTC)

with DAG("bench_sensor", schedule=None, **_OPTIONS):
    chain(
        *(
            DateTimeSensorAsync(task_id=f"n{number}", target_time=_PAST, start_from_trigger=True, end_from_trigger=True)
            for number in range(5)
        )
    )

with DAG("bench_none", schedule=None, **_OPTIONS):
    EmptyOperator(task_id="n0")
