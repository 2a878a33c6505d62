"""YAML text to plain data that remembers where every value stood."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from cch.errors import DefinitionError, Problem

Path = tuple[str | int, ...]

#: Largest definition that is read, in bytes. The largest known one in production has about 40 KB.
MAX_BYTES = 1_048_576
#: Deepest nesting; JSON text in the ledger and people's eyes both end well before.
MAX_DEPTH = 50
#: Most values after aliases are expanded; stops "billion laughs" documents.
MAX_VALUES = 200_000

#: Most text after aliases are expanded, in characters; one long text may be repeated by an alias as well.
MAX_TEXT = 4 * MAX_BYTES
#: Longest message of a problem, in characters: it may quote what is written.
_LONGEST_MESSAGE = 400

#: More brackets or dashes than this (all brackets; dashes in one line), and the depth is measured first.
_MANY = 100
#: What sources put where bytes were no UTF-8; taken as it is, it would end up in a context.
_UNDECODABLE = "\N{REPLACEMENT CHARACTER}"

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_scalars = yaml.constructor.SafeConstructor()
_TAG = "tag:yaml.org,2002:"


def _short(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}…"


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML document.

    ``data`` consists of dict (string keys), list, str, int, float, bool and None only, as JSON does.
    ``positions`` has the place of every key and list item by its path; ``problems`` is what the data had to
    leave out (duplicate keys, values that JSON does not have).
    """

    file: str
    text: str
    data: Any
    positions: Mapping[Path, Position]
    problems: tuple[Problem, ...] = ()

    def position(self, path: Path) -> Position:
        """Place of ``path``, or of the nearest thing around it."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, Position(1, 1))

    def problem(self, path: Path, code: str, message: str, hint: str = "", *, warning: bool = False) -> Problem:
        place = self.position(path)
        return Problem(
            code=code,
            message=_short(message),
            hint=hint,
            severity="warning" if warning else "error",
            file=self.file,
            line=place.line,
            column=place.column,
        )


class _Builder:
    """Turns yaml's node tree into data, noting positions and problems on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.positions: dict[Path, Position] = {}
        self.problems: list[Problem] = []
        self._count = 0
        self._characters = 0

    def report(self, node: yaml.Node, code: str, message: str, hint: str = "") -> None:
        mark = node.start_mark
        self.problems.append(
            Problem(
                code=code,
                message=_short(message),
                hint=hint,
                file=self.file,
                line=mark.line + 1,
                column=mark.column + 1,
            )
        )

    def build(self, node: yaml.Node, path: Path, open_nodes: frozenset[int] = frozenset()) -> Any:
        self._count += 1
        self.positions.setdefault(path, Position(node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.ScalarNode):
            self._characters += len(node.value)
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH or id(node) in open_nodes or self._characters > MAX_TEXT:
            self._refuse_size(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, open_nodes | {id(node)})
        if isinstance(node, yaml.SequenceNode):
            inner = open_nodes | {id(node)}
            return [self.build(item, (*path, index), inner) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _refuse_size(self, node: yaml.Node) -> None:
        self.report(
            node,
            "CCH-D003",
            f"too large: more than {MAX_VALUES} values, {MAX_TEXT // MAX_BYTES} MiB or {MAX_DEPTH} levels "
            "with aliases written out, or an alias that contains itself",
            "write the values out, without anchors that repeat others",
        )
        raise DefinitionError(self.problems)

    def _mapping(self, node: yaml.MappingNode, path: Path, open_nodes: frozenset[int]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        first_seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged.update(self._merge(value_node, path, open_nodes))
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.report(key_node, "CCH-D004", "a key must be plain text", "quote it or write it in one word")
                continue
            # The text as written: `true:` and `null:` are branch labels here, not booleans and nothing.
            key = str(key_node.value)
            self._characters += len(key)
            if key in first_seen:
                where = "" if not path else f" in {'.'.join(map(str, path))}"
                self.report(
                    key_node,
                    "CCH-D002",
                    f"key {key!r} appears twice{where}, first in line {first_seen[key]}",
                    "rename or remove one of them: YAML readers silently keep only one",
                )
                continue
            first_seen[key] = key_node.start_mark.line + 1
            self.positions[(*path, key)] = Position(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            result[key] = self.build(value_node, (*path, key), open_nodes)
        return {**merged, **result}

    def _merge(self, node: yaml.Node, path: Path, open_nodes: frozenset[int]) -> dict[str, Any]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in reversed(sources):
            built = self.build(source, path, open_nodes)
            if isinstance(built, dict):
                merged.update(built)
            else:
                self.report(source, "CCH-D004", "<< needs a mapping", "point it to an anchor of a mapping")
        return merged

    def _scalar(self, node: Any) -> Any:
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool" | "int" | "float" as kind:
                return self._constructed(node, kind)
            case "str" | "timestamp" | "value":
                # A date stays the text that was written: contexts are JSON, which has no dates.
                return str(node.value)
            case other:
                self.report(node, "CCH-D004", f"tag {other!r} is not allowed", "remove the tag")
                return None

    def _constructed(self, node: yaml.Node, kind: str) -> Any:
        """A boolean or number. YAML's own patterns let through what is none (``0x_``), and a tag anything."""
        try:
            value = getattr(_scalars, f"construct_yaml_{kind}")(node)
        except (ValueError, KeyError, OverflowError):
            value = math.nan
        if isinstance(value, float) and not math.isfinite(value):
            what = "boolean" if kind == "bool" else "number"
            self.report(node, "CCH-D004", f"{node.value:.60} is no JSON {what}", "quote it if it is text")
            return None
        return value


def _numbered_lines(text: str, line: int) -> str:
    lines = text.splitlines()
    return lines[line - 1] if 0 < line <= len(lines) else ""


def snippet(text: str, problem: Problem) -> Iterator[str]:
    """The line that ``problem`` is about, and a caret under its column."""
    line = _numbered_lines(text, problem.line)
    if line:
        yield line
        yield " " * (problem.column - 1) + "^"


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


def read_document(text: str, file: str = "") -> Document:
    """Parse one YAML document.

    :raises DefinitionError: not YAML, not one mapping, or beyond the limits above.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        message = f"larger than {MAX_BYTES // 1024} KiB"
        hint = "split it into several workflows"
        raise DefinitionError([Problem(code="CCH-D003", message=message, hint=hint, file=file, line=1, column=1)])
    if (at := text.find(_UNDECODABLE)) >= 0:
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        message, hint = "not UTF-8 text", "save the file as UTF-8"
        raise DefinitionError(
            [Problem(code="CCH-D001", message=message, hint=hint, file=file, line=line, column=column)]
        )
    try:
        if _may_be_deep(text):
            _refuse_depth(text, file)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = Problem(
            code="CCH-D001",
            message=f"not YAML: {error.problem or error.context}",
            hint="check indentation, quotes and colons around this place",
            file=file,
            line=mark.line + 1 if mark else 1,
            column=mark.column + 1 if mark else 1,
        )
        raise DefinitionError([problem]) from None
    except (yaml.YAMLError, RecursionError, UnicodeError) as error:
        message = f"not YAML: {str(error) or type(error).__name__}"
        raise DefinitionError(
            [Problem(code="CCH-D001", message=message, hint="is it UTF-8 text?", file=file, line=1, column=1)]
        ) from None
    if not isinstance(root, yaml.MappingNode):
        message = "a definition is one mapping with workflow_id, workflow_name, entry_point and nodes"
        problem = Problem(code="CCH-D001", message=message, hint="see docs/language.md", file=file, line=1, column=1)
        raise DefinitionError([problem])
    builder = _Builder(file)
    data = builder.build(root, ())
    return Document(file=file, text=text, data=data, positions=builder.positions, problems=tuple(builder.problems))
