"""Scopes: the root of an instance, or an item of a map, which may lie inside an item of another map."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cch.identity.scheme import FIRST_SCHEME, NEWEST_SCHEME, require_known

#: Characters that structure a path, and the one that escapes them.
_RESERVED = re.compile(r"[%/#@\[\]]")
_ESCAPED = re.compile(r"%([0-9A-F]{2})")
_STEP = re.compile(r"([^/#@\[\]]*)#(\d+)@(\d+|task)\[([^/#@\[\]]*)\]")
#: The head of a step in the first scheme, where names and keys stand unescaped.
_FIRST_STEP = re.compile(r"/(.+?)#(\d+)@\w+\[", re.DOTALL)


def _quoted(text: str) -> str:
    return _RESERVED.sub(lambda found: f"%{ord(found[0]):02X}", text)


def _unquoted(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


@dataclass(frozen=True, slots=True)
class ItemStep:
    """From a scope into one item of one visit of a map.

    ``generation`` is the surrounding journal's; None for an item that has an Airflow task of its own, whose journal
    counts its own generations.
    """

    map: str
    visit: int
    generation: int | None
    branch: str

    @property
    def _generation_text(self) -> str:
        return "task" if self.generation is None else str(self.generation)

    def text(self, scheme: int) -> str:
        """``/<map>#<visit>@<generation>[<branch key>]``; the first scheme escapes nothing."""
        name, branch = (self.map, self.branch) if scheme == FIRST_SCHEME else (_quoted(self.map), _quoted(self.branch))
        return f"/{name}#{self.visit}@{self._generation_text}[{branch}]"


def _read_step(text: str) -> ItemStep:
    found = _STEP.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is no step of a scope's path")
    name, visit, generation, branch = found.groups()
    return ItemStep(_unquoted(name), int(visit), _generation(generation), _unquoted(branch))


def _generation(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope by its path; ``text`` is stored (do not change its form) and says its own scheme.

    The root's text is empty. Others begin with their scheme's number; those of the first scheme begin with ``/``.
    """

    text: str = ""

    @property
    def is_root(self) -> bool:
        return not self.text

    @property
    def scheme(self) -> int | None:
        """The scheme of the form; None for the root, which has the same form in all."""
        head = self.text.partition("/")[0]
        return None if self.is_root else int(head) if head.isdecimal() else FIRST_SCHEME

    @property
    def digest(self) -> str:
        """16 hex digits that stand for the path in keys; ``-`` for the root, to be readable."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16] if self.text else "-"

    @property
    def depth(self) -> int:
        """How many maps the scope is inside of; in the first scheme at least that many."""
        return self.text.count("/")

    def item(self, step: ItemStep, scheme: int = NEWEST_SCHEME) -> Scope:
        """The scope of one item of a map that stands in this scope."""
        start = str(scheme) if self.is_root and scheme != FIRST_SCHEME else self.text
        return Scope(start + step.text(scheme))

    @property
    def steps(self) -> tuple[ItemStep, ...]:
        """The way from the root; not for paths of the first scheme, which cannot be read without more knowledge.

        :raises ValueError: the text is no path of a scheme that can be read.
        """
        if self.is_root:
            return ()
        scheme, *parts = self.text.split("/")
        if not scheme.isdecimal() or not parts:
            raise ValueError(f"{self.text[:80]!r} is no path of a scope that can be read by itself")
        require_known(int(scheme), self.text[:80])
        return tuple(map(_read_step, parts))

    def branch_path(self, branch: str) -> tuple[str, ...]:
        """Branch keys from the outside in. ``branch``: the item's own key, all that the first scheme knows."""
        if self.is_root:
            return ()
        return (branch,) if self.scheme == FIRST_SCHEME else tuple(step.branch for step in self.steps)

    def parent(self, map_name: str, branch: str) -> tuple[Scope, ItemStep]:
        """The scope around this item of map ``map_name`` with key ``branch``, and the step from there."""
        if self.scheme != FIRST_SCHEME:
            *_, last = self.steps
            around = self.text.rpartition("/")[0]
            return Scope(around if "/" in around else ""), last
        rest, _, generation = self.text.removesuffix(f"[{branch}]").rpartition("@")
        around, _, visit = rest.rpartition("#")
        step = ItemStep(map_name, int(visit), _generation(generation), branch)
        return Scope(around.removesuffix(f"/{map_name}")), step

    def map_towards(self, inner: Scope) -> tuple[str, int] | None:
        """(map, visit) through which the way from this scope to ``inner`` leads; None if it does not."""
        if inner.scheme == FIRST_SCHEME:
            head = _FIRST_STEP.match(inner.text, len(self.text)) if inner.text.startswith(self.text) else None
            return (head[1], int(head[2])) if head else None
        ours, theirs = self.steps, inner.steps
        if len(theirs) <= len(ours) or theirs[: len(ours)] != ours:
            return None
        return theirs[len(ours)].map, theirs[len(ours)].visit

    def towards(self, inner: Scope, branches: Iterable[str]) -> tuple[Scope, str] | None:
        """The item, one of those with these keys, through which the way to ``inner`` leads, and its key."""
        if inner.scheme == FIRST_SCHEME:
            head = _FIRST_STEP.match(inner.text, len(self.text))
            if head is None:
                return None
            rest = f"{inner.text[head.end() :]}/"
            # Keys stand there as they are and may look like steps: the longest that fits is meant.
            fitting = [branch for branch in branches if rest.startswith(f"{branch}]/")]
            branch = max(fitting, key=len, default=None)
            return None if branch is None else (Scope(f"{inner.text[: head.end()]}{branch}]"), branch)
        step = inner.steps[len(self.steps)]
        return (self.item(step, inner.scheme or NEWEST_SCHEME), step.branch) if step.branch in set(branches) else None


ROOT = Scope()


def map_key(around: Scope, map_name: str, scheme: int) -> str:
    """How the keys of a map's items begin: the scope that the map stands in, and the map."""
    return f"{around.digest}#{map_name if scheme == FIRST_SCHEME else _quoted(map_name)}#"
