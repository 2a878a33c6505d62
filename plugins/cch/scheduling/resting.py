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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cch
from cch.errors import CchError
from cch.runtime.courier import Courier
from cch.runtime.definitions import open_catalogue
from cch.scheduling.probing import Hook, Need, has_parameters, mentions
from cch.scheduling.replacing import replace

if TYPE_CHECKING:
    from cch.definition.catalogue import Catalogue
    from cch.settings import Settings

log = logging.getLogger(__name__)

#: The DAG files as they are released; one that somebody has changed is parsed as ever.
_FILES = Path(cch.__file__).parent / "dag_files"
_WORKFLOWS = "cch_workflows.py"
#: How long (s) a file is parsed as ever after a change: Airflow stores a DAG at most every 30 s, and drops what comes
#: earlier (``[core] min_serialized_dag_update_interval``).
_SETTLES = 90.0
#: A file is parsed after this time (s) in any case: somebody may have deleted one of its DAGs.
_FULL_LOOK = 300.0


def _queue_is_filled_by_one_method() -> bool:
    import attrs  # noqa: PLC0415
    from airflow.dag_processing import manager  # noqa: PLC0415 - only a DAG processor needs it

    processor = manager.DagFileProcessorManager
    return (
        list(inspect.signature(processor._add_files_to_queue).parameters) == ["self", "files", "mode"]  # noqa: SLF001
        and mentions(processor.prepare_file_queue, "_add_files_to_queue")
        and {"_file_stats", "_file_process_interval"} <= attrs.fields_dict(processor).keys()
        and has_parameters(manager.DagFileStat, "num_dags", "import_errors", "last_finish_time")
        and isinstance(manager.DagFileInfo.absolute_path, property)
    )


HOOK = Hook(
    name="resting files",
    switch="rest_files",
    without="the DAG files are parsed again and again, though nothing has changed",
    needs=(Need("files are queued for parsing otherwise", _queue_is_filled_by_one_method),),
)


def install(settings: Settings) -> bool:
    """Let the DAG processor of this process leave out what has not changed; whether it does. Once is enough."""
    if not HOOK.may_be_installed(settings):
        return False
    from airflow.dag_processing.manager import DagFileProcessorManager  # noqa: PLC0415

    replace(DagFileProcessorManager, "_add_files_to_queue", partial(_queueing, resting=Resting(settings)))
    return True


def _queueing(original: Callable[..., Any], resting: Resting) -> Callable[..., Any]:
    def add(self: Any, files: Any, *, mode: Any) -> Any:
        # Airflow adds those at the front that are new, or that somebody has asked for.
        chosen = files if mode != "back" else [file for file in files if not _rests(resting, self, file)]
        return original(self, chosen, mode=mode)

    return add


def _rests(resting: Resting, manager: Any, file: Any) -> bool:
    stat = manager._file_stats.get(file)  # noqa: SLF001
    if stat is None or stat.last_finish_time is None:
        return False
    finished = stat.last_finish_time.timestamp()
    age = time.time() - finished
    try:
        # Airflow's own rule. It takes a callback's parse for the file's last one if the callback names a bundle
        # version, as those of pinned runs do; later it would queue the file again and again.
        if age < manager._file_process_interval and file.absolute_path.stat().st_mtime < finished:  # noqa: SLF001
            return True
        return bool(not stat.import_errors and stat.num_dags and resting.may(file.absolute_path, age))
    except (CchError, OSError, ValueError):
        return False  # Airflow says what is wrong with the file


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
        self._folder = settings.definitions_folder
        self._courier = courier or Courier()
        self._clock = clock
        self._seen: dict[Path, _Seen] = {}

    def may(self, path: Path, age: float) -> bool:
        """Whether the file may rest; ``age``: how long ago (s) its last parse ended."""
        if not self._folder:
            self._courier.ensure()
        signature = self._signature(path)
        if signature is None:
            self._seen.pop(path, None)
            return False
        now, seen = self._clock(), self._seen.get(path)
        if seen is None or seen.signature != signature:
            self._seen[path] = _Seen(signature, now)
            return False
        return now - seen.since >= _SETTLES and age < _FULL_LOOK

    def _signature(self, path: Path) -> str | None:
        """What the DAGs of the file depend on; None: nobody can say."""
        text = path.read_bytes()
        if not (_FILES / path.name).is_file() or text != (_FILES / path.name).read_bytes():
            return None
        stamps = self._stamps() if path.name == _WORKFLOWS else {}
        facts = json.dumps([path.stat().st_mtime_ns, sorted(stamps.items())]) if stamps is not None else None
        return hashlib.sha256(facts.encode()).hexdigest() if facts is not None else None

    def _stamps(self) -> dict[str, str] | None:
        return self._catalogue.stamps() if self._folder else self._catalogue.brought()
