"""In the DAG processor: a DAG file of ours is parsed again when something has changed.

Airflow parses every file again and again, each time in a new process, because it cannot know what the file reads. Of
ours it is known: the definitions, whose listing a courier brings (:mod:`cch.runtime.courier`).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cch
from cch.errors import CchError
from cch.runtime.courier import Courier
from cch.runtime.definitions import open_catalogue
from cch.scheduling.probing import Hook, Need, has_columns, has_parameters, mentions
from cch.scheduling.replacing import replace

if TYPE_CHECKING:
    from cch.definition.catalogue import Catalogue
    from cch.settings import Settings

log = logging.getLogger(__name__)

#: The DAG files as they are released; one that somebody has changed is parsed as ever.
_FILES = Path(cch.__file__).parent / "dag_files"
_WORKFLOWS = "cch_workflows.py"
#: How long (s) a file is parsed as ever after a change, at least.
_SETTLES = 90.0
#: How long (s) two parses need that Airflow is not to drop.
_TWO_PARSES = 60.0
#: A file is parsed after this time (s) in any case: somebody may have deleted one of its DAGs.
_FULL_LOOK = 300.0


def _queue_is_filled_by_one_method() -> bool:
    import attrs  # noqa: PLC0415
    from airflow.dag_processing import manager  # noqa: PLC0415 - only a DAG processor needs it

    processor = manager.DagFileProcessorManager
    return (
        list(inspect.signature(processor._add_files_to_queue).parameters) == ["self", "files", "mode"]  # noqa: SLF001
        and mentions(processor.prepare_file_queue, "_add_files_to_queue")
        and {"_file_stats", "_file_process_interval", "max_runs"} <= attrs.fields_dict(processor).keys()
        and has_parameters(manager.DagFileStat, "num_dags", "import_errors", "last_finish_time")
        and isinstance(manager.DagFileInfo.absolute_path, property)
    )


def _parses_are_told_by_dag() -> bool:
    from airflow.dag_processing import manager  # noqa: PLC0415
    from airflow.models.dag import DagModel  # noqa: PLC0415

    return has_columns(DagModel, "bundle_name", "relative_fileloc", "last_parsed_time", "is_stale") and has_parameters(
        manager.DagFileInfo, "bundle_name", "rel_path"
    )


_QUEUE = Need("files are queued for parsing otherwise", _queue_is_filled_by_one_method)
PACE = Hook(
    name="pace of files",
    without="a callback after a failure lets Airflow parse the task's DAG file without a break",
    needs=(_QUEUE,),
)
RESTING = Hook(
    name="resting files",
    switch="rest_files",
    without="the DAG files are parsed again and again, though nothing has changed",
    needs=(_QUEUE, Need("when a DAG was parsed is told otherwise", _parses_are_told_by_dag)),
)
HOOKS = (PACE, RESTING)


def install(settings: Settings) -> bool:
    """Let the DAG processor of this process leave out what has not changed; whether it does. Once is enough."""
    paced, rests = (hook.may_be_installed(settings) for hook in HOOKS)
    if paced:
        from airflow.dag_processing.manager import DagFileProcessorManager  # noqa: PLC0415

        resting = Resting(settings) if rests else None
        replace(DagFileProcessorManager, "_add_files_to_queue", partial(_queueing, resting=resting))
    return rests


def _queueing(original: Callable[..., Any], resting: Resting | None) -> Callable[..., Any]:
    stored = _Stored()

    def is_left_out(manager: Any, file: Any) -> bool:
        stat = manager._file_stats.get(file)  # noqa: SLF001
        if stat is None or stat.last_finish_time is None:
            return False
        try:
            if _is_early(manager, file, stat):
                return True
            # Whoever counts parses, and ends after some, is to get them.
            if resting is None or manager.max_runs != -1 or stat.import_errors or not stat.num_dags:
                return False
            age = time.time() - stat.last_finish_time.timestamp()
            return resting.may(file.absolute_path, age) and stored.holds(manager, file, stat.last_finish_time)
        except (CchError, OSError, ValueError):
            return False  # Airflow says what is wrong with the file

    def add(self: Any, files: Any, *, mode: Any) -> Any:
        # Airflow adds those at the front that are new, or that somebody has asked for.
        chosen = files if mode != "back" else [file for file in files if not is_left_out(self, file)]
        return original(self, chosen, mode=mode)

    return add


def _is_early(manager: Any, file: Any, stat: Any) -> bool:
    """Airflow's own rule of how soon a file is parsed again.

    Airflow takes a callback's parse for the file's last one if the callback names a bundle version, as those of pinned
    runs do; later it would queue the file again and again.
    """
    finished = stat.last_finish_time.timestamp()
    age = time.time() - finished
    return bool(age < manager._file_process_interval and file.absolute_path.stat().st_mtime < finished)  # noqa: SLF001


class _Stored:
    """Lets the DAGs of a file count as parsed while the file rests.

    Airflow takes a DAG for removed that was parsed much earlier than its file (``[dag_processor] stale_dag_threshold``,
    50 s), and one parse of the file that fails is enough for that.
    """

    def __init__(self) -> None:
        #: File → the end of its last parse, and when its DAGs were last counted as parsed (monotonic, s).
        self._counted: dict[Any, tuple[datetime, float]] = {}

    def holds(self, manager: Any, file: Any, finished: datetime) -> bool:
        """Whether Airflow has stored what the file's last parse found, which ended at ``finished``."""
        now = time.monotonic()
        end, counted = self._counted.get(file, (None, 0.0))
        if end == finished and now - counted < manager._file_process_interval:  # noqa: SLF001
            return True
        self._counted.pop(file, None)
        if not _count_as_parsed(file, finished):
            return False
        self._counted[file] = finished, now
        return True


def _count_as_parsed(file: Any, finished: datetime) -> bool:
    """Whether the file's last parse, which ended at ``finished``, was stored; its DAGs then count as parsed now."""
    from airflow.models.dag import DagModel  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import select, update  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    now = datetime.now(UTC)
    of_last_parse = (  # not what the parse before has found alone: that was removed since
        DagModel.bundle_name == file.bundle_name,
        DagModel.relative_fileloc == str(file.rel_path),
        DagModel.is_stale.is_(False),
        DagModel.last_parsed_time >= finished,
    )
    # Another DAG processor's clock may be ahead: its time stays.
    counted = update(DagModel).where(*of_last_parse, DagModel.last_parsed_time < now).values(last_parsed_time=now)
    try:
        with create_session() as session:
            if session.scalar(select(DagModel.dag_id).where(*of_last_parse).limit(1)) is None:
                return False
            session.execute(counted.execution_options(synchronize_session=False))
            return True
    except SQLAlchemyError as error:
        log.warning("the DAG files are parsed though nothing has changed: %s", error)
        return False


def _settles() -> float:
    """How long (s) a file is parsed as ever after a change.

    Airflow drops what it would store soon after the last, and needs some parses to find what was removed.
    """
    from airflow.configuration import conf  # noqa: PLC0415

    dropped: int = conf.getint("core", "min_serialized_dag_update_interval")
    pace: int = conf.getint("dag_processor", "min_file_process_interval")
    return max(_SETTLES, _TWO_PARSES + dropped, 3 * pace)


@dataclass(slots=True)
class _Seen:
    signature: str
    since: float


class Resting:
    """Which DAG files need no parse."""

    def __init__(
        self, settings: Settings, courier: Courier | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._catalogue: Catalogue = open_catalogue(settings, trusts_courier=True)
        self._settings = settings
        self._courier = courier or Courier()
        self._clock = clock
        self._settles = _settles()
        self._seen: dict[Path, _Seen] = {}

    def may(self, path: Path, age: float) -> bool:
        """Whether the file may rest; ``age``: how long ago (s) its last parse ended."""
        if not self._settings.definitions_folder:
            self._courier.ensure()
        signature = self._signature(path)
        if signature is None:
            self._seen.pop(path, None)
            return False
        now, seen = self._clock(), self._seen.get(path)
        if seen is None or seen.signature != signature:
            self._seen[path] = _Seen(signature, now)
            return False
        return now - seen.since >= self._settles and age < _FULL_LOOK

    def _signature(self, path: Path) -> str | None:
        """What the DAGs of the file depend on; None: nobody can say."""
        released = _FILES / path.name
        if not released.is_file() or path.read_bytes() != released.read_bytes():
            return None
        facts: list[Any] = [path.stat().st_mtime_ns]
        if path.name == _WORKFLOWS:
            if (stamps := self._stamps()) is None:
                return None
            # Bindings may be in a file, and decide which calls the triggerer makes.
            facts += [sorted(stamps.items()), sorted(self._settings.awaited)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _stamps(self) -> dict[str, str] | None:
        return self._catalogue.stamps() if self._settings.definitions_folder else self._catalogue.brought()
