"""The version of the run whose task this process is to execute."""

from __future__ import annotations

import sys
from typing import Any

from cch.definition.version import Version, parse_version

#: The module of Airflow that parses the DAG file in a task's process, and what it has been told by then.
_TASK_RUNNER = "airflow.sdk.execution_time.task_runner"
_TOLD = "StartupDetails"


def version_of_task() -> Version | None:
    """The version to which the run is pinned whose task is about to begin here; None if it is not pinned.

    Airflow tells a DAG file which DAG and task it is parsed for (``get_parsing_context``), and nothing of the run.
    What the process was told of the run lies in the frames of the functions that called the DAG file, whatever their
    names are.
    """
    frame = sys._getframe()  # noqa: SLF001
    while frame is not None:
        if frame.f_globals.get("__name__") == _TASK_RUNNER:
            for value in frame.f_locals.values():
                if type(value).__name__ == _TOLD:
                    return told_version(value)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def told_version(details: Any) -> Version | None:
    """The version in what Airflow tells a task's process (its ``StartupDetails``)."""
    return parse_version(getattr(getattr(details, "bundle_info", None), "version", None))
