"""Calls of a process that many instances share, and of Lambda functions that answer badly."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from endpoint import Endpoint, serving
from tests.patience import finished
from world import eventually

from cch.capabilities import registry, sync_capability
from cch.capabilities.calls import Caller
from cch.errors import CapabilityError
from cch.interpreter.host import Call
from cch.settings import Settings

SETTINGS = Settings()
CALL = Call(
    node="N", capability_id="t#x", context={"a": 1}, outputs=("k",), last_reply=None, instance_id="i",
    correlation_id="BL", request_key="i/N/1", attempt=2,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_registrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone afterwards."""
    registry.load(SETTINGS)
    monkeypatch.setattr(registry, "_capabilities", dict(registry._capabilities))


@asynccontextmanager
async def opened(settings: Settings = SETTINGS, *, shared: bool = True) -> AsyncIterator[Caller]:
    caller = Caller(settings)
    if shared:
        caller.share()
    try:
        yield caller
    finally:
        await caller.close()


async def test_nobody_s_code_runs_in_the_loop_in_which_others_wait() -> None:
    """Neither a plain function nor a coroutine function, and what they raise is the failure of the node."""
    threads: list[threading.Thread] = []

    @sync_capability("t#plain")
    def plain(_: Call) -> dict[str, Any]:
        threads.append(threading.current_thread())
        return {"k": 1}

    @sync_capability("t#async")
    async def coroutine(_: Call) -> dict[str, Any]:
        threads.append(threading.current_thread())
        await asyncio.sleep(0)
        return {"k": 2}

    @sync_capability("t#broken")
    async def broken(_: Call) -> dict[str, Any]:
        raise KeyError("x")

    async with opened() as caller:
        assert await caller.run(replace(CALL, capability_id="t#plain")) == {"k": 1}
        assert await caller.run(replace(CALL, capability_id="t#async")) == {"k": 2}
        with pytest.raises(CapabilityError, match="t#broken failed: KeyError: 'x'"):
            await caller.run(replace(CALL, capability_id="t#broken"))

    assert threading.current_thread() not in threads
    assert len(threads) == 2


async def test_a_coroutine_function_whose_time_is_up_is_stopped() -> None:
    """Also in a loop of its own: it goes no further than it would on a worker."""
    begun, stopped = threading.Event(), threading.Event()

    @sync_capability("t#slow")
    async def slow(_: Call) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with opened() as caller:
        calling = asyncio.create_task(caller.run(replace(CALL, capability_id="t#slow")))
        await finished(asyncio.to_thread(begun.wait))
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await finished(asyncio.to_thread(stopped.wait))


@pytest.mark.parametrize("shared", [True, False])
async def test_a_cancellation_within_a_function_is_its_failure(shared: bool) -> None:
    """Something that it waited for was cancelled; whoever waits for the function was not."""

    @sync_capability("t#x")
    async def broken(_: Call) -> None:
        inner = asyncio.create_task(asyncio.sleep(9))
        inner.cancel()
        await inner

    @sync_capability("t#plain")
    def plain(_: Call) -> None:
        raise asyncio.CancelledError

    async with opened(shared=shared) as caller:
        for capability in ("t#x", "t#plain"):
            with pytest.raises(CapabilityError, match=f"{capability} failed: CancelledError"):
                await caller.run(replace(CALL, capability_id=capability))


async def test_whoever_has_a_place_has_a_thread() -> None:
    """To wait for one would be a part of the timeout, which begins with the place."""
    most, inside = SETTINGS.calls_at_once, threading.Barrier(SETTINGS.calls_at_once)

    @sync_capability("t#x")
    def together(_: Call) -> None:
        inside.wait()  # for ever, unless all run at the same time

    async with opened() as caller:

        async def called() -> Any:
            async with caller.place():
                return await caller.run(CALL)

        try:
            assert await finished(asyncio.gather(*(called() for _ in range(most)))) == [None] * most
        finally:
            inside.abort()  # nobody waits for the threads at the end


async def test_names_that_nobody_resolves_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver takes a thread of the loop's for as long as it likes; AWS's client needs one, too."""
    resolve, stuck, released = socket.getaddrinfo, 0, threading.Event()

    def slow(host: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal stuck
        if host in (b"partner.example", "partner.example"):
            stuck += 1
            released.wait()
            raise socket.gaierror("no answer")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    settings = Settings(capability_bindings=json.dumps({"t#x": "https://partner.example/"}))
    async with opened(settings) as caller:
        calls = [asyncio.create_task(caller.run(CALL)) for _ in range(SETTINGS.calls_at_once)]
        await eventually(lambda: stuck == len(calls))
        try:
            assert await finished(asyncio.to_thread(int)) == 0
        finally:
            released.set()
        ends = await finished(asyncio.gather(*calls, return_exceptions=True))

    assert all("did not answer" in str(end) for end in ends)


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
async def test_an_answer_that_is_too_large_fails_the_call(status: str) -> None:
    """It is not read to its end; a status that says no is told as ever."""
    async with serving() as endpoint:
        settings = Settings(max_answer_bytes=1024, capability_bindings=json.dumps({"t#x": endpoint.url}))
        async with opened(settings) as caller:
            endpoint.body = json.dumps("x" * 1022).encode()
            assert await caller.run(CALL) == "x" * 1022
            endpoint.body, endpoint.status = json.dumps("x" * 1023).encode(), status
            endpoint.missing = 10**9  # nobody waits for it
            with pytest.raises(CapabilityError, match='answered more than 1024 bytes|answered 500: "xxx'):
                await caller.run(CALL)


@pytest.mark.parametrize(("charset", "shown"), [("iso-8859-1", "für"), ("unheard-of", "f\ufffdr")])
async def test_a_refusal_is_read_in_its_charset(charset: str, shown: str) -> None:
    """As far as anybody knows it."""
    async with serving() as endpoint:
        endpoint.body, endpoint.status = "gesperrt für alle".encode("latin-1"), "409 Conflict"
        endpoint.headers = {"Content-Type": f"text/plain; charset={charset}"}
        async with opened(Settings(capability_bindings=json.dumps({"t#x": endpoint.url}))) as caller:
            with pytest.raises(CapabilityError, match=f"answered 409: gesperrt {shown} alle"):
                await caller.run(CALL)


async def test_only_so_many_calls_are_made_at_once() -> None:
    """The others are made as soon as there are places, and one that is given up leaves its place."""
    async with serving() as endpoint:
        settings = Settings(calls_at_once=3, capability_bindings=json.dumps({"t#x": endpoint.url}))
        async with opened(settings) as caller:

            async def called() -> Any:
                async with caller.place():
                    return await caller.run(CALL)

            endpoint.hold()
            calls = [asyncio.create_task(called()) for _ in range(10)]
            await eventually(lambda: endpoint.open == 3)
            calls[0].cancel()
            await eventually(lambda: len(endpoint.seen) == 4)
            assert endpoint.open == 3
            endpoint.answers.set()
            answers = await finished(asyncio.gather(*calls, return_exceptions=True))

    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [{}] * 9
    assert (len(endpoint.seen), endpoint.most) == (10, 3)


async def test_a_worker_has_a_place_for_each_of_its_calls() -> None:
    """It makes those of one region alone."""
    async with opened(Settings(calls_at_once=1), shared=False) as caller, caller.place(), caller.place():
        assert not caller.is_shared


async def test_calls_share_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """No cookie of one instance's call goes along with that of another."""
    async with serving() as endpoint:
        endpoint.headers = {"Set-Cookie": "session=1; Path=/"}
        async with opened(Settings(capability_bindings=json.dumps({"t#x": endpoint.url}))) as caller:
            await caller.run(CALL)
            await caller.run(CALL)

    assert [headers.get("cookie") for _, headers in endpoint.seen] == [None, None]


@asynccontextmanager
async def function(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Caller, Endpoint]]:
    """A caller whose Lambda service is the endpoint."""
    async with serving() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", endpoint.url)
        async with opened(Settings(capability_bindings='{"t#x": "lambda:f"}')) as caller:
            yield caller, endpoint


@pytest.mark.usefixtures("aws_environment")
@pytest.mark.parametrize("shared", [True, False])
async def test_a_function_gets_the_call_and_its_answer_is_returned(
    shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same event in both places."""
    async with serving() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", endpoint.url)
        async with opened(Settings(capability_bindings='{"t#x": "lambda:{prefix}f"}'), shared=shared) as caller:
            endpoint.body = b'{"k": "\xc3\xa9"}'
            assert await caller.run(CALL) == {"k": "é"}

    ((event, _),) = endpoint.seen
    assert (event["requestKey"], event["attempt"], event["context"]) == ("i/N/1", 2, {"a": 1})


@pytest.mark.usefixtures("aws_environment")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"body": b"no json"}, "function f returned no JSON: no json"),
        ({"body": b"\xff\xfe"}, "function f returned no JSON"),
        ({"headers": {"X-Amz-Function-Error": "Unhandled"}, "body": b'{"errorType": "E"}'}, 'f failed: {"errorType"'),
        ({"status": "500 Internal Server Error", "body": b"{}"}, "Lambda function f: 500"),
        ({"status": "429 Too Many Requests", "body": b'{"Type": "User"}'}, "Lambda function f: 429"),
        ({"missing": 7}, "f"),
    ],
)
async def test_a_bad_answer_of_a_function_fails_the_node(
    changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the function's name, once: a call that is repeated would run it once more."""
    async with function(monkeypatch) as (caller, endpoint):
        for name, value in changes.items():
            setattr(endpoint, name, value)

        with pytest.raises(CapabilityError, match=words):
            await finished(caller.run(CALL))

    assert len(endpoint.seen) == 1


@pytest.mark.usefixtures("aws_environment")
async def test_a_function_that_does_not_answer_is_given_up_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is closed, and the next call is made."""
    async with function(monkeypatch) as (caller, endpoint):
        endpoint.hold()
        calling = asyncio.create_task(caller.run(CALL))
        await eventually(lambda: endpoint.open == 1)
        calling.cancel()
        await eventually(lambda: endpoint.open == 0)
        endpoint.answers.set()

        assert await finished(caller.run(CALL)) == {}


@pytest.mark.usefixtures("aws_environment")
async def test_a_service_that_is_not_there_fails_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says where nothing answers."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9")
    async with opened(Settings(capability_bindings='{"t#x": "lambda:f"}')) as caller:
        with pytest.raises(CapabilityError, match="nothing answers at http://127.0.0.1:9"):
            await finished(caller.run(CALL))
