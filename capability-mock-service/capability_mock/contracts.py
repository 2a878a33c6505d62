"""Contracts of capabilities: what one answers where no scenario says anything, from its examples and schemas."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from capability_mock.samples import sample
from capability_mock.source import Problem, read_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger("capability_mock")

ENDINGS = (".yaml", ".yml", ".json")
_ABSENT = object()


class ContractError(Exception):
    """A contract that cannot be used; the text names every problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One reply, and the request that it answers (None: any)."""

    request: Mapping[str, Any] | None = None
    status: str = "SUCCESS"
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What the mock needs of a contract; everything else in the file is for others."""

    capability: str
    replies: Mapping[str, Any] = field(default_factory=dict)
    #: Code → meaning.
    errors: Mapping[str, Any] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()

    def answer(self, context: Mapping[str, Any], asked: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """Status and payload: the first example whose request fits, else a SUCCESS.

        Of a SUCCESS, only the keys that were asked for, if any were.
        """
        meant = next((each for each in self.examples if each.request and _has(context, each.request)), None)
        if meant is not None and meant.status == "ERROR":
            return "ERROR", dict(meant.payload)
        return "SUCCESS", _asked(self._success() if meant is None else meant.payload, asked)

    def success(self, asked: Sequence[str]) -> dict[str, Any]:
        """The payload of a SUCCESS: the first example of one (without a request before others), else the schema's."""
        return _asked(self._success(), asked)

    def _success(self) -> Mapping[str, Any]:
        examples = [each for each in self.examples if each.status == "SUCCESS"]
        if examples:
            return min(examples, key=lambda each: bool(each.request)).payload
        made = sample(self.replies.get("SUCCESS"))
        return made if isinstance(made, dict) else {}

    def error(self) -> dict[str, Any] | None:
        """The payload of an ERROR: the first example of one, else the first code. None without either."""
        example = next((each for each in self.examples if each.status == "ERROR"), None)
        if example is not None:
            return dict(example.payload)
        if not self.errors:
            return None
        code, meaning = next(iter(self.errors.items()))
        return {"messages": [{"level": "ERROR", "code": code, "summary": meaning}]}


def _asked(payload: Mapping[str, Any], asked: Sequence[str]) -> dict[str, Any]:
    return {key: payload[key] for key in asked if key in payload} if asked else dict(payload)


def _has(value: Any, part: Any) -> bool:
    """Whether the value has everything that the part has."""
    if isinstance(part, dict):
        return isinstance(value, dict) and all(_has(value.get(key, _ABSENT), each) for key, each in part.items())
    return type(value) is type(part) and bool(value == part)


def parse_contract(text: str, *, file: str = "contract") -> Contract:
    """Reads YAML or JSON text. Raises ContractError."""
    source = read_source(text, file=file)
    raw = source.value
    if not source.problems and not isinstance(raw, dict):
        source.complain((), "a contract is a mapping with the key id")
    elif not source.problems:
        if not isinstance(raw.get("id"), str) or not raw["id"]:
            source.complain((), "id is missing or not a text")
        for key, kind, called in (
            ("replies", dict, "a mapping"),
            ("errors", dict, "a mapping"),
            ("examples", list, "a list"),
        ):
            if not isinstance(raw.get(key, kind()), kind):
                source.complain((key,), f"{key} is not {called}")
    if source.problems:
        raise ContractError(source.problems)
    examples = [each for each in raw.get("examples", []) if isinstance(each, dict)]
    return Contract(
        capability=raw["id"],
        replies=raw.get("replies", {}),
        errors=raw.get("errors", {}),
        examples=tuple(_example(each) for each in examples),
    )


def _example(raw: Mapping[str, Any]) -> Example:
    reply = raw.get("reply")
    reply = reply if isinstance(reply, dict) else {}
    payload = reply.get("payload")
    return Example(
        request=raw.get("request"),
        status=str(reply.get("status", "SUCCESS")),
        payload=payload if isinstance(payload, dict) else {},
    )


class Contracts:
    """The contracts of a folder, read again when its files change, and those that were set by hand. Thread-safe."""

    def __init__(self, folder: FilePath | None = None) -> None:
        """Raises ContractError if one of the folder's files cannot be used."""
        self._folder = folder
        self._lock = threading.Lock()
        self._seen = self._stamps()
        self._read = self._read_all()
        self._set: dict[str, Contract] = {}

    def get(self, capability: str) -> Contract | None:
        """The contract of a capability; None if it has none."""
        with self._lock:
            self._refresh()
            return self._set.get(capability) or self._read.get(capability)

    def capabilities(self) -> tuple[str, ...]:
        with self._lock:
            self._refresh()
            return tuple(sorted({*self._read, *self._set}))

    def put(self, contract: Contract) -> None:
        with self._lock:
            self._set[contract.capability] = contract

    def clear(self) -> None:
        """Back to the folder's contracts."""
        with self._lock:
            self._set.clear()

    def _files(self) -> list[FilePath]:
        if self._folder is None or not self._folder.is_dir():
            return []
        return sorted(file for file in self._folder.iterdir() if file.suffix in ENDINGS and file.is_file())

    def _stamps(self) -> dict[str, tuple[int, int]]:
        return {file.name: ((stat := file.stat()).st_mtime_ns, stat.st_size) for file in self._files()}

    def _refresh(self) -> None:
        """A file that has become bad leaves everything as it was."""
        try:
            stamps = self._stamps()
            if stamps != self._seen:
                self._seen = stamps
                self._read = self._read_all()
        except (ContractError, OSError) as error:
            log.warning("contracts cannot be used", extra={"why": str(error)})

    def _read_all(self) -> dict[str, Contract]:
        problems: list[Problem] = []
        found: dict[str, Contract] = {}
        for file in self._files():
            try:
                contract = parse_contract(file.read_text(encoding="utf-8"), file=str(file))
                found.setdefault(contract.capability, contract)
            except ContractError as error:
                problems.extend(error.problems)
            except (OSError, UnicodeDecodeError) as error:
                problems.append(Problem(file=str(file), key="", message=f"cannot be read: {error}"))
        if problems:
            raise ContractError(problems)
        return found
