"""Which items of maps have begun."""

from __future__ import annotations

from cch.identity import FIRST_SCHEME, ROOT, Box, Scope, map_key
from cch.ledger.map_keys import map_item, visit_key
from cch.ledger.records import Instance, MapItem, RegionKey
from cch.ledger.store import LAST, ItemStore


class MapItems:
    """``MAP#<instance>``, by map, visit and index; of items inside items also ``ITEM#<scope>`` in their boxes."""

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def put_scope(self, key: RegionKey, node: str, index: int, branch: str) -> None:
        """Note an item of a map, for people and for sweeping up: ``MAP#<instance>``, by map, visit and index.

        An item inside an item of another map is noted in its box too (``ITEM#<scope>``): its own key may not be
        enough to address it.
        """
        if key.scope.scheme != FIRST_SCHEME and key.scope.depth > 1:
            box = Box(key.instance, branch, key.scope.scheme or FIRST_SCHEME)
            await self._store.put({"PK": box.key, "SK": f"ITEM#{key.scope.digest}", "scope": key.scope.text})
        await self._store.put(
            {
                "PK": f"MAP#{key.instance}",
                "SK": f"{visit_key(key.scope, node, branch)}#{index:07d}#{key.scope.digest}",
                "path": key.scope.text,
                "node": node,
                "index": index,
                "branch": branch,
                "region": key.region,
            }
        )

    async def nested_items(self, box: Box) -> list[tuple[str, ...]]:
        """The branch keys, from the outside in, of the items of maps inside maps that share a box."""
        items = await self._store.query(box.key, "ITEM#")
        return sorted({Scope(item["scope"]).branch_path("") for item in items})

    async def map_visit(self, instance: Instance, node: str) -> tuple[int, int] | None:
        """(latest visit, items begun) of a map of the root; None if it has not begun."""
        prefix = map_key(ROOT, node, instance.scheme)
        found = await self._store.query(f"MAP#{instance.id}", prefix, limit=1, last=True)
        if not found:
            return None
        visit, index, _ = found[0]["SK"].rsplit("#", 3)[1:]
        return int(visit), int(index) + 1

    async def map_items(
        self, instance: Instance, node: str, visit: int, limit: int, *, after: int = -1
    ) -> list[MapItem]:
        """Items of a map of the root that have begun, by index, those behind ``after``."""
        prefix = f"{map_key(ROOT, node, instance.scheme)}{visit:06d}#"
        bounds = (f"{prefix}{after + 1:07d}", f"{prefix}{LAST}")
        items = await self._store.query(f"MAP#{instance.id}", between=bounds, limit=limit)
        return [map_item(instance.id, item) for item in items]

    async def scopes(self, instance_id: str) -> list[RegionKey]:
        """The journals of all items of an instance's maps, nested ones included."""
        return [
            RegionKey(instance=instance_id, region=item["region"], scope=Scope(item["path"]))
            for item in await self._store.query(f"MAP#{instance_id}")
        ]

    async def branches(self, instance_id: str, most_items: int | None = None) -> list[str]:
        """The branch keys of an instance's maps, of their first ``most_items`` by map, visit and index (None: all)."""
        return sorted({item["branch"] for item in await self._store.query(f"MAP#{instance_id}", limit=most_items)})

    async def items(self, instance_id: str) -> list[MapItem]:
        """The items that an instance's maps have begun, in the order of their lists.

        Scopes whose path an earlier release cut short are left out.
        """
        found = [
            map_item(instance_id, item)
            for item in await self._store.query(f"MAP#{instance_id}")
            if item["SK"].endswith(f"#{Scope(item['path']).digest}")
        ]
        return sorted(found, key=lambda item: (item.key.scope.depth, item.index, item.key.scope.text))
