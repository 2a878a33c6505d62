"""The form of a table: its indexes, and which items, changes and places fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cch.ledger.store import Change, Item, Key, Place
from cch.testing.quick_aws.protocol import AwsError, Given
from cch.testing.quick_aws.typed_values import decoded_item

_TYPES = {"S": str, "N": int}
_KEYS = ("PK", "SK")


@dataclass(frozen=True, slots=True)
class TableForm:
    """``indexes``: name → (attribute that selects, attribute that sorts); ``types``: of all attributes of keys."""

    specification: Given
    indexes: Mapping[str, tuple[str, str]]
    types: Mapping[str, type]

    @classmethod
    def read(cls, given: Given) -> TableForm:
        """What ``CreateTable`` is given.

        :raises AwsError: the ledger's store cannot be such a table.
        """
        if given.get("BillingMode") != "PAY_PER_REQUEST":
            raise _invalid("the quick stand-in knows BillingMode PAY_PER_REQUEST only")
        types = {each["AttributeName"]: _TYPES.get(each["AttributeType"]) for each in given["AttributeDefinitions"]}
        if _schema(given["KeySchema"]) != _KEYS or [types.get(name) for name in _KEYS] != [str, str]:
            raise _invalid("the quick stand-in knows tables with the text keys PK and SK only")
        indexes = {}
        for index in given.get("GlobalSecondaryIndexes") or ():
            if index["Projection"] != {"ProjectionType": "ALL"}:
                raise _invalid("the quick stand-in knows indexes with the projection ALL only")
            indexes[index["IndexName"]] = _schema(index["KeySchema"])
        if {name for keys in (_KEYS, *indexes.values()) for name in keys} != types.keys() or None in types.values():
            raise _invalid("AttributeDefinitions must have every attribute of a key, as S or N, and no other one")
        return cls(given, indexes, {name: kind for name, kind in types.items() if kind is not None})

    def keys_of(self, index: str | None) -> tuple[str, str]:
        """The attributes by which an index, or the table, selects and sorts.

        :raises AwsError: there is no such index.
        """
        if index is None:
            return _KEYS
        if index not in self.indexes:
            raise _invalid(f"The table does not have the specified index: {index}")
        return self.indexes[index]

    def refuse(self, item: Item) -> None:
        """:raises AwsError: a key is missing, or one of the item or of an index has another type."""
        for name in _KEYS:
            if name not in item:
                raise _invalid(f"One or more parameter values were invalid: Missing the key {name} in the item")
        self._refuse_types(item)

    def refuse_change(self, change: Change) -> None:
        """:raises AwsError: it changes the item's key, or gives one of an index another type."""
        for name in _KEYS:
            if name in change.set or name in change.remove or name in change.add:
                raise _invalid(f"Cannot update attribute {name}. This attribute is part of the key")
        self._refuse_types(change.set)
        self._refuse_types({name: frozenset({member}) for name, member in change.add.items()})

    def _refuse_types(self, values: Mapping[str, Any]) -> None:
        for name, kind in self.types.items():
            if name in values and type(values[name]) is not kind:
                raise _invalid(f"Type mismatch for Index Key {name}: expected {kind.__name__}")

    def place(self, index: str, raw: Any) -> Place:
        """The place in an index that an ``ExclusiveStartKey`` names.

        :raises AwsError: it names none.
        """
        given = decoded_item(raw)
        if given.keys() != {*_KEYS, *self.keys_of(index)}:
            raise _invalid("The provided starting key is invalid")
        self._refuse_types(given)
        return Place((given["PK"], given["SK"]), given[self.indexes[index][1]])

    def refuse_bounds(self, attribute: str, bounds: Sequence[Any]) -> None:
        """:raises AwsError: something of another type than the key ``attribute`` is asked for."""
        for bound in bounds:
            self._refuse_types({attribute: bound})


def decoded_key(raw: Any) -> Key:
    """:raises AwsError: it is not the key of an item."""
    key = decoded_item(raw)
    if key.keys() != set(_KEYS):
        raise _invalid("The provided key element does not match the schema")
    pk, sk = key["PK"], key["SK"]
    if not isinstance(pk, str) or not isinstance(sk, str) or not pk or not sk:
        raise _invalid("One or more parameter values are not valid: a key is a text that is not empty")
    return pk, sk


def _schema(raw: Sequence[Mapping[str, str]]) -> tuple[str, str]:
    found = {part["KeyType"]: part["AttributeName"] for part in raw}
    if found.keys() != {"HASH", "RANGE"} or len(raw) != len(found):
        raise _invalid("the quick stand-in knows keys of a HASH and a RANGE attribute only")
    return found["HASH"], found["RANGE"]


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)
