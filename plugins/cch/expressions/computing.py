"""Where expressions are evaluated beside an event loop, so that nobody else who waits in it notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
#: An expression at its bounds takes a second or two, and all else goes on beside it. It is one thread, because two
#: would share one core and hold up what waits in the process twice as long.
_COMPUTING = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cch-computing")


async def computed(work: Callable[[], T]) -> T:
    """The result of ``work``, which may take a second or two."""
    return await asyncio.get_running_loop().run_in_executor(_COMPUTING, work)
