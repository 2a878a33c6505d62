"""Boxes: where the ledger keeps the pointers to what one branch of an instance asks, awaits and was sent."""

from __future__ import annotations

from dataclasses import dataclass

from cch.identity.scheme import FIRST_SCHEME, NEWEST_SCHEME

#: The instance itself, in a box's key.
_ROOT = "-"


@dataclass(frozen=True, slots=True)
class Box:
    """All scopes of an instance whose own branch key is ``branch`` share a box; "" is the instance itself."""

    instance: str
    branch: str = ""
    scheme: int = NEWEST_SCHEME

    @property
    def key(self) -> str:
        """Partition of the pointers. Stored: do not change. Instance ids hold no ``#``."""
        branch = self.branch
        if self.scheme != FIRST_SCHEME:  # in the first one an item with the key - is in the instance's own box
            branch = branch.replace("%", "%25")
            branch = "%2D" if branch == _ROOT else branch
        return f"BOX#{self.instance}#{branch or _ROOT}"
