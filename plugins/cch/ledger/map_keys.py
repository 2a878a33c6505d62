"""Where the items of an instance's maps are noted: ``MAP#<instance>``, by map, visit and index."""

from __future__ import annotations

from cch.identity import FIRST_SCHEME, Scope, map_key
from cch.ledger.records import MapItem, RegionKey
from cch.ledger.store import Item


def map_item(instance_id: str, item: Item) -> MapItem:
    key = RegionKey(instance=instance_id, region=item["region"], scope=Scope(item["path"]))
    return MapItem(node=item["node"], index=item["index"], branch=item["branch"], key=key)


def visit_key(scope: Scope, node: str, branch: str) -> str:
    """The scope that the map stands in, the map, and its visit; from an item's scope."""
    around, step = scope.parent(node, branch)
    return f"{map_key(around, node, scope.scheme or FIRST_SCHEME)}{step.visit:06d}"
