"""YAML text to plain data that remembers where every value stood."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from cch.definition.rules import FIRST, NEWEST
from cch.definition.scalars import NoValueError, construct, newest_reading, older_reading, read_plain
from cch.definition.tree import MAX_DEPTH, PLAIN, TAG, compose
from cch.errors import DefinitionError, Problem

Path = tuple[str | int, ...]

#: Largest definition that is read, in bytes. The largest known one in production has about 40 KB.
MAX_BYTES = 1_048_576
#: Most values after aliases are expanded; stops "billion laughs" documents.
MAX_VALUES = 200_000

#: Most text after aliases are expanded, in characters; one long text may be repeated by an alias as well.
MAX_TEXT = 4 * MAX_BYTES
#: Longest message of a problem, in characters: it may quote what is written.
_LONGEST_MESSAGE = 400

#: Lines after a key among which its text is looked for.
_LINES_LOOKED_AT = 100
#: Longer numbers (bits, characters) are not written out in a message.
_SAID = 100
#: What sources put where bytes were no UTF-8; taken as it is, it would end up in a context.
_UNDECODABLE = "\N{REPLACEMENT CHARACTER}"

#: Tags that a scalar may have.
_SCALAR_TAGS = ("str", "null", "bool", "int", "float", "timestamp", "value")


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
    leave out (duplicate keys, values that JSON does not have). ``findings`` keep nobody from using the data.
    ``rules``: the number of the rules by which scalars were read; ``older``: path → what the first rules made of it,
    where that was something else. ``quoted`` are the paths of keys that were written in quotes.
    """

    file: str
    text: str
    data: Any
    positions: Mapping[Path, Position]
    problems: tuple[Problem, ...] = ()
    findings: tuple[Problem, ...] = ()
    rules: int = NEWEST
    older: Mapping[Path, Any] = field(default_factory=dict)
    quoted: frozenset[Path] = frozenset()

    def position(self, path: Path) -> Position:
        """Place of ``path``, or of the nearest thing around it."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, Position(1, 1))

    def inside(self, path: Path, value: str, offset: int) -> Position | None:
        """Where character ``offset`` of the text ``value`` stands that has its place at ``path``.

        None if it cannot be told, because the text is written with escapes.
        """
        start = self.position(path)
        lines = self.text.splitlines()
        before = value[:offset]
        wanted = value.splitlines() or [value]
        number = min(before.count("\n"), len(wanted) - 1)
        column_in_line = len(before) - (before.rfind("\n") + 1)
        line = wanted[number]
        stripped = line.strip()
        for index in range(start.line - 1, min(len(lines), start.line + _LINES_LOOKED_AT)):
            begin = start.column - 1 if index == start.line - 1 else 0
            at = lines[index].find(stripped, begin) if stripped else -1
            if at >= 0:
                lead = len(line) - len(line.lstrip())
                return Position(index + 1, at + max(0, min(column_in_line - lead, len(stripped))) + 1)
        return None

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


def _written_tag(tag: str) -> str:
    """A tag as its author wrote it."""
    return f"!!{tag.removeprefix(TAG)}" if tag.startswith(TAG) else tag


class _Builder:
    """Turns yaml's node tree into data, noting positions and problems on the way."""

    def __init__(self, file: str, rules: int) -> None:
        self.file = file
        self.rules = rules
        self.positions: dict[Path, Position] = {}
        self.problems: list[Problem] = []
        self.findings: list[Problem] = []
        self.older: dict[Path, Any] = {}
        self.quoted: set[Path] = set()
        self._count = 0
        self._characters = 0

    def _problem(self, node: yaml.Node, code: str, message: str, hint: str, *, warning: bool = False) -> Problem:
        mark = node.start_mark
        return Problem(
            code=code,
            message=_short(message),
            hint=hint,
            severity="warning" if warning else "error",
            file=self.file,
            line=mark.line + 1,
            column=mark.column + 1,
        )

    def report(self, node: yaml.Node, code: str, message: str, hint: str = "") -> None:
        self.problems.append(self._problem(node, code, message, hint))

    def _refuse_tag(self, node: yaml.Node, kind: str) -> None:
        """Only a finding: such tags were passed over for years."""
        if node.tag != f"{TAG}{kind}":
            message = f"tag {_written_tag(node.tag)!r} is not allowed"
            self.findings.append(self._problem(node, "CCH-D007", message, "remove the tag"))

    def build(self, node: yaml.Node, path: Path, open_nodes: frozenset[int] = frozenset()) -> Any:
        self._count += 1
        self.positions.setdefault(path, Position(node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.ScalarNode):
            self._characters += len(node.value)
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH or id(node) in open_nodes or self._characters > MAX_TEXT:
            self._refuse_size(node)
        if isinstance(node, yaml.MappingNode):
            self._refuse_tag(node, "map")
            return self._mapping(node, path, open_nodes | {id(node)})
        if isinstance(node, yaml.SequenceNode):
            self._refuse_tag(node, "seq")
            inner = open_nodes | {id(node)}
            return [self.build(item, (*path, index), inner) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

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
            if key_node.tag == f"{TAG}merge" or (key_node.tag == PLAIN and key_node.value == "<<"):
                merged.update(self._merge(value_node, path, open_nodes))
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.report(key_node, "CCH-D004", "a key must be plain text", "quote it or write it in one word")
                continue
            if not self._is_text(key_node):
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
            if key_node.tag != PLAIN:
                self.quoted.add((*path, key))
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

    def _scalar(self, node: Any, path: Path) -> Any:
        kind = node.tag.removeprefix(TAG)
        if kind not in (PLAIN, *_SCALAR_TAGS):
            self.report(node, "CCH-D004", f"tag {_written_tag(node.tag)!r} is not allowed", "remove the tag")
            return None
        if not self._is_text(node):
            return None
        try:
            match kind:
                case "null":
                    return None
                case "bool" | "int" | "float":
                    return construct(kind, node.value)
                case "plain":
                    return self._plain(node, path)
                case _:
                    # A date stays the text that was written: contexts are JSON, which has no dates.
                    return str(node.value)
        except NoValueError as error:
            self.report(node, "CCH-D004", f"{node.value:.60} is no JSON {error}", "quote it if it is text")
            return None

    def _is_text(self, node: Any) -> bool:
        """Whether every database and queue takes the scalar; says why not."""
        if any("\ud800" <= character <= "\udfff" for character in node.value):
            message, hint = "half of a surrogate pair is no text", "write both halves, or the character itself"
        elif "\0" in node.value:
            message, hint = "the character NUL is in no text", "remove it"
        else:
            return True
        self.report(node, "CCH-D001", message, hint)
        return False

    def _plain(self, node: Any, path: Path) -> Any:
        text = str(node.value)
        value = read_plain(text, self.rules)
        if self.rules == FIRST:
            return value
        try:
            old = self.older[path] = older_reading(text)
        except LookupError:
            if doubt := newest_reading(text).doubt:
                hint = f"write {value!r}, or '{text}' in quotes for the text" if value != text else "put it in quotes"
                self.findings.append(self._problem(node, "CCH-D005", doubt, hint, warning=True))
        else:
            message = (
                f"{text:.60} is {_said(value)} now; for instances that began by the first rules it is {_said(old)}"
            )
            other = _said(value if isinstance(old, str) else old).removeprefix("the number ")
            hint = f"put it in quotes for the text, or write {other if len(other) < _SAID else 'another value'}"
            self.findings.append(self._problem(node, "CCH-D006", message, hint, warning=True))
        return value


def _said(value: Any) -> str:
    """A scalar with its type, for people."""
    if isinstance(value, str):
        return f"the text '{value:.60}'"
    if isinstance(value, int) and value.bit_length() > _SAID:
        return "a number of many digits"
    written = json.dumps(value)
    return written if value is None or isinstance(value, bool) else f"the number {written}"


def _numbered_lines(text: str, line: int) -> str:
    lines = text.splitlines()
    return lines[line - 1] if 0 < line <= len(lines) else ""


def snippet(text: str, problem: Problem) -> Iterator[str]:
    """The line that ``problem`` is about, and a caret under its column."""
    line = _numbered_lines(text, problem.line)
    if line:
        yield line
        yield " " * (problem.column - 1) + "^"


#: What a file of definitions has to be.
DEFINITION = "a definition is one mapping with workflow_id, workflow_name, entry_point and nodes"


def read_document(text: str, file: str = "", rules: int = NEWEST, whole: str = DEFINITION) -> Document:
    """Parse one YAML document, its scalars by ``rules``. ``whole`` says what the document has to be.

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
        root = compose(text, file)
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
        problem = Problem(code="CCH-D001", message=whole, hint="see docs/language.md", file=file, line=1, column=1)
        raise DefinitionError([problem])
    builder = _Builder(file, rules)
    data = builder.build(root, ())
    return Document(
        file=file,
        text=text,
        data=data,
        positions=builder.positions,
        problems=tuple(builder.problems),
        findings=tuple(builder.findings),
        rules=rules,
        older=builder.older,
        quoted=frozenset(builder.quoted),
    )
