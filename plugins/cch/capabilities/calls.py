"""Makes synchronous calls: of a Python function, a Lambda function, an HTTP endpoint.

The same on a worker and in a triggerer. There thousands of instances share the process, so that only so many calls
are made at once, and nobody's code runs in the loop in which the others wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, assert_never

from cch.capabilities.endpoints import post
from cch.capabilities.failing import as_failure
from cch.capabilities.registry import (
    Binding,
    CapabilityFunction,
    HttpBinding,
    LambdaBinding,
    PythonBinding,
    binding,
)
from cch.errors import CapabilityError
from cch.interpreter.host import Call
from cch.settings import Settings

#: Threads in a shared process beyond those of the calls that are made at the same time: a function, and the resolver
#: of names, cannot be stopped, and keeps its thread when its call has been given up.
_SPARE_THREADS = 32


def call_body(call: Call) -> dict[str, Any]:
    """What a Lambda function or endpoint gets as its event or JSON body."""
    return {
        "capability_id": call.capability_id,
        "context": dict(call.context),
        "output_keys": list(call.outputs or ()),
        "lastReply": dict(call.last_reply) if call.last_reply is not None else None,
        "workflowInstanceId": call.instance_id,
        "correlationId": call.correlation_id,
        "requestKey": call.request_key,
        "attempt": call.attempt,
    }


class Caller:
    """Makes the calls of one process, or of one piece of work; belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = contextlib.AsyncExitStack()
        self._opening = asyncio.Lock()
        self._lambda: Any = None
        #: Places for calls, and threads for functions, where many instances share the process.
        self._places: asyncio.Semaphore | None = None
        self._threads: ThreadPoolExecutor | None = None

    def share(self) -> None:
        """From now on it makes the calls of many instances: of a triggerer."""
        threads = self._settings.calls_at_once + _SPARE_THREADS
        self._places = asyncio.Semaphore(self._settings.calls_at_once)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="cch call")
        # asyncio's own are a few more than there are cores, and names are resolved in them: those of endpoints that do
        # not resolve would hold up whoever else needs a thread, AWS's client included.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="asyncio"))

    @property
    def is_shared(self) -> bool:
        return self._places is not None

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place among the calls that are made at the same time, as soon as there is one."""
        if self._places is None:
            yield
            return
        async with self._places:
            yield

    async def bound(self, capability_id: str) -> Binding:
        """See :func:`cch.capabilities.registry.binding`, which may read a file and import modules."""
        return await asyncio.to_thread(binding, capability_id, self._settings)

    async def run(self, call: Call) -> Any:
        """The outputs of the call, as the code returned them.

        :raises CapabilityError: nothing bound, or the code raised.
        """
        bound = await self.bound(call.capability_id)
        with as_failure(call.capability_id):
            match bound:
                case PythonBinding(function):
                    return await self._python(function, call)
                case LambdaBinding(function):
                    name = function.format(prefix=self._settings.names.prefix)
                    return await self._invoke(name, call)
                case HttpBinding(url):
                    return await post(url, call_body(call), call, most=self._settings.max_answer_bytes)
                case _:
                    assert_never(bound)

    async def close(self) -> None:
        """Let go of what was opened."""
        await self._stack.aclose()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _python(self, function: CapabilityFunction, call: Call) -> Any:
        is_async = inspect.iscoroutinefunction(function)
        if self._threads is None:
            return await (function(call) if is_async else asyncio.to_thread(_in_thread, function, call))
        work = _OwnLoop(function, call) if is_async else lambda: _in_thread(function, call)
        context = contextvars.copy_context()  # by which Airflow knows whose log it is
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, work)
        except asyncio.CancelledError:
            if isinstance(work, _OwnLoop):
                work.cancel()
            raise

    async def _invoke(self, name: str, call: Call) -> Any:
        from cch.aws.session import explained  # noqa: PLC0415 - botocore is slow to load: only where a function is bound

        with explained(f"Lambda function {name}"):
            client = await self._lambda_client()
            answer = await client.invoke(
                FunctionName=name, InvocationType="RequestResponse", Payload=json.dumps(call_body(call)).encode()
            )
            async with answer["Payload"] as stream:
                content: bytes = await stream.read()
        text = content.decode("utf-8", "replace")
        if answer.get("FunctionError"):
            raise CapabilityError(f"Lambda function {name} failed: {text[:500]}")
        try:
            return json.loads(content.decode("utf-8") or "null")
        except ValueError:
            raise CapabilityError(f"Lambda function {name} returned no JSON: {text[:200]}") from None

    async def _lambda_client(self) -> Any:
        from cch.aws.session import async_clients  # noqa: PLC0415 - as above

        async with self._opening:
            if self._lambda is None:
                connections = self._settings.calls_at_once
                (self._lambda,) = await async_clients(self._stack, self._settings, "lambda", connections=connections)
        return self._lambda


def _in_thread(function: CapabilityFunction, call: Call) -> Any:
    with as_failure(call.capability_id):
        return function(call)


class _OwnLoop:
    """Runs a coroutine function in a thread, in a loop that is its own."""

    def __init__(self, function: CapabilityFunction, call: Call) -> None:
        self._function = function
        self._call = call
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None

    def __call__(self) -> Any:
        with as_failure(self._call.capability_id):
            return asyncio.run(self._work())

    async def _work(self) -> Any:
        task = asyncio.current_task()
        assert task is not None
        self._running = asyncio.get_running_loop(), task
        return await self._function(self._call)

    def cancel(self) -> None:
        """Stop it, as far as it has begun: nobody waits for it any more."""
        if self._running is not None:
            loop, task = self._running
            with contextlib.suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(task.cancel)
