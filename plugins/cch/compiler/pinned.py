"""The version of the run whose task this process is to execute."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from cch.definition.version import Version, parse_version
from cch.runtime.run_conf import CONF_VERSION

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


def tested_version(arguments: Sequence[str]) -> tuple[str, str] | None:
    """The workflow and the name of the version that ``airflow dags test`` is to run; None if it names none.

    ``arguments``: the command line, with the program. The name is the one in the ``--conf`` of the run.
    """
    if list(arguments[1:3]) != ["dags", "test"]:
        return None
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("dag_id", nargs="?")
    parser.add_argument("-c", "--conf", default="")
    try:
        given, _ = parser.parse_known_args(list(arguments[3:]))
        conf = json.loads(given.conf or "{}")
    except (argparse.ArgumentError, ValueError):
        return None
    name = conf.get(CONF_VERSION) if isinstance(conf, dict) else None
    return (given.dag_id, str(name)) if given.dag_id and name else None


def told_version(details: Any) -> Version | None:
    """The version in what Airflow tells a task's process (its ``StartupDetails``)."""
    return parse_version(getattr(getattr(details, "bundle_info", None), "version", None))
