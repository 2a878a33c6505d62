"""Calls that were to be made by the triggerer and that only a worker may make, because a binding has changed since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cch.capabilities.registry import PythonBinding
from cch.errors import CapabilityNotBoundError

if TYPE_CHECKING:
    from cch.graph.plan import Plan
    from cch.graph.regions import Region
    from cch.runtime.platform import Platform


async def needs_worker(platform: Platform, plan: Plan, region: Region) -> str:
    """Why a worker has to execute a region that a triggerer has begun; "" if it has not.

    The layout of a run is fixed, and a binding is not: what was a Lambda function or an endpoint when the version was
    laid out may be a Python function now. A region that does something besides, or goes round, stays where it is: it
    would keep a worker for as long as it waits, and its functions run in threads.
    """
    if not platform.caller.is_shared or region.cyclic:
        return ""
    effects = [node for name in region.nodes if (node := plan.graph.nodes[name]).effect != "instant"]
    called = [node.asks.id for node in effects if node.asks is not None and node.asks.answerer == "binding"]
    if len(called) < len(effects) or not plan.graph.awaited.issuperset(called):
        return ""
    for capability in called:
        try:
            bound = await platform.caller.bound(capability)
        except CapabilityNotBoundError:
            continue  # the call fails by that, wherever it is made
        if isinstance(bound, PythonBinding):
            return f"{capability} is bound to a Python function now, which a worker runs"
    return ""
