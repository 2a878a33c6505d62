"""One visit of a map: its body once for each item, and the results back into the list."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cch.definition.merging import has_items
from cch.definition.nodes import MapFork
from cch.expressions.expression import FailedError
from cch.graph.build import ALL_ITEMS
from cch.graph.model import Graph
from cch.graph.regions import Region
from cch.graph.scopes import map_body
from cch.identity import branch_text
from cch.interpreter.context import MISSING, as_text, lookup, merge, read_path
from cch.interpreter.expressing import EXPRESSION_CODE, value_of
from cch.interpreter.flow import TokenFlow
from cch.interpreter.host import Host, OvertakenError
from cch.interpreter.outcome import Outcome
from cch.interpreter.visit import Result, Visit, failure
from cch.names import LONGEST_IN_KEY

#: Runs a region on a host, until no token is left in it: a map's body is a region again.
RunRegion = Callable[[Region, TokenFlow, Host], Awaitable[None]]
#: Items under way at the same time when the definition does not say: bounds memory, not speed.
_AT_ONCE = 1000
#: Branch keys that a reason names at the most.
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of the list, and its branch key."""

    index: int
    key: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemEnd:
    """How one item ended: its outputs merged into it, and why it failed ("" if it did not)."""

    item: Any
    reason: str


def map_items(node: MapFork, visit: Visit) -> list[Item]:
    """The items of a map.

    :raises ValueError: there is no list, or a branch key is missing, empty, too long or used twice; says which.
    """
    values, name = _listed(node, visit)
    rules = visit.rules
    found = [lookup(value, node.branch_key, rules) if isinstance(value, Mapping) else MISSING for value in values]
    missing = [str(index) for index, key in enumerate(found) if key is MISSING or key is None or key == ""]
    if missing:
        raise ValueError(f"items {', '.join(missing[:_NAMED])} of {name} have no {node.branch_key!r}")
    keys = [branch_text(key) for key in found]
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise ValueError(f"{node.branch_key} {', '.join(twice[:_NAMED])} appears more than once in {name}")
    long = [str(index) for index, key in enumerate(keys) if len(key) > LONGEST_IN_KEY]
    if long:
        raise ValueError(
            f"the {node.branch_key!r} of items {', '.join(long[:_NAMED])} of {name} has more than"
            f" {LONGEST_IN_KEY} characters: use a short key, it goes out with every request"
        )
    return [Item(index=i, key=key, value=value) for i, (key, value) in enumerate(zip(keys, values, strict=True))]


def _listed(node: MapFork, visit: Visit) -> tuple[list[Any], str]:
    """The list, and how messages call it. An expression that matches one value, or nothing, gives a list all the same.

    :raises ValueError: there is no list.
    """
    if node.items is not None:
        found = value_of(visit, node.items)
        return ([] if found is MISSING else found if isinstance(found, list) else [found]), "the items"
    name = node.input_list_key or ""
    values = lookup(visit.context, name, visit.rules)
    if not isinstance(values, list):
        raise ValueError(f"{name} is {as_text(values)[:80]}, not a list")  # noqa: TRY004 - bad data
    return values, name


def item_flow(
    body: Graph,
    outcomes: Iterable[Outcome],
    context: Mapping[str, Any],
    *,
    item_key: str = "",
    around: Mapping[str, Any] | None = None,
    begun: int = 0,
) -> TokenFlow:
    """The state of one item's scope; all its nodes stop together. See :class:`~cch.interpreter.flow.TokenFlow`."""
    domains = dict.fromkeys(body.nodes, body.entry)
    flow = TokenFlow(body, domains, context, is_item=True, item_key=item_key, around=around or {}, begun=begun)
    flow.apply_all(outcomes)
    return flow


async def items_of(node: MapFork, visit: Visit, host: Host) -> list[Item]:
    """As :func:`map_items`, without holding up others."""
    if node.items is None:
        return map_items(node, visit)
    return await host.compute(functools.partial(map_items, node, visit))


async def run_map(node: MapFork, visit: Visit, host: Host, run: RunRegion) -> Result:
    """Run the body for every item; the items' outputs are merged into their places in the list.

    An item that fails without a way on does not stop the others; the join that waits for the map fails then.
    """
    try:
        items = await items_of(node, visit, host)
        path = read_path(node.results_at, visit.rules)
        path.patch(visit.context, [])  # before anything is asked for
    except FailedError as error:
        return failure(visit.graph, node, str(error), code=EXPRESSION_CODE)
    except ValueError as error:
        return failure(visit.graph, node, str(error))
    body = map_body(visit.graph, node.name)
    slots = asyncio.Semaphore(node.concurrency or _AT_ONCE)

    async def one(item: Item) -> ItemEnd:
        async with slots:
            return await run_item(node, visit, body, host, item, run=run)

    await host.map_begun(node.name, visit.number, len(items))
    ends = await _all(one(item) for item in items)
    failed = {item.key: end.reason for item, end in zip(items, ends, strict=True) if end.reason}
    return Result(
        label=ALL_ITEMS,
        patch=path.patch(visit.context, [end.item for end in ends]),
        cause={"kind": "map", "items": len(items), "failed": failed},
    )


async def _all(work: Iterable[Coroutine[Any, Any, ItemEnd]]) -> list[ItemEnd]:
    """The results in their order; the first exception as it is, after the others were cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
    return [task.result() for task in tasks]


async def run_item(node: MapFork, visit: Visit, body: Graph, host: Host, item: Item, *, run: RunRegion) -> ItemEnd:
    """Run the body for one item, or take what somebody else made of it."""
    region = Region(head=body.entry, kind="wait", nodes=tuple(body.nodes))
    context = {**visit.context, node.item_key: item.value}
    while True:
        scope, recorded = await host.item(node.name, visit.number, item.index, item.key)
        flow = item_flow(body, recorded, context, item_key=node.item_key, around=visit.flat_item, begun=visit.moment)
        if scope is not None:
            try:
                await run(region, flow, scope)
            except OvertakenError:
                continue
        return ItemEnd(item=_merged(item.value, node.item_key, flow), reason=_reason(flow))


def _reason(flow: TokenFlow) -> str:
    match flow.status():
        case "completed":
            return ""
        case "running":
            return "its task ended before its work was done"
        case "failed":
            return flow.reason()


def _merged(item: Any, item_key: str, flow: TokenFlow) -> Any:
    """The item with what its nodes have written; what they wrote under ``item_key`` is about the item itself."""
    outputs: dict[str, Any] = {}
    for outcome in sorted(flow.outcomes.values(), key=lambda o: (o.stamp, o.node, o.visit)):
        outputs = merge(outputs, outcome.patch)
    if around := [key for key, value in outputs.items() if key != item_key and has_items(value)]:
        # What was written into a list of the context around the item comes with the whole list.
        known = flow.final_context()
        outputs |= {key: known[key] for key in around}
    public = {key: value for key, value in outputs.items() if not key.startswith("_") and key != item_key}
    own = outputs.get(item_key)
    return merge(merge(item, own if isinstance(own, Mapping) else {}), public)
