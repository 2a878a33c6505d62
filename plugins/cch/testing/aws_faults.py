"""Faults of AWS on demand, in front of moto: a service refuses, hangs, throttles, or forgets to answer.

``PUT /cch/faults`` with ``{"service": "sqs", "mode": "hang", "seconds": 60, "share": 1.0}`` begins one,
``DELETE /cch/faults`` ends all. Requests signed with the access key ``observer`` never see any.
"""

from __future__ import annotations

import errno
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]
#: refuse: the connection ends unanswered. hang: no answer until the fault is over, nothing is done. throttle: the
#: service's own error. forget: the request is done, and the connection ends unanswered.
Mode = Literal["refuse", "hang", "throttle", "forget"]
#: The connection's socket, in the request's environment.
SOCKET = "cch.socket"
#: Access key of whoever looks on.
OBSERVER = "observer"
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/")
_THROTTLED = {
    "dynamodb": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    "sqs": "com.amazonaws.sqs#RequestThrottled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsFault:
    """``share``: of the requests that meet it, 0 to 1. ``until``: on the monotonic clock (s)."""

    service: str
    mode: Mode
    until: float
    share: float = 1.0


def _fault(body: bytes) -> AwsFault:
    raw = json.loads(body)
    if raw["mode"] not in get_args(Mode):
        raise ValueError(f"no mode {raw['mode']!r}; there are {', '.join(get_args(Mode))}")
    until = time.monotonic() + float(raw["seconds"])
    return AwsFault(
        service=str(raw["service"]), mode=raw["mode"], until=until, share=float(raw.get("share", 1.0))
    )  # fmt: skip


class Faults:
    """Lets the faults that are set meet the requests to their service. ``seed`` chooses which, where not all."""

    def __init__(self, app: WsgiApp, seed: int = 0) -> None:
        self._app = app
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._faults: dict[str, AwsFault] = {}
        self._changed = threading.Condition()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == "/cch/faults":
            return self._control(environ, start_response)
        key, service = signer(environ)
        fault = None if key == OBSERVER else self._met(service)
        if fault is None:
            return self._app(environ, start_response)
        if fault.mode == "throttle":
            return _throttled(service, start_response)
        if fault.mode == "hang":
            self._wait_for_end(fault)
        if fault.mode == "forget":
            list(self._app(environ, start_response))
        _cut(environ)
        raise ConnectionResetError(errno.ECONNRESET, f"{service} is down on demand")

    def _control(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._changed:
            if environ["REQUEST_METHOD"] == "DELETE":
                self._faults.clear()
            else:
                fault = _fault(_body(environ))
                self._faults[fault.service] = fault
            self._changed.notify_all()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b"{}"]

    def _met(self, service: str) -> AwsFault | None:
        with self._changed:
            fault = self._faults.get(service)
            if fault is None or time.monotonic() > fault.until or self._random.random() >= fault.share:
                return None
            return fault

    def _wait_for_end(self, fault: AwsFault) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._faults.get(fault.service) is not fault, timeout=max(0.0, fault.until - time.monotonic())
            )


def signer(environ: dict[str, Any]) -> tuple[str, str]:
    """Access key and service, from the request's signature; ("", "") without one."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    return (found[1], found[2]) if found else ("", "")


def _body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return body


def _throttled(service: str, start_response: Any) -> Iterable[bytes]:
    if service in _THROTTLED:
        start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.0")])
        return [json.dumps({"__type": _THROTTLED[service], "message": "slower, please"}).encode()]
    start_response("503 Slow Down", [("Content-Type", "application/xml")])
    return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]


def _cut(environ: dict[str, Any]) -> None:
    """End the connection; without a socket (tests) there is none."""
    connection = environ.get(SOCKET)
    if connection is not None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the client was faster
