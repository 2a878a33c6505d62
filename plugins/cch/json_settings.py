"""Settings that are given as JSON, or as the path of a file of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cch.errors import SettingsError

#: Kinds of incidents, as settings and the API name them.
INCIDENT_KINDS = ("failed", "late", "start", "definition", "orphan")


@dataclass(frozen=True, slots=True)
class NotifierSetting:
    """One of Airflow's notifiers: its class, its arguments as JSON, and the kinds of incidents (none: all)."""

    notifier: str
    arguments: str = "{}"
    kinds: tuple[str, ...] = ()

    @property
    def given(self) -> dict[str, Any]:
        """The arguments."""
        made: dict[str, Any] = json.loads(self.arguments)
        return made


def _json(variable: str, text: str) -> Any:
    """:raises SettingsError: it is neither JSON nor the path of a file of JSON."""
    try:
        return json.loads(text if text[0] in "[{" else Path(text).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{variable}: {error}") from None


def notifier_settings(text: str) -> tuple[NotifierSetting, ...]:
    """Of ``[{"notifier": "module.Class", "arguments": {…}, "kinds": […]}]``.

    :raises SettingsError: it has another form; the message says which.
    """
    variable = "CCH_INCIDENT_NOTIFIERS"
    raw = _json(variable, text.strip()) if text.strip() else []
    if not isinstance(raw, list):
        raise SettingsError(f"{variable}: give a JSON list of notifiers")
    made = []
    for each in raw:
        if not isinstance(each, dict) or not each.keys() <= {"notifier", "arguments", "kinds"}:
            raise SettingsError(f"{variable}: each notifier is an object with notifier, arguments and kinds")
        name, arguments, kinds = each.get("notifier"), each.get("arguments", {}), each.get("kinds", [])
        if not isinstance(name, str) or "." not in name:
            raise SettingsError(f"{variable}: notifier is {name!r}: name a class, with its module")
        if not isinstance(arguments, dict):
            raise SettingsError(f"{variable}: the arguments of {name} are not an object")
        if not isinstance(kinds, list) or not set(map(str, kinds)) <= set(INCIDENT_KINDS):
            raise SettingsError(f"{variable}: the kinds of {name} are some of {', '.join(INCIDENT_KINDS)}")
        made.append(NotifierSetting(name, json.dumps(arguments, sort_keys=True), tuple(map(str, kinds))))
    return tuple(made)


def json_setting(variable: str, text: str) -> Mapping[str, str]:
    """An object of texts that a setting gives: as JSON, or the path of a file of JSON.

    :raises SettingsError: it is neither, or has other values than texts.
    """
    text = text.strip()
    if not text:
        return {}
    raw = _json(variable, text)
    if not isinstance(raw, dict) or not all(isinstance(value, str) for value in raw.values()):
        raise SettingsError(f"{variable}: give a JSON object whose values are texts")
    return raw
