"""One trace spans an instance, its requests and the capabilities that go on with it."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cch.tracing import traceparent
from tests import patience

ROOT = Path(__file__).parents[2]
_PROGRAM = """
import airflow
from cch import tracing
facts = {"cch.node": "Ask"}
tracing.export_span("request import#enrichment", (1_000, 61_000), "i-1", "c-1", good=False, facts=facts)
tracing.export_span("workflow import_v1", (500, 62_000), "i-1", good=True, facts={})
"""


class Collector:
    """Takes spans as an OpenTelemetry collector does, over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                outer.spans += [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def run(tmp_path: Path, collector: Collector, **settings: str) -> None:
    environment = {
        "PATH": "", "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "plugins"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", **settings,
    }  # fmt: skip
    patience.run([sys.executable, "-c", _PROGRAM], env=environment).check_returncode()


def test_spans_of_an_instance_and_its_request(tmp_path: Path, collector: Collector) -> None:
    """The request hangs below its instance, with the ids that the capability was told, and the times it really had."""
    run(tmp_path, collector, AIRFLOW__TRACES__OTEL_ON="True", OTEL_TRACES_EXPORTER="otlp_proto_http")

    request, instance = sorted(collector.spans, key=lambda span: span.name)
    assert f"00-{request.trace_id.hex()}-{request.span_id.hex()}-01" == traceparent("i-1", "c-1")
    assert request.trace_id == instance.trace_id
    assert (request.parent_span_id, instance.parent_span_id) == (instance.span_id, b"")
    assert (request.start_time_unix_nano, request.end_time_unix_nano) == (1_000 * 10**6, 61_000 * 10**6)
    assert (request.status.code, instance.status.code) == (2, 0)
    assert {each.key: each.value.string_value for each in request.attributes} == {"cch.node": "Ask"}


def test_nothing_is_exported_where_traces_are_off(tmp_path: Path, collector: Collector) -> None:
    """As Airflow itself does by default."""
    run(tmp_path, collector)

    assert collector.spans == []


def test_a_traceparent_is_what_the_standard_says() -> None:
    """Whatever the ids look like; and the same for a request that is sent again."""
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", traceparent("any id, ünïcode", "c"))
    assert traceparent("i", "c") == traceparent("i", "c")
    assert traceparent("i", "c").split("-")[1] == traceparent("i", "d").split("-")[1]
