"""How long Airflow's DAG file takes to parse, and how little of that one task needs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figures import Figures

ROOT = Path(__file__).resolve().parents[1]
RUNS = 3
_PARSE = """
import json, os, sys, time
import airflow.sdk, cch.compiler.factory  # what every parsing process has loaded already
from cch.compiler.factory import workflow_dags
begun = time.perf_counter()
dags = list(workflow_dags())
print(json.dumps([len(dags), time.perf_counter() - begun]))
"""


def _definitions(folder: Path, count: int) -> None:
    text = (ROOT / "workflow-definitions" / "import_clearance_v1.yaml").read_text()
    for number in range(count):
        name = f"wf_{number:04d}"
        (folder / f"{name}.yaml").write_text(text.replace("import_clearance_v1", name))


def _parse(folder: Path, cache: Path, dag_id: str = "") -> tuple[int, float]:
    variables = {
        **os.environ,
        "CCH_DEFINITIONS_FOLDER": str(folder),
        "CCH_CACHE_FOLDER": str(cache),
        "AIRFLOW_HOME": str(cache / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    if dag_id:
        variables |= {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": dag_id, "_AIRFLOW_PARSING_CONTEXT_TASK_ID": "Enrich"}
    command = [sys.executable, "-c", _PARSE]
    answer = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=True)
    count, seconds = json.loads(answer.stdout.splitlines()[-1])
    return count, seconds


def measure_parsing() -> Figures:
    """Cold (empty cache), warm, and for one task, with 10, 100 and 1,000 definitions of 13 nodes."""
    rows = []
    for count in (10, 100, 1000):
        with tempfile.TemporaryDirectory() as temporary:
            folder, cache = Path(temporary) / "definitions", Path(temporary) / "cache"
            folder.mkdir()
            _definitions(folder, count)
            served, cold = _parse(folder, cache)
            assert served == count, f"{served} DAGs instead of {count}"
            warm = statistics.median(_parse(folder, cache)[1] for _ in range(RUNS))
            one = statistics.median(_parse(folder, cache, f"wf_{count // 2:04d}")[1] for _ in range(RUNS))
            rows.append((f"{count:,} definitions", (cold, warm, warm * 1000 / count, one * 1000)))
    return Figures(
        title="parsing the DAG file (without Python's imports)",
        columns=("cold s", "warm s", "warm ms each", "for one task ms"),
        rows=rows,
        notes=("definitions of 13 nodes in a folder; the bucket adds one conditional GET for one task",),
    )
