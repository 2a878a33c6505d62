"""JSON Schema validation whose messages an analyst can act on."""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import Any

import jsonschema

from cch.definition import json_schemas
from cch.definition.document import Document, Path
from cch.errors import Problem

#: Unknown targets of one file for which a node that might be meant is looked for: each costs a look at all names.
MOST_GUESSES = 50
#: Longest name that is compared with others, in characters.
_LONGEST_GUESSED = 120


@functools.cache
def definition_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a workflow definition."""
    text = resources.files("cch").joinpath("schemas", "workflow-definition.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    extend: Any = jsonschema.validators.extend
    validator: jsonschema.Draft202012Validator = extend(
        jsonschema.Draft202012Validator, {"uniqueItems": json_schemas.unique_items}
    )(definition_schema())
    return validator


def closest(word: str, known: Iterable[str], *, alike: float = 0.6) -> str | None:
    """The one of ``known`` that was probably meant; None if nothing comes near.

    ``alike``: how near it has to be, from 0 to 1. Nobody misspells a word of hundreds of letters.
    """
    close = difflib.get_close_matches(word, known, n=1, cutoff=alike) if len(word) <= _LONGEST_GUESSED else []
    return close[0] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A guess at what was meant; "" if nothing comes near."""
    close = closest(word, known)
    return "" if close is None else f"did you mean {close!r}?"


def _did_you_mean(word: str, known: list[str]) -> str:
    return did_you_mean(word, known) or f"allowed: {', '.join(sorted(known))}"


def _describe(error: jsonschema.ValidationError, whole: str = "the definition") -> Iterator[tuple[Path, str, str, str]]:
    """Path, code, message and hint for each thing that one schema error is about; ``whole`` is what the file is."""
    path: Path = tuple(error.absolute_path)
    subject = f"{path[-1]!r}" if path else whole
    schema: dict[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    validated: Any = error.validator_value
    match error.validator:
        case "additionalProperties":
            known = list(schema.get("properties", {}))
            for key in unknown_keys(error):
                hint = _did_you_mean(key, known)
                yield (*path, key), "CCH-D021", f"unknown key {key!r} in {subject}", hint
        case "required":
            missing = re.match(r"'(.*)' is a required property", error.message)
            key = missing[1] if missing else "?"
            described = schema.get("properties", {}).get(key, {}).get("description", "")
            yield path, "CCH-D022", f"{subject} has no {key!r}", described or f"add {key!r}"
        case "enum" | "const":
            allowed = [str(value) for value in validated]
            message = f"{subject} is {error.instance!r}"
            yield path, "CCH-D023", message, _did_you_mean(str(error.instance), allowed)
        case "type":
            wanted = validated
            wanted = wanted if isinstance(wanted, str) else " or ".join(wanted)
            found = "nothing" if error.instance is None else f"{error.instance!r:.60}"
            message = f"{subject} must be of type {wanted}, but is {found}"
            yield path, "CCH-D024", message, str(schema.get("description", ""))
        case "maxProperties":
            yield path, "CCH-D003", f"{subject} are {len(error.instance)}, more than {validated}", "split the workflow"  # type: ignore[arg-type]
        case "pattern" | "propertyNames":
            message = f"{subject} has a form that is not allowed: {error.instance!r:.80}"
            yield path, "CCH-D025", message, str(schema.get("description", ""))
        case "anyOf" | "oneOf":
            found = "nothing" if error.instance is None else f"{error.instance!r:.60}"
            message = f"{subject} is {found}, which it cannot be"
            yield path, "CCH-D026", message, str(schema.get("description", ""))
        case _:
            yield path, "CCH-D026", f"{subject}: {error.message:.200}", str(schema.get("description", ""))


def unknown_keys(error: jsonschema.ValidationError) -> list[str]:
    """The keys of an object that its schema does not have."""
    known: Any = error.schema
    return [
        key
        for key in list(error.instance)  # type: ignore[arg-type]  # an object, or it would not have properties
        if key not in known.get("properties", {}) and not re.match("x-", key)
    ]


def schema_errors(data: Any) -> Iterator[jsonschema.ValidationError]:
    """What the schema does not allow, as the validator says it."""
    return iter(()) if _is_plainly_good(data) else _validator().iter_errors(data)


@functools.cache
def _validator_of(kind: str) -> jsonschema.Draft202012Validator | None:
    """The validator of the nodes of one type; None if there is no such type."""
    for piece in definition_schema()["$defs"]["node"]["allOf"]:
        if piece["if"]["properties"]["type"]["const"] == kind:
            validator: Any = _validator()
            return validator.evolve(schema=piece["then"])  # type: ignore[no-any-return]
    return None


@functools.cache
def _validator_around() -> jsonschema.Draft202012Validator:
    """The validator of a definition whose nodes are looked at one by one."""
    schema = definition_schema()
    nodes = {key: value for key, value in schema["properties"]["nodes"].items() if key != "additionalProperties"}
    validator: Any = _validator()
    return validator.evolve(  # type: ignore[no-any-return]
        schema={**schema, "properties": {**schema["properties"], "nodes": nodes}}
    )


def _is_plainly_good(data: Any) -> bool:
    """Whether the schema allows everything. The schema itself asks each node which of all types it is."""
    if not _validator_around().is_valid(data):
        return False
    for node in data["nodes"].values():
        kind = node.get("type") if isinstance(node, dict) else None
        validator = _validator_of(kind) if isinstance(kind, str) else None
        if validator is None or not validator.is_valid(node):
            return False
    return True


def schema_problems(document: Document) -> list[Problem]:
    """Everything in ``document`` that the schema does not allow, in the order of the file."""
    return problems_of(document, schema_errors(document.data))


def problems_of(
    document: Document, errors: Iterable[jsonschema.ValidationError], whole: str = "the definition"
) -> list[Problem]:
    """What a schema does not allow, as problems in the order of the file; ``whole`` is what the file is."""
    described = [each for error in errors for each in _describe(error, whole)]
    # A key that is missing because it is misspelt is one mistake.
    meant = {(path[:-1], hint) for path, code, _, hint in described if code == "CCH-D021"}
    problems = [
        document.problem(path, code, message, hint)
        for path, code, message, hint in described
        if not (code == "CCH-D022" and (path, f"did you mean {message.rpartition(' has no ')[2]}?") in meant)
    ]
    said: dict[tuple[int, int, str, str], Problem] = {}
    for problem in problems:  # a schema and the one it refers to may say the same, with another hint
        said.setdefault((problem.line, problem.column, problem.code, problem.message), problem)
    return sorted(said.values(), key=lambda problem: (problem.line, problem.column, problem.code))


def embedded_schemas(document: Document) -> Iterator[tuple[Path, Any]]:
    """The JSON Schemas that a definition brings along, with their places; also of one that has other problems."""
    data = document.data
    required = data.get("initial_context")
    if isinstance(required, dict):
        yield from ((("initial_context", key), schema) for key, schema in required.items())
    nodes = data.get("nodes")
    for name, node in nodes.items() if isinstance(nodes, dict) else ():
        if isinstance(node, dict) and node.get("payload_schema") is not None:
            yield ("nodes", name, "payload_schema"), node["payload_schema"]


def schema_faults(document: Document, path: Path, schema: Any) -> Iterator[Problem]:
    """What is wrong with a JSON Schema that a document has at ``path``."""
    for place, message in json_schemas.faults(schema):
        hint = "the key needs a JSON Schema (2020-12) that holds all it refers to"
        yield document.problem((*path, *place), "CCH-D027", f"{path[-1]!r} has no usable schema: {message}", hint)
    for place, word in json_schemas.unknown_keywords(schema):
        if guess := did_you_mean(word, json_schemas.KEYWORDS):
            message = f"{word!r:.80} means nothing in a JSON Schema"
            yield document.problem((*path, *place), "CCH-D027", message, guess)
