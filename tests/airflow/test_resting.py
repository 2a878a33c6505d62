"""A DAG file of ours is parsed when something has changed: Airflow's own queue, and one decision more."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.manager import DagFileInfo, DagFileProcessorManager, DagFileStat
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.session import create_session
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError

from cch.scheduling import probing, resting
from cch.scheduling.resting import Resting
from cch.settings import Settings, load_settings

pytestmark = pytest.mark.hooks

TEXT = "workflow_id: {0}\nworkflow_name: {1}\nentry_point: E\nnodes: {{E: {{type: end}}}}\n"
FILES = Path(resting.__file__).resolve().parents[1] / "dag_files"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class NoCourier:
    def __init__(self) -> None:
        self.asked = 0

    def ensure(self) -> None:
        self.asked += 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The DAG files as they are released."""
    return Path(shutil.copytree(FILES, tmp_path / "dags", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rests(definitions: Path, folder: Path, clock: Clock) -> Any:
    """Whether a file may rest, some seconds later."""
    (definitions / "w.yaml").write_text(TEXT.format("w", "first"))
    made = Resting(load_settings(), NoCourier(), clock)  # type: ignore[arg-type]

    def look(name: str = "cch_workflows.py", *, later: float = 3.0, age: float = 3.0) -> bool:
        clock.now += later
        return made.may(folder / name, age)

    return look


def test_a_file_rests_when_nothing_has_changed_for_some_time(rests: Any) -> None:
    """Airflow drops what comes within half a minute of what it has stored, so a change is parsed again and again."""
    looks = [rests(later=10.0) for _ in range(12)]

    assert looks == [False] * 9 + [True] * 3


@pytest.mark.parametrize("change", ["changed", "new", "removed"])
def test_a_definition_that_changes_is_parsed_at_once(change: str, rests: Any, definitions: Path) -> None:
    """Of the file that has all workflows; the dispatcher's depends on none."""
    for name in ("cch_workflows.py", "cch_commands.py"):
        rests(name)
        assert rests(name, later=100.0)

    file = definitions / ("other.yaml" if change == "new" else "w.yaml")
    if change == "removed":
        file.unlink()
    else:
        file.write_text(TEXT.format(file.stem, "a longer name"))

    assert not rests()
    assert not rests(later=80.0), "until Airflow has surely stored it"
    assert rests(later=20.0)
    assert rests("cch_commands.py")


def test_a_file_is_parsed_in_time_whatever_is_known(rests: Any) -> None:
    """Somebody may have deleted one of its DAGs."""
    rests()

    assert rests(later=100.0, age=299.0)
    assert not rests(age=301.0)


def test_a_file_that_is_not_as_released_is_parsed_as_ever(rests: Any, folder: Path) -> None:
    """Nobody knows what it depends on."""
    rests()
    (folder / "cch_workflows.py").write_text((FILES / "cch_workflows.py").read_text() + "# mine\n")
    (folder / "theirs.py").write_text("from airflow.sdk import DAG\n")

    assert not any(rests(name, later=100.0) for name in ("cch_workflows.py", "theirs.py") * 3)


def test_files_of_others_are_not_read(folder: Path, definitions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be large, and the DAG processor looks at each of them again and again."""
    (folder / "theirs.zip").write_bytes(b"x")
    made = Resting(load_settings(), NoCourier())  # type: ignore[arg-type]

    def read(path: Path) -> bytes:
        raise AssertionError(path)

    monkeypatch.setattr(Path, "read_bytes", read)

    assert not made.may(folder / "theirs.zip", 3.0)


def test_a_binding_that_changes_is_parsed_at_once(
    folder: Path, definitions: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It decides which calls the triggerer makes, and with that the tasks of new versions."""
    bindings = tmp_path / "bindings.json"
    bindings.write_text("{}")
    monkeypatch.setenv("CCH_CALLS_IN_TRIGGERER", "true")
    monkeypatch.setenv("CCH_CAPABILITY_BINDINGS", str(bindings))
    (definitions / "w.yaml").write_text(TEXT.format("w", "first"))
    made = Resting(load_settings(), NoCourier(), clock)  # type: ignore[arg-type]
    made.may(folder / "cch_workflows.py", 3.0)
    clock.now += 100.0
    assert made.may(folder / "cch_workflows.py", 3.0)

    bindings.write_text(json.dumps({"x#y": "lambda:f"}))

    assert not made.may(folder / "cch_workflows.py", 3.0)


def test_a_file_does_not_rest_before_airflow_has_surely_stored_it(
    folder: Path, definitions: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow drops what comes too soon after what it has stored; an installation may have made that longer."""
    monkeypatch.setenv("AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL", "200")
    (definitions / "w.yaml").write_text(TEXT.format("w", "first"))
    made = Resting(load_settings(), NoCourier(), clock)  # type: ignore[arg-type]
    made.may(folder / "cch_workflows.py", 3.0)

    clock.now += 259.0
    assert not made.may(folder / "cch_workflows.py", 3.0)
    clock.now += 1.0
    assert made.may(folder / "cch_workflows.py", 3.0)


def test_definitions_that_cannot_be_listed_are_parsed_as_ever(rests: Any, definitions: Path) -> None:
    """The parse says what is wrong."""
    rests()
    shutil.rmtree(definitions)
    with pytest.raises(Exception, match="does not exist"):
        rests(later=100.0)


def test_without_a_courier_s_listing_a_file_is_parsed_as_ever(folder: Path, tmp_path: Path, clock: Clock) -> None:
    """It is on its way, or has ended; somebody sees to it that there is one."""
    courier = NoCourier()
    made = Resting(Settings(cache_folder=str(tmp_path / "cache")), courier, clock)  # type: ignore[arg-type]

    for _ in range(3):
        clock.now += 100.0
        assert not made.may(folder / "cch_workflows.py", 3.0)
    assert courier.asked == 3


@pytest.fixture
def tables(airflow_database: None) -> Iterator[None]:
    """Airflow's tables, with a bundle."""
    with create_session() as session:
        session.add(DagBundleModel(name=BUNDLE))
    yield
    with create_session() as session:
        session.execute(delete(DagModel).where(DagModel.bundle_name == BUNDLE))
        session.execute(delete(DagBundleModel).where(DagBundleModel.name == BUNDLE))


@pytest.fixture
def install(definitions: Path, tables: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DagFileProcessorManager]:
    """Airflow's manager, with its hooks, and a clock by which everything has settled at its second look."""
    monkeypatch.setattr(DagFileProcessorManager, "_add_files_to_queue", DagFileProcessorManager._add_files_to_queue)
    monkeypatch.setattr(resting, "Resting", lambda settings: Resting(settings, clock=itertools.count(0, 1000).__next__))

    def installed(*, rests: bool = True, max_runs: int = -1) -> DagFileProcessorManager:
        assert resting.install(load_settings()) is rests
        assert resting.install(load_settings()) is rests, "the second time changes nothing"
        return DagFileProcessorManager(max_runs=max_runs)

    return installed


@pytest.fixture
def manager(install: Callable[..., DagFileProcessorManager]) -> DagFileProcessorManager:
    return install()


BUNDLE = "resting"


@pytest.fixture
def workflows(folder: Path) -> DagFileInfo:
    """The file that has all workflows; nobody has changed it."""
    file = DagFileInfo(rel_path=Path("cch_workflows.py"), bundle_name=BUNDLE, bundle_path=folder)
    os.utime(file.absolute_path, (0, 0))
    return file


def queued(manager: DagFileProcessorManager, known: dict[str, set[DagFileInfo]]) -> list[str]:
    manager._file_queue.clear()
    manager.prepare_file_queue(known_files=known)
    return sorted(str(file.rel_path) for file in manager._file_queue)


def parsed(
    manager: DagFileProcessorManager, *files: DagFileInfo, ago: float = 60.0, errors: int = 0, stored: bool = True
) -> None:
    """The last parse of these files; ``stored``: the DAG that it has found is in Airflow's tables."""
    for file in files:
        at = datetime.now(UTC) - timedelta(seconds=ago)
        manager._file_stats[file] = DagFileStat(num_dags=2, import_errors=errors, last_finish_time=at, run_count=1)
        if stored:
            put_dag(file, file.rel_path.stem, at + timedelta(milliseconds=10))


def put_dag(file: DagFileInfo, dag_id: str, at: datetime) -> None:
    """A DAG of the file, as Airflow has stored it at that time."""
    with create_session() as session:
        session.merge(
            DagModel(
                dag_id=dag_id, bundle_name=BUNDLE, relative_fileloc=str(file.rel_path), fileloc="-",
                last_parsed_time=at, is_paused=False, is_stale=False,
            )
        )  # fmt: skip


def is_stale(manager: DagFileProcessorManager, dag_id: str) -> bool:
    """Whether Airflow takes the DAG for removed when it looks the next time."""
    manager.deactivate_stale_dags({file: stat.last_finish_time for file, stat in manager._file_stats.items()})
    with create_session() as session:
        return bool(session.get(DagModel, dag_id).is_stale)


def test_airflow_queues_what_does_not_rest(manager: DagFileProcessorManager, folder: Path) -> None:
    """Files of others as ever; ours if they are new, wrong, long ago, or asked for."""
    (folder / "theirs.py").write_text("from airflow.sdk import DAG\n")
    names = ("cch_commands.py", "cch_workflows.py", "theirs.py")
    files = [DagFileInfo(rel_path=Path(name), bundle_name=BUNDLE, bundle_path=folder) for name in names]
    known = {BUNDLE: set(files)}
    for each in files:
        os.utime(each.absolute_path, (0, 0))  # Airflow queues at once what was changed after its last parse

    assert queued(manager, known) == list(names), "never parsed"
    parsed(manager, *files)
    assert queued(manager, known) == list(names), "first seen"
    assert queued(manager, known) == ["theirs.py"]
    manager._add_files_to_queue([files[1]], mode="front")
    assert sorted(str(file.rel_path) for file in manager._file_queue) == ["cch_workflows.py", "theirs.py"]
    parsed(manager, *files, errors=1)
    assert queued(manager, known) == list(names)
    parsed(manager, *files, ago=400.0)
    assert queued(manager, known) == list(names)


@pytest.mark.parametrize("rests", [True, False])
def test_a_callback_does_not_make_airflow_parse_a_file_without_a_break(
    install: Callable[..., DagFileProcessorManager],
    workflows: DagFileInfo,
    monkeypatch: pytest.MonkeyPatch,
    rests: bool,
) -> None:
    """It names the bundle version of a run, and Airflow then takes its parse for the file's last one, for ever.

    So it does where no file rests.
    """
    monkeypatch.setenv("CCH_REST_FILES", str(rests))
    manager, known = install(rests=rests), {BUNDLE: {workflows}}
    parsed(manager, workflows, ago=2.0)
    parsed(manager, DagFileInfo(workflows.rel_path, BUNDLE, workflows.bundle_path, bundle_version="mark"), ago=100.0)

    assert queued(manager, known) == []
    parsed(manager, workflows, ago=40.0)
    assert queued(manager, known) == ["cch_workflows.py"]
    parsed(manager, workflows, ago=2.0)
    os.utime(workflows.absolute_path)
    assert queued(manager, known) == ["cch_workflows.py"], "somebody has changed it since"


def at_rest(manager: DagFileProcessorManager, file: DagFileInfo, ago: float = 301.0) -> dict[str, set[DagFileInfo]]:
    """The file has been parsed so long ago, and has rested since."""
    known = {BUNDLE: {file}}
    parsed(manager, file)
    queued(manager, known)
    assert queued(manager, known) == []
    manager._file_stats[file].last_finish_time = datetime.now(UTC) - timedelta(seconds=ago)
    return known


def test_after_a_rest_a_parse_that_fails_removes_no_workflow(
    manager: DagFileProcessorManager, workflows: DagFileInfo
) -> None:
    """It was killed, for example; Airflow compares its end with when the file's DAGs were parsed."""
    known = at_rest(manager, workflows)
    assert queued(manager, known) == ["cch_workflows.py"]

    manager.handle_parsing_result(workflows, finished_process(None))

    assert not is_stale(manager, "cch_workflows")
    assert queued(manager, known) == []
    manager._file_stats[workflows].last_finish_time -= timedelta(seconds=40)
    assert queued(manager, known) == ["cch_workflows.py"]


def test_a_parse_that_was_not_stored_does_not_let_its_file_rest(
    manager: DagFileProcessorManager, workflows: DagFileInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's database was away: it parses again after its usual time, and so it does with ours."""
    known = at_rest(manager, workflows)
    manager._bundle_versions[BUNDLE] = None

    def away(*_: Any, **__: Any) -> None:
        raise RuntimeError("deadlock detected")

    monkeypatch.setattr(DagFileProcessorManager, "persist_parsing_result", away)
    result = SimpleNamespace(serialized_dags=[1], import_errors=None, warnings=None)
    manager.handle_parsing_result(workflows, finished_process(result))
    manager._file_stats[workflows].last_finish_time -= timedelta(seconds=40)
    put_dag(workflows, "cch_workflows", manager._file_stats[workflows].last_finish_time - timedelta(seconds=1))

    assert queued(manager, known) == ["cch_workflows.py"]


def finished_process(result: Any) -> Any:
    return SimpleNamespace(had_callbacks=False, parsing_result=result, start_time=time.monotonic())


def test_a_workflow_that_was_removed_does_not_stay_because_its_file_rests(
    manager: DagFileProcessorManager, workflows: DagFileInfo
) -> None:
    """It was not found by the last parse, only by the one before; Airflow may not have looked since."""
    put_dag(workflows, "removed", datetime.now(UTC) - timedelta(seconds=120))

    at_rest(manager, workflows, ago=60.0)

    assert is_stale(manager, "removed")
    assert not is_stale(manager, "cch_workflows")


def test_whoever_counts_parses_gets_them(
    install: Callable[..., DagFileProcessorManager], workflows: DagFileInfo
) -> None:
    """A DAG processor that ends after some parses of each file waits for no rest."""
    manager, known = install(max_runs=5), {BUNDLE: {workflows}}
    for runs in range(1, 5):
        parsed(manager, workflows)
        manager._file_stats[workflows].run_count = runs
        assert queued(manager, known) == ["cch_workflows.py"]


def test_an_airflow_that_queues_otherwise_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log says what is missing and what it means."""
    said: list[str] = []
    monkeypatch.setattr(DagFileProcessorManager, "_add_files_to_queue", lambda self, files, mode, team: None)
    monkeypatch.setattr(probing.log, "warning", lambda text, *values: said.append(text % values))

    assert not resting.install(Settings())
    assert "files are queued for parsing otherwise" in said[0]


def test_a_decision_that_fails_parses(manager: DagFileProcessorManager, folder: Path) -> None:
    """The parse says what is wrong with the file."""
    gone = DagFileInfo(rel_path=Path("cch_workflows.py"), bundle_name=BUNDLE, bundle_path=folder / "nowhere")
    manager._file_stats[gone] = DagFileStat(num_dags=1, last_finish_time=datetime.now(UTC))

    manager._add_files_to_queue([gone], mode="back")

    assert list(manager._file_queue) == [gone]


def test_tables_that_are_away_let_no_file_rest(
    manager: DagFileProcessorManager, workflows: DagFileInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is parsed as ever, and the DAG processor goes on."""
    known = {BUNDLE: {workflows}}
    parsed(manager, workflows)
    queued(manager, known)

    def away() -> Any:
        raise OperationalError("select", {}, OSError("gone"))

    monkeypatch.setattr("airflow.utils.session.create_session", away)

    assert queued(manager, known) == ["cch_workflows.py"]
