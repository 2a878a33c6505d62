"""Triggers, without a triggerer around them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import BaseOperator
from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from cch.runtime.region_task import RegionEnd, RegionRef
from cch.triggers.doorbell import CommandDoorbell
from cch.triggers.ending import end_task
from cch.triggers.region import RegionTrigger

#: As Airflow's database held them when instances waited: never to be changed, only added to.
RECORDED = json.loads((Path(__file__).parents[1] / "data" / "triggers.json").read_text())


def trigger(**more: object) -> RegionTrigger:
    return RegionTrigger(workflow_id="w", region="A", definition_digest="d", structure_digest="s", **more)


def test_a_trigger_survives_serialisation() -> None:
    """What serialize() names makes an equal trigger, with and without a run."""
    for original in (trigger(), trigger(run_id="r", conf={"k": [1]})):
        path, kwargs = original.serialize()

        again = RegionTrigger(**kwargs)

        assert path == "cch.triggers.region.RegionTrigger"
        assert again.serialize() == original.serialize()


@pytest.mark.parametrize("number", range(len(RECORDED)))
def test_triggers_of_earlier_releases_are_understood(number: int) -> None:
    """Airflow's database keeps them as long as their tasks wait: they go on with today's code."""
    classpath, kwargs = RECORDED[number]["classpath"], RECORDED[number]["kwargs"]
    module, _, name = classpath.rpartition(".")

    trigger = getattr(importlib.import_module(module), name)(**kwargs)

    assert trigger.serialize() == (classpath, kwargs)


def test_the_run_is_taken_from_the_context_and_the_rest_let_go() -> None:
    """A waiting trigger must not hold the template context in memory."""
    context = {"dag_run": SimpleNamespace(run_id="run", conf={"a": 1}), "ti": object()}
    waiting = trigger()

    waiting.render_template_fields(context)

    assert (waiting.run_id, waiting.conf) == ("run", {"a": 1})
    assert not context


@pytest.mark.parametrize(
    ("end", "event"),
    [
        (RegionEnd(state="success", followed=("A", "B__on_failure")), TaskSuccessEvent),
        (RegionEnd(state="failed", reason="why"), TaskFailedEvent),
        (RegionEnd(state="skipped"), TaskSkippedEvent),
        (RegionEnd(state="success", followed=("\ud800",)), TaskFailedEvent),
        (RegionEnd(state="success", followed=(2**70,)), TaskFailedEvent),  # type: ignore[arg-type]
        (RegionEnd(state="success", followed=("x" * 300_000,)), TaskFailedEvent),
    ],
)
def test_only_a_safe_decision_ends_a_task(end: RegionEnd, event: type) -> None:
    """A value that would kill every triggerer fails its own task instead."""
    ended = end_task(end)

    assert type(ended) is event
    if isinstance(ended, TaskSuccessEvent):
        assert ended.xcoms == {"skipmixin_key": {"followed": list(end.followed)}}


def test_a_region_that_needs_a_worker_is_resumed_there() -> None:
    """Its task has not ended: an event that ends none lets Airflow give it to a worker."""
    given = end_task(RegionEnd(state="worker", reason="a#b is a Python function now"))

    assert type(given) is TriggerEvent
    assert given.payload == {"reason": "a#b is a Python function now"}


def test_the_doorbell_carries_nothing() -> None:
    """Its serialised form is constant, or Airflow would start a second watcher after each change."""
    assert CommandDoorbell().serialize() == ("cch.triggers.doorbell.CommandDoorbell", {})


def test_the_command_dag_has_one_dispatcher() -> None:
    """The dispatcher's DAG imports, is on when created, and runs on its doorbell and by the minute."""
    from airflow.dag_processing.dagbag import DagBag

    from tests.airflow_home import ROOT

    bag = DagBag(str(ROOT / "dags" / "cch_commands.py"), bundle_path=ROOT / "dags", bundle_name="dags-folder")

    assert not bag.import_errors
    dag = bag.dags["cch_commands"]
    assert dag.task_ids == ["dispatch"]
    assert dag.is_paused_upon_creation is False
    assert isinstance(dag.get_task("dispatch"), BaseOperator)


def test_the_compiler_names_the_arguments_that_earlier_releases_stored() -> None:
    """One record says which region a task executes; its fields are the arguments in Airflow's database."""
    kwargs = RECORDED[2]["kwargs"]
    run = {name: kwargs[name] for name in ("run_id", "conf")}

    ref = RegionRef(**{name: value for name, value in kwargs.items() if name not in run})

    assert {**ref.arguments(), **run} == kwargs
