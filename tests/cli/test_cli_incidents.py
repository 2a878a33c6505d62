"""``cch incidents``."""

from __future__ import annotations

import json

from cch.runtime.platform import now_ms
from cch.runtime.rollups import count_ended


def fail(office, instance, reason):
    """Let a waiting instance fail."""

    async def work(platform):
        await platform.ledger.instances.end(instance, "failed", now_ms(), reason)
        await count_ended(platform)

    office.do(work)


def test_failures_are_shown_in_groups(office, cch):
    """With their number and an example; a workflow that has none has none."""
    del office.answers["import#enrichment"]
    for name in ("run-1", "run-2"):
        office.start(name, until="waiting")
        fail(office, name, f"bill MEDU{name[-1]}710042 is unknown")

    text, data = cch("incidents"), json.loads(cch("incidents", "--json").stdout)
    other = cch("incidents", "--workflow", "another")

    (group,) = data["incidents"]
    assert (group["kind"], group["count"], group["pattern"]) == ("failed", 2, "bill <id> is unknown")
    assert "1 incident" in text.stdout
    assert "bill <id> is unknown" in text.stdout
    assert "nothing needs a person" in other.stdout
