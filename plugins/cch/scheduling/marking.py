"""In the DAG processor: each of our DAGs is marked with its version, so that Airflow pins every run of it.

``create_dagrun`` copies the mark of the DAG to the run, whoever creates the run: the dispatcher, a person, the API or
another DAG.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cch.definition.version import Version, parse_version
from cch.runtime.run_conf import CONF_DIGEST
from cch.scheduling.pinning import may_pin
from cch.scheduling.replacing import replace

if TYPE_CHECKING:
    from cch.settings import Settings


def version_of_dag(data: Any) -> Version | None:
    """The version in a serialised DAG; None if the DAG is none of ours."""
    try:
        (param,) = (value for name, value in data["dag"]["params"] if name == CONF_DIGEST)
    except (KeyError, TypeError, ValueError):
        return None
    value = param.get("default") if isinstance(param, Mapping) else None
    return parse_version(value["__var"] if isinstance(value, Mapping) and "__var" in value else value)


def install(_settings: Settings) -> bool:
    """Let this process mark what it stores; whether it does. Once is enough."""
    if not may_pin("DAGs are not marked"):
        return False
    from airflow.dag_processing.collection import DagModelOperation  # noqa: PLC0415 - only here are they needed
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415

    replace(SerializedDagModel, "write_dag", _writing)
    replace(DagModelOperation, "update_dags", _updating)
    return True


def _mark(dag: Any, otherwise: str | None) -> str | None:
    version = version_of_dag(dag.data)
    return str(version) if version else otherwise


def _writing(original: Any) -> Any:
    def write_dag(
        dag: Any, bundle_name: str, bundle_version: str | None = None, *arguments: Any, **options: Any
    ) -> Any:
        return original(dag, bundle_name, _mark(dag, bundle_version), *arguments, **options)

    return write_dag


def _updating(original: Any) -> Any:
    def update_dags(self: Any, orm_dags: Any, *arguments: Any, **options: Any) -> Any:
        answer = original(self, orm_dags, *arguments, **options)
        for dag_id, model in orm_dags.items():
            model.bundle_version = _mark(self.dags[dag_id], model.bundle_version)
        return answer

    return update_dags
