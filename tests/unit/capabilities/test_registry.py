"""What is bound to a capability, and how it is called."""

from __future__ import annotations

import asyncio
import http.server
import json
import re
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from cch.capabilities import bind_http, bind_lambda, library_function, registry, sync_capability
from cch.capabilities.calls import Caller, call_body
from cch.capabilities.library_calls import LibraryWork, run_library
from cch.capabilities.registry import HttpBinding, LambdaBinding, PythonBinding, binding, find_library
from cch.definition.rules import FIRST, NEWEST
from cch.errors import CapabilityError, CapabilityNotBoundError, MissingOutputError, SettingsError
from cch.interpreter.host import Call
from cch.settings import Settings

SETTINGS = Settings()
SAMPLES = Settings(capability_modules=("cch.testing.sample_capabilities",))


def call(capability_id: str, **changes: Any) -> Call:
    given: dict[str, Any] = {
        "node": "N", "capability_id": capability_id, "context": {"a": 1}, "outputs": ("k",), "last_reply": {"k": 7},
        "instance_id": "i", "correlation_id": "BL", "request_key": "i/N/1", "attempt": 2,
    }  # fmt: skip
    return Call(**{**given, **changes})


async def run_call(given: Call, settings: Settings) -> Any:
    """As a worker makes a call."""
    caller = Caller(settings)
    try:
        return await caller.run(given)
    finally:
        await caller.close()


@pytest.fixture(autouse=True)
def _own_registrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone afterwards."""
    registry.load(SETTINGS)
    registry.load(SAMPLES)  # a module registers once, when it is imported
    monkeypatch.setattr(registry, "_capabilities", dict(registry._capabilities))
    monkeypatch.setattr(registry, "_library", dict(registry._library))


async def test_functions_are_called_with_the_call_plain_or_async() -> None:
    """Plain ones in a thread, so that they may block."""

    @sync_capability("t#plain")
    def plain(given: Call) -> dict[str, Any]:
        return {"thread": threading.current_thread() is threading.main_thread(), "node": given.node}

    @sync_capability("t#async")
    async def coroutine(given: Call) -> None:
        await asyncio.sleep(0)

    assert await run_call(call("t#plain"), SETTINGS) == {"thread": False, "node": "N"}
    assert await run_call(call("t#async"), SETTINGS) is None


async def test_whatever_a_function_raises_is_a_capability_error() -> None:
    """With the type, because many messages say little; ours keep their own."""

    def broken(_: Call) -> dict[str, Any]:
        raise KeyError("x")

    def refuses(_: Call) -> dict[str, Any]:
        raise CapabilityError("as it is")

    sync_capability("t#broken")(broken)
    sync_capability("t#refuses")(refuses)

    with pytest.raises(CapabilityError, match="t#broken failed: KeyError: 'x'"):
        await run_call(call("t#broken"), SETTINGS)
    with pytest.raises(CapabilityError, match="^as it is$"):
        await run_call(call("t#refuses"), SETTINGS)


def test_what_is_not_bound_says_what_is() -> None:
    """And how to bind it."""
    with pytest.raises(CapabilityNotBoundError, match="'t#nobody'.*known: .*core-process-response"):
        binding("t#nobody", SETTINGS)
    with pytest.raises(CapabilityNotBoundError, match=r"known: .*s3#read_jsonpath"):
        find_library("t#nobody", SETTINGS)


def test_configuration_wins_over_code(tmp_path: Path) -> None:
    """As JSON, or as the path of a JSON file."""
    bind_http("t#x", "http://code")
    bind_lambda("t#y", "{prefix}y")
    text = json.dumps({"t#x": "lambda:arn", "t#z": "https://there"})
    (tmp_path / "b.json").write_text(text)

    for given in (text, str(tmp_path / "b.json")):
        settings = Settings(capability_bindings=given)
        assert binding("t#x", settings) == LambdaBinding("arn")
        assert binding("t#z", settings) == HttpBinding("https://there")
    assert binding("t#x", SETTINGS) == HttpBinding("http://code")
    assert binding("t#y", SETTINGS) == LambdaBinding("{prefix}y")
    assert isinstance(binding("core-process-response", SETTINGS), PythonBinding)


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', "/no/such/file", '{"t#x": "ftp://x"}'])
def test_bindings_that_cannot_be_used_are_named(text: str) -> None:
    """The variable is in the message."""
    with pytest.raises(SettingsError, match="CCH_CAPABILITY_BINDINGS"):
        binding("t#x", Settings(capability_bindings=text))


def test_modules_of_users_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be is named."""
    module = ModuleType("users_capabilities")
    monkeypatch.setitem(sys.modules, "users_capabilities", module)

    registry.load(Settings(capability_modules=("users_capabilities",)))

    with pytest.raises(SettingsError, match="'no_such_module' cannot be imported"):
        registry.load(Settings(capability_modules=("no_such_module",)))


class _Endpoint(http.server.BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[Any, str]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((json.loads(body), self.headers["Idempotency-Key"]))
        found = re.fullmatch(r"/(\d+)(?:/(.*))?", self.path)
        status = int(found[1]) if found else 500 if self.path == "/broken" else 200
        answer = b"no json" if self.path == "/text" else b'{"k": 1}'
        answer = b"" if found and status < 300 else answer
        self.send_response(status)
        if found and found[2]:
            self.send_header("Retry-After", urllib.parse.unquote(found[2]))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_a_success_without_a_body_is_an_empty_answer(endpoint: str, status: int) -> None:
    """Whatever the status is called."""
    bind_http("t#http", f"{endpoint}/{status}")

    assert await run_call(call("t#http"), SETTINGS) is None


@pytest.mark.parametrize(
    ("path", "codes", "seconds"),
    [
        ("429/7", ("HTTP_429", "HTTP_4XX"), 7.0),
        ("503", ("HTTP_503", "HTTP_5XX"), 0.0),
        ("503/soon", ("HTTP_503", "HTTP_5XX"), 0.0),
        ("503/Thu,%2001%20Jan%201970%2000:00:00%20GMT", ("HTTP_503", "HTTP_5XX"), 0.0),
        ("301", ("HTTP_301", "HTTP_3XX"), 0.0),
    ],
)
async def test_a_status_that_says_no_has_codes_and_perhaps_advice(
    endpoint: str, path: str, codes: tuple[str, ...], seconds: float
) -> None:
    """``retry.on`` names the codes; Retry-After is the shortest pause."""
    bind_http("t#http", f"{endpoint}/{path}")

    with pytest.raises(CapabilityError) as caught:
        await run_call(call("t#http"), SETTINGS)

    assert (caught.value.codes, caught.value.retry_after) == (codes, seconds)


async def test_an_endpoint_gets_the_call_and_a_key_for_idempotency(endpoint: str) -> None:
    """Answers that are no success, no JSON, or none at all are failures with the address."""
    bind_http("t#http", f"{endpoint}/fine")

    answer = await run_call(call("t#http"), SETTINGS)

    assert answer == {"k": 1}
    assert _Endpoint.seen[-1] == (call_body(call("t#http")), "i/N/1")
    for path, words in (("/broken", "answered 500"), ("/text", "answered no JSON")):
        bind_http("t#http", endpoint + path)
        with pytest.raises(CapabilityError, match=words):
            await run_call(call("t#http"), SETTINGS)
    bind_http("t#http", "http://127.0.0.1:9/")
    with pytest.raises(CapabilityError, match="did not answer"):
        await run_call(call("t#http"), SETTINGS)


@pytest.mark.usefixtures("aws_environment")
async def test_a_lambda_function_is_invoked() -> None:
    """By its name with the environment's prefix; one that does not exist is a failure."""
    bind_lambda("t#gone", "{prefix}no-such-function")
    prepared = [{"line": 1, "goods": "shoes"}]

    answer = await run_call(call("orchestra-b3", context={"prepared": prepared}), SAMPLES)

    assert "duty_estimate" in answer
    with pytest.raises(CapabilityError, match="no-such-function"):
        await run_call(call("t#gone"), SETTINGS)


async def test_process_response_passes_declared_keys_on() -> None:
    """Of the last reply; what is missing is named."""
    reply = {"k": 7, "l": None, "more": 1}

    assert await run_call(call("core-process-response", last_reply=reply, outputs=("k", "l")), SETTINGS) == {
        "k": 7, "l": None,
    }  # fmt: skip
    assert await run_call(call("core-process-response", outputs=None), SETTINGS) == {}
    with pytest.raises(MissingOutputError, match="the last reply lacks z"):
        await run_call(call("core-process-response", outputs=("k", "z")), SETTINGS)
    with pytest.raises(CapabilityError, match="no reply came before it"):
        await run_call(call("core-process-response", last_reply=None), SETTINGS)


# --- library -------------------------------------------------------------------------------------------------

DOCUMENT = {"bill": {"master": "M1", "lines": [{"n": 1}, {"n": 2}]}, "null": None}


def library(
    function_id: str,
    parameters: dict[str, Any],
    context: dict[str, Any],
    text: str = json.dumps(DOCUMENT),
    rules: int = NEWEST,
) -> Any:
    return run_library(LibraryWork(function_id, parameters, context, rules), SETTINGS, lambda uri: text)


@pytest.mark.parametrize(
    ("expression", "match", "first", "newest"),
    [
        ("$.bill.master", None, "M1", "M1"),
        ("$.bill.lines[1].n", None, 2, 2),
        ("$.null", None, None, None),
        ("$.bill.lines", None, [{"n": 1}, {"n": 2}], [{"n": 1}, {"n": 2}]),
        ("$.bill.lines[*].n", None, [1, 2], [1, 2]),
        ("$.bill.lines[0:1].n", None, 1, [1]),
        ("$.bill.lines[?n > 1].n", None, 2, [2]),
        ("$..master", None, "M1", ["M1"]),
        ("$.bill['master','nobody']", None, "M1", ["M1"]),
        ("$.bill.lines[*].n", "first", 1, 1),
        ("$..master", "first", "M1", "M1"),
        ("$.bill.master", "all", ["M1"], ["M1"]),
        ("$.bill.nobody", "all", [], []),
    ],
)
def test_what_an_expression_gives_depends_on_the_expression(
    expression: str, match: str | None, first: Any, newest: Any
) -> None:
    """By the first rules it depended on the data: one match the value, several a list."""
    parameters = {"input_s3_uri_key": "doc.uri", "jsonpath_expression": expression}
    parameters |= {"match": match} if match else {}
    context = {"doc": {"uri": "s3://b/k"}}

    assert library("s3#read_jsonpath", parameters, context, rules=FIRST) == first
    assert library("s3#read_jsonpath", parameters, context) == newest


@pytest.mark.parametrize("expression", ["$.bill.lines[?n > 9].n", "$..nobody", "$.bill.lines[5:].n", "$.nobody[*]"])
def test_an_expression_for_several_that_matches_none_gives_an_empty_list(expression: str) -> None:
    """A bill without such lines is no failure; by the first rules it was one."""
    parameters = {"input_s3_uri_key": "u", "jsonpath_expression": expression}

    assert library("s3#read_jsonpath", parameters, {"u": "s3://b/k"}) == []
    with pytest.raises(CapabilityError, match="matches nothing"):
        library("s3#read_jsonpath", parameters, {"u": "s3://b/k"}, rules=FIRST)
    with pytest.raises(CapabilityError, match="matches nothing"):
        library("s3#read_jsonpath", {**parameters, "match": "first"}, {"u": "s3://b/k"})


@pytest.mark.parametrize(
    ("parameters", "context", "text", "words"),
    [
        ({}, {}, "{}", "parameter 'input_s3_uri_key' is missing"),
        ({"input_s3_uri_key": "u"}, {"u": "s3://x"}, "{}", "parameter 'jsonpath_expression' is missing"),
        ({"input_s3_uri_key": "u", "jsonpath_expression": "$.a"}, {}, "{}", "the context has no 'u'"),
        ({"input_s3_uri_key": "u", "jsonpath_expression": "$.["}, {"u": "x"}, "{}", "is no JSONPath"),
        ({"input_s3_uri_key": "u", "jsonpath_expression": "$.a"}, {"u": "s3://x"}, "no", "s3://x is not JSON"),
        ({"input_s3_uri_key": "u", "jsonpath_expression": "$.a"}, {"u": "s3://x"}, "{}", "matches nothing in s3://x"),
        ({"input_s3_uri_key": "u", "jsonpath_expression": "$", "match": "one"}, {"u": "s3://x"}, "{}", "first or all"),
    ],
)
def test_jsonpath_says_what_is_wrong(
    parameters: dict[str, Any], context: dict[str, Any], text: str, words: str
) -> None:
    """Each fault is a failure of the node, with the reason."""
    with pytest.raises(CapabilityError) as caught:
        library("s3#read_jsonpath", parameters, context, text)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("date", "delta", "first", "newest"),
    [
        ("2026-01-31", {"days": 1}, "2026-02-01T00:00:00Z", "2026-02-01T00:00:00"),
        ("2026-01-31T10:00:00", {"days": 1}, "2026-02-01T10:00:00Z", "2026-02-01T10:00:00"),
        ("2026-01-31T10:00:00+02:00", {"hours": -3}, "2026-01-31T07:00:00+02:00", "2026-01-31T07:00:00+02:00"),
        ("2026-01-31T10:00:00+00:00", {"hours": 1}, "2026-01-31T11:00:00Z", "2026-01-31T11:00:00+00:00"),
        ("2026-01-31T10:00:00Z", {}, "2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"),
    ],
)
def test_dates_are_moved(date: str, delta: dict[str, Any], first: str, newest: str) -> None:
    """The offset stays as it was written, and so does its absence; the first rules made UTC of that, written Z."""
    parameters = {"date_context_key": "d", "timedelta": delta}

    assert library("core#calculate_timedelta", parameters, {"d": date}, rules=FIRST) == first
    assert library("core#calculate_timedelta", parameters, {"d": date}) == newest


@pytest.mark.parametrize(
    ("date", "delta", "moved"),
    [
        ("2026-03-28T10:00:00", {"hours": 24}, "2026-03-29T11:00:00+02:00"),
        ("2026-01-31", {"days": 1}, "2026-02-01T00:00:00+01:00"),
        ("2026-01-31T10:00:00Z", {"days": 1}, "2026-02-01T10:00:00Z"),
    ],
)
def test_a_zone_can_be_named_for_a_date_that_has_none(date: str, delta: dict[str, Any], moved: str) -> None:
    """A length of time is what passes, also in the night in which clocks are set."""
    parameters = {"date_context_key": "d", "timedelta": delta, "timezone": "Europe/Brussels"}

    assert library("core#calculate_timedelta", parameters, {"d": date}) == moved


@pytest.mark.parametrize(
    ("date", "delta"),
    [
        ("soon", {}),
        ("2026-01-31", {"dayz": 1}),
        ("9999-12-31", {"days": 2}),
        ("2026-01-31", {"days": "x"}),
        ("0001-01-01T00:00:00+02:00", {}),
        ("0001-01-01T01:00:00-02:00", {"hours": -4}),
    ],
)
def test_dates_that_cannot_be_moved_are_failures(date: str, delta: dict[str, Any]) -> None:
    """Not exceptions of Python's."""
    with pytest.raises(CapabilityError, match="cannot add"):
        library("core#calculate_timedelta", {"date_context_key": "d", "timedelta": delta}, {"d": date})


def test_users_may_add_library_functions() -> None:
    """The way capabilities are added."""

    @library_function("mine#f")
    def mine(parameters: Any, context: Any, read: Any) -> Any:
        return [parameters["p"], context["c"], read("u")]

    assert library("mine#f", {"p": 1}, {"c": 2}, "text") == [1, 2, "text"]
