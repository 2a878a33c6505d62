"""What a process loads that only parses the DAG files; Airflow starts one for each file every few seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.airflow.telling import told_by

DAGS = Path(__file__).resolve().parents[2] / "dags"
DEFINITION = "{workflow_id: one, workflow_name: One, entry_point: E, nodes: {E: {type: end}}}"
PARSE = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("parsed", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps({"names": list(vars(module)), "modules": sorted(sys.modules)}))
"""
#: What executes regions, and what it talks to. No DAG file needs any of it to say which tasks there are.
EXECUTING = ("cch.aws", "cch.capabilities", "cch.messaging", "cch.exchange", "cch.ledger", "cch.interpreter")
AWS = ("botocore", "boto3", "aiobotocore", "aiohttp")


@pytest.mark.parametrize(("file", "name"), [("cch_workflows.py", "one"), ("cch_commands.py", "DispatchOperator")])
def test_parsing_loads_nothing_that_executes(file: str, name: str, definitions: Path) -> None:
    """Neither AWS's libraries nor the packages that run regions, which a worker loads when it executes a task."""
    (definitions / "one.yaml").write_text(DEFINITION)
    parsed = told_by(PARSE, str(DAGS / file))

    loaded = [name for name in parsed["modules"] if name in AWS or ".".join(name.split(".")[:2]) in EXECUTING]

    assert name in parsed["names"]
    assert not loaded
