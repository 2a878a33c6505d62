"""JSON Schemas that a definition brings along: checked with it, compiled once, and never fetched from anywhere."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema
from jsonschema_specifications import REGISTRY as SPECIFICATIONS  # type: ignore[import-untyped]
from referencing import Registry, exceptions
from referencing.jsonschema import DRAFT202012

from cch.expressions.patterns import linear

#: Largest number of faults of a schema, and of reasons why a value does not fit, that are reported.
MOST = 20
_META = jsonschema.Draft202012Validator.META_SCHEMA
_REFERENCES = ("$ref", "$dynamicRef")
#: Keywords whose values are a schema, a list of schemas, or a mapping of names to schemas (draft 2020-12).
_ONE = (
    "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "items", "contains", "propertyNames", "not",
    "if", "then", "else",
)  # fmt: skip
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
#: Everything that draft 2020-12 knows, and what its predecessors had and OpenAPI has.
KEYWORDS = frozenset(
    {
        *_REFERENCES, *_ONE, *_LISTS, *_NAMED, "$schema", "$id", "$anchor", "$dynamicAnchor", "$vocabulary", "$comment",
        "type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
        "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains",
        "maxProperties", "minProperties", "required", "dependentRequired", "format", "contentEncoding",
        "contentMediaType", "contentSchema", "title", "description", "default", "deprecated", "readOnly", "writeOnly",
        "examples", "example", "nullable", "dependencies", "additionalItems",
    }
)  # fmt: skip
#: One value of each type: a schema that cannot be applied fails with one of them.
_SAMPLES: tuple[Any, ...] = (None, True, 1, 1.5, "a", [], ["a", {}], {}, {"a": {"a": "a"}})
Place = tuple[str | int, ...]


def _refuse(uri: str) -> Any:
    raise exceptions.NoSuchResource(uri)


#: Knows the JSON Schemas of JSON Schema itself, and nothing else.
_LOCAL: Any = Registry(retrieve=_refuse).combine(SPECIFICATIONS)  # type: ignore[call-arg]


def _key(schema: Any) -> str:
    return json.dumps(schema, sort_keys=True)


@functools.lru_cache(maxsize=1024)
def _compiled(key: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(key), registry=_LOCAL)


def unique_items(_: object, wanted: bool, value: Any, __: object) -> Iterator[jsonschema.ValidationError]:  # noqa: FBT001
    """As jsonschema's own, whose time grows with the square of a list of mixed types."""
    if wanted and isinstance(value, list) and len({json.dumps(item, sort_keys=True) for item in value}) < len(value):
        yield jsonschema.ValidationError(f"{value!r:.200} has non-unique elements")


def _linear_pattern(_: object, pattern: str, value: Any, __: object) -> Iterator[jsonschema.ValidationError]:
    if isinstance(value, str) and not linear(pattern).search(value):
        yield jsonschema.ValidationError(f"{value!r:.200} does not match {pattern!r:.80}")


@functools.lru_cache(maxsize=1024)
def _bounded(key: str) -> Any:
    extended: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
        jsonschema.Draft202012Validator, {"uniqueItems": unique_items, "pattern": _linear_pattern}
    )
    return extended(json.loads(key), registry=_LOCAL)


@functools.cache
def _meta() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(_META)


def misfits(schema: Any, value: Any, *, bounded: bool = False) -> list[tuple[Place, str]]:
    """Why ``value`` does not fit the schema: place inside the value, and message. Never raises, fetches nothing.

    ``bounded``: in a time that grows with the value only, for values that strangers send to where others wait.
    """
    try:
        validator = (_bounded if bounded else _compiled)(_key(schema))
        errors = list(itertools.islice(validator.iter_errors(value), MOST))
    except Exception as error:  # noqa: BLE001 - a definition from before may hold a schema that cannot be applied
        return [((), f"its JSON Schema cannot be applied: {_said(error)}")]
    return [(tuple(error.absolute_path), error.message[:300]) for error in errors]


def takes_null(schema: Any) -> bool:
    """Whether the schema says outright that null is a value."""
    return isinstance(schema, Mapping) and not misfits(schema, None)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def subschemas(schema: Any, place: Place = ()) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """The schema and all that stand in it, with their places."""
    if not isinstance(schema, Mapping):
        return
    yield place, schema
    for key in _ONE:
        yield from subschemas(schema.get(key), (*place, key))
    for key in _LISTS:
        found = schema.get(key)
        for index, each in enumerate(found if isinstance(found, list) else ()):
            yield from subschemas(each, (*place, key, index))
    for key in _NAMED:
        named = schema.get(key)
        for name, each in (named if isinstance(named, Mapping) else {}).items():
            yield from subschemas(each, (*place, key, name))


def schema_at(schema: Any, steps: Sequence[str]) -> tuple[Any, bool]:
    """The schema of what is found along ``steps``, and whether nothing may be there; None if nothing is said of it.

    The schema may have faults: they are said elsewhere.
    """
    may_be_absent = False
    for step in steps:
        properties = schema.get("properties") if isinstance(schema, Mapping) else None
        if not isinstance(properties, Mapping) or step not in properties:
            return None, True
        required = schema.get("required")
        may_be_absent = may_be_absent or not isinstance(required, list) or step not in required
        schema = properties[step]
    return schema, may_be_absent


def keys_of(schema: Any) -> tuple[frozenset[str], frozenset[str]] | None:
    """The keys that an object may have by a schema, and those that it always has; None if the schema names none."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping) or any(key in schema for key in (*_REFERENCES, *_LISTS)):
        return None
    if schema.get("additionalProperties") or schema.get("patternProperties"):
        return None  # it says outright that there may be others
    required = schema.get("required")
    always = [key for key in required if isinstance(key, str)] if isinstance(required, list) else []
    return frozenset(properties).union(always), frozenset(always)


def faults(schema: Any) -> list[tuple[Place, str]]:
    """What is wrong with a schema, with the place inside it; empty if it can be applied."""
    errors = itertools.islice(_meta().iter_errors(schema), MOST)
    found = [(tuple(error.absolute_path), error.message[:200]) for error in errors]
    for place, each in subschemas(schema):
        found.extend((place, message) for message in _local_faults(each, schema))
    if not found:
        found = _inapplicable(schema)
    return found[:MOST]


def _local_faults(each: Mapping[str, Any], root: Any) -> Iterator[str]:
    named = each.get("patternProperties")
    for pattern in (each.get("pattern"), *(named if isinstance(named, Mapping) else ())):
        if isinstance(pattern, str) and (problem := _bad_pattern(pattern)):
            yield f"{pattern!r:.80} is no regular expression: {problem}"
    for key in _REFERENCES:
        reference = each.get(key)
        if isinstance(reference, str) and (problem := _bad_reference(reference, root)):
            yield problem
    if "default" in each:
        for _, message in misfits(each, each["default"])[:1] if not _refers(each) else ():
            yield f"its default does not fit: {message}"


def _refers(schema: Mapping[str, Any]) -> bool:
    return any(key in each for _, each in subschemas(schema) for key in _REFERENCES)


def _bad_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)[:100]
    return ""


def _bad_reference(reference: str, root: Any) -> str:
    try:
        resolver = _LOCAL.resolver_with_root(DRAFT202012.create_resource(root))
        resolver.lookup(reference)
    except Exception as error:  # noqa: BLE001 - referencing raises what its parts do
        remote = "" if reference.startswith("#") else ": only what the definition itself holds can be referred to"
        return f"{reference!r:.80} leads nowhere{remote or f': {_said(error)}'}"
    return ""


def unknown_keywords(schema: Any) -> Iterator[tuple[Place, str]]:
    """Keys that mean nothing in a schema, with their places; notes under ``x-`` are left out."""
    for place, each in subschemas(schema):
        for key in each:
            if key not in KEYWORDS and not key.startswith("x-"):
                yield (*place, key), key


def _inapplicable(schema: Any) -> list[tuple[Place, str]]:
    validator = jsonschema.Draft202012Validator(schema, registry=_LOCAL)
    for sample in _SAMPLES:
        try:
            list(validator.iter_errors(sample))
        except Exception as error:  # noqa: BLE001 - a reference to itself recurses, and more of the kind
            return [((), f"it cannot be applied: {_said(error)}")]
    return []
