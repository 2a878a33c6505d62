"""YAML text to a :class:`~cch.definition.contract.Contract`, with everything that is wrong in it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jsonschema

from cch.definition import json_schemas
from cch.definition.contract import Contract, Example, in_words
from cch.definition.document import Document, Path, read_document
from cch.definition.reader import digest_of
from cch.definition.schema import problems_of, schema_faults
from cch.durations import parse_duration
from cch.errors import DefinitionError, Problem
from cch.expressions.patterns import linear

#: Name of the folder of contracts, beside the definitions.
FOLDER = "capabilities"
_WHOLE = "a contract is one mapping with id, title, request and replies"


@functools.cache
def contract_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a contract."""
    text = resources.files("cch").joinpath("schemas", "capability-contract.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(contract_schema())


@dataclass(frozen=True, slots=True)
class Contracts:
    """Contracts that were read together. ``texts`` and ``files`` are by file name and by capability."""

    by_id: Mapping[str, Contract]
    texts: Mapping[str, str]
    problems: tuple[Problem, ...] = ()


NO_CONTRACTS = Contracts({}, {})


def read_contract(text: str, file: str = "") -> tuple[Contract | None, tuple[Problem, ...]]:
    """One contract, and everything that is wrong with it; None if something is an error."""
    try:
        document = read_document(text, file, whole=_WHOLE)
    except DefinitionError as error:
        return None, error.problems
    problems = [*document.problems, *document.findings]
    problems += problems_of(document, _validator().iter_errors(document.data), "the contract")
    if not any(problem.severity == "error" for problem in problems):
        problems += _beyond_the_schema(document)
    failed = any(problem.severity == "error" for problem in problems)
    return None if failed else _record(document), tuple(problems)


def kept_contract(text: str) -> Contract | None:
    """A contract that was good when it was published; None if this release cannot read it."""
    try:
        document = read_document(text, whole=_WHOLE)
        return _record(document)
    except (DefinitionError, KeyError, TypeError, ValueError, AttributeError):
        return None


def read_contracts(texts: Iterable[tuple[str, str]]) -> Contracts:
    """The contracts of (file, text); of two for one capability, the second one is a problem."""
    found: dict[str, Contract] = {}
    problems: list[Problem] = []
    by_file = dict(texts)
    for file, text in by_file.items():
        contract, wrong = read_contract(text, file)
        problems.extend(wrong)
        if contract is None:
            continue
        if (first := found.setdefault(contract.id, contract)) is not contract:
            message = f"{contract.id!r} has a contract in {first.file} already"
            hint = "keep one of them: a capability has one contract"
            problems.append(read_document(text, file).problem(("id",), "CCH-K002", message, hint))
    return Contracts(found, by_file, tuple(problems))


def _duration(raw: Mapping[str, Any], key: str) -> float | None:
    return parse_duration(raw[key]) if key in raw else None


def _record(document: Document) -> Contract:
    raw = document.data
    answers = raw.get("answers", {})
    return Contract(
        id=raw["id"],
        title=raw["title"],
        owner=raw.get("owner", ""),
        description=raw.get("description", ""),
        enforce=raw.get("enforce", "warn"),
        request=raw.get("request"),
        replies=raw.get("replies", {}),
        errors=raw.get("errors"),
        usual=_duration(answers, "usual"),
        longest=_duration(answers, "longest"),
        idempotency=raw.get("idempotency", ""),
        examples=tuple(_example(each) for each in raw.get("examples", ())),
        digest=digest_of(document.text),
        file=document.file,
        text=document.text,
    )


def _example(raw: Mapping[str, Any]) -> Example:
    reply = raw["reply"]
    return Example(
        title=raw.get("title", ""),
        request=raw.get("request"),
        status=reply.get("status", "SUCCESS"),
        payload=reply.get("payload", {}),
    )


def _beyond_the_schema(document: Document) -> Iterator[Problem]:
    schemas = list(_bad_schemas(document))
    yield from schemas
    times = list(_bad_times(document))
    yield from times
    if not any(problem.severity == "error" for problem in (*schemas, *times)):
        yield from _bad_examples(document, _record(document))


def _schemas(document: Document) -> Iterator[tuple[Path, Any]]:
    if "request" in document.data:
        yield ("request",), document.data["request"]
    yield from ((("replies", status), schema) for status, schema in document.data.get("replies", {}).items())


def _bad_schemas(document: Document) -> Iterator[Problem]:
    for path, schema in _schemas(document):
        yield from schema_faults(document, path, schema)
        for place, each in json_schemas.subschemas(schema):
            pattern = each.get("pattern")
            try:
                if isinstance(pattern, str):
                    linear(pattern)
            except ValueError as error:
                message = f"{pattern!r:.80} cannot be used in a contract: {error}"
                hint = "write it without looking ahead or behind, and without references back"
                yield document.problem((*path, *place, "pattern"), "CCH-K005", message, hint)


def _bad_times(document: Document) -> Iterator[Problem]:
    answers = document.data.get("answers", {})
    lengths = {}
    for key, value in answers.items():
        try:
            lengths[key] = parse_duration(value)
        except ValueError as error:
            yield document.problem(("answers", key), "CCH-K003", str(error), "for example 30s, 15m, 2h or 3d")
    if len(lengths) == len(answers) and lengths.get("usual", 0) > lengths.get("longest", float("inf")):
        message = f"an answer usually takes {answers['usual']}, which is more than the longest, {answers['longest']}"
        yield document.problem(("answers", "usual"), "CCH-K003", message, "swap them, or correct one")


def _bad_examples(document: Document, contract: Contract) -> Iterator[Problem]:
    hint = "correct the example, or what the contract says"
    for index, example in enumerate(contract.examples):
        place: Path = ("examples", index)
        if example.request is not None and (faults := contract.request_faults(example.request)):
            message = f"the request of example {index + 1} breaks the contract: {in_words(faults)}"
            yield document.problem((*place, "request"), "CCH-K001", message, hint)
        if faults := contract.reply_faults(example.status, example.payload):
            message = f"the reply of example {index + 1} breaks the contract: {in_words(faults)}"
            yield document.problem((*place, "reply"), "CCH-K001", message, hint)
    has_success = any(example.status == "SUCCESS" for example in contract.examples)
    if not has_success and "SUCCESS" in contract.replies and contract.reply_faults("SUCCESS", contract.success(())):
        message = "the schema of SUCCESS is too strict for an answer to be made from it"
        hint = "add an example with a reply, which the mock and cch simulate then answer"
        yield document.problem(("replies", "SUCCESS"), "CCH-K004", message, hint, warning=True)
