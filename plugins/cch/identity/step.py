"""Steps: one visit of a node in its scope, and everything that is called by it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from cch.identity.scheme import FIRST_SCHEME
from cch.identity.scope import Scope

#: Namespace of every derived id. Stored ids depend on it: never change it.
NAMESPACE = uuid.UUID("6b0d4a3c-6f0e-5a0e-9a52-0c6f3c0b7c11")
#: What a header may hold of an old key: all that is printable in ASCII.
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


class Keys(NamedTuple):
    """By what somebody who is asked tells a repetition: ``request`` in a body, ``header`` as ``Idempotency-Key``.

    Both are the same, but for instances of the first scheme, whose header has the attempt.
    """

    request: str
    header: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One visit of a node. Whoever computes its ids, and however often, gets the same.

    ``region``, ``node`` are the names under which the step was recorded. ``generation`` is that of the journal: a
    try that continues keeps it, a new beginning raises it. ``branch`` is the own key of the scope's item.
    """

    scheme: int
    instance: str
    region: str
    scope: Scope
    generation: int
    node: str
    visit: int
    branch: str = ""

    def _derived(self, kind: str, *more: int) -> uuid.UUID:
        """Derived from a text that no other step, kind or number has: JSON keeps every part apart."""
        parts = [kind, self.instance, self.region, self.scope.text, self.generation, self.node, self.visit, *more]
        return uuid.uuid5(NAMESPACE, json.dumps(parts))

    def command_id(self, attempt: int) -> str:
        """The id of a request; of everything else that the visit is one of (a wait, a lifecycle event) with 0."""
        if self.scheme == FIRST_SCHEME:
            parts = (self.instance, self.region, self.scope.text, self.generation, self.node, self.visit, attempt)
            return str(uuid.uuid5(NAMESPACE, "\n".join(map(str, parts))))
        return str(self._derived("command", attempt))

    @property
    def id(self) -> str:
        """The id of the visit itself."""
        return self.command_id(0)

    def keys(self, attempt: int, *, per_attempt: bool = False, call: bool = False) -> Keys:
        """The keys of one attempt: the same for all attempts of the visit, unless each is to have its own.

        ``call``: of a synchronous call, which in the first scheme leaves the branch out. Keys are ASCII.
        """
        if self.scheme == FIRST_SCHEME:
            parts = [self.instance, *([self.branch] if self.branch and not call else []), self.node, str(self.visit)]
            text = "/".join(parts)
            return Keys(text, quote(f"{text}/{attempt}", safe=_PRINTABLE))
        derived = self._derived("key", attempt) if per_attempt else self._derived("key")
        # Instance and visit are for people; both are ASCII, and the whole is never longer than 245 characters.
        key = f"{self.instance}/{derived.hex}/{self.visit}"
        return Keys(key, key)
