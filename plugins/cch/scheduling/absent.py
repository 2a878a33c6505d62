"""Versions that a run is to have and that Airflow's database does not hold: they are read and stored beside the loop.

Airflow keeps a version only if a run has used it when the next one is parsed. The DAG processor never compiles an old
one; here it is compiled once, in a thread of the scheduler, when a run asks for it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from cch.definition.version import Version
from cch.errors import CchError, WrongUseError

log = logging.getLogger(__name__)

#: An answer is believed for this time (s), because a label may lead elsewhere; a wish without one is asked again.
_AGAIN = 10.0
#: So often somebody else may take the number of a version first.
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """A version of a workflow, by what a run says of it."""

    dag_id: str
    #: A stored version, or a name: a number, ``@label``, the beginning of a digest.
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What has become of a wish: the version that it means, which Airflow now holds, or why there is none."""

    version: Version | None = None
    refusal: str = ""


class Finding(Protocol):
    """What finds out which version a wish means, and lets Airflow hold it. Blocking.

    :raises WrongUseError: there is no such version, and waiting does not help.
    :raises CchError: it cannot be had now.
    """

    def __call__(self, wish: Wish) -> Version: ...


class AbsentVersions:
    """Wishes and their answers; one thread, which begins with the first wish."""

    def __init__(self, find: Finding, clock: Callable[[], float] = time.monotonic) -> None:
        self._find = find
        self._clock = clock
        self._answers: dict[Wish, tuple[float, Answer]] = {}
        self._asked: dict[Wish, float] = {}
        self._wishes: queue.SimpleQueue[Wish] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def take(self, wish: Wish) -> Answer | None:
        """The answer; None: not yet, look again with a later round."""
        now = self._clock()
        at, answer = self._answers.get(wish, (float("-inf"), None))
        if answer is not None and now - at < _AGAIN:
            return answer
        if now - self._asked.get(wish, float("-inf")) >= _AGAIN:
            self._asked = {each: when for each, when in self._asked.items() if now - when < _AGAIN} | {wish: now}
            for each in [each for each, (then, _) in list(self._answers.items()) if now - then >= _AGAIN]:
                self._answers.pop(each, None)
            self._wishes.put(wish)
            self._ensure_thread()
        return None

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="cch versions", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            self.answer_one(self._wishes.get())

    def answer_one(self, wish: Wish) -> None:
        """Find one version; what fails is asked again."""
        try:
            answer = Answer(version=self._find(wish))
        except WrongUseError as error:
            # A run that has not begun fails with this; one that has begun goes no further, and says nothing itself.
            log.warning("there is no version %s of %s: %s", wish.name, wish.dag_id, error)
            answer = Answer(refusal=str(error))
        except CchError as error:
            log.warning("version %s of %s cannot be had yet: %s", wish.name, wish.dag_id, error)
            return
        except Exception:
            log.exception("version %s of %s cannot be stored", wish.name, wish.dag_id)
            return
        self._answers[wish] = (self._clock(), answer)


def store_version(dag_id: str, version: Version, compiled: Any) -> None:
    """Let Airflow hold a version, as if it had been served once, but never as its newest.

    ``compiled``: its DAG. Does nothing if Airflow holds the version, or has no such DAG. Several may do so at once, of
    one version or of several: who finds the number taken looks again.
    """
    from sqlalchemy.exc import IntegrityError  # noqa: PLC0415 - as below

    for left in reversed(range(_TRIES)):
        try:
            _store(dag_id, version, compiled)
        except IntegrityError:
            if not left:
                raise
        else:
            return


def _store(dag_id: str, version: Version, compiled: Any) -> None:
    from airflow.models.dag import DagModel  # noqa: PLC0415 - only the scheduler needs Airflow's models
    from airflow.models.dag_version import DagVersion  # noqa: PLC0415
    from airflow.models.dagcode import DagCode  # noqa: PLC0415
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415
    from airflow.serialization.serialized_objects import LazyDeserializedDAG  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import func, select  # noqa: PLC0415

    with create_session() as session:
        model = session.get(DagModel, dag_id)
        held = select(DagVersion.id).where(DagVersion.dag_id == dag_id, DagVersion.bundle_version == str(version))
        if model is None or session.scalar(held.limit(1)) is not None:
            return
        compiled.fileloc, compiled.relative_fileloc = model.fileloc, model.relative_fileloc
        lowest = session.scalar(select(func.min(DagVersion.version_number)).where(DagVersion.dag_id == dag_id))
        row = DagVersion(
            dag_id=dag_id,
            # Airflow serves the version with the highest number, and numbers what it serves from 1 on.
            version_number=min(lowest if lowest is not None else 1, 1) - 1,
            bundle_name=model.bundle_name,
            bundle_version=str(version),
        )
        session.add(row)
        serialized = SerializedDagModel(LazyDeserializedDAG.from_dag(compiled))
        serialized.dag_version = row
        session.add(serialized)
        DagCode.write_code(row, model.fileloc, session=session)
