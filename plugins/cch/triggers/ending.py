"""How our region triggers let go of a task: checked, because one bad value in an XCom kills every triggerer."""

from __future__ import annotations

import json
import logging

from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from cch.operators.decision import DECISION_KEY, decision
from cch.runtime.region_task import RegionEnd

log = logging.getLogger(__name__)

#: A decision names tasks; one with more bytes than this holds something else.
_MOST_BYTES = 200_000


def _is_safe(followed: tuple[str, ...]) -> bool:
    """Only short texts that every store and channel can hold."""
    try:
        text = json.dumps(followed, ensure_ascii=False).encode("utf-8")
    except (TypeError, ValueError):
        return False
    return len(text) <= _MOST_BYTES and all(isinstance(task_id, str) for task_id in followed)


def end_task(end: RegionEnd) -> TriggerEvent:
    """The event that ends the task as ``end`` says, or gives it to a worker."""
    if end.state == "worker":
        log.warning("a worker goes on: %s", end.reason)
        return TriggerEvent({"reason": end.reason})
    if end.state == "skipped":
        return TaskSkippedEvent()
    if end.state == "success" and end.followed is None:
        return TaskSuccessEvent()
    if end.state == "success" and end.followed is not None and _is_safe(end.followed):
        return TaskSuccessEvent(xcoms={DECISION_KEY: decision(end.followed)})
    log.error("task failed: %s", end.reason or "its decision cannot be stored")
    return TaskFailedEvent()
