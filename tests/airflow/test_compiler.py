"""Definitions as DAGs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from cch.compiler.dag import compile_workflow
from cch.definition.model import Definition
from cch.graph.build import build_graph
from cch.graph.checks import load
from cch.graph.plan import plan_tasks
from cch.graph.planners import version_of
from cch.operators.marker import GateOperator, MarkerOperator
from cch.operators.region import CallOperator, WaitOperator
from cch.runtime.run_conf import CONF_DIGEST, CONF_VERSION

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "workflow-definitions").glob("*.yaml"))


def read(path: Path) -> Definition:
    return load(path.read_text(), path.name)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_dag_has_exactly_the_planned_tasks_and_edges(path: Path) -> None:
    """The compiler adds nothing to the plan and leaves nothing out."""
    definition = read(path)
    plan = plan_tasks(build_graph(definition))

    dag = compile_workflow(definition)

    assert set(dag.task_ids) == set(plan.tasks)
    edges = {(task.task_id, after) for task in dag.tasks for after in task.downstream_task_ids}
    assert edges == set(plan.edges)
    dag.validate()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_serialisation_round_trip(path: Path) -> None:
    """What the scheduler sees has the same tasks, starts waits from their triggers, and is the same each time."""
    first = DagSerialization.serialize_dag(compile_workflow(read(path)))
    second = DagSerialization.serialize_dag(compile_workflow(read(path)))

    restored = DagSerialization.deserialize_dag(json.loads(json.dumps(first)))

    assert first == second
    original = compile_workflow(read(path))
    for task in original.tasks:
        seen = restored.get_task(task.task_id)
        assert seen.start_from_trigger == isinstance(task, WaitOperator)
        assert seen.inherits_from_skipmixin == isinstance(task, CallOperator | WaitOperator)
        assert seen.inherits_from_empty_operator == isinstance(task, (MarkerOperator, GateOperator))
        assert seen.downstream_task_ids == task.downstream_task_ids
        assert seen.trigger_rule == str(getattr(task.trigger_rule, "value", task.trigger_rule))
        if isinstance(task, WaitOperator):
            kwargs = seen.start_trigger_args.trigger_kwargs
            kwargs = kwargs.get("__var", kwargs)
            assert kwargs["region"] == task.ref.region


def test_form_asks_for_the_initial_context() -> None:
    """Required keys become fields; what was served is a hidden constant that the form sends back."""
    definition = read(next(path for path in SAMPLES if path.stem == "import_vn_memphis_v1"))

    params = compile_workflow(definition, pinned=True).params

    assert {"shipmentId", "originCountry", "destinationCountry", CONF_VERSION} <= set(params)
    assert "null" not in params.get_param("shipmentId").schema["type"]  # the form insists on a value
    assert params.get_param(CONF_DIGEST).schema["const"] == str(version_of(definition))


def test_what_the_form_asks_for_decides_no_start() -> None:
    """Airflow compares every start with the newest version's Params, also a start of another version."""
    definition = read(next(path for path in SAMPLES if path.stem == "import_vn_memphis_v1"))
    params = compile_workflow(definition, pinned=True).params

    params.update({"shipmentId": [1], CONF_DIGEST: "0" * 64, CONF_VERSION: 3})

    assert params.validate()["originCountry"] is None


def test_without_pinning_airflow_refuses_another_digest() -> None:
    """It would begin the run with the version that it serves, whatever the dispatcher means."""
    params = compile_workflow(read(SAMPLES[0])).params

    with pytest.raises(Exception, match=CONF_DIGEST):
        params[CONF_DIGEST] = "0" * 64


def test_a_schema_that_cannot_be_used_never_comes_to_airflow() -> None:
    """It would fetch what the schema refers to; our own check rejects the start with a reason."""
    head = "workflow_id: w\nworkflow_name: W\nentry_point: E\n"
    keys = "initial_context: {a: {$ref: 'https://example.org/schema.json'}, b: {type: integer}}\n"
    definition = load(f"{head}{keys}nodes: {{E: {{type: end}}}}\n")

    params = compile_workflow(definition).params

    assert params.get_param("a").schema["$ref"].startswith("#")
    assert params.get_param("b").schema["type"] == "integer"


def test_tasks_do_not_repeat_the_params() -> None:
    """Airflow reads all tasks of a DAG for each task that waits: what all share is there once."""
    dag = compile_workflow(read(next(path for path in SAMPLES if path.stem == "import_vn_memphis_v1")))

    data = DagSerialization.to_dict(dag)["dag"]

    assert dict(data["params"]).keys() == set(dag.params)
    assert not any(task["__var"].get("params") for task in data["tasks"])


def test_a_task_is_parsed_without_params() -> None:
    """Airflow would otherwise check a running instance's conf against today's definition."""
    definition = read(SAMPLES[0])

    assert not compile_workflow(definition, for_task=True).params


def test_many_instances_may_wait_at_the_same_time() -> None:
    """Airflow's default of 16 active runs would hold back the 17th."""
    dag = compile_workflow(read(SAMPLES[0]))

    assert dag.max_active_runs >= 100_000
    assert dag.max_active_tasks >= 100_000


def test_a_task_on_a_worker_outlasts_an_api_server_that_is_away_for_minutes() -> None:
    """Until it is back every start of a task dies within seconds: the tries must not be used up by then."""
    dag = compile_workflow(read(next(path for path in SAMPLES if path.stem == "import_vn_memphis_v1")))
    (call,) = (task for task in dag.tasks if isinstance(task, CallOperator))

    longest = call.max_retry_delay.total_seconds()
    growth = (call.retry_delay.total_seconds() * call.retry_exponential_backoff**n for n in range(call.retries))

    assert sum(min(pause, longest) for pause in growth) > 300
