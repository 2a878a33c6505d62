"""What a definition means, as a frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cch.definition.nodes import Node
from cch.definition.rules import NEWEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One workflow.

    ``digest`` is the sha256 (hex) of the text it was read from; ``required`` maps each key that a start must
    bring to its JSON Schema (``True``: anything but absent). ``reading_rules``: see :mod:`cch.definition.rules`.
    """

    workflow_id: str
    workflow_name: str
    entry_point: str
    nodes: Mapping[str, Node]
    required: Mapping[str, Any] = field(default_factory=dict)
    schema_version: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    owner: str = ""
    timeout: float | None = None
    granularity: Literal["node", "workflow"] = "node"
    reading_rules: int = NEWEST
    digest: str = ""
    file: str = ""
    text: str = field(default="", repr=False)
