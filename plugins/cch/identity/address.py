"""Addresses: which item of which map a message is meant for."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


def branch_text(value: Any) -> str:
    """How a branch key of any JSON type reads as text: text as it is, everything else in its JSON form."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Address:
    """``path``: branch keys from the outside in; one that is not ``whole`` gives the item's own key only.

    The root of an instance has the empty path.
    """

    path: tuple[str, ...] = ()
    whole: bool = True

    @classmethod
    def of_key(cls, branch: str) -> Address:
        """The address that a single branch key is; none means the root."""
        return cls((branch,), whole=False) if branch else cls()

    @property
    def branch(self) -> str:
        """The item's own key, "" for the root."""
        return self.path[-1] if self.path else ""

    def fits(self, path: tuple[str, ...]) -> bool:
        """Whether the scope with these branch keys may be meant."""
        return self.path == path if self.whole else self.path == path[-1:]

    def meant(self, paths: Collection[tuple[str, ...]]) -> set[tuple[str, ...]]:
        """Those of the scopes that may be meant: with more than one nobody can tell."""
        return {path for path in paths if self.fits(path)}

    def __str__(self) -> str:
        return shown(self.path)


#: The instance itself.
THE_INSTANCE = Address()


def shown(path: tuple[str, ...]) -> str:
    """A path as people read it: ``"A" / "1"``."""
    return " / ".join(json.dumps(branch, ensure_ascii=False) for branch in path) or "the instance itself"
