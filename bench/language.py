"""Loops and maps in virtual time, and checking a large definition: no Airflow, no AWS."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import Figures
from cch.graph.checks import load
from cch.simulation.scenario import read_scenario
from cch.simulation.simulator import simulate

VISITS, ITEMS, NODES = 1_000, 1_000, 500
LOOP = """
workflow_id: loop
workflow_name: Loop
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: x#y, on_response: Again, max_visits: 5000}
  Again: {type: condition, condition_on_key: go, max_visits: 5000, branches: {"on": Ask, _default: E}}
  E: {type: end}
"""
FORKED = """
workflow_id: forked
workflow_name: Two branches in a loop
entry_point: Both
nodes:
  Both: {type: fork, branches: [Left, Right], max_visits: 5000}
  Left: {type: async_request, capability_id: x#y, on_response: Left_End, max_visits: 5000}
  Left_End: {type: end_branch, max_visits: 5000}
  Right: {type: async_request, capability_id: x#z, on_response: Right_End, max_visits: 5000}
  Right_End: {type: end_branch, max_visits: 5000}
  Join: {type: join, join_branches: [Left, Right], on_success: Again, max_visits: 5000}
  Again: {type: condition, condition_on_key: go, max_visits: 5000, branches: {"on": Both, _default: E}}
  E: {type: end}
"""
MAP = """
workflow_id: map
workflow_name: Map
entry_point: Fan
nodes:
  Fan: {type: map_fork, input_list_key: items, branch_key: id, branch_entry_node: Ask}
  Ask: {type: async_request, capability_id: x#y, on_response: Out}
  Out: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: E}
  E: {type: end}
"""


def _simulated(definition: str, scenario: str) -> tuple[int, float]:
    """(transitions, seconds)."""
    read, script = load(definition), read_scenario(scenario)
    begun = time.perf_counter()
    result = simulate(read, script)
    seconds = time.perf_counter() - begun
    assert result.status == "completed", result
    return len(result.visited), seconds


def _long_definition(nodes: int) -> str:
    lines = ["workflow_id: long", "workflow_name: Long", "entry_point: N0", "nodes:"]
    for number in range(nodes - 1):
        after = f"N{number + 1}" if number < nodes - 2 else "E"
        lines.append(f"  N{number}:\n    type: async_request\n    capability_id: x#y\n    on_response: {after}")
        lines.append(f"    on_failure: E\n    timeout: 1h\n    request_output_keys: [k{number}]")
    return "\n".join([*lines, "  E: {type: end}", ""])


def _validated() -> float:
    """Seconds of a whole `cch validate` process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "long.yaml"
        file.write_text(_long_definition(NODES))
        program = str(Path(sys.executable).with_name("cch"))
        begun = time.perf_counter()
        subprocess.run([program, "validate", str(file)], check=True, capture_output=True)
        return time.perf_counter() - begun


def measure_language() -> Figures:
    """Transitions/s of the simulator, and the time to check a definition of 500 nodes."""
    answers = ", ".join(['{payload: {go: "on"}}'] * (VISITS - 1) + ["{payload: {go: off}}"])
    loop = _simulated(LOOP, f"capabilities: {{x#y: [{answers}]}}")
    forked = _simulated(FORKED, f"capabilities: {{x#y: [{answers}], x#z: [{{payload: {{}}}}]}}")
    items = ", ".join(f"{{id: i{number}}}" for number in range(ITEMS))
    mapped = _simulated(MAP, f"context: {{items: [{items}]}}\ncapabilities: {{x#y: [{{payload: {{done: true}}}}]}}")
    rows = [
        (f"a loop of {VISITS:,} visits", (loop[0], loop[1], loop[0] / loop[1])),
        (f"{VISITS:,} visits of two branches in a loop", (forked[0], forked[1], forked[0] / forked[1])),
        (f"a map of {ITEMS:,} items", (mapped[0], mapped[1], mapped[0] / mapped[1])),
    ]
    return Figures(
        title="the interpreter in virtual time",
        columns=("transitions", "seconds", "transitions/s"),
        rows=rows,
        notes=(f"`cch validate` on {NODES} nodes, the whole process: {_validated():.2f} s",),
    )
