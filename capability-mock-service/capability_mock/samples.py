"""A value that a JSON Schema describes, for answers that nobody has scripted. `cch simulate` makes
the same ones.
"""

from __future__ import annotations

from typing import Any

#: Deepest value that is made: a schema may describe itself.
_DEEPEST = 8
_FORMATS = {
    "date-time": "2026-01-05T08:00:00Z",
    "date": "2026-01-05",
    "time": "08:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.org",
    "uri": "https://example.org/1",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "ipv4": "192.0.2.1",
    "hostname": "example.org",
}


def sample(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """A value that the schema describes; the same for the same schema. It may not fit where that needs a search."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    for key in ("const", "default", "example"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    if isinstance(schema.get("$ref"), str):
        return sample(_referred(schema["$ref"], root), root, depth + 1)
    for key in ("oneOf", "anyOf"):
        if isinstance(schema.get(key), list) and schema[key] and "properties" not in schema:
            return sample(schema[key][0], root, depth + 1)
    if isinstance(schema.get("allOf"), list):
        return _of_all(schema, root, depth)
    return _of_type(schema, root, depth)


def _referred(reference: str, root: Any) -> Any:
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _of_all(schema: dict[str, Any], root: Any, depth: int) -> Any:
    rest = {key: value for key, value in schema.items() if key != "allOf"}
    made = [sample(each, root, depth + 1) for each in (*schema["allOf"], rest)]
    objects = [each for each in made if isinstance(each, dict)]
    if not objects:
        return next((each for each in made if each is not None), None)
    return {key: value for each in objects for key, value in each.items()}


def _of_type(schema: dict[str, Any], root: Any, depth: int) -> Any:
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    if kind == "object" or (kind is None and "properties" in schema):
        properties = schema.get("properties")
        named = properties if isinstance(properties, dict) else {}
        return {key: sample(each, root, depth + 1) for key, each in named.items()}
    if kind == "array":
        return _array(schema, root, depth)
    if kind == "string":
        text = _FORMATS.get(str(schema.get("format")), str(schema.get("title") or "text"))
        text = text.ljust(int(schema.get("minLength") or 0), "x")
        return text[: int(schema["maxLength"])] if "maxLength" in schema else text
    if kind in ("integer", "number"):
        return _number(schema)
    return True if kind == "boolean" else None


def _array(schema: dict[str, Any], root: Any, depth: int) -> list[Any]:
    first = schema.get("prefixItems")
    made = [sample(each, root, depth + 1) for each in (first if isinstance(first, list) else ())]
    least = max(int(schema.get("minItems") or 0), 0 if "items" not in schema else 1)
    least = min(least, int(schema.get("maxItems", least)))
    while len(made) < min(least, 100):
        made.append(sample(schema.get("items"), root, depth + 1))
    return made


def _number(schema: dict[str, Any]) -> Any:
    least, most = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    step = schema.get("multipleOf") or 1
    value = 1 if least is None else least + step if "minimum" not in schema else least
    if least is None and most is not None and most < value:
        value = most
    if schema.get("multipleOf"):
        value = -(-value // step) * step
    return value
