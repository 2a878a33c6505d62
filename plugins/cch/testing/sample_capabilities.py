"""What stands in for synchronous capabilities of the samples that nobody serves; only the local stack has it."""

from __future__ import annotations

from typing import Any

from cch.capabilities.registry import sync_capability
from cch.interpreter.host import Call

#: Made up for the sample ``export_filing_v1``; its scenarios have the same.
_RATE = 1.08


@sync_capability("finance#exchange_rate")
def exchange_rate(_: Call) -> dict[str, Any]:
    """The rate of today, of a finance department that is not there."""
    return {"exchangeRate": _RATE}
