"""Values in DynamoDB's typed form, as far as the ledger's items have them."""

from __future__ import annotations

import re
from typing import Any

from cch.ledger.store import Item
from cch.testing.quick_aws.protocol import AwsError

_WHOLE = re.compile(r"-?\d{1,38}")


def decoded_item(raw: Any) -> Item:
    """:raises AwsError: it has a value that the ledger's store does not take."""
    if not isinstance(raw, dict):
        raise AwsError("SerializationException", f"this is no item: {raw!r}"[:200])
    item: Item = {}
    for name, typed in raw.items():
        # Most values are texts.
        text = typed.get("S") if isinstance(typed, dict) and len(typed) == 1 else None
        item[name] = text if isinstance(text, str) else decoded_value(name, typed)
    return item


def decoded_value(name: str, typed: Any) -> Any:
    """Text, whole number, truth value or set of texts.

    :raises AwsError: it is none of these. ``name`` says what it is.
    """
    if not isinstance(typed, dict) or len(typed) != 1:
        raise AwsError("ValidationException", f"Supplied AttributeValue of {name} must contain exactly one type")
    ((kind, value),) = typed.items()
    match kind, value:
        case ("S", str()) | ("BOOL", bool()):
            return value
        case "N", str() if _WHOLE.fullmatch(value):
            return int(value)
        case "SS", list() if value and all(isinstance(each, str) for each in value):
            members = frozenset(value)
            if len(members) == len(value):
                return members
    raise AwsError(
        "ValidationException",
        f"{name}: the quick stand-in takes texts, whole numbers, truth values and sets of different texts, not {kind}"
        f" {str(value)[:60]!r}",
    )
