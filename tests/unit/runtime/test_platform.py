"""The platform that a triggerer's event loop shares."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from world import open_memory_platform

from cch.errors import SettingsError
from cch.pauses import Pauses
from cch.runtime.platform import Platform, shared_platform, use_opener


async def test_who_waits_goes_on_waiting_until_the_platform_opens(tmp_path: Path) -> None:
    """A wrong setting, or no credentials, after a restart: thousands of tasks must not fail for it."""
    tries = 0

    @asynccontextmanager
    async def opener() -> AsyncIterator[Platform]:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise SettingsError("CCH_OWNER is not set")
        async with open_memory_platform(tmp_path) as platform:
            yield platform

    previous = use_opener(opener, lambda: Pauses(0.001))
    try:
        one, another = await asyncio.gather(shared_platform(), shared_platform())
    finally:
        use_opener(previous)
    await one.router.stop()

    assert one is another
    assert tries == 3
