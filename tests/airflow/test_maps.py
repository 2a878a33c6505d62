"""Maps with a task an item, by the rules of Airflow itself: how each item ends, and what comes after all of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.configuration import conf

from cch.compiler.factory import workflow_dags
from cch.interpreter.context import merge
from cch.ledger.ledger import Ledger
from cch.ledger.records import Instance, instance_id_of_run
from cch.runtime.definitions import open_catalogue
from cch.runtime.platform import Platform, use_opener
from cch.settings import load_settings
from cch.testing.memory_queue import MemoryQueues
from cch.testing.memory_store import MemoryBlobs, MemoryStore

DEFINITION = """
workflow_id: mapped
workflow_name: Mapped
entry_point: Start
nodes:
  Start: {type: condition, condition_on_key: take, branches: {"no": Not_Taken, _default: Prepare}}
  Not_Taken: {type: set_state, static_outputs: {skipped_the_map: true}, on_success: Done}
  Prepare: {type: set_state, static_outputs: {prepared: true}, on_success: Fan}
  Fan: {type: map_fork, input_list_key: items, branch_key: id, branch_entry_node: Kind, on_failure: No_List}
  Kind: {type: condition, condition_on_key: current_map_item.kind, branches: {bad: Bad, _default: Good}}
  Good: {type: set_state, static_outputs: {good: true}, on_success: Out}
  Bad: {type: end, status: failed}
  Out: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done, destination: results, on_failure: Some_Failed}
  No_List: {type: set_state, static_outputs: {no_list: true}, on_success: Done}
  Some_Failed: {type: set_state, static_outputs: {partly: true}, on_success: Done}
  Done: {type: end}
"""
ITEM = "Fan__items"


@dataclass(frozen=True)
class Ran:
    """What Airflow and the ledger say after a run; ``tasks``: task id → how many ended in which state."""

    state: str
    tasks: dict[str, Counter[str]]
    instance: Instance
    context: dict[str, Any]


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Any:
    kept = Ledger(MemoryStore(), MemoryBlobs())

    @asynccontextmanager
    async def memory_platform() -> AsyncIterator[Platform]:
        config = load_settings()
        yield Platform(
            settings=config,
            ledger=kept,
            queues=MemoryQueues(config.names.reply_queue),
            catalogue=open_catalogue(config),
            read_object=lambda uri: uri,
        )

    previous = use_opener(memory_platform)
    yield kept
    use_opener(previous)


def run(definitions: Path, ledger: Ledger, text: str = DEFINITION, **context: Any) -> Ran:
    """Run it with ``DAG.test()``."""
    (definitions / "mapped.yaml").write_text(text)
    (dag,) = [dag for dag in workflow_dags() if dag.dag_id == "mapped"]
    ended = dag.test(run_conf=context)
    tasks: dict[str, Counter[str]] = {}
    for ti in ended.get_task_instances():
        tasks.setdefault(ti.task_id, Counter())[str(ti.state)] += 1
    view = asyncio.run(ledger.instances.view(instance_id_of_run("mapped", ended.run_id)))
    assert view is not None
    final = dict(view.instance.context)
    outcomes = [outcome for exit_ in view.exits for outcome in exit_.outcomes]
    for outcome in sorted(outcomes, key=lambda outcome: outcome.stamp):
        final = merge(final, outcome.patch)
    return Ran(state=str(ended.state), tasks=tasks, instance=view.instance, context=final)


def items(*kinds: str) -> list[dict[str, str]]:
    return [{"id": f"i-{number}", "kind": kind} for number, kind in enumerate(kinds)]


pytestmark = [pytest.mark.usefixtures("airflow_database"), pytest.mark.filterwarnings("ignore")]


def test_each_item_has_a_task_and_the_results_keep_their_places(definitions: Path, ledger: Ledger) -> None:
    """The list's order is that of the input, with each item's outputs merged in."""
    ran = run(definitions, ledger, items=items("a", "b", "c"))

    assert (ran.state, ran.instance.status) == ("success", "completed")
    assert ran.tasks[ITEM] == {"success": 3}
    assert ran.tasks["Fan"] == ran.tasks["Fan__results"] == {"success": 1}
    assert ran.context["results"] == [{**item, "good": True} for item in items("a", "b", "c")]


def test_an_item_that_fails_is_a_failed_task_and_the_join_decides(definitions: Path, ledger: Ledger) -> None:
    """The run itself succeeds when the join's on_failure takes it on."""
    ran = run(definitions, ledger, items=items("a", "bad", "c"))

    assert ran.tasks[ITEM] == {"success": 2, "failed": 1}
    assert (ran.state, ran.instance.status) == ("success", "completed")
    assert ran.context["partly"] is True
    assert "1 item failed: i-1: ended at 'Bad' as failed" in ran.context["_internalError"]


def test_without_a_way_for_it_the_failure_of_an_item_fails_the_instance(definitions: Path, ledger: Ledger) -> None:
    """All items come to their end first."""
    ran = run(definitions, ledger, DEFINITION.replace(", on_failure: Some_Failed", ""), items=items("bad", "b"))

    assert ran.tasks[ITEM] == {"success": 1, "failed": 1}
    assert (ran.state, ran.instance.status) == ("failed", "failed")


def test_an_empty_list_goes_straight_to_the_join(definitions: Path, ledger: Ledger) -> None:
    """Airflow skips a task that is mapped over nothing; what follows must run."""
    ran = run(definitions, ledger, items=[])

    assert ran.tasks[ITEM] == {"skipped": 1}
    assert (ran.state, ran.instance.status) == ("success", "completed")
    assert ran.context["results"] == []


@pytest.mark.parametrize("bad", [None, "text", [{"id": "x"}, {"id": "x"}], [{"kind": "a"}]])
def test_a_list_that_cannot_be_mapped_goes_the_map_s_error_route(definitions: Path, ledger: Ledger, bad: Any) -> None:
    """No list, keys twice, a key missing."""
    ran = run(definitions, ledger, items=bad)

    assert (ran.state, ran.instance.status) == ("success", "completed")
    assert ran.context["no_list"] is True
    assert ran.context["_errorNode"] == "Fan"


def test_a_map_that_is_not_reached_costs_nothing(definitions: Path, ledger: Ledger) -> None:
    """All its tasks are skipped."""
    ran = run(definitions, ledger, take="no", items=items("a"))

    assert (ran.state, ran.instance.status) == ("success", "completed")
    assert ran.tasks["Fan"] == ran.tasks[ITEM] == ran.tasks["Fan__results"] == {"skipped": 1}


def test_a_failure_before_the_map_fails_the_run(definitions: Path, ledger: Ledger) -> None:
    """The results begin although their items never did, and must not turn it into a success."""
    ran = run(definitions, ledger, DEFINITION.replace("_default: Prepare", "x: Prepare"), take="y", items=items("a"))

    assert (ran.state, ran.instance.status) == ("failed", "failed")
    assert ran.tasks["Fan__results"] == {"failed": 1}


@pytest.mark.parametrize("case", ["long", "odd"])
def test_items_that_airflow_cannot_map_run_in_one_task(
    definitions: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """More than [core] max_map_length, or a key that is no plain text: the same result without their own tasks."""
    listed = items("a", "b", "c")
    if case == "long":
        monkeypatch.setattr(conf, "getint", lambda *_args, **_kwargs: 2)
    else:
        listed[1]["id"] = "line\nbreak"

    ran = run(definitions, ledger, items=listed)

    assert ran.tasks[ITEM] == {"skipped": 1}
    assert (ran.state, ran.instance.status) == ("success", "completed")
    assert ran.context["results"] == [{**item, "good": True} for item in listed]


def test_a_map_may_begin_the_workflow(definitions: Path, ledger: Ledger) -> None:
    """Its list is then the first task of all."""
    ran = run(definitions, ledger, DEFINITION.replace("entry_point: Start", "entry_point: Fan"), items=items("a"))

    assert (ran.state, ran.instance.status) == ("success", "completed")
    assert ran.tasks[ITEM] == {"success": 1}
