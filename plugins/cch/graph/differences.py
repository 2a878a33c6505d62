"""What differs between two versions of a workflow: nodes, ways, and what a start must bring. For people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from cch.definition.kinds import NodeRecord
from cch.definition.model import Definition
from cch.graph.build import build_graph
from cch.graph.model import Edge

#: Of a node's record: where it is written says nothing about what it does.
_PLACES = frozenset({"name", "line", "column"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """From an older to a newer version. ``changed``: node → its keys that differ. Ways are ``From --label--> To``."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: Mapping[str, tuple[str, ...]]
    ways_added: tuple[str, ...] = ()
    ways_removed: tuple[str, ...] = ()
    #: Keys that a start must bring.
    required_added: tuple[str, ...] = ()
    required_removed: tuple[str, ...] = ()
    required_changed: tuple[str, ...] = ()
    entry_changed: bool = False

    @property
    def lines(self) -> list[str]:
        """In words, a line each; empty if no node, way or required key differs."""
        said = [f"+ node {name}" for name in self.added]
        said += [f"- node {name}" for name in self.removed]
        said += [f"~ node {name}: {', '.join(keys)}" for name, keys in self.changed.items()]
        said += [f"+ way {way}" for way in self.ways_added] + [f"- way {way}" for way in self.ways_removed]
        said += [f"+ required key {key}" for key in self.required_added]
        said += [f"- required key {key}" for key in self.required_removed]
        said += [f"~ required key {key}" for key in self.required_changed]
        return said + (["~ another entry point"] if self.entry_changed else [])


def difference(old: Definition, new: Definition) -> Difference:
    """What is other in ``new`` than in ``old``."""
    both = [name for name in new.nodes if name in old.nodes]
    changed = {name: keys for name in both if (keys := _keys(old.nodes[name], new.nodes[name]))}
    before, after = _ways(old), _ways(new)
    return Difference(
        added=tuple(name for name in new.nodes if name not in old.nodes),
        removed=tuple(name for name in old.nodes if name not in new.nodes),
        changed=changed,
        ways_added=tuple(way for way in after if way not in before),
        ways_removed=tuple(way for way in before if way not in after),
        required_added=tuple(key for key in new.required if key not in old.required),
        required_removed=tuple(key for key in old.required if key not in new.required),
        required_changed=tuple(
            key for key in new.required if key in old.required and new.required[key] != old.required[key]
        ),
        entry_changed=old.entry_point != new.entry_point,
    )


def _keys(old: NodeRecord, new: NodeRecord) -> tuple[str, ...]:
    """The keys of a node that differ, without those that name other nodes: ways are listed by themselves."""
    if type(old) is not type(new):
        return ("type",)
    elsewhere = {*_PLACES, *new.target_keys, *new.target_lists, "on_failure"}
    named = (each.name for each in fields(new) if each.name not in elsewhere)
    return tuple(name for name in named if getattr(old, name) != getattr(new, name))


def likely_renames(old: Definition, new: Definition) -> dict[str, str]:
    """Nodes that seem to have another name in ``new``: old name → new name.

    The one is gone, and the other is the only new one that is the same in all but its names and its ways.
    """
    gone = [node for name, node in old.nodes.items() if name not in new.nodes]
    come = [node for name, node in new.nodes.items() if name not in old.nodes]
    found: dict[str, str] = {}
    for node in gone:
        twins = [each for each in come if _are_alike(node, each)]
        rivals = [each for each in gone if _are_alike(each, node)]
        if len(twins) == len(rivals) == 1:
            found[node.name] = twins[0].name
    return found


def _are_alike(old: NodeRecord, new: NodeRecord) -> bool:
    return set(_keys(old, new)) <= {"title"}


def _ways(definition: Definition) -> dict[str, Edge]:
    edges = build_graph(definition).edges
    return {f"{edge.source} --{edge.label}--> {edge.target}": edge for edge in edges if not edge.implied}
