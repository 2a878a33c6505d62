"""``x-ignore``: what an author has looked at and left."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cch.definition.document import Document
from cch.errors import Problem

KEY = "x-ignore"


class NodeLines:
    """Which node stands in which lines of a document."""

    def __init__(self, document: Document) -> None:
        at = document.positions.items()
        self._begins = sorted((place.line, str(path[1])) for path, place in at if len(path) == 2 and path[0] == "nodes")
        last = self._begins[-1][0] if self._begins else 0
        #: Where the nodes are over.
        self._over = min((place.line for path, place in at if len(path) == 1 and place.line > last), default=None)

    def node_at(self, line: int) -> str | None:
        """The node in whose lines ``line`` is; None outside of the nodes."""
        index = bisect.bisect_right(self._begins, (line, "\U0010ffff")) - 1
        is_outside = index < 0 or (self._over is not None and line >= self._over)
        return None if is_outside else self._begins[index][1]


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
    lines = NodeLines(document) if here else None
    for problem in problems:
        if problem.severity != "error" and (everywhere or here):
            name = lines.node_at(problem.line) if lines else None
            if problem.code in everywhere | here.get(name or "", frozenset()):
                continue
        yield problem
