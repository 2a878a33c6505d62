"""What tasks of ours load is loaded where Airflow forks their processes, and nowhere else."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cch import plugin
from cch.scheduling import preloading
from tests.airflow.telling import told_by

#: Installs the change, does what the process of a task does, and tells what that had still to load.
TASK = """
import asyncio, json, sys
from cch.scheduling import preloading
from cch.settings import load_settings
installed = preloading.install(load_settings())
before = set(sys.modules)
from cch.compiler.factory import workflow_dags
from cch.operators.region import CallOperator
from cch.runtime.execution import execute_region
from cch.runtime.platform import open_platform
from botocore import loaders
dags = [dag.dag_id for dag in workflow_dags()]
async def opened():
    async with open_platform() as platform:
        await platform.router.stop()
read = []
plain = loaders.JSONFileLoader.load_file
loaders.JSONFileLoader.load_file = lambda self, path: read.append(path) or plain(self, path)
asyncio.run(opened())
print(json.dumps({"installed": installed, "dags": dags, "new": sorted(set(sys.modules) - before), "read": read}))
"""
CELERY = """
import json, sys
sys.argv = json.loads(sys.argv[1])
from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from cch.scheduling.celery_worker import CONFIG
print(json.dumps({"same": CONFIG is DEFAULT_CELERY_CONFIG, "loaded": "cch.runtime.execution" in sys.modules}))
"""
DEFINITION = "{workflow_id: one, workflow_name: One, entry_point: E, nodes: {E: {type: end}}}"
#: The libraries that take long to load, and our own code.
SLOW = ("cch", "aiobotocore", "aiohttp", "botocore", "boto3", "networkx", "pydantic", "jsonschema")


def task_after(executor: str, definitions: Path, **variables: str) -> dict[str, Any]:
    (definitions / "one.yaml").write_text(DEFINITION)
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    told: dict[str, Any] = told_by(TASK, AIRFLOW__CORE__EXECUTOR=executor, **keys, **variables)
    return told


def slow(modules: list[str]) -> list[str]:
    return [name for name in modules if name.split(".")[0] in SLOW]


def test_a_task_of_a_local_executor_has_everything(definitions: Path) -> None:
    """Parsing the DAG file and opening the platform load nothing of ours, nor of AWS's libraries, any more.

    Nor do its clients read again what botocore knows of the services.
    """
    told = task_after("LocalExecutor", definitions, CCH_LIFECYCLE_TOPIC="arn:aws:sns:us-east-1:1:told")

    assert told["installed"] is True
    assert told["dags"] == ["one"]
    assert not slow(told["new"])
    assert not told["read"]


def test_where_no_task_is_forked_nothing_is_loaded(definitions: Path) -> None:
    """A scheduler whose tasks run elsewhere keeps its memory."""
    told = task_after("CeleryExecutor", definitions)

    assert told["installed"] is False
    assert "cch.runtime.execution" in told["new"]
    assert "aiobotocore" in told["new"]
    assert told["read"]


@pytest.mark.parametrize(("command", "loaded"), [("celery", True), ("scheduler", False)])
def test_celery_s_workers_load_it_with_their_configuration(command: str, loaded: bool) -> None:
    """A scheduler reads the same configuration, and it is Airflow's own in both."""
    assert told_by(CELERY, json.dumps(["airflow", command])) == {"same": True, "loaded": loaded}


def test_the_process_of_a_task_is_not_changed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is forked from a changed one and loads plugins anew; to ask Airflow's code again takes a tenth of a task."""
    asked: list[object] = []
    monkeypatch.setattr(sys, "argv", ["airflow", "scheduler"])
    monkeypatch.setattr(plugin, "_CHANGES", {"scheduler": ("preloading",)})
    monkeypatch.setattr(preloading, "install", asked.append)
    monkeypatch.setattr(plugin, "_changed", set())

    for _ in range(2):
        plugin.CchPlugin.on_load()

    assert len(asked) == 1
