"""How long a wait usually takes: asked here, and nowhere else.

Today the answer is what 95 % of the visits of a node have taken in the last weeks, from the figures. It is kept for an
hour, so that asking for all workflows costs one read for each hundred of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

from cch.ledger.figures import Figures
from cch.ledger.payloads import dump
from cch.ledger.rollups import day_of

if TYPE_CHECKING:
    from cch.ledger.ledger import Ledger

#: Days whose figures count, and visits below which nobody can say what is usual.
_DAYS, _LEAST_VISITS = 28, 20
#: How long (ms) an answer is kept.
_KEPT = 3_600_000
_PARTITION = "USUAL"


class UsualTimes:
    """Of some workflows."""

    def __init__(self, times: Mapping[str, Mapping[str, int]]) -> None:
        self._times = times

    def of(self, workflow_id: str, node: str) -> int | None:
        """How long (ms) a wait of the node usually takes at most; None: nobody can say."""
        return self._times.get(workflow_id, {}).get(node)


async def usual_times(ledger: Ledger, workflow_ids: Iterable[str]) -> UsualTimes:
    """What is known of these workflows."""
    keys = [(_PARTITION, workflow_id) for workflow_id in dict.fromkeys(workflow_ids)]
    found = await ledger.store.get_many(keys) if keys else {}
    return UsualTimes({workflow_id: json.loads(item["times"]) for (_, workflow_id), item in found.items()})


async def learn(ledger: Ledger, workflow_ids: Iterable[str], now: int) -> int:
    """Ask the figures of those workflows whose answer is older than an hour; how many those were."""
    wanted = list(dict.fromkeys(workflow_ids))
    known = await ledger.store.get_many([(_PARTITION, each) for each in wanted]) if wanted else {}
    old = [each for each in wanted if now - known.get((_PARTITION, each), {"at": -_KEPT})["at"] >= _KEPT]
    for workflow_id in old:
        times = await _of_figures(ledger, workflow_id, now)
        await ledger.store.put({"PK": _PARTITION, "SK": workflow_id, "at": now, "times": dump(times)})
    return len(old)


async def _of_figures(ledger: Ledger, workflow_id: str, now: int) -> dict[str, int]:
    until = day_of(now)
    since = str(date.fromisoformat(until) - timedelta(days=_DAYS))
    whole = Figures()
    for rollup in await ledger.rollups.of_workflow(workflow_id, since, until):
        whole.merge(rollup.figures)
    return {
        name: usual
        for name, node in whole.nodes.items()
        if node.took.count >= _LEAST_VISITS and (usual := node.took.quantile(0.95)) is not None
    }
