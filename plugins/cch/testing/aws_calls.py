"""Counts of what a stand-in for AWS was asked, as both stand-ins tell them at ``/cch/calls``."""

from __future__ import annotations

import json
from collections import Counter

#: ``GET`` tells the counts by operation as JSON, ``DELETE`` begins anew.
PATH = "/cch/calls"


class AwsCalls:
    """Counts requests by operation."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, target: str, method: str) -> None:
        """``target``: the header ``X-Amz-Target``; "" where a service has none."""
        operation = target or f"S3.{method}"
        self._counts[operation.split("_", maxsplit=1)[0] + "." + operation.rsplit(".", 1)[-1]] += 1

    def answer(self, method: str) -> bytes:
        """What a request to :data:`PATH` is answered."""
        if method == "DELETE":
            self._counts.clear()
        return json.dumps(dict(self._counts)).encode()
