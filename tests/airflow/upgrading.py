"""An Airflow database as a release before versions left it, and the first minute of this release on it.

Run as a program, with Airflow's and this package's environment: prints how the runs stand then, as JSON.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import uuid
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: In the order of their references.
_TABLES = (
    "dag_bundle", "dag", "dag_tag", "dag_version", "dag_code", "serialized_dag", "dag_run", "task_instance",
)  # fmt: skip


def _value(stored: Any) -> Any:
    match stored:
        case {"datetime": text}:
            return datetime.fromisoformat(text)
        case {"uuid": text}:
            return uuid.UUID(text)
        case {"bytes": text}:
            return base64.b64decode(text)
        case _:
            return stored


def restore(recorded: dict[str, Any]) -> None:
    """Put the recorded rows into an empty, migrated database."""
    from airflow.models.base import Base
    from airflow.utils.session import create_session
    from sqlalchemy import insert

    with create_session() as session:
        for name in _TABLES:
            for row in recorded["tables"][name]:
                values = {key: _value(value) for key, value in row.items()}
                session.execute(insert(Base.metadata.tables[name]).values(**values))


def parse() -> None:
    """The DAG processor's work: compile what is published, and store it."""
    from cch.compiler.factory import workflow_dags
    from tests.airflow.stored import store

    store(list(workflow_dags()))


def stand() -> dict[str, Any]:
    """The runs: their version, the tasks that Airflow schedules them by, and the states of their tasks."""
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = {}
        for run in session.scalars(select(DagRun)):
            tis = session.scalars(select(TaskInstance).where(TaskInstance.run_id == run.run_id)).all()
            dag = DBDagBag().get_dag_for_run(run, session=session)
            found[run.run_id] = {
                "state": str(run.state),
                "version": run.bundle_version,
                "graph": sorted(dag.task_ids) if dag else [],
                "tasks": {ti.task_id: str(ti.state or "") for ti in tis},
            }
        return found


def main(recorded: dict[str, Any], published: str) -> dict[str, Any]:
    from airflow.models.dagrun import DagRun
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    from cch.scheduling import idle_runs, marking, placing
    from cch.settings import load_settings

    initdb()
    restore(recorded)
    settings = load_settings()
    folder = Path(settings.definitions_folder)
    (folder / "adopted.yaml").write_text(recorded["definition"])
    for module in (marking, idle_runs, placing):
        assert module.install(settings)
    parse()
    with create_session() as session:
        for run in list(DagRun.get_queued_dag_runs_to_set_running(session)):
            run.state, run.start_date = "running", datetime.now(UTC)
        list(DagRun.get_running_dag_runs_to_examine(session))
    (folder / "adopted.yaml").write_text(published)
    parse()
    return stand()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    record = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps({"stand": main(record, os.environ["PUBLISHED"])}))
