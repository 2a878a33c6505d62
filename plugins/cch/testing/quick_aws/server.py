"""Serves the quick stand-in over HTTP."""

from __future__ import annotations

import gc
import socket

import uvicorn

from cch.testing.quick_aws.app import QuickAws
from cch.testing.serving import asked, say_listening

#: Seconds for which a connection stays open unused: clients keep theirs, and one that closes while it is used again
#: costs a repetition.
_KEEP = 3600


class QuickServer:
    """A server that listens. ``serve()`` it, ``stop()`` it from another thread."""

    def __init__(self, app: QuickAws, host: str, port: int) -> None:
        self._socket = socket.create_server((host, port), backlog=1024)
        config = uvicorn.Config(
            app, ws="none", lifespan="off", interface="asgi3", log_level="warning",
            access_log=False, server_header=False, timeout_keep_alive=_KEEP, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self.bind_addr: tuple[str, int] = self._socket.getsockname()[:2]

    def serve(self) -> None:
        """Until :meth:`stop`; in the main thread also until SIGTERM or SIGINT."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        self._server.should_exit = True


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = asked("A stand-in for AWS that takes little CPU, for measurements")
    server = QuickServer(QuickAws(arguments.functions), arguments.host, arguments.port)
    say_listening(arguments)
    gc.freeze()  # AWS has no pauses of Python's
    server.serve()


if __name__ == "__main__":
    main()
