"""Whether this Airflow can keep every run on the version that it began with: asked of Airflow's code, not its number.

Airflow pins a run to the version of its DAG as soon as the run has a ``bundle_version``. A DAG file in a plain folder
has none, so we give each DAG one (:mod:`cch.scheduling.marking`) and look after the runs
(:mod:`cch.scheduling.placing`).
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace

log = logging.getLogger(__name__)

_Probe = Callable[[], bool]


def _takes(function: Callable[..., object], *names: str) -> bool:
    return set(names) <= inspect.signature(function).parameters.keys()


def _marks_are_written() -> bool:
    from airflow.dag_processing.collection import DagModelOperation  # noqa: PLC0415
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415

    return _takes(SerializedDagModel.write_dag, "dag", "bundle_name", "bundle_version") and _takes(
        DagModelOperation.update_dags, "self", "orm_dags"
    )


def _marks_are_copied() -> bool:
    from airflow.serialization.definitions import dag  # noqa: PLC0415

    return "bundle_version=bundle_version" in inspect.getsource(dag)


def _marked_runs_are_pinned() -> bool:
    from airflow.models.dagbag import DBDagBag  # noqa: PLC0415

    run = SimpleNamespace(dag_id="-", bundle_version="mark", created_dag_version_id="version")
    return bool(DBDagBag._version_from_dag_run(run, session=None) == "version")  # noqa: SLF001


def _runs_can_be_placed() -> bool:
    from airflow.models.dag_version import DagVersion  # noqa: PLC0415
    from airflow.models.dagrun import DagRun  # noqa: PLC0415

    columns = {column.key for column in DagVersion.__table__.columns}
    return (
        _takes(DagRun.get_queued_dag_runs_to_set_running, "session")
        and _takes(DagRun.get_running_dag_runs_to_examine, "session")
        and _takes(DagRun.verify_integrity, "session", "dag_version_id")
        and {"bundle_version", "version_number", "bundle_name"} <= columns
    )


def _tasks_are_told() -> bool:
    from airflow.executors.workloads.base import BundleInfo  # noqa: PLC0415
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415
    from airflow.sdk.execution_time.comms import StartupDetails  # noqa: PLC0415

    parsing = inspect.signature(task_runner.parse).parameters.values()
    return (
        any("StartupDetails" in str(parameter.annotation) for parameter in parsing)
        and "bundle_info" in StartupDetails.model_fields
        and "version" in BundleInfo.model_fields
    )


_PROBES: tuple[tuple[str, _Probe], ...] = (
    ("Airflow does not store the version of a DAG as it did", _marks_are_written),
    ("a new run does not get the version of its DAG", _marks_are_copied),
    ("a run with a version is not kept on it", _marked_runs_are_pinned),
    ("runs cannot be put on a version", _runs_can_be_placed),
    ("a task's process is not told the version of its run", _tasks_are_told),
)


def _failures() -> Iterator[str]:
    for what, probe in _PROBES:
        try:
            good = probe()
        except Exception as error:  # noqa: BLE001 - what is asked of may be gone, in whatever way
            yield f"{what} ({type(error).__name__}: {error})"
            continue
        if not good:
            yield what


def _versioned_bundles() -> str:
    from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: PLC0415

    named = [bundle.name for bundle in DagBundlesManager().get_all_dag_bundles() if bundle.supports_versioning]
    return ", ".join(named)


@functools.cache
def reason_against() -> str:
    """Why this Airflow cannot keep runs on their versions, in words that follow "because"; "" if it can."""
    from airflow import __version__  # noqa: PLC0415 - slow

    if failures := list(_failures()):
        return f"Airflow {__version__} is not as this release knows it: {'; '.join(failures)}"
    if named := _versioned_bundles():
        return f"the DAG bundle {named} has versions of its own, which stand for whole folders"
    return ""


def may_pin(what: str) -> bool:
    """Whether ``what`` may be done to Airflow; if not, the log says why."""
    if reason := reason_against():
        log.warning("runs are not pinned to versions, so %s: %s", what, reason)
    return not reason
