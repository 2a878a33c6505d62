"""Small definitions for tests, from a few lines of nodes."""

from __future__ import annotations

from typing import Any

import yaml

from cch.definition.reader import read_definition
from cch.graph.build import build_graph
from cch.graph.model import Graph


def definition_text(nodes: str, entry: str = "", **top: Any) -> str:
    """A whole definition around the YAML of its nodes; the first node is the entry unless told."""
    body = "\n".join(f"  {line}" for line in nodes.strip("\n").splitlines())
    first = entry or next(iter(yaml.safe_load(nodes)))
    head = {"workflow_id": "w", "workflow_name": "W", **top}
    return f"{yaml.safe_dump(head)}entry_point: {first}\nnodes:\n{body}\n"


def graph_of(nodes: str, entry: str = "", **top: Any) -> Graph:
    """The graph of such a definition; only the schema is checked."""
    return build_graph(read_definition(definition_text(nodes, entry, **top), "w.yaml"))
