"""Cursors: where a list goes on, opaque to who holds one."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from cch.api.models import FieldProblem
from cch.api.problems import ApiError

#: Longest cursor that is read (characters).
LONGEST = 4000


def encode(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(cursor: str | None) -> Any:
    """What :func:`encode` was given; None without a cursor.

    :raises ApiError: 422, it is none of ours.
    """
    if not cursor:
        return None
    try:
        return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise bad_cursor() from None


def bad_cursor() -> ApiError:
    problem = FieldProblem(location="query.cursor", message="not a cursor of this list")
    return ApiError(422, "invalid_request", "The request is not as the API's description says.", [problem])
