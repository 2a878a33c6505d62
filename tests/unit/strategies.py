"""Random definitions with a script for their capabilities, for property tests on any host.

Definitions are built backwards: every node points only to nodes that exist already, so no loop comes about by chance.
Loops are drawn on purpose: a condition leads back to a node of a straight run before it, so many times.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hypothesis import assume
from hypothesis import strategies as st

from cch.definition.model import Definition
from cch.graph.build import build_graph
from cch.graph.checks import check

#: Values that conditions and outputs share, so that conditions often decide.
VALUES: Sequence[Any] = ("x", "y", True, 1, None)
SHARED_KEYS = ("a", "b", "nested.c")

BehaviourKind = Literal["success", "error", "timeout", "unsendable", "raises", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What a capability does each time it is asked; ``pace`` orders answers that are under way together.

    ``first``: what it does at its first visits, before ``kind``. ``turns``: how often it says ``again`` under
    ``turn_key`` before it says ``leave``.
    """

    kind: BehaviourKind = "success"
    payload: Mapping[str, Any] = field(default_factory=dict)
    pace: int = 0
    first: tuple[BehaviourKind, ...] = ()
    turn_key: str = ""
    turns: int = 0

    def at(self, visit: int) -> Behaviour:
        """What it does at one visit."""
        turn = {self.turn_key: "again" if visit <= self.turns else "leave"} if self.turn_key else {}
        kind = self.first[visit - 1] if visit <= len(self.first) else self.kind
        return replace(self, kind=kind, payload={**self.payload, **turn})


class Scenario:
    """A definition, what its capabilities answer (by node), and the context it starts with."""

    def __init__(self, definition: Definition, script: Mapping[str, Behaviour], context: Mapping[str, Any]) -> None:
        self.definition = definition
        self.script = script
        self.context = context

    def __repr__(self) -> str:
        nodes = json.loads(self.definition.text)["nodes"]
        lines = [f"  {name}: {json.dumps(node)}" for name, node in nodes.items()]
        lines += [f"  {name} -> {b}" for name, b in self.script.items()]
        return "\n".join([f"Scenario(entry {self.definition.entry_point}, context {self.context}", *lines, ")"])


def _nested(key: str, value: Any) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    return {head: _nested(rest, value)} if rest else {head: value}


class _Maker:
    """Draws one definition. ``shared``: nodes write and read the same few keys, else each its own."""

    def __init__(self, draw: st.DrawFn, *, shared: bool, wild: bool, cyclic: bool = False) -> None:
        self.draw = draw
        self.shared = shared
        self.wild = wild
        self.cyclic = cyclic
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.nodes: dict[str, dict[str, Any]] = {}
        self.script: dict[str, Behaviour] = {}
        self.ends: list[str] = []
        #: Whether values are chosen by expressions here and there.
        self.expressive = self.maybe(3)

    # --- small things ----------------------------------------------------------------------------------------

    def pick(self, options: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def maybe(self, one_in: int = 2) -> bool:
        return self.draw(st.integers(0, one_in - 1)) == 0

    def add(self, kind: str, **keys: Any) -> str:
        name = f"{kind.split('_', maxsplit=1)[0]}{len(self.nodes)}"
        self.nodes[name] = {"type": kind, **{key: value for key, value in keys.items() if value is not None}}
        return name

    def outputs(self, name: str) -> dict[str, Any]:
        written = {f"k_{name}": self.pick(VALUES)}
        if self.shared and self.maybe():
            written |= _nested(self.pick(SHARED_KEYS), self.pick(VALUES))
        return written

    def latest(self) -> str:
        """Something that depends on which of two branches came last, where that is wanted."""
        return "$error.node" if self.shared else "start"

    def elsewhere(self, near: Sequence[str]) -> str:
        """A node that comes later: in wild definitions any, else one of ``near`` or an end."""
        return self.pick(list(self.nodes) if self.wild and self.maybe() else [*near, *self.ends])

    def failure(self, near: Sequence[str], one_in: int = 2) -> str | None:
        return self.elsewhere(near) if self.maybe(one_in) else None

    # --- nodes -----------------------------------------------------------------------------------------------

    def step(self, after: str, depth: int) -> str:
        """One node, or a fork with its join, that leads to ``after``."""
        kinds = ["entry", "async", "async", "sync", "sync", "library", "condition", "condition", "set", "log"]
        if self.cyclic:
            kinds = [*kinds, "event"]
        deep = ["fork", "fork", "fork", *(["loop", "loop", "loop", "map", "map"] if self.cyclic else [])]
        kind = self.pick([*kinds, *deep] if depth else kinds)
        match kind:
            case "entry":
                return self.add("entry", next=after)
            case "async":
                return self.request(after)
            case "sync":
                return self.call(after)
            case "library":
                return self.library(after)
            case "condition":
                return self.condition(after)
            case "set":
                return self.set_state(after)
            case "log":
                return self.add("log_error", default_error_code="E", default_message="m", on_success=after)
            case "event":
                return self.event(after)
            case "loop":
                return self.loop(after, depth - 1)
            case "map":
                return self.map(after, depth - 1)
            case _:
                return self.fork(after, depth - 1)

    def request(self, after: str) -> str:
        name = self.add(
            "async_request", capability_id="cap#it", on_response=after, on_failure=self.failure([after]), timeout="1m",
            on_timeout=self.failure([after], 3),
            error_reply=self.pick([None, None, "response", "failure"]),
        )  # fmt: skip
        if self.expressive and self.maybe():
            self.nodes[name]["input"] = {
                "was": f"{{% {self.latest()} %}}",
                "sum": "{% $count($keys($$)) %}",
                "fixed": 1,
            }
        if self.expressive and self.maybe():
            self.nodes[name]["output"] = {f"k_{name}": f"{{% $reply.k_{name} %}}"}
        kind = self.pick(["success", "success", "success", "error", "timeout", "unsendable"])
        self.script[name] = Behaviour(kind=kind, payload=self.outputs(name), pace=self.draw(st.integers(0, 4)))
        return name

    def call(self, after: str | None) -> str:
        near = [after] if after else []
        name = self.add("sync_call", capability_id="fn", on_success=after, on_failure=self.failure(near))
        if self.expressive and self.maybe():
            self.nodes[name]["output"] = {f"k_{name}": f"{{% $reply.k_{name} %}}"}
        else:
            self.nodes[name]["output_keys"] = [f"k_{name}"]
        kind = self.pick(["success", "success", "success", "raises", "missing"])
        self.script[name] = Behaviour(kind=kind, payload=self.outputs(name), pace=self.draw(st.integers(0, 4)))
        return name

    def library(self, after: str) -> str:
        name = self.add(
            "library_call", library_function_id="lib#it", parameters={}, on_success=after,
            on_failure=self.failure([after]),
        )  # fmt: skip
        self.nodes[name] |= {"output_key": f"k_{name}", "parameters": {"node": name}}
        kind = self.pick(["success", "success", "raises"])
        self.script[name] = Behaviour(
            kind=kind, payload={"value": self.pick(VALUES)}, pace=self.draw(st.integers(0, 4))
        )
        return name

    def set_state(self, after: str | None) -> str:
        name = self.add("set_state", on_success=after)
        if self.expressive and self.maybe():
            self.nodes[name]["outputs"] = {f"k_{name}": f"{{% $string({self.latest()}) & $instance.workflowId %}}"}
        else:
            self.nodes[name]["static_outputs"] = self.outputs(name)
        return name

    def condition(self, after: str) -> str:
        branches = {self.pick(["x", "y", "true", "1", "null"]): after}
        for label in self.draw(st.lists(st.sampled_from(["x", "y", "true", "null", "_default"]), max_size=3)):
            branches.setdefault(label, self.elsewhere([after]))
        # The key is filled in when all nodes are known.
        if self.expressive and self.maybe():
            choices = [{"when": f"{{% ? = '{label}' %}}", "next": target} for label, target in branches.items()]
            default = self.elsewhere([after]) if self.maybe() else None
            return self.add("condition", choices=choices, default=default, on_failure=self.failure([after], 3))
        return self.add("condition", condition_on_key="?", branches=branches, on_failure=self.failure([after], 3))

    def fork(self, after: str, depth: int) -> str:
        """A fork with two or three branches, each closed in one of the ways the language has."""
        join = self.add("join", on_success=after)
        shared_end = self.add("end_branch") if self.maybe(3) else None
        entries: list[str] = []
        listed: list[str] = []
        for _ in range(self.draw(st.integers(2, 3))):
            close = self.pick(["direct", "end_branch", "open", *(["shared"] if shared_end else [])])
            length = self.draw(st.integers(0, 2))
            if close == "direct":
                last = self.set_state(join) if self.maybe() else self.request(join)
            elif close == "end_branch":
                last = self.add("end_branch")
            elif close == "shared":
                assert shared_end
                last = shared_end
                length = max(1, length)
            else:
                last = self.call(None) if self.maybe() else self.set_state(None)
            first = last
            for _ in range(length):
                first = self.step(first, depth)
            entries.append(first)
            listed.append(last if close == "end_branch" and self.maybe() else first)
        self.nodes[join]["join_branches"] = list(dict.fromkeys(listed))
        branches = list(dict.fromkeys(entries))
        if self.wild and self.maybe(4):
            branches.append(self.elsewhere([after]))
        return self.add("fork", branches=list(dict.fromkeys(branches)))

    def event(self, after: str) -> str:
        """A wait that ends with an event or, where there is a limit, without one."""
        limited = self.maybe()
        name = self.add(
            "event_wait", on_event=after, timeout="1h" if limited else None, on_failure=self.failure([after], 3),
            on_timeout=self.failure([after], 3) if limited else None,
        )  # fmt: skip
        kind = self.pick(["success", "success", *(["timeout"] if limited else [])])
        self.script[name] = Behaviour(kind=kind, payload=self.outputs(name), pace=self.draw(st.integers(0, 4)))
        return name

    def loop(self, after: str, depth: int) -> str:
        """Some steps, then somebody who says whether to go round again; perhaps a correction when that fails."""
        number = len(self.nodes)
        again = self.add(
            "condition", condition_on_key=f"turn_{number}", branches={"again": "?", "_default": after}, max_visits=5,
            on_failure=self.failure([after], 3),
        )  # fmt: skip
        driver = self.request(again) if self.maybe() else self.call(again)
        self.script[driver] = replace(
            self.script[driver],
            turn_key=f"turn_{number}",
            turns=self.draw(st.sampled_from([2, 1, 3, 4, 0])),
            first=tuple(self.draw(st.lists(st.sampled_from(["success", "error", "raises", "timeout"]), max_size=3))),
        )
        keys = [f"k_{driver}", f"turn_{number}"]
        if "output" in self.nodes[driver]:
            self.nodes[driver]["output"] = {key: f"{{% $reply.{key} %}}" for key in keys}
        elif self.nodes[driver]["type"] == "sync_call":
            self.nodes[driver]["output_keys"] = keys
        correction = self.event(after) if self.maybe(3) else None
        chain = [driver]
        for _ in range(self.draw(st.integers(0, 2))):
            chain.append(self.step(chain[-1], depth))
        self.nodes[again]["branches"]["again"] = self.pick(chain)
        if correction:
            self.nodes[driver]["on_failure"] = correction
            self.nodes[correction] |= {"on_event": self.pick(chain), "max_visits": 3}
        return chain[-1]

    def map(self, after: str, depth: int) -> str:
        """A map over a list of up to three items, with its join."""
        key = f"list_{len(self.nodes)}"
        join = self.add("join", on_success=after, on_failure=self.failure([after]))
        first = self.add("end_branch")
        for _ in range(self.draw(st.integers(0, 3))):
            first = self.step(first, depth)
        self.lists[key] = [{"id": f"i{number}"} for number in range(self.draw(st.integers(0, 3)))]
        name = self.add(
            "map_fork",
            input_list_key=key,
            branch_key="id",
            branch_entry_node=first,
            on_failure=self.failure([after], 4),
        )
        self.nodes[join]["join_branches"] = [name]
        if self.expressive and self.maybe():
            del self.nodes[name]["input_list_key"]
            self.nodes[name] |= {"items": f"{{% {key}[id != 'i1'] %}}", "output_key": self.pick([key, f"of_{key}"])}
        return name

    # --- all of it -------------------------------------------------------------------------------------------

    def useless_ways(self) -> None:
        """An ``on_failure`` where nothing fails: allowed, and never taken."""
        names = list(self.nodes)
        for index, (_name, node) in enumerate(self.nodes.items()):
            if index and node["type"] in ("fork", "join", "end", "end_branch", "set_state", "entry") and self.maybe(8):
                node["on_failure"] = self.pick(names[:index])

    def build(self) -> Scenario:
        self.ends = [self.add("end") for _ in range(self.draw(st.integers(1, 2)))]
        if self.maybe():
            self.ends.append(self.add("end", status="failed"))
        first = self.ends[0]
        for _ in range(self.draw(st.integers(1, 6))):
            first = self.step(first, 2)
        if self.cyclic:
            first = self.loop(first, 2)
        if self.wild:
            self.useless_ways()
        keys = [f"k_{name}" for name, node in self.nodes.items() if name in self.script or node["type"] == "set_state"]
        if self.shared:
            keys += [*SHARED_KEYS, "status", "_errorNode"]
        for node in self.nodes.values():
            if node.get("condition_on_key") == "?":
                node["condition_on_key"] = self.pick(keys or ["nothing"])
            for choice in node.get("choices", ()):
                choice["when"] = choice["when"].replace(
                    "?", self.pick([key for key in keys if key[0] != "_"] or ["nothing"])
                )
        order = list(reversed(self.nodes))
        if self.maybe(3):
            order = list(self.draw(st.permutations(order)))
        raw = {
            "workflow_id": "random", "workflow_name": "Random", "entry_point": first,
            "nodes": {name: self.nodes[name] for name in order},
        }  # fmt: skip
        definition, _ = check(json.dumps(raw, indent=1), "random.yaml")
        assume(definition is not None)
        assert definition is not None
        assume(bool(build_graph(definition).cycles) == self.cyclic)
        context = {**self.lists, **({"a": self.pick(VALUES)} if self.shared else {"start": 1})}
        return Scenario(definition, self.script, context)


@st.composite
def scenarios(draw: st.DrawFn, *, shared: bool = True, wild: bool | None = None) -> Scenario:
    """Definitions of all acyclic node types, with forks nested up to twice.

    ``shared``: nodes write the same keys, so the result depends on the order of stamps. ``wild``: error routes and
    conditions may lead into and out of branches; None draws it.
    """
    return _Maker(draw, shared=shared, wild=draw(st.booleans()) if wild is None else wild).build()


@st.composite
def cyclic_scenarios(draw: st.DrawFn, *, shared: bool = True) -> Scenario:
    """Definitions with at least one loop, and with forks, waits, maps and further loops around and inside it.

    Routes are not wild: two tokens that chase each other round a loop meet or do not meet by chance.
    """
    return _Maker(draw, shared=shared, wild=False, cyclic=True).build()
