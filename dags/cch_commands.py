"""The command dispatcher: turns stored starts into DAG runs, when the doorbell rings and once a minute."""

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable

from cch.operators.dispatch import DispatchOperator
from cch.triggers.doorbell import CommandDoorbell

doorbell = Asset("cch_commands", watchers=[AssetWatcher(name="cch_doorbell", trigger=CommandDoorbell())])

with DAG(
    dag_id="cch_commands",
    description="Starts workflows for commands that have arrived",
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("* * * * *", timezone="UTC"), assets=doorbell),
    catchup=False,
    # Dispatching twice at the same time is harmless; a run whose worker was killed must not hold up the next ones.
    max_active_runs=4,
    is_paused_upon_creation=False,
    tags=["cch"],
    default_args={"owner": "cch", "retries": 0},
):
    DispatchOperator(task_id="dispatch")
