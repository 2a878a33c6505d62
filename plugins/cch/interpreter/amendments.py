"""What people have changed about an instance: how its recorded outcomes are read since then.

What was recorded stays as it is. A move to another version says where the tokens are that were under way (its ways may
lead elsewhere), and how nodes are called now; a patch says what was known besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cch.interpreter.context import merge
from cch.interpreter.outcome import Outcome

#: Stands for the start of the instance where the id of an outcome is expected.
START = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendments:
    """All changes of one instance together; ``count`` 0: there was none, and outcomes are read as they are.

    ``names``: an earlier name of a node → its name now, the first name of each node first. ``targets``: id of a
    recorded outcome → where its tokens lead now, by today's names. ``patches``: a token (:func:`token_key`) → what a
    person lets the node know besides that takes it. The form is stored: do not rename.
    """

    count: int = 0
    names: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def now(self, name: str) -> str:
        """What a node is called now that was recorded under ``name``."""
        return self.names.get(name, name)

    def recorded(self, name: str) -> str:
        """The name under which everything of a node is recorded: the first that it had in this instance."""
        return next((first for first, latest in self.names.items() if latest == name), name)

    def _id(self, outcome_id: str) -> str:
        node, _, visit = outcome_id.rpartition("#")
        return f"{self.now(node)}#{visit}"

    def read(self, outcome: Outcome) -> Outcome:
        """The outcome as it counts now. To read what was read before changes nothing."""
        if not self.count:
            return outcome
        node, patch = self.now(outcome.node), outcome.patch
        if node != outcome.node and patch.get("_errorNode") == outcome.node:
            patch = {**patch, "_errorNode": node}
        moved = self.targets.get(outcome.id)
        return replace(
            outcome,
            node=node,
            parents=tuple(map(self._id, outcome.parents)),
            targets=tuple(map(self.now, outcome.targets)) if moved is None else moved,
            patch=patch,
        )

    def entered(self, entry: str) -> tuple[str, ...]:
        """Where the instance begins, whose version begins at ``entry``."""
        return self.targets.get(START, (entry,))

    def added(self, parents: Iterable[str], node: str) -> Mapping[str, Any]:
        """What a person lets a node know besides that takes the tokens of these outcomes; none: that of the start."""
        found: Mapping[str, Any] = {}
        if self.patches:
            for source in tuple(parents) or (START,):
                found = merge(found, self.patches.get(token_key(source, node), {}))
        return found

    def moved(self, renamed: Mapping[str, str], targets: Mapping[str, Iterable[str]]) -> Amendments:
        """These and a move.

        ``renamed``: a node's name so far → its next name. ``targets``: as in :attr:`targets`, by next names.
        """
        names = {first: renamed.get(latest, latest) for first, latest in self.names.items()}
        names |= {old: new for old, new in renamed.items() if old not in names}
        before = {key: tuple(renamed.get(name, name) for name in found) for key, found in self.targets.items()}
        after = before | {key: tuple(found) for key, found in targets.items()}
        patches = {_renamed(key, renamed): patch for key, patch in self.patches.items()}
        return replace(self, count=self.count + 1, names=names, targets=after, patches=patches)

    def patched(self, patch: Mapping[str, Any], tokens: Iterable[tuple[str, str]]) -> Amendments:
        """These and a patch for whoever takes these tokens: (id of the outcome, node)."""
        keys = [token_key(source, node) for source, node in tokens]
        patches = {**self.patches, **{key: merge(self.patches.get(key, {}), patch) for key in keys}}
        return replace(self, count=self.count + 1, patches=patches)

    def counted(self) -> Amendments:
        """These and a change that needs no amendment."""
        return replace(self, count=self.count + 1)

    def to_json(self) -> dict[str, Any]:
        targets = {key: list(found) for key, found in self.targets.items()}
        patches = {"patches": {key: dict(found) for key, found in self.patches.items()}} if self.patches else {}
        return {"count": self.count, "names": dict(self.names), "targets": targets, **patches}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Amendments:
        targets = {key: tuple(found) for key, found in raw.get("targets", {}).items()}
        names, patches = raw.get("names", {}), raw.get("patches", {})
        return cls(count=raw.get("count", 0), names=names, targets=targets, patches=patches)


def token_key(source: str, node: str) -> str:
    """One token: that of an outcome (or, with "", of the start) which is at a node; by today's names."""
    return f"{source}>{node}"


def _renamed(key: str, renamed: Mapping[str, str]) -> str:
    source, _, node = key.partition(">")
    name, number, visit = source.rpartition("#")
    return token_key(f"{renamed.get(name, name)}{number}{visit}", renamed.get(node, node))


#: Of an instance about which nobody has changed anything.
UNAMENDED = Amendments()
