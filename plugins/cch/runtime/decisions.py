"""What was decided about an instance that stands still, and what is left to do then, in the form that is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cch.interpreter.outcome import Outcome

if TYPE_CHECKING:
    from cch.definition.version import Version
    from cch.interpreter.amendments import Amendments

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemTodo:
    """An item of a map that begins a new generation in its own task: the scope of its journal, its place in the list,
    and ids of its visits that do not count any more → the attempts that they have used.
    """

    region: str
    scope: str
    index: int
    drop: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        return {"region": self.region, "scope": self.scope, "index": self.index, "drop": dict(self.drop)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """What is left to do in the ledger once a change has been decided. Its form is stored for the time of the change.

    ``supersede`` and ``supersede_waits``: ids of what nobody waits for any more.
    ``drop``: region → id of a visit that does not count any more → the attempts that it has used; the region begins a
    new generation. ``write``: region → visits that somebody has decided. ``again``: regions that have left and have
    something to do. ``carried``: unfinished regions whose task is gone. Regions are given by the names under which they
    are recorded. ``items``: of maps, to be run again. ``adopt``: keys of replies that found nobody, for what the
    instance asks next.
    """

    supersede: tuple[str, ...] = ()
    supersede_waits: tuple[str, ...] = ()
    drop: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    write: Mapping[str, tuple[Outcome, ...]] = field(default_factory=dict)
    again: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()
    adopt: tuple[str, ...] = ()
    items: tuple[ItemTodo, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "supersede": list(self.supersede),
            "supersede_waits": list(self.supersede_waits),
            "drop": {region: dict(found) for region, found in self.drop.items()},
            "write": {region: [outcome.to_json() for outcome in found] for region, found in self.write.items()},
            "again": list(self.again),
            "carried": list(self.carried),
            "adopt": list(self.adopt),
            "items": [item.to_json() for item in self.items],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Todo:
        write = {region: tuple(map(Outcome.from_json, found)) for region, found in raw["write"].items()}
        names = ("supersede", "supersede_waits", "again", "carried", "adopt")
        lists = {name: tuple(raw.get(name, ())) for name in names}
        items = tuple(ItemTodo(**item) for item in raw.get("items", ()))
        return cls(drop=raw["drop"], write=write, items=items, **lists)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[T]):
    """What a change does. ``said``: what the decider tells besides.

    ``time_limit``: how long the instance may take then, in ms; None: as long as before.
    """

    amendments: Amendments
    todo: Todo
    said: T
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    version: Version | None = None
    structure_digest: str = ""
    time_limit: int | None = None
