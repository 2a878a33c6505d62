"""One trace for each instance: W3C Trace Context on every request, and a span for each request and instance.

All ids are derived: the trace's from the instance, a request's span from its command. So whoever sends a request again
after a crash sends the same ``traceparent``, a capability that goes on with it joins the same trace, and the span of a
request that was waited for over weeks is made when it is answered, by whichever process that happens in.

Spans are exported where ``[traces] otel_on`` is set, as OpenTelemetry's own environment variables say
(``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_PROTOCOL``, ``OTEL_SERVICE_NAME``); outside Airflow never.
"""

from __future__ import annotations

import contextvars
import functools
import hashlib
import os
import sys
from collections.abc import Mapping
from typing import Any

#: Nanoseconds in a millisecond.
_NS = 1_000_000
_given: contextvars.ContextVar[tuple[int, int]] = contextvars.ContextVar("given ids of the span to be made")


def _id(text: str, size: int) -> str:
    """``size`` bytes in hexadecimal; never all zero, which the standard forbids."""
    return hashlib.sha256(text.encode()).hexdigest()[: 2 * size]


def traceparent(instance: str, command_id: str) -> str:
    """The ``traceparent`` of a request (https://www.w3.org/TR/trace-context), sampled."""
    return f"00-{_id(instance, 16)}-{_id(command_id, 8)}-01"


def export_span(
    name: str, times: tuple[int, int], instance: str, command_id: str = "", *, good: bool, facts: Mapping[str, str]
) -> None:
    """A request, from its first to its last moment (ms since 1970); without ``command_id`` the whole instance.

    A request is a child of its instance, which is the root of the trace.
    """
    tracer = _tracer() if "airflow" in sys.modules else None
    if tracer is None:
        return
    from opentelemetry import context, trace  # noqa: PLC0415 - only where traces are exported

    trace_id = int(_id(instance, 16), 16)
    around = context.Context()
    if command_id:
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
        above = trace.SpanContext(trace_id, int(_id(instance, 8), 16), is_remote=True, trace_flags=flags)
        around = trace.set_span_in_context(trace.NonRecordingSpan(above), around)
    token = _given.set((trace_id, int(_id(command_id or instance, 8), 16)))
    try:
        kind = trace.SpanKind.CLIENT if command_id else trace.SpanKind.INTERNAL
        span = tracer.start_span(name, around, kind=kind, start_time=times[0] * _NS, attributes=dict(facts))
    finally:
        _given.reset(token)
    if not good:
        span.set_status(trace.StatusCode.ERROR)
    span.end(times[1] * _NS)


@functools.cache
def _tracer() -> Any:
    from airflow.configuration import conf  # noqa: PLC0415 - a leaf must not load Airflow by itself

    if not conf.getboolean("traces", "otel_on", fallback=False):
        return None
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.id_generator import IdGenerator  # noqa: PLC0415

    class GivenIds(IdGenerator):
        def generate_trace_id(self) -> int:
            return _given.get()[0]

        def generate_span_id(self) -> int:
            return _given.get()[1]

    # A provider of our own: Airflow's makes ids at random.
    provider = TracerProvider(id_generator=GivenIds())
    provider.add_span_processor(BatchSpanProcessor(_exporter()))
    return provider.get_tracer("cch")


def _exporter() -> Any:
    if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").startswith("http"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        return OTLPSpanExporter()
    from opentelemetry.exporter.otlp.proto.grpc import trace_exporter  # noqa: PLC0415

    return trace_exporter.OTLPSpanExporter()
