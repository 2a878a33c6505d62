"""A new type of node is a record, a function of the interpreter, a piece of the schema and a row of the language."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from workflows import definition_text

from cch.definition.kinds import Effect, NodeRecord
from cch.definition.nodes import NODE_TYPES
from cch.definition.schema import definition_schema
from cch.definition.uses import Write
from cch.graph.build import build_graph
from cch.graph.checks import load
from cch.graph.findings import examine
from cch.graph.mermaid import mermaid
from cch.graph.plan import plan_tasks
from cch.interpreter.effects import perform
from cch.interpreter.host import Host
from cch.interpreter.instants import evaluate
from cch.interpreter.visit import Result, Visit
from cch.simulation.scenario import read_scenario
from cch.simulation.simulator import simulate

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "plugins" / "cch"
#: Module → the types that it asks for by their class, because it is about fields that no other type has.
ALLOWED = {"graph/model.py": {"MapFork"}, "graph/readings.py": {"LibraryCall", "ScheduledRequest"}}
CLASSES = {record.__name__ for record in NODE_TYPES.values()}


def _asked(tree: ast.AST) -> Iterator[str]:
    """The types that a module asks a node for: by class, by pattern, or by the name of its type."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, classes]):
                yield from (each.id for each in ast.walk(classes) if isinstance(each, ast.Name))
                yield from (each.attr for each in ast.walk(classes) if isinstance(each, ast.Attribute))
            case ast.MatchClass(cls=ast.Name(id=name) | ast.Attribute(attr=name)):
                yield name
            case ast.Compare(left=ast.Attribute(attr="type"), comparators=compared):
                values = (each.value for each in ast.walk(ast.List(compared)) if isinstance(each, ast.Constant))
                yield from (NODE_TYPES[value].__name__ for value in values if value in NODE_TYPES)


def _knows_types(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.ImportFrom) and node.module == "cch.definition.nodes" for node in ast.walk(tree))


def test_nobody_asks_which_type_a_node_is() -> None:
    """What a type is like, its record says; a list of types elsewhere is forgotten when the next one is added."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        if asked := set(_asked(tree)) & CLASSES if _knows_types(tree) else set():
            found[path.relative_to(PACKAGE).as_posix()] = asked

    assert found == ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(node, Fork | Join)",
        "isinstance(node, (nodes.Fork, str))",
        "match node:\n case Fork(): pass",
        "node.type == 'fork'",
        "node.type in ('fork', 'x')",
    ],
)
def test_each_way_of_asking_is_seen(source: str) -> None:
    """A rule whose breach is not seen is none."""
    assert "Fork" in set(_asked(ast.parse(source)))


@pytest.mark.parametrize("kind", NODE_TYPES)
def test_each_type_is_executed_by_the_function_that_its_effect_asks_for(kind: str) -> None:
    """Instant nodes are evaluated, those that wait or call performed; a map is run by its region."""
    record = NODE_TYPES[kind]

    evaluated = evaluate.dispatch(record) is not evaluate.dispatch(object)
    performed = perform.dispatch(record) is not perform.dispatch(object)

    assert (evaluated, performed) == (record.effect == "instant", record.effect in ("waits", "calls"))


@pytest.mark.parametrize("kind", NODE_TYPES)
def test_each_type_is_described(kind: str) -> None:
    """Analysts find it in a section of the language, and its keys in their editor."""
    assert f"\n### `{kind}`\n" in (ROOT / "docs" / "language.md").read_text()
    assert definition_schema()["$defs"][kind]["description"]


# --- a type that is there for these tests only -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(NodeRecord):
    """Waits for some seconds and writes how many."""

    type: ClassVar[str] = "pause"
    effect: ClassVar[Effect] = "waits"
    shape = "event"
    target_keys = ("on_waited",)

    seconds: int
    output_key: str
    on_waited: str

    def writes(self) -> tuple[Write, ...]:
        return (Write(place=("output_key",), text=self.output_key),)


@perform.register
async def _pause(node: Pause, visit: Visit, host: Host) -> Result:
    await host.sleep_until(host.now() + node.seconds * 1000)
    return Result(label="on_waited", patch={node.output_key: node.seconds}, cause={"kind": "pause"})


NODES = """
Both: {type: fork, branches: [Rest, Set]}
Rest: {type: pause, seconds: 90, output_key: rested, on_waited: Rested}
Rested: {type: end_branch}
Set: {type: set_state, static_outputs: {ready: true}}
Joined: {type: join, join_branches: [Rest, Set], on_success: Ask}
Ask: {type: async_request, capability_id: "a#b", input_keys: [rested, ready, gone], timeout: 1h, on_response: Done}
Done: {type: end}
"""


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the schema and the records have the type."""
    definitions = definition_schema()["$defs"]
    of_nodes = definitions["node"]
    keys: dict[str, Any] = {"type": {}, "seconds": {"type": "integer"}, "output_key": {}, "on_waited": {}}
    piece = {
        "if": {"properties": {"type": {"const": "pause"}}},
        "then": {"required": ["seconds", "output_key", "on_waited"], "properties": keys, "additionalProperties": False},
    }
    kinds = of_nodes["properties"]["type"]
    monkeypatch.setitem(kinds, "enum", [*kinds["enum"], "pause"])
    monkeypatch.setitem(of_nodes, "allOf", [*of_nodes["allOf"], piece])
    monkeypatch.setitem(NODE_TYPES, "pause", Pause)  # type: ignore[arg-type]


def test_a_type_is_one_record_to_the_graph() -> None:
    """It is drawn, gets a waiting region of its own, and its branch is closed by the join that lists it."""
    graph = build_graph(load(definition_text(NODES)))
    plan = plan_tasks(graph)

    assert [(edge.label, edge.target) for edge in graph.outgoing("Rest")] == [("on_waited", "Rested")]
    assert plan.regions["Rest"].kind == "wait"
    assert plan.task_of["Rest"] == "Rest"
    assert '(("Rest<br/>pause"))' in mermaid(graph)


def test_a_type_is_one_record_to_the_checks() -> None:
    """Its ways lead somewhere, and what it writes is there behind it."""
    _, of_inputs = examine(definition_text(NODES, initial_context=[]))
    _, of_ways = examine(definition_text(NODES.replace("on_waited: Rested", "on_waited: Restde")))

    assert [problem.message for problem in of_inputs if problem.code == "CCH-G104"] == [
        "nothing before 'Ask' brings 'gone'"
    ]
    assert [(problem.code, problem.hint) for problem in of_ways if problem.severity == "error"] == [
        ("CCH-G001", "did you mean 'Rested'?")
    ]


def test_a_type_is_one_function_to_the_interpreter() -> None:
    """The instance goes through it, beside another branch and with its time."""
    scenario = read_scenario("{capabilities: {a#b: [{payload: {}}]}}", "s.yaml")

    result = simulate(load(definition_text(NODES)), scenario)

    assert result.status == "completed"
    assert result.elapsed_seconds == 90
    assert result.context["rested"] == 90
