"""An HTTP endpoint in the test's own loop, which answers when and how the test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any


class Endpoint:
    """``seen``: (body, headers in lower case) of each request, in the order in which they came."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, dict[str, str]]] = []
        #: Requests that have neither been answered nor given up, and most of them at one time.
        self.open = self.most = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.status = "200 OK"
        self.headers: dict[str, str] = {}
        self.body = b"{}"
        #: Bytes of the body that are promised and never sent.
        self.missing = 0
        self.url = ""

    def hold(self) -> None:
        """Answer nothing until ``answers`` is set."""
        self.answers.clear()

    def keys(self) -> list[str]:
        """The idempotency keys of the requests."""
        return [headers.get("idempotency-key", "") for _, headers in self.seen]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:]) if name}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.seen.append((json.loads(body or b"null"), headers))
            self.open += 1
            self.most = max(self.most, self.open)
            gone, answers = asyncio.create_task(reader.read(1)), asyncio.create_task(self.answers.wait())
            await asyncio.wait({gone, answers}, return_when=asyncio.FIRST_COMPLETED)
            self.open -= 1
            for task in (gone, answers):
                task.cancel()
            length = len(self.body) + self.missing
            told = {"Content-Length": str(length), "Connection": "close", **self.headers}
            lines = [f"HTTP/1.1 {self.status}", *(f"{name}: {value}" for name, value in told.items()), "", ""]
            writer.write("\r\n".join(lines).encode() + self.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving() -> AsyncIterator[Endpoint]:
    """An endpoint that answers ``{}`` at once."""
    endpoint = Endpoint()
    server = await asyncio.start_server(endpoint.handle, "127.0.0.1", 0)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield endpoint
    finally:
        endpoint.answers.set()
        server.close()
        with suppress(ConnectionError):
            await server.wait_closed()
