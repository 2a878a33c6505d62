"""The HTTP control API: scripts the mock while it runs and shows what it received. JSON in and out."""

from __future__ import annotations

import json
import logging
import os
import threading
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from capability_mock.contracts import ContractError, parse_contract
from capability_mock.queues import Outgoing, QueueError
from capability_mock.record import REQUESTS_KEPT
from capability_mock.scenario import ScenarioError, parse_scenario, time_scale_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from capability_mock.desk import Desk
    from capability_mock.exchange import Exchange
    from capability_mock.queues import SqsQueues
    from capability_mock.record import Record
    from capability_mock.service import Service

log = logging.getLogger(__name__)

#: Bytes of a request's body; four of SQS' largest messages.
MOST_BODY = 4 * 1024 * 1024
#: Seconds; the quota of SQS for a message's delay.
MOST_DELAY = 900


class Refusal(Exception):  # noqa: N818 - it is an answer to the caller
    """An HTTP answer other than 200."""

    def __init__(self, status: int, error: str, **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, **more}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP call."""

    query: dict[str, str]
    body: str

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "true", "yes")


class Control:
    """The routes: each parses, calls, and maps the result."""

    def __init__(self, *, desk: Desk, record: Record, exchange: Exchange, service: Service, queues: SqsQueues) -> None:
        self._desk = desk
        self._record = record
        self._exchange = exchange
        self._service = service
        self._queues = queues
        self.routes: dict[tuple[str, str], Callable[[Call], dict[str, Any]]] = {
            ("GET", "/health"): self.health,
            ("GET", "/scenario"): self.show_scenario,
            ("PUT", "/scenario"): self.put_scenario,
            ("DELETE", "/scenario"): self.delete_scenario,
            ("GET", "/contracts"): self.show_contracts,
            ("PUT", "/contracts"): self.put_contract,
            ("DELETE", "/contracts"): self.delete_contracts,
            ("GET", "/requests"): self.requests,
            ("DELETE", "/requests"): self.delete_requests,
            ("GET", "/stats"): self.stats,
            ("POST", "/pause"): self.pause,
            ("POST", "/resume"): self.resume,
            ("POST", "/replies"): self.send,
        }

    def health(self, _call: Call) -> dict[str, Any]:
        return {
            "status": "ok",
            "pid": os.getpid(),
            "paused": self._service.paused,
            "queues": self._service.queue_names(),
        }

    def show_scenario(self, _call: Call) -> dict[str, Any]:
        general, instances = self._desk.scenarios()
        capabilities = sorted({capability for capability, _ in general.sequences})
        return {"name": general.name, "capabilities": capabilities, "instances": list(instances)}

    def put_scenario(self, call: Call) -> dict[str, Any]:
        try:
            scale = call.query.get("time_scale")
            time_scale = None if scale is None else time_scale_of(_number(scale))
            scenario = parse_scenario(call.body, time_scale=time_scale)
        except ScenarioError as error:
            problems = [{**asdict(problem), "text": str(problem)} for problem in error.problems]
            raise Refusal(422, "the scenario has problems", problems=problems) from error
        except ValueError as error:
            raise Refusal(422, f"time_scale: {error}") from error
        instance = call.query.get("instance")
        self._desk.put_scenario(scenario, instance)
        log.info("scenario set", extra={"scenario": scenario.name, "instance": instance or "all"})
        return {"name": scenario.name, "instance": instance}

    def delete_scenario(self, call: Call) -> dict[str, Any]:
        instance = call.query.get("instance")
        self._desk.clear_scenario(instance, every=call.flag("all"))
        return {"instance": instance}

    def show_contracts(self, _call: Call) -> dict[str, Any]:
        return {"capabilities": list(self._desk.contracts.capabilities())}

    def put_contract(self, call: Call) -> dict[str, Any]:
        try:
            contract = parse_contract(call.body)
        except ContractError as error:
            problems = [{**asdict(problem), "text": str(problem)} for problem in error.problems]
            raise Refusal(422, "the contract has problems", problems=problems) from error
        self._desk.contracts.put(contract)
        return {"capability": contract.capability}

    def delete_contracts(self, _call: Call) -> dict[str, Any]:
        self._desk.contracts.clear()
        return self.show_contracts(_call)

    def requests(self, call: Call) -> dict[str, Any]:
        limit = call.query.get("limit", str(REQUESTS_KEPT))
        if not (limit.isascii() and limit.isdigit()):
            raise Refusal(422, f"limit: {limit!r} is not a whole number")
        found = self._record.requests(
            capability=call.query.get("capability"), instance=call.query.get("instance"), limit=int(limit)
        )
        return {"requests": found}

    def delete_requests(self, _call: Call) -> dict[str, Any]:
        self._record.clear()
        return {}

    def stats(self, _call: Call) -> dict[str, Any]:
        return {**self._record.counts(), **self._exchange.waiting(), "paused": self._service.paused}

    def pause(self, _call: Call) -> dict[str, Any]:
        self._service.pause()
        return {"paused": True}

    def resume(self, _call: Call) -> dict[str, Any]:
        self._service.resume()
        return {"paused": False}

    def send(self, call: Call) -> dict[str, Any]:
        try:
            wanted = json.loads(call.body)
        except (ValueError, RecursionError) as error:
            raise Refusal(422, f"not JSON: {error}") from error
        if not isinstance(wanted, dict) or not isinstance(wanted.get("queueUrl"), str) or "body" not in wanted:
            raise Refusal(422, 'wanted: {"queueUrl": "…", "body": text or JSON, "delaySeconds": 0}')
        delay = wanted.get("delaySeconds", 0)
        if isinstance(delay, bool) or not isinstance(delay, int) or not 0 <= delay <= MOST_DELAY:
            raise Refusal(422, f"delaySeconds: {delay!r} is not a whole number from 0 to {MOST_DELAY}")
        body = wanted["body"] if isinstance(wanted["body"], str) else json.dumps(wanted["body"])
        try:
            return {"messageId": self._queues.send_one(wanted["queueUrl"], Outgoing(body=body, delay=delay))}
        except QueueError as error:
            raise Refusal(502, str(error)) from error


class ControlServer:
    """Serves the routes in threads of its own."""

    def __init__(self, control: Control, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Port 0 takes any free one. Raises OSError when the port is taken."""
        handler = type("Handler", (_Handler,), {"routes": control.routes})
        self._server = _Server((host, port), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="mock-control", daemon=True
        )
        bound_host, bound_port = self._server.server_address[:2]
        self.url = f"http://{bound_host!s}:{bound_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is no event; and the standard way prints many lines."""
        log.debug("control connection broke", extra={"client": client_address, "request": request})


class _Handler(BaseHTTPRequestHandler):
    routes: dict[tuple[str, str], Callable[[Call], dict[str, Any]]]  # set by ControlServer
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        self._answer()

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - the names that http.server wants

    def _answer(self) -> None:
        try:
            status, body = 200, self._result()
        except Refusal as refusal:
            status, body = refusal.status, refusal.body
        except Exception as error:  # the caller learns of it, the mock goes on
            log.exception("control call failed")
            status, body = 500, {"error": f"{type(error).__name__}: {error}"}
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _result(self) -> dict[str, Any]:
        text = self._read()
        parts = urlsplit(self.path)
        route = self.routes.get((self.command, parts.path.rstrip("/") or "/"))
        if route is None:
            known = ", ".join(f"{method} {path}" for method, path in self.routes)
            raise Refusal(404, f"no {self.command} {parts.path}; there is: {known}")
        return route(Call(query=dict(parse_qsl(parts.query, keep_blank_values=True)), body=text))

    def _read(self) -> str:
        """The body; read before routing, so that the connection can be used again."""
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > MOST_BODY:
            self.close_connection = True
            raise Refusal(413, f"a body has at most {MOST_BODY:,} bytes")
        try:
            return self.rfile.read(int(length)).decode()
        except UnicodeDecodeError as error:
            raise Refusal(422, "the body is not UTF-8") from error

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name http.server gives it
        log.debug(format, *args)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
