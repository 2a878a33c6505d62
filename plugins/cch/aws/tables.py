"""The ledger's table in DynamoDB."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import botocore.exceptions

from cch.aws.session import error_code, explained
from cch.ledger.store import (
    Absent,
    Below,
    Change,
    Clause,
    ConditionFailedError,
    Equals,
    Item,
    Key,
    Place,
    Value,
    When,
)

#: Index name → (partition key, sort key, is the sort key a number).
INDEXES: Mapping[str, tuple[str, str, bool]] = {
    "by_key": ("key_head", "correlation_id", False),
    "by_workflow": ("workflow_id", "status_started", False),
    "by_status": ("status", "started", True),
    "by_fate": ("open_fate", "received", True),
    "by_capability": ("open_capability", "asked", True),
    "by_waiting": ("open_instance", "asked", True),
    "by_live": ("live", "checked", True),
}
#: The attribute by which DynamoDB removes items (TTL, seconds since 1970).
EXPIRES = "expires"
#: Attribute with the name of whoever wrote the item last.
_WRITER = "writer"
#: BatchGetItem takes at most 100 keys (AWS quota).
_MOST_KEYS = 100


def _encode(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, (set, frozenset)):
        return {"SS": sorted(value)}
    return {"S": str(value)}


def _decode(raw: Mapping[str, Mapping[str, Any]]) -> Item:
    item: Item = {}
    for name, typed in raw.items():
        ((kind, value),) = typed.items()
        item[name] = int(value) if kind == "N" else frozenset(value) if kind == "SS" else value
    return item


def encode_item(item: Item) -> dict[str, Any]:
    """An item in DynamoDB's typed form."""
    return {name: _encode(value) for name, value in item.items()}


def _key(key: Key) -> dict[str, Any]:
    return {"PK": {"S": key[0]}, "SK": {"S": key[1]}}


def _selection(index: str, value: str, between: tuple[Value, Value] | None) -> dict[str, Any]:
    """Arguments of a query that select what :meth:`DynamoStore.listed` is asked for."""
    selects, sorts, _ = INDEXES[index]
    names, values = {"#selects": selects}, {":value": _encode(value)}
    condition = "#selects = :value"
    if between is not None:
        names["#sorts"] = sorts
        values |= {":low": _encode(between[0]), ":high": _encode(between[1])}
        condition += " AND #sorts BETWEEN :low AND :high"
    return {
        "IndexName": index,
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


class _Expression:
    """Names and values of one request's expressions."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, attribute: str) -> str:
        self.names[f"#{attribute}"] = attribute
        return f"#{attribute}"

    def value(self, value: Any) -> str:
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = _encode(value)
        return placeholder

    def condition(self, when: When) -> str:
        alternatives = (" AND ".join(self._clause(clause) for clause in clauses) for clauses in when.alternatives)
        return " OR ".join(f"({alternative})" for alternative in alternatives)

    def _clause(self, clause: Clause) -> str:
        match clause:
            case Absent(name):
                return f"attribute_not_exists({self.name(name)})"
            case Equals(name, value):
                return f"{self.name(name)} = {self.value(value)}"
            case Below(name, value):
                return f"{self.name(name)} < {self.value(value)}"

    def change(self, change: Change) -> str:
        parts = []
        if change.set:
            parts.append("SET " + ", ".join(f"{self.name(k)} = {self.value(v)}" for k, v in change.set.items()))
        if change.remove:
            parts.append("REMOVE " + ", ".join(self.name(name) for name in change.remove))
        if change.add:
            added = (f"{self.name(k)} {self.value(frozenset({v}))}" for k, v in change.add.items())
            parts.append("ADD " + ", ".join(added))
        return " ".join(parts)

    def arguments(self) -> dict[str, Any]:
        given: dict[str, Any] = {}
        if self.names:
            given["ExpressionAttributeNames"] = self.names
        if self.values:
            given["ExpressionAttributeValues"] = self.values
        return given


class DynamoStore:
    """:class:`~cch.ledger.store.ItemStore` on an aiobotocore client.

    :raises ServiceUnavailableError: from every method, when DynamoDB does not answer.
    """

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table
        self._writer = uuid.uuid4().hex[:12]
        self._writes = 0

    def _nonce(self) -> str:
        self._writes += 1
        return f"{self._writer}-{self._writes}"

    async def get(self, key: Key) -> Item | None:
        with explained(self._table):
            answer = await self._client.get_item(TableName=self._table, Key=_key(key), ConsistentRead=True)
        return _decode(answer["Item"]) if "Item" in answer else None

    async def get_many(self, keys: Sequence[Key]) -> dict[Key, Item]:
        found: dict[Key, Item] = {}
        todo = list(dict.fromkeys(keys))
        while todo:
            now, todo = todo[:_MOST_KEYS], todo[_MOST_KEYS:]
            wanted = {self._table: {"Keys": [_key(key) for key in now], "ConsistentRead": True}}
            with explained(self._table):
                answer = await self._client.batch_get_item(RequestItems=wanted)
            for raw in answer["Responses"].get(self._table, ()):
                item = _decode(raw)
                found[item["PK"], item["SK"]] = item
            left = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", ())
            todo.extend((key["PK"]["S"], key["SK"]["S"]) for key in left)
        return found

    async def put(self, item: Item, when: When | None = None) -> None:
        nonce = self._nonce()
        expression = _Expression()
        arguments: dict[str, Any] = {}
        if when is not None:
            arguments["ConditionExpression"] = expression.condition(when)
            arguments["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        arguments |= expression.arguments()
        raw = encode_item(item)
        with explained(self._table):
            try:
                await self._client.put_item(TableName=self._table, Item={**raw, _WRITER: {"S": nonce}}, **arguments)
            except botocore.exceptions.ClientError as error:
                self._lost_answer(error, nonce)

    def _lost_answer(self, error: botocore.exceptions.ClientError, nonce: str) -> Item:
        """The item, if a repeated write failed only because its first try had been done.

        :raises ConditionFailedError: somebody else's item is there.
        """
        if error_code(error) != "ConditionalCheckFailedException":
            raise error
        old = _decode(error.response["Item"]) if "Item" in error.response else None
        if old is None or old.get(_WRITER) != nonce:
            raise ConditionFailedError(old) from None
        return old

    async def update(self, key: Key, change: Change, when: When | None = None) -> Item:
        nonce = self._nonce()
        expression = _Expression()
        written = Change(set={**change.set, _WRITER: nonce}, remove=change.remove, add=change.add)
        arguments: dict[str, Any] = {"UpdateExpression": expression.change(written)}
        if when is not None:
            arguments["ConditionExpression"] = expression.condition(when)
            arguments["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        arguments |= expression.arguments()
        with explained(self._table):
            try:
                answer = await self._client.update_item(
                    TableName=self._table, Key=_key(key), ReturnValues="ALL_NEW", **arguments
                )
            except botocore.exceptions.ClientError as error:
                return self._lost_answer(error, nonce)
        return _decode(answer["Attributes"])

    async def delete(self, key: Key) -> None:
        with explained(self._table):
            await self._client.delete_item(TableName=self._table, Key=_key(key))

    async def query(
        self,
        pk: str,
        prefix: str = "",
        *,
        limit: int | None = None,
        last: bool = False,
        between: tuple[str, str] | None = None,
    ) -> list[Item]:
        values = {":pk": {"S": pk}}
        condition = "PK = :pk"
        if between is not None:
            values |= {":low": {"S": between[0]}, ":high": {"S": between[1]}}
            condition += " AND SK BETWEEN :low AND :high"
        elif prefix:
            values[":sk"] = {"S": prefix}
            condition += " AND begins_with(SK, :sk)"
        arguments: dict[str, Any] = {
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ConsistentRead": True,
            "ScanIndexForward": not last,
        }
        return await self._pages("query", arguments, limit)

    async def _pages(self, operation: str, arguments: dict[str, Any], limit: int | None) -> list[Item]:
        found: list[Item] = []
        while True:
            if limit is not None:
                arguments["Limit"] = limit - len(found)
            with explained(self._table):
                answer = await getattr(self._client, operation)(TableName=self._table, **arguments)
            found.extend(_decode(item) for item in answer["Items"])
            if "LastEvaluatedKey" not in answer or (limit is not None and len(found) >= limit):
                return found
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def listed(
        self,
        index: str,
        value: str,
        *,
        limit: int = 100,
        newest: bool = True,
        between: tuple[Value, Value] | None = None,
        after: Place | None = None,
    ) -> list[Item]:
        arguments = {**_selection(index, value, between), "ScanIndexForward": not newest}
        if after is not None:
            selects, sorts, _ = INDEXES[index]
            arguments["ExclusiveStartKey"] = {
                **_key(after.key),
                selects: _encode(value),
                sorts: _encode(after.sort),
            }
        return await self._pages("query", arguments, limit)

    async def counted(self, index: str, value: str, between: tuple[Value, Value], most: int) -> int:
        arguments = {**_selection(index, value, between), "Select": "COUNT"}
        found = 0
        while True:
            with explained(self._table):
                answer = await self._client.query(TableName=self._table, Limit=most - found, **arguments)
            found += int(answer["Count"])
            if "LastEvaluatedKey" not in answer or found >= most:
                return found
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def scan(self, prefix: str) -> list[Item]:
        arguments: dict[str, Any] = {
            "FilterExpression": "begins_with(PK, :prefix)",
            "ExpressionAttributeValues": {":prefix": {"S": prefix}},
            "ConsistentRead": True,
        }
        return await self._pages("scan", arguments, None)

    async def server_time(self) -> int | None:
        with explained(self._table):
            answer = await self._client.get_item(TableName=self._table, Key=_key(("CLOCK", "-")))
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return int(parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp() * 1000) if date else None


def table_specification(name: str) -> dict[str, Any]:
    """Arguments of ``CreateTable``: on-demand, with the indexes for people's lists."""
    attributes = {"PK": "S", "SK": "S"}
    indexes = []
    for index, (selects, sorts, numeric) in INDEXES.items():
        attributes |= {selects: "S", sorts: "N" if numeric else "S"}
        indexes.append(
            {
                "IndexName": index,
                "KeySchema": [
                    {"AttributeName": selects, "KeyType": "HASH"},
                    {"AttributeName": sorts, "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        )
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in attributes.items()],
        "GlobalSecondaryIndexes": indexes,
    }
