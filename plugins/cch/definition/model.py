"""What a definition means, as a frozen record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cch.definition.contract import Contract, of_asked
from cch.definition.contract_pins import pins_of, with_pins
from cch.definition.nodes import Node
from cch.definition.rules import NEWEST
from cch.dialects import Dialect, recorded_dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One workflow.

    ``digest`` is the sha256 (hex) of the text it was read from; ``required`` maps each key that a start must
    bring to its JSON Schema (``True``: anything but absent). ``reading_rules``: see :mod:`cch.definition.rules`.
    ``dialect`` is the name of one, "" if the text has none.
    """

    workflow_id: str
    workflow_name: str
    entry_point: str
    nodes: Mapping[str, Node]
    required: Mapping[str, Any] = field(default_factory=dict)
    #: Whether the text says what a start brings.
    describes_start: bool = False
    schema_version: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    owner: str = ""
    timeout: float | None = None
    granularity: Literal["node", "workflow"] = "node"
    reading_rules: int = NEWEST
    dialect: str = ""
    digest: str = ""
    file: str = ""
    text: str = field(default="", repr=False)
    #: Capability → the contract that its requests and replies are held to, where it has one.
    contracts: Mapping[str, Contract] = field(default_factory=dict, repr=False)

    @property
    def time_limit(self) -> int:
        """How long an instance may take, in ms; 0: for ever."""
        return round((self.timeout or 0) * 1000)

    @property
    def pins(self) -> Mapping[str, str]:
        """Capability → digest of the contract with which it was published."""
        return pins_of(self.text)

    def held_to(self, contracts: Mapping[str, Contract]) -> Definition:
        """The definition with those of the contracts whose capabilities it asks."""
        found = dict(of_asked(contracts, self.asked))
        return self if found == self.contracts else replace(self, contracts=found)

    def pinned(self) -> Definition:
        """The definition as it is published: its text, and so its digest, names the contracts that it is held to."""
        text = with_pins(self.text, {capability: each.digest for capability, each in self.contracts.items()})
        return replace(self, text=text, digest=hashlib.sha256(text.encode()).hexdigest())

    @property
    def speaks(self) -> Dialect:
        """The dialect by which it is executed."""
        return recorded_dialect(self.dialect)

    @property
    def asked(self) -> frozenset[str]:
        """The capabilities that its nodes ask over queues, or call."""
        asked = (node.asks for node in self.nodes.values())
        return frozenset(one.id for one in asked if one is not None and one.answerer != "library")

    @property
    def called(self) -> tuple[str, ...]:
        """The capabilities that its nodes call, in an order that the text alone decides."""
        asked = (node.asks for node in self.nodes.values())
        return tuple(sorted({one.id for one in asked if one is not None and one.answerer == "binding"}))

    def in_dialect(self, name: str) -> Definition:
        """The definition as an instance executes it that has recorded this dialect."""
        return self if self.dialect == name else replace(self, dialect=name)
