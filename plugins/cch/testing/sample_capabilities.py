"""The synchronous capabilities of the samples; the local stack has them (``CCH_CAPABILITY_MODULES``)."""

from __future__ import annotations

from typing import Any

from cch.capabilities import Call, bind_lambda, sync_capability

#: Made up for the sample ``export_filing_v1``; its scenarios have the same.
_RATE = 1.08


@sync_capability("finance#exchange_rate")
def exchange_rate(_: Call) -> dict[str, Any]:
    """The rate of today, of a finance department that is not there."""
    return {"exchangeRate": _RATE}


@sync_capability("orchestra-a")
def task_a(call: Call) -> dict[str, Any]:
    """Prepare, for the sample ``orchestra_fan_out_v1``: number the lines of the consignment."""
    lines = call.context.get("lines") or ["electronics", "footwear"]
    return {"prepared": [{"line": number, "goods": goods} for number, goods in enumerate(lines, 1)]}


for task in ("orchestra-b1", "orchestra-b3", "orchestra-c"):  # Node.js, Python, a container image
    bind_lambda(task, f"{{prefix}}{task}")
