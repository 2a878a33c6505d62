"""Waiting in tests: work that goes on is waited for, on a machine of any speed; work that stands still is not."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from cch.stack.groups import computed
from cch.stack.patience import Patience, StandstillError, Stillness

T = TypeVar("T")
#: Seconds for which nothing is computed, and seconds of computing without an end, after which a test has failed.
STILL, SPUN = 60.0, 120.0


async def finished(work: Awaitable[T]) -> T:
    """The result of work in this process.

    :raises StandstillError: it waits for something that does not come, or computes for ever.
    """
    task = asyncio.ensure_future(work)
    watch, limit = Stillness(still=STILL), time.process_time() + SPUN
    try:
        while not (await asyncio.wait([task], timeout=1.0))[0]:
            _look(watch, limit)
    except BaseException:
        task.cancel()
        raise
    return task.result()


def _look(watch: Stillness, limit: float) -> None:
    if watch.due:
        watch.see({"seconds computed": f"{time.process_time():.1f}"})
    watch.give_up_on("the work of this test")
    if time.process_time() > limit:
        raise StandstillError(f"the work of this test has computed for {SPUN:g} s without an end")


def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """A program, after its end, with what it has written.

    :raises StandstillError: it computes nothing any more and does not end.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    with ThreadPoolExecutor(1) as reader:
        written = reader.submit(process.communicate)
        try:
            patience = Patience(signs=lambda: {"seconds computed": int(computed(process.pid))}, still=STILL, pause=0.05)
            patience.until(f"the end of {command[0]}", written.done)
        except BaseException:
            process.kill()
            raise
    out, err = written.result()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def eventually(what: str, look: Callable[[], Any]) -> Any:
    """The first true value of something cheap to look at."""
    return Patience(still=STILL, pause=0.05).until(what, look)
