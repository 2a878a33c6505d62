"""Somebody else's DAG: three tasks that need no process, so that a hop is all the scheduler's."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.sdk.bases.operator import chain

with DAG("bench_hop", schedule=None, max_active_runs=1000, max_active_tasks=1000, is_paused_upon_creation=False):
    chain(*(EmptyOperator(task_id=f"n{number}") for number in range(3)))
