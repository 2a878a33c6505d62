"""What a parse of Airflow's DAG file costs, beside the floor and dag-factory, and how little of it one task needs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from bench.figures import Figures
from cch.compiler.blueprint import blueprint
from cch.graph.checks import load
from cch.graph.planners import NEWEST_PLANNER

ROOT = Path(__file__).resolve().parents[1]
RUNS = 3
COUNTS = (10, 100, 1000)
_SAMPLE = (ROOT / "workflow-definitions" / "import_clearance_v1.yaml").read_text()
_FACTORY = ROOT / "build" / "dag-factory"
_OURS = """
import json, sys, time
import airflow.sdk, cch.compiler.factory  # what every parsing process has loaded already
from cch.compiler.factory import workflow_dags
from cch.scheduling.pinning import reason_against
reason_against()
begun = time.process_time()
dags = list(workflow_dags())
print(json.dumps([len(dags), time.process_time() - begun]))
"""
#: The least that can be done: YAML by the C loader, and the same tasks and edges without anything in them.
_FLOOR = """
import json, sys, time
from pathlib import Path
import yaml
from airflow.sdk import DAG, BaseOperator
shape = json.loads(Path(sys.argv[2]).read_text())
begun = time.process_time()
dags = []
for path in sorted(Path(sys.argv[1]).glob("*.yaml")):
    text = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    dag = DAG(text["workflow_id"], schedule=None)
    tasks = {name: BaseOperator(task_id=name, dag=dag) for name in shape["tasks"]}
    for before, after in shape["edges"].items():
        tasks[before].set_downstream([tasks[name] for name in after])
    dags.append(dag)
print(json.dumps([len(dags), time.process_time() - begun]))
"""
_THEIRS = """
import json, logging, sys, time
from dagfactory import load_yaml_dags
logging.disable(logging.CRITICAL)
found = {}
begun = time.process_time()
load_yaml_dags(globals_dict=found, dags_folder=sys.argv[1])
seconds = time.process_time() - begun
from airflow.sdk import DAG
print(json.dumps([sum(isinstance(each, DAG) for each in found.values()), seconds]))
"""


def _shape() -> dict[str, dict[str, list[str]] | list[str]]:
    """The Airflow tasks of the sample, and what follows each."""
    made_of = blueprint(load(_SAMPLE, "sample.yaml"), NEWEST_PLANNER)
    edges: dict[str, list[str]] = {}
    for before, after in made_of.edges:
        edges.setdefault(before, []).append(after)
    return {"tasks": [task.task_id for task in made_of.tasks], "edges": edges}


def _definitions(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        name = f"wf_{number:04d}"
        (folder / f"{name}.yaml").write_text(_SAMPLE.replace("import_clearance_v1", name))


def _factory_files(folder: Path, count: int) -> None:
    """The same tasks and edges, as dag-factory reads them."""
    folder.mkdir()
    shape = _shape()
    before: dict[str, list[str]] = {}
    assert isinstance(shape["edges"], dict)
    for name, after in shape["edges"].items():
        for each in after:
            before.setdefault(each, []).append(name)
    operator = "airflow.providers.standard.operators.empty.EmptyOperator"
    tasks = {
        name.replace("~", "-"): {
            "operator": operator,
            "dependencies": [each.replace("~", "-") for each in before.get(name, ())],
        }
        for name in shape["tasks"]
    }
    listed = [{"task_id": name, **task} for name, task in tasks.items()]
    for number in range(count):
        name = f"wf_{number:04d}"
        dag = {
            name: {"default_args": {"owner": "bench", "start_date": "2026-01-01"}, "schedule": None, "tasks": listed}
        }
        (folder / f"{name}.yml").write_text(yaml.safe_dump(dag, sort_keys=False))


def _parse(code: str, *arguments: Path, python: str = sys.executable, **variables: str) -> tuple[int, float]:
    """How many DAGs, and the seconds of CPU."""
    answer = subprocess.run(
        [python, "-W", "ignore", "-c", code, *map(str, arguments)],
        env={**os.environ, **variables}, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    count, seconds = json.loads(answer.stdout.splitlines()[-1])
    return count, seconds


def _factory_python() -> str:
    """The Python of an environment with dag-factory, made at its first use; "" if the index has none."""
    python = _FACTORY / "bin" / "python"
    if not (_FACTORY / ".ready").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        pins = str(ROOT / "requirements" / "constraints.txt")
        install = [uv, "pip", "install", "--quiet", "--system-certs", "--python", str(python), "-c", pins]
        try:
            made = [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(_FACTORY)]
            subprocess.run(made, check=True, capture_output=True)
            subprocess.run([*install, "dag-factory==1.1.0", "apache-airflow"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return ""
        (_FACTORY / ".ready").touch()
    return str(python)


def _measured(base: Path, count: int, factory: str) -> tuple[float | str, ...]:
    """A row of the table."""
    folder, cache, theirs, shape = (base / name for name in ("definitions", "cache", "theirs", "shape.json"))
    _definitions(folder, count)
    _factory_files(theirs, count)
    shape.write_text(json.dumps(_shape()))
    common = {"AIRFLOW_HOME": str(base / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    common["AIRFLOW__CORE__DAGS_FOLDER"] = str(theirs)
    ours = {**common, "CCH_DEFINITIONS_FOLDER": str(folder), "CCH_CACHE_FOLDER": str(cache), "CCH_REFRESH_SECONDS": "0"}

    def parsed(code: str, *arguments: Path, python: str = sys.executable, **variables: str) -> float:
        served, seconds = _parse(code, *arguments, python=python, **variables)
        assert served == count, f"{served} DAGs instead of {count}"
        return seconds

    cold = parsed(_OURS, **ours)
    warm, floor, republished = [], [], []
    for number in range(RUNS):
        warm.append(parsed(_OURS, **ours))
        floor.append(parsed(_FLOOR, folder, shape, **common))
        (folder / "wf_0005.yaml").write_text(_SAMPLE.replace("import_clearance_v1", "wf_0005") + f"# {number}\n")
        republished.append(parsed(_OURS, **ours))
    one = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": "wf_0005", "_AIRFLOW_PARSING_CONTEXT_TASK_ID": "Enrich"}
    task = statistics.median(_parse(_OURS, **ours, **one)[1] for _ in range(RUNS))
    other = parsed(_THEIRS, theirs, python=factory, **common) if factory else "not installed"
    middle = statistics.median(warm)
    share = middle / statistics.median(floor)
    return cold, middle, statistics.median(republished), statistics.median(floor), share, other, task * 1000


def measure_parsing() -> Figures:
    """Seconds of CPU with an empty cache, with all kept, after one was republished; the floor; dag-factory."""
    factory = _factory_python()
    rows = []
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as temporary:
            rows.append((f"{count:,} definitions", _measured(Path(temporary), count, factory)))
    load_average = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return Figures(
        title="parsing the DAG file (seconds of CPU, without Python's imports)",
        columns=("nothing kept", "all kept", "one republished", "floor", "kept / floor", "dag-factory", "one task ms"),
        rows=rows,
        notes=(
            f"definitions of 13 nodes and {len(_shape()['tasks'])} Airflow tasks in a folder; medians of {RUNS}",
            "floor: YAML's C loader, and a bare DAG with the same tasks and edges",
            "dag-factory 1.1.0, in an environment of its own: the same tasks and edges, as EmptyOperators",
            f"load of the machine at the end (1, 5, 15 min): {load_average}",
        ),
    )
