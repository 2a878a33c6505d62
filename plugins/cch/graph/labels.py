"""Labels of conditions that no value can ever have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from cch.definition.document import Document
from cch.definition.scalars import NoValueError, newest_reading
from cch.dialects import OWN, Dialect
from cch.errors import Problem
from cch.graph.model import Graph

#: Other spellings of true, false and null, in YAML and in Python.
_OTHER_WORDS = {
    "True": "true", "TRUE": "true", "False": "false", "FALSE": "false", "Null": "null", "NULL": "null", "None": "null",
}  # fmt: skip
#: Those of them that some dialects take.
_OF_PYTHON = frozenset({"True", "False", "None"})
_COMPARISON = re.compile(r"\s*(?:[<>!=]=?|<>|~)\s*\S.*", re.DOTALL)


def label_fault(label: str, *, quoted: bool, dialect: Dialect = OWN) -> str:
    """Why no value reads as the label; "" if one may."""
    if dialect.python_labels and label in _OF_PYTHON:
        return ""
    if label in _OTHER_WORDS:
        return f"values read as they do in JSON: write {_OTHER_WORDS[label]}"
    if _COMPARISON.fullmatch(label):
        return "labels are compared with the whole value: let an earlier node compute what to decide by"
    if quoted:
        return ""
    try:
        value = newest_reading(label).value
    except NoValueError:
        return "JSON has no such number"
    if isinstance(value, int | float) and not isinstance(value, bool) and json.dumps(value) != label:
        return f"the number reads {json.dumps(value)}: write that, or put the label in quotes for a text"
    return ""


def dead_labels(graph: Graph, document: Document) -> Iterator[Problem]:
    """Every label of a condition that can never match."""
    for name, node in graph.nodes.items():
        for label in node.labels:
            path = ("nodes", name, "branches", label)
            if fault := label_fault(label, quoted=path in document.quoted, dialect=graph.definition.speaks):
                yield document.problem(path, "CCH-G008", f"no value of {name!r} reads {label!r:.80}", fault)
