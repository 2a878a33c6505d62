"""YAML text as plain JSON values, with the position of every key."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

#: The way to a value: mapping keys and list indexes.
Path = tuple[str | int, ...]

#: More than any scenario needs; keeps aliases of aliases, and an alias of itself, from growing without bound.
MOST_VALUES = 200_000
MOST_LEVELS = 100

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
#: Whole numbers that 64 bits hold.
_LEAST, _MOST = -(2**63), 2**63 - 1


class _Loader(yaml.SafeLoader):
    """SafeLoader with plain scalars as the platform reads them: what JSON writes has a type, all else is text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - yaml copies it when a resolver is added


for _kind, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", list("-0123456789")),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(f"^(?:{_pattern})$"), _first)


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | str:
    text = str(node.value)
    if not re.fullmatch(r"-?[0-9]{1,400}", text):
        return int(loader.construct_yaml_int(node)) if len(text) < 400 else text
    return number if _LEAST <= (number := int(text)) <= _MOST else text


def _fraction(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float | str:
    number = float(loader.construct_yaml_float(node))
    return str(node.value) if math.isinf(number) and "inf" not in str(node.value).lower() else number


_Loader.add_constructor(f"{_TAG}int", _whole)
_Loader.add_constructor(f"{_TAG}float", _fraction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a file, and where."""

    file: str
    #: Dotted, list positions in brackets: `capabilities.import#enrichment[0].after`. Empty: the file as a
    #: whole.
    key: str
    message: str
    #: Counted from 1; None when the text has no positions (JSON).
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


@dataclass(slots=True, kw_only=True)
class Source:
    """What was read, and the problems that were found on the way."""

    file: str
    value: Any = None
    problems: list[Problem] = field(default_factory=list)
    positions: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def complain(self, path: Path, message: str) -> None:
        """Notes a problem at the path, or at the nearest position above it that is known."""
        known = next((path[:end] for end in range(len(path), -1, -1) if path[:end] in self.positions), None)
        line, column = self.positions[known] if known is not None else (None, None)
        self.problems.append(Problem(file=self.file, key=dotted(path), message=message, line=line, column=column))


def dotted(path: Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def read_source(text: str, *, file: str) -> Source:
    """Reads one YAML or JSON document. Never raises for bad text: see `problems`.

    Found here: syntax errors, keys given twice, values that JSON cannot carry.
    """
    source = Source(file=file)
    try:
        source.value = json.loads(text)
    except (ValueError, RecursionError):
        _read_yaml(text, source)
    if not source.problems:
        _check_json(source)
    return source


def _read_yaml(text: str, source: Source) -> None:
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _walk(node, (), source, set())
                source.value = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        source.problems.append(
            Problem(
                file=source.file,
                key="",
                message=f"not valid YAML: {error.problem or error.context}",
                line=mark.line + 1 if mark else None,
                column=mark.column + 1 if mark else None,
            )
        )
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        source.problems.append(Problem(file=source.file, key="", message=f"not valid YAML: {first_line}"))


def _walk(node: yaml.Node, path: Path, source: Source, seen: set[int]) -> None:
    """Notes positions and keys given twice; a node that several aliases name is walked once."""
    source.positions.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), source, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: set[tuple[str, str]] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            here = (*path, str(key.value))
            source.positions[here] = (key.start_mark.line + 1, key.start_mark.column + 1)
            if (key.tag, key.value) in keys:
                source.complain(here, "this key is given twice")
            keys.add((key.tag, key.value))
            _walk(value, here, source, seen)


def _check_json(source: Source) -> None:
    todo: list[tuple[Path, Any]] = [((), source.value)]
    count = 0
    while todo:
        path, value = todo.pop()
        count += 1
        if count > MOST_VALUES or len(path) > MOST_LEVELS:
            source.complain(path[:2], f"more than {MOST_VALUES:,} values or {MOST_LEVELS} levels")
            return
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    source.complain((*path, str(key)), f"the key {key!r} is not text: put it in quotes")
            todo += [((*path, str(key)), item) for key, item in value.items()]
        elif isinstance(value, list):
            todo += [((*path, index), item) for index, item in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            source.complain(path, f"{value} has no form in JSON")
        elif not isinstance(value, str | int | float | bool | None):
            source.complain(path, f"a value of type {type(value).__name__} has no form in JSON")
