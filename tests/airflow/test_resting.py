"""A DAG file of ours is parsed when something has changed: Airflow's own queue, and one decision more."""

from __future__ import annotations

import itertools
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.manager import DagFileInfo, DagFileProcessorManager, DagFileStat

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
def manager(definitions: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> DagFileProcessorManager:
    """Airflow's manager, with its hook, and a clock by which everything has settled at its second look."""
    monkeypatch.setattr(DagFileProcessorManager, "_add_files_to_queue", DagFileProcessorManager._add_files_to_queue)
    monkeypatch.setattr(resting, "Resting", lambda settings: Resting(settings, clock=itertools.count(0, 1000).__next__))
    assert resting.install(load_settings())
    assert resting.install(load_settings()), "the second time changes nothing"
    return DagFileProcessorManager(max_runs=-1)


def queued(manager: DagFileProcessorManager, known: dict[str, set[DagFileInfo]]) -> list[str]:
    manager._file_queue.clear()
    manager.prepare_file_queue(known_files=known)
    return sorted(str(file.rel_path) for file in manager._file_queue)


def parsed(manager: DagFileProcessorManager, *files: DagFileInfo, ago: float = 60.0, errors: int = 0) -> None:
    for file in files:
        at = datetime.now(UTC) - timedelta(seconds=ago)
        manager._file_stats[file] = DagFileStat(num_dags=2, import_errors=errors, last_finish_time=at, run_count=1)


def test_airflow_queues_what_does_not_rest(manager: DagFileProcessorManager, folder: Path) -> None:
    """Files of others as ever; ours if they are new, wrong, long ago, or asked for."""
    (folder / "theirs.py").write_text("from airflow.sdk import DAG\n")
    names = ("cch_commands.py", "cch_workflows.py", "theirs.py")
    files = [DagFileInfo(rel_path=Path(name), bundle_name="dags", bundle_path=folder) for name in names]
    known = {"dags": set(files)}
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


def test_a_callback_does_not_make_airflow_parse_a_file_without_a_break(
    manager: DagFileProcessorManager, folder: Path
) -> None:
    """It names the bundle version of a run, and Airflow then takes its parse for the file's last one, for ever."""
    file = DagFileInfo(rel_path=Path("cch_workflows.py"), bundle_name="dags", bundle_path=folder)
    os.utime(file.absolute_path, (0, 0))
    parsed(manager, file, ago=2.0)
    parsed(manager, DagFileInfo(file.rel_path, "dags", folder, bundle_version="mark"), ago=100.0)

    assert queued(manager, {"dags": {file}}) == []
    parsed(manager, file, ago=40.0)
    assert queued(manager, {"dags": {file}}) == ["cch_workflows.py"]
    parsed(manager, file, ago=2.0)
    os.utime(file.absolute_path)
    assert queued(manager, {"dags": {file}}) == ["cch_workflows.py"], "somebody has changed it since"


def test_it_can_be_switched_off() -> None:
    """Then nothing is changed."""
    assert not resting.install(Settings(rest_files=False))


def test_an_airflow_that_queues_otherwise_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log says what is missing and what it means."""
    said: list[str] = []
    monkeypatch.setattr(DagFileProcessorManager, "_add_files_to_queue", lambda self, files, mode, team: None)
    monkeypatch.setattr(probing.log, "warning", lambda text, *values: said.append(text % values))

    assert not resting.install(Settings())
    assert "files are queued for parsing otherwise" in said[0]


def test_a_decision_that_fails_parses(folder: Path, definitions: Path) -> None:
    """The parse says what is wrong with the file."""
    gone = DagFileInfo(rel_path=Path("cch_workflows.py"), bundle_name="dags", bundle_path=folder / "nowhere")
    stats = {gone: DagFileStat(num_dags=1, last_finish_time=datetime.now(UTC))}
    manager = SimpleNamespace(_file_stats=stats, _file_process_interval=30.0)

    assert not resting._rests(Resting(load_settings()), manager, gone)
