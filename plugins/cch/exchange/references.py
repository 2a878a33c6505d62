"""Payloads of replies that lie in objects: read only from where the instance's own payloads are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

from cch.envelope import Command
from cch.errors import CapabilityError, RejectedMessageError
from cch.names import Names
from cch.values import UnstorableError, storable_object

#: Bytes of the largest payload that is read: a triggerer holds several at a time.
_MOST = 16 * 1_048_576


class References:
    """``read`` gives the text of a URI, from a thread."""

    def __init__(self, read: Callable[[str], str], names: Names) -> None:
        self._read = read
        self._names = names

    async def resolved(self, command: Command) -> Command:
        """The reply with the payload that it refers to; keys that it brings itself win.

        :raises RejectedMessageError: the reference leads elsewhere, to nothing, or to what is no payload.
        :raises ServiceUnavailableError: S3 does not answer.
        """
        uri = command.payload_ref
        if not uri:
            return command
        prefix = self._names.payload_prefix(command.instance)
        if not uri.startswith(prefix) or ".." in uri:
            raise RejectedMessageError(f"payload_ref is {uri[:200]!r}, which is not below {prefix}")
        try:
            text = await asyncio.to_thread(self._read, uri)
            if len(text.encode()) > _MOST:
                raise RejectedMessageError(f"{uri} has more than {_MOST} bytes")
            found = storable_object(json.loads(text), uri)
        except (CapabilityError, UnstorableError, ValueError, RecursionError) as error:
            raise RejectedMessageError(f"payload_ref cannot be read: {error}") from None
        return replace(command, payload={**found, **command.payload}, payload_ref="")
