"""Airflow's runs, as the dispatcher's task sees them."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk import DagRunState
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    DagResult,
    DagRunStateResult,
    ErrorResponse,
    GetDag,
    GetDagRunState,
    TriggerDagRun,
)

from cch.definition.version import parse_version
from cch.runtime.dispatch import RunRefused, RunState, StartRun
from cch.scheduling.pinning import reason_against
from cch.scheduling.probing import airflow_version
from cch.settings import Settings


class AirflowRuns:
    """Starts and looks at runs through the task's own channel to Airflow, about 40 ms a start."""

    def start(self, run: StartRun) -> RunRefused | None:
        message = TriggerDagRun(dag_id=run.dag_id, run_id=run.run_id, conf=dict(run.conf))
        try:
            answer = task_runner.SUPERVISOR_COMMS.send(message)
        except AirflowRuntimeError as failure:
            answer = failure.error
        if not isinstance(answer, ErrorResponse) or answer.error == ErrorType.DAGRUN_ALREADY_EXISTS:
            return None
        detail = answer.detail or {}
        return RunRefused(status=int(detail.get("status_code") or 500), reason=str(detail)[:300])

    def state(self, dag_id: str, run_id: str) -> RunState:
        try:
            answer = task_runner.SUPERVISOR_COMMS.send(GetDagRunState(dag_id=dag_id, run_id=run_id))
        except AirflowRuntimeError as failure:
            status = (failure.error.detail or {}).get("status_code")
            return "missing" if status == 404 else "unknown"
        if not isinstance(answer, DagRunStateResult):
            return "unknown"
        match answer.state:  # by comparison: the text of this enum's members is "DagRunState.FAILED"
            case DagRunState.SUCCESS:
                return "success"
            case DagRunState.FAILED:
                return "failed"
            case _:
                return "running"

    def reason_against_pinning(self) -> str:
        return reason_against()

    def airflow(self) -> str:
        return airflow_version()

    def reasons_against_hooks(self, settings: Settings) -> Mapping[str, str]:
        from cch.scheduling.hooks import reasons_against  # noqa: PLC0415 - loads the scheduler's and triggerer's code

        return reasons_against(settings)

    def pins(self, dag_id: str) -> bool:
        try:
            answer = task_runner.SUPERVISOR_COMMS.send(GetDag(dag_id=dag_id))
        except AirflowRuntimeError:
            return False
        return isinstance(answer, DagResult) and parse_version(answer.bundle_version) is not None
