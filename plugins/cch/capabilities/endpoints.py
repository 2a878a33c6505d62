"""Calls of HTTP endpoints."""

from __future__ import annotations

import functools
import json
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from cch.errors import CapabilityError

if TYPE_CHECKING:
    import httpx

    from cch.interpreter.host import Call

#: Seconds without a byte from an endpoint when the node has no timeout of its own.
_SILENCE = 300.0
#: Seconds to connect: a host that is there answers within a few.
_CONNECT = 30.0
#: Bytes of an answer that an error may show.
_SHOWN = 4_000


async def post(url: str, body: Mapping[str, Any], call: Call, *, most: int) -> Any:
    """The JSON value that the endpoint answers; None if it answers nothing.

    ``most``: bytes that it may answer. More is not read: a process that waits for thousands would stand still.

    :raises CapabilityError: no answer, too large a one, no JSON, or a status that says no; its codes are then
        ``HTTP_503`` and ``HTTP_5XX``.
    """
    import httpx  # noqa: PLC0415 - only where an endpoint is bound

    headers = {"Idempotency-Key": call.idempotency_key or call.request_key}
    # A node with a timeout is cancelled when it is up, so only the connection has a limit of its own.
    limits = httpx.Timeout(_SILENCE if call.timeout is None else None, connect=_CONNECT)
    try:
        # A client of its own, so that no cookie and no connection that the endpoint may have closed comes along.
        async with (
            httpx.AsyncClient(timeout=limits, verify=_certificates()) as http,
            http.stream("POST", url, json=body, headers=headers) as answer,
        ):
            content = await _content(answer, most)
    except httpx.HTTPError as error:
        raise CapabilityError(f"{url} did not answer: {type(error).__name__}: {error}") from None
    text = _text(content[:_SHOWN], answer.charset_encoding or "utf-8")
    if not answer.is_success:
        raise _refusal(url, answer, text)
    if len(content) > most:
        raise CapabilityError(
            f"{url} answered more than {most} bytes: let it answer less, for example where to find it, or raise"
            " CCH_MAX_ANSWER_BYTES"
        )
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except ValueError:
        raise CapabilityError(f"{url} answered no JSON: {text[:200]}") from None


def _text(content: bytes, charset: str) -> str:
    try:
        return content.decode(charset, "replace")
    except LookupError:  # nobody knows this charset
        return content.decode("utf-8", "replace")


async def _content(answer: httpx.Response, most: int) -> bytes:
    """The answer's body, or its beginning, which is longer than ``most`` bytes."""
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > most:
            break
    return bytes(content)


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust: read once, because that takes longer than a call."""
    import httpx  # noqa: PLC0415 - as above

    return httpx.create_ssl_context()


def _refusal(url: str, answer: httpx.Response, text: str) -> CapabilityError:
    status = answer.status_code
    return CapabilityError(
        f"{url} answered {status}: {text[:300]}",
        codes=(f"HTTP_{status}", f"HTTP_{status // 100}XX"),
        retry_after=_seconds(answer.headers.get("retry-after", "")),
    )


def _seconds(advice: str) -> float:
    """The seconds of a ``Retry-After`` (RFC 9110, section 10.2.3): a number, or a date; 0 if it is neither."""
    advice = advice.strip()
    if advice.isascii() and advice.isdecimal() and len(advice) <= 9:
        return float(advice)
    try:
        return max(0.0, parsedate_to_datetime(advice).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0
