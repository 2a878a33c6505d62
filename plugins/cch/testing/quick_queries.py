"""Queries of moto's tables that cost what they find, as DynamoDB's do.

moto sorts and looks at every item of a table for each query: with 50,000 items that takes a quarter of a second.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]
#: Operations of DynamoDB after which what is known of a table still holds.
_READS = ("GetItem", "BatchGetItem", "Query", "Scan", "DescribeTable", "ListTables")


class QuickQueries:
    """Gives moto's queries only the items that an index, or a partition, holds.

    moto asks ``all_items()`` for what to look at; while a query is under way that gives the few. Indexes are built
    when they are needed and forgotten with the next write. Requests must come one at a time.
    """

    def __init__(self, app: WsgiApp) -> None:
        self._app = app
        self._indexes: dict[tuple[int, str], dict[Any, list[Any]]] = {}
        self._install()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
        if target.startswith("DynamoDB_") and target.rsplit(".", 1)[-1] not in _READS:
            self._indexes.clear()
        return self._app(environ, start_response)

    def _install(self) -> None:
        from moto.dynamodb.models.table import Table  # noqa: PLC0415 - only the stand-in needs it

        whole_query, whole_items = _original(Table, "query"), _original(Table, "all_items")
        signature = inspect.signature(whole_query)

        def query(table: Any, *arguments: Any, **named: Any) -> Any:
            few = self._few(table, signature.bind(table, *arguments, **named).arguments)
            table.all_items = lambda: few
            try:
                return whole_query(table, *arguments, **named)
            finally:
                table.all_items = whole_items.__get__(table)

        query.original = whole_query  # type: ignore[attr-defined]
        Table.query = query

    def _few(self, table: Any, given: dict[str, Any]) -> list[Any]:
        index_name = given.get("index_name")
        if not index_name:
            return list(table.items.get(given["hash_key"], {}).values())
        key = next(part["AttributeName"] for part in table.get_index(index_name).schema if part["KeyType"] == "HASH")
        conditions = dict(given.get("hash_key_conditions") or ((key, given["hash_key"]),))
        return self._index(table, key).get(conditions[key].value, [])

    def _index(self, table: Any, key: str) -> dict[Any, list[Any]]:
        known = self._indexes.get((id(table), key))
        if known is None:
            known = defaultdict(list)
            for partition in table.items.values():
                for item in partition.values():
                    if key in item.attrs:
                        known[item.attrs[key].value].append(item)
            self._indexes[id(table), key] = known
        return known


def _original(owner: Any, name: str) -> Any:
    """The method as moto has it, also if it was replaced before."""
    found = getattr(owner, name)
    return getattr(found, "original", found)
