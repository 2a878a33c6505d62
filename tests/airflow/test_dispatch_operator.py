"""How the dispatcher understands Airflow's answers, without a supervisor around it."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import DagRunStateResult, ErrorResponse

from cch.operators.runs import AirflowRuns


class Supervisor:
    """Gives the same answer to whatever it is asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def send(self, message: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def answering(monkeypatch: pytest.MonkeyPatch, answer: Any) -> AirflowRuns:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(answer), raising=False)
    return AirflowRuns()


@pytest.mark.parametrize(
    ("airflow", "ours"), [("success", "success"), ("failed", "failed"), ("running", "running"), ("queued", "running")]
)
def test_the_state_of_a_run_is_understood(monkeypatch: pytest.MonkeyPatch, airflow: str, ours: str) -> None:
    """A run that has ended must not pass for a running one: the ledger would never hear of its end."""
    runs = answering(monkeypatch, DagRunStateResult(state=airflow))

    assert runs.state("w", "run") == ours


def test_a_run_that_airflow_does_not_have_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a 404 says so; any other failure says nothing about the run."""
    gone = ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"status_code": 404, "message": "Not Found"})
    ill = ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500, "message": "oh"})

    assert answering(monkeypatch, AirflowRuntimeError(gone)).state("w", "run") == "missing"
    assert answering(monkeypatch, AirflowRuntimeError(ill)).state("w", "run") == "unknown"
