"""What one visit of a node produced: the unit that is committed, replayed and shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One visit.

    ``stamp`` (ms since 1970) orders outcomes: greater than every parent's. ``parents`` are the ids of the
    outcomes whose tokens it took. ``label`` is the edge it chose ("" for none), ``targets`` the nodes that got a
    token. ``failed`` means that no edge took the failure. ``cause`` says what ended it: ``{"kind": "reply",
    "command_id": …, "attempt": …}``; other kinds are instant, call, event, schedule, map, timeout and
    failure, with facts of their own.

    Field names are stored in the ledger: do not rename.
    """

    node: str
    visit: int
    stamp: int
    started: int
    parents: tuple[str, ...] = ()
    label: str = ""
    targets: tuple[str, ...] = ()
    patch: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False
    cause: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[Mapping[str, Any], ...] = ()

    @property
    def id(self) -> str:
        return f"{self.node}#{self.visit}"

    def to_json(self) -> dict[str, Any]:
        always = ("node", "visit", "stamp", "started")
        # Not dataclasses.asdict, which copies every value of a patch: seconds, if a reply has megabytes.
        items = ((key, getattr(self, key)) for key in self.__dataclass_fields__)
        return {key: value for key, value in items if key in always or value not in ((), "", {}, False)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Outcome:
        known = {key: raw[key] for key in cls.__dataclass_fields__ if key in raw}
        for key in ("parents", "targets", "errors"):
            known[key] = tuple(known.get(key, ()))
        return cls(**known)
