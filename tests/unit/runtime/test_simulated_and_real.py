"""The simulator and the real host make the same of the same definition, whatever values and paths it has."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workshop import Workshop

from cch.capabilities import registry, sync_capability
from cch.graph.checks import load
from cch.interpreter.host import Call
from cch.interpreter.replay import flow_of
from cch.runtime.progress import live_regions
from cch.simulation.host import SimulationHost
from cch.simulation.scenario import read_scenario
from cch.simulation.simulator import simulate

CONTEXT: Mapping[str, Any] = {
    "orders": [{"id": 1, "lines": [{"id": "x"}, {"id": "y"}]}, {"id": "two", "lines": []}],
    "a": {"b": 1},
    "d.e": {"f": 2},
    "doc": "s3://bucket/doc.json",
    "when": "2026-01-31T10:00:00+00:00",
    "never": "9999-12-31T23:59:59.9999999",
}
DOCUMENT = '{"one": 1, "many": [{"n": 1}, {"n": 2}], "single": [{"n": 3}], "none": [], "odd": NaN, "half": "\\ud83d"}'
REPLY = {"k": "reply", "deep": {"a.b": [1, 2]}, "orders": [{"id": 9, "lines": [{"id": "z"}]}]}

SCALARS = st.sampled_from(
    ["NO", "yes", "0101", "22:30:00", "123_4", "8471.30", "1e5", "true", "True", "~", "", "7", "1.0", "0x1F", "text",
     "'7'", "[NO, 0101]", "{x: On}", "9223372036854775808", r'"\ud83d\ude00"']
)  # fmt: skip
PATHS = st.sampled_from(
    ["a", "a.b", "a.b.c", "new", "new.x", "orders", "orders.0", "orders.0.lines", "orders.1.x", "orders.x",
     "orders.7.x", r"d\.e", r"d\.e.f", "d.e", "k", "deep", r"deep.a\.b", r"deep.a\.b.0", "when", "never"]
)  # fmt: skip
EXPRESSIONS = st.sampled_from(
    ["$.one", "$.many[*].n", "$.single[*].n", "$.none[*]", "$.none[0]", "$..n", "$.many[0:1]", "$.many[?(@.n > 1)].n",
     "$.odd", "$.half", "$.missing", "$.["]
)  # fmt: skip
#: What a Python function may return as one of its outputs.
RETURNED = st.sampled_from(
    [float("nan"), float("inf"), 1e308 * 10, "\ud83d", Decimal("1.50"), Decimal("NaN"), Decimal(7), date(2026, 1, 31),
     {1, 2}, b"x", (1, 2), {1: "a"}, {"k": [{"deep": float("nan")}]}, object(), None, 5, "text", True, [[]], 2**70]
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A node without its ways on, and what its function returns, if it calls one."""

    node: str
    returns: Any = None


@st.composite
def steps(draw: st.DrawFn, index: int) -> Step:
    path, other = draw(PATHS), draw(PATHS)
    match draw(st.sampled_from(["set", "call", "read", "move", "ask", "decide", "map"])):
        case "set":
            written = {path: draw(SCALARS), other: draw(SCALARS)}
            outputs = ", ".join(f"'{key}': {value}" for key, value in written.items())
            return Step(f"type: set_state, static_outputs: {{{outputs}}}")
        case "call":
            outputs = f", output_keys: ['{path}']" if draw(st.booleans()) else ""
            returned = draw(
                st.sampled_from([draw(RETURNED), {path: draw(RETURNED)}, {"deep": {"a.b": draw(RETURNED)}}])
            )
            return Step(f"type: sync_call, capability_id: fuzz#{index}, input_keys: ['{other}']{outputs}", returned)
        case "read":
            match = draw(st.sampled_from(["", ", match: first", ", match: all"]))
            return Step(
                f"type: library_call, library_function_id: 's3#read_jsonpath', output_key: '{path}', parameters:"
                f" {{input_s3_uri_key: doc, jsonpath_expression: '{draw(EXPRESSIONS)}'{match}}}"
            )
        case "move":
            zone = draw(st.sampled_from(["", ", timezone: Europe/Brussels", ", timezone: Nowhere"]))
            return Step(
                f"type: library_call, library_function_id: 'core#calculate_timedelta', output_key: '{path}',"
                f" parameters: {{date_context_key: '{other}', timedelta: {{hours: 1}}{zone}}}"
            )
        case "ask":
            return Step(f"type: async_request, capability_id: 'a#x', input_keys: ['{path}'], timeout: 1d")
        case "decide":
            return Step(f"type: condition, condition_on_key: '{path}'")
        case _:
            return Step(f"type: map_fork, execution: inline, input_list_key: '{path}', branch_key: id")


@st.composite
def stories(draw: st.DrawFn) -> list[Step]:
    return [draw(steps(index)) for index in range(draw(st.integers(1, 5)))]


def definition_of(story: list[Step]) -> str:
    """Each step goes on to the next, also when it fails."""
    nodes = []
    for index, step in enumerate(story):
        after = f"N{index + 1}" if index + 1 < len(story) else "E"
        if "map_fork" in step.node:
            nodes.append(f"  N{index}: {{{step.node}, branch_entry_node: B{index}, on_failure: {after}}}")
            nodes.append(f"  B{index}: {{type: set_state, static_outputs: {{mark.x: 1}}, on_success: B{index}_End}}")
            nodes.append(f"  B{index}_End: {{type: end_branch}}")
            nodes.append(
                f"  J{index}: {{type: join, join_branches: [N{index}], destination: all, on_success: {after}}}"
            )
        elif "condition" in step.node:
            labels = f"{{true: {after}, '1': {after}, NO: {after}}}"
            nodes.append(f"  N{index}: {{{step.node}, branches: {labels}, on_failure: {after}}}")
        else:
            way = "on_response" if "async_request" in step.node else "on_success"
            nodes.append(f"  N{index}: {{{step.node}, {way}: {after}, on_failure: {after}}}")
    head = "workflow_id: w\nworkflow_name: W\nentry_point: N0\nnodes:\n"
    return head + "\n".join(nodes) + "\n  E: {type: end}\n"


@contextmanager
def functions(story: list[Step]) -> Iterator[None]:
    """The steps' functions, bound while the block runs."""
    before = dict(registry._capabilities)

    def bind(index: int, value: Any) -> None:
        def function(_: Call) -> Any:
            return value

        sync_capability(f"fuzz#{index}")(function)

    for index, step in enumerate(story):
        bind(index, step.returns)
    try:
        yield
    finally:
        registry._capabilities.clear()
        registry._capabilities.update(before)


@dataclass(frozen=True)
class Ended:
    status: str
    visited: tuple[str, ...]
    context: Any


def in_simulator(text: str) -> Ended:
    scenario = read_scenario(
        json.dumps({"context": CONTEXT, "correlation_id": "BL-7", "capabilities": {"a#x": [{"payload": REPLY}]}})
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SimulationHost, "_read", lambda self, uri: DOCUMENT)  # scenarios have no NaN
        result = simulate(load(text), scenario)
    visited = tuple(name for name in result.visited if "[" not in name)
    return Ended(result.status, visited, result.context)


async def _really(text: str, folder: Path) -> Ended:
    shop = Workshop(folder, {"w": text}, context=CONTEXT, answers={"a#x": lambda _: ("SUCCESS", REPLY)})
    shop.platform.read_object = lambda uri: DOCUMENT
    await shop.create()
    while heads := live_regions(shop.plan, await shop.view()):
        for head in heads:
            await shop.run(head)
    view = await shop.view()
    flow = flow_of(shop.plan, view.instance.context, view.outcomes())
    return Ended(view.instance.status, tuple(flow.visited()), flow.final_context())


def on_real_host(text: str) -> Ended:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_really(text, Path(folder)))


@given(story=stories())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_simulator_and_real_host_agree(story: list[Step]) -> None:
    """Status, visits, context and reasons, for scalars, odd values, expressions and paths of all kinds."""
    text = definition_of(story)

    with functions(story):
        simulated, real = in_simulator(text), on_real_host(text)

    assert simulated == real
    assert real.status in ("completed", "failed")
    assert json.loads(json.dumps(real.context, allow_nan=False)) == real.context


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("-inf"), "\ud83d", Decimal("Infinity"), {1, 2}, b"x", {"a": [{"b": float("nan")}]}, object()],
    ids=["NaN", "infinity", "a surrogate", "a decimal", "a set", "bytes", "deep inside", "an object"],
)
def test_what_cannot_be_stored_fails_the_node_once(value: Any) -> None:
    """The function had run eleven times, and the instance stayed as it was."""
    called: list[Call] = []

    @sync_capability("fuzz#once")
    def once(call: Call) -> dict[str, Any]:
        called.append(call)
        return {"k": value}

    text = (
        "workflow_id: w\nworkflow_name: W\nentry_point: N\nnodes:\n"
        "  N: {type: sync_call, capability_id: fuzz#once, on_success: E, on_failure: F}\n"
        "  F: {type: set_state, static_outputs: {failed: true}, on_success: E}\n  E: {type: end}\n"
    )

    real = on_real_host(text)

    assert len(called) == 1
    assert (real.status, real.visited) == ("completed", ("N", "F", "E"))
    assert "fuzz#once returned what cannot be stored" in real.context["_internalError"]
    assert in_simulator(text) == real
