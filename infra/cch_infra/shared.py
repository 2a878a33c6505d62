"""What the resources have in common with the program, taken from it: names, the table's form, queue settings."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))

from cch.aws.provision import MAX_RECEIVE_COUNT, RETENTION, SAMPLE_CAPABILITIES, VISIBILITY  # noqa: E402
from cch.aws.tables import EXPIRES, INDEXES, table_specification  # noqa: E402
from cch.definition.source import BY_DIGEST  # noqa: E402
from cch.envelope import MAX_BODY  # noqa: E402
from cch.ledger.endings import FAILED  # noqa: E402
from cch.ledger.payloads import UNADDRESSED  # noqa: E402
from cch.names import Names  # noqa: E402
from cch.testing.lambda_functions import TIMEOUT, Function, Runtime  # noqa: E402

__all__ = [
    "BY_DIGEST",
    "EXPIRES",
    "FAILED",
    "INDEXES",
    "MAX_BODY",
    "MAX_RECEIVE_COUNT",
    "RETENTION",
    "ROOT",
    "SAMPLE_CAPABILITIES",
    "TIMEOUT",
    "UNADDRESSED",
    "VISIBILITY",
    "Function",
    "Names",
    "Runtime",
    "table_specification",
]
