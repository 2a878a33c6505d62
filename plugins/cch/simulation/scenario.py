"""Scenario files: what the world does during a run, and what is expected of it. The mock reads the same files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cch.definition.dates import DateError, milliseconds, read_date
from cch.definition.document import Document, read_document
from cch.definition.rules import NEWEST
from cch.durations import parse_duration
from cch.errors import DefinitionError, Problem
from cch.identity import THE_INSTANCE, Address, branch_text
from cch.interpreter.context import PathError, as_text, merge, read_path

#: What the top level of a scenario may hold.
_KEYS = {
    "name", "description", "workflow", "start", "correlation_id", "context", "lists", "objects", "capabilities",
    "events", "expect", "time_scale", "count_per",
}  # fmt: skip
_ANSWER_KEYS = {
    "status", "payload", "after", "branch", "duplicate", "never", "malformed", "echo", "before", "out_of_order",
    "description",
}  # fmt: skip
_EVENT_KEYS = {"after", "payload", "branch", "status", "id", "description", "by"}
_LIST_KEYS = {"count", "item"}
_EXPECT_KEYS = {"status", "visited", "context", "requests", "messages", "elapsed"}
#: Most items of a list that is given by their number: as many values as a file may have.
_MOST_ITEMS = 200_000
_DEFAULT_START = datetime(2026, 1, 5, 8, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedAnswer:
    """One answer of a capability; ``after`` in seconds, ``copies`` how often it is sent in all."""

    status: str = "SUCCESS"
    payload: Mapping[str, Any] | None = None
    after: float = 0.0
    copies: int = 1
    never: bool = False
    malformed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedEvent:
    """One event, ``after`` seconds from the start."""

    id: str
    after: float
    payload: Mapping[str, Any]
    #: The item of a map that is meant.
    address: Address = THE_INSTANCE
    status: str = ""
    #: Whether a person fills it in, so that the API refuses what does not fit the form of the node that waits.
    by_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario; ``start`` in ms. ``answers``: capability → branch key ("" for all) → answers in order."""

    name: str
    workflow: str
    start: int
    correlation_id: str
    context: Mapping[str, Any]
    objects: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Mapping[str, Sequence[ScriptedAnswer]]] = field(default_factory=dict)
    events: tuple[ScriptedEvent, ...] = ()
    expect: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    #: What may have been meant otherwise.
    notes: tuple[Problem, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)


class _Reader:
    """Collects everything that is wrong with a file."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = list(document.problems)

    def report(self, path: tuple[str | int, ...], message: str, hint: str = "") -> None:
        self.problems.append(self.document.problem(path, "CCH-D030", message, hint))

    def keys(self, value: Any, path: tuple[str | int, ...], allowed: set[str]) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self.report(path, f"{path[-1] if path else 'a scenario'} must be a mapping")
            return {}
        for key in value:
            if key not in allowed and not key.startswith("x-"):
                self.report((*path, key), f"unknown key {key!r}", f"allowed: {', '.join(sorted(allowed))}")
        return value

    def mapping(self, raw: Mapping[str, Any], key: str, path: tuple[str | int, ...]) -> Mapping[str, Any]:
        value = raw.get(key) or {}
        if not isinstance(value, dict):
            self.report((*path, key), f"{key!r} must be a mapping")
            return {}
        return value

    def context(self, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """The context, with the lists that are given by the number of their items."""
        context = self.mapping(raw, "context", ())
        for key, spec in self.mapping(raw, "lists", ()).items():
            path = ("lists", key)
            many = self.keys(spec, path, _LIST_KEYS)
            count = many.get("count")
            if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= _MOST_ITEMS:
                hint = "give count: 1000 and an item"
                self.report(path, f"a list needs the count of its items, at most {_MOST_ITEMS}", hint)
                continue
            items = [_numbered(many.get("item"), number) for number in range(1, count + 1)]
            try:
                context = merge(context, read_path(key, NEWEST).patch(context, items))
            except PathError as error:
                self.report(path, str(error))
        return context

    def seconds(self, raw: Mapping[str, Any], path: tuple[str | int, ...]) -> float:
        try:
            return parse_duration(raw.get("after", 0))
        except ValueError as error:
            self.report((*path, "after"), str(error))
            return 0.0

    def answers(self, raw: Mapping[str, Any]) -> dict[str, dict[str, list[ScriptedAnswer]]]:
        found: dict[str, dict[str, list[ScriptedAnswer]]] = {}
        for capability, listed in self.mapping(raw, "capabilities", ()).items():
            if not isinstance(listed, list):
                self.report(("capabilities", capability), "answers must be a list")
                continue
            for index, each in enumerate(listed):
                path = ("capabilities", capability, index)
                answer = self.keys(each, path, _ANSWER_KEYS)
                branch = _text(answer, "branch")
                found.setdefault(capability, {}).setdefault(branch, []).append(self.answer(answer, path))
        return found

    def answer(self, raw: Mapping[str, Any], path: tuple[str | int, ...]) -> ScriptedAnswer:
        status = raw.get("status", "SUCCESS")
        if status not in ("SUCCESS", "ERROR"):
            self.report((*path, "status"), f"status is {status!r}", "use SUCCESS or ERROR")
        copies = raw.get("duplicate", 1)
        if not isinstance(copies, int) or isinstance(copies, bool) or copies < 1:
            self.report((*path, "duplicate"), "duplicate is the number of sendings, at least 1")
            copies = 1
        return ScriptedAnswer(
            status=str(status),
            payload=self.mapping(raw, "payload", path) if "payload" in raw else None,
            after=self.seconds(raw, path),
            copies=copies,
            never=bool(raw.get("never")),
            malformed=bool(raw.get("malformed")),
        )

    def events(self, raw: Mapping[str, Any]) -> tuple[ScriptedEvent, ...]:
        listed = raw.get("events") or []
        if not isinstance(listed, list):
            self.report(("events",), "events must be a list")
            return ()
        found = []
        for index, each in enumerate(listed):
            path = ("events", index)
            event = self.keys(each, path, _EVENT_KEYS)
            found.append(
                ScriptedEvent(
                    id=_text(event, "id", f"event-{index}"),
                    after=self.seconds(event, path),
                    payload=self.mapping(event, "payload", path),
                    address=self.address(event, path),
                    status=_text(event, "status"),
                    by_person=self.by(event, path),
                )
            )
        return tuple(found)

    def by(self, event: Mapping[str, Any], path: tuple[str | int, ...]) -> bool:
        """Whether a person sends the event; else a system does."""
        given = _text(event, "by", "system")
        if given not in ("person", "system"):
            self.report((*path, "by"), f"by is {given!r}: write person or system")
        return given == "person"

    def address(self, event: Mapping[str, Any], path: tuple[str | int, ...]) -> Address:
        """``branch`` of an event: the item's own key, or a list of keys from the outside in."""
        given = event.get("branch", "")
        if not isinstance(given, list):
            return Address.of_key(branch_text(given))
        if not given or any(isinstance(key, dict | list) or key is None for key in given):
            self.report((*path, "branch"), "branch must be a branch key, or a list of them from the outside in")
            return Address()
        return Address(tuple(map(branch_text, given)), whole=len(given) > 1)

    def start(self, raw: Mapping[str, Any]) -> int:
        try:
            return milliseconds(read_date(raw.get("start", _DEFAULT_START.isoformat())))
        except DateError as error:
            self.report(("start",), f"start is {raw['start']!r}: {error}")
            return milliseconds(_DEFAULT_START)


def _text(raw: Mapping[str, Any], key: str, default: str = "") -> str:
    """A value as the text that names it; null and nothing are the default."""
    value = raw.get(key)
    return default if value is None else as_text(value)


def _numbered(value: Any, number: int) -> Any:
    """``value`` with ``{number}`` filled into its texts."""
    match value:
        case str():
            return value.replace("{number}", str(number))
        case dict():
            return {key: _numbered(each, number) for key, each in value.items()}
        case list():
            return [_numbered(each, number) for each in value]
        case _:
            return value


def read_scenario(text: str, file: str = "") -> Scenario:
    """Read one scenario.

    :raises DefinitionError: with every problem of the file.
    """
    document = read_document(text, file)
    reader = _Reader(document)
    raw = reader.keys(document.data, (), _KEYS)
    reader.keys(raw.get("expect") or {}, ("expect",), _EXPECT_KEYS)
    scenario = Scenario(
        name=_text(raw, "name", file),
        workflow=_text(raw, "workflow"),
        start=reader.start(raw),
        correlation_id=_text(raw, "correlation_id"),
        context=reader.context(raw),
        objects=reader.mapping(raw, "objects", ()),
        answers=reader.answers(raw),
        events=reader.events(raw),
        expect=reader.mapping(raw, "expect", ()),
        file=file,
        notes=document.findings,
        raw=raw,
    )
    if reader.problems:
        raise DefinitionError(reader.problems)
    return scenario
