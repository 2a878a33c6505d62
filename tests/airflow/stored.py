"""The DAG processor's part: what it has parsed is stored in Airflow's database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


def store(dags: Sequence[Any]) -> None:
    """Let Airflow store DAGs, also such as it has stored a moment ago."""
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session
    from sqlalchemy import update

    for dag in dags:
        dag.fileloc, dag.relative_fileloc = __file__, Path(__file__).name
    with create_session() as session:
        if session.get(DagBundleModel, "dags-folder") is None:
            session.add(DagBundleModel(name="dags-folder"))
        # Airflow stores a DAG at most every 30 s.
        session.execute(update(SerializedDagModel).values(last_updated=datetime.now(UTC) - timedelta(minutes=1)))
    with create_session() as session:
        errors: dict[tuple[str, str], str] = {}
        update_dag_parsing_results_in_db(
            "dags-folder", None, [LazyDeserializedDAG.from_dag(dag) for dag in dags], errors, 0.1, set(), session
        )
        assert not errors, errors
