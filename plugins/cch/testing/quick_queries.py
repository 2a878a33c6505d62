"""Queries of moto's tables that cost what they find, as DynamoDB's do.

moto sorts and looks at every item of a table for each query: with 50,000 items that takes a quarter of a second.
"""

from __future__ import annotations

import inspect
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]
#: Operations of DynamoDB after which what is known of a table still holds.
_READS = ("GetItem", "BatchGetItem", "Query", "Scan", "DescribeTable", "ListTables")


class QuickQueries:
    """Gives moto's queries only the items that a partition holds, or the page of an index that is asked for.

    moto asks ``all_items()`` for what to look at; while a query is under way that gives the few. Indexes are built
    when they are needed and forgotten with the next write. Requests must come one at a time.
    """

    def __init__(self, app: WsgiApp) -> None:
        self._app = app
        self._indexes: dict[tuple[int, str, str], dict[Any, list[tuple[Any, Any]]]] = {}
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
        keys = {part["KeyType"]: part["AttributeName"] for part in table.get_index(index_name).schema}
        conditions = dict(given.get("hash_key_conditions") or ((keys["HASH"], given["hash_key"]),))
        found = self._index(table, keys["HASH"], keys["RANGE"]).get(conditions[keys["HASH"]].value, [])
        comparison, limit = given.get("range_comparison"), given.get("limit")
        begin, end = 0, len(found)
        if comparison == "BETWEEN":
            low, high = (bound.cast_value for bound in given["range_objs"])
            begin, end = bisect_left(found, low, key=_sort_value), bisect_right(found, high, key=_sort_value)
        if limit and comparison in (None, "BETWEEN") and not given.get("exclusive_start_key"):
            if given["scan_index_forward"]:  # one more than is asked for: moto sees that there is another page
                end = min(end, begin + limit + 1)
            else:
                begin = max(begin, end - limit - 1)
        return [item for _, item in found[begin:end]]

    def _index(self, table: Any, key: str, sort: str) -> dict[Any, list[tuple[Any, Any]]]:
        """Value of ``key`` → (what it is sorted by, item), in moto's order."""
        known = self._indexes.get((id(table), key, sort))
        if known is None:
            known = defaultdict(list)
            for partition in table.items.values():
                for item in partition.values():
                    if key in item.attrs and sort in item.attrs:
                        place = item.attrs[sort].cast_value, item.hash_key.value, item.range_key.value
                        known[item.attrs[key].value].append((place, item))
            for entries in known.values():
                entries.sort(key=itemgetter(0))
            self._indexes[id(table), key, sort] = known
        return known


def _sort_value(entry: tuple[Any, Any]) -> Any:
    return entry[0][0]


def _original(owner: Any, name: str) -> Any:
    """The method as moto has it, also if it was replaced before."""
    found = getattr(owner, name)
    return getattr(found, "original", found)
