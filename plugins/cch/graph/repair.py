"""A definition with mistakes, made whole: so that one mistake does not hide what else is wrong.

What the schema does not allow is renamed where a misspelling is plain, else left out; a node that cannot be read then
becomes an :class:`Unread` one. Nobody runs what comes out of this: it is looked at only.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from cch.definition.document import Document, Path
from cch.definition.kinds import NodeRecord
from cch.definition.model import Definition
from cch.definition.nodes import NODE_TYPES, target_keys
from cch.definition.reader import parse
from cch.definition.schema import MOST_GUESSES, closest, schema_errors, unknown_keys

#: How often something is left out before it is given up.
_ROUNDS = 20
#: Length of the path of a node.
_OF_NODE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread(NodeRecord):
    """A node of which only the ways are known: it may bring any key."""

    type: ClassVar[str] = "unread"
    effect = "waits"

    all_ways: tuple[tuple[str, str], ...] = ()

    def onward(self) -> tuple[tuple[str, str], ...]:
        return self.all_ways

    @property
    def writes_anything(self) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """``document`` and ``definition`` as they can be looked at; ``nodes`` are those that were changed.

    ``is_whole``: no way was lost, so that what cannot be reached is not reached because of a mistake of its own.
    """

    document: Document
    definition: Definition
    nodes: frozenset[str]
    is_whole: bool


def repaired(document: Document) -> Repaired | None:
    """The definition made whole; None if nothing can be made of it."""
    if not isinstance(document.data, dict) or not isinstance(document.data.get("nodes"), dict):
        return None
    mending = _Mending(document)
    if not mending.finish():
        return None
    whole = replace(document, data=mending.data)
    definition = parse(whole)
    read = definition.nodes
    names = [name for name in document.data["nodes"] if name in read or name in mending.unread]
    nodes: dict[str, Any] = {name: read[name] if name in read else mending.unread[name] for name in names}
    for name in mending.unread:
        mending.data["nodes"][name] = {}
    return Repaired(
        document=whole,
        definition=replace(definition, nodes=nodes, entry_point=mending.entry),
        nodes=frozenset(mending.changed),
        is_whole=not mending.lost,
    )


class _Mending:
    def __init__(self, document: Document) -> None:
        self.data: dict[str, Any] = copy.deepcopy(document.data)
        self.changed: set[str] = set()
        self.unread: dict[str, Unread] = {}
        #: Whether a way may have been lost.
        self.lost = False
        self.entry = ""
        for key in ("workflow_id", "workflow_name"):
            if not isinstance(self.data.get(key), str):
                self.data[key] = "unread"
        names = list(self.data["nodes"])
        self._lead_on(names)
        entry = self.data.get("entry_point")
        if not isinstance(entry, str) or entry not in names:
            self.lost = True
            entry = names[0] if names else ""
        self.entry = self.data["entry_point"] = entry

    def finish(self) -> bool:
        """Leave out, round by round, what the schema does not allow; whether anything is left."""
        for _ in range(_ROUNDS):
            errors = list(schema_errors(self.data))
            if not errors:
                return bool(self.data["nodes"] or self.unread)
            # A key that is missing may only be misspelt.
            misspelt = [error for error in errors if error.validator == "additionalProperties"]
            for error in misspelt or errors:
                self._mend(error)
            if not self.data["nodes"]:
                return False
        return False

    def _lead_on(self, names: list[str]) -> None:
        """Lead ways to the nodes that are plainly meant."""
        single, several = target_keys()
        guesses: dict[str, str | None] = {name: name for name in names}
        most = len(guesses) + MOST_GUESSES

        def meant(target: Any) -> Any:
            if not isinstance(target, str):
                return target
            if target not in guesses and len(guesses) < most:
                guesses[target] = closest(target, names)
            guess = guesses.get(target)
            self.lost = self.lost or guess is None
            return target if guess is None else guess

        for node in (each for each in self.data["nodes"].values() if isinstance(each, dict)):
            for key, value in list(node.items()):
                if key in single:
                    node[key] = meant(value)
                elif key in several and isinstance(value, dict):
                    node[key] = {label: meant(target) for label, target in value.items()}
                elif key in several and isinstance(value, list):
                    node[key] = [
                        {**each, "next": meant(each.get("next"))} if isinstance(each, dict) else meant(each)
                        for each in value
                    ]
        if "entry_point" in self.data:
            self.data["entry_point"] = meant(self.data["entry_point"])

    def _mend(self, error: Any) -> None:
        path = tuple(error.absolute_path)
        if path[:1] == ("nodes",) and len(path) > 1:
            self._mend_node(str(path[1]), path, error)
        elif path[:1] == ("nodes",):
            self.data["nodes"] = {}  # nothing that can be looked at
        elif path:
            self.data.pop(str(path[0]), None)
        elif error.validator == "additionalProperties":
            for key in unknown_keys(error):
                self.data.pop(key, None)
        else:
            self.data["nodes"] = {}  # nothing that can be looked at

    def _mend_node(self, name: str, path: Path, error: Any) -> None:
        self.changed.add(name)
        node = self.data["nodes"].get(name)
        if not isinstance(node, dict) or (error.validator == "required" and len(path) == _OF_NODE):
            self._give_up(name)
        elif error.validator == "additionalProperties" and len(path) == _OF_NODE:
            for key in unknown_keys(error):
                guess = closest(key, error.schema.get("properties", {}))
                value = node.pop(key, None)
                if guess is not None and guess not in node:
                    node[guess] = value
        elif len(path) > _OF_NODE and path[2] == "type":
            guess = closest(str(node.get("type")), NODE_TYPES)
            if guess is not None and guess != node.get("type"):
                node["type"] = guess
            else:
                self._give_up(name)
        elif len(path) > _OF_NODE:
            node.pop(path[2], None)
        else:
            self._give_up(name)

    def _give_up(self, name: str) -> None:
        node = self.data["nodes"].pop(name, None)
        names = {*self.data["nodes"], *self.unread, name}
        ways: list[tuple[str, str]] = []
        for key, value in node.items() if isinstance(node, dict) else ():
            targets = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
            ways += [(key, target) for target in targets if isinstance(target, str) and target in names]
        self.lost = self.lost or not ways
        self.unread[name] = Unread(name=name, all_ways=tuple(dict.fromkeys(ways)))
