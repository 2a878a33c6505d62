"""What was sent with a request, for people."""

from __future__ import annotations

import json

from cch.api.mapping import request_view
from cch.api.models import RequestDetail
from cch.ledger.records import RequestRecord
from cch.runtime.inspection import Inspector
from cch.runtime.platform import Platform
from cch.runtime.resending import BodyLostError, Rebuilder


async def sent_body(platform: Platform, inspector: Inspector, record: RequestRecord) -> RequestDetail:
    """The request with its message, or why that cannot be made again."""
    try:
        body = json.loads(await Rebuilder(platform, inspector).body(record))
    except BodyLostError as lost:
        return RequestDetail(**request_view(record), body=None, body_problem=str(lost))
    return RequestDetail(**request_view(record), body=body, resendable=record.state == "open")
