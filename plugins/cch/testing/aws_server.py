"""moto's server as this project needs it: DynamoDB requests one at a time, and Lambda functions that really run.

moto's threaded server is not atomic even for single conditional writes; one lock around DynamoDB requests mends
that, and long polls of SQS do not hold it. moto itself would need Docker to run Lambda functions.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cch.testing.aws_calls import PATH, AwsCalls
from cch.testing.aws_faults import SOCKET, Faults
from cch.testing.lambda_functions import LambdaFunctions, WsgiApp
from cch.testing.quick_queries import QuickQueries
from cch.testing.serving import asked, say_listening

#: Each long poll of SQS holds one for 20 s, and each request that hangs on demand.
_THREADS = 256


class OneDynamoAtATime:
    """Lets only one DynamoDB request into moto at a time."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not str(environ.get("HTTP_X_AMZ_TARGET", "")).startswith("DynamoDB_"):
            return self._app(environ, start_response)
        with self._lock:
            return list(self._app(environ, start_response))


class CallCounter:
    """Counts requests by operation; ``GET /cch/calls`` tells, ``DELETE /cch/calls`` begins anew."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app
        self._calls = AwsCalls()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if environ.get("PATH_INFO") == PATH:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [self._calls.answer(method)]
        self._calls.count(str(environ.get("HTTP_X_AMZ_TARGET") or ""), method)
        return self._app(environ, start_response)


def create_app(functions: Path) -> WsgiApp:
    """The whole server as a WSGI application."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415

    moto = OneDynamoAtATime(QuickQueries(DomainDispatcherApplication(create_backend_app)))
    return CallCounter(Faults(LambdaFunctions(moto, functions)))


def make_server(app: WsgiApp, host: str, port: int) -> Any:
    """A server that listens; clients keep their connections. ``serve()`` it, ``stop()`` it from another thread."""
    from cheroot import wsgi  # noqa: PLC0415

    class Gateway(wsgi.Gateway_10):
        def get_environ(self) -> dict[str, Any]:  # type: ignore[override] # its stubs are wrong
            environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
            return {**environ, SOCKET: self.req.conn.socket}

    server = wsgi.Server((host, port), app, numthreads=_THREADS, request_queue_size=128, shutdown_timeout=1)
    server.gateway = Gateway
    server.prepare()
    return server


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = asked("AWS stand-in for the local stack")
    server = make_server(create_app(arguments.functions), arguments.host, arguments.port)

    def stop(*_: object) -> None:
        threading.Thread(target=server.stop).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    say_listening(arguments)
    server.serve()


if __name__ == "__main__":
    main()
