"""Whether this Airflow can keep every run on the version that it began with: asked of Airflow's code, not its number.

Airflow pins a run to the version of its DAG as soon as the run has a ``bundle_version``. A DAG file in a plain folder
has none, so we give each DAG one (:mod:`cch.scheduling.marking`) and look after the runs
(:mod:`cch.scheduling.placing`).
"""

from __future__ import annotations

import functools
import inspect
import logging
from types import SimpleNamespace

from cch.scheduling.probing import Hook, Need, has_columns, has_parameters, takes
from cch.settings import Settings

log = logging.getLogger(__name__)


def _marks_are_written() -> bool:
    from airflow.dag_processing.collection import DagModelOperation  # noqa: PLC0415
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415

    return has_parameters(SerializedDagModel.write_dag, "dag", "bundle_name", "bundle_version") and has_parameters(
        DagModelOperation.update_dags, "orm_dags"
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
    from airflow.models.dagbag import DBDagBag  # noqa: PLC0415
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415

    return (
        takes(DagRun.get_queued_dag_runs_to_set_running, "session")
        and takes(DagRun.get_running_dag_runs_to_examine, "session")
        and takes(DagRun.verify_integrity, "session", "dag_version_id")
        and takes(DBDagBag.get_dag, "version_id", "session")
        and has_parameters(DBDagBag, "load_op_links")
        and has_columns(DagVersion, "dag_id", "bundle_version", "version_number", "bundle_name")
        and has_columns(DagRun, "created_dag_version_id", "bundle_version", "conf", "state")
        and has_columns(TaskInstance, "dag_version_id")
    )


def _versions_can_be_stored() -> bool:
    from airflow.models.dagcode import DagCode  # noqa: PLC0415
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415
    from airflow.serialization.serialized_objects import LazyDeserializedDAG  # noqa: PLC0415

    return (
        takes(SerializedDagModel.__init__, "dag")
        and takes(LazyDeserializedDAG.from_dag, "dag")
        and takes(DagCode.write_code, "dag_version", "fileloc", "session")
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


HOOK = Hook(
    name="pinning",
    without="runs are not kept on their versions",
    needs=(
        Need("Airflow does not store the version of a DAG as it did", _marks_are_written),
        Need("a new run does not get the version of its DAG", _marks_are_copied),
        Need("a run with a version is not kept on it", _marked_runs_are_pinned),
        Need("runs cannot be put on a version", _runs_can_be_placed),
        Need("a version that no run has used cannot be stored", _versions_can_be_stored),
        Need("a task's process is not told the version of its run", _tasks_are_told),
    ),
)


def _versioned_bundles() -> str:
    from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: PLC0415

    named = [bundle.name for bundle in DagBundlesManager().get_all_dag_bundles() if bundle.supports_versioning]
    return ", ".join(named)


@functools.cache
def reason_against() -> str:
    """Why this Airflow cannot keep runs on their versions, in words that follow "because"; "" if it can."""
    if reason := HOOK.reason_against(Settings()):
        return reason
    if named := _versioned_bundles():
        return f"the DAG bundle {named} has versions of its own, which stand for whole folders"
    return ""


def may_pin(what: str) -> bool:
    """Whether ``what`` may be done to Airflow; if not, the log says why."""
    if reason := reason_against():
        log.warning("runs are not pinned to versions, so %s: %s", what, reason)
    return not reason
