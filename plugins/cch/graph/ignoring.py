"""``x-ignore``: what an author has looked at and left."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cch.definition.document import Document
from cch.errors import Problem

KEY = "x-ignore"


def node_at(document: Document, line: int) -> str | None:
    """The node in whose lines ``line`` is; None outside of the nodes."""
    places = sorted(
        (place.line, path[1]) for path, place in document.positions.items() if len(path) == 2 and path[0] == "nodes"
    )
    index = bisect.bisect_right(places, (line, "\U0010ffff")) - 1
    if index < 0:
        return None
    after = [place.line for path, place in document.positions.items() if len(path) == 1 and place.line > places[-1][0]]
    return None if after and line >= min(after) else str(places[index][1])


def _codes(value: Any) -> frozenset[str]:
    """The codes under ``x-ignore``: a list of them, each with its reason behind it if there is one, or a mapping."""
    listed = value if isinstance(value, list | Mapping) else [value]
    return frozenset(str(each).split(":", maxsplit=1)[0].split(" ", maxsplit=1)[0].strip() for each in listed)


def without_ignored(problems: Iterable[Problem], document: Document) -> Iterator[Problem]:
    """Without the warnings and advice that their node, or the whole file, says to leave. Errors stay."""
    data = document.data if isinstance(document.data, Mapping) else {}
    nodes = data.get("nodes")
    everywhere = _codes(data[KEY]) if KEY in data else frozenset[str]()
    here: dict[str, frozenset[str]] = {}
    for name, node in nodes.items() if isinstance(nodes, Mapping) else ():
        if isinstance(node, Mapping) and KEY in node:
            here[name] = _codes(node[KEY])
    for problem in problems:
        if problem.severity != "error" and (everywhere or here):
            name = node_at(document, problem.line) if here else None
            if problem.code in everywhere | here.get(name or "", frozenset()):
                continue
        yield problem
