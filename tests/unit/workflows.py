"""Small definitions for tests, from a few lines of nodes."""

from __future__ import annotations

from typing import Any

import yaml

from cch.definition.reader import read_definition
from cch.graph.build import build_graph
from cch.graph.model import Graph

#: Two branches, a join, and a request behind it.
JOINED = """
workflow_id: joined
workflow_name: Two branches and a join
entry_point: F
nodes:
  F: {type: fork, branches: [A, B]}
  A: {type: async_request, capability_id: a#x, on_response: A_End, on_failure: A_End}
  A_End: {type: end_branch}
  B: {type: async_request, capability_id: b#x, on_response: B_End, on_failure: B_End}
  B_End: {type: end_branch}
  J: {type: join, join_branches: [A, B], on_success: After}
  After: {type: async_request, capability_id: c#x, on_response: Done, on_failure: Done}
  Done: {type: end}
"""
#: Blocks of :func:`large_definition`.
BLOCKS = 50
#: Ten nodes: a request with its condition, a correction loop, and a fork with its join.
_BLOCK = """
  Ask_{n}: {{type: async_request, capability_id: "a#x", timeout: 1h, on_response: Check_{n}, on_failure: Log}}
  Check_{n}: {{type: condition, condition_on_key: status, branches: {{SUCCESS: Split_{n}, _default: Wait_{n}}}}}
  Wait_{n}: {{type: event_wait, event_key: messages, timeout: 1d, on_event: Clear_{n}, on_timeout: Log}}
  Clear_{n}: {{type: set_state, static_outputs: {{status: null}}, on_success: Ask_{n}}}
  Split_{n}: {{type: fork, branches: [Left_{n}, Right_{n}]}}
  Left_{n}: {{type: async_request, capability_id: "b#x", timeout: 1h, on_response: Left_End_{n}, on_failure: Log}}
  Left_End_{n}: {{type: end_branch}}
  Right_{n}: {{type: set_state, static_outputs: {{k_{n}: {n}}}, on_success: Right_End_{n}}}
  Right_End_{n}: {{type: end_branch}}
  Both_{n}: {{type: join, join_branches: [Left_{n}, Right_{n}], on_success: {next}}}
"""
_HEAD = "workflow_id: large\nworkflow_name: Large\nentry_point: Ask_0\nnodes:"
_TAIL = "  Log: {type: log_error, default_error_code: E, default_message: m, on_success: Done}\n  Done: {type: end}\n"


def definition_text(nodes: str, entry: str = "", **top: Any) -> str:
    """A whole definition around the YAML of its nodes; the first node is the entry unless told."""
    body = "\n".join(f"  {line}" for line in nodes.strip("\n").splitlines())
    first = entry or next(iter(yaml.safe_load(nodes)))
    head = {"workflow_id": "w", "workflow_name": "W", **top}
    return f"{yaml.safe_dump(head)}entry_point: {first}\nnodes:\n{body}\n"


def graph_of(nodes: str, entry: str = "", **top: Any) -> Graph:
    """The graph of such a definition; only the schema is checked."""
    return build_graph(read_definition(definition_text(nodes, entry, **top), "w.yaml"))


def large_definition() -> str:
    """A definition of 502 nodes in blocks of ten."""
    follower = [f"Ask_{n + 1}" for n in range(BLOCKS - 1)] + ["Done"]
    return _HEAD + "".join(_BLOCK.format(n=n, next=follower[n]) for n in range(BLOCKS)) + _TAIL
