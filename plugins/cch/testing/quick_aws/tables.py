"""DynamoDB: tables of the ledger's form, each over the program's own store in memory."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from zlib import crc32

from cch.aws.tables import encode_item
from cch.ledger.store import LAST, ConditionFailedError, Item, Key, When
from cch.testing.memory_store import MemoryStore, item_size
from cch.testing.quick_aws import expressions
from cch.testing.quick_aws.expressions import KeyCondition, Placeholders
from cch.testing.quick_aws.protocol import (
    ACCOUNT,
    REGION,
    Answer,
    AwsError,
    Given,
    Operation,
    Request,
    json_answer,
    json_headers,
    operation,
)
from cch.testing.quick_aws.table_form import TableForm, decoded_key
from cch.testing.quick_aws.typed_values import decoded_item

T = TypeVar("T")

#: Before the operation in ``X-Amz-Target``.
TARGET = "DynamoDB_20120810."
_ERROR = "com.amazonaws.dynamodb.v20120810#"
#: DynamoDB's quotas: a page of a query (bytes), items of a batch.
_PAGE, _MOST_READ, _MOST_WRITTEN = 1024 * 1024, 100, 25
#: Made once: making an encoder takes longer than writing an item.
_as_json = json.JSONEncoder(separators=(",", ":")).encode
_EXPRESSED = ("ExpressionAttributeNames", "ExpressionAttributeValues")
_CONDITIONAL = ("ConditionExpression", "ReturnValues", "ReturnValuesOnConditionCheckFailure", *_EXPRESSED)


@dataclass(slots=True)
class _Table:
    form: TableForm
    store: MemoryStore
    created: float
    #: The attribute with the time at which an item expires; none is removed (docs/adr/0039).
    expires: str = ""


class Tables:
    """All tables of the account. ``clock``: seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tables: dict[str, _Table] = {}
        self._operations: Mapping[str, Operation] = {
            "GetItem": operation(self._get, "TableName", "Key", "ConsistentRead"),
            "PutItem": operation(self._put, "TableName", "Item", *_CONDITIONAL),
            "UpdateItem": operation(self._update, "TableName", "Key", "UpdateExpression", *_CONDITIONAL),
            "DeleteItem": operation(self._delete, "TableName", "Key", "ReturnValues"),
            "Query": operation(
                self._query, "TableName", "IndexName", "KeyConditionExpression", "ConsistentRead", "ScanIndexForward",
                "Limit", "ExclusiveStartKey", "Select", *_EXPRESSED,
            ),
            "Scan": operation(self._scan, "TableName", "FilterExpression", "ConsistentRead", "Select", *_EXPRESSED),
            "BatchGetItem": operation(self._get_many, "RequestItems"),
            "BatchWriteItem": operation(self._write_many, "RequestItems"),
            "CreateTable": operation(
                self._create, "TableName", "BillingMode", "KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes"
            ),
            "DeleteTable": operation(self._drop, "TableName"),
            "DescribeTable": operation(self._describe, "TableName"),
            "ListTables": operation(self._list),
            "UpdateTimeToLive": operation(self._set_expiry, "TableName", "TimeToLiveSpecification"),
            "DescribeTimeToLive": operation(self._expiry, "TableName"),
            "DescribeContinuousBackups": operation(self._backups, "TableName"),
        }  # fmt: skip

    async def answer(self, name: str, request: Request) -> Answer:
        status = 200
        try:
            said: Any = await json_answer(self._operations, name, request, "ValidationException")
        except AwsError as error:
            status = error.status
            said = {"__type": _ERROR + error.code, "message": error.message, **error.more}
        body = _as_json(said).encode()
        return Answer(body, status, [*json_headers(), (b"x-amz-crc32", b"%d" % crc32(body))])

    def _table(self, given: Given) -> _Table:
        return self._named(given["TableName"])

    def _named(self, name: str) -> _Table:
        found = self._tables.get(name)
        if found is None:
            raise AwsError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
        return found

    # --- one item ------------------------------------------------------------------------------------------------

    async def _get(self, given: Given, _: Request) -> Given:
        item = await self._table(given).store.get(decoded_key(given["Key"]))
        return {"Item": encode_item(item)} if item is not None else {}

    async def _put(self, given: Given, _: Request) -> Given:
        table, placeholders = self._table(given), Placeholders(given)
        item, when = decoded_item(given["Item"]), _when(given, placeholders)
        placeholders.refuse_unused()
        table.form.refuse(item)
        wants_old = _returns(given, "ALL_OLD")
        old = await table.store.get((item["PK"], item["SK"])) if wants_old else None
        await _written(table.store.put(item, when), given)
        return {"Attributes": encode_item(old)} if old else {}

    async def _update(self, given: Given, _: Request) -> Given:
        table, placeholders = self._table(given), Placeholders(given)
        wants_new, key = _returns(given, "ALL_NEW"), decoded_key(given["Key"])
        change = expressions.change(given["UpdateExpression"], placeholders)
        when = _when(given, placeholders)
        placeholders.refuse_unused()
        table.form.refuse_change(change)
        item = await _written(table.store.update(key, change, when), given)
        return {"Attributes": encode_item(item)} if wants_new else {}

    async def _delete(self, given: Given, _: Request) -> Given:
        table, key = self._table(given), decoded_key(given["Key"])
        old = await table.store.get(key) if _returns(given, "ALL_OLD") else None
        await table.store.delete(key)
        return {"Attributes": encode_item(old)} if old else {}

    # --- many items ----------------------------------------------------------------------------------------------

    async def _query(self, given: Given, _: Request) -> Given:
        table, placeholders = self._table(given), Placeholders(given)
        asked = expressions.key_condition(given["KeyConditionExpression"], placeholders)
        placeholders.refuse_unused()
        index, limit = given.get("IndexName"), _limit(given)
        selects, sorts = table.form.keys_of(index)
        if asked.selects != selects or asked.sorts not in ("", sorts):
            raise AwsError("ValidationException", f"Query key condition not supported: the keys are {selects}, {sorts}")
        table.form.refuse_bounds(selects, [asked.value])
        table.form.refuse_bounds(sorts, asked.between or [bound for bound in (asked.prefix,) if bound is not None])
        find = _from_partition if index is None else _from_index
        return _page(await find(table, asked, given, limit), given, limit, (selects, sorts))

    async def _scan(self, given: Given, _: Request) -> Given:
        """In one page, however much it is: for audits, in which everything has to be looked at."""
        table, placeholders, prefix = self._table(given), Placeholders(given), ""
        if "FilterExpression" in given:
            name, prefix = expressions.prefix_filter(given["FilterExpression"], placeholders)
            if name != "PK" or not isinstance(prefix, str):
                raise AwsError("ValidationException", "the quick stand-in filters by what PK begins with only")
        placeholders.refuse_unused()
        found = await table.store.scan(prefix)
        return _counted(given, len(found)) or {
            "Items": [encode_item(item) for item in found], "Count": len(found), "ScannedCount": len(found)
        }  # fmt: skip

    async def _get_many(self, given: Given, _: Request) -> Given:
        answers: dict[str, list[Any]] = {}
        if sum(len(asked["Keys"]) for asked in given["RequestItems"].values()) > _MOST_READ:
            raise AwsError("ValidationException", f"Too many items requested for the BatchGetItem call: {_MOST_READ}")
        for name, asked in given["RequestItems"].items():
            if unknown := asked.keys() - {"Keys", "ConsistentRead"}:
                raise AwsError("ValidationException", f"the quick stand-in does not know {', '.join(sorted(unknown))}")
            keys = [decoded_key(raw) for raw in asked["Keys"]]
            if len(set(keys)) < len(keys):
                raise AwsError("ValidationException", "Provided list of item keys contains duplicates")
            found = await self._named(name).store.get_many(keys)
            answers[name] = [encode_item(item) for item in found.values()]
        return {"Responses": answers, "UnprocessedKeys": {}}

    async def _write_many(self, given: Given, _: Request) -> Given:
        if not 0 < sum(map(len, given["RequestItems"].values())) <= _MOST_WRITTEN:
            raise AwsError("ValidationException", f"BatchWriteItem takes 1 to {_MOST_WRITTEN} items")
        writes: list[tuple[MemoryStore, Key, Item | None]] = []
        for name, asked in given["RequestItems"].items():
            table = self._named(name)
            for each in asked:
                ((kind, what),) = each.items()
                if kind == "PutRequest":
                    item = decoded_item(what["Item"])
                    table.form.refuse(item)
                    writes.append((table.store, (item["PK"], item["SK"]), item))
                elif kind == "DeleteRequest":
                    writes.append((table.store, decoded_key(what["Key"]), None))
                else:
                    raise AwsError("ValidationException", f"the quick stand-in does not know {kind}")
        if len({(id(store), key) for store, key, _ in writes}) < len(writes):
            raise AwsError("ValidationException", "Provided list of item keys contains duplicates")
        for store, key, new in writes:
            await (_written(store.put(new), given) if new is not None else store.delete(key))
        return {"UnprocessedItems": {}}

    # --- tables --------------------------------------------------------------------------------------------------

    async def _create(self, given: Given, _: Request) -> Given:
        name, form = given["TableName"], TableForm.read(given)
        if name in self._tables:
            raise AwsError("ResourceInUseException", f"Table already exists: {name}")
        self._tables[name] = _Table(form, MemoryStore(form.indexes), self._clock())
        return {"TableDescription": self._description(name)}

    async def _drop(self, given: Given, _: Request) -> Given:
        self._table(given)
        description = self._description(given["TableName"])
        del self._tables[given["TableName"]]
        return {"TableDescription": {**description, "TableStatus": "DELETING"}}

    async def _describe(self, given: Given, _: Request) -> Given:
        self._table(given)
        return {"Table": self._description(given["TableName"])}

    def _description(self, name: str) -> Given:
        table = self._tables[name]
        arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"
        indexes = table.form.specification.get("GlobalSecondaryIndexes") or ()
        return {
            "TableName": name, "TableArn": arn, "TableStatus": "ACTIVE", "CreationDateTime": table.created,
            "KeySchema": table.form.specification["KeySchema"],
            "AttributeDefinitions": table.form.specification["AttributeDefinitions"],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "GlobalSecondaryIndexes": [
                {**index, "IndexStatus": "ACTIVE", "IndexArn": f"{arn}/index/{index['IndexName']}"} for index in indexes
            ],
        }  # fmt: skip

    async def _list(self, _given: Given, _: Request) -> Given:
        return {"TableNames": sorted(self._tables)}

    async def _set_expiry(self, given: Given, _: Request) -> Given:
        asked = given["TimeToLiveSpecification"]
        self._table(given).expires = asked["AttributeName"] if asked["Enabled"] else ""
        return {"TimeToLiveSpecification": asked}

    async def _expiry(self, given: Given, _: Request) -> Given:
        expires = self._table(given).expires
        told = {"TimeToLiveStatus": "ENABLED" if expires else "DISABLED"}
        return {"TimeToLiveDescription": {**told, "AttributeName": expires} if expires else told}

    async def _backups(self, given: Given, _: Request) -> Given:
        self._table(given)
        recovery = {"PointInTimeRecoveryStatus": "DISABLED"}
        told = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}
        return {"ContinuousBackupsDescription": told}


async def _written(write: Awaitable[T], given: Given) -> T:
    """:raises AwsError: the write is refused, with the item that is there if that is asked for."""
    try:
        return await write
    except ConditionFailedError as lost:
        wanted = given.get("ReturnValuesOnConditionCheckFailure", "NONE")
        more = {"Item": encode_item(lost.item)} if lost.item and wanted == "ALL_OLD" else {}
        raise AwsError("ConditionalCheckFailedException", "The conditional request failed", more=more) from None
    except ValueError as error:
        message = f"One or more parameter values were invalid: {error}"
        raise AwsError("ValidationException", message) from None


def _when(given: Given, placeholders: Placeholders) -> When | None:
    wanted = given.get("ReturnValuesOnConditionCheckFailure", "NONE")
    if wanted not in ("NONE", "ALL_OLD"):
        raise AwsError("ValidationException", f"ReturnValuesOnConditionCheckFailure is no {wanted}")
    text = given.get("ConditionExpression")
    return None if text is None else expressions.condition(text, placeholders)


def _returns(given: Given, what: str) -> bool:
    """:raises AwsError: ``ReturnValues`` is neither ``what`` nor NONE."""
    wanted = given.get("ReturnValues", "NONE")
    if wanted not in ("NONE", what):
        raise AwsError("ValidationException", f"the quick stand-in returns {what} or NONE here, not {wanted}")
    return bool(wanted == what)


def _limit(given: Given) -> int | None:
    limit = given.get("Limit")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise AwsError("ValidationException", f"Limit must be 1 or more, not {limit}")
    return limit


async def _from_partition(table: _Table, asked: KeyCondition, given: Given, limit: int | None) -> list[Item]:
    last, start = not given.get("ScanIndexForward", True), given.get("ExclusiveStartKey")
    low, high = asked.between or (asked.prefix or "\0", (asked.prefix or "") + LAST)
    if start is None:
        return await table.store.query(asked.value, limit=limit, last=last, between=(low, high))
    # The smallest text that is greater than the one at which the page before ended; nothing is just below it.
    sk = decoded_key(start)[1]
    between, more = ((low, min(high, sk)), 1) if last else ((max(low, sk + "\0"), high), 0)
    most = None if limit is None else limit + more
    found = await table.store.query(asked.value, limit=most, last=last, between=between)
    return [item for item in found if item["SK"] != sk][:limit]


async def _from_index(table: _Table, asked: KeyCondition, given: Given, limit: int | None) -> list[Item]:
    if given.get("ConsistentRead"):
        raise AwsError("ValidationException", "Consistent reads are not supported on global secondary indexes")
    if asked.prefix is not None:
        raise AwsError("ValidationException", "the quick stand-in knows begins_with of the table's sort key only")
    start, index = given.get("ExclusiveStartKey"), given["IndexName"]
    return await table.store.listed(
        index, asked.value, limit=limit or sys.maxsize, newest=not given.get("ScanIndexForward", True),
        between=asked.between, after=None if start is None else table.form.place(index, start),
    )  # fmt: skip


def _page(found: Sequence[Item], given: Given, limit: int | None, keys: tuple[str, str]) -> Given:
    """As much as DynamoDB answers at a time, and where the next page begins."""
    size, count = 0, 0
    while count < len(found) and (size := size + item_size(found[count])) <= _PAGE:
        count += 1
    count = max(count, min(1, len(found)))
    answer = _counted(given, count) or {
        "Items": [encode_item(item) for item in found[:count]], "Count": count, "ScannedCount": count
    }  # fmt: skip
    if found and (count < len(found) or count == limit):
        last = found[count - 1]
        answer["LastEvaluatedKey"] = encode_item({name: last[name] for name in ("PK", "SK", *keys)})
    return answer


def _counted(given: Given, count: int) -> Given | None:
    """The answer, if only the number is asked for.

    :raises AwsError: some of the attributes are.
    """
    match given.get("Select"):
        case None | "ALL_ATTRIBUTES":
            return None
        case "COUNT":
            return {"Count": count, "ScannedCount": count}
        case other:
            raise AwsError("ValidationException", f"the quick stand-in knows no Select {other}")
