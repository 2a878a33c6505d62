"""The types of lifecycle events, and which of them a setting chooses."""

from __future__ import annotations

from typing import Literal, get_args

from cch.errors import SettingsError

EventType = Literal[
    "WorkflowStateChange",
    "WorkflowInstanceStarted",
    "RequestSent",
    "RequestAnswered",
    "EventWaitStarted",
    "EventWaitEnded",
    "MapStarted",
    "BranchEnded",
    "WorkflowInstanceEnded",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
#: Stands for all of them.
ALL = "all"


def chosen_types(setting: str) -> frozenset[EventType]:
    """The types that a setting names, separated by commas.

    :raises SettingsError: it names none, or one that there is not.
    """
    names = [name.strip() for name in setting.split(",") if name.strip()]
    if names == [ALL]:
        return frozenset(EVENT_TYPES)
    unknown = [name for name in names if name not in EVENT_TYPES]
    if unknown or not names:
        what = f"there is no type {unknown[0]!r}" if unknown else "it names no type"
        raise SettingsError(f"CCH_LIFECYCLE_EVENTS={setting!r}: {what}; use {ALL}, or some of {', '.join(EVENT_TYPES)}")
    return frozenset(each for each in EVENT_TYPES if each in names)
