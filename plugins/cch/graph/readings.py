"""Paths and expressions of a definition: those that can never match, and those that the newest rules read otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cch.definition.dates import DateError, zone_of
from cch.definition.document import Document, Path
from cch.definition.jsonpath import is_single
from cch.definition.kinds import Calling
from cch.definition.nodes import LibraryCall, ScheduledRequest
from cch.definition.paths import key_fault, path_fault, read_path
from cch.definition.rules import NEWEST
from cch.definition.uses import Read, Write
from cch.errors import CapabilityError, Problem
from cch.graph.model import Graph

_EXPRESSION = "jsonpath_expression"


def _all_paths(graph: Graph, document: Document) -> Iterator[tuple[Path, Read | Write]]:
    """Every path of a definition, with its place; not what is one key by all rules."""
    raw = document.data.get("initial_context", [])
    for index, key in enumerate(raw):
        place: Path = ("initial_context", key if isinstance(raw, Mapping) else index)
        yield place, Read(place=place, text=key, reading="once_literal")
    for name, node in graph.nodes.items():
        uses: tuple[Read | Write, ...] = (*node.reads(), *node.writes())
        for used in uses:
            if used.reading != "key":
                yield ("nodes", name, *used.place), used


def bad_paths(graph: Graph, document: Document) -> Iterator[Problem]:
    """Paths that can never match anything, and expressions that are none."""
    for place, used in _all_paths(graph, document):
        fault = path_fault(used.text)
        if not fault and isinstance(used, Read) and used.sent and used.text.startswith("_"):
            fault = "keys that begin with _ never leave the platform; internalError and errorNode name the failure"
        if fault:
            yield document.problem(place, "CCH-G009", f"the path {used.text!r:.80} can never match", fault)
    for name, node in graph.maps.items():
        if fault := key_fault(node.item_key):
            message = f"the item is not found under {node.item_key!r:.80}"
            yield document.problem(("nodes", name, "item_key"), "CCH-G009", message, fault)
    for place, text, _ in _expressions(graph):
        try:
            is_single(text)
        except CapabilityError as error:
            yield document.problem(place, "CCH-G009", str(error), "see docs/language.md")


def _expressions(graph: Graph) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    for name, node in graph.nodes.items():
        if not isinstance(node, LibraryCall) or node.library_function_id != "s3#read_jsonpath":
            continue
        if isinstance(text := node.parameters.get(_EXPRESSION), str):
            yield ("nodes", name, "parameters", _EXPRESSION), text, node.parameters


def bad_zones(graph: Graph, document: Document) -> Iterator[Problem]:
    """Names of time zones that there are not."""
    for name, node in graph.nodes.items():
        zone: Any = None
        if isinstance(node, ScheduledRequest):
            key, zone = "schedule_parameters", node.timezone
        elif isinstance(node, LibraryCall) and node.library_function_id == "core#calculate_timedelta":
            key, zone = "parameters", node.parameters.get("timezone")
        if zone is None:
            continue
        try:
            zone_of(str(zone))
        except DateError as error:
            yield document.problem(("nodes", name, key, "timezone"), "CCH-D029", str(error), "see docs/language.md")


def other_readings(graph: Graph, document: Document) -> Iterator[Problem]:
    """What instances that began by the first rules read otherwise than new ones; scalars say it themselves."""

    def differs(place: Path, now: str, before: str, hint: str) -> Problem:
        message = f"{now}; for instances that began by the first rules {before}"
        return document.problem(place, "CCH-D006", message, hint, warning=True)

    for place, used in _all_paths(graph, document):
        steps = read_path(used.text, NEWEST).steps
        if path_fault(used.text):
            continue
        if used.reading == "once_literal" and len(steps) > 1:
            hint = f"write {used.text.replace('.', chr(92) + '.')} for the key with dots, or nest the keys"
            yield differs(place, f"{used.text!r} is a path now", "it is a key with dots", hint)
        elif isinstance(used, Write) and any(step.isdecimal() for step in steps[1:]):
            yield differs(
                place, f"{used.text!r} writes into an item of a list now", "it replaces the list by an object",
                "nothing has to be done if the item is meant",
            )  # fmt: skip
    for place, text, parameters in _expressions(graph):
        try:
            several = not is_single(text)
        except CapabilityError:
            continue
        if several and parameters.get("match") is None:
            yield differs(
                place, f"{text!r:.80} gives a list now, also of one match or none",
                "one match is the value and none a failure", "say which is meant: match: first, or match: all",
            )  # fmt: skip
    for name, node in graph.nodes.items():
        if isinstance(node, Calling) and node.timeout == 0:
            place = ("nodes", name, "timeout")
            yield differs(place, "a timeout of 0s is up at once now", "it is no limit", "leave it out for no limit")
    looping = frozenset[str]().union(*graph.cycles)
    for name, node in graph.nodes.items():
        if name in looping and node.on_failure is not None and "max_visits" in document.data["nodes"][name]:
            said = differs(
                ("nodes", name, "max_visits"),
                f"the visit of {name!r} after the last fails the instance now",
                "and the second ones it goes on_failure",
                "let an earlier condition lead out of the loop, if somebody is to be told",
            )
            yield replace(said, severity="advice")
