"""A triggerer is told only of the task that waits; the process where triggers run is Airflow's own code."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.jobs import triggerer_job_runner
from airflow.jobs.triggerer_job_runner import TriggerRunner, TriggerRunnerSupervisor
from airflow.serialization.serialized_objects import DagSerialization

from cch.compiler.dag import compile_workflow
from cch.graph.checks import load
from cch.scheduling import tested
from cch.scheduling.lean_waiters import install, only
from cch.settings import Settings
from cch.triggers import REGION_TRIGGER
from cch.triggers.region import RegionTrigger

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "workflow-definitions").glob("*.yaml"))
RUN = {
    "dag_id": "d", "run_id": "r", "logical_date": None, "run_after": "2026-01-05T00:00:00Z", "run_type": "manual",
    "start_date": "2026-01-05T00:00:00Z", "state": "running", "conf": {"key": "MEDU1"}, "clear_number": 0,
    "consumed_asset_events": [], "data_interval_start": None, "data_interval_end": None, "end_date": None,
    "partition_key": None,
}  # fmt: skip


@pytest.fixture
def supervisor() -> Iterator[type[TriggerRunnerSupervisor]]:
    """Airflow's class, as it was before."""
    original = TriggerRunnerSupervisor._create_workload
    yield TriggerRunnerSupervisor
    TriggerRunnerSupervisor._create_workload = original  # type: ignore[method-assign]


def waiting(dag: Any) -> list[str]:
    """The tasks that begin in a triggerer."""
    return [name for name, task in dag.task_dict.items() if task.start_from_trigger]


def serialised(path: Path) -> dict[str, Any]:
    return DagSerialization.to_dict(compile_workflow(load(path.read_text(), path.name)))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_one_task_is_a_dag(path: Path) -> None:
    """Airflow can read it, and finds in the task what it found before."""
    data = serialised(path)
    whole = DagSerialization.from_dict(data)

    for name in waiting(whole):
        alone = DagSerialization.from_dict(dict(only(name, data)))
        assert list(alone.task_dict) == [name]
        assert alone.dag_id == whole.dag_id
        assert alone.get_task(name).start_trigger_args == whole.get_task(name).start_trigger_args
    assert DagSerialization.to_dict(compile_workflow(load(path.read_text(), path.name))) == data, "nothing was changed"


@pytest.mark.parametrize("data", [{}, {"dag": {"tasks": []}}, {"dag": {"tasks": [{"__var": 1}]}}])
def test_a_form_that_is_not_known_is_sent_as_it_is(data: dict[str, Any]) -> None:
    """Larger than needed, but nothing is lost."""
    assert only("a", data) is data


class Database:
    """What Airflow asks its database for; counts the DAGs that were read."""

    def __init__(self) -> None:
        self.read = 0
        self.data = serialised(SAMPLES[0])
        self.dag = DagSerialization.from_dict(self.data)

    def get(self, _model: Any, version: Any, options: Any = None) -> Any:
        self.read += 1
        return SimpleNamespace(id=version)

    def get_serialized_dag_model(self, version_id: Any, session: Any) -> Any:
        return SimpleNamespace(data=self.data, dag=self.dag)

    def trigger(self, number: int, task_id: str, classpath: str = REGION_TRIGGER) -> Any:
        run = SimpleNamespace(dag_run_data=SimpleNamespace(model_dump=lambda **_: RUN))
        instance = SimpleNamespace(
            id=uuid.uuid4(), dag_version_id=VERSION, task_id=task_id, dag_id="d", run_id="r", try_number=1,
            map_index=-1, pool_slots=1, queue="default", priority_weight=1, executor_config={}, hostname=None,
            parent_context_carrier=None, context_carrier=None, external_executor_id=None, trigger_timeout=None,
            get_dagrun=lambda session: run,
        )  # fmt: skip
        return SimpleNamespace(id=number, classpath=classpath, encrypted_kwargs="", task_instance=instance, assets=[])


VERSION = uuid.uuid4()


def workloads(supervisor: type[TriggerRunnerSupervisor], database: Database, *triggers: Any) -> list[Any]:
    """What Airflow makes of one batch of triggers."""
    bag = SimpleNamespace(get_serialized_dag_model=database.get_serialized_dag_model)
    me: Any = SimpleNamespace(job=SimpleNamespace(id=1), logger_cache={})
    return [
        supervisor._create_workload(
            me, trigger=trigger, dag_bag=bag, render_log_fname=lambda ti: f"{ti.task_id}.log", session=database
        )
        for trigger in triggers
    ]


def test_waiters_share_one_small_dag(supervisor: type[TriggerRunnerSupervisor]) -> None:
    """It is read once for a batch and cut once for a task; the trigger that runs from it knows its run."""
    assert install(Settings())
    assert install(Settings()), "the second time changes nothing"
    database = Database()
    name = waiting(database.dag)[0]

    first, second = workloads(supervisor, database, database.trigger(1, name), database.trigger(2, name))

    assert database.read == 1
    assert first.dag_data is second.dag_data
    assert len(first.dag_data["dag"]["tasks"]) == 1
    runtime = TriggerRunner.create_runtime_ti(first.ti, first.dag_data, first.dag_run_data)
    kwargs = runtime.task.start_trigger_args.trigger_kwargs
    trigger = RegionTrigger(**kwargs.get("__var", kwargs))
    trigger.render_template_fields(runtime.get_template_context())
    assert (trigger.run_id, trigger.conf) == ("r", {"key": "MEDU1"})


def test_triggers_of_others_are_sent_as_ever(supervisor: type[TriggerRunnerSupervisor]) -> None:
    """Whatever theirs need of their DAG is there."""
    install(Settings())
    database = Database()
    others = database.trigger(1, waiting(database.dag)[0], "somebody.elses.Trigger")

    (workload,) = workloads(supervisor, database, others)

    assert workload.dag_data == database.data
    assert database.read == 0


def test_only_where_it_was_tested(supervisor: type[TriggerRunnerSupervisor], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not if it is switched off, and not with another Airflow."""
    original = supervisor._create_workload
    said: list[str] = []
    monkeypatch.setattr(tested.log, "warning", lambda text, *values: said.append(text % values))

    assert not install(Settings(lean_waiters=False))
    monkeypatch.setattr("airflow.__version__", "3.4.0")
    assert not install(Settings())

    assert supervisor._create_workload is original
    assert "tested with Airflow 3.3.1, this is 3.4.0" in said[0]


def test_the_trigger_has_the_name_that_is_looked_for() -> None:
    """And the supervisor is where Airflow starts one."""
    trigger = RegionTrigger(workflow_id="w", region="A", definition_digest="d", structure_digest="s")

    assert trigger.serialize()[0] == REGION_TRIGGER
    assert triggerer_job_runner.TriggererJobRunner._execute.__code__.co_names.count("TriggerRunnerSupervisor") == 1
