"""The graph as a Mermaid flowchart and as plain data."""

from __future__ import annotations

from typing import Any

from cch.graph.model import Graph
from cch.graph.regions import carriers, plan_regions
from cch.graph.scopes import root_scope

#: Shape of a node → the brackets around its text.
_BRACKETS = {
    "terminal": ("([", "])"),
    "decision": ("{", "}"),
    "parallel": ("[/", "/]"),
    "request": ("[[", "]]"),
    "event": ("((", "))"),
    "step": ("[", "]"),
}


def _quoted(text: str) -> str:
    return text.replace('"', "#quot;")


def mermaid(graph: Graph) -> str:
    """A flowchart; a node's second line says what kind it is or whom it asks."""
    ids = {name: f"n{number}" for number, name in enumerate(graph.nodes)}
    lines = ["flowchart TD"]
    for name, node in graph.nodes.items():
        opening, closing = _BRACKETS[node.shape]
        second = node.asks.id if node.asks else node.type
        lines.append(f'    {ids[name]}{opening}"{_quoted(node.title or name)}<br/>{_quoted(second)}"{closing}')
    for edge in graph.edges:
        arrow = "-.->" if edge.implied else "-->"
        lines.append(f'    {ids[edge.source]} {arrow}|"{_quoted(edge.label)}"| {ids[edge.target]}')
    return "\n".join(lines) + "\n"


def as_data(graph: Graph) -> dict[str, Any]:
    """Nodes, edges and regions as JSON values."""
    regions = plan_regions(root_scope(graph))
    carrier = carriers(regions)
    return {
        "workflow_id": graph.definition.workflow_id,
        "entry": graph.entry,
        "nodes": [
            {
                "name": name,
                "type": node.type,
                "title": node.title or name,
                "region": carrier.get(name),
                "line": node.line,
                "column": node.column,
            }
            for name, node in graph.nodes.items()
        ],
        "edges": [
            {"source": e.source, "label": e.label, "target": e.target, "implied": e.implied} for e in graph.edges
        ],
        "regions": [
            {"head": r.head, "kind": r.kind, "cyclic": r.cyclic, "nodes": list(r.nodes)} for r in regions.values()
        ],
    }
