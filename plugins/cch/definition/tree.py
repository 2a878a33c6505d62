"""YAML text to yaml's tree of nodes, in which plain scalars have no type yet."""

from __future__ import annotations

from typing import Any

import yaml

from cch.errors import DefinitionError, Problem

TAG = "tag:yaml.org,2002:"
#: Deepest nesting; JSON text in the ledger and people's eyes both end well before.
MAX_DEPTH = 50
#: More brackets or dashes than this (all brackets; dashes in one line), and the depth is measured first.
_MANY = 100
#: Stands where YAML would resolve a tag by itself: a scalar without quotes, whose meaning our rules decide.
PLAIN = "plain"
#: Largest text (bytes) for which the slow reader is used, which knows the surrogate pairs that JSON writes: 5 s.
_MAX_SLOW = 262_144
#: What libyaml says of the first half of such a pair.
_SURROGATE = "invalid Unicode character escape code"


class _Untyped:
    """Leaves the types of plain scalars to :mod:`cch.definition.scalars`."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:  # noqa: ARG002
        if kind is yaml.ScalarNode:
            return PLAIN if implicit[0] else f"{TAG}str"
        return f"{TAG}{'map' if kind is yaml.MappingNode else 'seq'}"


_SlowLoader: Any = type("_SlowLoader", (_Untyped, yaml.SafeLoader), {})
_Loader: Any = type("_Loader", (_Untyped, getattr(yaml, "CSafeLoader", yaml.SafeLoader)), {})


def _may_be_deep(text: str) -> bool:
    """Whether ``text`` could nest thousands of levels; few definitions have to be looked at twice."""
    brackets = text.count("[") + text.count("{")
    return brackets > _MANY or any(
        line.count("-") + line.count("?") > _MANY for line in text.splitlines() if len(line) > _MANY
    )


def _refuse_depth(text: str, file: str) -> None:
    """Measure the depth before libyaml's composer sees the text: it recurses in C, and 40,000 levels end the process.

    :raises DefinitionError: more than :data:`MAX_DEPTH` levels.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH + 1:
                message, hint = f"nested more than {MAX_DEPTH} levels deep", "write it flatter"
                mark: Any = event.start_mark
                line, column = mark.line + 1, mark.column + 1
                problem = Problem(code="CCH-D003", message=message, hint=hint, file=file, line=line, column=column)
                raise DefinitionError([problem])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def compose(text: str, file: str) -> yaml.Node | None:
    """The node tree. libyaml does not read the surrogate pairs of JSON, so those take the slow way."""
    try:
        if _may_be_deep(text):
            _refuse_depth(text, file)
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        if error.problem is None or _SURROGATE not in error.problem or len(text) > _MAX_SLOW:
            raise
    root = yaml.compose(text, Loader=_SlowLoader)
    if root is not None:
        _join_surrogates(root)
    return root


def _join_surrogates(root: yaml.Node) -> None:
    seen: set[int] = set()
    todo = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, yaml.ScalarNode):
            node.value = node.value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        elif id(node) not in seen:
            seen.add(id(node))
            for child in node.value:
                todo.extend(child if isinstance(child, tuple) else (child,))
