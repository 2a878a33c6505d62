"""What old versions cost that are still in use: memory of a scheduler that holds them, and the time of a parse.

Run with a folder as its argument, it plays DAG processor and scheduler on an SQLite database there, and prints JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from bench.figures import Figures

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = (1, 10, 100)
_WORKFLOW = "import_clearance_v1"
_SAMPLE = (ROOT / "workflow-definitions" / f"{_WORKFLOW}.yaml").read_text()
_PARSES = 3


def _parse() -> float:
    """Let Airflow parse and store what is published, as the DAG processor does; seconds of CPU of the parse itself."""
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session
    from sqlalchemy import update

    from cch.compiler.factory import workflow_dags

    begun = time.process_time()
    dags = list(workflow_dags())
    seconds = time.process_time() - begun
    for dag in dags:
        dag.fileloc, dag.relative_fileloc = __file__, Path(__file__).name
    with create_session() as session:  # Airflow stores a DAG at most every 30 s
        session.execute(update(SerializedDagModel).values(last_updated=datetime.now(UTC) - timedelta(minutes=1)))
    with create_session() as session:
        errors: dict[tuple[str, str], str] = {}
        stored = [LazyDeserializedDAG.from_dag(dag) for dag in dags]
        update_dag_parsing_results_in_db("dags-folder", None, stored, errors, 0.1, set(), session)
    assert not errors, errors
    return seconds


def _run() -> None:
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.utils.types import DagRunTriggeredByType

    context = {"consignment": {"id": "x"}, "shipmentId": "x", "bl": "x"}
    trigger_dag(_WORKFLOW, triggered_by=DagRunTriggeredByType.REST_API, run_id=uuid.uuid4().hex, conf=context)


def _graphs() -> int:
    """What a scheduler's round does with every live run: load the graph by which it is scheduled; how many of them."""
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    bag = DBDagBag(load_op_links=False)
    _KEPT.append(bag)  # as the scheduler does
    with create_session() as session:
        runs = session.scalars(select(DagRun).where(DagRun.dag_id == _WORKFLOW)).all()
        graphs = {id(bag.get_dag_for_run(run, session=session)) for run in runs}
    return len(graphs)


#: What is not to be collected before the memory is measured.
_KEPT: list[object] = []


def _child(folder: Path, versions: int) -> None:
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    from cch.scheduling import marking
    from cch.settings import load_settings

    warnings.simplefilter("ignore")
    initdb()
    assert marking.install(load_settings())
    with create_session() as session:
        session.add(DagBundleModel(name="dags-folder"))
    for number in range(versions):
        (folder / f"{_WORKFLOW}.yaml").write_text(f"{_SAMPLE}# {number}\n")
        _parse()
        _run()
    parses = sorted(_parse() for _ in range(_PARSES))
    process = psutil.Process()
    before = process.memory_full_info().uss
    graphs = _graphs()
    assert graphs == versions, f"{graphs} graphs instead of {versions}"
    grown = process.memory_full_info().uss - before
    print(json.dumps({"parse_ms": parses[len(parses) // 2] * 1000, "grown_mb": grown / 2**20}))


def _measured(versions: int) -> tuple[float, ...]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "definitions"
        folder.mkdir()
        ours = {
            "AIRFLOW_HOME": f"{temporary}/airflow", "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "CCH_DEFINITIONS_FOLDER": str(folder), "CCH_CACHE_FOLDER": f"{temporary}/cache",
            "CCH_REFRESH_SECONDS": "0", "AIRFLOW__CORE__DAGS_FOLDER": f"{temporary}/dags",
        }  # fmt: skip
        answer = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "bench.versions", str(folder), str(versions)],
            env={**os.environ, **ours}, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if answer.returncode:
            raise RuntimeError(answer.stderr[-2000:])
        found = json.loads(answer.stdout.splitlines()[-1])
    return found["parse_ms"], found["grown_mb"], found["grown_mb"] * 1024 / versions


def measure_versions() -> Figures:
    """One workflow with so many versions in use, each with a live run."""
    rows = [(f"{count:,} versions", _measured(count)) for count in VERSIONS]
    load_average = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return Figures(
        title="old versions that are in use",
        columns=("parse ms of CPU", "scheduler MB", "KB a version"),
        rows=rows,
        notes=(
            "a definition of 13 nodes; scheduler MB: memory of its own that it gains when it has loaded every graph",
            "parse: what is published now, everything else kept",
            f"load of the machine at the end (1, 5, 15 min): {load_average}",
        ),
    )


if __name__ == "__main__":
    _child(Path(sys.argv[1]), int(sys.argv[2]))
