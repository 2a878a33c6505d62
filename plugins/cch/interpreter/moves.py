"""How outcomes are read after their instance was moved to another version of its definition.

What was recorded stays as it is. A move says only where the tokens are that were under way (the ways of the new version
may lead elsewhere), and how nodes are called now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cch.interpreter.outcome import Outcome

#: In :attr:`Moves.targets`, the token with which an instance begins.
START = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """All moves of one instance together; ``count`` 0: it was never moved, and outcomes are read as they are.

    ``names``: an earlier name of a node → its name now, the first name of each node first. ``targets``: id of a
    recorded outcome → where its tokens lead now, by today's names. The form is stored: do not rename.
    """

    count: int = 0
    names: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

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

    def then(self, renamed: Mapping[str, str], targets: Mapping[str, Iterable[str]]) -> Moves:
        """These moves and one more.

        ``renamed``: a node's name so far → its next name. ``targets``: as in :attr:`targets`, by next names.
        """
        names = {first: renamed.get(latest, latest) for first, latest in self.names.items()}
        names |= {old: new for old, new in renamed.items() if old not in names}
        before = {key: tuple(renamed.get(name, name) for name in found) for key, found in self.targets.items()}
        return Moves(
            count=self.count + 1, names=names, targets=before | {key: tuple(found) for key, found in targets.items()}
        )

    def to_json(self) -> dict[str, Any]:
        targets = {key: list(found) for key, found in self.targets.items()}
        return {"count": self.count, "names": dict(self.names), "targets": targets}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Moves:
        targets = {key: tuple(found) for key, found in raw.get("targets", {}).items()}
        return cls(count=raw.get("count", 0), names=raw.get("names", {}), targets=targets)


#: Of an instance that was never moved.
NEVER = Moves()
