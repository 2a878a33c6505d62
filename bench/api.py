"""The API in Airflow's own app, on the AWS stand-in: thousands of instances, and a map of 10,000 items."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from bench.figures import Figures, percentile
from cch.stack.layout import free_port

#: Instances, if nobody says another number (``--instances``).
INSTANCES = 5_000
ITEMS = 10_000
#: Finished instances in the figures of a workflow: of 30 days, three versions and 60 nodes.
ENDED, _DAYS, _VERSIONS, _NODES = 100_000, 30, 3, 60
#: Calls of one kind.
CALLS = 30
#: A definition with a request and a map.
DEFINITION = """
workflow_id: bench_api
workflow_name: Bench
entry_point: Fan
initial_context: [packs]
nodes:
  Fan:
    type: map_fork
    input_list_key: packs
    branch_key: id
    branch_entry_node: Submit
    on_failure: Done
    execution: inline
  Submit: {type: async_request, capability_id: packs#submit, on_response: Pack_Done}
  Pack_Done: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Ask}
  Ask: {type: async_request, capability_id: authority#ask, on_response: Done}
  Done: {type: end}
"""
#: What is measured: label → address below the API's prefix.
PATHS = {
    "list, newest 25": "/instances",
    "list of one workflow, waiting": "/instances?workflow_id=bench_api&state=WAITING",
    "search by a key's beginning": "/instances?correlation_prefix=MEDU00012",
    "who waits for a capability": "/instances?waiting_for=authority%23ask",
    "workflows with counts": "/workflows",
    "detail": "/instances/{plain}",
    "detail, map of 10,000": "/instances/{mapped}",
    "50 of 10,000 items": "/instances/{mapped}/items?node=Fan",
    "figures of 100,000 ended": "/workflows/bench_api/statistics",
}


def environment_of(home: Path) -> tuple[dict[str, str], int]:
    """The environment of an Airflow on the stand-in for AWS, and the stand-in's port."""
    port = free_port()
    definitions = home / "definitions"
    definitions.mkdir()
    (definitions / "bench_api.yaml").write_text(DEFINITION)
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(Path(__file__).parents[1] / "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ada:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": f"{home}/passwords.json",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__API_AUTH__JWT_SECRET": uuid.uuid4().hex * 2,
        "CCH_CACHE_FOLDER": f"{home}/cache",
        "CCH_DEFINITIONS_FOLDER": str(definitions),
    }, port


def measure_api(instances: int = INSTANCES) -> Figures:
    """Latency of lists, searches and details, and of asking again with an ETag."""
    with tempfile.TemporaryDirectory(prefix="cch-bench-") as folder:
        environment, port = environment_of(Path(folder))
        program = [sys.executable, "-m", "bench.api"]
        served = [*program, str(port), str(instances)]
        aws = subprocess.Popen(served, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert aws.stdout is not None
            ids = aws.stdout.readline().split()  # it listens
            answer = subprocess.run([*program, *ids], env=environment, stdout=subprocess.PIPE, text=True, check=True)
        finally:
            aws.terminate()
            aws.wait()
    figures = json.loads(answer.stdout.splitlines()[-1])
    return Figures(
        title=f"API on {instances:,} instances and a map of {ITEMS:,} items, DynamoDB's stand-in (ms)",
        columns=("p50", "p95", "CPU", "with ETag p50", "KB", "AWS calls"),
        rows=[(label, values) for label, values in figures.items()],
        notes=(
            "CPU: what the API server itself computes for a call.",
            "The stand-in takes 3 to 4 ms a call and one at a time; DynamoDB answers calls side by side.",
        ),
    )


# --- processes of their own: the stand-in, and Airflow, which reads its configuration once ---------------------------


def _serve(port: int, instances: int) -> None:
    """AWS with a full table; says the ids of a plain instance and of the one with the map."""
    from moto.dynamodb.models import dynamodb_backends

    from cch.aws.tables import encode_item, table_specification
    from cch.settings import load_settings
    from cch.testing.aws_server import create_app, make_server

    table = load_settings().names.table
    items, plain, mapped = asyncio.run(_items(instances))

    server = make_server(create_app(Path()), "127.0.0.1", port)
    threading.Thread(target=server.serve, daemon=True).start()
    _dynamodb().create_table(**table_specification(table))
    backend = dynamodb_backends["123456789012"]["us-east-1"]
    for item in items:
        backend.put_item(table, encode_item(item))
    gc.freeze()  # DynamoDB has no pauses of Python's
    print(plain, mapped, flush=True)
    threading.Event().wait()


def _dynamodb() -> Any:
    import boto3

    return boto3.client("dynamodb")


async def _items(instances: int) -> tuple[list[dict[str, Any]], str, str]:
    from cch.graph.build import build_graph
    from cch.graph.checks import load
    from cch.graph.plan import plan_tasks
    from cch.ledger.ledger import Ledger
    from cch.testing.memory_store import MemoryBlobs, MemoryStore

    store = MemoryStore()
    ledger = Ledger(store, MemoryBlobs())
    definition = load(DEFINITION, "bench_api.yaml")
    structure = plan_tasks(build_graph(definition)).structure_digest
    known = {"definition_digest": definition.digest, "structure_digest": structure}
    now = round(time.time() * 1000)
    ids = [str(uuid.uuid4()) for _ in range(instances)]
    for number, identifier in enumerate(ids):
        ended = number % 5 == 4
        await _one(ledger, known, identifier, number, now - number * 1000)
        if ended:
            await ledger.instances.end(identifier, "completed", now)
    await _map_items(ledger, ids[1], now)
    for item in _rollups(now):
        await store.put(item)
    return await store.scan(""), ids[0], ids[1]


def _rollups(now: int) -> list[dict[str, Any]]:
    """As they are after all these instances were counted: each visited every node once."""
    import random

    from cch.ledger.figures import Figures as Counted
    from cch.ledger.rollups import RollupKey, day_of, stored

    chance, items = random.Random(1), []
    for day in range(_DAYS):
        for version in range(_VERSIONS):
            figures, number = Counted(), ENDED // _DAYS // _VERSIONS + 1
            figures.ended["completed"] = number
            for node in range(_NODES):
                each = figures.node(f"Node_{node}")
                each.visits, each.failed = number, number // 50
                for _ in range(number):
                    each.took.add(round(chance.lognormvariate(10, 2)))
                figures.ways[f"Node_{node}", "on_response", f"Node_{node + 1}"] = number
            key = RollupKey("bench_api", day_of(now - day * 86_400_000), f"{version:064d}")
            items.append(stored(key, figures, 1, []))
    return items


async def _one(ledger: Any, known: dict[str, str], identifier: str, number: int, started: int) -> None:
    from cch.ledger.records import Instance, RequestRecord

    await ledger.instances.create(
        Instance(
            id=identifier, workflow_id="bench_api", run_id=identifier, correlation_id=f"MEDU{number:07d}",
            status="running", started=started, context={"packs": [{"id": "1"}]}, start_message=identifier,
            **known,
        )
    )  # fmt: skip
    record = RequestRecord(
        command_id=str(uuid.uuid4()), instance=identifier, region="Ask", node="Ask", visit=1, attempt=1,
        source="authority#ask", branch="", state="open", created=started, deadline=0, sent_at=started,
        task_instance="t", body_hash="", owners=frozenset(),
    )  # fmt: skip
    if number % 5 != 4:
        await ledger.requests.open(record, "r")
        await ledger.requests.point(record)


async def _map_items(ledger: Any, identifier: str, now: int) -> None:
    from cch.identity import NEWEST_SCHEME, ROOT, ItemStep
    from cch.interpreter.outcome import Outcome
    from cch.ledger.records import JournalEntry, RegionKey

    for index in range(ITEMS):
        scope = ROOT.item(ItemStep("Fan", 1, 0, str(index)), NEWEST_SCHEME)
        key = RegionKey(instance=identifier, region="Fan", scope=scope)
        await ledger.maps.put_scope(key, "Fan", index, str(index))
        await ledger.journal.append(key, 0, JournalEntry(kind="try", task_instance="t", generation=0, mode="first"))
        done = Outcome(
            node="Submit", visit=1, stamp=now, started=now - 900, label="on_response", targets=("Pack_Done",),
            patch={"status": "SUCCESS"}, cause={"kind": "reply", "command_id": "c", "attempt": 1},
        )  # fmt: skip
        entry = JournalEntry(kind="turn", task_instance="t", generation=0, outcomes=(done,))
        await ledger.journal.append(key, 1, entry)


async def _measure(plain: str, mapped: str) -> dict[str, list[float]]:
    import httpx
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    from cch.api import conditional

    conditional.Shared.__init__.__defaults__ = (0.0, time.monotonic)  # every call is computed
    app = create_app(apps="core")
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ada", role="admin"))
    aws = os.environ["AWS_ENDPOINT_URL"]
    figures: dict[str, list[float]] = {}
    transport = httpx.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://bench", headers=headers) as client,
        httpx.AsyncClient() as counter,
    ):
        for label, path in PATHS.items():
            where = "/cch/api/v1" + path.format(plain=plain, mapped=mapped)
            first = await client.get(where)
            assert first.status_code == 200, first.text
            assert not first.json().get("degraded"), first.text
            await counter.delete(f"{aws}/cch/calls")
            await client.get(where)
            calls = sum((await counter.get(f"{aws}/cch/calls")).json().values())
            computed = time.process_time()
            plainly = [await _timed(client, where, {}) for _ in range(CALLS)]
            cpu = (time.process_time() - computed) * 1000 / CALLS
            again = [await _timed(client, where, {"If-None-Match": first.headers["ETag"]}) for _ in range(CALLS)]
            values = [percentile(plainly, 0.5), percentile(plainly, 0.95), cpu, percentile(again, 0.5)]
            figures[label] = [*(round(value, 1) for value in values), round(len(first.content) / 1024, 1), calls]
    return figures


async def _timed(client: Any, where: str, headers: dict[str, str]) -> float:
    begun = time.perf_counter()
    answer = await client.get(where, headers=headers)
    assert answer.status_code == (304 if headers else 200), answer.text
    return (time.perf_counter() - begun) * 1000


def _register() -> None:
    """Let Airflow know the DAG."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    from cch.compiler.dag import compile_workflow
    from cch.graph.checks import load

    initdb()
    with create_session() as session:
        session.merge(DagBundleModel(name="bench"))
    dag = compile_workflow(load(DEFINITION, "bench_api.yaml"))
    dag.fileloc = dag.relative_fileloc = "dags.py"
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("bench", None, [LazyDeserializedDAG.from_dag(dag)], session=session)


if __name__ == "__main__":
    if sys.argv[1].isdecimal():
        _serve(int(sys.argv[1]), int(sys.argv[2]))
    else:
        _register()
        print(json.dumps(asyncio.run(_measure(*sys.argv[1:]))))
