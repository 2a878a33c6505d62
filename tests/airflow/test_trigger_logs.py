"""The log of a trigger: what Airflow writes, in a file that is open only while a line is written."""

from __future__ import annotations

import errno
import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from airflow.jobs.triggerer_job_runner import TriggerLoggingFactory
from airflow.sdk.log import logging_processors

from cch.scheduling import lean_waiters
from cch.scheduling.lean_waiters import install
from cch.settings import Settings
from tests.airflow.test_lean_waiters import supervisor  # noqa: F401 - a fixture

pytestmark = [pytest.mark.hooks, pytest.mark.usefixtures("supervisor")]


@pytest.fixture
def log_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    return tmp_path


def logged(lines: int) -> tuple[list[TriggerLoggingFactory], int]:
    """The logs of 50 triggers that have written so many lines each, and how many more files are open than before."""
    before = psutil.Process().num_fds()
    logs = [TriggerLoggingFactory(log_path=f"dag/run/{number}.log", ti=NOBODY) for number in range(50)]
    for line in range(lines):
        for number, log in enumerate(logs):
            log(logging_processors(json_output=True)).error("said", number=number, line=line)
    return logs, psutil.Process().num_fds() - before


NOBODY: Any = None


def test_the_log_of_a_trigger_is_open_while_a_line_is_written(log_folder: Path) -> None:
    """Airflow keeps a file open for each trigger. What is written is what Airflow writes; what was there is gone."""
    theirs, opened = logged(2)
    written = {path: read_log(path) for path in log_folder.rglob("*.log")}
    for log in theirs:
        log.close()
    install(Settings())

    ours, left = logged(2)

    assert (opened, left) == (50, 0)
    assert {path: read_log(path) for path in log_folder.rglob("*.log")} == written
    assert [(line["event"], line["number"], line["line"]) for line in written[log_folder / "dag/run/7.log"]] == [
        ("said", 7, 0), ("said", 7, 1)
    ]  # fmt: skip
    for log in ours:
        log.close()


def test_the_log_of_a_trigger_is_made_anew_where_old_logs_are_cleared(log_folder: Path) -> None:
    """A wait may outlast the logs of its beginning; an error here would end the triggerer."""
    install(Settings())
    logs, _ = logged(1)
    shutil.rmtree(log_folder / "dag")

    logs[7](logging_processors(json_output=True)).error("said", number=7, line=1)

    assert [line["line"] for line in read_log(log_folder / "dag/run/7.log")] == [1]


def test_a_relative_folder_of_logs_is_the_same_folder_when_it_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative to where the triggerer runs, not within itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", "logs")
    install(Settings())
    logs, _ = logged(1)
    shutil.rmtree("logs")

    logs[7](logging_processors(json_output=True)).error("said", number=7, line=1)

    assert [str(path) for path in Path().rglob("*.log")] == ["logs/dag/run/7.log"]


def test_a_line_that_cannot_be_written_ends_no_triggerer(log_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of open files is reached, for example; the triggerer's own log says that lines are lost."""
    said: list[str] = []
    monkeypatch.setattr(lean_waiters.log, "warning", lambda text, *values: said.append(text % values))
    monkeypatch.setattr(lean_waiters._LogFile, "_told", -math.inf)
    install(Settings())
    logs, _ = logged(1)
    log = logs[7](logging_processors(json_output=True))

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as limited:
        limited.setattr("builtins.open", full)
        log.error("said", number=7, line=1)
        log.error("said", number=7, line=2)
    log.error("said", number=7, line=3)

    assert [line["line"] for line in read_log(log_folder / "dag/run/7.log")] == [0, 3]
    assert said == ["lines of the logs of triggers are lost: [Errno 24] Too many open files"]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Its lines as they are; when they were written is left out."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "timestamp"} for line in lines]


def test_the_log_of_a_trigger_is_handed_over_to_where_logs_are_kept(
    log_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CloudWatch's handler gets it on MWAA; one without a line is not handed over."""
    handed: list[str] = []
    handler = SimpleNamespace(upload=lambda path, ti: handed.append(str(path)), processors=())
    monkeypatch.setattr("airflow.sdk.log.load_remote_log_handler", lambda: handler)
    install(Settings())
    logs, _ = logged(1)
    quiet = TriggerLoggingFactory(log_path="dag/run/quiet.log", ti=NOBODY)

    for log in (logs[7], quiet):
        log.upload_to_remote()
        log.close()

    assert handed == ["dag/run/7.log"]
