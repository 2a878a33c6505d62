"""Definitions in S3 are brought by a process of its own; the one in which Airflow parses loads nothing of AWS's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from cch.names import Names
from cch.runtime import courier
from cch.runtime.definitions import open_catalogue
from cch.settings import Settings, load_settings
from cch.testing.aws_server import create_app, make_server

ROOT = Path(__file__).resolve().parents[2]
TEXT = "workflow_id: {0}\nworkflow_name: {1}\nentry_point: E\nnodes: {{E: {{type: end}}}}\n"
#: What a DAG file of somebody who wants to know looks like: ours, and a note of what is loaded.
NOTES = """
import json, os, sys
with open(os.environ["NOTES"], "a") as notes:
    notes.write(json.dumps([dag.dag_id for dag in workflow_dags()]) + "\\n")
    notes.write(json.dumps(sorted(sys.modules)) + "\\n")
"""


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The bucket of definitions in AWS's stand-in."""
    server = make_server(create_app(ROOT / "lambda-functions"), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.bind_addr[1]}", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "t", "AWS_SECRET_ACCESS_KEY": "t", "CCH_OWNER": "courier", "CCH_REFRESH_SECONDS": "1",
        "CCH_CACHE_FOLDER": str(tmp_path / "cache"), "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    name = Names(env="dev", owner="courier").definitions_bucket
    boto3.client("s3").create_bucket(Bucket=name)
    yield name
    server.stop()
    thread.join(5)


def publish(bucket: str, workflow_id: str, name: str = "first") -> None:
    boto3.client("s3").put_object(
        Bucket=bucket, Key=f"{workflow_id}.yaml", Body=TEXT.format(workflow_id, name).encode()
    )


def test_a_courier_brings_until_its_owner_ends(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real process: what is published while it runs is there soon, and it ends with its standard input."""
    publish(bucket, "a")
    mine = courier.Courier()
    mine.ensure()
    process = mine._process
    assert process is not None
    assert process.stdin is not None
    catalogue = open_catalogue(load_settings(), trusts_courier=True)
    pause = threading.Event()
    try:
        while not (catalogue.brought() or {}):
            assert process.poll() is None
            pause.wait(0.1)
        mine.ensure()
        assert mine._process is process, "it lives"
        publish(bucket, "b")
        while "b.yaml" not in (catalogue.brought() or {}):
            assert process.poll() is None
            pause.wait(0.1)
    finally:
        process.stdin.close()

    assert process.wait() == 0
    mine.ensure()
    assert mine._process is process, "one that ends at once is not started again and again"


def test_the_process_in_which_airflow_parses_loads_nothing_of_aws(bucket: str, tmp_path: Path) -> None:
    """Airflow's DAG processor, with definitions in S3 that a courier has brought."""
    publish(bucket, "a")
    publish(bucket, "b")
    open_catalogue(load_settings()).bring(36_000)
    home, dags, notes = tmp_path / "home", tmp_path / "dags", tmp_path / "notes"
    dags.mkdir()
    (dags / "ours.py").write_text((ROOT / "dags" / "cch_workflows.py").read_text() + NOTES)
    variables = {
        **os.environ, "AIRFLOW_HOME": str(home), "NOTES": str(notes), "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path / 'airflow.db'}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    for command in (["db", "migrate"], ["dag-processor", "--num-runs", "1"]):
        done = subprocess.run(["airflow", *command], env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    served, modules = (json.loads(line) for line in notes.read_text().splitlines()[:2])

    assert served == ["a", "b"]
    assert [name for name in ("botocore", "boto3", "aiobotocore") if name in modules] == []


def test_others_need_not_ask_for_longer_than_a_round_takes() -> None:
    """Also where S3 is asked without a pause."""
    assert courier.lasts(Settings(refresh_seconds=0)) > 10
    assert courier.lasts(Settings(refresh_seconds=60)) > 180
