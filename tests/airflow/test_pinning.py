"""Runs keep the version that they began with: Airflow's tables and code, and what this package does to them."""

from __future__ import annotations

import importlib
import itertools
import json
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import delete, select, update

from cch import plugin
from cch.compiler import pinned
from cch.compiler.factory import DefinitionWarning, workflow_dags
from cch.definition.rules import NEWEST
from cch.definition.version import Version, parse_version
from cch.runtime.definitions import open_catalogue
from cch.runtime.run_conf import CONF_DIGEST, CONF_VERSION
from cch.scheduling import marking, pinning
from cch.scheduling.absent import AbsentVersions, Wish
from cch.scheduling.placing import Placing
from cch.scheduling.wishes import finding
from cch.settings import load_settings
from tests.airflow.stored import store

pytestmark = pytest.mark.hooks

ASK = "  {name}: {{type: async_request, capability_id: x#y, on_response: {then}, error_reply: failure}}\n"


def text_of(*names: str, workflow: str = "pinned", required: str = "") -> str:
    """A definition that asks at each of the nodes in turn."""
    nodes = "".join(ASK.format(name=name, then=then) for name, then in zip(names, (*names[1:], "E"), strict=True))
    keys = f"initial_context: [{required}]\n" if required else ""
    return (
        f"workflow_id: {workflow}\nworkflow_name: {workflow}\n{keys}entry_point: {names[0]}\nnodes:\n{nodes}"
        "  E: {type: end}\n"
    )


@dataclass
class Desk:
    """An Airflow with its DAG processor's and its scheduler's part, called by hand."""

    folder: Path
    placing: Placing
    absent: AbsentVersions

    def publish(self, *names: str, required: str = "") -> str:
        """Put a definition there and let Airflow parse it; the mark of the version."""
        (self.folder / "pinned.yaml").write_text(text_of(*names, required=required))
        self.parse()
        with create_session() as session:
            mark = session.scalar(select(DagModel.bundle_version).where(DagModel.dag_id == "pinned"))
        assert mark
        return mark

    def parse(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DefinitionWarning)
            dags = list(workflow_dags())
        store(dags)

    def run(self, **conf: Any) -> str:
        """A run that somebody creates in Airflow; its id."""
        from airflow.api.common.trigger_dag import trigger_dag
        from airflow.utils.types import DagRunTriggeredByType

        run_id = f"r-{uuid.uuid4().hex[:8]}"
        trigger_dag("pinned", triggered_by=DagRunTriggeredByType.UI, run_id=run_id, conf=conf)
        with create_session() as session:  # SQLite's clock has seconds, and Airflow compares it with microseconds
            due = datetime.now(UTC) - timedelta(minutes=1)
            session.execute(update(DagRun).where(DagRun.run_id == run_id).values(run_after=due))
        return run_id

    def round(self) -> list[str]:
        """The scheduler sets queued runs running; their ids."""
        with create_session() as session:
            chosen = self.placing.settled(lambda: DagRun.get_queued_dag_runs_to_set_running(session=session), session)
            mine = [run for run in chosen if run.dag_id == "pinned"]
            for run in mine:
                run.state, run.start_date = DagRunState.RUNNING, datetime.now(UTC)
            return [run.run_id for run in mine]

    def look(self) -> list[str]:
        """The scheduler examines the runs that run; their ids."""
        with create_session() as session:
            chosen = self.placing.settled(lambda: DagRun.get_running_dag_runs_to_examine(session=session), session)
            return [run.run_id for run in chosen if run.dag_id == "pinned"]

    def answer(self) -> None:
        """What the thread beside the scheduler's loop does."""
        while not self.absent._wishes.empty():
            self.absent.answer_one(self.absent._wishes.get())

    @staticmethod
    def stand(run_id: str) -> SimpleNamespace:
        """How a run stands in Airflow's tables, and the tasks of the DAG by which Airflow schedules it."""
        from airflow.models.dagbag import DBDagBag

        with create_session() as session:
            run = session.scalar(select(DagRun).where(DagRun.run_id == run_id))
            row = session.get(DagVersion, run.created_dag_version_id)
            tis = session.scalars(select(TaskInstance).where(TaskInstance.run_id == run_id)).all()
            return SimpleNamespace(
                mark=run.bundle_version,
                row=row.bundle_version,
                state=str(run.state),
                note=run.note or "",
                conf=run.conf,
                tasks={ti.task_id for ti in tis if ti.state != TaskInstanceState.REMOVED},
                rows={ti.dag_version_id for ti in tis} - {row.id},
                graph=set(DBDagBag().get_dag_for_run(run, session=session).task_ids),
            )


class SilentThread(AbsentVersions):
    """Without its thread: a test decides when wishes are answered."""

    def _ensure_thread(self) -> None:
        pass


@pytest.fixture
def desk(airflow_database: None, definitions: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    from airflow.dag_processing.collection import DagModelOperation
    from airflow.models.serialized_dag import SerializedDagModel

    monkeypatch.setattr(SerializedDagModel, "write_dag", SerializedDagModel.__dict__["write_dag"])
    monkeypatch.setattr(DagRun, "DEFAULT_DAGRUNS_TO_EXAMINE", 1000)  # other tests may have left runs
    monkeypatch.setattr(DagModelOperation, "update_dags", DagModelOperation.update_dags)
    assert marking.install(load_settings())
    absent = SilentThread(finding(load_settings()), clock=itertools.count().__next__)
    yield Desk(definitions, Placing(absent, clock=iter(range(0, 10**9, 600)).__next__), absent)
    with create_session() as session:
        for model in (TaskInstance, DagRun):
            session.execute(delete(model).where(model.dag_id == "pinned"))
        session.execute(delete(DagModel).where(DagModel.dag_id == "pinned"))


def digest_of_mark(mark: str) -> str:
    version = parse_version(mark)
    assert version is not None
    return version.digest


# --- Airflow is asked what it can --------------------------------------------------------------------------------


def test_this_airflow_can_pin() -> None:
    """With the pins of this release every probe says yes."""
    assert pinning.reason_against() == ""


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (
            lambda patch: patch.setattr(
                "airflow.models.dagbag.DBDagBag._version_from_dag_run", staticmethod(lambda run, *, session: None)
            ),
            "is not kept on it",
        ),
        (
            lambda patch: patch.delattr("airflow.models.serialized_dag.SerializedDagModel.write_dag"),
            "does not store the version",
        ),
        (
            lambda patch: patch.setattr("airflow.sdk.execution_time.task_runner.parse", lambda details: None),
            "a task's process is not told",
        ),
    ],
)
def test_an_airflow_that_works_otherwise_is_left_alone(
    break_it: Callable[[pytest.MonkeyPatch], None], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its number: what is needed is tried out, and the reason says what is missing."""
    break_it(monkeypatch)
    pinning.reason_against.cache_clear()
    try:
        assert words in pinning.reason_against()
        assert not marking.install(load_settings())
    finally:
        pinning.reason_against.cache_clear()


def test_each_process_gets_the_changes_that_it_needs() -> None:
    """Placing comes last in a scheduler: its own look at all live runs must not leave out those that are idle."""
    changes = plugin._CHANGES

    assert changes["dags"] == ("marking",)
    assert changes["dag-processor"] == ("marking", "resting")
    assert changes["scheduler"][-1] == "placing"
    for modules in changes.values():
        for module in modules:
            assert callable(importlib.import_module(f"cch.scheduling.{module}").install)


# --- runs keep their version -------------------------------------------------------------------------------------


def test_every_run_is_pinned_to_the_version_that_was_current(desk: Desk) -> None:
    """Also by whoever creates it in Airflow; a later publication with other tasks does not concern it."""
    old = desk.publish("A", "B")
    first = desk.run()
    assert desk.round() == [first]

    new = desk.publish("A", "C", "D")
    second = desk.run()
    desk.round()

    before, after = desk.stand(first), desk.stand(second)
    assert (before.mark, before.row, before.graph) == (old, old, {"A", "B", "E"})
    assert (after.mark, after.row, after.graph) == (new, new, {"A", "C", "D", "E"})
    assert before.conf[CONF_VERSION] == old


def test_a_version_says_everything_that_decides_what_a_run_means(desk: Desk) -> None:
    """The text, the reading rules and the planner."""
    version = parse_version(desk.publish("A"))

    assert version == Version(open_catalogue(load_settings()).current("pinned").digest, NEWEST, 1)


def test_a_run_may_name_an_older_version_that_airflow_holds(desk: Desk) -> None:
    """It has that version's tasks before it begins."""
    old = desk.publish("A", "B")
    desk.run()
    desk.publish("A", "C")
    run = desk.run(**{CONF_VERSION: old})

    assert run in desk.round()

    stand = desk.stand(run)
    assert (stand.mark, stand.tasks, stand.graph, stand.rows) == (old, {"A", "B", "E"}, {"A", "B", "E"}, set())


def test_a_version_that_airflow_no_longer_holds_is_stored_again(desk: Desk) -> None:
    """Nobody ran it, so Airflow has overwritten it. The run waits for it, others do not, and the newest stays."""
    old = desk.publish("A", "B")
    new = desk.publish("A", "C")
    named, other = desk.run(**{CONF_VERSION: old}), desk.run()

    first = desk.round()
    desk.answer()
    second = desk.round()

    assert (first, second) == ([other], [named])
    stand = desk.stand(named)
    assert (stand.mark, stand.tasks, stand.graph) == (old, {"A", "B", "E"}, {"A", "B", "E"})
    with create_session() as session:
        latest = DagVersion.get_latest_version("pinned", session=session)
    assert latest is not None
    assert latest.bundle_version == new
    assert desk.publish("A", "C") == new


def test_runs_that_ask_for_the_same_version_are_answered_together(desk: Desk) -> None:
    """A thousand of them ask once, and none waits for the turn of another."""
    old = desk.publish("A", "B")
    desk.publish("A", "C")
    named = {desk.run(**{CONF_VERSION: old[:64]}) for _ in range(3)}

    desk.round()
    asked = desk.absent._wishes.qsize()
    desk.answer()

    assert asked == 1
    assert set(desk.round()) == named
    assert {desk.stand(run).mark for run in named} == {old}


def test_a_run_that_names_no_version_of_the_workflow_cannot_begin(desk: Desk) -> None:
    """It fails with a note that says why; nothing of another version runs."""
    desk.publish("A")
    run = desk.run(**{CONF_VERSION: "0" * 64})

    assert desk.round() == []
    desk.answer()
    assert desk.round() == []

    stand = desk.stand(run)
    assert stand.state == "failed"
    assert "nobody has version 000000000000 of pinned any more" in stand.note


def test_a_form_that_was_opened_before_a_publication_starts_what_it_showed(desk: Desk) -> None:
    """Airflow's form sends the hidden constant back; without it the newest version would get the old form's data."""
    old = desk.publish("A", "B", required="bl")
    desk.run(bl="x")
    desk.publish("A", "C", required="mrn")

    run = desk.run(bl="x", **{CONF_DIGEST: old})
    desk.round()

    assert desk.stand(run).mark == old


def test_the_newest_version_s_params_do_not_decide(desk: Desk) -> None:
    """A start of another version may bring other keys, of other types: admission by its own version decides."""
    desk.publish("A", required="bl")

    assert desk.run(mrn=7, bl=[1])


def test_what_was_read_while_the_dag_was_being_replaced_is_made_one(desk: Desk) -> None:
    """Airflow reads the DAG, its mark and its newest version one after the other when it creates a run."""
    old = desk.publish("A", "B")
    first = desk.run()
    new = desk.publish("A", "C")
    torn = desk.run()
    with create_session() as session:
        row = session.scalar(select(DagVersion).where(DagVersion.bundle_version == old))
        assert row is not None
        session.execute(update(DagRun).where(DagRun.run_id == torn).values(created_dag_version_id=row.id))

    desk.round()

    stand = desk.stand(torn)
    assert (stand.mark, stand.row, stand.tasks, stand.rows) == (old, old, {"A", "B", "E"}, set())
    assert desk.stand(first).mark == old
    assert stand.mark != new


# --- an upgrade --------------------------------------------------------------------------------------------------


def test_live_runs_from_before_are_adopted(desk: Desk) -> None:
    """They have no mark, and neither has the version that they run; its digest is in the stored DAG."""
    old = desk.publish("A", "B")
    run = desk.run()
    desk.round()
    with create_session() as session:
        session.execute(update(DagVersion).where(DagVersion.dag_id == "pinned").values(bundle_version=None))
        session.execute(update(DagRun).where(DagRun.run_id == run).values(bundle_version=None, conf={}))

    desk.publish("A", "C")
    desk.look()
    desk.publish("D")

    stand = desk.stand(run)
    assert (stand.mark, stand.graph) == (old, {"A", "B", "E"})


def test_runs_of_others_are_not_touched(desk: Desk) -> None:
    """A DAG without our tag keeps what Airflow made of it."""
    from airflow.models.dag import DagTag

    desk.publish("A")
    run = desk.run()
    with create_session() as session:
        session.execute(delete(DagTag).where(DagTag.dag_id == "pinned"))
        session.execute(update(DagRun).where(DagRun.run_id == run).values(bundle_version=None))

    desk.round()

    assert desk.stand(run).mark is None


# --- traps -------------------------------------------------------------------------------------------------------


def clear(run_id: str, *task_ids: str, latest: bool) -> None:
    from airflow.models.taskinstance import clear_task_instances

    with create_session() as session:
        tis = session.scalars(
            select(TaskInstance).where(TaskInstance.run_id == run_id, TaskInstance.task_id.in_(task_ids))
        ).all()
        clear_task_instances(list(tis), session, run_on_latest_version=latest)


@pytest.mark.parametrize("ended", [False, True])
def test_a_clear_with_the_latest_version_does_not_move_a_run(desk: Desk, ended: bool) -> None:
    """Its instance runs by its own version; Airflow alone would leave it with tasks that do not exist."""
    old = desk.publish("A", "B")
    run = desk.run()
    desk.round()
    desk.publish("A", "C")
    with create_session() as session:
        session.execute(update(TaskInstance).where(TaskInstance.run_id == run).values(state="success"))
        if ended:
            session.execute(update(DagRun).where(DagRun.run_id == run).values(state="success"))

    clear(run, "A", "B", latest=True)
    assert desk.stand(run).mark != old
    assert (desk.round() if ended else desk.look()) == [run]

    stand = desk.stand(run)
    assert (stand.mark, stand.graph, stand.tasks, stand.rows) == (old, {"A", "B", "E"}, {"A", "B", "E"}, set())


def test_a_clear_keeps_the_version(desk: Desk) -> None:
    """As Airflow does without being asked for the latest one."""
    old = desk.publish("A", "B")
    run = desk.run()
    desk.round()
    desk.publish("C")

    clear(run, "A", latest=False)
    desk.look()

    assert (desk.stand(run).mark, desk.stand(run).graph) == (old, {"A", "B", "E"})


def test_airflow_marks_only_tasks_that_the_newest_version_has(desk: Desk) -> None:
    """Of an older version's others it says 404: what docs/operations.md says of marking holds for this Airflow."""
    from airflow.api_fastapi.core_api.services.public import task_instances
    from airflow.models.dagbag import DBDagBag
    from fastapi import HTTPException

    desk.publish("A", "B")
    run = desk.run()
    desk.round()
    desk.publish("A", "C")
    wanted = SimpleNamespace(new_state="success", model_fields_set={"new_state"})

    with create_session() as session, pytest.raises(HTTPException) as refused:
        task_instances._patch_ti_validate_request("pinned", run, "B", DBDagBag(), wanted, session)  # type: ignore[arg-type]

    assert refused.value.status_code == 404


def test_a_workflow_that_airflow_takes_for_removed_loses_nothing(desk: Desk) -> None:
    """Its runs pause while the DAG file is not parsed in time, and go on by their own versions."""
    old = desk.publish("A", "B")
    run, late = desk.run(), desk.run()
    with create_session() as session:
        session.execute(update(DagRun).where(DagRun.run_id == late).values(run_after=datetime(2100, 1, 1, tzinfo=UTC)))
    desk.round()
    desk.publish("A", "C")
    with create_session() as session:
        session.execute(update(DagModel).where(DagModel.dag_id == "pinned").values(is_stale=True))
        session.execute(update(DagRun).where(DagRun.run_id == late).values(run_after=datetime(2026, 1, 1, tzinfo=UTC)))
    assert (desk.look(), desk.round()) == ([], [])

    desk.parse()

    assert (desk.look(), desk.round()) == ([run], [late])
    assert [desk.stand(each).mark for each in (run, late)] == [old, old]


def test_db_clean_leaves_the_versions_of_live_runs(desk: Desk) -> None:
    """Airflow's own cleaning spares versions that task instances use, whatever their age.

    It deletes runs by their age, also live ones: docs/operations.md says how far back it may go.
    """
    from airflow.utils.db_cleanup import run_cleanup

    old = desk.publish("A", "B")
    run = desk.run()
    desk.round()
    desk.publish("C")
    desk.run()

    with create_session() as session:
        old_age = datetime.now(UTC) - timedelta(days=400)
        session.execute(update(DagVersion).values(created_at=old_age, last_updated=old_age))
    run_cleanup(
        clean_before_timestamp=datetime.now(UTC) - timedelta(days=1), table_names=["dag_version"], dry_run=False,
        verbose=False, confirm=False, skip_archive=True,
    )  # fmt: skip

    assert (desk.stand(run).mark, desk.stand(run).graph) == (old, {"A", "B", "E"})


# --- the processes that execute tasks ----------------------------------------------------------------------------


class StartupDetails(SimpleNamespace):
    """What Airflow tells a task's process, as far as it is read."""


def executing(monkeypatch: pytest.MonkeyPatch, task_id: str, mark: str | None) -> Any:
    """The DAG file as the process of a task parses it."""
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "pinned")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", task_id)
    details = StartupDetails(bundle_info=SimpleNamespace(name="dags-folder", version=mark))
    scope: dict[str, Any] = {"__name__": "airflow.sdk.execution_time.task_runner", "workflow_dags": workflow_dags}
    exec("def parse(what):\n    return list(workflow_dags())", scope)
    (dag,) = scope["parse"](details)
    return dag


def test_a_task_s_process_parses_the_version_of_its_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that the newest version no longer has, and one that has become of another kind."""
    old = desk.publish("A", "B")
    call = "  A: {type: sync_call, capability_id: x#y, on_success: E}\n"
    asks = ASK.format(name="A", then="E")
    (desk.folder / "pinned.yaml").write_text(text_of("A").replace(asks, call))
    desk.parse()

    dag = executing(monkeypatch, "A", old)

    assert set(dag.task_ids) == {"A", "B", "E"}
    assert type(dag.get_task("A")).__name__ == "WaitOperator"
    assert type(executing(monkeypatch, "A", None).get_task("A")).__name__ == "CallOperator"


def test_a_version_that_cannot_be_read_is_tried_again_and_never_another(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is put off without losing a try."""
    from airflow.sdk.exceptions import AirflowRescheduleException

    desk.publish("A")

    dag = executing(monkeypatch, "A", "0" * 64)

    with pytest.raises(AirflowRescheduleException):
        dag.get_task("A").execute({})


def test_tasks_of_a_planner_that_this_release_does_not_know_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has not been updated yet leaves them alone."""
    digest = digest_of_mark(desk.publish("A"))

    dag = executing(monkeypatch, "A", str(Version(digest, NEWEST, 99)))

    assert "planner 99" in dag.get_task("A").reason


@pytest.mark.parametrize("name", ["number", "digest"])
def test_dags_test_runs_the_version_that_its_conf_names(desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The file then serves that one and nothing else; without a name it serves what is published."""
    old = digest_of_mark(desk.publish("A", "B"))
    desk.publish("A", "C")
    monkeypatch.setattr("cch.scheduling.wishes._named", resolved(old))
    conf = json.dumps({CONF_VERSION: "1" if name == "number" else old})
    monkeypatch.setattr("sys.argv", ["airflow", "dags", "test", "pinned", "--conf", conf])

    (named,) = workflow_dags()
    monkeypatch.setattr("sys.argv", ["airflow", "dags", "test", "pinned", "-c", "{}"])
    (published,) = workflow_dags()

    assert set(named.task_ids) == {"A", "B", "E"}
    assert set(published.task_ids) == {"A", "C", "E"}


def resolved(digest: str) -> Callable[[Any], Any]:
    """The ledger's answer to a name, without a ledger."""

    async def named(_: Any) -> Version:
        return Version(digest)

    return named


@pytest.mark.parametrize(
    "arguments",
    [
        ["airflow", "dags", "test", "w", "--conf", "{"],
        ["airflow", "dags", "test", "w", "--conf", "[1]"],
        ["airflow", "dags", "test", "w"],
        ["airflow", "dags", "reserialize"],
        ["airflow", "dag-processor"],
        ["airflow", "dags", "test", "--conf"],
    ],
)
def test_other_command_lines_name_no_version(arguments: list[str]) -> None:
    """What Airflow refuses or does otherwise is not our business."""
    assert pinned.tested_version(arguments) is None


def test_who_only_parses_is_told_no_version() -> None:
    """The DAG processor serves what is published."""
    assert pinned.version_of_task() is None


def test_the_parse_does_not_grow_with_old_versions(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The DAG processor reads and compiles what is published, whatever there was before."""
    from cch.compiler import factory

    made: list[str] = []
    original = factory.dag_of
    monkeypatch.setattr(factory, "dag_of", lambda each, **given: made.append(each.digest) or original(each, **given))
    for name in "ABCDEFGH":
        desk.publish(f"N{name}")

    made.clear()
    desk.parse()

    assert len(made) == 1


def test_what_is_served_is_kept(desk: Desk) -> None:
    """Also what was put there without `cch publish`, and is overwritten before any instance of it begins."""
    old = digest_of_mark(desk.publish("A", "B"))
    desk.publish("A", "C")

    assert "B:" in (desk.folder / "by-digest" / f"{old}.yaml").read_text()


def test_versions_that_are_stored_at_the_same_moment_each_get_a_number(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process takes the number between the look for it and the write: this one looks again."""
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    marks = [desk.publish("A"), desk.publish("A", "B"), desk.publish("A", "B", "C")]
    with create_session() as session:
        session.execute(delete(DagVersion).where(DagVersion.dag_id == "pinned", DagVersion.bundle_version != marks[2]))
    find, original, others = finding(load_settings()), LazyDeserializedDAG.from_dag, [marks[0]]

    def meanwhile(dag: Any) -> Any:
        if others:  # with a session of its own, as another process has
            with ThreadPoolExecutor(1) as another:
                another.submit(find, Wish("pinned", others.pop())).result()
        return original(dag)

    monkeypatch.setattr(LazyDeserializedDAG, "from_dag", staticmethod(meanwhile))
    find(Wish("pinned", marks[1]))

    with create_session() as session:
        found = select(DagVersion.bundle_version, DagVersion.version_number).where(DagVersion.dag_id == "pinned")
        numbers = {mark: number for mark, number in session.execute(found) if mark in marks}
    assert set(numbers) == set(marks)
    assert len(set(numbers.values())) == 3
    assert max(numbers, key=lambda mark: numbers[mark]) == marks[2]
