"""A triggerer is told less of what waits, and looks at less; what it does with it is Airflow's own code."""

from __future__ import annotations

import asyncio
import gc
import uuid
import weakref
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import greenback
import pytest
from airflow import settings
from airflow.callbacks.database_callback_sink import DatabaseCallbackSink
from airflow.jobs import triggerer_job_runner
from airflow.jobs.triggerer_job_runner import TriggerLoggingFactory, TriggerRunner, TriggerRunnerSupervisor
from airflow.models import trigger as trigger_events
from airflow.models.dagbag import DBDagBag
from airflow.models.trigger import Trigger
from airflow.serialization.serialized_objects import DagSerialization
from airflow.triggers.base import BaseTaskEndEvent, BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent
from airflow.utils.session import create_session
from sqlalchemy import delete, event, insert

from cch.compiler.dag import compile_workflow
from cch.graph.checks import load
from cch.scheduling import lean_needs, lean_waiters, probing
from cch.scheduling.lean_needs import only
from cch.scheduling.lean_waiters import install
from cch.settings import Settings
from cch.triggers import REGION_TRIGGER
from cch.triggers.region import RegionTrigger

pytestmark = pytest.mark.hooks

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "workflow-definitions").glob("*.yaml"))
RUN = {
    "dag_id": "d", "run_id": "r", "logical_date": None, "run_after": "2026-01-05T00:00:00Z", "run_type": "manual",
    "start_date": "2026-01-05T00:00:00Z", "state": "running", "conf": {"key": "MEDU1"}, "clear_number": 0,
    "consumed_asset_events": [], "data_interval_start": None, "data_interval_end": None, "end_date": None,
    "partition_key": None,
}  # fmt: skip


NOW = datetime(2026, 1, 5, tzinfo=UTC)
CHANGED = (
    (TriggerRunnerSupervisor, "_create_workload"),
    (TriggerRunnerSupervisor, "build_trigger_workloads"),
    (TriggerRunner, "run_trigger"),
    (TriggerRunner, "cleanup_finished_triggers"),
    (Trigger, "ids_for_triggerer"),
    (TriggerLoggingFactory, "__call__"),
    (DatabaseCallbackSink, "send"),
)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[TriggerRunnerSupervisor]]:
    """Airflow's classes, as they were before."""
    originals = [vars(owner)[name] for owner, name in CHANGED]
    monkeypatch.setattr(triggerer_job_runner, "greenback", triggerer_job_runner.greenback)
    yield TriggerRunnerSupervisor
    for (owner, name), original in zip(CHANGED, originals, strict=True):
        setattr(owner, name, original)


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


class Database(DBDagBag):
    """What Airflow asks its database for; counts the DAGs that were read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0
        self.data = serialised(SAMPLES[0])
        self.dag = DagSerialization.from_dict(self.data)

    def get_serialized_dag_model(self, version_id: Any, session: Any) -> Any:
        self.read += 1
        return SimpleNamespace(data=self.data, dag=self.dag)

    def trigger(self, number: int, task_id: str, classpath: str = REGION_TRIGGER) -> Any:
        run = SimpleNamespace(
            dag_id="d", bundle_version="mark", created_dag_version_id=VERSION,
            dag_run_data=SimpleNamespace(model_dump=lambda **_: RUN),
        )  # fmt: skip
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
    me: Any = SimpleNamespace(job=SimpleNamespace(id=1), logger_cache={})
    return [
        supervisor._create_workload(
            me, trigger=trigger, dag_bag=database, render_log_fname=lambda ti: f"{ti.task_id}.log", session=None
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
    assert "params" in database.data["dag"]
    assert "params" not in first.dag_data["dag"], "Airflow would check them for each trigger"
    runtime = TriggerRunner.create_runtime_ti(first.ti, first.dag_data, first.dag_run_data)
    kwargs = runtime.task.start_trigger_args.trigger_kwargs
    trigger = RegionTrigger(**kwargs.get("__var", kwargs))
    trigger.render_template_fields(runtime.get_template_context())
    assert (trigger.run_id, trigger.conf) == ("r", {"key": "MEDU1"})


async def test_a_trigger_that_waits_has_neither_its_dag_nor_its_run(
    supervisor: type[TriggerRunnerSupervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's task instance refers to both, and stays for as long as the trigger waits."""
    install(Settings())
    database = Database()
    (workload,) = workloads(supervisor, database, database.trigger(1, waiting(database.dag)[0]))
    runtime = TriggerRunner.create_runtime_ti(workload.ti, workload.dag_data, workload.dag_run_data)
    kept = [weakref.ref(runtime.task), weakref.ref(runtime._ti_context_from_server.dag_run)]
    trigger = RegionTrigger(workflow_id="w", region="A", definition_digest="d", structure_digest="s")
    trigger.task_instance = runtime
    trigger.render_template_fields(runtime.get_template_context())
    waits = asyncio.Event()

    async def platform() -> None:
        waits.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("cch.triggers.region.shared_platform", platform)
    waiter = asyncio.create_task(anext(trigger.run()))
    await waits.wait()
    gc.collect()

    assert [each() for each in kept] == [None, None]
    assert (trigger.task_instance.id, trigger.run_id) == (runtime.id, "r")
    waiter.cancel()


def test_triggers_of_others_are_sent_as_ever(supervisor: type[TriggerRunnerSupervisor]) -> None:
    """Whatever theirs need of their DAG is there."""
    install(Settings())
    database = Database()
    others = database.trigger(1, waiting(database.dag)[0], "somebody.elses.Trigger")

    (workload,) = workloads(supervisor, database, others)

    assert workload.dag_data == database.data


def test_workloads_are_made_in_portions(
    supervisor: type[TriggerRunnerSupervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest first, and no more until those have been fetched; everyone has his turn."""
    monkeypatch.setattr(supervisor, "build_trigger_workloads", lambda self, new_trigger_ids: sorted(new_trigger_ids))
    monkeypatch.setattr(lean_waiters, "_AT_ONCE", 3)
    install(Settings())

    def made(on_their_way: int, wanted: set[int]) -> list[Any]:
        me: Any = SimpleNamespace(creating_triggers=["another"] * on_their_way)
        return supervisor.build_trigger_workloads(me, wanted)

    assert made(0, {6, 5, 4, 3}) == [3, 4, 5]
    assert made(3, {6, 7}) == []
    assert made(2, {3, 6, 7}) == [6], "3 has had his turn and comes again"
    assert made(1, {3, 7, 8}) == [7, 8]
    assert made(0, {3}) == [3]


async def looked_at(runner: TriggerRunner) -> tuple[list[int], list[int], dict[int, Exception | None], int]:
    """Finished, left, failed, and how many rounds of the event loop it took."""
    rounds = 0

    async def count() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    counter = asyncio.create_task(count())
    finished = await runner.cleanup_finished_triggers()
    counter.cancel()
    return finished, list(runner.triggers), dict(runner.failed_triggers), rounds


async def runner_with(waiters: int) -> TriggerRunner:
    """Waiters, and four that have ended: well, with an error, without a word, and cancelled."""

    async def ends(error: Exception | None) -> None:
        if error:
            raise error

    errors = [None, ValueError("broken"), None, None]
    tasks = [asyncio.create_task(ends(error)) for error in errors]
    tasks[3].cancel()
    await asyncio.wait(tasks)
    tasks += [asyncio.create_task(asyncio.Event().wait()) for _ in range(waiters)]
    runner = TriggerRunner()
    for number, task in enumerate(tasks):
        details = {"task": task, "is_watcher": False, "name": str(number), "events": int(number == 0)}
        runner.triggers[number] = details  # type: ignore[assignment]
    return runner


async def test_only_what_has_finished_is_looked_at(supervisor: type[TriggerRunnerSupervisor]) -> None:
    """With the same result as Airflow's own look at everything."""
    theirs = await looked_at(await runner_with(100))
    install(Settings())
    ours = await looked_at(await runner_with(100))

    assert [str(ours[2][number]) for number in (1, 2)] == [str(theirs[2][number]) for number in (1, 2)]
    assert ours[:2] == theirs[:2] == ([0, 1, 2, 3], list(range(4, 104)))
    assert (theirs[3] >= 100, ours[3] < 10) == (True, True)


class Somebodys(BaseTrigger):
    """Says whether code that cannot await may call Airflow from here."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "tests.Somebodys", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(0)
        yield TriggerEvent(greenback.has_portal())


async def test_only_triggers_of_others_have_a_portal(
    supervisor: type[TriggerRunnerSupervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours await whatever they call; whoever runs beside them is not concerned."""
    install(Settings())
    monkeypatch.setattr(RegionTrigger, "run", Somebodys.run)
    runner = TriggerRunner()
    ours = RegionTrigger(workflow_id="w", region="A", definition_digest="d", structure_digest="s")
    triggers: list[BaseTrigger] = [Somebodys(), ours, Somebodys(), ours]
    tasks = []
    for number, trigger in enumerate(triggers):
        runner.triggers[number] = {"name": str(number), "events": 0}  # type: ignore[typeddict-item]
        trigger.task_instance = None
        tasks.append(asyncio.create_task(runner.run_trigger(number, trigger)))
    await asyncio.gather(*tasks)

    assert {entry.trigger_id: entry.event.payload for entry in runner.events} == {0: True, 1: False, 2: True, 3: False}


@pytest.fixture
def rows(airflow_database: None) -> Iterator[None]:
    """No triggers in Airflow's database, before and after."""
    for after in (False, True):
        with create_session() as session:
            session.execute(delete(Trigger))
        if not after:
            yield


def assigned(triggerer: int, *numbers: int, queue: str | None = None) -> None:
    with create_session() as session:
        for number in numbers:
            values = {"id": number, "classpath": "t", "encrypted_kwargs": "", "created_date": NOW}
            session.execute(insert(Trigger).values(**values, triggerer_id=triggerer, queue=queue))


def gone(*numbers: int) -> None:
    with create_session() as session:
        session.execute(delete(Trigger).where(Trigger.id.in_(numbers)))


@pytest.fixture
def reads(rows: None) -> Iterator[list[str]]:
    """Statements that read the ids themselves."""
    found: list[str] = []

    def seen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "trigger" in statement and "count(" not in statement and statement.startswith("SELECT"):
            found.append(statement)

    event.listen(settings.engine, "before_cursor_execute", seen)
    yield found
    event.remove(settings.engine, "before_cursor_execute", seen)


def test_ids_are_read_only_when_they_have_changed(supervisor: type[TriggerRunnerSupervisor], reads: list[str]) -> None:
    """One that has come or gone is seen at once; another triggerer's and another queue's are not in the way."""
    install(Settings())
    assigned(1, 11, 12)
    assigned(2, 13)
    assigned(1, 14, queue="other")

    assert [sorted(Trigger.ids_for_triggerer(1)) for _ in range(3)] == [[11, 12]] * 3
    assert len(reads) == 1
    assigned(1, 15)
    assert sorted(Trigger.ids_for_triggerer(1)) == [11, 12, 15]
    gone(11)
    assert sorted(Trigger.ids_for_triggerer(1)) == [12, 15]
    assert len(reads) == 3
    assert Trigger.ids_for_triggerer(2) == [13]
    assert Trigger.ids_for_triggerer(1, queues={"other"}) == [14]
    gone(12, 15)
    assert Trigger.ids_for_triggerer(1) == []


def test_ids_are_read_again_in_time(
    supervisor: type[TriggerRunnerSupervisor], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may have the same count and sum."""
    install(Settings())
    assigned(1, 11, 14)
    Trigger.ids_for_triggerer(1)
    gone(11, 14)
    assigned(1, 12, 13)

    monkeypatch.setattr(lean_waiters, "_READ_EVERY", -1.0)

    assert sorted(Trigger.ids_for_triggerer(1)) == [12, 13]


def test_whatever_airflow_reads_of_a_stored_dag_is_there() -> None:
    """An Airflow that nobody has tested may read more of it than the DAG and its data."""
    stored = SimpleNamespace(dag="d", data={}, dag_hash="h")
    batch = lean_waiters._Batch(lambda version_id, session: stored)

    read = batch.get_serialized_dag_model(1, None)

    assert (read.dag, read.data, read.dag_hash) == ("d", {}, "h")
    with pytest.raises(AttributeError):
        read.nothing  # noqa: B018 - the attribute is asked for


class Ending:
    """A task instance as its trigger ends it, and the session in which that happens; keeps what is written."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.states: list[str] = []
        self.values: dict[str, Any] = {}
        self.id, self.dag_version_id = uuid.uuid4(), VERSION
        self.task_id, self.dag_id, self.run_id, self.try_number, self.map_index = "a", "d", "r", 1, -1
        self.pool_slots, self.queue, self.priority_weight, self.hostname = 1, "default", 1, None
        self.executor_config: dict[str, Any] = {}
        self.context_carrier = self.parent_context_carrier = self.external_executor_id = None
        self.dag_model = SimpleNamespace(relative_fileloc="d.py", bundle_name="b")
        self.dag_run = SimpleNamespace(bundle_version=None)

    def set_state(self, state: str, session: Any) -> None:
        self.states.append(str(state))

    def xcom_push(self, key: str, value: Any) -> None:
        self.values[key] = value

    def add(self, request: Any) -> None:
        self.told.append(request.get_callback_request().task_callback_type)

    def flush(self) -> None:
        """Nothing is held back."""


@pytest.mark.parametrize(
    ("event", "told"), [(TaskSuccessEvent(xcoms={"k": 1}), []), (TaskFailedEvent(xcoms={"k": 1}), ["failed"])]
)
def test_the_dag_processor_is_told_of_what_it_does_something_about(
    supervisor: type[TriggerRunnerSupervisor], monkeypatch: pytest.MonkeyPatch, event: BaseTaskEndEvent, told: list[str]
) -> None:
    """It would parse the DAG's file for a success, too, and then drop it. The task ends as ever."""
    monkeypatch.setattr(DBDagBag, "get_dag_for_run", lambda *_, **__: None)
    install(Settings())
    ending: Any = Ending()

    trigger_events.handle_event_submit(event, task_instance=ending, session=ending)

    assert ending.told == told
    assert ending.states == [str(event.task_instance_state)]
    assert ending.values == {"k": 1}


def changed() -> list[str]:
    """The methods that are not Airflow's own."""
    return [name for owner, name in CHANGED if getattr(getattr(owner, name), "_cch", False)] + (
        ["greenback"] if isinstance(triggerer_job_runner.greenback, lean_waiters._Portals) else []
    )


ALL = [name for _, name in CHANGED] + ["greenback"]


def test_it_can_be_switched_off(supervisor: type[TriggerRunnerSupervisor]) -> None:
    """Then nothing is changed."""
    assert not install(Settings(lean_waiters=False))
    assert changed() == []


def test_an_airflow_that_nobody_tested_is_asked(
    supervisor: type[TriggerRunnerSupervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number decides nothing: it has what is needed, also the second time."""
    monkeypatch.setattr("airflow.__version__", "3.9.0")

    assert install(Settings())
    assert install(Settings())
    assert changed() == ALL


async def waits_for_something(self: Any) -> list[int]:
    await asyncio.sleep(1)
    return []


RUNNER = "airflow.jobs.triggerer_job_runner.TriggerRunner"


@pytest.mark.parametrize(
    ("lack", "lost", "words"),
    [
        ((f"{RUNNER}Supervisor._create_workload", lambda self, trigger, bag, log, session: None),
         ["_create_workload"], "a trigger's workload is made otherwise"),
        (("airflow.serialization.serialized_objects.DagSerialization.to_dict", staticmethod(lambda dag: {"dag": 1})),
         ["_create_workload"], "a serialised DAG has another form"),
        ((f"{RUNNER}Supervisor.build_trigger_workloads", lambda self, new_trigger_ids, bag: []),
         ["_create_workload", "build_trigger_workloads"], "triggers are handed over otherwise"),
        ((f"{RUNNER}.run_trigger", lambda self, trigger: None),
         ["run_trigger", "greenback"], "a trigger gets its portal elsewhere"),
        ((f"{RUNNER}.cleanup_finished_triggers", waits_for_something),
         ["cleanup_finished_triggers"], "are dropped otherwise"),
        (("airflow.models.trigger.Trigger.ids_for_triggerer", classmethod(lambda cls, number, session: [5])),
         ["ids_for_triggerer"], "are not read by one query"),
        (("airflow.jobs.triggerer_job_runner.TriggerLoggingFactory.__call__", lambda self: None),
         ["__call__"], "the log of a trigger is written otherwise"),
        (("airflow.dag_processing.processor._execute_task_callbacks", lambda dags, request, log: dags.get("d")),
         ["send"], "does something when a task has succeeded"),
    ],
)  # fmt: skip
def test_what_an_airflow_lacks_costs_that_hook_alone(
    supervisor: type[TriggerRunnerSupervisor], lack: tuple[str, Any], lost: list[str], words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The log says what is missing and what it means; all others work."""
    said: list[str] = []
    monkeypatch.setattr(*lack)
    monkeypatch.setattr(probing.log, "warning", lambda text, *values: said.append(text % values))

    assert not install(Settings())

    assert changed() == [name for name in ALL if name not in lost]
    assert any(words in each for each in said)
    assert all("the hook " in each for each in said)


@pytest.mark.parametrize(
    ("module", "gone", "lost"),
    [
        ("airflow.jobs.triggerer_job_runner", "TriggerLoggingFactory", "__call__"),
        ("airflow.callbacks.database_callback_sink", "DatabaseCallbackSink", "send"),
    ],
)
def test_a_class_that_an_airflow_has_not_costs_that_hook_alone(
    supervisor: type[TriggerRunnerSupervisor], module: str, gone: str, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others do not even import it."""
    monkeypatch.delattr(f"{module}.{gone}")

    assert not install(Settings())

    assert changed() == [name for name in ALL if name != lost]


def test_what_is_tried_out_leaves_no_trace(supervisor: type[TriggerRunnerSupervisor]) -> None:
    """Also where the hooks are installed already."""
    install(Settings())

    assert [hook.reason_against(Settings()) for hook in lean_needs.HOOKS] == [""] * 7
    assert changed() == ALL


def test_the_trigger_has_the_name_that_is_looked_for() -> None:
    """And the supervisor is where Airflow starts one."""
    trigger = RegionTrigger(workflow_id="w", region="A", definition_digest="d", structure_digest="s")

    assert trigger.serialize()[0] == REGION_TRIGGER
    assert triggerer_job_runner.TriggererJobRunner._execute.__code__.co_names.count("TriggerRunnerSupervisor") == 1
