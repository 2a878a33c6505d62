"""Failed instances that nobody has mended, grouped by what they have in common."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from cch.ledger.endings import UNMENDED
from cch.ledger.instances import Instances
from cch.ledger.payloads import dump
from cch.ledger.records import Instance
from cch.ledger.store import ItemStore

#: What differs between two failures of one kind, the longer forms first: what a message says of one instance alone.
_VARYING = (
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{12,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{6,}\b"), "<id>"),
    (re.compile(r"(?<![\w<])[-+]?\d+(?:[.,]\d+)*"), "<n>"),
)
_LONGEST = 200
_LATEST = 9_999_999_999_999


def pattern_of(message: str) -> str:
    """The message without what is different in each of its kind: ids, times and numbers.

    >>> pattern_of("no reply for MEDU7710042 within 30 s, 2026-01-05T08:00:00Z")
    'no reply for <id> within <n> s, <time>'
    """
    for varying, sign in _VARYING:
        message = varying.sub(sign, message)
    return message[:_LONGEST]


def group_id(*parts: str) -> str:
    """Names a group by what its members have in common; stored: do not change."""
    return hashlib.sha256(dump(list(parts)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """What failed instances have in common. ``node`` and ``code`` are "" where the failure has none."""

    workflow_id: str
    node: str
    code: str
    pattern: str

    @classmethod
    def of(cls, instance: Instance) -> FailureGroup:
        return cls(
            workflow_id=instance.workflow_id,
            node=instance.failed_node,
            code=instance.error_code,
            pattern=pattern_of(instance.reason),
        )

    @property
    def id(self) -> str:
        return group_id("failed", self.workflow_id, self.node, self.code, self.pattern)


class Failures:
    """Eventually consistent, as indexes are."""

    def __init__(self, store: ItemStore, instances: Instances) -> None:
        self._store = store
        self._instances = instances

    async def unmended(self, since: int, most: int) -> list[Instance]:
        """Instances that have failed since then (ms) and have not been run again, the latest first.

        Those of the last minute, which are not in the figures yet, are not among them.
        """
        items = await self._store.listed("by_live", UNMENDED, limit=most, between=(since, _LATEST))
        return [self._instances.of_item(item) for item in items]
