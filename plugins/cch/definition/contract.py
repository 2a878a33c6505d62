"""The contract of a capability as a frozen record, and whether requests and replies keep it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cch.definition import json_schemas
from cch.definition.samples import sample
from cch.values import MISSING

#: What a message that breaks the contract does. off: nothing. warn: people are told. fail: it fails its node.
Enforce = Literal["off", "warn", "fail"]
Status = Literal["SUCCESS", "ERROR"]
#: Code of a failure that a request or reply is the reason of, because it breaks a contract.
CONTRACT_CODE = "CONTRACT"
#: Most reasons that one sentence names.
_MOST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One request with its reply. ``request`` None: the reply may be one to any request."""

    title: str = ""
    request: Mapping[str, Any] | None = None
    status: Status = "SUCCESS"
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a capability takes, and what it answers.

    ``request`` and ``replies`` (by status) are JSON Schemas; what is left out is not described. ``errors``: code →
    meaning; None: any code may come. ``usual`` and ``longest`` are seconds. ``digest`` is the sha256 (hex) of its text.
    """

    id: str
    title: str
    owner: str = ""
    description: str = ""
    enforce: Enforce = "warn"
    request: Any = None
    replies: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] | None = None
    usual: float | None = None
    longest: float | None = None
    #: By what it knows a repetition; "" if the contract does not say.
    idempotency: Literal["", "visit", "attempt", "none"] = ""
    examples: tuple[Example, ...] = ()
    digest: str = ""
    file: str = ""
    text: str = field(default="", repr=False)

    def request_faults(self, context: Mapping[str, Any]) -> list[str]:
        """Why a context is no request that it takes; empty if it is one."""
        return [] if self.request is None else _said(json_schemas.misfits(self.request, context, bounded=True))

    def reply_faults(self, status: str, payload: Mapping[str, Any], asked: Sequence[str] | None = None) -> list[str]:
        """Why this is no reply that it gives; empty if it is one.

        ``asked``: the keys that were asked for, if the others may be left out.
        """
        found = []
        if (schema := self.reply_schema(status, asked)) is not None:
            found = _said(json_schemas.misfits(schema, payload, bounded=True))
        if status == "ERROR" and self.errors is not None:
            unknown = [code for code in codes_of(payload) if code not in self.errors]
            found += [f"messages have the code {code!r:.80}, which is none of its error codes" for code in unknown]
        return found

    def reply_schema(self, status: str, asked: Sequence[str] | None = None) -> Any:
        """The JSON Schema of a reply's payload; None if it is not described.

        Of the keys that a SUCCESS has to have, only those that were ``asked`` for, if any were.
        """
        schema = self.replies.get(status)
        if not asked or status != "SUCCESS" or not isinstance(schema, Mapping):
            return schema
        required = schema.get("required")
        if not isinstance(required, list):
            return schema
        return {**schema, "required": [key for key in required if key in asked]}

    def brought(self, status: str) -> tuple[frozenset[str], frozenset[str]] | None:
        """The keys that a reply may bring, and those of them that it always does; None if nobody knows."""
        return json_schemas.keys_of(self.replies.get(status))

    def answer(self, context: Mapping[str, Any], asked: Sequence[str]) -> tuple[Status, dict[str, Any]]:
        """Status and payload of a reply where nobody has scripted one.

        The first example whose request fits, else the first SUCCESS (one without a request before others), else what
        the schema describes. Of a SUCCESS, only the keys that were ``asked`` for, if any were; what it has nothing for
        is left out.
        """
        meant = next((each for each in self.examples if each.request and _has(context, each.request)), None)
        if meant is not None and meant.status == "ERROR":
            return "ERROR", dict(meant.payload)
        return "SUCCESS", _asked(self._success() if meant is None else meant.payload, asked)

    def success(self, asked: Sequence[str]) -> dict[str, Any]:
        """The payload of a SUCCESS, as :meth:`answer` makes it."""
        return _asked(self._success(), asked)

    def _success(self) -> Mapping[str, Any]:
        examples = [each for each in self.examples if each.status == "SUCCESS"]
        if examples:
            return min(examples, key=lambda each: bool(each.request)).payload
        made = sample(self.replies.get("SUCCESS"))
        return made if isinstance(made, Mapping) else {}

    def error(self) -> dict[str, Any] | None:
        """The payload of an ERROR that it may give; None if it describes none."""
        example = next((each for each in self.examples if each.status == "ERROR"), None)
        if example is not None:
            return dict(example.payload)
        if not self.errors:
            return None
        code, meaning = next(iter(self.errors.items()))
        return {"messages": [{"level": "ERROR", "code": code, "summary": meaning}]}


def codes_of(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """The codes of an ERROR's messages."""
    messages = payload.get("messages")
    if not isinstance(messages, list):
        return ()
    return tuple(str(m["code"]) for m in messages if isinstance(m, Mapping) and m.get("code") is not None)


def in_words(faults: Sequence[str]) -> str:
    """Faults as one text."""
    more = len(faults) - _MOST
    return "; ".join([*faults[:_MOST], *([f"and {more} more"] if more > 0 else [])])


def _said(misfits: list[tuple[json_schemas.Place, str]]) -> list[str]:
    return [f"{'.'.join(map(str, place))}: {message}" if place else message for place, message in misfits]


def _asked(payload: Mapping[str, Any], asked: Sequence[str]) -> dict[str, Any]:
    return {key: payload[key] for key in asked if key in payload} if asked else dict(payload)


def _has(value: Any, part: Any) -> bool:
    """Whether ``value`` has everything that ``part`` has."""
    if isinstance(part, Mapping):
        return isinstance(value, Mapping) and all(_has(value.get(key, MISSING), each) for key, each in part.items())
    return type(value) is type(part) and bool(value == part)


def by_id(contracts: Sequence[Contract]) -> Mapping[str, Contract]:
    """Contracts by their capability; the first one counts."""
    found: dict[str, Contract] = {}
    for contract in contracts:
        found.setdefault(contract.id, contract)
    return found


def of_asked(contracts: Mapping[str, Contract], asked: frozenset[str]) -> Iterator[tuple[str, Contract]]:
    """The contracts of the capabilities that a definition asks, in the order of their ids."""
    yield from ((capability, contracts[capability]) for capability in sorted(asked) if capability in contracts)
