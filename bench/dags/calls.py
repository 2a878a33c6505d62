"""What Airflow takes for somebody's code: tasks that do nothing, each in a process; and a DAG without any."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from airflow.sdk.bases.operator import chain

_OPTIONS = {"max_active_runs": 1000, "max_active_tasks": 1000, "is_paused_upon_creation": False}


def _nothing() -> None:
    """Do nothing."""


with DAG("bench_python", schedule=None, **_OPTIONS):
    chain(*(PythonOperator(task_id=f"n{number}", python_callable=_nothing) for number in range(5)))

with DAG("bench_none", schedule=None, **_OPTIONS):
    EmptyOperator(task_id="n0")
