"""Capabilities that the measured stack binds in code, so that a worker calls them."""

from __future__ import annotations

import os
from typing import Any

from cch.capabilities import Call, bind_http, bind_lambda, sync_capability
from cch.json_settings import json_setting

#: Variable with a JSON object: kind of binding → what is bound.
BOUND = "BENCH_BOUND"


@sync_capability("bench#python")
def nothing(_: Call) -> dict[str, Any]:
    """Do nothing."""
    return {}


_bound = json_setting(BOUND, os.environ.get(BOUND, ""))
if _bound:
    bind_http("bench#http_worker", _bound["http"])
    bind_lambda("bench#lambda_worker", _bound["lambda"])
