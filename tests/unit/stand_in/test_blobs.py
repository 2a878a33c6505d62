"""Large payloads in S3."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.patience import finished

from cch.aws.objects import S3Blobs
from cch.settings import Settings


async def test_a_hanging_s3_leaves_the_threads_of_everybody_else_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances whose payloads are small go on, though many others wait for S3."""
    answers = threading.Event()

    class Hanging:
        def put_object(self, **_: Any) -> None:
            answers.wait()

    monkeypatch.setattr(S3Blobs, "_client", lambda _: Hanging())
    blobs = S3Blobs(Settings())
    writing = [asyncio.create_task(blobs.write(f"payloads/{number}", "text")) for number in range(200)]
    await asyncio.sleep(0)

    try:
        assert await finished(asyncio.to_thread(lambda: "served")) == "served"
        assert not any(task.done() for task in writing)
    finally:
        answers.set()
        await asyncio.gather(*writing)
