"""The Airflow tasks of a definition and the edges between them, as data.

A *region* task does the work; a *marker* shows an instant node; a *gate* stands on an edge.
Gates are needed because Airflow skips a task as soon as one finished branching parent did not choose it, even if
another parent did: so an edge that may not be taken, into a node with several deciding regions, gets a task of its
own that only the deciding region can skip. Markers and gates are settled by the scheduler without any process.
The decision of a region reaches everything it carries by direct edges to the tasks that depend on it, so one
XCom of its own tells all (docs/adr/0002).

A map whose items have tasks of their own is three tasks: *list* names the items, *item* is mapped over them, and
the region's task collects the results when all have ended, however they did (docs/adr/0010).
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from cch.definition.model import Definition
from cch.graph.build import build_graph
from cch.graph.model import Edge, Graph
from cch.graph.planners import NEWEST_PLANNER, awaited_by, require_planner
from cch.graph.regions import Region, carriers, failure_domains, plan_regions
from cch.graph.scopes import root_scope

TaskKind = Literal["region", "marker", "gate", "list", "item"]
#: Names of Airflow's trigger rules.
Rule = Literal["none_failed_min_one_success", "all_success", "all_done"]
ANY: Rule = "none_failed_min_one_success"
ALL: Rule = "all_success"
ENDED: Rule = "all_done"
#: Nodes that the title of a task for several names.
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """One Airflow task. ``node`` is the node it runs or shows; for a gate, the node the edge comes from."""

    task_id: str
    kind: TaskKind
    node: str
    label: str
    rule: Rule = ANY


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything the compiler needs; deterministic for a graph."""

    graph: Graph
    regions: Mapping[str, Region]
    tasks: Mapping[str, PlannedTask]
    edges: frozenset[tuple[str, str]]
    #: Task that a taken edge leads to: a gate, or the target's own task.
    arrival: Mapping[Edge, str]
    task_of: Mapping[str, str]
    #: Node → head of the region in which its failure stops what comes after it.
    domains: Mapping[str, str]

    @property
    def structure_digest(self) -> str:
        """16 hex digits of sha256 over task ids, edges and what each region executes.

        Two definitions with the same one can serve each other's running instances.
        """
        shape = [
            sorted((task.task_id, task.kind, task.rule) for task in self.tasks.values()),
            sorted(self.edges),
            sorted((region.head, region.kind, sorted(region.nodes)) for region in self.regions.values()),
        ]
        return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]

    def downstream(self, task_id: str) -> list[str]:
        return sorted(after for before, after in self.edges if before == task_id)

    def followed(self, head: str, taken: Collection[Edge], fired: Collection[str]) -> list[str]:
        """Of the tasks right after region ``head``, those its outcomes chose; Airflow skips the others."""
        inside = set(self.regions[head].nodes)
        # Ways inside a loop lead to no other task.
        ways = [edge for edge in taken if edge in self.arrival]
        reached = {self.arrival[edge] for edge in ways if edge.target not in inside or edge.target in fired} | {
            self.task_of[name] for name in fired if name in inside
        }
        return [task_id for task_id in self.downstream(self.task_of[head]) if task_id in reached]


class _TaskIds:
    """Airflow's characters, unique, and as close to the author's names as possible."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def make(self, wanted: str) -> str:
        clean = re.sub(r"[^A-Za-z0-9_.-]+", "_", wanted)[:240]
        task_id, number = clean, 2
        while task_id in self._taken:
            task_id, number = f"{clean}_{number}", number + 1
        self._taken.add(task_id)
        return task_id


class _Planner:
    def __init__(self, graph: Graph) -> None:
        self.graph = root_scope(graph)
        self.regions = plan_regions(self.graph)
        self.carrier = carriers(self.regions)
        self.ids = _TaskIds()
        self.tasks: dict[str, PlannedTask] = {}
        self.edges: set[tuple[str, str]] = set()
        self.arrival: dict[Edge, str] = {}
        self.task_of: dict[str, str] = {}
        #: First task of a map that has several; ``task_of`` is the last one, which decides.
        self.first_of: dict[str, str] = {}

    def plan(self) -> Plan:
        self._node_tasks()
        ways: dict[tuple[str, str], list[Edge]] = {}
        for edge in self.graph.edges:
            if edge.source in self.task_of and edge.target in self.task_of:
                ways.setdefault((edge.source, edge.target), []).append(edge)
        for edges in ways.values():
            self._way(edges)
        return Plan(
            graph=self.graph,
            regions=self.regions,
            tasks=self.tasks,
            edges=frozenset(self.edges),
            arrival=self.arrival,
            task_of=self.task_of,
            domains=failure_domains(self.graph, self.regions),
        )

    def _add(self, wanted: str, kind: TaskKind, node: str, label: str, rule: Rule = ANY) -> str:
        task_id = self.ids.make(wanted)
        self.tasks[task_id] = PlannedTask(task_id=task_id, kind=kind, node=node, label=label, rule=rule)
        return task_id

    def _node_tasks(self) -> None:
        for name in self.graph.nodes:
            if name not in self.graph.reachable:
                continue
            head = self.carrier.get(name)
            region = self.regions[head] if head else None
            if region and name != head and name in region.folded:
                continue
            if region and region.mapped and name == head:
                self._map_tasks(name)
                continue
            kind: TaskKind = "region" if name == head else "marker"
            label = self._loop_label(region) if region and name == head and region.folded else self._title(name)
            self.task_of[name] = self._add(name, kind, name, label, self._rule(name, region))
        for region in self.regions.values():
            for name in region.folded:
                self.task_of.setdefault(name, self.task_of[region.head])

    def _title(self, name: str) -> str:
        return self.graph.nodes[name].title or name

    def _loop_label(self, region: Region) -> str:
        """The nodes that the task stands for and that take time, as far as people want to read."""
        shown = [n for n in region.nodes if n in region.folded and self.graph.nodes[n].effect != "instant"]
        titles = [self._title(name) for name in shown[:_SHOWN]] + ["…"] * (len(shown) > _SHOWN)
        return (" ↻ " if region.cyclic else " · ").join(titles or [self._title(region.head)])

    def _map_tasks(self, name: str) -> None:
        first = self._add(name, "list", name, self._title(name))
        item = self._add(f"{name}__items", "item", name, self._title(self.graph.maps[name].branch_entry_node))
        results = self._add(f"{name}__results", "region", name, f"{self._title(name)}: results", ENDED)
        self.edges |= {(first, item), (item, results)}
        self.first_of[name], self.task_of[name] = first, results

    def _rule(self, name: str, region: Region | None) -> Rule:
        """A join's marker needs all branches, which one region has decided by the time any of them is settled.

        A join whose branches several regions decide must not take ``all_success``: Airflow skips such a task with
        the first skipped branch, and what lies behind would run while another branch is still under way. It waits
        for all of them, and the region that evaluates it sees in the ledger whether they arrived.
        """
        carried = region is not None and name != region.head and not self._is_prefix(region, name)
        return ALL if carried and name in self.graph.joins else ANY

    def _always(self, region: Region) -> bool:
        """Whether everything behind the region is reached whenever it succeeds."""
        return not region.cyclic and not any(self.graph.chooses(name) for name in region.nodes)

    @functools.cached_property
    def _nodes_of(self) -> Mapping[str, list[str]]:
        """For each task that tokens enter by, the nodes it stands for; complete once all nodes have tasks."""
        found: dict[str, list[str]] = {}
        for name, shown in self.task_of.items():
            found.setdefault(self.first_of.get(name, shown), []).append(name)
        return found

    def _deciders(self, task: str) -> set[str | None]:
        """The regions that decide whether the task begins; all its nodes together, if it stands for several."""
        inside = self._nodes_of[task]
        arriving = [edge for name in inside for edge in self.graph.incoming(name) if edge.source in self.task_of]
        return {self.carrier.get(edge.source) for edge in arriving if self.task_of[edge.source] != task}

    def _way(self, edges: list[Edge]) -> None:
        """Tasks and edges for all ways from one node to another; they share a gate if they need one."""
        edge = edges[0]
        head = self.carrier.get(edge.source)
        if head is None:
            return
        region = self.regions[head]
        decider, source = self.task_of[head], self.task_of[edge.source]
        target = self.first_of.get(edge.target, self.task_of[edge.target])
        if source == target:
            return
        several = len(self._deciders(target)) > 1
        target = self._branch_marker(edge, target)
        is_prefix = self._is_prefix(region, edge.source)
        chooses = not is_prefix and (not self._always(region) if source == decider else self.graph.chooses(edge.source))
        if chooses and several:
            label = "-".join(each.label for each in edges)
            gate = self._add(f"{edge.source}__{label}", "gate", edge.source, label)
            self.edges |= {(source, gate), (decider, gate), (gate, target)}
            self.arrival.update(dict.fromkeys(edges, gate))
        else:
            self.edges.add((source, target))
            if chooses:
                self.edges.add((decider, target))
            self.arrival.update(dict.fromkeys(edges, target))

    def _is_prefix(self, region: Region, name: str) -> bool:
        return name != region.head and region.head in self.graph.ahead[name]

    def _branch_marker(self, edge: Edge, join_task: str) -> str:
        """A join needs all its branches, but of a branch with several last nodes only one: an "or" before the "and"."""
        for branch, sources in self.graph.join_arrivals.get(edge.target, {}).items():
            arriving = [into for into in self.graph.incoming(edge.target) if into.source in sources]
            if edge.source in sources and len(arriving) > 1:
                wanted = f"{edge.target}__{branch}"
                existing = next((t for t in self.tasks.values() if t.kind == "gate" and t.label == wanted), None)
                task_id = existing.task_id if existing else self._add(wanted, "gate", edge.target, wanted)
                self.edges.add((task_id, join_task))
                return task_id
        return join_task


def plan_tasks(graph: Graph) -> Plan:
    """The Airflow tasks of ``graph``."""
    return _Planner(graph).plan()


def plan_of(definition: Definition, planner: int = NEWEST_PLANNER) -> Plan:
    """The Airflow tasks of ``definition``, made anew; ``runtime/plans.py`` keeps those that instances run by.

    :raises UnknownPlannerError: this release has no planner of that number.
    """
    require_planner(planner)
    return plan_tasks(build_graph(definition, awaited_by(planner, definition)))
