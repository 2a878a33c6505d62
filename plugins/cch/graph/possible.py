"""What the value can be by which a condition decides, as text; and labels that it can therefore never have."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cch.definition.document import Document
from cch.definition.json_schemas import schema_at
from cch.definition.kinds import Requesting
from cch.definition.nodes import OTHERWISE, Node
from cch.definition.paths import read_path
from cch.definition.schema import did_you_mean
from cch.errors import Problem
from cch.graph.contracted import answer_at, keys_brought, keys_of_error
from cch.graph.flows import FAILING, constant_at, start_keys
from cch.graph.labels import label_fault
from cch.graph.model import STATUS, Edge, Graph
from cch.graph.statuses import REPLIES, meant_status
from cch.values import MISSING, as_text

#: Texts that a value may have; None: any.
Texts = frozenset[str] | None
_NOTHING = frozenset({"null"})
#: How numbers begin, whatever they are: see :func:`may_be`.
_NUMBER = "a number"


def texts_of_schema(schema: Any, *, absent: bool) -> Texts:
    """The texts of the values that fit a JSON Schema; ``absent``: or nothing."""
    none = frozenset({"null"} if absent else ())
    if not isinstance(schema, Mapping):
        return None
    if "const" in schema:
        return frozenset({as_text(schema["const"])}) | none
    if isinstance(schema.get("enum"), list):
        return frozenset(map(as_text, schema["enum"])) | none
    kinds = schema.get("type")
    found: set[str] = set(none)
    for kind in [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else ["any"]:
        match kind:
            case "boolean":
                found |= {"true", "false"}
            case "null":
                found.add("null")
            case "number" | "integer":
                found.add(_NUMBER)
            case _:
                return None
    return frozenset(found)


def may_be(label: str, texts: frozenset[str]) -> bool:
    """Whether one of the texts is the label."""
    if label in texts:
        return True
    if _NUMBER not in texts:
        return False
    try:
        return isinstance(json.loads(label), int | float)
    except ValueError:
        return False


@dataclass(frozen=True)
class _Key:
    graph: Graph
    path: str

    @property
    def steps(self) -> tuple[str, ...]:
        return read_path(self.path, self.graph.definition.reading_rules).steps

    def at_start(self) -> Texts:
        given, root = start_keys(self.graph), self.steps[0]
        if given is None or root.startswith("_"):
            return None
        if root not in given:
            return frozenset({"null"})
        schema, absent = schema_at(self.graph.definition.required.get(root, True), self.steps[1:])
        return texts_of_schema(schema, absent=absent)

    def after(self, node: Node, label: str, before: Texts) -> Texts:
        """What it may be on the way ``label`` of a node, if it was ``before`` at its beginning."""
        if label in FAILING:
            return self._after_failure(node, label, before)
        if node.decides_by == self.path and node.labels:
            return self._decided(node, label, before)
        if self.path == STATUS and isinstance(node, Requesting) and label != node.at_once:
            return REPLIES if self.graph.error_goes_on(node) else frozenset({"SUCCESS"})
        answer = answer_at(self.graph, node, self.steps) if label != node.at_once else None
        if answer is not None:
            texts, others = texts_of_schema(answer[0], absent=False), before if answer[1] else frozenset()
            return None if texts is None or others is None else texts | others
        constant = constant_at(self.graph, node, self.steps)
        if constant is not MISSING:
            return frozenset({as_text(constant)})
        if node.form is not None and not node.writes_anything:
            schema, absent = schema_at(node.form, self.steps)
            return texts_of_schema(schema, absent=absent)
        rules = self.graph.definition.reading_rules
        writes = any(write.path(rules).root == self.steps[0] for write in node.writes())
        return None if writes or self._answers_may_write(node) else before

    def _answers_may_write(self, node: Node) -> bool:
        known = keys_brought(self.graph, node)
        return node.writes_anything and (known is None or self.steps[0] in known[0])

    def _after_failure(self, node: Node, label: str, before: Texts) -> Texts:
        if not isinstance(node, Requesting) or label == "on_timeout":
            return before
        if self.path == STATUS:
            return None if before is None else before | {"ERROR"}
        of_errors = keys_of_error(self.graph, node)
        known = of_errors is not None and self.steps[0] not in of_errors
        return before if known or not node.writes_anything else None

    def _decided(self, node: Node, label: str, before: Texts) -> Texts:
        if label != OTHERWISE:
            return frozenset({label})
        return None if before is None else before - set(node.labels)

    def everywhere(self) -> Mapping[str, Texts]:
        """What it may be when each node begins."""
        graph = self.graph
        found: dict[str, Texts] = {graph.entry: self.at_start()}
        todo = deque([graph.entry])
        while todo:
            name = todo.popleft()
            for edge in graph.outgoing(name):
                new = self._joined(found, edge)
                if edge.target not in found or found[edge.target] != new:
                    found[edge.target] = new
                    todo.append(edge.target)
        return found

    def _joined(self, found: Mapping[str, Texts], edge: Edge) -> Texts:
        new = self.after(self.graph.nodes[edge.source], edge.label, found[edge.source])
        if edge.target not in found:
            return new
        old = found[edge.target]
        return None if old is None or new is None else old | new


def impossible_labels(graph: Graph, document: Document) -> Iterator[Problem]:
    """Labels that the value cannot have, by what schemas, constants and replies say of it."""
    values: dict[str, Mapping[str, Texts]] = {}
    for name, node in graph.nodes.items():
        if node.decides_by is None or name not in graph.reachable or graph.definition.speaks.python_labels:
            continue
        if node.decides_by not in values:
            values[node.decides_by] = _Key(graph, node.decides_by).everywhere()
        texts = values[node.decides_by].get(name)
        for label in node.labels if texts is not None else ():
            if label == OTHERWISE or texts is None or texts == _NOTHING or may_be(label, texts):
                continue  # that nobody brings the key at all is said of the key
            if label_fault(label, quoted=("nodes", name, "branches", label) in document.quoted):
                continue
            is_business = node.decides_by == STATUS and not meant_status(label)
            if not is_business:  # else it is said of the status that a reply overwrites
                shown = ", ".join(sorted(texts)) or "nothing"
                hint = did_you_mean(label, texts - set(node.labels)) or "leave it out, or name a value that can be"
                yield document.problem(
                    ("nodes", name, "branches", label), "CCH-G008",
                    f"{node.decides_by} is never {label!r:.80} at {name!r}, but {shown:.200}", hint,
                )  # fmt: skip
        if texts is None:
            yield from _suspicious(graph, document, name, node)


def _suspicious(graph: Graph, document: Document, name: str, node: Node) -> Iterator[Problem]:
    """Labels that are probably misspelt."""
    of_replies = graph.decides_by_status(name)
    for label in node.labels:
        place = ("nodes", name, "branches", label)
        if label.strip("_ ").lower() in ("default", "else", "otherwise", "*") and label != OTHERWISE:
            if OTHERWISE not in node.labels:
                message = f"{label!r} of {name!r} is a value like any other"
                yield document.problem(place, "CCH-G008", message, f"write {OTHERWISE} for all other values")
        elif of_replies and label not in REPLIES and (guess := meant_status(label)):
            message = f"status is never {label!r:.80} after a reply"
            yield document.problem(place, "CCH-G008", message, guess, warning=True)
