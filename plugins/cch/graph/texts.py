"""Texts that probably mean something else: templates, names of functions, capabilities in two spellings."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cch.definition.document import Document, Path
from cch.definition.schema import did_you_mean
from cch.errors import Problem
from cch.expressions.expression import expressions_in
from cch.graph.model import Graph

#: Function of the library → the parameters that it must have, and those that it may.
FUNCTIONS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "s3#read_jsonpath": (frozenset({"input_s3_uri_key", "jsonpath_expression"}), frozenset({"match"})),
    "core#calculate_timedelta": (frozenset({"date_context_key", "timedelta"}), frozenset({"timezone"})),
}
_LENGTHS = ("days", "hours", "minutes", "seconds", "weeks", "milliseconds", "microseconds")
#: Texts of template languages: {{ x }}, ${x}, $.x.
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\$\{.*?\}|^\$\.[A-Za-z_]")
#: Keys whose values are taken as they are.
_LITERAL = ("static_outputs", "on_schedule_set", "parameters", "default_message", "default_error_code")
#: How alike two ids of capabilities are that are probably one.
_ALIKE = 0.92


def _texts(value: Any, place: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*place, index))
    elif isinstance(value, str):
        yield place, value


def literal_templates(graph: Graph, document: Document) -> Iterator[Problem]:
    """Texts that look as if something were to be put into them, where they are taken as they are."""
    for name in graph.nodes:
        node = document.data["nodes"][name]
        for key in _LITERAL:
            if key not in node:
                continue
            place: Path = ("nodes", name, key)
            found = dict(_texts(node[key], place))
            looks = {at for at, text in found.items() if at[-1] != "jsonpath_expression" and _TEMPLATE.search(text)}
            looks |= {(*place, *at) for at, _ in expressions_in(node[key])}
            for at in sorted(looks, key=str):
                instead = "write it under outputs, as {% … %}"
                hint = instead if key == "static_outputs" else "expressions stand elsewhere only"
                message = f"{found[at]!r:.80} is taken as the text that it is"
                yield document.problem(at, "CCH-G117", message, hint, warning=True)


def library_calls(graph: Graph, document: Document) -> Iterator[Problem]:
    """Functions that there are not, and parameters that they do not have."""
    for name, node in graph.nodes.items():
        asked = node.asks
        if asked is None or asked.answerer != "library":
            continue
        place: Path = ("nodes", name)
        known = FUNCTIONS.get(asked.id)
        parameters = document.data["nodes"][name].get("parameters") or {}
        if known is None:
            if guess := did_you_mean(asked.id, FUNCTIONS):
                message = f"there is no library function {asked.id!r:.80}"
                yield document.problem((*place, asked.key), "CCH-G014", message, guess)
            continue
        required, optional = known
        unknown = [key for key in parameters if key not in required | optional and not key.startswith("x-")]
        missing = sorted(required - set(parameters))
        for key in unknown:
            guess = did_you_mean(key, [*missing, *sorted(optional)])
            message = f"{asked.id} has no parameter {key!r:.60}"
            hint = guess or f"it has {', '.join(sorted(required | optional))}"
            yield document.problem((*place, "parameters", key), "CCH-G014", message, hint)
            missing = [each for each in missing if repr(each) not in guess]
        for key in missing:
            message = f"{asked.id} needs the parameter {key!r}"
            yield document.problem((*place, "parameters"), "CCH-G014", message, f"add {key}")
        if asked.id == "core#calculate_timedelta" and "timedelta" in parameters:
            yield from _lengths(document, (*place, "parameters", "timedelta"), parameters["timedelta"])


def _lengths(document: Document, place: Path, length: Any) -> Iterator[Problem]:
    if not isinstance(length, Mapping):
        yield document.problem(place, "CCH-G014", "timedelta is a mapping of lengths", "for example {days: -10}")
        return
    for key, value in length.items():
        if key not in _LENGTHS:
            hint = did_you_mean(key, _LENGTHS) or f"allowed: {', '.join(_LENGTHS)}"
            yield document.problem((*place, key), "CCH-G014", f"timedelta has no {key!r:.60}", hint)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            yield document.problem((*place, key), "CCH-G014", f"{key} is {value!r:.60}", "write a number")


def two_spellings(graph: Graph, document: Document) -> Iterator[Problem]:
    """Ids of capabilities that differ in a letter or two, or in upper and lower case."""
    asked = [
        (name, node.asks) for name, node in graph.nodes.items() if node.asks is not None and node.asks.is_capability
    ]
    counts = Counter(one.id for _, one in asked)
    usual = _usual_spellings(counts)
    for name, one in asked:
        for other in usual.get(one.id, ()):
            message = f"capability {one.id!r:.80} is spelt {other!r:.80} elsewhere"
            hint = "use one spelling, or other names for other things"
            yield document.problem(("nodes", name, one.key), "CCH-G118", message, hint, warning=True)


@dataclass(frozen=True, slots=True)
class _Spelling:
    """An id as it is compared: without what people leave out, then without numbers, whole and in its two parts."""

    plain: str
    letters: str
    service: str
    operation: str

    @classmethod
    def of(cls, capability_id: str) -> _Spelling:
        plain = re.sub(r"[^a-z0-9#]", "", capability_id.lower())
        letters = re.sub(r"[0-9]", "", plain)
        service, _, operation = letters.partition("#")
        return cls(plain, letters, service, operation or letters)


def _usual_spellings(counts: Mapping[str, int]) -> Mapping[str, list[str]]:
    """Id → those that look like it and are used more often, in the order of ``counts``."""
    spellings = {each: _Spelling.of(each) for each in counts}
    found: dict[str, list[str]] = {}
    for other, usual in spellings.items():
        # A matcher learns its second text once.
        whole = difflib.SequenceMatcher(None, "", usual.letters)
        part = difflib.SequenceMatcher(None, "", usual.operation)
        for one, spelling in spellings.items():
            if (counts[other], other) <= (counts[one], one):
                continue
            in_letters = (
                _are_alike(part, spelling.operation, usual.operation)
                if spelling.service == usual.service
                else _are_alike(whole, spelling.letters, usual.letters)
            )
            if spelling.plain == usual.plain or in_letters:
                found.setdefault(one, []).append(other)
    return found


def _are_alike(matcher: difflib.SequenceMatcher[str], one: str, other: str) -> bool:
    """Whether two texts differ in little, but in something; ``matcher`` has learnt ``other``."""
    matcher.set_seq1(one)
    bounds = matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio  # each costs more than the one before
    return one != other and all(ratio() >= _ALIKE for ratio in bounds)
