"""An expression as a definition writes it: ``{% … %}`` around JSONata."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cch.expressions.bounds import NAMES
from cch.expressions.numbers import NumberError, normal
from cch.values import MISSING

if TYPE_CHECKING:
    from cch.expressions.evaluation import Compiled

#: Longest expression, in characters.
MAX_LENGTH = 4_000
_FORM = re.compile(r"\s*\{%(.*)%\}\s*", re.DOTALL)
_OPEN = re.compile(r"\s*\{%")


class ExpressionError(ValueError):
    """The text is no expression that can be used. ``position``: characters from the beginning; -1 if it is unknown."""

    def __init__(self, message: str, position: int = -1) -> None:
        super().__init__(message)
        self.position = position


class FailedError(ValueError):
    """An evaluation failed; the message names the expression, the position in it and what it met."""


@dataclass(frozen=True, slots=True)
class Expression:
    """What stands between ``{%`` and ``%}``; ``offset`` is where that begins in the value that the definition has."""

    text: str
    offset: int

    def check(self, names: tuple[str, ...] = NAMES) -> None:
        """:raises ExpressionError: it cannot be used, or uses a name that is not in ``names``."""
        used = _parsed(self.text)
        for name, position in used.variables:
            if name in NAMES and name not in names:
                raise ExpressionError(f"${name} has no value here", position)

    @property
    def reads(self) -> tuple[tuple[str, ...], ...]:
        """The keys of the context that it reads, each as the steps of a path."""
        return _parsed(self.text).paths

    @property
    def reads_anything(self) -> bool:
        """Whether it reads the context as a whole."""
        return _parsed(self.text).whole

    @property
    def names(self) -> frozenset[str]:
        """The names that it uses besides the context, without ``$``."""
        return frozenset(name for name, _ in _parsed(self.text).variables if name in NAMES)

    def of_name(self, name: str) -> tuple[str, ...] | None:
        """The keys that it reads of ``$name``; None if it reads that as a whole."""
        return _parsed(self.text).of_names.get(name, ())

    def value(self, context: Mapping[str, Any], names: Mapping[str, Any]) -> Any:
        """Its value, or :data:`~cch.values.MISSING` if it matches nothing.

        ``context`` must be without the platform's own keys; it is not changed.

        :raises FailedError: it cannot be evaluated, or met a bound.
        """
        from cch.expressions.evaluation import EvaluationError  # noqa: PLC0415 - slow to load, few need it

        try:
            return _parsed(self.text).compiled.run(context, names)
        except ExpressionError as error:
            raise FailedError(f"the expression {_short(self.text)} cannot be used: {error}") from None
        except EvaluationError as error:
            where = f" at character {error.position}" if error.position > 0 else ""
            raise FailedError(f"the expression {_short(self.text)} failed{where}: {error}") from None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"{{% {line if len(line) <= 120 else line[:120] + '…'} %}}"


def expression_of(value: Any) -> Expression | None:
    """The expression that a value of a definition is; None if it is a plain value.

    :raises ExpressionError: it begins like one, and does not end so.
    """
    if not isinstance(value, str):
        return None
    found = _FORM.fullmatch(value)
    if found:
        return Expression(found[1], found.start(1))
    if _OPEN.match(value):
        raise ExpressionError("it begins with {% and does not end with %}", len(value))
    return None


def is_expression(value: Any) -> bool:
    """Whether a value of a definition is an expression."""
    return isinstance(value, str) and _FORM.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class _Parsed:
    compiled: Compiled
    #: ($name, its position) of every variable that the expression does not bind itself.
    variables: tuple[tuple[str, int], ...]
    paths: tuple[tuple[str, ...], ...]
    whole: bool
    of_names: Mapping[str, tuple[str, ...] | None]


@functools.lru_cache(maxsize=2048)
def _parsed(text: str) -> _Parsed:
    """:raises ExpressionError: it cannot be used."""
    if not text.strip():
        raise ExpressionError("it is empty", 0)
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"it has more than {MAX_LENGTH} characters", MAX_LENGTH)
    from cch.expressions import evaluation, functions, library  # noqa: PLC0415 - slow to load, few need it

    try:
        compiled = evaluation.Compiled(text)
        walk = _Walk(text)
        walk.visit(compiled.ast, at_root=True)
    except library.JsonataError as error:
        raise ExpressionError(str(error), _begin(text, error.location, error.current)) from None
    except RecursionError:
        raise ExpressionError("it is nested too deep") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ExpressionError(f"it cannot be read: {error}") from None
    for refused, position in walk.refused:
        raise ExpressionError(refused, position)
    known = {*functions.names(), *NAMES, *walk.bound}
    for name, position in walk.variables:
        if name not in known:
            if advice := functions.REFUSED.get(name):
                raise ExpressionError(f"${name} cannot be used: {advice}", position)
            close = difflib.get_close_matches(name, sorted(known), n=1)
            guess = f": did you mean ${close[0]}?" if close else ": keys of the context are written without $"
            raise ExpressionError(f"there is no ${name}{guess}", position)
    free = tuple(each for each in walk.variables if each[0] not in walk.bound)
    of_names = {
        name: None if None in keys else tuple(sorted(set(filter(None, keys)))) for name, keys in walk.of_names.items()
    }
    return _Parsed(compiled, free, tuple(dict.fromkeys(walk.paths)), walk.whole, of_names)


def _begin(text: str, end: int, token: Any) -> int:
    """Where a token begins that ends at ``end``."""
    said = str(token)
    return end - len(said) if text[max(0, end - len(said)) : end] == said else end


_LITERAL = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$")
#: Functions of JSONata whose names stand for something else here.
_NOT_CALLED = {
    "now": "write $now without parentheses: the time of what led to this node",
    "error": "$error is the failure that led to this node: write $assert(false, '…') to fail",
}
#: Attributes of JSONata's tree that hold what is evaluated in the same context, and inside what was matched.
_SAME = (
    "lhs",
    "rhs",
    "expression",
    "condition",
    "then",
    "_else",
    "procedure",
    "arguments",
    "expressions",
    "lhs_object",
)
_INSIDE = ("stages", "predicate", "group", "terms", "expr")


class _Walk:
    """What a parsed expression uses."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.variables: list[tuple[str, int]] = []
        self.bound: set[str] = set()
        self.paths: list[tuple[str, ...]] = []
        self.of_names: dict[str, list[str | None]] = {}
        self.whole = False
        self.refused: list[tuple[str, int]] = []

    def visit(self, node: Any, *, at_root: bool) -> None:
        """Take in a node of the tree; ``at_root``: names in it are keys of the context."""
        if node is None or not hasattr(node, "type"):
            for each in node if isinstance(node, list | tuple) else ():
                self.visit(each, at_root=at_root)
            return
        self._refuse(node)
        match node.type:
            case "path":
                self._path(node.steps, at_root=at_root)
            case "variable":
                self._variable(node, at_root=at_root)
            case "number":
                node.value = self._number(node)
            case "wildcard" | "descendant" | "parent" if at_root:
                self.whole = True
            case "bind":
                self.bound.add(str(node.lhs.value))
                self.visit(node.rhs, at_root=at_root)
            case "lambda":
                self.bound.update(str(each.value) for each in node.arguments)
                self.visit(node.body, at_root=at_root)
            case _:
                for name in _SAME:
                    self.visit(getattr(node, name, None), at_root=at_root)
        for name in _INSIDE:
            self.visit(getattr(node, name, None), at_root=False)

    def _refuse(self, node: Any) -> None:
        if node.type == "transform":
            self.refused.append(("|…| cannot be used: build a new object, for example with $merge", node.position))
        if getattr(node, "focus", None) is not None:
            self.refused.append(("@ cannot be used: it multiplies lists with each other", node.position))
        called = getattr(node.procedure, "value", None) if node.type == "function" else None
        if called in _NOT_CALLED:
            self.refused.append((_NOT_CALLED[called], node.position))
        if getattr(node, "index", None) is not None and node.type != "parent":
            self.bound.add(str(node.index))

    def _number(self, node: Any) -> Any:
        """The number that is written: JSONata reads it as a double."""
        found = _LITERAL.search(self._text[: node.position])
        if found is None:
            return node.value
        value = int(found[0]) if found[0].isdecimal() else float(found[0])
        try:
            return normal(-value if node.value < 0 else value)
        except NumberError:
            self.refused.append((f"{found[0]:.40} is beyond what numbers can be", node.position))
            return node.value

    def _variable(self, node: Any, *, at_root: bool) -> None:
        name = str(node.value)
        if name == "$" or (name == "" and at_root):
            self.whole = True
        elif name:
            self.variables.append((name, node.position))
            if name in NAMES:
                self.of_names.setdefault(name, []).append(None)

    def _path(self, steps: list[Any], *, at_root: bool) -> None:
        first, keys = steps[0], _leading_names(steps)
        if first.type == "name":
            if at_root:
                self.paths.append(keys)
        elif first.type == "variable" and len(steps) > 1 and first.predicate is None and first.group is None:
            name, inner = str(first.value), _leading_names(steps[1:])
            self._refuse(first)
            if name == "$" or (name == "" and at_root):
                self.paths.append(inner) if inner else setattr(self, "whole", True)
            elif name:
                self.variables.append((name, first.position))
                if name in NAMES:
                    self.of_names.setdefault(name, []).append(inner[0] if inner else None)
        else:
            self.visit(first, at_root=at_root)
        for step in steps:
            if step.type not in ("name", "variable"):
                if step is not first:
                    self.visit(step, at_root=False)
            else:
                self._refuse(step)
                for name in _INSIDE:
                    self.visit(getattr(step, name, None), at_root=False)


def _leading_names(steps: list[Any]) -> tuple[str, ...]:
    """The names with which a path begins; what comes after a condition belongs to what was matched."""
    found = []
    for step in steps:
        if step.type != "name":
            break
        found.append(str(step.value))
    return tuple(found)


def expressions_in(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text of a nested value that looks like an expression, with its place."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from expressions_in(inner, (*place, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from expressions_in(inner, (*place, index))
    elif isinstance(value, str) and _OPEN.match(value):
        yield place, value


def evaluated(value: Any, context: Mapping[str, Any], names: Mapping[str, Any]) -> Any:
    """``value`` with every expression in it replaced by what it gives.

    What matches nothing is left out of its mapping or list; :data:`~cch.values.MISSING` if that is ``value`` itself.

    :raises FailedError: one cannot be evaluated.
    """
    if isinstance(value, Mapping):
        inner = {key: evaluated(each, context, names) for key, each in value.items()}
        return {key: each for key, each in inner.items() if each is not MISSING}
    if isinstance(value, list | tuple):
        return [each for each in (evaluated(inner, context, names) for inner in value) if each is not MISSING]
    found = expression_of(value)
    return value if found is None else found.value(context, names)
